"""Scenes to pixels, with the truth beside them.

A chunk of views is drawn in this order: the backdrop (once where nothing in it moves), mirror images on wet or glossy
ground, shade and glow on the ground, the solids, and last the pixels on an edge again with four rays each.
Axes in names: N pixels of all views of a chunk, R rays of a list, P pairs, B scenes, F frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kinora.core.errors import ShapeError
from kinora.world.frame import draw
from kinora.world.scene import Scene, States
from kinora.world.simulate import simulate
from kinora.world.stage import make_stage

__all__ = ["Rendered", "render", "render_states"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Rendered:
    """Pictures of scenes, and what is to be seen in each pixel."""

    rgb_BFHW3: Tensor
    """uint8, sRGB."""
    ids_BFHW: Tensor | None = None
    """int16: 0 sky, 1 ground, 2 + i body i, 32 + m figure m, 48 + a animal a, 56 + r rope r, 60 + i the string of
    body i (both with their frames), 64 + p panel p. At the pixel's centre; rain and snow have no id.
    """
    depth_BFHW: Tensor | None = None
    """float32 metres along the view axis; infinite in the sky."""


def render(
    scenes: Sequence[Scene],
    *,
    height: int,
    width: int,
    frames: Sequence[Sequence[int]] | None = None,
    device: str = "cpu",
    truth: bool = False,
) -> Rendered:
    """Draw `scenes` at chosen pixel frames (per scene, all the same number; None: all).

    The same scenes, size and frames give the same bits on one device. Raises `ShapeError` for sizes that are no picture
    and for scenes of different numbers of frames.
    """
    states = [simulate(scene) for scene in scenes]
    if frames is not None:
        states = [one.at(np.asarray(chosen, np.int64)) for one, chosen in zip(states, frames, strict=True)]
    return render_states(scenes, states, height=height, width=width, device=device, truth=truth)


def render_states(
    scenes: Sequence[Scene],
    states: Sequence[States],
    *,
    height: int,
    width: int,
    device: str = "cpu",
    truth: bool = False,
) -> Rendered:
    """As `render`, from states that are known already: every frame of each."""
    counts = {len(one.time_F) for one in states}
    if height < 1 or width < 1:
        raise ShapeError(f"A picture of {width} x {height} has no pixels; choose at least 1 x 1.")
    if len(counts) != 1 or 0 in counts:
        raise ShapeError(
            f"Scenes rendered together need the same number of frames, at least one; these have {sorted(counts)}. "
            "Choose frames, or render them one by one."
        )
    frames = counts.pop()
    place = torch.device(device)
    shape = (len(scenes), frames, height, width)
    rgb = torch.empty((*shape, 3), dtype=torch.uint8, device=place)
    ids = torch.empty(shape, dtype=torch.int16, device=place) if truth else None
    depth = torch.empty(shape, dtype=torch.float32, device=place) if truth else None
    with torch.inference_mode():
        for first, last, start, stop in _chunks(len(scenes), frames, height * width, place):
            part = [one.at(np.arange(start, stop)) for one in states[first:last]]
            picture = draw(make_stage(scenes[first:last], part, height, width, place), truth=truth)
            block = (slice(first, last), slice(start, stop))
            size = (last - first, stop - start, height, width)
            rgb[block] = picture.rgb_N3.reshape(*size, 3)
            if picture.ids_N is not None and ids is not None:
                ids[block] = picture.ids_N.reshape(size)
            if picture.depth_N is not None and depth is not None:
                depth[block] = picture.depth_N.reshape(size)
    return Rendered(rgb_BFHW3=rgb, ids_BFHW=ids, depth_BFHW=depth)


def _chunks(scenes: int, frames: int, pixels: int, device: torch.device) -> list[tuple[int, int, int, int]]:
    """Runs of scenes and frames (first, last, start, stop) to draw at once.

    A processor's cache likes one scene and few frames; anything else is fed best with much at once.
    """
    cached = device.type == "cpu"
    room = max(1, (2**19 if cached else 2**23) // pixels)
    if room < frames or cached:
        return [
            (scene, scene + 1, start, min(frames, start + room))
            for scene in range(scenes)
            for start in range(0, frames, room)
        ]
    together = room // frames
    return [(first, min(scenes, first + together), 0, frames) for first in range(0, scenes, together)]
