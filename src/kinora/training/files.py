"""Files that are either there as a whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

__all__ = ["append_line", "save_array", "write_atomically", "write_json"]


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write beside `path`, push to the disk, then rename: a crash leaves the old file or the new one, never a half."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with beside.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # without this the rename itself may be lost with the power
    finally:
        os.close(folder)


def save_array(path: Path, array: npt.NDArray[np.generic]) -> None:
    """`array` as numpy keeps it, written atomically."""
    write_atomically(path, lambda file: np.save(file, array))


def write_json(path: Path, value: Any) -> None:
    """`value` as indented UTF-8 JSON, written atomically."""
    text = json.dumps(value, ensure_ascii=False, indent=1, sort_keys=False) + "\n"
    write_atomically(path, lambda file: file.write(text.encode("utf-8")))


def append_line(path: Path, value: Any) -> None:
    """Append one JSON line; a crash can cost the last line only."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(value, ensure_ascii=False) + "\n")
