"""Materials of a job: the files that the worker has laid beside it, one for each asset, called by its digest."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from kinora.core.errors import InputError, MediaError
from kinora.core.materials import Footage, Mask, Material, Still, Voice
from kinora.core.parsing import read_voice
from kinora.media.footage import read_footage
from kinora.media.mask import read_mask
from kinora.media.still import read_still

__all__ = ["Materials"]


@dataclass(frozen=True, kw_only=True)
class Materials:
    """Brings what a request names, as `Request.from_record` wants it found. The asset's digest stays the material's."""

    folder: Path
    frame_rate: float
    """At which footage is read: the model's."""

    def __call__(self, kind: str, name: str, digest: str) -> Material:
        """Raises `MediaError` when the file is missing or cannot be read, `InputError` for one of no use."""
        path = self.folder / digest
        if "/" in digest or digest in ("", ".", "..") or not path.is_file():
            raise MediaError(f"The {kind} {name} is missing; it may have been deleted. Upload it again.")
        try:
            return replace(self._read(kind, path), name=name, digest=digest)
        except (MediaError, InputError) as error:
            raise type(error)(str(error).replace(str(path), name)) from error

    def _read(self, kind: str, path: Path) -> Material:
        if kind == "still":
            return self._still(path)
        if kind == "mask":
            return self._mask(path)
        if kind == "footage":
            return self._footage(path)
        return self._voice(path)

    def _still(self, path: Path) -> Still:
        return read_still(path)

    def _mask(self, path: Path) -> Mask:
        height, width, _ = read_still(path).rgb_HW3.shape
        return read_mask(path, (height, width))

    def _footage(self, path: Path) -> Footage:
        return read_footage(path, self.frame_rate)

    def _voice(self, path: Path) -> Voice:
        try:
            return read_voice(json.loads(path.read_text(encoding="utf-8-sig")), path.name)
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{path} is not a speech track in JSON ({error}).") from error
