"""Measure a model: generate held-out prompts, read them back, and do the same with true renders beside them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kinora.core.clip import Clip
from kinora.core.request import SEED_LIMIT, Request
from kinora.core.slots import SceneSlots
from kinora.measure.cases import Case
from kinora.measure.clips import ClipCache, Filmmaker
from kinora.measure.codec import CodecFigure
from kinora.measure.physics import Motion, measure_motion
from kinora.measure.report import CaseResult, Report, markdown
from kinora.measure.sheet import draw_sheet, strip
from kinora.understanding.colour import read_by_colour

__all__ = ["Judge", "Subject", "judge_alone", "measure_falls", "measure_model", "write_report"]

ROWS_PER_SHEET = 20
TRUE_SIZE = 256
"""Side of the true renders unless told otherwise: as much as the reader sees when it looks closely."""


class Judge(Protocol):
    """Reads clips back; the reader is one."""

    def read(self, clip: Clip) -> SceneSlots:
        """What the clip shows."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """Whom to measure."""

    name: str
    weights: str
    """Hash of its weights: clips of other weights are not taken from the cache."""
    maker: Filmmaker
    quality: str = "standard"
    seconds: float = 5.0
    world: str = "1.0"
    """Version of the world that the prompts are about."""

    def request(self, case: Case) -> Request:
        """A case as a request, square."""
        return Request(prompt=case.prompt, seconds=self.seconds, quality=self.quality, seed=case.seed % SEED_LIMIT)


OnCase = Callable[[int, int, float | None], None]
"""Hears cases done, cases in all, seconds left."""


def measure_model(
    subject: Subject,
    judge: Judge,
    cases: Sequence[Case],
    folder: Path,
    *,
    true_size: int = TRUE_SIZE,
    on_case: OnCase | None = None,
) -> list[CaseResult]:
    """Make every case's clip (or take it from `folder`/clips) and read it. Cut off and called again, it goes on."""
    cache = ClipCache(folder / "clips")
    results = []
    for case in _told(cases, on_case):
        clip = cache.generated(subject.request(case), subject.weights, subject.maker)
        results.append(_judge(case, clip, cache.true(case.scene, true_size), judge))
    return results


def measure_falls(
    subject: Subject,
    cases: Sequence[Case],
    folder: Path,
    *,
    true_size: int = TRUE_SIZE,
    on_case: OnCase | None = None,
) -> list[tuple[Motion, Motion]]:
    """The motion in every case's clip and in its true render, by colour alone."""
    cache, found = ClipCache(folder / "clips"), []
    for case in _told(cases, on_case):
        clip = cache.generated(subject.request(case), subject.weights, subject.maker)
        found.append(_motions(case, clip, cache.true(case.scene, true_size)))
    return found


def judge_alone(
    judge: Judge, cases: Sequence[Case], folder: Path, *, on_case: OnCase | None = None
) -> list[CaseResult]:
    """The judge on true renders only, as if they had been generated: the ceiling of every figure."""
    cache = ClipCache(folder / "clips")
    results = []
    for done, case in enumerate(cases):
        if on_case is not None:
            on_case(done, len(cases), None)
        true = cache.true(case.scene, TRUE_SIZE)
        results.append(_judge(case, true, true, judge))
    return results


def _told(cases: Sequence[Case], on_case: OnCase | None) -> Iterator[Case]:
    """One case after the other, with word of how far it is."""
    started = time.monotonic()
    for done, case in enumerate(cases):
        if on_case is not None:
            left = (time.monotonic() - started) / done * (len(cases) - done) if done else None
            on_case(done, len(cases), left)
        yield case
    if on_case is not None:
        on_case(len(cases), len(cases), 0.0)


def _judge(case: Case, clip: Clip, true: Clip, judge: Judge) -> CaseResult:
    motion, true_motion = _motions(case, clip, true)
    return CaseResult(
        case=case, read=judge.read(clip), motion=motion, true_read=judge.read(true), true_motion=true_motion
    )


def _motions(case: Case, clip: Clip, true: Clip) -> tuple[Motion, Motion]:
    motion, true_motion = (
        measure_motion(case.scene, case.stated.bodies, read_by_colour(shown), shown.frame_rate)
        for shown in (clip, true)
    )
    return motion, true_motion


def write_report(
    subject: Subject,
    results: Sequence[CaseResult],
    codec: Sequence[CodecFigure],
    folder: Path,
    falls: Sequence[tuple[Motion, Motion]] = (),
) -> Report:
    """`report.json`, `report.md` and sheets of moments in `folder`."""
    report = Report(
        model=subject.name, weights=subject.weights, world=subject.world, quality=subject.quality,
        results=results, codec=codec, falls=falls,
    )  # fmt: skip
    record = report.to_record()
    (folder / "report.json").write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    (folder / "report.md").write_text(markdown(record), encoding="utf-8")
    cache = ClipCache(folder / "clips")
    for first in range(0, len(results), ROWS_PER_SHEET):
        rows = []
        for number, result in enumerate(results[first : first + ROWS_PER_SHEET], start=first + 1):
            clip = cache.generated(subject.request(result.case), subject.weights, subject.maker)
            rows.append((f"{number}\n{result.right}/{result.asked}", strip(clip)))
        draw_sheet(folder / f"sheet-{first // ROWS_PER_SHEET + 1}.png", rows)
    return report
