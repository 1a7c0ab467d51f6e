"""Hostile pictures and films, by the thousand, through `Assets.take`: what was taken, refused, late, and what it cost.

    python benchmarks/soak_media.py [--images 10000] [--films 5000] [--pillow pillow-13.0.0.tar.gz] [--out FILE]

`--pillow` is Pillow's source package, whose own test pictures go first (`pip download --no-binary pillow --no-deps
pillow==13.0.0`). The mutants are those of tests/service/assets/hostile, of which the tests take the first few. Ends
with 1 where a file was answered with anything but an asset or a refusal, took longer than 5 seconds and a bit, left a
process or a temporary file behind, or made this process 256 MB larger.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from kinora.service.accounts import Accounts
from kinora.service.assets import Assets
from kinora.service.guard import Guard, Limits
from kinora.service.objects import Objects
from kinora.service.sealing import Sealer
from kinora.service.settings import Settings
from kinora.service.store import open_database

SECONDS = 5.0
MOST_RISE = 256 * 2**20
FOLDERS = ("kinora-plain-", "kinora-warm-")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--films", type=int, default=5_000)
    parser.add_argument("--pillow", type=Path)
    parser.add_argument("--minutes", type=float, default=60.0, help="each corpus ends after so long, told as it is")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    hostile = loaded()
    with tempfile.TemporaryDirectory(prefix="kinora-soak-") as folder:
        settings = Settings(data=Path(folder), secret="a secret of thirty-two characters!")
        database = open_database(settings)
        guard = Guard(replace(Limits.of(settings), film_patience=SECONDS))
        sealer = Sealer(settings)
        assets = Assets(database, Objects(settings), sealer, settings, guard)
        account = Accounts(database, sealer).create("soak").id
        found = {
            name: soaked(hostile, told(name, files, asked.minutes), want, assets, account)
            for name, files, want in corpora(hostile, asked)
        }
        left = [str(item.path) for item in assets._objects.list("sha256")]
        database.close()
    found["left behind"] = {"objects": left, "folders": temporary(), "confined": guard.confined}
    print(json.dumps(found, indent=1, ensure_ascii=False))
    if asked.out:
        asked.out.write_text(json.dumps(found, indent=1, ensure_ascii=False))
    return 0 if well(found) else 1


def loaded() -> ModuleType:
    folder = Path(__file__).parents[1] / "tests" / "service" / "assets" / "hostile"
    spec = importlib.util.spec_from_file_location(
        "hostile", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    sys.modules["hostile"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def corpora(hostile: ModuleType, asked: argparse.Namespace) -> Iterator[tuple[str, Any, tuple[str, ...]]]:
    if asked.pillow:
        yield "Pillow's test files", pillow_files(asked.pillow), ("image",)
    yield "pictures", (hostile.image_mutant(index) for index in range(asked.images)), ("image",)
    yield "films", (hostile.film_mutant(index) for index in range(asked.films)), ("video", "audio")


def pillow_files(package: Path) -> Iterator[tuple[str, bytes]]:
    """Everything under Tests/images: pictures of all kinds, crashes of years, fonts and words too."""
    with tarfile.open(package) as archive:
        for member in archive:
            if member.isfile() and "/Tests/images/" in member.name:
                content = archive.extractfile(member)
                assert content is not None
                yield member.name.partition("/Tests/images/")[2], content.read()


def soaked(hostile: ModuleType, files: Any, want: tuple[str, ...], assets: Assets, account: int) -> dict[str, Any]:
    began = time.monotonic()
    tally = hostile.take_all(assets, account, files, want)
    seconds = time.monotonic() - began
    record = asdict(tally) | {"refused": sum(tally.refused.values()), "reasons": dict(tally.refused.most_common(25))}
    return record | {"seconds": round(seconds, 1), "ms each": round(1000 * seconds / max(tally.files, 1), 1)}


def told(name: str, files: Iterator[tuple[str, bytes]], minutes: float) -> Iterator[tuple[str, bytes]]:
    until = time.monotonic() + 60 * minutes
    for index, file in enumerate(files):
        if time.monotonic() > until:
            return
        if index % 500 == 0:
            print(f"{time.strftime('%H:%M:%S')} {name}: {index}", file=sys.stderr, flush=True)
        yield file


def temporary() -> list[str]:
    return [path.name for path in Path(tempfile.gettempdir()).iterdir() if path.name.startswith(FOLDERS)]


def well(found: dict[str, Any]) -> bool:
    corpora = [record for record in found.values() if "files" in record]
    left = found["left behind"]
    return not left["objects"] and all(
        not record["errors"] and record["slowest"][0] < SECONDS + 1 and record["rise"] < MOST_RISE for record in corpora
    )


if __name__ == "__main__":
    sys.exit(main())
