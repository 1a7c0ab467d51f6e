"""Does a film of minutes stay what it was, and does making it stay as cheap?

Every film is streamed in a process of its own, which keeps small frames (for the judges), the moment at which each
chunk arrived, and its own highest memory: so memory is that of streaming alone, and a film does not warm up the next.
The small frames are cut into pieces of five seconds. Each piece is read; what the reader names in the first piece
should still be named in the last. The histogram of colours should stay as near to the first piece's as it was.

What fools it: the reader's own slips (the same question asked twice of a true render is not always answered alike),
and a film whose prompt changes on the way. Time per second of film is only as steady as the machine.

Axes: F frames, H W pixels, 3 RGB.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from kinora.core.clip import Clip
from kinora.core.errors import MediaError
from kinora.core.request import Request
from kinora.measure.control.seams import kept, part_of
from kinora.measure.model import Judge

__all__ = ["LongFigures", "Streamed", "colour_drift", "measure_long", "peak_memory", "steadiness", "stream_apart"]

PIECE_SECONDS = 5.0
SMALL = 128
"""Side of the frames that are kept: as much as the reader looks at."""
BINS = 4
"""Of each colour in a histogram."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Streamed:
    """A film made in a process of its own."""

    clip: Clip
    """At most 128 pixels wide or high."""
    arrived: tuple[tuple[float, float], ...]
    """After each chunk: seconds of film that exist, seconds since the start."""
    peak_bytes: int
    """The process's highest resident memory."""


@dataclass(frozen=True, kw_only=True)
class LongFigures:
    """One film, its last piece against its first."""

    slots_kept: float
    """Share of lasting slots and counts that are read alike."""
    count_kept: bool
    """Whether as many bodies and figures are read."""
    drift: float
    """Distance of colour histograms, 0 (the same) to 1 (nothing in common)."""
    peak_ratio: float | None
    """Highest memory over that of a short film; None without one."""
    time_spread: float | None
    """Seconds of work per second of film: largest difference of a fifth of the film from the median fifth, as a share;
    None for a film of fewer than ten chunks.
    """


def measure_long(film: Streamed, judge: Judge, short: Streamed | None = None) -> LongFigures:
    """Figures of a long film; `short` is the same request cut short, for memory."""
    pieces = pieces_of(film.clip)
    first, last = judge.read(pieces[0]), judge.read(pieces[-1])
    return LongFigures(
        slots_kept=kept(first, last),
        count_kept=len(first.bodies) == len(last.bodies) and len(first.figures) == len(last.figures),
        drift=colour_drift(pieces[0], pieces[-1]),
        peak_ratio=None if short is None else film.peak_bytes / short.peak_bytes,
        time_spread=steadiness(film.arrived),
    )


def pieces_of(clip: Clip) -> list[Clip]:
    """Whole pieces of five seconds; the film itself when it is shorter."""
    length = round(PIECE_SECONDS * clip.frame_rate)
    starts = range(0, clip.shape.frames - length + 1, length)
    return [part_of(clip, start, start + length) for start in starts] or [part_of(clip, 0, clip.shape.frames)]


def colour_drift(first: Clip, other: Clip) -> float:
    """Half the sum of absolute differences of two clips' colour histograms (4 x 4 x 4 colours)."""
    return 0.5 * float(np.abs(_histogram(first) - _histogram(other)).sum())


def _histogram(clip: Clip) -> npt.NDArray[np.float64]:
    level = clip.frames_FHWC.astype(np.int64) * BINS // 256
    kind = (level[..., 0] * BINS + level[..., 1]) * BINS + level[..., 2]
    count = np.bincount(kind.ravel(), minlength=BINS**3)
    return np.asarray(count / count.sum())


def steadiness(arrived: Sequence[tuple[float, float]]) -> float | None:
    """How uneven the pace is: see `LongFigures.time_spread`. The first chunk, which also warms up, is left out."""
    if len(arrived) < 10:
        return None
    film, work = np.array(arrived).T
    bounds = np.linspace(0, len(arrived) - 1, 6).round().astype(int)
    pace = np.diff(work[bounds]) / np.diff(film[bounds])
    return float(np.abs(pace / np.median(pace) - 1.0).max())


def peak_memory() -> int:
    """Highest resident memory of this process so far, bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        # `ru_maxrss` would remember the process this one was forked from.
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return 1024 * int(line.split()[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def stream_apart(model: str, request: Request, folder: Path) -> Streamed:
    """The film of a request by the model of that name or folder, made in a child process into `folder`.

    Found there from an earlier time, it is not made again. Raises `MediaError` when the child fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "film.json").exists():
        child = multiprocessing.get_context("spawn").Process(target=_stream, args=(model, request, folder))
        child.start()
        child.join()
        if child.exitcode:
            raise MediaError(f"The film in {folder} broke off (exit {child.exitcode}); what its process said is above.")
    return read_streamed(folder)


def read_streamed(folder: Path) -> Streamed:
    """What `stream_apart` left in a folder."""
    record: dict[str, Any] = json.loads((folder / "film.json").read_text(encoding="utf-8"))
    frames = np.fromfile(folder / "film.rgb", dtype=np.uint8).reshape(-1, *record["size"], 3)
    return Streamed(
        clip=Clip(frames_FHWC=frames, frame_rate=record["frame_rate"]),
        arrived=tuple((film, work) for film, work in record["arrived"]),
        peak_bytes=record["peak_bytes"],
    )


def _stream(model: str, request: Request, folder: Path) -> None:
    """In the child: stream, keep small frames, and write down times and memory at the end."""
    from kinora.pipeline import load_pipeline

    pipeline = load_pipeline(model)
    rate = pipeline.plan(request).frame_rate
    started, frames, arrived, size = time.perf_counter(), 0, [], (0, 0)
    with (folder / "film.rgb").open("wb") as file:
        for chunk in pipeline.stream(request):
            small_FHW3 = shrunk(chunk.frames_FHWC)
            file.write(small_FHW3.tobytes())
            frames, size = frames + len(small_FHW3), small_FHW3.shape[1:3]
            arrived.append((frames / rate, time.perf_counter() - started))
    record = {"size": size, "frame_rate": rate, "arrived": arrived, "peak_bytes": peak_memory()}
    (folder / "film.json").write_text(json.dumps(record), encoding="utf-8")


def shrunk(frames_FHW3: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Frames at most 128 pixels wide or high."""
    height, width = frames_FHW3.shape[1:3]
    share = min(1.0, SMALL / max(height, width))
    size = (max(1, round(share * height)), max(1, round(share * width)))
    video = torch.from_numpy(frames_FHW3.copy()).permute(0, 3, 1, 2).float()
    small = functional.interpolate(video, size=size, mode="area").round().to(torch.uint8)
    return small.permute(0, 2, 3, 1).contiguous().numpy()
