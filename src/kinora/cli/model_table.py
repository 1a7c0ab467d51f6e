"""What `kinora models` prints: tables of models, sizes, and a line of progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from kinora.cli.progress import duration
from kinora.presets.places import bundled_models, store_root
from kinora.presets.sizes import memory_need, parameters_of
from kinora.presets.store import Entry, entries
from kinora.presets.wan import OPEN_MODELS, OpenModel
from kinora.weights.manifest import Manifest, PlacedFile, read_manifest

__all__ = ["HashLine", "giga", "lines_of_bundled", "lines_of_offers", "lines_of_store", "need_line"]

HALF = 2
"""Bytes of a number in bf16, as most people fetch and run them."""


def giga(count: float) -> str:
    """`17.3 GB`, `3.4 MB`: powers of ten, as disks and downloads are sold."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} bytes"


def need_line(files: Iterable[PlacedFile]) -> str:
    """Memory for the weights, plainly."""
    everything, largest = memory_need(files)
    return f"{giga(everything)} holds all weights; {giga(largest)} the largest part, and less where it comes in blocks"


def lines_of_bundled() -> Iterator[str]:
    yield "ships with Kinora"
    for folder in bundled_models():
        manifest = read_manifest(folder)
        size = stored_bytes(manifest)
        yield row(folder.name, giga(size), "Apache-2.0", sizes_of(manifest))


def lines_of_store() -> Iterator[str]:
    yield f"in the store, {store_root()}"
    found = entries()
    for entry in found:
        yield entry_line(entry)
    if not found:
        yield "  nothing yet"


def entry_line(entry: Entry) -> str:
    manifest = entry.manifest
    if manifest is None:
        on = f"; go on: kinora models pull {entry.name}" if entry.fetched else ""
        return row(entry.name, "", "", entry.trouble + on)
    size = stored_bytes(manifest)
    where = f"in {manifest.home}" if manifest.home else "in the store"
    kind = manifest.preset or "Kinora's own kind"
    return row(entry.name, giga(size), manifest.licence, f"{kind}, {sizes_of(manifest)}, {where}")


def stored_bytes(manifest: Manifest) -> int:
    """Bytes of all files of a model."""
    own = (*manifest.shards, *manifest.texts)
    return sum(file.bytes for file in own) + sum(file.bytes for file in manifest.files)


def lines_of_offers() -> Iterator[str]:
    yield "to be fetched with kinora models pull NAME (sizes are about; memory is for weights)"
    for model in OPEN_MODELS.values():
        everything, largest = published_need(model)
        yield row(
            model.name, giga(everything), model.licence, f"memory {giga(largest)} to {giga(everything)}; {model.title}"
        )


def published_need(model: OpenModel) -> tuple[int, int]:
    """Bytes of a published model in bf16: everything, and the largest part."""
    counts = parameters_of(model).values()
    return HALF * sum(counts), HALF * max(counts)


def sizes_of(manifest: Manifest) -> str:
    height, width = next(iter(manifest.sizes.values()))
    return f"{width}x{height} at {manifest.frame_rate:g} a second"


def row(name: str, size: str, licence: str, about: str) -> str:
    return f"  {name:<24} {size:>9}  {licence:<10}  {about}".rstrip()


class HashLine:
    """How far along hashing is: on a terminal one line that renews itself, elsewhere nothing."""

    def __init__(self, what: str = "hashed", stream: TextIO | None = None) -> None:
        self.what = what
        self.stream = stream or sys.stderr
        self.began = time.monotonic()
        self.told = 0.0

    def __call__(self, path: Path, done: int, total: int) -> None:
        now = time.monotonic()
        if not self.stream.isatty() or (done < total and now - self.told < 0.2):
            return
        self.told = now
        left = (now - self.began) * (total - done) / max(done, 1)
        ends = "\n" if done >= total else ""
        wait = "" if done >= total else f", {duration(left)} left"
        self.stream.write(f"\r{self.what} {giga(done)} of {giga(total)}{wait}: {path.name}\x1b[K{ends}")
        self.stream.flush()
