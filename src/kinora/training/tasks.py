"""Tasks: what of a clip is known in a training step, and how well.

Every way of making a film is a task here, told by caps: the highest noise level that each latent cell may have. While a
step stands at a level, a cell stands at `min(level, cap)`, as in `kinora.flow.state`: 1 is free, 0 is known exactly,
a little above 0 is history that a model made itself and that is never quite clean, anything between is a guide.

Axes: N clips of one task, T latent frames, H W latent grid, R boxes of a clip.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from kinora.core.errors import InputError

__all__ = ["TASKS", "Canvas", "Known", "TaskMix", "draw_known"]

Array = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

TOKEN = 2
"""Cells along a token's side: most boxes lie on this grid, so that most tokens have one level for all their cells."""
GUIDE_CAPS = (0.05, 0.9)
"""Levels that guides are followed at: from a picture to be touched up to a bare hint of place and colour."""


@dataclass(frozen=True, kw_only=True)
class TaskMix:
    """How often each task is drawn, in any unit: shares are taken of their sum.

    A third stays with text alone, from which composition, colours and motion come and which every other task leans on;
    another third goes to pictures and history, which users meet at once and long films many times over. Tasks with
    cells of their own are learnt quickly (most of the picture is given) and get the rest; the share of independent
    levels went down for them, because guides teach mixed levels too.
    """

    text: float = 0.30
    """Nothing is known."""
    first: float = 0.14
    """The first latent frame: image to video."""
    continuation: float = 0.12
    """The first few, noised: extension."""
    ends: float = 0.06
    """The first and the last."""
    independent: float = 0.08
    """Nothing, but every latent frame has a level of its own."""
    before: float = 0.05
    """The last few, noised: extension backward in time."""
    anchored: float = 0.08
    """The first, clean, and a few neighbours, noised: a window of a long film."""
    region: float = 0.07
    """Everything but a box that may move: editing and outpainting."""
    guide: float = 0.10
    """Boxes that may only be noised so far: motion brush, camera guides, mouths."""

    def __post_init__(self) -> None:
        for name in TASKS:
            if not getattr(self, name) >= 0:
                raise InputError(f"The share of the task {name} is {getattr(self, name)}; shares are zero or more.")
        if not sum(getattr(self, name) for name in TASKS) > 0:
            raise InputError("Every task has share zero; give at least one task a share.")

    def shares(self, frames: int) -> npt.NDArray[np.float64]:
        """In the order of `TASKS`, adding up to one. Tasks that need more latent frames than there are become text."""
        values = np.array([getattr(self, name) for name in TASKS], dtype=np.float64)
        values /= values.sum()
        if frames == 1:
            lone = np.array([name in STILL_TASKS for name in TASKS])
            values[0] += values[~lone].sum()
            values = np.where(lone, values, 0.0)
        return values


TASKS = tuple(field.name for field in fields(TaskMix))
"""Names of all tasks; text comes first."""
STILL_TASKS = ("text", "region", "guide")
"""Tasks that a single picture has."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Canvas:
    """What a task is drawn for: some clips of one shape."""

    rng: np.random.Generator
    clips: int
    frames: int
    height: int
    width: int
    history_noise: float
    """Highest level of history."""
    first_noised: float
    """Share of known first frames that carry a little noise."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, T, H, W)."""
        return self.clips, self.frames, self.height, self.width


@dataclass(frozen=True, kw_only=True, eq=False)
class Known:
    """A task as it was drawn."""

    cap_NTHW: Array
    asked_NTHW: Array
    """1 where the model is to predict, 0 where it is not asked."""


def draw_known(task: str, canvas: Canvas) -> Known:
    """One of `TASKS` for every clip of the canvas; each clip is asked for at least one cell."""
    return _DRAWN_BY[task](canvas)


def _nothing(canvas: Canvas) -> Known:
    return _frames(canvas, np.ones((canvas.clips, canvas.frames)), np.zeros((canvas.clips, canvas.frames), dtype=bool))


def _first(canvas: Canvas) -> Known:
    index_T = np.arange(canvas.frames)
    known_NT = np.broadcast_to(index_T == 0, (canvas.clips, canvas.frames))
    return _frames(canvas, np.where(known_NT, _picture_noise(canvas)[:, None], 1.0), known_NT)


def _ends(canvas: Canvas) -> Known:
    index_T = np.arange(canvas.frames)
    # Two latent frames would leave nothing to make between them.
    known_T = (index_T == 0) | ((index_T == canvas.frames - 1) & (canvas.frames > 2))
    known_NT = np.broadcast_to(known_T, (canvas.clips, canvas.frames))
    return _frames(canvas, np.where(known_NT, _picture_noise(canvas)[:, None], 1.0), known_NT)


def _continuation(canvas: Canvas) -> Known:
    count_N = canvas.rng.integers(1, canvas.frames, size=canvas.clips)
    return _history(canvas, np.arange(canvas.frames) < count_N[:, None])


def _before(canvas: Canvas) -> Known:
    count_N = canvas.rng.integers(1, canvas.frames, size=canvas.clips)
    return _history(canvas, np.arange(canvas.frames) >= canvas.frames - count_N[:, None])


def _anchored(canvas: Canvas) -> Known:
    """The first frame stays clean; history follows it at once more often than not, as it does in a long film's window.

    Latent frames of a clip are few and scattered in time, so between the two lies a gap already.
    """
    if canvas.frames < 3:
        return _first(canvas)
    rng, index_T = canvas.rng, np.arange(canvas.frames)
    count_N = rng.integers(1, canvas.frames - 1, size=canvas.clips)
    start_N = np.where(rng.random(canvas.clips) < 0.7, 1, rng.integers(1, canvas.frames - count_N + 1))
    known = _history(canvas, (index_T >= start_N[:, None]) & (index_T < (start_N + count_N)[:, None]))
    known.cap_NTHW[:, 0] = 0.0
    known.asked_NTHW[:, 0] = 0.0
    return known


def _region(canvas: Canvas) -> Known:
    """One box is free, or all but the box."""
    free_NTHW = _boxes(canvas, sides=(0.2, 0.7), drifting=0.4)
    around_N = canvas.rng.random(canvas.clips) < 0.2
    free_NTHW ^= around_N[:, None, None, None]
    # On the smallest grids a box is all there is, and what lies around it nothing.
    free_NTHW |= ~free_NTHW.any(axis=(1, 2, 3), keepdims=True)
    cap_NTHW = free_NTHW.astype(np.float32)
    return Known(cap_NTHW=cap_NTHW, asked_NTHW=cap_NTHW.copy())


def _guide(canvas: Canvas) -> Known:
    """Two or three boxes over some of the frames, each with a cap; the rest free, capped too, or known exactly.

    Where the rest is not known, the first frame often is: a guide is drawn on a picture.
    """
    rng, clips = canvas.rng, canvas.clips
    kind_N = rng.random(clips)
    rest_N = np.where(kind_N < 0.55, 1.0, np.where(kind_N < 0.8, rng.uniform(*GUIDE_CAPS, size=clips), 0.0))
    cap_NTHW = np.broadcast_to(rest_N[:, None, None, None], canvas.shape).astype(np.float32)
    for box in range(3):
        inside_NTHW = _boxes(canvas, sides=(0.15, 0.7), drifting=0.6) & _times(canvas)[:, :, None, None]
        if box == 2:
            inside_NTHW &= (rng.random(clips) < 0.5)[:, None, None, None]
        # A moving camera's guide covers all but what comes into the picture: there boxes are holes.
        hole_N = (rest_N < 1.0) & (rng.random(clips) < 0.3)
        level_N = np.where(hole_N, 1.0, rng.uniform(*GUIDE_CAPS, size=clips)).astype(np.float32)
        cap_NTHW = np.where(inside_NTHW, level_N[:, None, None, None], cap_NTHW)
    picture_N = (rng.random(clips) < 0.5) & (rest_N > 0) & (canvas.frames > 1)
    cap_NTHW[:, 0] *= ~picture_N[:, None, None]
    return Known(cap_NTHW=cap_NTHW, asked_NTHW=(cap_NTHW > 0).astype(np.float32))


_DRAWN_BY: dict[str, Callable[[Canvas], Known]] = {
    "text": _nothing,
    "first": _first,
    "continuation": _continuation,
    "ends": _ends,
    "independent": _nothing,
    "before": _before,
    "anchored": _anchored,
    "region": _region,
    "guide": _guide,
}


def _picture_noise(canvas: Canvas) -> npt.NDArray[np.float64]:
    """Level of a known picture (N,): mostly none, sometimes a little."""
    noised_N = canvas.rng.random(canvas.clips) < canvas.first_noised
    level_N = np.exp(canvas.rng.normal(-3.5, 0.5, size=canvas.clips)).clip(max=1.0)
    return np.where(noised_N, level_N, 0.0)


def _history(canvas: Canvas, known_NT: Bools) -> Known:
    """Some frames at one level, the others free."""
    level_N = canvas.rng.random(canvas.clips) * canvas.history_noise
    return _frames(canvas, np.where(known_NT, level_N[:, None], 1.0), known_NT)


def _frames(canvas: Canvas, cap_NT: npt.NDArray[np.float64], known_NT: Bools) -> Known:
    """Whole frames of one cap each; frames that are known are not asked for."""
    return Known(
        cap_NTHW=np.broadcast_to(cap_NT[:, :, None, None], canvas.shape).astype(np.float32),
        asked_NTHW=np.broadcast_to(~known_NT[:, :, None, None], canvas.shape).astype(np.float32),
    )


def _times(canvas: Canvas) -> Bools:
    """A stretch of latent frames (N, T) for every clip; all of them for about a third."""
    rng, index_T = canvas.rng, np.arange(canvas.frames)
    whole_N = rng.random(canvas.clips) < 0.3
    start_N = np.where(whole_N, 0, rng.integers(0, canvas.frames, size=canvas.clips))
    count_N = np.where(whole_N, canvas.frames, rng.integers(1, canvas.frames + 1, size=canvas.clips))
    return (index_T >= start_N[:, None]) & (index_T < (start_N + count_N)[:, None])


def _boxes(canvas: Canvas, *, sides: tuple[float, float], drifting: float) -> Bools:
    """The inside (N, T, H, W) of a box for every clip: its sides shares of the grid's, the same in all frames or
    drifting from one place to another; most lie on the grid of tokens.
    """
    rng = canvas.rng
    drifts_N = rng.random(canvas.clips) < drifting
    on_grid_N = rng.random(canvas.clips) < 0.8
    down_NTH, across_NTW = (
        _stretch(canvas, size, sides, drifts_N, on_grid_N) for size in (canvas.height, canvas.width)
    )
    return down_NTH[:, :, :, None] & across_NTW[:, :, None, :]


def _stretch(canvas: Canvas, size: int, sides: tuple[float, float], drifts_N: Bools, on_grid_N: Bools) -> Bools:
    """A box's extent (N, T, size) along one axis."""
    rng, clips = canvas.rng, canvas.clips
    step_N = np.where(on_grid_N & (size % TOKEN == 0), TOKEN, 1)
    long_N = np.maximum(1, np.round(rng.uniform(*sides, size=clips) * size / step_N)) * step_N
    room_N = size - long_N
    ends_N2 = rng.random((clips, 2))
    # A quarter touches the rim on purpose: what outpainting adds, and what leaves the picture, lies there.
    at_rim_N = rng.random(clips) < 0.25
    ends_N2[at_rim_N] = np.round(ends_N2[at_rim_N])
    ends_N2[:, 1] = np.where(drifts_N, ends_N2[:, 1], ends_N2[:, 0])
    way_T = np.linspace(0.0, 1.0, canvas.frames)
    place_NT = ends_N2[:, :1] + (ends_N2[:, 1:] - ends_N2[:, :1]) * way_T
    low_NT = np.round(place_NT * (room_N / step_N)[:, None]).astype(np.int64) * step_N[:, None]
    index_S = np.arange(size)
    inside_NTS: Bools = (index_S >= low_NT[:, :, None]) & (index_S < (low_NT + long_N[:, None])[:, :, None])
    return inside_NTS
