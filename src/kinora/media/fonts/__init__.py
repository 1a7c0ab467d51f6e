"""Fonts for the visible label: the one that is shipped, else one of the system's that has every character."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from kinora.core.errors import MediaError
from kinora.media.fonts.cmap import Face, faces_of

__all__ = ["SHIPPED", "find_font"]

SHIPPED = Path(__file__).parent / "label.otf"
"""Latin letters, digits and the Chinese characters of usual labels; see README.md beside it."""
ENDINGS = (".otf", ".ttc", ".ttf")


@lru_cache(maxsize=64)
def find_font(text: str) -> Face:
    """A font with every character of `text`; raises `MediaError`, naming the missing ones, when there is none."""
    shipped = faces_of(SHIPPED)
    assert shipped, f"{SHIPPED} is part of this program"
    missing = shipped[0].missing(text)
    if not missing:
        return shipped[0]
    for path in font_files():
        for face in faces_of(path):
            if not face.missing(text):
                return face
    raise MediaError(
        f"No font here has every character of the label {text!r}; the shipped one lacks {missing!r}. Install a font"
        " that has them (Noto Sans CJK, say), or choose another text."
    )


def font_files() -> Iterator[Path]:
    """The system's fonts, plain upright ones first."""
    found = [
        path
        for folder in font_folders()
        if folder.is_dir()
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in ENDINGS
    ]

    def rank(path: Path) -> tuple[bool, bool]:
        name = path.name.lower()
        return any(word in name for word in ("italic", "oblique", "mono")), "sans" not in name

    return iter(sorted(found, key=rank))


def font_folders() -> list[Path]:
    """Where systems keep fonts, the user's own first."""
    home = Path.home()
    if sys.platform == "win32":
        return [Path(os.environ.get("WINDIR", "C:/Windows")) / "Fonts"]
    if sys.platform == "darwin":
        return [home / "Library/Fonts", Path("/Library/Fonts"), Path("/System/Library/Fonts")]
    shared = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    own = os.environ.get("XDG_DATA_HOME") or str(home / ".local/share")
    return [Path(folder) / "fonts" for folder in (own, *shared.split(":"))]
