"""The autoencoder of Wan 2.1, and of Wan 2.2's 14 B models: clips to latents of 16 channels, 4 x 8 x 8 pixels each.

Its parameters have the names of Wan's own checkpoint (`Wan2.1_VAE.pth`; Wan-Video/Wan2.1, wan/modules/vae.py), where
the blocks of all stages stand in one row.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from torch import nn

from kinora.codec.wan import WanCodec, WanConfig
from kinora.codec.wan_blocks import Head, down_row, middle, up_row
from kinora.codec.wan_layers import CausalConv, Chain

__all__ = ["Wan21Codec", "Wan21Config", "wan21"]

# Over Wan's own training clips; from the `WanVAE` class beside the network.
MEAN = (
    -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508,
    0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921,
)  # fmt: skip
STD = (
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743,
    3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Wan21Config(WanConfig):
    """Sizes of a `Wan21Codec`; the published one is `wan21()`."""

    width: int
    """Channels of the encoder's first stage and of the decoder's last one."""

    published: ClassVar[tuple[tuple[float, ...], tuple[float, ...]]] = (MEAN, STD)


def wan21() -> Wan21Config:
    """The published autoencoder: 53.6 M parameters in the encoder, 73.3 M in the decoder, 1 k between."""
    return Wan21Config(width=96, channels=16, mean=MEAN, std=STD)


class Wan21Codec(WanCodec):
    """Residual blocks in one row; a doubling of the picture halves the channels."""

    def __init__(self, config: Wan21Config) -> None:
        super().__init__(config, _encoder(config), _decoder(config))


def _encoder(config: Wan21Config) -> Chain:
    """From pixels to the mean and the log variance of the latents."""
    widths = [config.width * multiple for multiple in (1, *config.multiples)]
    row: list[nn.Module] = []
    for (inputs, outputs), (space, time) in zip(pairwise(widths), config.halvings, strict=True):
        row += down_row(inputs, outputs, blocks=config.blocks, space=space, time=time)
    return Chain(
        conv1=CausalConv(3 * config.patch**2, widths[0]),
        downsamples=Chain(*row),
        middle=middle(widths[-1]),
        head=Head(widths[-1], 2 * config.channels),
    )


def _decoder(config: Wan21Config) -> Chain:
    """From latents to pixels: the encoder's stages backwards, with one block more each."""
    widths = [config.width * multiple for multiple in (*config.multiples, config.multiples[-1])][::-1]
    row: list[nn.Module] = []
    entering = widths[0]
    for outputs, (space, time) in zip(widths[1:], config.doublings, strict=True):
        leaving = outputs // 2 if space else outputs
        row += up_row(entering, outputs, leaving, blocks=config.blocks + 1, space=space, time=time)
        entering = leaving
    return Chain(
        conv1=CausalConv(config.channels, widths[0]),
        middle=middle(widths[0]),
        upsamples=Chain(*row),
        head=Head(widths[-1], 3 * config.patch**2),
    )
