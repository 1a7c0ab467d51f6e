"""What a transformer is built from."""

from __future__ import annotations

from dataclasses import dataclass

from kinora.core.errors import InputError

__all__ = ["TransformerConfig"]


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """Sizes of a `Transformer`; those of the open Wan family stand in `kinora.presets.wan`."""

    width: int
    """Numbers per token (Wan: dim)."""
    layers: int
    heads: int
    ffn_width: int
    """Width inside the feed-forward network."""
    channels: int
    """Channels of the latents that are denoised."""
    text_width: int
    """Numbers per text position, as the text encoder gives them."""
    text_length: int = 512
    """Text positions attended; shorter texts are filled up with zeros, and the zeros are attended too."""
    patch: int = 2
    """Latent cells along each side of a token (1 or 2); a token is never longer than one latent frame."""
    extra_channels: int = 0
    """Channels that come beside the noisy latents and are not predicted (Wan's image models: 20)."""
    image_width: int = 0
    """Numbers of an image token, as CLIP gives them (Wan 2.1 image models: 1280); 0 builds no way in for them."""
    image_positions: int = 0
    """Image tokens that are told their place (Wan 2.1 from first and last frame: 514); 0 tells none."""
    frequency_width: int = 256
    """Numbers that tell the noise level before the time embedding."""
    control_channels: int = 0
    """Channels of a control map on the latent grid; 0 builds none."""
    pose_width: int = 12
    """Numbers of a camera pose per latent frame (12 for a 3 x 4 matrix); 0 builds none."""
    mouth_width: int = 48
    """Numbers of mouth shapes per latent frame (48: 12 pixel frames of 4); 0 builds none."""
    place: bool = False
    """Whether each token is told where in the picture it lies (`kinora.transformer.place`); open weights are not."""
    spread: tuple[float, ...] = ()
    """Standard deviation of each latent channel, where the network predicts what the best linear guess leaves
    (`kinora.transformer.guess`); empty where it predicts the velocity itself, as open weights do.
    """
    eps: float = 1e-6

    def __post_init__(self) -> None:
        # Read from JSON it is a list.
        object.__setattr__(self, "spread", tuple(self.spread))
        if self.spread and (len(self.spread) != self.channels or min(self.spread) <= 0):
            raise InputError(
                f"The spread has {len(self.spread)} numbers, the smallest {min(self.spread):g}: one above zero is "
                f"wanted for each of {self.channels} channels, or none at all."
            )
        if self.width % self.heads or self.head_width % 2:
            raise InputError(
                f"A width of {self.width} cannot be shared by {self.heads} heads: each needs an even width."
            )
        if self.patch not in (1, 2):
            raise InputError(f"A token covers 1 x 1 or 2 x 2 latent cells; patch {self.patch} is neither.")

    @property
    def head_width(self) -> int:
        return self.width // self.heads
