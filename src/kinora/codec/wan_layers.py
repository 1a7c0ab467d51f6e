"""Layers of the Wan video autoencoders' blocks: norms, and convolutions that are told what came before.

A layer that looks back is called with its input and a `Reel`. From the reel it takes what it kept of the chunk before,
and it puts there what the next chunk will need; so layers must be called in the same order in every chunk.

Videos lie in memory channels last, (B, T, H, W, C), whatever the order of their axes. Axes: B batch, C channels, T
frames at the layer's own rate, F those of a window: what was kept and then the chunk, H W a grid, N = batch x frames.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinora.codec import winograd
from kinora.codec.reel import Reel

__all__ = [
    "CausalConv",
    "Chain",
    "LooksBack",
    "RootMeanSquare",
    "channels_first",
    "channels_last",
    "clips_of",
    "filter_frames",
    "frames_of",
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
            padded_BCFHW = channels_first(F.pad(channels_last(frames_BCFHW), (0,) * 6 + (before - kept, 0)))
            return filter_frames(padded_BCFHW, weight, self.bias)
        x_BTHWC = channels_last(x_BCTHW)
        batch, _, height, width, channels = x_BTHWC.shape
        if not winograd.pays(x_BCTHW, weight):
            window_BFHWC = reel.lend("window", (batch, before + frames, height, width, channels), x_BTHWC)
            self._fill(window_BFHWC, past, x_BCTHW, norm, reel)
            return filter_frames(channels_first(window_BFHWC), weight, self.bias)
        window_BFHWC = reel.lend("window", winograd.window_shape(x_BTHWC, before=before), x_BTHWC)
        self._fill(winograd.middle(window_BFHWC, height, width), past, x_BCTHW, norm, reel)
        fits = spend and channels == self.out_channels and x_BTHWC.is_contiguous()
        out_BTHWC = x_BTHWC if fits else x_BTHWC.new_empty(batch, frames, height, width, self.out_channels)
        winograd.convolve(window_BFHWC, weight, self.bias, out_BTHWC, lend=reel.lend)
        return channels_first(out_BTHWC)

    @staticmethod
    def _fill(
        window_BFHWC: Tensor, past: Tensor | None, x_BCTHW: Tensor, norm: RootMeanSquare | None, reel: Reel
    ) -> None:
        """Lay zeros, what was kept and the chunk one behind the other, and keep the last of them."""
        frames_BCFHW = channels_first(window_BFHWC)
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
    under = [frames_of(frames_BCFHW[:, :, tap : last + tap + 1 : step]) for tap in range(taps)]
    stacked_NCHW = under[0] if taps == 1 else torch.cat(under, dim=1)
    weight = weight_OCTHW.transpose(1, 2).flatten(1, 2)
    return clips_of(F.conv2d(stacked_NCHW, weight, bias_O, padding=(rows // 2, columns // 2)), frames_BCFHW.shape[0])


def channels_last(x_BCTHW: Tensor) -> Tensor:
    """The same numbers as (B, T, H, W, C)."""
    return x_BCTHW.permute(0, 2, 3, 4, 1)


def channels_first(x_BTHWC: Tensor) -> Tensor:
    """The same numbers as (B, C, T, H, W)."""
    return x_BTHWC.permute(0, 4, 1, 2, 3)


def frames_of(x_BCTHW: Tensor) -> Tensor:
    """Clips as a batch of frames, (N, C, H, W)."""
    return x_BCTHW.transpose(1, 2).flatten(0, 1)


def clips_of(x_NCHW: Tensor, batch: int) -> Tensor:
    """A batch of frames as `batch` clips."""
    return x_NCHW.unflatten(0, (batch, -1)).transpose(1, 2)
