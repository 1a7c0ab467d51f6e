"""What a worker and its model process say to each other: a JSON object a line, `{"say": name, ...}`.

    worker -> model process   Make, Cancel, Stop
    model process -> worker   Ready, Beat, Progress, Preview, Saved, Note; Made, Failed or Cancelled for each Make

Unknown names, unknown or missing fields and values of another type are refused: both ends are one version of one
program, so that anything else is damage. Needs nothing but Python.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, TypeVar

from kinora.core.errors import KinoraError

__all__ = [
    "CODES", "COMMANDS", "EVENTS", "Beat", "Cancel", "Cancelled", "Code", "Command", "Event", "Failed", "Garbled",
    "Job", "Made", "MadeFile", "Make", "Note", "Preview", "Progress", "Ready", "Saved", "Stop", "from_line", "to_line",
]  # fmt: skip

Code = Literal["input", "weights", "memory", "media", "internal"]
"""Why a task failed: what was asked cannot be; the model is missing or unfit; no rung leaves room; a picture or film
could not be read or written; a fault of ours."""
CODES: tuple[str, ...] = typing.get_args(Code)
Message = TypeVar("Message")


class Garbled(KinoraError):
    """A line that is none of the messages."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One task, as the model process needs to know it."""

    task_id: int
    kind: str
    """A value of `kinora.service.tasks.KINDS`; text_to_image makes pictures, all others a film."""
    model: str
    """A model's name; `stub` for the one without a model."""
    request: Mapping[str, Any]
    """Of `kinora.core.request.Request.to_record`; a material's digest is that of the asset."""
    work: str
    """The task's own folder: results go there, and what a later attempt goes on from lies there."""
    materials: str
    """Folder with a file for each asset that the request names, called by its digest."""
    attempt: int = 1
    """Above 1 an earlier one was lost, perhaps for memory: it starts one rung lower."""
    count: int = 1
    """Pictures to make, seeds counting up; 1 for a film."""
    label: bool = False
    """Whether the visible label is drawn into the result: a film's first seconds, a whole picture's life."""
    marked: bool = False
    """Whether a second file with the label throughout is made."""
    language: str = "zh"
    """Of the label: zh or en."""
    save_steps: int = 5
    """Latents are saved every so many denoising steps; 0 for never."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Further options of the task; the stub hears its faults here."""


@dataclass(frozen=True, kw_only=True)
class MadeFile:
    """One film or picture that a job made. Files are named from the job's work folder."""

    kind: Literal["video", "image"]
    file: str
    marked: str | None
    """The copy with the label throughout, where one was asked for."""
    thumbnail: str
    """A JPEG, 512 pixels along its longer side at most."""
    media_type: str
    width: int
    height: int
    frames: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Make:
    """Do this job; jobs are done one after the other."""

    job: Job


@dataclass(frozen=True, kw_only=True)
class Cancel:
    """Give this job up between two steps; `Cancelled` answers, or `Made` where it was too late."""

    task_id: int


@dataclass(frozen=True, kw_only=True)
class Stop:
    """End. A job under way is saved at its next step and left there, unanswered."""


@dataclass(frozen=True, kw_only=True)
class Ready:
    """Told once, before anything else; models are loaded when a job wants them."""

    pid: int


@dataclass(frozen=True, kw_only=True)
class Beat:
    """Told every second, by a thread of its own: the process lives."""

    task_id: int | None
    """The job under way."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A piece of work is done. A job of which none comes for long hangs."""

    task_id: int
    stage: str
    """load, read, imagine, draw or write."""
    done: int
    total: int
    seconds_left: float | None


@dataclass(frozen=True, kw_only=True)
class Preview:
    """How the picture under way looks by now."""

    task_id: int
    jpeg: bytes
    """A few kilobytes."""


@dataclass(frozen=True, kw_only=True)
class Saved:
    """From these files in the work folder another attempt goes on where this one is.

    A file never changes under its name, but it may be gone when a newer save has replaced it: then the `Saved` that
    says so is on its way.
    """

    task_id: int
    files: tuple[str, ...]
    """All that belong to this save, named from the work folder; any others there belong to older ones."""


@dataclass(frozen=True, kw_only=True)
class Note:
    """A sentence on how the work goes, such as a change of plan."""

    task_id: int
    text: str


@dataclass(frozen=True, kw_only=True)
class Made:
    """The job is done; its files lie in the work folder."""

    task_id: int
    files: tuple[MadeFile, ...]


@dataclass(frozen=True, kw_only=True)
class Failed:
    """The job cannot be done."""

    task_id: int
    code: Code
    message: str
    """A sentence for the client."""


@dataclass(frozen=True, kw_only=True)
class Cancelled:
    """The job was given up because it was told to be."""

    task_id: int


Command = Make | Cancel | Stop
Event = Ready | Beat | Progress | Preview | Saved | Note | Made | Failed | Cancelled
COMMANDS: tuple[type[Command], ...] = (Make, Cancel, Stop)
EVENTS: tuple[type[Event], ...] = (Ready, Beat, Progress, Preview, Saved, Note, Made, Failed, Cancelled)


def to_line(message: Command | Event) -> bytes:
    """The message as one line of ASCII with its newline; `from_line` is its inverse."""
    record = {"say": type(message).__name__, **_plain(message)}
    return json.dumps(record, allow_nan=False, separators=(",", ":")).encode("ascii") + b"\n"


def from_line(line: bytes, kinds: tuple[type[Message], ...]) -> Message:
    """One of `kinds` (`COMMANDS` or `EVENTS`) from a line; raises `Garbled` for anything else."""
    try:
        record = json.loads(line)
    except ValueError as error:
        raise Garbled(f"A message is a line of JSON; {line[:80]!r} is none ({error}).") from error
    if not isinstance(record, dict):
        raise Garbled(f"A message is a JSON object, not {line[:80]!r}.")
    name = record.pop("say", None)
    kind = next((kind for kind in kinds if kind.__name__ == name), None)
    if kind is None:
        known = ", ".join(kind.__name__ for kind in kinds)
        raise Garbled(f"There is no message {name!r} here; there are {known}.")
    return typing.cast("Message", _record(record, kind, kind.__name__))


def _plain(value: Any) -> Any:
    """A value as JSON has it; bytes as base64."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {part.name: _plain(getattr(value, part.name)) for part in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return base64.b64encode(value).decode("ascii") if isinstance(value, bytes) else value


@cache
def _types(kind: Any) -> Mapping[str, Any]:
    return typing.get_type_hints(kind)


def _record(value: Any, kind: Any, where: str) -> Any:
    """A dataclass from its fields."""
    if not isinstance(value, dict):
        raise Garbled(f"{where} is an object, not {value!r:.80}.")
    parts = dataclasses.fields(kind)
    needed = {p.name for p in parts if p.default is dataclasses.MISSING and p.default_factory is dataclasses.MISSING}
    unknown, missing = sorted(value.keys() - {p.name for p in parts}), sorted(needed - value.keys())
    if unknown or missing:
        raise Garbled(f"{where} has {unknown} too many and {missing} too few of its fields.")
    told = _types(kind)
    return kind(**{name: _read(item, told[name], f"{where}.{name}") for name, item in value.items()})


def _read(value: Any, kind: Any, where: str) -> Any:
    """A value of a field's type from what JSON made of it."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType or origin is typing.Union:
        return None if value is None else _read(value, arguments[0], where)
    if origin is tuple and isinstance(value, list):
        return tuple(_read(item, arguments[0], where) for item in value)
    if origin is Literal and value in arguments:
        return value
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _record(value, kind, where)
    if kind is bytes and isinstance(value, str):
        return _bytes(value, where)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is (dict if origin is Mapping else kind):
        return value
    raise Garbled(f"{where} is not to be {value!r:.80}.")


def _bytes(value: str, where: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Garbled(f"{where} is not base64.") from error
