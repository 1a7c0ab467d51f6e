"""The learned half of the decoder: from latents and their linear decoding to what that decoding lacks.

A causal trunk on the latent grid, then blocks at a quarter of the picture's size that see, frame by frame, the trunk's
features and the linear picture (its 4 x 4 pixel cells as channels). The last layer starts at zero, so that training
starts at the linear optimum.

Axes: B batch, T latent frames, N = batch x latent frames, F pixel frames, M = batch x pixel frames, C channels, H W the
grid in question.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinora.codec.blocks import MEMORY, PictureBlock, TrunkBlock, start
from kinora.codec.config import PICTURE_STRIDE, CodecConfig

__all__ = ["Refiner"]

PIXEL_CHANNELS = 3 * PICTURE_STRIDE**2
LOUDNESS = 0.1
"""Factor on the last layer. A linear picture is off by about 0.05 (of 2), so the layer then works near unit size;
without the factor Adam's first steps, all of one length, would cost 1 dB before they gain any."""


class Refiner(nn.Module):
    """Correction of a linear picture; causal in time."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.config = config
        self.spread = config.compression.space // PICTURE_STRIDE
        expanded = config.picture_features * config.compression.time * self.spread**2
        self.enter = nn.Conv2d(config.channels, config.trunk_width, 3, padding=1)
        self.trunk = nn.ModuleList(TrunkBlock(config.trunk_width) for _ in range(config.trunk_blocks))
        self.expand = nn.Conv2d(config.trunk_width, expanded, 1)
        self.join = nn.Conv2d(config.picture_features + PIXEL_CHANNELS, config.picture_width, 3, padding=1)
        self.picture = nn.ModuleList(PictureBlock(config.picture_width) for _ in range(config.picture_blocks))
        self.leave = nn.Conv2d(config.picture_width, PIXEL_CHANNELS, 3, padding=1)
        for conv in (self.enter, self.expand, self.join):
            start(conv)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's annotations lack it

    def forward(
        self, latent_BCTHW: Tensor, linear_BCFHW: Tensor, past_BTCHW: Sequence[Tensor]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The correction, shaped like `linear_BCFHW`, and the memory for the next chunk.

        `linear_BCFHW` has time * T frames, or time - 1 fewer when the chunk holds a clip's first frame; `past_BTCHW` is
        empty there.
        """
        batch, _, frames, height, width = linear_BCFHW.shape
        feature_NCHW, memory = self._trunk(latent_BCTHW, past_BTCHW)
        feature_MCHW = self._spread_over_frames(feature_NCHW, batch, first=frames < latent_BCTHW.shape[2] * self._time)
        pixels_M3HW = linear_BCFHW.transpose(1, 2).reshape(batch * frames, 3, height, width)
        cells_MCHW = F.pixel_unshuffle(pixels_M3HW, PICTURE_STRIDE)
        joined_MCHW = torch.cat([feature_MCHW, cells_MCHW.to(feature_MCHW.dtype)], dim=1)
        x_MCHW = self.join(joined_MCHW.contiguous(memory_format=torch.channels_last))
        for block in self.picture:
            x_MCHW = block(x_MCHW)
        correction_M3HW = F.pixel_shuffle(LOUDNESS * self.leave(F.silu(x_MCHW)), PICTURE_STRIDE)
        return correction_M3HW.reshape(batch, frames, 3, height, width).transpose(1, 2), memory

    @property
    def _time(self) -> int:
        return self.config.compression.time

    def _trunk(self, latent_BCTHW: Tensor, past_BTCHW: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        batch, _, _, height, width = latent_BCTHW.shape
        latent_NCHW = latent_BCTHW.transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        x_NCHW = self.enter(latent_NCHW)
        if not past_BTCHW:
            nothing = x_NCHW.new_zeros(batch, MEMORY, self.config.trunk_width, height, width)
            past_BTCHW = (nothing,) * len(self.trunk)
        memory = []
        for block, past in zip(self.trunk, past_BTCHW, strict=True):
            x_NCHW, past = block(x_NCHW, past)
            memory.append(past)
        return x_NCHW, tuple(memory)

    def _spread_over_frames(self, x_NCHW: Tensor, batch: int, *, first: bool) -> Tensor:
        """Features of each frame's cells, (M, picture_features, H, W); a first frame takes the mean of its four."""
        wide_NCHW = self.expand(F.silu(x_NCHW))
        per_frame_MCHW = wide_NCHW.unflatten(1, (self._time, -1)).flatten(0, 1)
        feature_MCHW = F.pixel_shuffle(per_frame_MCHW, self.spread)
        if not first:
            return feature_MCHW
        feature_BFCHW = feature_MCHW.unflatten(0, (batch, -1))
        still_BFCHW = feature_BFCHW[:, : self._time].mean(dim=1, keepdim=True)
        return torch.cat([still_BFCHW, feature_BFCHW[:, self._time :]], dim=1).flatten(0, 1)
