"""`kinora sheet`: films at a glance, a row each."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from kinora.core.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["register", "run"]

SUFFIXES = (".jpg", ".png")
MOST_FRAMES = 40


def register(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser(
        "sheet",
        help="films at a glance: moments side by side",
        description="Draw a contact sheet: a row for each film, moments evenly spaced from first frame to last.",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="films (.mp4 and others)")
    parser.add_argument("-o", "--output", default="sheet.jpg", metavar="FILE", help=".jpg or .png (default: sheet.jpg)")
    parser.add_argument("--frames", type=int, default=8, metavar="N", help="moments of each film (default: 8)")
    parser.add_argument("--height", type=int, default=128, metavar="N", help="height of a row, pixels (default: 128)")
    parser.add_argument("--force", action="store_true", help="replace the file if it exists")


def run(arguments: argparse.Namespace) -> int:
    if not 1 <= arguments.frames <= MOST_FRAMES:
        raise InputError(f"A row of {arguments.frames} moments cannot be drawn; choose from 1 to {MOST_FRAMES}.")
    if not 16 <= arguments.height <= 1024:
        raise InputError(f"A row {arguments.height} pixels high cannot be drawn; choose from 16 to 1024.")
    from kinora.media.output import check_output, whole_file

    path = Path(arguments.output)
    check_output(path, suffixes=SUFFIXES, force=arguments.force)
    import numpy as np
    from PIL import Image

    rows = [row(Path(name), arguments.frames, arguments.height) for name in arguments.files]
    width = max(part.shape[1] for part in rows)
    sheet_HW3 = np.concatenate([np.pad(part, ((0, 0), (0, width - part.shape[1]), (0, 0))) for part in rows])
    with whole_file(path, force=arguments.force) as part:
        Image.fromarray(sheet_HW3).save(part, format="PNG" if path.suffix.lower() == ".png" else "JPEG", quality=88)
    print(path)
    return 0


def row(path: Path, moments: int, height: int) -> npt.NDArray[np.uint8]:
    """Moments of one film side by side, `height` pixels high."""
    import numpy as np

    from kinora.measure.sheet import strip
    from kinora.media.footage import read_footage

    return np.asarray(strip(read_footage(path).clip, moments=moments, side=height))
