"""Module 1: pixels to latents and back, in streams."""

from __future__ import annotations

from kinora.codec.build import build_codec
from kinora.codec.config import CodecConfig
from kinora.codec.linear import LinearBasis, PatchStatistics, measure_patches
from kinora.codec.model import Codec
from kinora.codec.patches import frames_from_video, video_from_frames
from kinora.codec.protocol import AnyCodec, AnyCodecConfig
from kinora.codec.quality import psnr, psnr_of
from kinora.codec.state import START, CodecState
from kinora.codec.wan21 import Wan21Codec, Wan21Config
from kinora.codec.wan22 import Wan22Codec, Wan22Config

__all__ = [
    "START",
    "AnyCodec",
    "AnyCodecConfig",
    "Codec",
    "CodecConfig",
    "CodecState",
    "LinearBasis",
    "PatchStatistics",
    "Wan21Codec",
    "Wan21Config",
    "Wan22Codec",
    "Wan22Config",
    "build_codec",
    "frames_from_video",
    "measure_patches",
    "psnr",
    "psnr_of",
    "video_from_frames",
]
