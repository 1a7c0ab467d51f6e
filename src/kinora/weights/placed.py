"""Published weights where they lie: paths, sizes and hashes of the files that a manifest names. Knows no torch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

from kinora.core.errors import WeightsError
from kinora.weights.manifest import Manifest, PlacedFile

__all__ = ["check_sizes", "hash_file", "placed_home", "placed_paths", "size_trouble"]

PIECE = 2**22
"""Bytes hashed between two reports."""


def placed_home(folder: Path | str, manifest: Manifest) -> Path:
    """The folder that names of placed files start from; `folder` is the manifest's own."""
    return Path(manifest.home) if manifest.home else Path(folder)


def placed_paths(folder: Path | str, manifest: Manifest, part: str) -> tuple[Path, ...]:
    """Where the files of one part lie, in the manifest's order; none for a part the model lacks.

    A name may be absolute: a model can be put together from several folders.
    """
    home = placed_home(folder, manifest)
    return tuple(home / file.name for file in manifest.files if file.part == part)


def check_sizes(folder: Path | str, manifest: Manifest, parts: Iterable[str] | None = None) -> None:
    """Raise `WeightsError` unless every file (of `parts`, else of all) is there in its length: the check of every load,
    which costs nothing. `kinora models verify` compares the hashes.
    """
    home, wanted = placed_home(folder, manifest), None if parts is None else set(parts)
    files = [file for file in manifest.files if wanted is None or file.part in wanted]
    troubles = [trouble for file in files if (trouble := size_trouble(home, file))]
    if troubles:
        raise WeightsError(
            f"The model {manifest.name!r} is not as it was added: {'; '.join(troubles)}. Bring the files back, or add "
            "the model again where they are now."
        )


def size_trouble(home: Path, file: PlacedFile) -> str:
    """What is wrong with a placed file at first sight; empty when nothing is."""
    path = home / file.name
    try:
        size = path.stat().st_size
    except OSError as error:
        return f"{path} is missing ({error.strerror or error})"
    return "" if size == file.bytes else f"{path} has {size} bytes instead of {file.bytes}"


def hash_file(path: Path, on_bytes: Callable[[int], None] | None = None) -> str:
    """The sha256 of a file; `on_bytes` hears of every piece, and may raise to stop."""
    digest, piece = hashlib.sha256(), bytearray(PIECE)
    view = memoryview(piece)
    try:
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(piece):
                digest.update(view[:count])
                if on_bytes is not None:
                    on_bytes(count)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror or error}). Check the disk.") from error
    return digest.hexdigest()
