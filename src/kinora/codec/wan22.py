"""The autoencoder of Wan 2.2 TI2V-5B: clips to latents of 48 channels, 4 x 16 x 16 pixels each, and back.

Its parameters have the names of Wan's own checkpoint (`Wan2.2_VAE.pth`; Wan-Video/Wan2.2, wan/modules/vae2_2.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from torch import nn

from kinora.codec.wan import WanCodec, WanConfig
from kinora.codec.wan_blocks import DownStage, Head, UpStage, middle
from kinora.codec.wan_layers import CausalConv, Chain

__all__ = ["Wan22Codec", "Wan22Config", "wan22"]

# Over Wan's own training clips; from the `Wan2_2_VAE` class beside the network.
MEAN = (
    -0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813, 0.0891,
    0.1570, -0.0098, 0.0375, -0.1825, -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502,
    -0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.1230, -0.0313, -0.1649, 0.0117, 0.0723,
    -0.2839, -0.2083, -0.0520, 0.3748, 0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667,
)  # fmt: skip
STD = (
    0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894, 1.0901,
    0.6885, 0.6165, 0.8454, 0.4978, 0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659,
    0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093, 0.5709, 0.6065, 0.6415, 0.4944,
    0.5726, 1.2042, 0.5458, 1.6887, 0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Wan22Config(WanConfig):
    """Sizes of a `Wan22Codec`; the published one is `wan22()`."""

    encoder_width: int
    """Channels of the encoder's first stage."""
    decoder_width: int
    """Channels of the decoder's last stage."""
    patch: int = 2

    published: ClassVar[tuple[tuple[float, ...], tuple[float, ...]]] = (MEAN, STD)


def wan22() -> Wan22Config:
    """The published autoencoder: 149.6 M parameters in the encoder, 555.0 M in the decoder, 12 k between."""
    return Wan22Config(encoder_width=160, decoder_width=256, channels=48, mean=MEAN, std=STD)


class Wan22Codec(WanCodec):
    """Stages of residual blocks, beside each an average or a copy without parameters."""

    def __init__(self, config: Wan22Config) -> None:
        super().__init__(config, _encoder(config), _decoder(config))


def _encoder(config: Wan22Config) -> Chain:
    """From cells of pixels to the mean and the log variance of the latents."""
    widths = [config.encoder_width * multiple for multiple in (1, *config.multiples)]
    stages: list[nn.Module] = [
        DownStage(inputs, outputs, blocks=config.blocks, space=space, time=time)
        for (inputs, outputs), (space, time) in zip(pairwise(widths), config.halvings, strict=True)
    ]
    return Chain(
        conv1=CausalConv(3 * config.patch**2, widths[0]),
        downsamples=Chain(*stages),
        middle=middle(widths[-1]),
        head=Head(widths[-1], 2 * config.channels),
    )


def _decoder(config: Wan22Config) -> Chain:
    """From latents to cells of pixels: the encoder's stages backwards, with wider and more blocks."""
    widths = [config.decoder_width * multiple for multiple in (*config.multiples, config.multiples[-1])][::-1]
    stages: list[nn.Module] = [
        UpStage(inputs, outputs, blocks=config.blocks + 1, space=space, time=time)
        for (inputs, outputs), (space, time) in zip(pairwise(widths), config.doublings, strict=True)
    ]
    return Chain(
        conv1=CausalConv(config.channels, widths[0]),
        middle=middle(widths[0]),
        upsamples=Chain(*stages),
        head=Head(widths[-1], 3 * config.patch**2),
    )
