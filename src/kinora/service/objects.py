"""Where files lie: a folder, or a bucket of S3's kind. Objects have names, no owners; who may see one is decided above.

sha256/ab/cdef...      a file by what is in it, kept while an asset names it
work/<task>/<name>     what a task has made so far, gone with the task
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, S3Store

from kinora.service.errors import Missing, ServiceError, Unavailable
from kinora.service.settings import Settings

__all__ = ["Object", "Objects", "digest_path", "is_digest"]

DIGEST = re.compile(r"[0-9a-f]{64}")
PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=-]{0,199}")
"""What a name may consist of between slashes: nothing that a file system or a URL reads as more than a name."""
LONGEST = 800
PIECE = 2**20
"""Bytes read at a time."""
PATIENCE = timedelta(seconds=30)
"""How long a bucket that does not answer is asked again."""


@dataclass(frozen=True, kw_only=True)
class Object:
    """What a listing tells."""

    path: str
    bytes: int
    changed_ms: int
    """Milliseconds since 1970."""


def is_digest(digest: object) -> bool:
    """Whether it is a sha256 in small hexadecimal digits."""
    return isinstance(digest, str) and DIGEST.fullmatch(digest) is not None


def digest_path(digest: str) -> str:
    """Where the file with this digest lies; raises `Missing` for what is none."""
    if not is_digest(digest):
        raise Missing("There is no file of this name; files are named by 64 hexadecimal digits.")
    return f"sha256/{digest[:2]}/{digest[2:]}"


class Objects:
    """Names in, bytes out. Each call raises `Missing` where there is no such object, `Unavailable` where the store does
    not answer, and `ValueError` for a name that is none: names are ours, never a client's.
    """

    def __init__(self, settings: Settings) -> None:
        """The settings' store: a folder (made where it is missing), or `s3://bucket/prefix` with the usual `AWS_`
        variables (`AWS_ENDPOINT_URL` for another maker's). Raises `ValueError` for a place that is neither.
        """
        place = settings.objects
        self._folder: Path | None = None
        """The root of a store on this machine."""
        self._store: ObjectStore
        if place.startswith("s3://"):
            self._store = _bucket(place)
        elif "://" in place:
            raise ValueError(f"KINORA_OBJECTS is {place}; give a folder, or s3://bucket/prefix.")
        else:
            self._folder = Path(place).expanduser().absolute() if place else (settings.data / "objects").absolute()
            self._folder.mkdir(parents=True, exist_ok=True)
            self._store = LocalStore(self._folder)

    def put(self, path: str, file: Path | bytes) -> None:
        """Write an object whole or not at all; it is on the disk when this returns."""
        with _told(path):
            obstore.put(self._store, self._checked(path), file)
        if self._folder is not None:
            with suppress(FileNotFoundError):  # deleted already, by somebody else
                _settle(self._folder / path)

    def get(self, path: str, into: Path) -> None:
        """Copy an object into a file."""
        with into.open("wb") as file:
            for piece in self.stream(path):
                file.write(piece)

    def stream(self, path: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """An object, or `length` bytes of it from `start` on, in pieces."""
        end = self.size(path) if length is None else start + length
        with _told(path):
            while start < end:
                piece = self.read(path, start, min(PIECE, end - start))
                if not piece:
                    return
                yield piece
                start += len(piece)

    def read(self, path: str, start: int = 0, length: int | None = None) -> bytes:
        """`length` bytes from `start` on (fewer at the end, none behind it), or all of them."""
        if start < 0 or (length is not None and length < 0):
            raise ValueError(f"Bytes from {start}, {length} of them, cannot be read; both are at least 0.")
        size = self.size(path)
        end = size if length is None else min(start + length, size)
        if start >= end:
            return b""
        with _told(path):
            return bytes(obstore.get_range(self._store, path, start=start, end=end))

    def size(self, path: str) -> int:
        """Bytes of an object."""
        with _told(path):
            return int(obstore.head(self._store, self._checked(path))["size"])

    def has(self, path: str) -> bool:
        """Whether there is such an object."""
        try:
            self.size(path)
        except Missing:
            return False
        return True

    def delete(self, path: str) -> None:
        """Take an object away; that there is none is no error."""
        self._checked(path)
        try:
            with _told(path):
                obstore.delete(self._store, path)
        except Missing:
            return

    def list(self, prefix: str) -> list[Object]:
        """All objects below `prefix`, by name."""
        with _told(prefix):
            listed = obstore.list(self._store, self._checked(prefix.rstrip("/")))
            found = [
                Object(path=meta["path"], bytes=meta["size"], changed_ms=int(meta["last_modified"].timestamp() * 1000))
                for some in listed
                for meta in some
                if not self._link_in(meta["path"])
            ]
        return sorted(found, key=lambda item: item.path)

    def delete_all(self, prefix: str) -> int:
        """Take away what lies below `prefix`; returns how many objects that were."""
        found = self.list(prefix)
        for item in found:
            self.delete(item.path)
        return len(found)

    def _checked(self, path: str) -> str:
        if len(path) > LONGEST or not all(PART.fullmatch(part) for part in path.split("/")):
            raise ValueError(f"{path!r} is no object's name; give letters, digits and . _ = - between slashes.")
        if self._link_in(path):
            raise Missing(f"There is no object {path}; a link lies in its place.")
        return path

    def _link_in(self, path: str) -> bool:
        """Whether a part of it is a link in the folder: those lead out of it, and none was made by us."""
        if self._folder is None:
            return False
        parts = path.split("/")
        return any(self._folder.joinpath(*parts[:count]).is_symlink() for count in range(1, len(parts) + 1))


def _bucket(place: str) -> S3Store:
    url = urlsplit(place)
    if not url.netloc:
        raise ValueError(f"KINORA_OBJECTS is {place}; name the bucket: s3://bucket/prefix.")
    return S3Store(
        url.netloc,
        prefix=url.path.strip("/") or None,
        client_options={"allow_http": os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")},
        retry_config={"retry_timeout": PATIENCE},
    )


@contextmanager
def _told(path: str) -> Iterator[None]:
    """The store's troubles as ours."""
    try:
        yield
    except FileNotFoundError as error:
        raise Missing(f"There is no object {path}.") from error
    except ServiceError:
        raise
    except (BaseError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise Unavailable(f"The object store does not answer as it should ({reason}). Try again later.") from error


def _settle(file: Path) -> None:
    """Bytes and name on the disk: an answer that we have it must stay true after a power cut."""
    for place in (file, file.parent):
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
