"""What a task is.

submitted ──lease──> processing ──finish──> succeed
    │                 │   ↑ lease again      failed (with a code)
    └──cancel──┐      └───┘ (a lost worker)
               └──────────────────────────> cancelled
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from sqlalchemy import RowMapping

__all__ = ["ENDED", "FAILURES", "IMAGES", "KINDS", "STATES", "Event", "NewOutput", "Output", "Task"]

KINDS = ("text_to_video", "image_to_video", "extend", "edit", "speak", "text_to_image")
IMAGES = ("text_to_image",)
"""Kinds that take image slots, one for each picture; all others take one video slot."""
STATES = ("submitted", "processing", "succeed", "failed", "cancelled")
ENDED = ("succeed", "failed", "cancelled")
FAILURES = ("input", "refused", "weights", "memory", "media", "stalled", "lost", "expired", "internal")
"""Why a task failed: what was asked cannot be made; the result broke the content rules; the model is damaged or
missing; no placing leaves enough memory; a file cannot be read or written; the model stopped making steps; its workers
died time and again; nobody made it in time; a fault of Kinora's own.
"""


@dataclass(frozen=True, kw_only=True)
class NewOutput:
    """A file that a worker has made and stored; digests are sha256 of files in the object store."""

    kind: str
    digest: str
    media_type: str
    bytes: int
    width: int
    height: int
    frames: int = 1
    seconds: float = 0.0
    marked: str | None = None
    thumbnail: str | None = None


@dataclass(frozen=True, kw_only=True)
class Output(NewOutput):
    """An output as the store knows it."""

    id: int
    account_id: int
    task_id: int
    place: int
    created_at: int
    expires_at: int
    deleted_at: int | None

    @classmethod
    def of(cls, row: RowMapping) -> Self:
        return cls(**row)


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened to a task; ids count up."""

    id: int
    account_id: int
    task_id: int
    kind: str
    """state, progress, preview or note."""
    body: Mapping[str, Any]
    created_at: int


@dataclass(frozen=True, kw_only=True)
class Task:
    """A row of the table (`service/store/tables.py` says what the columns mean), and its outputs."""

    id: int
    account_id: int
    kind: str
    state: str
    model: str
    request: Mapping[str, Any]
    options: Mapping[str, Any]
    wire: Mapping[str, Any]
    external_id: str | None
    callback_url: str | None
    parent_id: int | None
    slot_kind: str
    slots: int
    units: int
    charged: int | None
    turn: int
    paused: bool
    cancelling: bool
    attempts: int
    epoch: int
    worker_id: str | None
    stage: str | None
    done: int
    total: int
    seconds_left: float | None
    expected: float | None
    code: str | None
    message: str | None
    created_at: int
    updated_at: int
    started_at: int | None
    ended_at: int | None
    deleted_at: int | None
    outputs: tuple[Output, ...] = ()

    @classmethod
    def of(cls, row: RowMapping, outputs: Sequence[Output] = ()) -> Self:
        return cls(**row, outputs=tuple(outputs))

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def share(self) -> float:
        """How much is done, 0 to 1."""
        if self.state == "succeed":
            return 1.0
        return min(1.0, self.done / self.total) if self.total else 0.0

    def as_submitted(self) -> Task:
        """The task as it was when it was accepted: what the same key is answered with again."""
        return replace(
            self, state="submitted", charged=None, paused=False, cancelling=False, attempts=0, epoch=0, worker_id=None,
            stage=None, done=0, total=0, seconds_left=None, code=None, message=None, updated_at=self.created_at,
            started_at=None, ended_at=None, deleted_at=None, outputs=(),
        )  # fmt: skip
