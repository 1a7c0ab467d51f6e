"""Blocks of the Wan video autoencoders, each told explicitly what came before: `kinora.codec.wan_layers` says how.

Parameters have the names and shapes of Wan's own checkpoints (Wan-Video/Wan2.1, wan/modules/vae.py; Wan-Video/Wan2.2,
wan/modules/vae2_2.py). Videos lie in memory channels last, (B, T, H, W, C), whatever the order of their axes.

Axes: B batch, C channels, T frames at the layer's own rate, F those of a window: what was kept and then the chunk,
H W a grid, N = batch x frames, L = H x W.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinora.codec import winograd
from kinora.codec.reel import Reel
from kinora.codec.wan_layers import (
    CausalConv,
    Chain,
    LooksBack,
    RootMeanSquare,
    channels_first,
    channels_last,
    clips_of,
    filter_frames,
    frames_of,
)

__all__ = [
    "Doubling",
    "DownStage",
    "FrameAttention",
    "Halving",
    "Head",
    "ResidualBlock",
    "UpStage",
    "average_down",
    "cells_from_pixels",
    "copy_up",
    "down_row",
    "middle",
    "pixels_from_cells",
    "up_row",
]


class ResidualBlock(nn.Module, LooksBack):
    """Two causal 3 x 3 x 3 convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            RootMeanSquare(inputs, axes=3),
            nn.SiLU(),
            CausalConv(inputs, outputs),
            RootMeanSquare(outputs, axes=3),
            nn.SiLU(),
            nn.Identity(),  # Wan's dropout, never used; it holds the place so that the next convolution is number 6
            CausalConv(outputs, outputs),
        )
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv3d(inputs, outputs, 1)

    def forward(self, x_BCTHW: Tensor, reel: Reel) -> Tensor:
        first_norm, _, first, second_norm, _, _, second = self.residual
        hidden_BCTHW = first(x_BCTHW, reel, first_norm)
        if isinstance(self.shortcut, nn.Conv3d):
            x_BCTHW = filter_frames(x_BCTHW, self.shortcut.weight, self.shortcut.bias)
        return _added(second(hidden_BCTHW, reel, second_norm, spend=True), x_BCTHW)


class FrameAttention(nn.Module):
    """Self-attention with one head among the cells of each frame."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = RootMeanSquare(width, axes=2)
        self.to_qkv = nn.Conv2d(width, 3 * width, 1)
        self.proj = nn.Conv2d(width, width, 1)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        x_NCHW = frames_of(x_BCTHW)
        mixed_N1LC = self.to_qkv(self.norm(x_NCHW)).flatten(2).transpose(1, 2).unsqueeze(1)
        query_N1LC, key_N1LC, value_N1LC = (part.contiguous() for part in mixed_N1LC.chunk(3, dim=-1))
        seen_N1LC = F.scaled_dot_product_attention(query_N1LC, key_N1LC, value_N1LC)
        seen_NCHW = seen_N1LC.squeeze(1).transpose(1, 2).unflatten(2, x_NCHW.shape[2:])
        return x_BCTHW + clips_of(self.proj(seen_NCHW), x_BCTHW.shape[0])


class Halving(nn.Module, LooksBack):
    """Half the picture's size and, with `time`, every second frame; the clip's first frame is never merged."""

    def __init__(self, width: int, *, time: bool) -> None:
        super().__init__()
        self.resample = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(width, width, 3, stride=2))
        self.time_conv = nn.Conv3d(width, width, (3, 1, 1), stride=(2, 1, 1)) if time else None

    def forward(self, x_BCTHW: Tensor, reel: Reel) -> Tensor:
        x_BCTHW = clips_of(self.resample(frames_of(x_BCTHW)), x_BCTHW.shape[0])
        if self.time_conv is None:
            return x_BCTHW
        past = reel.take()
        reel.keep(x_BCTHW[:, :, -1:].clone())
        weight, bias = self.time_conv.weight, self.time_conv.bias
        if past is not None:
            return filter_frames(torch.cat([past, x_BCTHW], dim=2), weight, bias, step=2)
        if x_BCTHW.shape[2] == 1:
            return x_BCTHW
        return torch.cat([x_BCTHW[:, :, :1], filter_frames(x_BCTHW, weight, bias, step=2)], dim=2)


class Doubling(nn.Module, LooksBack):
    """Twice the picture's size and, with `time`, two frames for one; the clip's first frame stays one.

    The convolution in time does not see that first frame: for it the clip begins with the second (so Wan was trained).
    """

    def __init__(self, inputs: int, outputs: int, *, time: bool) -> None:
        super().__init__()
        self.resample = nn.Sequential(
            nn.Upsample(scale_factor=2.0, mode="nearest-exact"), nn.Conv2d(inputs, outputs, 3, padding=1)
        )
        self.time_conv = CausalConv(inputs, 2 * inputs, space=1) if time else None

    def forward(self, x_BCTHW: Tensor, reel: Reel) -> Tensor:
        if self.time_conv is not None:
            x_BCTHW = self._double_time(self.time_conv, x_BCTHW, reel)
        conv = self.resample[1]
        assert isinstance(conv, nn.Conv2d)
        if not winograd.pays(x_BCTHW, conv.weight, doubled=True):
            return clips_of(self.resample(frames_of(x_BCTHW)), x_BCTHW.shape[0])
        x_BTHWC = channels_last(x_BCTHW)
        batch, frames, height, width, _ = x_BTHWC.shape
        window_BTHWC = reel.lend("window", winograd.window_shape(x_BTHWC, doubled=True), x_BTHWC)
        winograd.middle(window_BTHWC, height, width).copy_(x_BTHWC)
        out_BTHWC = x_BTHWC.new_empty(batch, frames, 2 * height, 2 * width, conv.out_channels)
        winograd.convolve(window_BTHWC, conv.weight[:, :, None], conv.bias, out_BTHWC, doubled=True, lend=reel.lend)
        return channels_first(out_BTHWC)

    @staticmethod
    def _double_time(time_conv: CausalConv, x_BCTHW: Tensor, reel: Reel) -> Tensor:
        alone = int(reel.first)
        if alone and x_BCTHW.shape[2] == 1:
            reel.keep(x_BCTHW[:, :, :0])
            return x_BCTHW
        pair_BTHWC = channels_last(time_conv(x_BCTHW[:, :, alone:], reel))
        # The first half of the channels is the earlier frame of each pair.
        rest_BTHWC = pair_BTHWC.unflatten(-1, (2, -1)).permute(0, 1, 4, 2, 3, 5).flatten(1, 2)
        return channels_first(torch.cat([channels_last(x_BCTHW[:, :, :alone]), rest_BTHWC], dim=1))


class DownStage(nn.Module, LooksBack):
    """Residual blocks, then perhaps a halving; beside them all an average without parameters."""

    def __init__(self, inputs: int, outputs: int, *, blocks: int, space: bool, time: bool) -> None:
        super().__init__()
        self.outputs, self.time, self.space = outputs, 2 if time else 1, 2 if space else 1
        self.downsamples = Chain(*down_row(inputs, outputs, blocks=blocks, space=space, time=time))

    def forward(self, x_BCTHW: Tensor, reel: Reel) -> Tensor:
        average_BCTHW = average_down(x_BCTHW, self.outputs, time=self.time, space=self.space)
        return _added(self.downsamples(x_BCTHW, reel), average_BCTHW)


class UpStage(nn.Module, LooksBack):
    """Residual blocks, then perhaps a doubling; in that case, beside them all, copies without parameters."""

    def __init__(self, inputs: int, outputs: int, *, blocks: int, space: bool, time: bool) -> None:
        super().__init__()
        self.outputs, self.time, self.space = outputs, 2 if time else 1, 2 if space else 1
        self.upsamples = Chain(*up_row(inputs, outputs, outputs, blocks=blocks, space=space, time=time))

    def forward(self, x_BCTHW: Tensor, reel: Reel) -> Tensor:
        y_BCTHW = self.upsamples(x_BCTHW, reel)
        if self.space == 1:
            return y_BCTHW
        return _added(y_BCTHW, copy_up(x_BCTHW, self.outputs, time=self.time, space=self.space, first=reel.first))


class Head(nn.Sequential, LooksBack):
    """What stands last in both halves."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__(RootMeanSquare(width, axes=3), nn.SiLU(), CausalConv(width, outputs))

    def forward(self, x_BCTHW: Tensor, reel: Reel) -> Tensor:  # type: ignore[override]
        norm, _, conv = self
        return conv(x_BCTHW, reel, norm)


def down_row(inputs: int, outputs: int, *, blocks: int, space: bool, time: bool) -> list[nn.Module]:
    """The layers of an encoder's stage: residual blocks, with `space` a halving of the picture, with `time` of time."""
    row: list[nn.Module] = [ResidualBlock(*pair) for pair in pairwise([inputs, *[outputs] * blocks])]
    return [*row, Halving(outputs, time=time)] if space else row


def up_row(inputs: int, width: int, outputs: int, *, blocks: int, space: bool, time: bool) -> list[nn.Module]:
    """The layers of a decoder's stage: residual blocks of `width` channels, with `space` a doubling to `outputs`."""
    row: list[nn.Module] = [ResidualBlock(*pair) for pair in pairwise([inputs, *[width] * blocks])]
    return [*row, Doubling(width, outputs, time=time)] if space else row


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


def _added(y_BCTHW: Tensor, x_BCTHW: Tensor) -> Tensor:
    """The sum of both; without a gradient to keep, in the first one's place."""
    return y_BCTHW + x_BCTHW if y_BCTHW.requires_grad or x_BCTHW.requires_grad else y_BCTHW.add_(x_BCTHW)
