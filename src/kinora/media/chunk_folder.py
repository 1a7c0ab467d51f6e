"""The folder in which a film lies in chunks until it is whole.

That of `film.mp4` is `.film.mp4.kinora`. In it lie

    record.json                 what the chunks belong to: recipe, rate, order, encoder
    000000.mp4, 000001.mp4 ...  the chunks, each a film of its own
    000001.memory               what the maker needs to go on after the last chunk
    lock                        held by the process that writes

A chunk counts when its .mp4 has its name; its memory is there before it. So the folder is right after a SIGKILL at any
moment.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from kinora.core.errors import OutputError
from kinora.media.output import whole_file

if sys.platform != "win32":
    import fcntl

__all__ = ["ChunkFolder", "Record", "settle_folder", "work_folder"]

LONGEST_NAME = 200
"""Bytes of a film's name that its folder repeats; systems allow 255 with what is put around it."""

Record = Mapping[str, object]
"""What chunks belong to; see `REASONS`."""

REASONS: Mapping[str, str] = {
    "recipe": "what was begun follows another recipe (prompt, seed, model or conditions)",
    "frame_rate": "what was begun has another frame rate",
    "backward": "what was begun goes the other way in time",
    "encoder": "what was begun was encoded by another version of the encoder",
}
"""Why chunks are of no use, by the entry of the record that differs."""


class ChunkFolder:
    """The files, and the lock on them; `OSError` is for whoever writes the film to word."""

    def __init__(self, path: Path, film: Path) -> None:
        """`film` is what messages call it. Nothing is made yet."""
        self.path = path
        self._film = film
        self._lock: BinaryIO | None = None

    @property
    def held(self) -> bool:
        """Whether this process keeps others out."""
        return self._lock is not None

    def hold(self) -> None:
        """Make the folder and keep others out of it for as long as this process lives or until `let_go`."""
        if self._lock is not None:
            return
        self.path.mkdir(exist_ok=True)
        lock = (self.path / "lock").open("wb")
        if sys.platform != "win32":
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                raise OutputError(
                    f"Another process is writing {self._film}; wait for it, or choose another name."
                ) from None
            except OSError as error:
                if error.errno not in (errno.ENOLCK, errno.ENOTSUP):
                    raise
                # Some network folders know no locks; then nobody is kept out.
        self._lock = lock

    def let_go(self) -> None:
        """Let another process in."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def misfit(self, record: Record) -> str | None:
        """Why the chunks are not of the film of `record`; None when they are, or there are none."""
        if not self.chunk(0).exists():
            return None
        try:
            found = json.loads((self.path / "record.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return "the record of what was begun cannot be read"
        if not isinstance(found, dict):
            return "the record of what was begun cannot be read"
        wanted = json.loads(json.dumps(record))
        return next((why for key, why in REASONS.items() if found.get(key) != wanted[key]), None)

    def empty(self, record: Record) -> None:
        """Leave nothing in the folder but the lock and this record."""
        # The last chunk goes first: what a SIGKILL leaves is the beginning of the old film, with its own record, and
        # without the memory to go on from, so that it is thrown away next time.
        for file in sorted(self.path.iterdir(), reverse=True):
            if file.name not in ("lock", "record.json"):
                file.unlink()
        self.store(self.path / "record.json", json.dumps(record).encode())
        settle_folder(self.path.parent)

    def store(self, path: Path, content: bytes) -> None:
        """Write a file at once or not at all."""
        with whole_file(path, force=True) as part:
            part.write_bytes(content)

    def chunk(self, index: int) -> Path:
        return self.path / f"{index:06d}.mp4"

    def memory(self, index: int) -> Path:
        return self.path / f"{index:06d}.memory"


def work_folder(path: Path) -> Path:
    """Where the chunks of the film `path` lie until it is finished: hidden, beside it."""
    name = path.name
    if len(os.fsencode(name)) > LONGEST_NAME:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    return path.parent / f".{name}.kinora"


def settle_folder(folder: Path) -> None:
    """Have new names in a folder survive a power cut."""
    with suppress(PermissionError):  # Windows opens no folders; it settles names by itself
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
