"""How true a codec is to three kinds of clips it never learnt from: the theatre, procedural pictures, photographs.

Peak signal-to-noise ratio in dB, peak 255; a set's figure is the mean over its clips, of 17 frames each.

The photographs are scikit-learn's china and flower and scikit-image's coffee and rocket, each once panned and once
zoomed: pictures that anyone can get, and that no recipe here ever reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from kinora.codec import Codec, psnr_of
from kinora.core.errors import InputError
from kinora.core.slots import PICTURES
from kinora.measure.cases import FIRST_SEED
from kinora.world.pictures import picture_rgb
from kinora.world.render import render
from kinora.world.sampler import sample_scene
from kinora.world.scene import Picture

__all__ = ["CODEC_SETS", "CodecFigure", "measure_codec", "photographs"]

FRAMES = 17
THEATRE_SEED = FIRST_SEED + 1_000_000
PICTURE_SEED = FIRST_SEED + 2_000_000

Frames = npt.NDArray[np.uint8]
OnClip = Callable[[str, int, int], None]
"""Hears the set's name, clips done, clips in all."""


@dataclass(frozen=True, kw_only=True)
class CodecFigure:
    """One set's result; without clips, why there are none."""

    name: str
    clips: int
    psnr: float | None
    """Mean over clips, dB."""
    worst: float | None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class CodecSet:
    """A fixed set of clips: how many there are at most, and how the first so many are made, (F, H, W, 3) each."""

    name: str
    most: int
    clips: Callable[[int, int], Iterator[Frames]]
    """Takes how many, and the side in pixels."""


def measure_codec(
    codec: Codec, *, count: int = 200, size: int = 256, on_clip: OnClip | None = None
) -> list[CodecFigure]:
    """PSNR on the first `count` clips of every set (a smaller set gives all it has)."""
    return [_measure_set(codec, chosen, min(count, chosen.most), size, on_clip) for chosen in CODEC_SETS]


def _measure_set(codec: Codec, chosen: CodecSet, count: int, size: int, on_clip: OnClip | None) -> CodecFigure:
    figures: list[float] = []
    try:
        for frames in chosen.clips(count, size):
            figures.append(_psnr(codec, frames))
            if on_clip is not None:
                on_clip(chosen.name, len(figures), count)
    except InputError as error:
        return CodecFigure(name=chosen.name, clips=0, psnr=None, worst=None, note=str(error))
    return CodecFigure(name=chosen.name, clips=len(figures), psnr=float(np.mean(figures)), worst=min(figures))


@torch.inference_mode()
def _psnr(codec: Codec, frames_FHW3: Frames) -> float:
    # Not a parameter: a linear codec has none, only buffers.
    device = next(iter(codec.state_dict().values())).device
    video_BCFHW = torch.from_numpy(frames_FHW3).permute(3, 0, 1, 2)[None].to(device).float().mul(2 / 255).sub(1)
    decoded_BCFHW = codec.decode(codec.encode(video_BCFHW))
    return float(psnr_of(decoded_BCFHW, video_BCFHW))


def _theatre(count: int, size: int) -> Iterator[Frames]:
    for index in range(count):
        scene = sample_scene(THEATRE_SEED + index, split="held_out")
        start = 4 * (index % ((scene.frames - FRAMES) // 4 + 1))
        rendered = render([scene], height=size, width=size, frames=[range(start, start + FRAMES)])
        yield torch.as_tensor(rendered.rgb_BFHW3[0]).numpy()


def _pictures(count: int, size: int) -> Iterator[Frames]:
    kinds = PICTURES[1:]
    middle = (torch.arange(size) + 0.5) / size
    uv_P2 = torch.stack(torch.meshgrid(middle, 1 - middle, indexing="xy"), dim=-1).reshape(-1, 2)
    footprint_P = torch.full((size * size,), 1.0 / size)
    for index in range(count):
        rng = np.random.default_rng(PICTURE_SEED + index)
        drift = rng.uniform(-0.12, 0.12, size=2) * (index % 2)
        picture = Picture(kind=kinds[index % len(kinds)], seed=int(rng.integers(2**31)), drift=tuple(drift))
        yield np.stack([_picture_frame(picture, uv_P2, footprint_P, frame / 16.0, size) for frame in range(FRAMES)])


def _picture_frame(picture: Picture, uv_P2: Tensor, footprint_P: Tensor, seconds: float, size: int) -> Frames:
    linear_P3 = picture_rgb(picture, uv_P2, footprint_P, torch.full_like(footprint_P, seconds)).clamp(0, 1)
    power_P3 = 1.055 * linear_P3.clamp(min=1e-6) ** (1 / 2.4) - 0.055
    bent_P3 = torch.where(linear_P3 <= 0.0031308, 12.92 * linear_P3, power_P3)
    return (bent_P3 * 255).round().to(torch.uint8).reshape(size, size, 3).numpy()


def photographs() -> list[Image.Image]:
    """China, flower, coffee, rocket. Raises `InputError` when a package that holds them is not installed."""
    try:
        data, datasets = import_module("skimage.data"), import_module("sklearn.datasets")
    except ImportError as error:
        raise InputError(
            f"Photographs are skipped: the package that holds them is missing ({error.name}); "
            "pip install scikit-learn scikit-image."
        ) from error
    arrays = [*datasets.load_sample_images().images, data.coffee(), data.rocket()]
    return [Image.fromarray(np.asarray(array)) for array in arrays]


def _photograph_clips(count: int, size: int) -> Iterator[Frames]:
    moves = [(photograph, zoom) for zoom in (False, True) for photograph in photographs()]
    for photograph, zoom in moves[:count]:
        yield move_over(photograph, zoom=zoom, size=size)


def move_over(photograph: Image.Image, *, zoom: bool, size: int) -> Frames:
    """A clip (17, size, size, 3): the camera pans over a photograph from left to right, or zooms into its middle."""
    width, height = photograph.size
    frames = []
    for share in np.linspace(0.0, 1.0, FRAMES):
        side = min(width, height) * (1.0 - 0.3 * share if zoom else 0.85)
        reach = (width - side) * (0.5 if zoom else 0.5 + 0.2 * (2 * share - 1))
        top = (height - side) / 2
        box = (float(reach), float(top), float(reach + side), float(top + side))
        frames.append(np.asarray(photograph.resize((size, size), Image.Resampling.LANCZOS, box=box)))
    return np.stack(frames)


CODEC_SETS = (
    CodecSet(name="theatre", most=200, clips=_theatre),
    CodecSet(name="procedural pictures", most=50, clips=_pictures),
    CodecSet(name="photographs", most=8, clips=_photograph_clips),
)
