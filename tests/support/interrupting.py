"""Films whose power goes in the middle."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from kinora.core.errors import Cancelled
from kinora.core.request import Request
from kinora.pipeline import Pipeline, Progress
from kinora.pipeline.saving import Saves


class Plug:
    """Counts the steps of imagining, and is pulled after `left` of them."""

    def __init__(self, left: int | None = None) -> None:
        self.steps = 0
        self._left = left

    def __call__(self, progress: Progress) -> None:
        self.steps += progress.stage == "imagine" and progress.seconds_left is not None
        if self.steps == self._left:
            raise Cancelled("the power went")


def interrupted(pipeline: Pipeline, request: Request, left: int) -> tuple[npt.NDArray[np.uint8], int]:
    """The frames of a film that was broken off after `left` steps and gone on with from its last save, and how many
    steps that took then.
    """
    kept: list[bytes] = []
    with pytest.raises(Cancelled):
        list(pipeline.stream(request, on_progress=Plug(left), saves=Saves(every=1, keep=kept.append)))
    after = Plug()
    saves = Saves(every=1, keep=kept.append, found=kept[-1])
    chunks = list(pipeline.stream(request, on_progress=after, saves=saves))
    return np.concatenate([chunk.frames_FHWC for chunk in chunks]), after.steps
