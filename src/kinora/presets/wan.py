"""The published models of the open Wan family: what they are made of, how they want to be sampled. Knows no torch.

Sizes and sampling defaults are those of Wan-Video/Wan2.1 and Wan-Video/Wan2.2 (`wan/configs`); both, code and weights,
are under Apache-2.0. A folder on disk says which of these it is; see `kinora.presets.recognise`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from kinora.core.wording import FIRST_PICTURE, LAST_PICTURE
from kinora.presets.preset import FirstFrame, Preset, Sampling
from kinora.transformer.config import TransformerConfig

__all__ = ["OPEN_MODELS", "UMT5_XXL", "WAN21_CODEC", "WAN22_CODEC", "OpenModel"]

NEGATIVE = (
    "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，JPEG压缩残留，"
    "丑陋的，残缺的，多余的手指，画得不好的手部，画得不好的脸部，畸形的，毁容的，形态畸形的肢体，手指融合，静止不动的画面，"
    "杂乱的背景，三条腿，背景人很多，倒着走"
)
"""What the family was trained to be pushed away from (`sample_neg_prompt`): its guidance is wrong with any other."""

SHAKING = "镜头晃动，"
"""A shaking camera, which Wan 2.1's image models are pushed away from too (`wan_i2v_14B.py`)."""

WAN21_CODEC: Mapping[str, Any] = MappingProxyType({"kind": "wan21", "width": 96, "channels": 16})
WAN22_CODEC: Mapping[str, Any] = MappingProxyType(
    {"kind": "wan22", "encoder_width": 160, "decoder_width": 256, "channels": 48}
)
UMT5_XXL: Mapping[str, Any] = MappingProxyType(
    {"kind": "umt5", "width": 4096, "layers": 24, "heads": 64, "ffn_width": 10240, "vocabulary": 256384, "length": 512}
)
CLIP_VIT_H: Mapping[str, Any] = MappingProxyType(
    {"width": 1280, "layers": 32, "heads": 16, "ffn_width": 5120, "patch": 14, "size": 224}
)

SIZES_480 = MappingProxyType({"16:9": (480, 832), "9:16": (832, 480), "1:1": (624, 624)})
SIZES_720 = MappingProxyType({"16:9": (720, 1280), "9:16": (1280, 720), "1:1": (960, 960)})
SIZES_704 = MappingProxyType({"16:9": (704, 1280), "9:16": (1280, 704), "1:1": (960, 960)})
"""Height and width. Wan names the first two of each; the square ones have about their area, on the same grid."""


@dataclass(frozen=True, kw_only=True)
class OpenModel:
    """One published model."""

    name: str
    title: str
    repositories: Mapping[str, str]
    """Repository on Hugging Face by layout: "wan" as its makers published it, "diffusers" as converted."""
    transformer: TransformerConfig
    preset: Preset
    experts: int = 1
    """2 where one transformer denoises the noisy part of the way and another the rest."""
    codec: Mapping[str, Any] = field(default_factory=lambda: WAN21_CODEC)
    text: Mapping[str, Any] = field(default_factory=lambda: UMT5_XXL)
    image: Mapping[str, Any] | None = None
    """The encoder of image tokens, where it takes any."""
    frame_rate: float = 16.0
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=lambda: SIZES_480)
    """Picture (height, width) by aspect."""
    licence: str = "Apache-2.0"


def transformer(width: int, layers: int, ffn_width: int, *, channels: int = 16, extra: int = 0) -> TransformerConfig:
    """A transformer of the family: heads are 128 wide, texts come from umT5-xxl, and Kinora's own additions are left
    out.
    """
    return TransformerConfig(
        width=width,
        layers=layers,
        heads=width // 128,
        ffn_width=ffn_width,
        channels=channels,
        extra_channels=extra,
        text_width=4096,
        pose_width=0,
        mouth_width=0,
    )


def preset(
    name: str,
    *,
    steps: int = 50,
    shift: float,
    guidance: float = 5.0,
    low_guidance: float | None = None,
    boundary: float = 0.0,
    first_frame: FirstFrame = "none",
    window: int = 21,
    obeys: frozenset[str] = frozenset(),
    needs: frozenset[str] = frozenset(),
    negative: str = NEGATIVE,
) -> Preset:
    """`pro` takes the steps its makers name, `standard` three fifths of them, `draft` two fifths."""
    full = Sampling(
        steps=steps, guidance=guidance, low_guidance=low_guidance, shift=shift, image_shift=shift, solver="unipc"
    )
    return Preset(
        name=name,
        sampling={
            "draft": replace(full, steps=steps * 2 // 5),
            "standard": replace(full, steps=steps * 3 // 5),
            "pro": full,
        },
        window=window,
        history=0,
        history_cap=0.0,
        obeys=obeys,
        needs=needs,
        first_frame=first_frame,
        boundary=boundary,
        negative=negative,
        whole_times=True,
    )


SMALL = transformer(1536, 30, 8960)
LARGE = transformer(5120, 40, 13824)
LARGE_IMAGE = transformer(5120, 40, 13824, extra=20)
IMAGE_TOKENS = replace(LARGE_IMAGE, image_width=1280)
FIRST = frozenset({FIRST_PICTURE})
FIRST_AND_LAST = frozenset({FIRST_PICTURE, LAST_PICTURE})
ONWARD = frozenset({"continuation"})


def image_14b(height: int, *, shift: float, sizes: Mapping[str, tuple[int, int]]) -> OpenModel:
    """Wan 2.1 image to video, published once for each height of pictures."""
    name, repository = f"wan2.1-i2v-14b-{height}p", f"Wan-AI/Wan2.1-I2V-14B-{height}P"
    return OpenModel(
        name=name,
        title=f"Wan 2.1 image to video, 14 B, {height}p",
        repositories={"wan": repository, "diffusers": f"{repository}-Diffusers"},
        transformer=IMAGE_TOKENS,
        preset=preset(
            name,
            steps=40,
            shift=shift,
            first_frame="channels+clip",
            obeys=FIRST | ONWARD,
            needs=FIRST,
            negative=SHAKING + NEGATIVE,
        ),
        image=CLIP_VIT_H,
        sizes=sizes,
    )


_MODELS = (
    OpenModel(
        name="wan2.1-t2v-1.3b",
        title="Wan 2.1 text to video, 1.3 B",
        repositories={"wan": "Wan-AI/Wan2.1-T2V-1.3B", "diffusers": "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"},
        transformer=SMALL,
        preset=preset("wan2.1-t2v-1.3b", shift=8.0, guidance=6.0),
    ),
    OpenModel(
        name="wan2.1-t2v-14b",
        title="Wan 2.1 text to video, 14 B",
        repositories={"wan": "Wan-AI/Wan2.1-T2V-14B", "diffusers": "Wan-AI/Wan2.1-T2V-14B-Diffusers"},
        transformer=LARGE,
        preset=preset("wan2.1-t2v-14b", shift=5.0),
        sizes=SIZES_720,
    ),
    image_14b(480, shift=3.0, sizes=SIZES_480),
    image_14b(720, shift=5.0, sizes=SIZES_720),
    OpenModel(
        name="wan2.1-flf2v-14b",
        title="Wan 2.1 first and last frame to video, 14 B, 720p",
        repositories={"wan": "Wan-AI/Wan2.1-FLF2V-14B-720P", "diffusers": "Wan-AI/Wan2.1-FLF2V-14B-720P-diffusers"},
        transformer=replace(IMAGE_TOKENS, image_positions=514),
        preset=preset(
            "wan2.1-flf2v-14b",
            shift=16.0,
            first_frame="channels+clip",
            obeys=FIRST_AND_LAST,
            needs=FIRST_AND_LAST,
            negative="镜头切换，" + SHAKING + NEGATIVE,
        ),
        image=CLIP_VIT_H,
        sizes=SIZES_720,
    ),
    OpenModel(
        name="wan2.2-ti2v-5b",
        title="Wan 2.2 text and image to video, 5 B, 720p",
        repositories={"wan": "Wan-AI/Wan2.2-TI2V-5B", "diffusers": "Wan-AI/Wan2.2-TI2V-5B-Diffusers"},
        transformer=transformer(3072, 30, 14336, channels=48),
        preset=preset("wan2.2-ti2v-5b", shift=5.0, first_frame="token", window=31, obeys=FIRST | ONWARD),
        codec=WAN22_CODEC,
        frame_rate=24.0,
        sizes=SIZES_704,
    ),
    OpenModel(
        name="wan2.2-t2v-a14b",
        title="Wan 2.2 text to video, two experts of 14 B",
        repositories={"wan": "Wan-AI/Wan2.2-T2V-A14B", "diffusers": "Wan-AI/Wan2.2-T2V-A14B-Diffusers"},
        transformer=LARGE,
        experts=2,
        preset=preset("wan2.2-t2v-a14b", steps=40, shift=12.0, guidance=4.0, low_guidance=3.0, boundary=0.875),
        sizes=SIZES_720,
    ),
    OpenModel(
        name="wan2.2-i2v-a14b",
        title="Wan 2.2 image to video, two experts of 14 B",
        repositories={"wan": "Wan-AI/Wan2.2-I2V-A14B", "diffusers": "Wan-AI/Wan2.2-I2V-A14B-Diffusers"},
        transformer=LARGE_IMAGE,
        experts=2,
        preset=preset(
            "wan2.2-i2v-a14b",
            steps=40,
            shift=5.0,
            guidance=3.5,
            low_guidance=3.5,
            boundary=0.9,
            first_frame="channels",
            obeys=FIRST | ONWARD,
            needs=FIRST,
        ),
        sizes=SIZES_720,
    ),
)

OPEN_MODELS: Mapping[str, OpenModel] = MappingProxyType({model.name: model for model in _MODELS})
"""By name."""
