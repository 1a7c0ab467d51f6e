"""Files made to do harm, the first of those that benchmarks/soak_media.py tries by the thousand."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from kinora.service.accounts import Accounts
from kinora.service.assets import Assets
from kinora.service.guard import Guard, Limits
from kinora.service.objects import Objects
from kinora.service.sealing import Sealer
from kinora.service.settings import Settings
from kinora.service.store import open_database

IMAGES, FILMS = 150, 60
SECONDS = 15.0
"""The soak's 5 and more: other work runs beside these tests."""


@pytest.mark.parametrize(("kind", "count"), [("image", IMAGES), ("film", FILMS)])
def test_hostile_files_are_refused_or_made_plain(
    kind: str, count: int, hostile: ModuleType, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    database = open_database(settings)
    limits = replace(Limits.of(settings), picture_patience=SECONDS, film_patience=SECONDS)
    objects = Objects(settings)
    assets = Assets(database, objects, Sealer(settings), settings, Guard(limits))
    account = Accounts(database, Sealer(settings)).create("somebody").id
    want = ("image",) if kind == "image" else ("video", "audio")
    mutant = hostile.image_mutant if kind == "image" else hostile.film_mutant
    tally = hostile.take_all(assets, account, (mutant(index) for index in range(count)), want)
    assert tally.errors == []
    assert tally.late == []
    assert tally.crashed == []
    assert tally.files == count
    assert 0.1 * count < tally.taken < 0.7 * count  # neither is everything let through, nor everything broken
    assert tally.slowest[0] < SECONDS
    assert tally.rise < 256 * 2**20
    assert list((tmp_path / "temporary").iterdir()) == []
    assert objects.list("sha256") == []
    database.close()
