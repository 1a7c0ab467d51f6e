"""What the process that decodes a stranger's file takes from itself before it opens it.

`kinora.weights.confine` has the network; here is what differs: two files that stay open to it, and bounds that fit a
picture or a film instead of a model.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from contextlib import suppress
from pathlib import Path

from kinora.weights.confine import (
    BIND_AND_CONNECT,
    EXECUTE,
    LANDLOCK_CREATE,
    LANDLOCK_RESTRICT,
    NO_NEW_PRIVILEGES,
    REFER,
    REMOVE_AND_MAKE,
    TRUNCATE,
    WRITE_FILE,
)

__all__ = ["allow_only", "limit"]

LANDLOCK_ADD = 445
READ_FILE, READ_FOLDER, DEVICE_CALLS = 1 << 2, 1 << 3, 1 << 15
BENEATH = 1
"""`LANDLOCK_RULE_PATH_BENEATH`."""
SIGNALS_AND_SOCKETS = 0b11
"""What Linux 6.12 and newer keep inside: signals to processes and abstract sockets outside."""
OPEN_PATH = getattr(os, "O_PATH", 0)


class _Ruleset(ctypes.Structure):
    """`struct landlock_ruleset_attr`; older systems know its first members only."""

    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    """`struct landlock_path_beneath_attr`."""

    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def allow_only(read: Path, write: Path) -> tuple[bool, str]:
    """Open, read, write, make, remove and run no file any more but these two, and connect to nobody (Landlock)."""
    what = "no files but its own"
    if sys.platform != "linux":
        return False, f"{what} (only on Linux)"
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    version = libc.syscall(LANDLOCK_CREATE, None, 0, 1)
    if version < 1:
        return False, f"{what} (this system has no Landlock)"
    cut = TRUNCATE if version >= 3 else 0
    rules = _Ruleset(
        files=EXECUTE | WRITE_FILE | READ_FILE | READ_FOLDER | REMOVE_AND_MAKE | cut
        | (REFER if version >= 2 else 0) | (DEVICE_CALLS if version >= 5 else 0),
        network=BIND_AND_CONNECT if version >= 4 else 0,
        scoped=SIGNALS_AND_SOCKETS if version >= 6 else 0,
    )  # fmt: skip
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = libc.syscall(LANDLOCK_CREATE, ctypes.byref(rules), size, 0)
    well = ruleset >= 0
    for path, rights in ((read, READ_FILE), (write, READ_FILE | WRITE_FILE | cut)):
        well = well and _allow(libc, ruleset, path, rights)
    well = well and libc.syscall(LANDLOCK_RESTRICT, ruleset, 0) == 0
    reason = os.strerror(ctypes.get_errno())
    if ruleset >= 0:
        os.close(ruleset)
    return (True, what) if well else (False, f"{what} ({reason})")


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> bool:
    descriptor = os.open(path, OPEN_PATH | os.O_CLOEXEC)
    try:
        beneath = _Beneath(allowed=rights, parent=descriptor)
        return bool(libc.syscall(LANDLOCK_ADD, ruleset, BENEATH, ctypes.byref(beneath), 0) == 0)
    finally:
        os.close(descriptor)


def limit(*, seconds: float, memory: int, size: int) -> None:
    """Bounds on seconds of the processor, bytes of memory beyond those in use, bytes of a file written, open files."""
    bounds = {
        resource.RLIMIT_CPU: int(seconds) + 1,
        resource.RLIMIT_AS: _in_use() + memory,
        resource.RLIMIT_FSIZE: size,
        resource.RLIMIT_NOFILE: 32,
        resource.RLIMIT_CORE: 0,
    }
    for name, bound in bounds.items():
        hard = resource.getrlimit(name)[1]
        lowered = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(name, (lowered, lowered))
    with suppress(OSError):  # where memory runs out altogether, this process goes before any other
        Path("/proc/self/oom_score_adj").write_text("1000")


def _in_use() -> int:
    """Bytes of address space that this process has already."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return 2 * 2**30  # not Linux: what Python and FFmpeg's libraries map
    return pages * resource.getpagesize()
