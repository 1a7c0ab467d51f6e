"""What the service does with a stranger's file: look at its first bytes, then have it made plain elsewhere."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from stat import S_ISREG
from typing import Any

from kinora.service.errors import Invalid, Unavailable
from kinora.service.guard.asking import Decoder, shared_decoder
from kinora.service.guard.headers import picture_size
from kinora.service.guard.job import Job, Plain
from kinora.service.guard.kinds import HEAD, Kind, kind_of
from kinora.service.settings import Settings

__all__ = ["Guard", "Limits"]

GIB = 2**30
WAITING = 60.0
"""Seconds that a file waits for its turn at most."""
BEGINNINGS = {"image": b"\x89PNG\r\n\x1a\n", "video": b"", "audio": b"RIFF", "file": b"{"}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a file may cost."""

    upload_bytes: int = 200 * 2**20
    image_pixels: int = 40_000_000
    film_pixels: int = 9_500_000
    """Of one frame: a little over 4K."""
    film_seconds: float = 60.0
    film_side: int = 1280
    """A plain film's longer side; models here make no larger films, and 1920 would cost twice the time."""
    picture_patience: float = 5.0
    """Seconds by the clock that a picture may take."""
    film_patience: float = 180.0
    """Seconds by the clock that a film or sound may take; a minute of 1080p at 30 frames takes 63 s of one core."""
    memory: int = 3 * GIB
    at_once: int = 2
    """Files made plain at the same time; others wait."""

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """Those that an operator chose."""
        return cls(upload_bytes=settings.upload_bytes, image_pixels=settings.image_pixels)


class Guard:
    """Strangers' files in, plain files out. Threads may share one."""

    def __init__(self, limits: Limits | None = None, decoder: Decoder | None = None) -> None:
        """`decoder` is the process that decodes; without one, that which all guards of this process share."""
        self.limits = limits or Limits()
        self.confined: dict[str, bool] = {}
        """What the last child had taken from it, and whether the system granted it."""
        self._decoder = decoder or shared_decoder()
        self._turns = threading.BoundedSemaphore(self.limits.at_once)

    def start(self) -> None:
        """Have the process ready before the first file comes."""
        self._decoder.start()

    def make_plain(self, source: Path, target: Path, want: tuple[str, ...]) -> Plain:
        """Write to `target` what `source` shows, as a file of our own making.

        `want` is of "image", "mask", "video", "audio", "speech". Raises `Invalid` for a file that is not taken, and
        `Unavailable` when this machine cannot look at it now. `target` may be left half-written then.
        """
        kind = self._looked_at(source, want)
        target.touch(mode=0o600)
        if not self._turns.acquire(timeout=WAITING):
            raise Unavailable("Too many files are being read. Try again in a minute.")
        try:
            plain = self._heard(self._decoder.ask(self._job(source, target, kind, want)))
        finally:
            self._turns.release()
        return self._confirmed(plain, target)

    def _looked_at(self, source: Path, want: tuple[str, ...]) -> Kind:
        """The kind by content, sizes within bounds as the headers state them."""
        # A pipe would be waited for without end, and a link may lead anywhere.
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            state = os.fstat(descriptor)
            if not S_ISREG(state.st_mode):
                raise Invalid("What was sent is no file.")
            if state.st_size > self.limits.upload_bytes:
                raise Invalid(
                    f"The file has {state.st_size / 2**20:.0f} MB; at most {self.limits.upload_bytes / 2**20:g} are"
                    " taken. Make it smaller or shorter."
                )
            kind = kind_of(file.read(HEAD), want)
            if kind.family == "picture":
                self._check_size(picture_size(kind.reader, file), kind)
        return kind

    def _check_size(self, size: tuple[int, int] | None, kind: Kind) -> None:
        if size is None:
            raise Invalid(f"The file begins like a {kind.name} picture but is damaged. Save it again.")
        width, height = size
        if width * height > self.limits.image_pixels:
            raise Invalid(
                f"The picture is {width} x {height}, {ceil(width * height / 1e6)} megapixels; at most"
                f" {self.limits.image_pixels / 1e6:g} are taken. Make it smaller first."
            )

    def _job(self, source: Path, target: Path, kind: Kind, want: tuple[str, ...]) -> Job:
        limits = self.limits
        picture = kind.family in ("picture", "track")
        return Job(
            source=str(source.absolute()),
            target=str(target.absolute()),
            family=kind.family,
            reader=kind.reader,
            want=want,
            seconds=limits.picture_patience if picture else limits.film_patience,
            memory=limits.memory,
            # A plain picture is at most its pixels; a plain film may be larger than what was sent, within reason.
            most_bytes=limits.image_pixels * 4 + 2**20 if picture else GIB,
            most_pixels=limits.image_pixels if picture else limits.film_pixels,
            most_seconds=limits.film_seconds,
            most_side=limits.film_side,
        )

    # Its answer, which is not trusted either

    def _heard(self, answer: dict[str, Any]) -> Plain:
        if answer.get("late"):
            raise Invalid("The file takes too long to read; it is damaged or too large. Save it again, smaller.")
        if "status" in answer:
            raise Invalid("The file cannot be read: what reads it broke down over it. Save or convert it again.")
        if "trouble" in answer:
            raise Unavailable(str(answer["trouble"]))
        try:
            said = json.loads(answer["said"])
            self.confined = {str(what): bool(well) for well, what in said["confined"]}
            if "plain" in said:
                return Plain.of(said["plain"])
            if "trouble" in said:
                raise Unavailable(_printable(said["trouble"]))
            refusal = _printable(said["unfit"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise Invalid("The file cannot be read: what reads it broke down over it.") from error
        raise Invalid(refusal)

    def _confirmed(self, plain: Plain, target: Path) -> Plain:
        """Raise `Invalid` unless the target begins like a file of our own making, with the sizes that were told."""
        with target.open("rb") as file:
            head = file.read(HEAD)
            well = head.startswith(BEGINNINGS[plain.kind])
            if plain.kind == "image":
                well = well and picture_size("PNG", file) == (plain.width, plain.height)
            elif plain.kind == "video":
                well = head[4:8] == b"ftyp"
            elif plain.kind == "audio":
                well = well and head[8:12] == b"WAVE"
        if not well:
            raise Invalid("The file cannot be read: what reads it broke down over it.")
        return plain


def _printable(text: object) -> str:
    return "".join(letter for letter in str(text)[:500] if letter.isprintable())
