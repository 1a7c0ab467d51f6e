"""Files of the command line as materials: read, named as recipes shall name them, and found again by a recipe.

A material's name is the path as it was typed. An absolute path becomes relative to the working directory, or, outside
it, the bare file name: a recipe travels with its film and tells nothing of the machine. A mask that was drawn and not
read has its drawing for a name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from kinora.cli.main import say
from kinora.core.conditions import Reference
from kinora.core.errors import InputError, KinoraError, MediaError
from kinora.core.materials import Footage, Mask, Material, Still, Voice
from kinora.core.parsing import parse_reference, read_voice
from kinora.media.fit import fit_mask
from kinora.media.footage import read_footage, sound_and_rate
from kinora.media.mask import polygon_mask, read_mask
from kinora.media.picture import MOST_PIXELS, PICTURE_SUFFIXES, opened, read_picture_recipe
from kinora.media.still import read_still

__all__ = [
    "THEATRE",
    "Finder",
    "drawn_mask",
    "file_at",
    "footage_file",
    "mask_file",
    "name_of",
    "outside_mask",
    "read_json",
    "reference_file",
    "still_file",
    "voice_file",
]

THEATRE = "kinora scene"
"""What a picture of the theatre says of where it comes from."""
LARGEST_JSON = 16 * 2**20
POLYGON = re.compile(r"polygon in (\d+)x(\d+):((?: \S+,\S+)+)")
OUTSIDE = re.compile(r"outside (\d+)x(\d+) in (\d+)x(\d+)")
Named = TypeVar("Named", Still, Mask, Footage, Voice)


def still_file(path: str | Path) -> Still:
    return named(read_still(file_at(path)), path)


def mask_file(path: str | Path, like_HW: tuple[int, int]) -> Mask:
    return named(read_mask(file_at(path), like_HW), path)


def footage_file(path: str | Path, frame_rate: float) -> Footage:
    """A film at the model's frame rate; says what of it does not come along."""
    footage = named(read_footage(file_at(path), frame_rate), path)
    sound, rate = sound_and_rate(Path(path))
    if abs(rate - frame_rate) > 0.01:
        say(f"note: {path} has {rate:g} frames a second; the film made from it has {frame_rate:g}")
    if sound:
        say(f"note: {path} has sound; the film made from it is silent")
    return footage


def voice_file(path: str | Path) -> Voice:
    return read_voice(read_json(path), name_of(path))


def reference_file(text: str, *, consent: bool) -> Reference:
    """`FILE` or `FILE@NAME`. A picture that Kinora has not made may show a real person: then consent must be stated."""
    path, name = parse_reference(text)
    still = still_file(path)
    if not consent and not made_by_kinora(Path(path)):
        raise InputError(
            f"{path} was not made by Kinora, so it may show a real person, whose likeness is theirs to give. Add "
            "--consent if that person agreed, or if it shows none; the recipe keeps it."
        )
    return Reference(still=still, name=name, consent=consent)


def made_by_kinora(path: Path) -> bool:
    """Whether a picture carries a recipe, or shows the theatre."""
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        return False
    if opened(path).info.get("Source") == THEATRE:
        return True
    try:
        read_picture_recipe(path)
    except MediaError:
        return False
    return True


def drawn_mask(points: Sequence[tuple[float, float]], size_HW: tuple[int, int]) -> Mask:
    """A polygon in shares of a picture; its name is enough to draw it again."""
    height, width = size_HW
    corners = " ".join(f"{x!r},{y!r}" for x, y in points)
    return replace(polygon_mask(points, height, width), name=f"polygon in {width}x{height}: {corners}")


def outside_mask(from_HW: tuple[int, int], to_HW: tuple[int, int]) -> Mask:
    """What is new when a picture is laid whole into another shape; raises `InputError` when that is nothing."""
    (high, wide), (height, width) = from_HW, to_HW
    outside_HW = ~fit_mask(np.ones(from_HW, dtype=np.bool_), height, width, "pad")
    if not outside_HW.any():
        raise InputError(f"A film of {wide} x {high} fills {width} x {height} already; choose another shape.")
    return Mask.of(outside_HW, f"outside {wide}x{high} in {width}x{height}")


def read_json(path: str | Path) -> Any:
    """The values in a JSON file; raises `InputError` for a file that holds something else."""
    file = file_at(path)
    if file.stat().st_size > LARGEST_JSON:
        raise InputError(f"{path} is larger than {LARGEST_JSON // 2**20} MiB; is it the JSON file you meant?")
    try:
        return json.loads(file.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text in UTF-8; save it as JSON.") from error
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path} is not JSON: {error.msg.lower()} at line {error.lineno}, column {error.colno}. Mend it there."
        ) from error
    except (RecursionError, ValueError) as error:
        raise InputError(f"{path} is not JSON that can be read ({error}).") from error


def file_at(path: str | Path) -> Path:
    """`path` if a file is there."""
    file = Path(path)
    if file.is_dir():
        raise InputError(f"{path} is a folder; name a file in it.")
    if not file.exists():
        raise InputError(f"There is no file {path}; check the name and the folder.")
    return file


def named(material: Named, path: str | Path) -> Named:
    return replace(material, name=name_of(path))


def name_of(path: str | Path) -> str:
    """What a recipe calls a file."""
    file = Path(path)
    if not file.is_absolute():
        return str(path)
    try:
        return str(file.relative_to(Path.cwd()))
    except ValueError:
        return file.name


@dataclass(frozen=True, kw_only=True)
class Finder:
    """Brings the materials that a recipe names, from the first of some folders that has them unchanged."""

    folders: tuple[Path, ...]
    frame_rate: float
    """At which footage is read: the model's."""

    def __call__(self, kind: str, name: str, digest: str) -> Material:
        """Raises `InputError` when the file is missing, or has changed."""
        again = redrawn(name) if kind == "mask" else None
        if again is not None:
            return again
        places = [place for folder in self.folders for place in (folder / name, folder / Path(name).name)]
        found = [place for place in dict.fromkeys(places) if place.is_file()]
        if not found:
            told = " or ".join(str(folder.resolve()) for folder in self.folders)
            raise InputError(f"The recipe needs the {kind} {name}, and it is missing: bring it to {told}.")
        for place in found:
            material = self._read(kind, place, digest)
            if material is not None:
                return replace(material, name=name)
        raise InputError(f"{found[0]} is not the {kind} the recipe was made with: its content has changed.")

    def _read(self, kind: str, place: Path, digest: str) -> Material | None:
        """The material in a file, if it is the one meant."""
        try:
            material: Material
            if kind == "still":
                material = read_still(place)
            elif kind == "footage":
                material = read_footage(place, self.frame_rate)
            elif kind == "voice":
                material = voice_file(place)
            else:
                height, width, _ = read_still(place).rgb_HW3.shape
                material = read_mask(place, (height, width))
        except KinoraError:
            return None
        return material if material.digest == digest else None


def redrawn(name: str) -> Mask | None:
    """The mask whose name is its drawing; raises `InputError` for a drawing that cannot be."""
    polygon, outside = POLYGON.fullmatch(name), OUTSIDE.fullmatch(name)
    drawing = polygon or outside
    if drawing is None:
        return None
    sizes = [(int(width), int(height)) for width, height in re.findall(r"(\d+)x(\d+)", name.partition(":")[0])]
    if not all(0 < width * height <= MOST_PIXELS for width, height in sizes):
        raise InputError(f"The recipe's mask {name[:60]!r} cannot be drawn: no picture has that size.")
    width, height = sizes[-1]
    if outside:
        return outside_mask(sizes[0][::-1], (height, width))
    corners = [corner.split(",") for corner in drawing[3].split()]
    try:
        points = [(float(x), float(y)) for x, y in corners]
    except ValueError as error:
        raise InputError(f"The recipe's mask {name[:60]!r} cannot be drawn: its corners are no numbers.") from error
    return drawn_mask(points, (height, width))
