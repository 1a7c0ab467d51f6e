"""A maker without a model: small true films in milliseconds, for the service's own tests and for trials.

Its films are as long as asked for, 64 x 64 pixels at one frame a second, and decided by prompt and seed. It walks
steps, saves and goes on from saves as a real one does. With `KINORA_STUB_FAULTS=1` it also does what goes wrong
elsewhere, as a job's `options["stub"]` says, or the end of its prompt: `a ball stub{"fault": "kill", "step": 3}`.

    step_seconds   how long a step takes (0)
    steps          how many there are (by quality)
    fault          kill (SIGKILL), freeze (SIGSTOP), hang (no more steps), memory (gives out on so many `rungs`), fail
    code           of fault fail (internal)
    step           before which step, from 1 (1)
    attempts       in which attempts, such as [1]; left out: in all
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from kinora.core.clip import Clip
from kinora.core.conditions import Continue
from kinora.core.errors import InputError, MemoryShortage
from kinora.core.plan import Plan
from kinora.core.request import SEED_LIMIT, Request
from kinora.core.wording import condition_of
from kinora.media.film import write_film
from kinora.media.fit import fit_frames
from kinora.media.picture import write_picture
from kinora.media.recipe import Recipe
from kinora.pipeline.planning import plan_film, plan_image
from kinora.service.catalogue import STUB
from kinora.worker.events import CODES, Code, Job, MadeFile
from kinora.worker.making import Failure, Tell
from kinora.worker.materials import Materials
from kinora.worker.results import FILM, Kept, film_made, jpeg_of, labelled, picture_made, picture_name

__all__ = ["FAULTS_VARIABLE", "StubMaker"]

FAULTS_VARIABLE = "KINORA_STUB_FAULTS"
RUNGS = 3
"""Times memory may give out before there is nowhere to fall."""
IN_PROMPT = re.compile(r"stub(\{.*\})\s*$")

Cells = npt.NDArray[np.float32]


class StubMaker:
    """See the module."""

    def make(self, job: Job, tell: Tell) -> tuple[MadeFile, ...]:
        work = Path(job.work)
        find = Materials(folder=Path(job.materials), frame_rate=STUB.frame_rate)
        request = Request.from_record(dict(job.request), find)
        orders = Orders.of(job)
        if job.kind == "text_to_image":
            for index in range(job.count):
                if not (work / picture_name(index)).exists():
                    own = replace(request, seed=(request.seed + index) % SEED_LIMIT)
                    self._picture(_Walk(job, own, plan_image(own, STUB.facts, STUB.preset), tell, orders, index))
            return tuple(picture_made(job, index) for index in range(job.count))
        if not (work / FILM).exists():
            self._film(_Walk(job, request, plan_film(request, STUB.facts, STUB.preset), tell, orders, 0))
        return (film_made(job, tell),)

    def _picture(self, walk: _Walk) -> None:
        frames_FHW3 = labelled(walk.frames(), walk.job, first=0, rate=1.0)
        path = Path(walk.job.work) / picture_name(walk.index)
        write_picture(path, frames_FHW3[0], recipe=_recipe(walk.request, "image"), force=True)

    def _film(self, walk: _Walk) -> None:
        made_FHW3, plan = walk.frames(), walk.plan
        onward = condition_of(walk.request, Continue)
        if onward is not None:
            there_FHW3 = fit_frames(onward.footage.clip.frames_FHWC, plan.pixels.height, plan.pixels.width, "crop")
            made_FHW3 = np.concatenate([made_FHW3, there_FHW3] if plan.backward else [there_FHW3, made_FHW3])
        clip = Clip(
            frames_FHWC=labelled(made_FHW3, walk.job, first=0, rate=plan.frame_rate), frame_rate=plan.frame_rate
        )
        write_film(Path(walk.job.work) / FILM, clip, recipe=_recipe(walk.request, "film"), force=True)


@dataclass(frozen=True, kw_only=True)
class Orders:
    """What is asked of the stub; see the module."""

    step_seconds: float = 0.0
    steps: int = 0
    fault: str = ""
    step: int = 1
    attempts: tuple[int, ...] = ()
    rungs: int = 1
    code: Code = "internal"

    @classmethod
    def of(cls, job: Job) -> Self:
        """Nothing unless the environment allows faults. Raises `InputError` for what is no order."""
        if os.environ.get(FAULTS_VARIABLE) != "1":
            return cls()
        told: Mapping[str, Any] = job.options.get("stub") or {}
        said = IN_PROMPT.search(str(job.request.get("prompt", "")))
        try:
            told = {**told, **(json.loads(said[1]) if said else {})}
            orders = cls(**{**told, "attempts": tuple(told.get("attempts", ()))})
        except (TypeError, ValueError) as error:
            raise InputError(f"The stub was told something it does not know ({error}).") from error
        return orders if not orders.attempts or job.attempt in orders.attempts else replace(orders, fault="")


class _Walk:
    """The steps of one film or picture, from noise or from where a save stands."""

    def __init__(self, job: Job, request: Request, plan: Plan, tell: Tell, orders: Orders, index: int) -> None:
        self.job, self.request, self.plan, self.index = job, request, plan, index
        self._tell, self._orders = tell, orders
        self._kept = Kept(Path(job.work))
        self._steps = orders.steps or plan.steps
        self._of = hashlib.sha256(json.dumps(request.to_record(), sort_keys=True).encode()).hexdigest()
        self._shortages = max(0, orders.rungs - (job.attempt - 1)) if orders.fault == "memory" else 0

    def frames(self) -> npt.NDArray[np.uint8]:
        """Frames (F, H, W, 3): a quarter of the picture's cells each way, smoothly lit, moving with the steps."""
        self._fall()
        cells_FHW3, begun = self._start()
        self._told(begun)
        for step in range(begun + 1, self._steps + 1):
            if step == self._orders.step:
                self._go_wrong()
            if self._orders.step_seconds:
                time.sleep(self._orders.step_seconds)
            cells_FHW3 = np.sin(3.0 * cells_FHW3 + np.float32(step), dtype=np.float32)
            every = self.job.save_steps
            if step < self._steps and ((every and step % every == 0) or self._tell.ending()):
                self._tell.saved(self._kept.keep(self._save(cells_FHW3, step)))
            if 2 * step == self._steps:
                self._tell.preview(jpeg_of(self._drawn(cells_FHW3)[0], longest=64, quality=70))
            self._told(step)
        return self._drawn(cells_FHW3)

    # Inside

    def _start(self) -> tuple[Cells, int]:
        """The cells, and how many steps they have behind them."""
        data = self._kept.found()
        if data is not None:
            found = safetensors.numpy.load(data)
            if bytes(found["of"]).decode() == self._of:
                return found["cells"], int(found["step"][0])
        pixels = self.plan.pixels
        generator = np.random.default_rng(int(self._of[:16], 16))
        first_HW3 = generator.standard_normal((pixels.height // 16, pixels.width // 16, 3), np.float32)
        drift_F111 = np.linspace(0.0, 0.01, pixels.frames, dtype=np.float32)[:, None, None, None]
        return first_HW3 + drift_F111, 0

    def _save(self, cells_FHW3: Cells, step: int) -> bytes:
        of = np.frombuffer(self._of.encode(), np.uint8)
        return safetensors.numpy.save({"cells": cells_FHW3, "step": np.array([step]), "of": of})

    def _drawn(self, cells_FHW3: Cells) -> npt.NDArray[np.uint8]:
        small_FHW3 = (127.5 + 127.5 * cells_FHW3).clip(0, 255).astype(np.uint8)
        return small_FHW3.repeat(16, axis=1).repeat(16, axis=2)

    def _told(self, step: int) -> None:
        total = self.job.count * self._steps
        left = (self._steps - step) * self._orders.step_seconds
        self._tell.progress("imagine", self.index * self._steps + step, total, left)

    def _fall(self) -> None:
        """Memory gives out on as many rungs as were told; the ladder has `RUNGS`."""
        for rung in range(self._shortages):
            if rung + 1 == RUNGS:
                raise MemoryShortage("Memory gave out on the last rung, as the stub was told. Ask for a shorter film.")
            self._tell.note(f"Memory gave out on rung {rung + 1}; going on with rung {rung + 2}.")

    def _go_wrong(self) -> None:
        orders = self._orders
        if orders.fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif orders.fault == "freeze":
            os.kill(os.getpid(), signal.SIGSTOP)
        elif orders.fault == "hang":
            while True:
                time.sleep(1.0)
        elif orders.fault == "fail":
            if orders.code not in CODES:
                raise InputError(f"There is no code {orders.code!r}; choose one of {', '.join(CODES)}.")
            raise Failure(orders.code, f"The stub failed with {orders.code}, as it was told.")


def _recipe(request: Request, kind: str) -> Recipe:
    from kinora import __version__

    return Recipe(kind=kind, request=request, model=STUB.name, weights=STUB.version, world="", kinora=__version__)
