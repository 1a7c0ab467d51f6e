"""What a process can take from itself before it touches a stranger's file. Linux; knows no torch.

Nothing here needs rights of its own, and nothing can be undone. What a system does not offer is said, not passed over:
each function tells in a few words what it did, or why it could not.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys

__all__ = ["forbid_files", "forbid_network", "limit"]

NEW_NETWORK, NEW_USER = 0x40000000, 0x10000000
NO_NEW_PRIVILEGES = 38
LANDLOCK_CREATE, LANDLOCK_RESTRICT = 444, 446
"""System calls, of the same number on every architecture that has them."""

EXECUTE, WRITE_FILE = 1 << 0, 1 << 1
REMOVE_AND_MAKE = sum(1 << bit for bit in range(4, 13))
REFER, TRUNCATE = 1 << 13, 1 << 14
BIND_AND_CONNECT = 0b11
GIB = 2**30


class _Ruleset(ctypes.Structure):
    """`struct landlock_ruleset_attr` up to its second member, which systems from 6.7 on know."""

    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64))


def _libc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def forbid_network() -> tuple[bool, str]:
    """Leave for a network of one's own, in which there is nobody. Must come before the first thread."""
    libc = _libc()
    if libc is None:
        return False, "no network (only on Linux)"
    for flags in (NEW_NETWORK, NEW_NETWORK | NEW_USER):
        if libc.unshare(flags) == 0:
            return True, "no network"
    return False, f"no network ({os.strerror(ctypes.get_errno())})"


def forbid_files() -> tuple[bool, str]:
    """Make, change, remove and run no file any more (Landlock); what is open already stays so. Reading goes on."""
    what = "no files made, changed, removed or run"
    libc = _libc()
    if libc is None:
        return False, f"{what} (only on Linux)"
    libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    version = libc.syscall(LANDLOCK_CREATE, None, 0, 1)
    if version < 1:
        return False, f"{what} (this system has no Landlock)"
    files = EXECUTE | WRITE_FILE | REMOVE_AND_MAKE
    files |= (REFER if version >= 2 else 0) | (TRUNCATE if version >= 3 else 0)
    rules = _Ruleset(files=files, network=BIND_AND_CONNECT if version >= 4 else 0)
    size = ctypes.sizeof(rules) if version >= 4 else 8
    ruleset = libc.syscall(LANDLOCK_CREATE, ctypes.byref(rules), size, 0)
    if ruleset < 0 or libc.syscall(LANDLOCK_RESTRICT, ruleset, 0) != 0:
        return False, f"{what} ({os.strerror(ctypes.get_errno())})"
    os.close(ruleset)
    return True, what


def limit(size: int) -> tuple[bool, str]:
    """Bounds that a file of `size` bytes never meets unless it is made to: seconds of the processor, memory, bytes
    written, processes, open files, no core dump.
    """
    seconds = 120 + 60 * size // GIB
    bounds = {
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_DATA: 8 * GIB + 2 * size,
        resource.RLIMIT_FSIZE: 2 * size + 2**26,
        resource.RLIMIT_NPROC: 0,
        resource.RLIMIT_NOFILE: 256,
        resource.RLIMIT_CORE: 0,
    }
    for name, bound in bounds.items():
        hard = resource.getrlimit(name)[1]
        lowered = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(name, (lowered, lowered))
    others = "" if os.geteuid() else " (root may still start processes)"
    return True, f"{seconds} s of processor, {bounds[resource.RLIMIT_DATA] // GIB} GiB of memory{others}"
