"""Where a model is to run and how much memory there is. Asks torch only about a GPU."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Card", "card_of"]

CGROUP_FILES = (
    ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory.current", "sys/fs/cgroup/memory.stat"),
    (
        "sys/fs/cgroup/memory/memory.limit_in_bytes",
        "sys/fs/cgroup/memory/memory.usage_in_bytes",
        "sys/fs/cgroup/memory/memory.stat",
    ),
)
"""Limit, use and details of the control group a process sees as its own, in version 2 and in version 1."""
UNKNOWN = 4 * 2**30
"""Memory taken for granted where the system tells nothing."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """A device and its memory, in bytes."""

    device: str
    """As torch names it: cpu, cuda, cuda:1."""
    name: str
    """In words, for people."""
    total: int
    free: int
    """What this process may still take, before anything of the model is there."""
    dtype: str
    """What matrix products are done in there: float32 or bfloat16."""
    host_free: int
    """The same of the machine's own memory; on a CPU that is `free`."""

    @property
    def kind(self) -> str:
        return self.device.partition(":")[0]


def card_of(device: str, dtype: str, *, held: int = 0, root: Path = Path("/")) -> Card:
    """The card of that name as it stands now, for work in `dtype`.

    `held` bytes are the model's already and count as free: a plan places its parts anew. `root` is where `proc` and
    `sys` lie.
    """
    total, host_free = _machine(root)
    if device.partition(":")[0] == "cpu":
        free = host_free + held
        return Card(device=device, name="This machine", total=max(total, free), free=free, dtype=dtype, host_free=free)
    import torch

    place = torch.device(device)
    free, total = torch.cuda.mem_get_info(place)
    # What torch keeps for its next tensors is free to us, though the driver calls it taken.
    free += torch.cuda.memory_reserved(place) - torch.cuda.memory_allocated(place)
    return Card(
        device=device,
        name=torch.cuda.get_device_name(place),
        total=total,
        free=free + held,
        dtype=dtype,
        host_free=host_free,
    )


def _machine(root: Path) -> tuple[int, int]:
    """The machine's memory, and how much of it this process may still take: the least that any rule leaves it."""
    table = _meminfo(root)
    total = table.get("MemTotal") or _physical() or UNKNOWN
    left = [table.get("MemAvailable", total)]
    left += _cgroup_left(root)
    left += _limits_left(root)
    return total, max(0, min(left))


def _meminfo(root: Path) -> dict[str, int]:
    """Lines of /proc/meminfo in bytes; empty where there is none."""
    try:
        lines = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return {}
    rows = (line.split() for line in lines)
    return {row[0].rstrip(":"): 1024 * int(row[1]) for row in rows if len(row) == 3 and row[2] == "kB"}


def _physical() -> int:
    """Physical memory as the C library knows it (macOS too), or 0."""
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return 0
    return max(0, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def _cgroup_left(root: Path) -> Iterator[int]:
    """What a container's limit leaves; the kernel's cache of files is given back before anybody is killed."""
    for limit_name, used_name, stat_name in CGROUP_FILES:
        try:
            limit = (root / limit_name).read_text(encoding="ascii").strip()
            used = int((root / used_name).read_text(encoding="ascii"))
            details = (root / stat_name).read_text(encoding="ascii").split()
        except OSError:
            continue
        if limit == "max":
            continue
        table = dict(zip(details[::2], details[1::2], strict=False))
        yield int(limit) - used + int(table.get("inactive_file", "0"))


def _limits_left(root: Path) -> Iterator[int]:
    """What the limits of this process (`ulimit -v`, `ulimit -d`) leave it."""
    if sys.platform == "win32":
        return
    import resource

    try:
        lines = (root / "proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    rows = (line.split() for line in lines)
    sizes = {row[0].rstrip(":"): 1024 * int(row[1]) for row in rows if len(row) == 3 and row[2] == "kB"}
    for kind, name in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
        limit = resource.getrlimit(kind)[0]
        if limit != resource.RLIM_INFINITY and name in sizes:
            yield limit - sizes[name]
