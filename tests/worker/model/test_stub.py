"""The maker without a model: true films, real saves, and faults for who asks."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from kinora.core.errors import Cancelled, InputError, MemoryShortage
from kinora.media.film import read_film, read_film_recipe
from kinora.media.picture import read_picture
from kinora.worker.events import Job
from kinora.worker.making import Failure, Stopped
from kinora.worker.stub import FAULTS_VARIABLE, StubMaker


class Heard:
    """What a maker tells; it ends the job at a step if told to."""

    def __init__(self, *, cancel_at: int | None = None, stop_at: int | None = None) -> None:
        self.cancel_at, self.stop_at = cancel_at, stop_at
        self.steps: list[int] = []
        self.saves: list[tuple[str, ...]] = []
        self.notes: list[str] = []
        self.previews: list[bytes] = []

    def progress(self, stage: str, done: int, total: int, seconds_left: float | None) -> None:
        self.steps.append(done)
        if done == self.cancel_at:
            raise Cancelled("stop")
        if self.stop_at is not None and done >= self.stop_at:
            raise Stopped("stop")

    def preview(self, jpeg: bytes) -> None:
        self.previews.append(jpeg)

    def saved(self, files: tuple[str, ...]) -> None:
        self.saves.append(files)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def ending(self) -> bool:
        return self.stop_at is not None and len(self.steps) >= self.stop_at


@pytest.fixture(autouse=True)
def _faults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FAULTS_VARIABLE, "1")


def film_of(job: Job) -> bytes:
    return (Path(job.work) / "film.mp4").read_bytes()


def test_a_film_is_as_long_as_asked_for_and_plays(process: ModuleType, tmp_path: Path) -> None:
    job = process.job_in(tmp_path, seconds=5, aspect="16:9")
    (made,) = StubMaker().make(job, Heard())
    assert (made.kind, made.width, made.height, made.frames, made.seconds) == ("video", 96, 64, 5, 5.0)
    clip = read_film(Path(job.work) / made.file)
    assert clip.frames_FHWC.shape == (5, 64, 96, 3)
    assert clip.frames_FHWC.std() > 20
    with Image.open(Path(job.work) / made.thumbnail) as thumbnail:
        assert thumbnail.size == (96, 64)
    assert read_film_recipe(Path(job.work) / made.file).request.prompt == "a red ball"


def test_prompt_and_seed_decide(process: ModuleType, tmp_path: Path) -> None:
    jobs = [
        process.job_in(tmp_path, 1),
        process.job_in(tmp_path, 2),
        process.job_in(tmp_path, 3, seed=1),
        process.job_in(tmp_path, 4, prompt="a blue ball"),
    ]
    for job in jobs:
        StubMaker().make(job, Heard())
    first, same, *others = (read_film(Path(job.work) / "film.mp4").frames_FHWC for job in jobs)
    assert (first == same).all()
    assert all((first != other).any() for other in others)
    assert film_of(jobs[0]) == film_of(jobs[1])


@pytest.mark.parametrize("step", range(1, 8))
def test_stopped_after_any_step_it_goes_on_to_the_same_film(process: ModuleType, tmp_path: Path, step: int) -> None:
    whole, cut = process.job_in(tmp_path, 1), process.job_in(tmp_path, 2)
    StubMaker().make(whole, Heard())
    with pytest.raises(Stopped):
        StubMaker().make(cut, Heard(stop_at=step))
    again = Heard()
    StubMaker().make(replace(cut, attempt=2), again)
    assert again.steps[0] == step  # saved on the way out
    assert film_of(cut) == film_of(whole)


def test_a_killed_one_goes_on_from_its_last_save(process: ModuleType, tmp_path: Path) -> None:
    job = process.job_in(tmp_path)
    with pytest.raises(Cancelled):
        StubMaker().make(job, Heard(cancel_at=5))
    again = Heard()
    StubMaker().make(job, again)
    assert again.steps == [4, 5, 6, 7, 8]


def test_a_save_of_another_request_is_passed_over(process: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        StubMaker().make(process.job_in(tmp_path), Heard(cancel_at=5))
    again = Heard()
    StubMaker().make(process.job_in(tmp_path, seed=4), again)
    assert again.steps[0] == 0


def test_saves_are_told_with_their_files(process: ModuleType, tmp_path: Path) -> None:
    heard = Heard()
    StubMaker().make(process.job_in(tmp_path), heard)
    assert heard.saves == [(f"latents-00000{number}.save",) for number in range(3)]
    assert len(heard.previews) == 1


def test_pictures_count_their_seeds_up(process: ModuleType, tmp_path: Path) -> None:
    three = process.job_in(tmp_path, 1, kind="text_to_image", count=3, seed=2**31 - 2)
    alone = process.job_in(tmp_path, 2, kind="text_to_image", seed=0)
    made = StubMaker().make(three, Heard())
    (one,) = StubMaker().make(alone, Heard())
    assert [file.file for file in made] == ["picture-0.png", "picture-1.png", "picture-2.png"]
    assert made[0].media_type == "image/png"
    last, same = (read_picture(tmp_path / place) for place in (f"1/{made[2].file}", f"2/{one.file}"))
    assert (last == same).all()


def test_pictures_go_on_behind_the_last_one(process: ModuleType, tmp_path: Path) -> None:
    job = process.job_in(tmp_path, kind="text_to_image", count=3)
    with pytest.raises(Cancelled):
        StubMaker().make(job, Heard(cancel_at=8 + 5))
    again = Heard()
    assert len(StubMaker().make(job, again)) == 3
    assert again.steps[0] == 8 + 4


def test_a_film_goes_on_from_another(process: ModuleType, tmp_path: Path) -> None:
    from kinora.core.conditions import Continue
    from kinora.core.materials import Footage

    first = process.job_in(tmp_path, 1)
    StubMaker().make(first, Heard())
    digest = "f" * 64
    job = process.job_in(
        tmp_path, 2, kind="extend", seconds=2, conditions=(Continue(footage=Footage.unseen("mine", digest)),)
    )
    (Path(job.materials) / digest).write_bytes(film_of(first))
    (made,) = StubMaker().make(job, Heard())
    assert made.frames == 3 + 2
    there, longer = (read_film(Path(j.work) / "film.mp4").frames_FHWC.astype(int) for j in (first, job))
    assert np.abs(longer[:3] - there).mean() < 3


def test_a_missing_material_is_named(process: ModuleType, tmp_path: Path) -> None:
    from kinora.core.conditions import Keyframe
    from kinora.core.errors import MediaError
    from kinora.core.materials import Still

    picture = Keyframe(still=Still.unseen("mine.png", "e" * 64), at=0.0)
    with pytest.raises(MediaError, match=r"mine\.png is missing"):
        StubMaker().make(process.job_in(tmp_path, conditions=(picture,)), Heard())


def test_faults_are_heard_from_options_and_prompt(process: ModuleType, tmp_path: Path) -> None:
    failing = {"fault": "fail", "code": "media", "step": 3}
    heard = Heard()
    with pytest.raises(Failure, match="media") as told:
        StubMaker().make(process.job_in(tmp_path, options={"stub": failing}), heard)
    assert told.value.code == "media"
    assert heard.steps == [0, 1, 2]
    with pytest.raises(Failure):
        StubMaker().make(process.job_in(tmp_path, 2, prompt='x stub{"fault":"fail"}'), Heard())
    with pytest.raises(InputError, match="does not know"):
        StubMaker().make(process.job_in(tmp_path, 3, prompt='x stub{"falt":"fail"}'), Heard())


def test_a_fault_of_the_first_attempt_is_over_in_the_second(process: ModuleType, tmp_path: Path) -> None:
    job = process.job_in(tmp_path, options={"stub": {"fault": "fail", "attempts": [1]}})
    with pytest.raises(Failure):
        StubMaker().make(job, Heard())
    assert StubMaker().make(replace(job, attempt=2), Heard())


def test_memory_gives_out_rung_by_rung(process: ModuleType, tmp_path: Path) -> None:
    heard = Heard()
    assert StubMaker().make(process.job_in(tmp_path, options={"stub": {"fault": "memory"}}), heard)
    assert heard.notes == ["Memory gave out on rung 1; going on with rung 2."]
    with pytest.raises(MemoryShortage):
        StubMaker().make(process.job_in(tmp_path, 2, options={"stub": {"fault": "memory", "rungs": 3}}), Heard())
    lower = Heard()
    job = process.job_in(tmp_path, 3, attempt=2, options={"stub": {"fault": "memory", "rungs": 3}})
    assert StubMaker().make(job, lower)
    assert len(lower.notes) == 2


def test_without_leave_nothing_goes_wrong(process: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FAULTS_VARIABLE)
    job = process.job_in(tmp_path, prompt='x stub{"fault":"fail"}', options={"stub": {"fault": "kill"}})
    assert StubMaker().make(job, Heard())


def test_it_costs_milliseconds(process: ModuleType, tmp_path: Path) -> None:
    maker = StubMaker()
    maker.make(process.job_in(tmp_path, 0), Heard())
    began = time.process_time()
    for task in range(1, 21):
        maker.make(process.job_in(tmp_path, task, seconds=5), Heard())
    assert (time.process_time() - began) / 20 < 0.04  # about 0.013 where nothing else runs
