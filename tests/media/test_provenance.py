"""From an encoded file to a published one; and forty of them on every way, looked at as strangers do."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

from kinora.core.clip import Clip
from kinora.core.errors import KinoraError, MediaError
from kinora.media.film import read_film_recipe, write_film
from kinora.media.provenance import Aigc, Signer, finish_file, read_aigc, read_credentials, write_aigc
from kinora.media.recipe import Recipe

FIELD = Aigc(producer="Kinora", produce_id="192837465564738291")
SOAK = Path(__file__).parents[2] / "benchmarks" / "soak_labels.py"


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return Signer.open(tmp_path_factory.mktemp("data") / "authority")


@pytest.fixture
def film(tmp_path: Path, recipe: Recipe) -> Path:
    path = tmp_path / "film.mp4"
    frames_FHWC = np.random.default_rng(0).integers(0, 256, (9, 32, 32, 3), dtype=np.uint8)
    write_film(path, Clip(frames_FHWC=frames_FHWC, frame_rate=16.0), recipe=recipe)
    return path


@pytest.mark.parametrize("carries", [False, True])
@pytest.mark.parametrize("signs", [False, True])
@pytest.mark.parametrize("in_place", [False, True])
def test_a_published_film_says_all_of_it(
    carries: bool, signs: bool, in_place: bool, film: Path, signer: Signer, recipe: Recipe
) -> None:
    if carries:
        write_aigc(film, film, FIELD)
    into = film if in_place else film.with_name("published.mp4")
    finish_file(film, into, title="球", aigc=FIELD, signer=signer if signs else None)
    assert read_aigc(into) == FIELD
    assert read_film_recipe(into) == recipe
    found = read_credentials(into, anchors=signer.anchors)
    assert found.trusted == signs
    if signs:
        assert (found.title, found.produce_id, found.producer) == ("球", FIELD.produce_id, FIELD.producer)
    assert sorted(path.name for path in film.parent.iterdir()) == sorted({"film.mp4", into.name})


def test_a_field_is_never_replaced(film: Path, signer: Signer) -> None:
    write_aigc(film, film, Aigc(producer="others", produce_id="7"))
    before = film.read_bytes()
    with pytest.raises(MediaError, match="'7'; a field is never replaced"):
        finish_file(film, film, title="", aigc=FIELD, signer=signer)
    assert film.read_bytes() == before


def test_a_full_disk_leaves_what_was_there(
    film: Path, signer: Signer, full_disk: Callable[[int], AbstractContextManager[None]]
) -> None:
    before = film.read_bytes()
    with full_disk(len(before) + 400), pytest.raises(KinoraError):
        finish_file(film, film, title="", aigc=FIELD, signer=signer)
    assert film.read_bytes() == before
    assert [path.name for path in film.parent.iterdir()] == ["film.mp4"]


@pytest.fixture(scope="module")
def soak():
    spec = importlib.util.spec_from_file_location("soak_labels", SOAK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_forty_outputs_are_labelled_signed_and_sealed(soak, tmp_path: Path) -> None:
    """The short form of benchmarks/soak_labels.py."""
    report = soak.soak(40, tmp_path, changes=3, most_pixels=70_000)
    assert report.faults == []
    assert (report.outputs, report.labelled, report.bytes_changed) == (45, 40, 135)
    seen = list(soak.cases(40, most_pixels=70_000))
    for name, least in (("way", 4), ("size_HW", 4), ("ground", 4), ("language", 2), ("throughout", 2), ("rate", 4)):
        assert len({getattr(case, name) for case in seen}) >= least, name


@pytest.mark.parametrize("lack", ["none", "small", "short", "late", "words", "seal"])
def test_the_check_finds_what_is_lacking(soak, lack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A label that is missing, too small, too short or too long, a field or credentials of another: each is a fault."""
    right = soak.drawn

    def wrong(case, frames_FHW3, first):
        if lack == "none":
            return frames_FHW3
        if lack == "small":
            small = object.__new__(type(case.label))
            for name, value in {"text": "AI", "seconds": 9.0, "share": 0.02, "throughout": True}.items():
                object.__setattr__(small, name, value)
            monkeypatch.setattr("kinora.media.label.READABLE", 1)
            return soak.draw_label(frames_FHW3, first, case.rate, small)
        return right(case, frames_FHW3, first + {"short": 3, "late": -3}.get(lack, 0))

    case = soak.Case(
        number=1, way="film", size_HW=(256, 256), rate=8.0, ground="dark", language="en", seconds=3.0, labelled=True,
        throughout=False,
    )  # fmt: skip
    monkeypatch.setattr(soak, "drawn", wrong)
    report = soak.Report()
    signer = Signer.open(tmp_path / "authority")
    path = soak.make(case, tmp_path, signer, report)
    monkeypatch.setattr(soak, "drawn", right)
    soak.check_label(case, path, report)
    assert bool(report.faults) == (lack not in ("words", "seal"))
    if lack == "words":
        monkeypatch.setattr(soak, "aigc_of", lambda case: FIELD)
        soak.check_words(case, path, signer, report)
        assert len(report.faults) == 2
    elif lack == "seal":
        monkeypatch.setattr(soak, "looks_valid", lambda path, signer: True)
        soak.check_changes(case, path, signer, 2, report)
        assert len(report.faults) == 2
