"""Pickles of tensors (.pth, .pt, .bin, .ckpt) made into safetensors files, without ever loading one here.

A pickle is a program: whoever loads it runs it. torch's `weights_only` reader runs none of it but what builds tensors;
that reader works in a child process which has first given up the network, every file but its output, and its
environment, as far as the system lets it (`kinora.weights.confine`). Knows no torch.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from kinora.core.errors import OutputError, WeightsError
from kinora.weights.header import content_of, read_header

__all__ = ["Converted", "convert", "converted_name"]

Report = Callable[[int, int], None]
"""Hears of bytes written, of how many; may raise to stop."""


@dataclass(frozen=True, kw_only=True)
class Converted:
    """A file that was made."""

    path: Path
    tensors: int
    bytes: int
    confined: tuple[str, ...]
    """What the child process could not do."""
    unconfined: tuple[str, ...]
    """What this system did not let it give up, and why."""


def converted_name(path: Path) -> Path:
    """Where the safetensors file of a pickle goes: beside it, under its name."""
    return path.with_suffix(".safetensors")


def convert(path: Path | str, out: Path | str | None = None, *, on_bytes: Report | None = None) -> Converted:
    """Make a safetensors file of a pickle; dtypes and names stay as they are.

    The file appears whole or not at all. Raises `WeightsError` for what is no pickle of tensors, or asks for more than
    tensors; `OutputError` where it cannot be written.
    """
    path = Path(path).absolute()
    target = converted_name(path) if out is None else Path(out).absolute()
    if content_of(path) == "safetensors":
        raise WeightsError(f"{path} is a safetensors file already, whatever its name says. Rename it: {target.name}")
    if content_of(path) != "pickle":
        read_header(path)  # says what it is instead
    if target.exists():
        raise OutputError(f"{target} exists already. Remove it, or name another file with -o.")
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    check_room(path, target)
    try:
        with beside.open("xb") as file:
            said = run_child(path, file.fileno(), on_bytes)
            os.fsync(file.fileno())
        if "tensors" not in said:
            raise WeightsError(f"{path} {said['error']}.")
        header = read_header(beside)
        beside.replace(target)
    except OSError as error:
        raise OutputError(f"{target} cannot be written ({error.strerror or error}). Name another with -o.") from error
    finally:
        beside.unlink(missing_ok=True)
    return Converted(
        path=target,
        tensors=len(header.tensors),
        bytes=target.stat().st_size,
        confined=tuple(what for well, what in said["confined"] if well),
        unconfined=tuple(what for well, what in said["confined"] if not well),
    )


def check_room(path: Path, target: Path) -> None:
    """Raise `OutputError` where the disk has no room for a file of about the same size."""
    try:
        size, free = path.stat().st_size, shutil.disk_usage(target.parent).free
    except OSError as error:
        raise OutputError(
            f"{target.parent} is no folder to write to ({error.strerror}). Name another with -o."
        ) from error
    if free < size:
        raise OutputError(
            f"{target.parent} has {free / 2**30:.1f} GiB free and {target.name} takes {size / 2**30:.1f}. Make room, "
            "or name another place with -o."
        )


def run_child(path: Path, descriptor: int, on_bytes: Report | None) -> dict[str, Any]:
    """What the child said, all its reports in one; with `error` where it failed."""
    said: dict[str, Any] = {"confined": []}
    with tempfile.TemporaryFile("w+") as talk, start_child(path, descriptor, talk) as child:
        assert child.stdout is not None
        try:
            for line in child.stdout:
                said |= json.loads(line) if line.startswith("{") else {}
                if on_bytes is not None and "total" in said and "tensors" not in said:
                    on_bytes(said["done"], said["total"])
            code = child.wait()
        except BaseException:
            child.kill()
            raise
        talk.seek(0)
        if "tensors" not in said and "error" not in said:
            said["error"] = ending(code, talk.read())
    return said


def start_child(path: Path, descriptor: int, talk: IO[str]) -> subprocess.Popen[str]:
    """The process that reads the pickle; of this one's environment it keeps where libraries lie."""
    environment = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    environment |= {"PATH": "/usr/bin:/bin", "HOME": "/", "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(  # noqa: S603 -- our own module; the file's name is an argument, no shell reads it
        [sys.executable, "-I", "-m", "kinora.weights.unpickle", str(path), str(descriptor)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=talk,
        env=environment,
        cwd="/",
        pass_fds=(descriptor,),
        text=True,
    )


def ending(code: int, talk: str) -> str:
    """Why a child that reported nothing ended."""
    if code < 0:
        return (
            f"was given up: the process that read it was ended by {signal.Signals(-code).name}, at the bounds that a "
            "file of its size never meets, or because memory ran out"
        )
    last = talk.strip().splitlines()[-1] if talk.strip() else f"exit code {code}"
    return f"could not be converted: the process that reads it did not start ({last})"
