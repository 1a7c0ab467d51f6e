"""Layers of the Wan video autoencoders, each told explicitly what came before.

A layer that looks back is called with its input and a `Reel`. From the reel it takes what it kept of the chunk before,
and it puts there what the next chunk will need; so layers must be called in the same order in every chunk.

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

__all__ = [
    "CausalConv",
    "Chain",
    "Doubling",
    "DownStage",
    "FrameAttention",
    "Halving",
    "Head",
    "LooksBack",
    "ResidualBlock",
    "RootMeanSquare",
    "UpStage",
    "average_down",
    "cells_from_pixels",
    "copy_up",
    "down_row",
    "filter_frames",
    "middle",
    "pixels_from_cells",
    "up_row",
]

MEMORY = 2
"""Frames that a causal convolution with three taps in time remembers."""
SMALL = 20_480
"""Numbers of a window, columns left out, up to which torch thinks it small (`use_mkldnn` in aten's Convolution.cpp)."""
STRIP = 250_000
"""Numbers to take through several steps at a time on a CPU: what a core's own cache holds."""


class LooksBack:
    """Marks a module that is called with a `Reel` besides its input."""


class Chain(nn.Sequential, LooksBack):
    """Layers in a row; those that look back share the reel, the others see only their input."""

    def __init__(self, *layers: nn.Module, **named: nn.Module) -> None:
        super().__init__(*layers)
        for name, layer in named.items():
            self.add_module(name, layer)

    def forward(self, x_BCTHW: Tensor, reel: Reel) -> Tensor:  # type: ignore[override]
        for layer in self:
            x_BCTHW = layer(x_BCTHW, reel) if isinstance(layer, LooksBack) else layer(x_BCTHW)
        return x_BCTHW


class RootMeanSquare(nn.Module):
    """`x / rms(x) * gamma` over the channels, which are axis 1; `axes` counts those behind them."""

    def __init__(self, width: int, *, axes: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width, *(1,) * axes))

    def forward(self, x: Tensor) -> Tensor:
        return x * self._factor(x).to(x.dtype) * self.gamma

    def activate(self, x_BCTHW: Tensor, out_BCTHW: Tensor) -> None:
        """`silu(self(x))` written to `out_BCTHW`, in few passes and without a gradient."""
        if x_BCTHW.device.type != "cpu":
            torch.mul(x_BCTHW, self._factor(x_BCTHW), out=out_BCTHW)
            F.silu(out_BCTHW.mul_(self.gamma), inplace=True)
            return
        gamma_C11 = self.gamma.flatten(1)[..., None]
        batch, channels, _, _, width = x_BCTHW.shape
        rows = max(1, STRIP // (batch * channels * width))
        for x_BCHW, out_BCHW in zip(x_BCTHW.unbind(2), out_BCTHW.unbind(2), strict=True):
            for strip, place in zip(x_BCHW.split(rows, dim=2), out_BCHW.split(rows, dim=2), strict=True):
                torch.mul(strip, self._factor(strip), out=place)
                F.silu(place.mul_(gamma_C11), inplace=True)

    @staticmethod
    def _factor(x: Tensor) -> Tensor:
        """One over the root mean square, in float32 at least."""
        exact = torch.promote_types(x.dtype, torch.float32)
        length = torch.linalg.vector_norm(x, dim=1, keepdim=True, dtype=exact)
        return x.shape[1] ** 0.5 / length.clamp_min(1e-12)


class CausalConv(nn.Conv3d, LooksBack):
    """A convolution with three taps in time that sees a frame and the two before it; before the first there are zeros.

    Within the frame it has `space` x `space` taps and keeps the picture's size.
    """

    def __init__(self, inputs: int, outputs: int, *, space: int = 3) -> None:
        super().__init__(inputs, outputs, (MEMORY + 1, space, space), padding=(0, space // 2, space // 2))

    def forward(  # type: ignore[override]
        self, x_BCTHW: Tensor, reel: Reel, norm: RootMeanSquare | None = None, *, spend: bool = False
    ) -> Tensor:
        """Filter the frames; with `norm`, filter `silu(norm(x))`. With `spend` the result may take the place of `x`."""
        past, frames = reel.take(), x_BCTHW.shape[2]
        kept = 0 if past is None else past.shape[2]
        before = kept if frames == 1 else MEMORY  # a frame alone does without the taps that would only meet zeros
        weight = self.weight[:, :, MEMORY - before :]
        if torch.is_grad_enabled() and (x_BCTHW.requires_grad or weight.requires_grad):
            x_BCTHW = x_BCTHW if norm is None else F.silu(norm(x_BCTHW))
            frames_BCFHW = x_BCTHW if past is None else torch.cat([past, x_BCTHW], dim=2)
            reel.keep(frames_BCFHW[:, :, -MEMORY:])
            padded_BCFHW = _channels_first(F.pad(_channels_last(frames_BCFHW), (0,) * 6 + (before - kept, 0)))
            return filter_frames(padded_BCFHW, weight, self.bias)
        x_BTHWC = _channels_last(x_BCTHW)
        batch, _, height, width, channels = x_BTHWC.shape
        if not winograd.pays(x_BCTHW, weight):
            window_BFHWC = reel.lend("window", (batch, before + frames, height, width, channels), x_BTHWC)
            self._fill(window_BFHWC, past, x_BCTHW, norm, reel)
            return filter_frames(_channels_first(window_BFHWC), weight, self.bias)
        window_BFHWC = reel.lend("window", winograd.window_shape(x_BTHWC, before=before), x_BTHWC)
        self._fill(winograd.middle(window_BFHWC, height, width), past, x_BCTHW, norm, reel)
        fits = spend and channels == self.out_channels and x_BTHWC.is_contiguous()
        out_BTHWC = x_BTHWC if fits else x_BTHWC.new_empty(batch, frames, height, width, self.out_channels)
        winograd.convolve(window_BFHWC, weight, self.bias, out_BTHWC, lend=reel.lend)
        return _channels_first(out_BTHWC)

    @staticmethod
    def _fill(
        window_BFHWC: Tensor, past: Tensor | None, x_BCTHW: Tensor, norm: RootMeanSquare | None, reel: Reel
    ) -> None:
        """Lay zeros, what was kept and the chunk one behind the other, and keep the last of them."""
        frames_BCFHW = _channels_first(window_BFHWC)
        kept = 0 if past is None else past.shape[2]
        begin = frames_BCFHW.shape[2] - x_BCTHW.shape[2]
        frames_BCFHW[:, :, : begin - kept].zero_()
        if past is not None:
            frames_BCFHW[:, :, begin - kept : begin].copy_(past)
        if norm is None:
            frames_BCFHW[:, :, begin:].copy_(x_BCTHW)
        else:
            norm.activate(x_BCTHW, frames_BCFHW[:, :, begin:])
        # A copy, so that the memory does not keep the whole window alive.
        reel.keep(frames_BCFHW[:, :, -min(MEMORY, kept + x_BCTHW.shape[2]) :].clone())


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
        x_NCHW = _frames(x_BCTHW)
        mixed_N1LC = self.to_qkv(self.norm(x_NCHW)).flatten(2).transpose(1, 2).unsqueeze(1)
        query_N1LC, key_N1LC, value_N1LC = (part.contiguous() for part in mixed_N1LC.chunk(3, dim=-1))
        seen_N1LC = F.scaled_dot_product_attention(query_N1LC, key_N1LC, value_N1LC)
        seen_NCHW = seen_N1LC.squeeze(1).transpose(1, 2).unflatten(2, x_NCHW.shape[2:])
        return x_BCTHW + _clips(self.proj(seen_NCHW), x_BCTHW.shape[0])


class Halving(nn.Module, LooksBack):
    """Half the picture's size and, with `time`, every second frame; the clip's first frame is never merged."""

    def __init__(self, width: int, *, time: bool) -> None:
        super().__init__()
        self.resample = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(width, width, 3, stride=2))
        self.time_conv = nn.Conv3d(width, width, (3, 1, 1), stride=(2, 1, 1)) if time else None

    def forward(self, x_BCTHW: Tensor, reel: Reel) -> Tensor:
        x_BCTHW = _clips(self.resample(_frames(x_BCTHW)), x_BCTHW.shape[0])
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
            return _clips(self.resample(_frames(x_BCTHW)), x_BCTHW.shape[0])
        x_BTHWC = _channels_last(x_BCTHW)
        batch, frames, height, width, _ = x_BTHWC.shape
        window_BTHWC = reel.lend("window", winograd.window_shape(x_BTHWC, doubled=True), x_BTHWC)
        winograd.middle(window_BTHWC, height, width).copy_(x_BTHWC)
        out_BTHWC = x_BTHWC.new_empty(batch, frames, 2 * height, 2 * width, conv.out_channels)
        winograd.convolve(window_BTHWC, conv.weight[:, :, None], conv.bias, out_BTHWC, doubled=True, lend=reel.lend)
        return _channels_first(out_BTHWC)

    @staticmethod
    def _double_time(time_conv: CausalConv, x_BCTHW: Tensor, reel: Reel) -> Tensor:
        alone = int(reel.first)
        if alone and x_BCTHW.shape[2] == 1:
            reel.keep(x_BCTHW[:, :, :0])
            return x_BCTHW
        pair_BTHWC = _channels_last(time_conv(x_BCTHW[:, :, alone:], reel))
        # The first half of the channels is the earlier frame of each pair.
        rest_BTHWC = pair_BTHWC.unflatten(-1, (2, -1)).permute(0, 1, 4, 2, 3, 5).flatten(1, 2)
        return _channels_first(torch.cat([_channels_last(x_BCTHW[:, :, :alone]), rest_BTHWC], dim=1))


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


def filter_frames(frames_BCFHW: Tensor, weight_OCTHW: Tensor, bias_O: Tensor | None, *, step: int = 1) -> Tensor:
    """A convolution over all of a window's frames, `step` apart; within a frame it keeps the picture's size.

    In small pictures on one core of a CPU, torch takes a convolution in space and time for too small for its fast ones
    (32 channels of 64 x 64 on a Zen 3 core: 10 GFLOP/s instead of 87). There the frames under the taps are laid one
    behind the other as channels, for a convolution in the plane.
    """
    taps, rows, columns = weight_OCTHW.shape[2:]
    if frames_BCFHW.device.type != "cpu" or frames_BCFHW[..., 0].numel() > SMALL:
        return F.conv3d(frames_BCFHW, weight_OCTHW, bias_O, stride=(step, 1, 1), padding=(0, rows // 2, columns // 2))
    last = frames_BCFHW.shape[2] - taps
    under = [_frames(frames_BCFHW[:, :, tap : last + tap + 1 : step]) for tap in range(taps)]
    stacked_NCHW = under[0] if taps == 1 else torch.cat(under, dim=1)
    weight = weight_OCTHW.transpose(1, 2).flatten(1, 2)
    return _clips(F.conv2d(stacked_NCHW, weight, bias_O, padding=(rows // 2, columns // 2)), frames_BCFHW.shape[0])


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


def _channels_last(x_BCTHW: Tensor) -> Tensor:
    """The same numbers as (B, T, H, W, C)."""
    return x_BCTHW.permute(0, 2, 3, 4, 1)


def _channels_first(x_BTHWC: Tensor) -> Tensor:
    """The same numbers as (B, C, T, H, W)."""
    return x_BTHWC.permute(0, 4, 1, 2, 3)


def _frames(x_BCTHW: Tensor) -> Tensor:
    return x_BCTHW.transpose(1, 2).flatten(0, 1)


def _clips(x_NCHW: Tensor, batch: int) -> Tensor:
    return x_NCHW.unflatten(0, (batch, -1)).transpose(1, 2)
