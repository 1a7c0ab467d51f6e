"""Backups of a service on one machine: the database as it is at one moment, the secrets, the files.

A service may run meanwhile. With Postgres the database is backed up by its own tools (`pg_dump`), with S3 the files are
the bucket's; what is left for this module is said in `docs/operations.md`.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

from kinora.core.errors import InputError, OutputError
from kinora.service.settings import Settings

__all__ = ["backup", "restore"]

MANIFEST = "backup.json"
FORMAT = 1
KEPT = ("secret.key", "authority", "objects")
"""What lies in the data folder beside the database. What workers have half-made is not kept: it is made again."""


def backup(settings: Settings, into: Path) -> Path:
    """Write a backup to the folder `into`, which must be new or empty; returns the folder.

    The database comes first: every file that it names was there before. Raises `InputError` where the database is not
    SQLite, `OutputError` where the folder cannot take it.
    """
    _only_sqlite(settings, "back it up with pg_dump, and the data folder and objects as files")
    if into.exists() and any(into.iterdir()):
        raise OutputError(f"{into} is not empty; name a new folder for the backup.")
    into.mkdir(parents=True, exist_ok=True, mode=0o700)  # the secret is in it
    with closing(_opened(settings.data / "kinora.db")) as source, closing(sqlite3.connect(into / "kinora.db")) as copy:
        source.backup(copy)
    for name in KEPT:
        _copied(_place(settings, name), into / name)
    # Written last: a folder without it is no backup.
    (into / MANIFEST).write_text(json.dumps({"format": FORMAT, "at": int(time.time()), "objects": settings.objects}))
    return into


def restore(settings: Settings, source: Path) -> None:
    """Put a backup into the settings' data folder, which must not hold a service yet.

    Raises `InputError` for a folder that is no whole backup, `OutputError` where there is a service already.
    """
    _only_sqlite(settings, "restore it with pg_restore")
    try:
        told = json.loads((source / MANIFEST).read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{source} is no whole backup: {MANIFEST} is missing or damaged.") from error
    if told.get("format") != FORMAT:
        raise InputError(f"{source} was written by another version of Kinora (format {told.get('format')}).")
    if (settings.data / "kinora.db").exists():
        raise OutputError(f"There is a service in {settings.data} already; name an empty folder with KINORA_DATA.")
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in KEPT:
        _copied(source / name, _place(settings, name))
    # The database comes last: a restoration that was cut off is begun again.
    part = settings.data / "kinora.db.part"
    shutil.copyfile(source / "kinora.db", part)
    part.rename(settings.data / "kinora.db")


def _only_sqlite(settings: Settings, remedy: str) -> None:
    if not settings.database_url.startswith("sqlite") or settings.database:
        raise InputError(f"The database is {settings.database_url.partition(':')[0]} of your own; {remedy}.")


def _opened(path: Path) -> sqlite3.Connection:
    if not path.exists():
        raise InputError(f"There is no service in {path.parent}; name its folder with KINORA_DATA.")
    return sqlite3.connect(path)


def _place(settings: Settings, name: str) -> Path:
    """Where one of `KEPT` lies: files may have a folder of their own."""
    own = settings.objects if name == "objects" and "://" not in settings.objects else ""
    return Path(own).expanduser() if own else settings.data / name


def _copied(source: Path, into: Path) -> None:
    """A file or a folder; files that are deleted or half-written meanwhile are nobody's."""
    if source.is_file():
        shutil.copy2(source, into)
    elif source.is_dir():
        half = shutil.ignore_patterns("work", "*.part", ".*", "*#*")
        shutil.copytree(source, into, dirs_exist_ok=True, ignore=half, copy_function=_copied_if_there)


def _copied_if_there(source: str, into: str) -> None:
    with suppress(FileNotFoundError):
        shutil.copy2(source, into)
