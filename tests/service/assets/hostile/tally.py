"""Files taken one after the other, and what came of them."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kinora.service.assets import Assets
from kinora.service.errors import Invalid

__all__ = ["Tally", "memory", "take_all"]

PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(kw_only=True)
class Tally:
    """What came of some files."""

    files: int = 0
    taken: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """By the beginning of what was said."""
    errors: list[str] = field(default_factory=list)
    """What no client should ever be answered with."""
    late: list[str] = field(default_factory=list)
    """Files that were stopped by the clock."""
    crashed: list[str] = field(default_factory=list)
    """Files over which the child broke down."""
    slowest: tuple[float, str] = (0.0, "")
    rise: int = 0
    """Bytes of this process's memory at the most, beyond the beginning."""

    def add(self, name: str, seconds: float) -> None:
        self.files += 1
        self.slowest = max(self.slowest, (seconds, name))


def memory() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def take_all(
    assets: Assets, account: int, files: Iterable[tuple[str, bytes]], want: Sequence[str], tally: Tally | None = None
) -> Tally:
    """Take each (name, content); what is taken is deleted again."""
    tally = tally or Tally()
    with tempfile.TemporaryDirectory(prefix="kinora-hostile-") as folder:
        path = Path(folder, "sent")
        before = None
        for name, content in files:
            path.write_bytes(content)
            before = before or memory()
            began = time.monotonic()
            try:
                asset = assets.take(account, path, name, want=want)
                tally.taken += 1
                assets.delete(account, asset.digest)
            except Invalid as refusal:
                tally.refused[re.sub(r"[\d.x ]+", " ", refusal.message)[:60]] += 1
                if "takes too long" in refusal.message:
                    tally.late.append(name)
                if "broke down" in refusal.message:
                    tally.crashed.append(name)
            except Exception as error:  # noqa: BLE001 - the soak tells all of them
                tally.errors.append(f"{name}: {error!r}")
            tally.add(name, time.monotonic() - began)
            tally.rise = max(tally.rise, memory() - before)
    return tally
