"""How true a codec is to the clips it carries."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from kinora.codec.model import Codec
from kinora.core.errors import InputError

__all__ = ["psnr", "psnr_of"]


def psnr_of(video_BCFHW: Tensor, other_BCFHW: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each clip in dB, shape (B,); both videos in [-1, 1], so the peak is 2."""
    error_B = (video_BCFHW.float() - other_BCFHW.float()).square().flatten(1).mean(dim=1)
    return 10.0 * torch.log10(4.0 / error_B.clamp_min(1e-12))


@torch.no_grad()
def psnr(codec: Codec, clips: Iterable[Tensor], *, linear: bool = False) -> float:
    """Mean over clips of each clip's PSNR in dB through the codec; `linear` leaves the learned correction out.

    `clips` are videos (B, 3, F, H, W) in [-1, 1]. Raises `InputError` when there is none.
    """
    figures: list[float] = []
    for video_BCFHW in clips:
        latent_BCTHW = codec.encode(video_BCFHW)
        decoded_BCFHW = codec.decode_linear(latent_BCTHW) if linear else codec.decode(latent_BCTHW)
        figures += psnr_of(decoded_BCFHW, video_BCFHW.to(decoded_BCFHW.device)).tolist()
    if not figures:
        raise InputError("PSNR needs at least one clip; none was given.")
    return math.fsum(figures) / len(figures)
