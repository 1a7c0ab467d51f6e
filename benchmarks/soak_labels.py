"""Published files of every kind: is each labelled, does it say what it is, and does a changed byte show?

    python benchmarks/soak_labels.py --outputs 200

Each output goes one of the ways on which files are published (a film written chunk by chunk that carries the AIGC field
from its muxing, a film finished afterwards, a PNG, a JPEG), in a size, frame rate, ground and language of its own, and
is read back as a stranger would: frames decoded, label found and measured, field and credentials read, bytes changed.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt
from PIL import Image

from kinora.core.clip import Clip
from kinora.media.chunks import ChunkedFilm
from kinora.media.film import read_film, write_film
from kinora.media.label import Label, draw_label, draw_label_on_picture, label_for
from kinora.media.picture import read_picture, write_picture
from kinora.media.provenance import Aigc, Signer, finish_file, read_aigc, read_credentials, write_aigc

Pixels = npt.NDArray[np.uint8]

WAYS = ("chunks", "film", "png", "jpeg")
SIZES = ((64, 64), (256, 256), (128, 320), (320, 96), (272, 480), (480, 832), (720, 1280))
RATES = (8.0, 16.0, 23.976, 24.0)
GROUNDS = ("dark", "light", "noise", "stripes")
LIT, DARK = 150, 120
"""Letters are lighter, the plate is darker; dark grounds stay under it, light ones over it."""
PIECE = 7
"""Frames that come at once."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One output."""

    number: int
    way: str
    size_HW: tuple[int, int]
    rate: float
    ground: str
    language: str
    seconds: float
    labelled: bool
    throughout: bool

    @property
    def label(self) -> Label:
        plain = label_for(self.language)
        return Label(text=plain.text, seconds=max(2.0, self.seconds - 0.5), throughout=self.throughout)


@dataclass(kw_only=True)
class Report:
    """What was seen, and what it cost."""

    outputs: int = 0
    labelled: int = 0
    frames: int = 0
    bytes_changed: int = 0
    faults: list[str] = field(default_factory=list)
    costs: dict[str, list[float]] = field(default_factory=dict)

    def fault(self, case: Case, what: str) -> None:
        self.faults.append(f"{what}: {case}")

    def timed(self, what: str, work: Callable[[], object]) -> None:
        begin = time.perf_counter()
        work()
        self.costs.setdefault(what, []).append(1e3 * (time.perf_counter() - begin))


def cases(count: int, *, most_pixels: int = 10**9) -> Iterator[Case]:
    """`count` that are owed a label, and one more behind each eighth that is not, to see that it has none.

    The first ones meet every way, size, ground and language; the seed is fixed.
    """
    rng = np.random.default_rng(6)
    sizes = [size for size in SIZES if size[0] * size[1] <= most_pixels]
    for number in range(count + count // 8):
        size = sizes[number % len(sizes)]
        large = size[0] * size[1] > 300_000
        yield Case(
            number=number,
            way=WAYS[number % len(WAYS)],
            size_HW=size,
            rate=8.0 if large else RATES[rng.integers(len(RATES))],
            ground=GROUNDS[rng.integers(len(GROUNDS))],
            language=("zh", "en")[rng.integers(2)],
            seconds=2.25 if large else float(rng.choice([1.0, 2.5, 3.5])),
            labelled=number % 9 != 8,
            throughout=number % 5 == 4,
        )


def soak(count: int, folder: Path, *, changes: int, most_pixels: int = 10**9) -> Report:
    """Make and check `count` labelled outputs and an eighth more without a label, with `changes` changed bytes each."""
    report = Report()
    signer = Signer.open(folder / "authority")
    for case in cases(count, most_pixels=most_pixels):
        path = make(case, folder, signer, report)
        check_label(case, path, report)
        check_words(case, path, signer, report)
        check_changes(case, path, signer, changes, report)
        report.outputs += 1
        path.unlink()
    return report


# Making


def ground_of(case: Case) -> Pixels:
    """Frames (F, H, W, 3) that move a little; dark ones stay under 120, light ones over 200."""
    height, width = case.size_HW
    count = 1 if case.way in ("png", "jpeg") else math.ceil(case.seconds * case.rate)
    rng = np.random.default_rng(case.number)
    rows, columns = np.indices((height, width))
    if case.ground == "noise":
        still_HW = rng.integers(0, 110, (height, width))
    elif case.ground == "stripes":
        still_HW = (rows + columns) // 8 % 2 * 90 + 10
    else:
        still_HW = np.full((height, width), 12 if case.ground == "dark" else 235)
    still_HW = still_HW.astype(np.uint8)
    moved = [np.roll(still_HW, frame, axis=1) + np.uint8(frame % 8) for frame in range(count)]
    return np.repeat(np.stack(moved)[..., None], 3, axis=3)


def make(case: Case, folder: Path, signer: Signer, report: Report) -> Path:
    """The published file."""
    ground_FHW3 = ground_of(case)
    aigc = aigc_of(case)
    ending = {"png": ".png", "jpeg": ".jpg"}.get(case.way, ".mp4")
    raw, path = folder / f"raw{ending}", folder / f"{case.number}{ending}"
    if case.way == "chunks":
        with ChunkedFilm(raw, frame_rate=case.rate, force=True, notes=aigc.film_notes) as film:
            for first in range(0, len(ground_FHW3), PIECE):
                film.add_frames(drawn(case, ground_FHW3[first : first + PIECE], first))
                if first % 3 == 0:
                    film.end_chunk(b"")
            film.end_chunk(b"") if first % 3 else None
            film.finish()
    elif case.way == "film":
        frames = [drawn(case, ground_FHW3[first : first + PIECE], first) for first in range(0, len(ground_FHW3), PIECE)]
        write_film(raw, Clip(frames_FHWC=np.concatenate(frames), frame_rate=case.rate), force=True)
    else:
        rgb_HW3 = draw_label_on_picture(ground_FHW3[0], case.label) if case.labelled else ground_FHW3[0]
        if case.way == "png":
            write_picture(raw, rgb_HW3, force=True)
        else:
            Image.fromarray(rgb_HW3).save(raw, quality=92)
    kind = "film" if ending == ".mp4" else case.way
    report.timed(f"finish {kind}", lambda: finish_file(raw, path, title="生成", aigc=aigc, signer=signer))
    if case.way != "chunks":
        report.timed(f"AIGC alone, {kind}", lambda: write_aigc(raw, folder / f"aigc{ending}", aigc))
    words = {"title": "生成", "produce_id": aigc.produce_id, "producer": aigc.producer}
    report.timed(f"C2PA alone, {kind}", lambda: signer.sign(raw, folder / f"signed{ending}", **words))
    drawn(case, ground_FHW3[:1], 0)
    report.timed(f"label a frame, {case.size_HW[1]} x {case.size_HW[0]}", lambda: drawn(case, ground_FHW3[:1], 0))
    return path


def drawn(case: Case, frames_FHW3: Pixels, first: int) -> Pixels:
    return draw_label(frames_FHW3, first, case.rate, case.label) if case.labelled else frames_FHW3


def aigc_of(case: Case) -> Aigc:
    return Aigc(producer="Kinora 测试", produce_id=str(10**17 + case.number))


# Checking


def check_label(case: Case, path: Path, report: Report) -> None:
    """The label is on every frame that is owed it, large enough, and on no other."""
    film = case.way in ("chunks", "film")
    seen_FHW3 = read_film(path).frames_FHWC if film else read_picture(path)[None]
    ground_FHW3 = ground_of(case)
    if len(seen_FHW3) != len(ground_FHW3):
        report.fault(case, f"{len(seen_FHW3)} frames of {len(ground_FHW3)}")
        return
    least = math.ceil(0.05 * min(case.size_HW))
    for index, (seen_HW3, ground_HW3) in enumerate(zip(seen_FHW3, ground_FHW3, strict=True)):
        on_time = case.throughout or index / case.rate < case.label.seconds - 1e-9
        owed = case.labelled and (on_time or not film)
        height = letter_height(seen_HW3, ground_HW3)
        if owed and height < least:
            report.fault(case, f"frame {index} has letters of {height} pixels, {least} are owed")
        elif not owed and height:
            report.fault(case, f"frame {index} has a label that it should not have")
        report.frames += 1
    report.labelled += case.labelled


def letter_height(seen_HW3: Pixels, ground_HW3: Pixels) -> int:
    """Pixels of height of the label's I as a decoded frame shows it; 0 without a label."""
    seen_HW = seen_HW3[..., 1]  # ground and label are grey
    lit_HW = seen_HW > LIT
    if ground_HW3.min() > LIT:  # there letters are what is light within the dark plate
        dark_HW = seen_HW < DARK
        lit_HW &= (
            np.logical_or.accumulate(dark_HW, axis=1) & np.logical_or.accumulate(dark_HW[:, ::-1], axis=1)[:, ::-1]
        )
    lines = groups(lit_HW.any(axis=1))
    if not lines:
        return 0
    first, end = lines[0]
    letters = groups(lit_HW[first:end].any(axis=0))
    if len(letters) < 2:
        return 0
    left, right = letters[1]
    return int(lit_HW[first:end, left:right].any(axis=1).sum())


def groups(lit: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and end of each run."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], lit, [False]]).astype(np.int8)))
    return [(int(first), int(end)) for first, end in edges.reshape(-1, 2)]


def check_words(case: Case, path: Path, signer: Signer, report: Report) -> None:
    if read_aigc(path) != aigc_of(case):
        report.fault(case, f"AIGC field reads {read_aigc(path)}")
    begin = time.perf_counter()
    found = read_credentials(path, anchors=signer.anchors)
    report.costs.setdefault("read credentials", []).append(1e3 * (time.perf_counter() - begin))
    if not (found.trusted and found.generated and found.produce_id == aigc_of(case).produce_id):
        report.fault(case, f"credentials read {found}")


def check_changes(case: Case, path: Path, signer: Signer, changes: int, report: Report) -> None:
    content = bytearray(path.read_bytes())
    places = np.concatenate([np.arange(first, end) for first, end in sealed(content)])
    rng = np.random.default_rng(case.number)
    other = path.with_name(f"changed{path.suffix}")
    for place in rng.choice(places, min(changes, len(places)), replace=False):
        kept = content[place]
        content[place] ^= int(rng.integers(1, 256))
        other.write_bytes(content)
        content[place] = kept
        report.bytes_changed += 1
        if looks_valid(other, signer):
            report.fault(case, f"byte {place} changed and nobody noticed")


def looks_valid(path: Path, signer: Signer) -> bool:
    from kinora.core.errors import MediaError

    try:
        return read_credentials(path, anchors=signer.anchors).valid
    except MediaError:  # it is no longer a film or picture
        return False


def sealed(content: bytes | bytearray) -> list[tuple[int, int]]:
    """The bytes that the signature covers: all but the credentials themselves, and MP4's list of brands."""
    if content[4:8] == b"ftyp":
        return [(first, end) for first, end, kind in boxes(content) if kind not in (b"ftyp", b"uuid")]
    if content.startswith(b"\x89PNG"):
        first = content.index(b"caBX") - 4
        end = first + 12 + int.from_bytes(content[first : first + 4], "big")
    else:
        first = content.index(b"\xff\xeb")
        end = first
        while content[end : end + 2] == b"\xff\xeb":
            end += 2 + int.from_bytes(content[end + 2 : end + 4], "big")
    return [(0, first), (end, len(content))]


def boxes(content: bytes | bytearray) -> Iterator[tuple[int, int, bytes]]:
    """First, end and kind of the boxes of an MP4."""
    first = 0
    while first < len(content):
        end = first + int.from_bytes(content[first : first + 4], "big")
        yield first, end, bytes(content[first + 4 : first + 8])
        first = end


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--outputs", type=int, default=200)
    parser.add_argument("--changes", type=int, default=20, help="bytes changed in each")
    args = parser.parse_args()
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        report = soak(args.outputs, Path(folder), changes=args.changes)
    figures = {
        "outputs": report.outputs,
        "owed a label": report.labelled,
        "frames looked at": report.frames,
        "bytes changed": report.bytes_changed,
        "faults": len(report.faults),
        "seconds": round(time.perf_counter() - begin),
        "median ms": {what: round(median(took), 3) for what, took in sorted(report.costs.items())},
    }
    print(json.dumps(figures, indent=2, ensure_ascii=False))
    for fault in report.faults[:20]:
        print(fault)
    raise SystemExit(bool(report.faults))


if __name__ == "__main__":
    main()
