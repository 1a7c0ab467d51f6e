"""Files that are whole or not there: written beside their place, then moved into it."""

from __future__ import annotations

import errno
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kinora.core.errors import OutputError

__all__ = ["check_output", "reason", "settle", "whole_file"]


def check_output(path: Path, *, suffixes: tuple[str, ...], force: bool) -> None:
    """Raise `OutputError` if `path` could not be written; call this before the long work.

    `suffixes` are the endings that the writer understands, lower case, with their dot.
    """
    if path.suffix.lower() not in suffixes:
        raise OutputError(f"{path} must end in {' or '.join(suffixes)}; that is the kind of file that is written.")
    folder = path.parent
    try:
        if path.is_dir():
            raise OutputError(f"{path} is a folder; name a file in it.")
        if path.exists() and not force:
            raise OutputError(f"{path} exists already; choose another name or add --force to replace it.")
        if not folder.is_dir():
            raise OutputError(f"There is no folder {folder}; create it or choose another place.")
        # Only trying tells: permissions, read-only mounts and quotas all show themselves here.
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".kinora-", suffix=".part"):
            pass
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({reason(error)}); choose another place.") from error


@contextmanager
def whole_file(path: Path, *, force: bool) -> Iterator[Path]:
    """Yield the path of a file beside `path` to write to; it takes `path`'s name when the block ends well.

    On any failure, Ctrl-C included, it is removed and `path` stays as it was. `OSError` becomes `OutputError`.
    """
    part: Path | None = None
    try:
        # A name of its own: the file's may already be as long as the system allows.
        place = path.parent / f".kinora-{secrets.token_hex(8)}.part{path.suffix}"
        os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))  # the rights of any other new file
        part = place
        yield part
        settle(part, path, force=force)
    except OSError as error:
        raise OutputError(f"{path} could not be written ({reason(error)}); nothing was left behind.") from error
    finally:
        if part is not None:
            with suppress(FileNotFoundError):
                part.unlink()


def settle(part: Path, path: Path, *, force: bool) -> None:
    """Give the finished file its name, so that after a power cut either the old or the new one is there, whole."""
    if path.exists() and not force:
        raise OutputError(f"{path} appeared while the work went on; add --force to replace it.")
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)


def reason(error: OSError) -> str:
    """Why the system refused, in a few words."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "the disk is full"
    return (error.strerror or str(error)).lower()
