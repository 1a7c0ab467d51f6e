"""Measures of whole films instead of single trials: minutes long, and what controls cost."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace

from kinora.core.plan import Plan
from kinora.core.request import Request
from kinora.core.wording import plain_prompt
from kinora.measure.control.cost import measure_cost
from kinora.measure.control.long import Streamed, measure_long, stream_apart
from kinora.measure.control.motion_trials import brush_trials, camera_trials
from kinora.measure.control.people_trials import reference_trials, speech_trials
from kinora.measure.control.picture_trials import picture_trials
from kinora.measure.control.seams import measure_seams
from kinora.measure.control.stages import FIRST_SEED, resting_scenes
from kinora.measure.control.trials import Outcome, Setting, Trial
from kinora.measure.sheet import strip
from kinora.world.captions import describe_slots
from kinora.world.slots_of import scene_slots

__all__ = ["cost_outcomes", "long_outcomes", "seams_of"]

SHORT_SECONDS = 10.0
"""The short film that a long one's memory is compared with."""
CONTROLS: dict[str, Callable[[Setting, int], Iterator[Trial]]] = {
    "picture": picture_trials,
    "camera": camera_trials,
    "brush": brush_trials,
    "reference": reference_trials,
    "speech": speech_trials,
}


def long_outcomes(setting: Setting, count: int, seconds: float) -> Iterator[Outcome]:
    """Films of `seconds` of scenes in which nothing should change."""
    judge = setting.judge()
    for index, scene in zip(range(count), resting_scenes(90_000), strict=False):
        prompt = describe_slots(scene_slots(scene), language="en", seed=scene.seed, length="long").text
        request = Request(prompt=prompt, seconds=seconds, quality=setting.quality, seed=FIRST_SEED + index)
        film = _streamed(setting, request)
        short = _streamed(setting, replace(request, seconds=SHORT_SECONDS)) if seconds > SHORT_SECONDS else None
        figures = {name: None if value is None else float(value) for name, value in asdict(
            measure_long(film, judge, short)
        ).items()}  # fmt: skip
        seams = seams_of(setting.maker.plan(request), setting.codec.config.compression.time)
        if seams:
            found = measure_seams(film.clip, seams)
            figures |= {"jump": found.jump, "jump_latent": found.jump_latent}
        yield Outcome(name=f"film {index + 1}", figures=figures, row=strip(film.clip, moments=8))


def cost_outcomes(setting: Setting, count: int) -> Iterator[Outcome]:
    """Each control's clip against the same clip without it, `count` controls at most."""
    for name, trials in list(CONTROLS.items())[:count]:
        request = next(trials(setting, 1)).request
        without = replace(request, prompt=plain_prompt(request.prompt, request), conditions=())
        found = measure_cost(setting.maker, without, request)
        yield Outcome(
            name=name,
            figures={"added": found.added, "without": found.without, "with_control": found.with_control},
        )


def seams_of(plan: Plan, time: int) -> list[int]:
    """First pixel frames of a plan's later segments, on a grid of `time` pixel frames a latent frame."""
    return [1 + time * (segment.first - 1) for segment in plan.segments[1:]]


def _streamed(setting: Setting, request: Request) -> Streamed:
    key = hashlib.sha256(f"{setting.weights} {sorted(request.to_record().items())}".encode()).hexdigest()[:20]
    return stream_apart(setting.model, request, setting.folder / "films" / key)
