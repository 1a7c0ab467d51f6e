"""Module 1: pixels to latents and back, in streams."""

from __future__ import annotations

from kinora.codec.config import CodecConfig
from kinora.codec.linear import LinearBasis, PatchStatistics, measure_patches
from kinora.codec.model import Codec
from kinora.codec.patches import frames_from_video, video_from_frames
from kinora.codec.quality import psnr, psnr_of
from kinora.codec.state import START, CodecState

__all__ = [
    "START",
    "Codec",
    "CodecConfig",
    "CodecState",
    "LinearBasis",
    "PatchStatistics",
    "frames_from_video",
    "measure_patches",
    "psnr",
    "psnr_of",
    "video_from_frames",
]
