"""Films and pictures made by the model process: labels, copies, saves, kills, memory."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from kinora.core.conditions import Brush, Continue, Face, Keyframe, Reference, Region, Speech, Stroke
from kinora.core.errors import Cancelled, MemoryShortage, WeightsError
from kinora.core.materials import Footage, Mask, Still, Voice
from kinora.core.request import Request
from kinora.media.film import read_film, read_film_recipe
from kinora.media.h264 import count_frames
from kinora.media.label import draw_label, label_for
from kinora.media.picture import read_picture, read_picture_recipe, write_picture
from kinora.pipeline import pipeline as pipeline_module
from kinora.worker.events import Cancel, Job, Made, Make, Preview, Progress, Saved
from kinora.worker.films import FilmMaker
from kinora.worker.making import Stopped

DRAFT = {"quality": "draft", "seconds": 1.0, "prompt": "a red ball rolls to the left"}
LONG = {**DRAFT, "seconds": 5.5}
"""Two segments."""
EVENTS = 8 + 1 + 2
"""Of the first its steps; the second holds to a picture and takes two, after a word on those it does not take."""


class Heard:
    """What a maker tells; it ends the job after so many steps if told to."""

    def __init__(self, *, stop_after: int | None = None, error: type[Exception] = Cancelled) -> None:
        self.stop_after, self.error = stop_after, error
        self.steps = 0
        self.events: list[tuple[str, int, int]] = []
        self.saves: list[tuple[str, ...]] = []
        self.notes: list[str] = []

    def progress(self, stage: str, done: int, total: int, seconds_left: float | None) -> None:
        self.events.append((stage, done, total))
        if stage == "imagine":
            self.steps += 1
            if self.steps == self.stop_after:
                raise self.error("stop")

    def preview(self, jpeg: bytes) -> None:
        assert jpeg.startswith(b"\xff\xd8")

    def saved(self, files: tuple[str, ...]) -> None:
        self.saves.append(files)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def ending(self) -> bool:
        return self.error is Stopped and self.steps + 1 == self.stop_after


@pytest.fixture(scope="module")
def maker() -> FilmMaker:
    return FilmMaker("cpu")


@pytest.fixture
def job(process: ModuleType, model_folder: Path, tmp_path: Path) -> Callable[..., Job]:
    """A job for the small model."""

    def make(task_id: int = 1, **fields: Any) -> Job:
        return process.job_in(tmp_path, task_id, **{"model": str(model_folder), **DRAFT, **fields})

    return make


def film_of(job: Job, name: str = "film.mp4") -> bytes:
    return (Path(job.work) / name).read_bytes()


def bring(job: Job, digest: str, data: bytes) -> str:
    """An asset beside the job."""
    (Path(job.materials) / digest).write_bytes(data)
    return digest


def test_a_film_is_the_pipeline_s_own(maker: FilmMaker, job: Callable[..., Job], model_folder: Path) -> None:
    import kinora

    mine = job()
    heard = Heard()
    (made,) = maker.make(mine, heard)
    assert (made.width, made.height, made.frames, made.seconds) == (64, 64, 17, 17 / 16)
    expected = kinora.load(str(model_folder), device="cpu").generate(Request(**DRAFT))
    found = read_film(Path(mine.work) / made.file)
    assert np.abs(found.frames_FHWC.astype(int) - expected.frames_FHWC).mean() < 6
    recipe = read_film_recipe(Path(mine.work) / made.file)
    assert recipe.request == Request(**DRAFT)
    stages = [stage for stage, _, _ in heard.events]
    assert list(dict.fromkeys(stages)) == ["load", "read", "imagine", "draw"]
    assert heard.saves[-1][-1].endswith(".save")


@pytest.fixture(scope="module")
def whole(maker: FilmMaker, process: ModuleType, model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """Two segments with a label and a marked copy, made in one go."""
    folder = tmp_path_factory.mktemp("whole")
    job = process.job_in(folder, 1, model=str(model_folder), **LONG, label=True, marked=True)
    maker.make(job, Heard())
    return job


@pytest.mark.parametrize("error", [Cancelled, Stopped])
@pytest.mark.parametrize("steps", [5, 8, 10])
def test_cut_off_anywhere_it_goes_on_to_the_same_bytes(
    maker: FilmMaker, job: Callable[..., Job], whole: Job, steps: int, error: type[Exception]
) -> None:
    cut = job(2, **LONG, label=True, marked=True, save_steps=3)
    with pytest.raises(error):
        maker.make(cut, Heard(stop_after=steps, error=error))
    again = Heard()
    (made,) = maker.make(replace(cut, attempt=2), again)
    assert film_of(cut) == film_of(whole)
    assert made.marked is not None
    assert film_of(cut, made.marked) == film_of(whole, made.marked)
    lost = 0 if error is Stopped else 2
    assert again.steps <= EVENTS - steps + lost + 2


def test_from_the_files_it_told_of_another_place_goes_on(maker: FilmMaker, job: Callable[..., Job], whole: Job) -> None:
    cut, elsewhere = job(2, **LONG, label=True, save_steps=3), job(3, **LONG, label=True)
    heard = Heard(stop_after=10)
    with pytest.raises(Cancelled):
        maker.make(cut, heard)
    assert any(name.endswith("000000.mp4") for name in heard.saves[-1])
    for name in heard.saves[-1]:
        there = Path(elsewhere.work) / name
        there.parent.mkdir(exist_ok=True)
        there.write_bytes((Path(cut.work) / name).read_bytes())
    again = Heard()
    maker.make(replace(elsewhere, task_id=2), again)
    assert film_of(elsewhere) == film_of(whole)
    assert again.steps <= 5


def test_a_finished_film_is_not_made_again(maker: FilmMaker, job: Callable[..., Job]) -> None:
    mine = job()
    first = maker.make(mine, Heard())
    again = Heard()
    assert maker.make(mine, again) == first
    assert again.steps == 0


def label_in(job: Job, bare: Job, name: str = "film.mp4") -> np.ndarray:
    """How far each frame differs from the same film without a label, where the label is drawn."""
    plain = read_film(Path(bare.work) / "film.mp4").frames_FHWC
    where = (draw_label(plain[:1], 0, 16.0, label_for("zh")) != plain[:1])[0].any(axis=-1)
    shown = read_film(Path(job.work) / name).frames_FHWC
    return np.abs(shown.astype(int) - plain)[:, where].mean(axis=(1, 2))


def test_the_label_stands_in_the_first_two_seconds(maker: FilmMaker, job: Callable[..., Job]) -> None:
    bare, labelled = job(1, **{**DRAFT, "seconds": 3.0}), job(2, **{**DRAFT, "seconds": 3.0}, label=True, marked=True)
    maker.make(bare, Heard())
    (made,) = maker.make(labelled, Heard())
    assert made.marked is not None
    differs = label_in(labelled, bare)
    assert differs[:32].min() > 10
    assert differs[33:].max() < 8
    assert label_in(labelled, bare, made.marked).min() > 10


def test_a_film_that_grows_backward_is_labelled_at_its_new_beginning(maker: FilmMaker, job: Callable[..., Job]) -> None:
    first = job(1)
    maker.make(first, Heard())
    digest = "b" * 64
    onward = Continue(footage=Footage.unseen("film", digest), before=True)
    bare, labelled = (job(task, kind="extend", seconds=2.5, conditions=(onward,), label=task == 3) for task in (2, 3))
    bring(bare, digest, film_of(first))
    maker.make(bare, Heard())
    (made,) = maker.make(labelled, Heard())
    assert made.frames > 17 + 32
    differs = label_in(labelled, bare)
    assert differs[:32].min() > 10
    assert differs[33:].max() < 8


@pytest.mark.parametrize("before", [False, True])
def test_an_extension_is_the_whole_film(maker: FilmMaker, job: Callable[..., Job], before: bool) -> None:
    first = job(1)
    maker.make(first, Heard())
    digest = "c" * 64
    onward = Continue(footage=Footage.unseen("film", digest), before=before)
    whole, cut = (job(task, kind="extend", seconds=6.0, conditions=(onward,), save_steps=3) for task in (2, 3))
    bring(whole, digest, film_of(first))
    (made,) = maker.make(whole, Heard())
    assert made.frames > 17 + 80
    assert count_frames(Path(whole.work) / made.file) == made.frames
    with pytest.raises(Cancelled):
        maker.make(cut, Heard(stop_after=5))
    maker.make(cut, Heard())
    assert film_of(cut) == film_of(whole)


def test_pictures_are_resumed_one_by_one(maker: FilmMaker, job: Callable[..., Job]) -> None:
    pictures = {"kind": "text_to_image", "count": 3, "seed": 2**31 - 2, "save_steps": 2, "label": True, "marked": True}
    whole, cut, alone = job(1, **pictures), job(2, **pictures), job(3, **{**pictures, "count": 1, "seed": 0})
    made = maker.make(whole, Heard())
    maker.make(alone, Heard())
    with pytest.raises(Cancelled):
        maker.make(cut, Heard(stop_after=8 + 5))
    again = Heard()
    assert maker.make(cut, again) == made
    assert again.steps == 1 + 4 + 8
    for file in made:
        assert film_of(cut, file.file) == film_of(whole, file.file)
        assert file.marked is not None
        assert (read_picture(Path(cut.work) / file.marked) != 0).any()
    assert film_of(whole, "picture-2.png") == film_of(alone, "picture-0.png")
    assert read_picture_recipe(Path(whole.work) / "picture-2.png").request.seed == 0


def test_every_material_is_read(maker: FilmMaker, job: Callable[..., Job], tmp_path: Path) -> None:
    first = job(1)
    maker.make(first, Heard())
    coarse = np.random.default_rng(0).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    write_picture(tmp_path / "still.png", np.kron(coarse, np.ones((16, 16, 1), dtype=np.uint8)))
    inside = np.zeros((64, 64, 3), np.uint8)
    inside[10:40, 10:40] = 255
    write_picture(tmp_path / "mask.png", inside)
    bring(first, "5" * 64, (tmp_path / "still.png").read_bytes())
    bring(first, "6" * 64, (tmp_path / "mask.png").read_bytes())
    bring(first, "7" * 64, film_of(first))
    bring(first, "8" * 64, b'{"frame_rate": 16, "frames": [[0.5, 0.5, 0.5, 0.5], [0, 0, 0, 0]]}')
    still, mask = Still.unseen("face.png", "5" * 64), Mask.unseen("inside.png", "6" * 64)
    footage, voice = Footage.unseen("walk.mp4", "7" * 64), Voice.unseen("words.json", "8" * 64)
    stroke = Stroke(mask=mask, points=((0.3, 0.3), (0.6, 0.6)))
    speech = Speech(voice=voice, face=Face(track=((0.0, 0.5, 0.4, 0.2),)), footage=footage)
    asked = [
        (Keyframe(still=still), Brush(strokes=(stroke,))),
        (Reference(still=still),),
        (Region(footage=footage, mask=mask),),
        (speech,),
    ]
    for task, conditions in enumerate(asked, start=2):
        (made,) = maker.make(job(task, conditions=conditions), Heard())
        assert made.frames == 17, conditions


def test_a_picture_that_cannot_be_read_is_told_by_its_name(
    process: ModuleType, job: Callable[..., Job], maker: FilmMaker
) -> None:
    from kinora.core.errors import MediaError

    mine = job(conditions=(Keyframe(still=Still.unseen("holiday.png", "9" * 64)),))
    bring(mine, "9" * 64, b"no picture")
    with pytest.raises(MediaError, match=r"^holiday\.png is no picture"):
        maker.make(mine, Heard())


@pytest.mark.parametrize("name", ["../secret", "", ".", "..", "/etc/passwd"])
def test_a_digest_leads_nowhere_else(maker: FilmMaker, job: Callable[..., Job], name: str) -> None:
    from kinora.core.errors import MediaError

    mine = job()
    record = {"kind": "keyframe", "still": {"name": "a", "digest": name}, "at": 0.0}
    with pytest.raises(MediaError, match="missing"):
        maker.make(replace(mine, request={**mine.request, "conditions": [record]}), Heard())


def test_memory_that_gives_out_takes_the_next_rung(
    maker: FilmMaker, job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the way down the film goes on where its save stands."""
    mine = job(save_steps=1)
    maker.make(job(2), Heard())
    heard = Heard()
    shortages = iter([5])
    told = heard.progress

    def give_out(stage: str, done: int, total: int, seconds_left: float | None) -> None:
        told(stage, done, total, seconds_left)
        if heard.steps == 5 and next(shortages, None):
            raise MemoryError

    monkeypatch.setattr(heard, "progress", give_out)
    maker.make(mine, heard)
    assert "Memory gave out" in heard.notes[0]
    assert heard.steps == 5 + 1 + 3, "five steps, a word on what is skipped, and the other three"
    assert film_of(mine) == (Path(mine.work).parent / "2" / "film.mp4").read_bytes()


def test_memory_that_is_not_there_at_all_is_a_shortage(
    maker: FilmMaker, job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Heard()

    def give_out(stage: str, *_: object) -> None:
        if stage == "imagine":
            raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(heard, "progress", give_out)
    with pytest.raises(MemoryShortage):
        maker.make(job(), heard)
    monkeypatch.undo()
    assert maker.make(job(), Heard())


def test_a_lost_attempt_begins_one_rung_lower(
    maker: FilmMaker, job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    skipped: list[int] = []
    lower = pipeline_module._lower
    monkeypatch.setattr(pipeline_module, "_lower", lambda rungs, skip: skipped.append(skip) or lower(rungs, skip))
    for attempt in (1, 2, 3):
        maker.make(replace(job(attempt), attempt=attempt), Heard())
    assert skipped == [0, 1, 2]


def test_words_the_model_has_not_learnt_are_noted(maker: FilmMaker, job: Callable[..., Job]) -> None:
    heard = Heard()
    maker.make(job(prompt="a red zebra"), heard)
    assert heard.notes == ["small has not learnt zebra; it goes by the other words"]


def test_the_bundled_model_in_a_process_of_its_own(process: ModuleType, tmp_path: Path) -> None:
    """Made, cancelled half way, killed and gone on with: the same film."""
    told = {"model": "tiny", "prompt": "a red ball rolls on grass", "seconds": 0.5, "quality": "draft"}
    whole, cut, never = (process.job_in(tmp_path, task, **told) for task in (1, 2, 3))
    with process.ModelProcess(arguments=("--device", "cpu")) as child:
        heard = child.make(whole)
        assert {Progress, Saved, Preview, Made} <= {type(event) for event in heard}
        child.tell(Make(job=never))
        for event in child.events():
            if isinstance(event, Progress) and event.stage == "imagine":
                child.tell(Cancel(task_id=3))
                break
        assert not any(isinstance(event, Made) for event in child.events())
        child.tell(Make(job=cut))
        for event in child.events():
            if isinstance(event, Progress) and event.done >= 6:
                break
        os.kill(child.process.pid, signal.SIGKILL)
        assert child.process.wait(10) == -signal.SIGKILL
    with process.ModelProcess(arguments=("--device", "cpu")) as child:
        heard = child.make(replace(cut, attempt=2))
        assert isinstance(heard[-1], Made)
        first = next(event for event in heard if isinstance(event, Progress) and event.stage == "imagine")
        assert first.done >= 5, "one for reading, four of the save"
    assert film_of(cut) == film_of(whole)


def test_a_model_that_is_damaged_fails(
    maker: FilmMaker, job: Callable[..., Job], model_folder: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(model_folder, broken)
    shard = next(broken.glob("*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:-4] + b"oops")
    with pytest.raises(WeightsError):
        maker.make(job(1, model=str(broken)), Heard())
    assert maker.make(job(2), Heard())
