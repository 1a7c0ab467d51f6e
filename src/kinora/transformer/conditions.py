"""What a velocity depends on beyond the noisy latents, as it comes and as it is prepared for many steps.

Axes: B batch, C channels, T latent frames, H W latent grid, L text positions or image tokens, D width, A heads, K head
width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from kinora.core.errors import InputError, ShapeError
from kinora.transformer.config import TransformerConfig

__all__ = ["Conditions", "Context", "Prepared", "Text", "check_conditions", "collapse_padding"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Conditions:
    """What a velocity depends on beyond the noisy latents."""

    text_BLD: Tensor
    """Encoded prompt, zero past its end; at most `text_length` positions."""
    control_BCTHW: Tensor | None = None
    """Control maps on the latent grid; all zero says nothing."""
    pose_BT12: Tensor | None = None
    """Camera poses, 3 x 4 row by row, relative to the first; an all-zero row says that the pose is not given."""
    mouth_BTS: Tensor | None = None
    """Mouth shapes around each latent frame."""
    face_BTHW: Tensor | None = None
    """Where the mouth's owner has its face, in [0, 1] on the latent grid; needed with `mouth_BTS`."""
    extra_BCTHW: Tensor | None = None
    """Channels laid beside the noisy latents (Wan's image models: 4 that say what is given, 16 of the latents)."""
    image_BLD: Tensor | None = None
    """Image tokens of CLIP, those of the first picture before those of the last."""


class Context(NamedTuple):
    """What the cross-attention of one block attends to. R are the clips whose text says something."""

    key_RLAK: Tensor | None
    value_RLAK: Tensor | None
    bias_RL: Tensor | None = None
    """Added to the scores of each key: the logarithm of how many equal ones it stands for, -inf for none."""
    image_key_BLAK: Tensor | None = None
    image_value_BLAK: Tensor | None = None
    silence_B1D: Tensor | None = None
    """What attending to a text without words comes to, for every token the same; None where all texts have words."""
    spoken_R: Tensor | None = None
    """Which clips those are, where not all are and not none."""


class Text(NamedTuple):
    """Texts on their way to the keys and values of every block."""

    text_BLD: Tensor
    bias_BL: Tensor | None = None
    spoken_B: tuple[bool, ...] = ()
    """Whether each says anything; empty where nobody has looked."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """Conditions with everything done that does not change from step to step. Made by `Transformer.prepare`."""

    conditions: Conditions
    contexts: tuple[Context, ...]
    """One for each block."""


def check_conditions(config: TransformerConfig, conditions: Conditions) -> None:
    """What a model was not built for is refused by name, never passed over; what it cannot do without is asked for.

    Raises `InputError`, and `ShapeError` for too long a text or another number of image tokens.
    """
    for name, given, built in (
        ("control maps", conditions.control_BCTHW, config.control_channels),
        ("camera poses", conditions.pose_BT12, config.pose_width),
        ("mouth shapes", conditions.mouth_BTS, config.mouth_width),
        ("channels beside the latents", conditions.extra_BCTHW, config.extra_channels),
        ("image tokens", conditions.image_BLD, config.image_width),
    ):
        if given is not None and not built:
            raise InputError(f"This model takes no {name}: it was built without them. Leave them out.")
    for name, given, wanted in (
        ("extra_BCTHW", conditions.extra_BCTHW, config.extra_channels),
        ("image_BLD", conditions.image_BLD, config.image_width),
    ):
        if given is None and wanted:
            raise InputError(f"This model is never run without a picture: give {name} ({wanted} numbers a place) too.")
    if conditions.mouth_BTS is not None and conditions.face_BTHW is None:
        raise InputError("Mouth shapes need the place of the face they belong to: give face_BTHW too.")
    if conditions.text_BLD.shape[1] > config.text_length:
        raise ShapeError(f"A text of {conditions.text_BLD.shape[1]} positions: {config.text_length} are attended.")
    image_BLD = conditions.image_BLD
    if image_BLD is not None and config.image_positions not in (0, image_BLD.shape[1]):
        raise ShapeError(
            f"{image_BLD.shape[1]} image tokens: this model tells {config.image_positions} of them their places, those "
            "of the first and of the last picture. Give all of them."
        )


def collapse_padding(text_BLD: Tensor, length: int, dtype: torch.dtype) -> Text:
    """Texts without their padding, and one row of zeros (or a few) at the end that counts for all of it.

    Wan fills texts up with zeros to `length` and attends to the zeros too. They have no positions, so all of them give
    the same key and value; `n` equal keys weigh as much as one whose score is raised by log(n). Where `dtype` cannot
    hold log(n), further rows make up what rounding lost.
    """
    given_BL = text_BLD.ne(0).any(dim=-1)
    place_L = torch.arange(1, text_BLD.shape[1] + 1, device=text_BLD.device)
    end_B = functional.pad(given_BL * place_L, (1, 0)).amax(dim=1)
    ends = end_B.tolist()
    left_B = (length - end_B).double()
    biases_B: list[Tensor] = []
    while not biases_B or bool((left_B > 1e-5 * length).any()):
        bias_B = left_B.clamp(min=0).log().to(dtype)
        # Rounded down, so that what is left is never below zero.
        lower_B = (bias_B.double() - torch.finfo(dtype).eps * bias_B.double().abs()).to(dtype)
        bias_B = torch.where(bias_B.double().exp() > left_B, lower_B, bias_B)
        left_B = left_B - bias_B.double().exp()
        biases_B.append(bias_B)
    own_BL = torch.where(place_L[: max(ends)] <= end_B[:, None], 0.0, -torch.inf).to(dtype)
    return Text(
        text_BLD=functional.pad(text_BLD[:, : max(ends)], (0, 0, 0, len(biases_B))),
        bias_BL=torch.cat([own_BL, torch.stack(biases_B, dim=1)], dim=1),
        spoken_B=tuple(end > 0 for end in ends),
    )
