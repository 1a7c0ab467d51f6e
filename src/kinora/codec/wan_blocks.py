"""Layers of the Wan 2.2 video autoencoder, each told explicitly what came before.

A layer that looks back takes its input and its past, and returns its output and the past for the next chunk. A past is
a flat tuple of tensors, one for each convolution in time; it is empty before the first chunk of a clip and only then.
So an empty past also says that the chunk begins with the clip's first frame, which stands for itself alone in time.

Parameters have the names and shapes of Wan's own checkpoints (Wan-Video/Wan2.2, wan/modules/vae2_2.py).

Axes: B batch, C channels, T frames at the layer's own rate, H W a grid, N = batch x frames, L = H x W.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = [
    "CausalConv",
    "Chain",
    "Doubling",
    "DownStage",
    "FrameAttention",
    "Halving",
    "Past",
    "Remembers",
    "ResidualBlock",
    "RootMeanSquare",
    "UpStage",
    "average_down",
    "cells_from_pixels",
    "copy_up",
    "middle",
    "pixels_from_cells",
]

MEMORY = 2
"""Frames that a causal convolution with three taps in time remembers."""

Past: TypeAlias = tuple[Tensor, ...]


class Remembers:
    """Marks a module called as `(x, past) -> (y, past)`; what it keeps are `memories` tensors."""

    memories: int = 0


class Chain(nn.Sequential, Remembers):
    """Layers in a row; each that remembers gets its own part of the past, the others see only their input."""

    def __init__(self, *layers: nn.Module, **named: nn.Module) -> None:
        super().__init__(*layers)
        for name, layer in named.items():
            self.add_module(name, layer)
        self.memories = sum(layer.memories for layer in self if isinstance(layer, Remembers))

    def forward(self, x_BCTHW: Tensor, past: Past = ()) -> tuple[Tensor, Past]:
        kept: Past = ()
        for layer in self:
            if isinstance(layer, Remembers):
                begin = len(kept)
                x_BCTHW, own = layer(x_BCTHW, past[begin : begin + layer.memories])
                kept += own
            else:
                x_BCTHW = layer(x_BCTHW)
        return x_BCTHW, kept


class CausalConv(nn.Conv3d, Remembers):
    """A convolution with three taps in time that sees a frame and the two before it; before the first there are zeros.

    Within the frame it has `space` x `space` taps and keeps the picture's size.
    """

    memories = 1

    def __init__(self, inputs: int, outputs: int, *, space: int = 3) -> None:
        super().__init__(inputs, outputs, (MEMORY + 1, space, space), padding=(0, space // 2, space // 2))

    def forward(self, x_BCTHW: Tensor, past: Past = ()) -> tuple[Tensor, Past]:  # type: ignore[override]
        window_BCTHW = torch.cat([past[0] if past else _silence(x_BCTHW), x_BCTHW], dim=2)
        # A copy, so that the memory does not keep the whole chunk alive.
        return super().forward(window_BCTHW), (window_BCTHW[:, :, -MEMORY:].clone(),)


class RootMeanSquare(nn.Module):
    """`x / rms(x) * gamma` over the channels, which are axis 1; `axes` counts those behind them."""

    def __init__(self, width: int, *, axes: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width, *(1,) * axes))

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=1) * (x.shape[1] ** 0.5 * self.gamma)


class ResidualBlock(nn.Module, Remembers):
    """Two causal 3 x 3 x 3 convolutions beside a shortcut."""

    memories = 2

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.residual = Chain(
            RootMeanSquare(inputs, axes=3),
            nn.SiLU(),
            CausalConv(inputs, outputs),
            RootMeanSquare(outputs, axes=3),
            nn.SiLU(),
            nn.Identity(),  # Wan's dropout, never used; it holds the place so that the next convolution is number 6
            CausalConv(outputs, outputs),
        )
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv3d(inputs, outputs, 1)

    def forward(self, x_BCTHW: Tensor, past: Past = ()) -> tuple[Tensor, Past]:
        change_BCTHW, past = self.residual(x_BCTHW, past)
        return self.shortcut(x_BCTHW) + change_BCTHW, past


class FrameAttention(nn.Module):
    """Self-attention with one head among the cells of each frame."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = RootMeanSquare(width, axes=2)
        self.to_qkv = nn.Conv2d(width, 3 * width, 1)
        self.proj = nn.Conv2d(width, width, 1)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        x_NCHW = _frames(x_BCTHW)
        mixed_N1LC = self.to_qkv(self.norm(x_NCHW)).flatten(2).transpose(1, 2).unsqueeze(1)
        query_N1LC, key_N1LC, value_N1LC = (part.contiguous() for part in mixed_N1LC.chunk(3, dim=-1))
        seen_N1LC = F.scaled_dot_product_attention(query_N1LC, key_N1LC, value_N1LC)
        seen_NCHW = seen_N1LC.squeeze(1).transpose(1, 2).reshape(x_NCHW.shape)
        return x_BCTHW + _clips(self.proj(seen_NCHW), x_BCTHW.shape[0])


class Halving(nn.Module, Remembers):
    """Half the picture's size and, with `time`, every second frame; the clip's first frame is never merged."""

    def __init__(self, width: int, *, time: bool) -> None:
        super().__init__()
        self.resample = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(width, width, 3, stride=2))
        self.time_conv = nn.Conv3d(width, width, (3, 1, 1), stride=(2, 1, 1)) if time else None
        self.memories = int(time)

    def forward(self, x_BCTHW: Tensor, past: Past = ()) -> tuple[Tensor, Past]:
        x_BCTHW = _clips(self.resample(_frames(x_BCTHW)), x_BCTHW.shape[0])
        if self.time_conv is None:
            return x_BCTHW, ()
        last = (x_BCTHW[:, :, -1:].clone(),)
        if past:
            return self.time_conv(torch.cat([past[0], x_BCTHW], dim=2)), last
        if x_BCTHW.shape[2] == 1:
            return x_BCTHW, last
        return torch.cat([x_BCTHW[:, :, :1], self.time_conv(x_BCTHW)], dim=2), last


class Doubling(nn.Module, Remembers):
    """Twice the picture's size and, with `time`, two frames for one; the clip's first frame stays one.

    The convolution in time does not see that first frame: for it the clip begins with the second (so Wan was trained).
    """

    def __init__(self, width: int, *, time: bool) -> None:
        super().__init__()
        self.resample = nn.Sequential(
            nn.Upsample(scale_factor=2.0, mode="nearest-exact"), nn.Conv2d(width, width, 3, padding=1)
        )
        self.time_conv = CausalConv(width, 2 * width, space=1) if time else None
        self.memories = int(time)

    def forward(self, x_BCTHW: Tensor, past: Past = ()) -> tuple[Tensor, Past]:
        if self.time_conv is not None:
            x_BCTHW, past = self._double_time(self.time_conv, x_BCTHW, past)
        return _clips(self.resample(_frames(x_BCTHW)), x_BCTHW.shape[0]), past

    @staticmethod
    def _double_time(time_conv: CausalConv, x_BCTHW: Tensor, past: Past) -> tuple[Tensor, Past]:
        alone_BCTHW, rest_BCTHW = x_BCTHW.split([0, x_BCTHW.shape[2]] if past else [1, x_BCTHW.shape[2] - 1], dim=2)
        if rest_BCTHW.shape[2] == 0:
            return alone_BCTHW, (_silence(alone_BCTHW),)
        pair_BCTHW, past = time_conv(rest_BCTHW, past)
        # The first half of the channels is the earlier frame of each pair.
        rest_BCTHW = pair_BCTHW.unflatten(1, (2, -1)).permute(0, 2, 3, 1, 4, 5).flatten(2, 3)
        return torch.cat([alone_BCTHW, rest_BCTHW], dim=2), past


class DownStage(nn.Module, Remembers):
    """Residual blocks, then perhaps a halving; beside them all an average without parameters."""

    def __init__(self, inputs: int, outputs: int, *, blocks: int, space: bool, time: bool) -> None:
        super().__init__()
        self.outputs, self.time, self.space = outputs, 2 if time else 1, 2 if space else 1
        widths = [inputs, *[outputs] * blocks]
        row: list[nn.Module] = [ResidualBlock(*pair) for pair in pairwise(widths)]
        self.downsamples = Chain(*row, *([Halving(outputs, time=time)] if space else []))
        self.memories = self.downsamples.memories

    def forward(self, x_BCTHW: Tensor, past: Past = ()) -> tuple[Tensor, Past]:
        y_BCTHW, past = self.downsamples(x_BCTHW, past)
        return y_BCTHW + average_down(x_BCTHW, self.outputs, time=self.time, space=self.space), past


class UpStage(nn.Module, Remembers):
    """Residual blocks, then perhaps a doubling; in that case, beside them all, copies without parameters."""

    def __init__(self, inputs: int, outputs: int, *, blocks: int, space: bool, time: bool) -> None:
        super().__init__()
        self.outputs, self.time, self.space = outputs, 2 if time else 1, 2 if space else 1
        widths = [inputs, *[outputs] * blocks]
        row: list[nn.Module] = [ResidualBlock(*pair) for pair in pairwise(widths)]
        self.upsamples = Chain(*row, *([Doubling(outputs, time=time)] if space else []))
        self.memories = self.upsamples.memories

    def forward(self, x_BCTHW: Tensor, past: Past = ()) -> tuple[Tensor, Past]:
        y_BCTHW, kept = self.upsamples(x_BCTHW, past)
        if self.space == 1:
            return y_BCTHW, kept
        return y_BCTHW + copy_up(x_BCTHW, self.outputs, time=self.time, space=self.space, first=not past), kept


def middle(width: int) -> Chain:
    """What stands between the stages and the latents, in both halves."""
    return Chain(ResidualBlock(width, width), FrameAttention(width), ResidualBlock(width, width))


def average_down(x_BCTHW: Tensor, outputs: int, *, time: int, space: int) -> Tensor:
    """Blocks of `time` x `space` x `space` cells as one cell of `outputs` channels, each the mean of a group.

    The numbers of a block are ordered (channel, frame, row, column) and cut into `outputs` equal groups. Where the
    frames do not come out even, as in a clip's first chunk, zeros stand in front.
    """
    padded_BCTHW = F.pad(x_BCTHW, (0, 0, 0, 0, -x_BCTHW.shape[2] % time, 0))
    cut = padded_BCTHW.unflatten(4, (-1, space)).unflatten(3, (-1, space)).unflatten(2, (-1, time))
    block = cut.permute(0, 1, 3, 5, 7, 2, 4, 6).flatten(1, 4)
    return block.unflatten(1, (outputs, -1)).mean(dim=2)


def copy_up(x_BCTHW: Tensor, outputs: int, *, time: int, space: int, first: bool) -> Tensor:
    """Each cell as a block of `time` x `space` x `space` cells of `outputs` channels, its numbers copied equally often.

    The copies fill the block in the order (channel, frame, row, column). `first`: the chunk begins the clip, whose
    first frame gives only the last of its `time` frames.
    """
    copies = outputs * time * space**2 // x_BCTHW.shape[1]
    block = x_BCTHW.repeat_interleave(copies, dim=1).unflatten(1, (outputs, time, space, space))
    joined_BCTHW = block.permute(0, 1, 5, 2, 6, 3, 7, 4).flatten(6, 7).flatten(4, 5).flatten(2, 3)
    return joined_BCTHW[:, :, time - 1 :] if first else joined_BCTHW


def cells_from_pixels(video_BCFHW: Tensor, side: int) -> Tensor:
    """Squares of `side` x `side` pixels as one cell; its channels are ordered (colour, column, row)."""
    cut = video_BCFHW.unflatten(4, (-1, side)).unflatten(3, (-1, side))
    return cut.permute(0, 1, 6, 4, 2, 3, 5).flatten(1, 3)


def pixels_from_cells(cell_BCFHW: Tensor, side: int) -> Tensor:
    """The inverse of `cells_from_pixels`."""
    cut = cell_BCFHW.unflatten(1, (-1, side, side))
    return cut.permute(0, 1, 4, 5, 3, 6, 2).flatten(5, 6).flatten(3, 4)


def _silence(x_BCTHW: Tensor) -> Tensor:
    """What a causal convolution over `x_BCTHW` remembers before anything has come: frames of zeros."""
    batch, channels, _, height, width = x_BCTHW.shape
    return x_BCTHW.new_zeros(batch, channels, MEMORY, height, width)


def _frames(x_BCTHW: Tensor) -> Tensor:
    return x_BCTHW.transpose(1, 2).flatten(0, 1)


def _clips(x_NCHW: Tensor, batch: int) -> Tensor:
    return x_NCHW.unflatten(0, (batch, -1)).transpose(1, 2)
