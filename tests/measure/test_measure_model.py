"""A whole measurement with makers and judges whose every answer is known."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from kinora.core.clip import Clip
from kinora.core.request import Request
from kinora.core.slots import SceneSlots
from kinora.measure.cases import choose_cases, choose_falls
from kinora.measure.clips import ClipCache, true_clip
from kinora.measure.codec import CodecFigure
from kinora.measure.gallery import draw_gallery
from kinora.measure.model import TRUE_SIZE, Subject, judge_alone, measure_falls, measure_model, write_report
from kinora.measure.prompts import GalleryPrompt
from kinora.measure.report import Report, markdown
from kinora.measure.sheet import draw_sheet, strip

SIZE = 32
CASES = [dataclasses.replace(case, scene=dataclasses.replace(case.scene, seconds=1.5)) for case in choose_cases(6)]
"""Cut short, so that their true renders cost little."""


class Painter:
    """Makes a grey clip whose grey is the seed's number of the case, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def generate(self, request: Request) -> Clip:
        self.asked += 1
        frames = np.full((9, 32, 32, 3), request.seed % 200, dtype=np.uint8)
        return Clip(frames_FHWC=frames, frame_rate=16.0)


class Knower:
    """Knows every case by its grey; tells the truth, but takes every sky for night. Anything else it takes for
    nothing.
    """

    def read(self, clip: Clip) -> SceneSlots:
        grey = int(clip.frames_FHWC[0, 0, 0, 0])
        known = [case for case in CASES if case.seed % 200 == grey]
        if not known or clip.frames_FHWC.std() > 0:
            return SceneSlots(sky="night")
        return dataclasses.replace(known[0].full, sky="night")


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("measured")
    painter = Painter()
    subject = Subject(name="painter", weights="abc", maker=painter, seconds=0.5)
    results = measure_model(subject, Knower(), CASES, folder, true_size=SIZE)
    return folder, painter, subject, results


def test_each_prompt_is_made_once_even_if_measured_again(measured):
    folder, painter, subject, _ = measured
    assert painter.asked == len(CASES)
    measure_model(subject, Knower(), CASES[:2], folder, true_size=SIZE)
    assert painter.asked == len(CASES)
    measure_model(dataclasses.replace(subject, weights="abd"), Knower(), CASES[:1], folder, true_size=SIZE)
    assert painter.asked == len(CASES) + 1


def test_a_measurement_that_was_cut_off_goes_on(tmp_path):
    class Stops(Painter):
        def generate(self, request: Request) -> Clip:
            if self.asked == 2:
                raise KeyboardInterrupt
            return super().generate(request)

    subject = Subject(name="stops", weights="x", maker=Stops(), seconds=0.5)
    with pytest.raises(KeyboardInterrupt):
        measure_model(subject, Knower(), CASES[:3], tmp_path, true_size=SIZE)
    painter = Painter()
    results = measure_model(dataclasses.replace(subject, maker=painter), Knower(), CASES[:3], tmp_path, true_size=SIZE)
    assert (len(results), painter.asked) == (3, 1)


def test_a_damaged_clip_is_made_again(tmp_path):
    cache, painter = ClipCache(tmp_path), Painter()
    request = Request(prompt="anything", seed=7)
    first = cache.generated(request, "w", painter)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:50])
    again = cache.generated(request, "w", painter)
    assert painter.asked == 2
    assert np.array_equal(first.frames_FHWC, again.frames_FHWC)
    assert [entry.suffix for entry in tmp_path.iterdir()] == [".npz"]


def test_figures_of_a_judge_that_takes_every_sky_for_night(measured):
    folder, _, subject, results = measured
    report = write_report(subject, results, [CodecFigure(name="theatre", clips=2, psnr=33.25, worst=30.0)], folder)
    record = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    skies = [case.stated.sky for case in CASES if case.stated.sky is not None]
    right = skies.count("night") / len(skies)
    assert record["slots"]["sky"] == {
        "asked": len(skies),
        "generated": pytest.approx(right),
        "true": pytest.approx(right),
    }
    others = [figures["generated"] for slot, figures in record["slots"].items() if slot != "sky"]
    assert others == [1.0] * len(others)
    assert record["macro"] == pytest.approx((len(others) + right) / (len(others) + 1))
    assert record["true_macro"] < record["macro"]  # on real renders this judge sees nothing
    assert record["groups"]["train"]["clips"] == 2
    assert record["groups"]["zh"]["clips"] == 3
    assert record["cases"][0]["prompt"] == CASES[0].prompt
    assert report.tally().clips == 6
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert text == markdown(record)
    assert "| theatre | 2 | 33.25 dB | 30.00 dB |" in text
    assert f"| sky | {len(skies)} | {100 * right:.1f}% |" in text
    assert all(case.prompt in text for case in CASES)
    with Image.open(folder / "sheet-1.png") as sheet:
        assert sheet.size[0] > 6 * 128


def test_what_was_skipped_says_why(measured):
    *_, results = measured
    skipped = CodecFigure(name="photographs", clips=0, psnr=None, worst=None, note="a package is missing")
    report = Report(model="m", weights="w" * 64, world="1", quality="draft", results=results, codec=[skipped])
    assert "| photographs | 0 | a package is missing | |" in markdown(report.to_record())


def test_gravity_is_that_of_the_falls_beside(measured, tmp_path):
    *_, results = measured
    fall = choose_falls(5)[-1]
    fall = dataclasses.replace(fall, scene=dataclasses.replace(fall.scene, seconds=1.5))

    class Renders:
        """Makes the true film, but half as fast."""

        def generate(self, request: Request) -> Clip:
            return dataclasses.replace(true, frames_FHWC=np.repeat(true.frames_FHWC, 2, axis=0))

    true = true_clip(fall.scene, 256)
    subject = Subject(name="p", weights="w", maker=Renders(), seconds=0.5)
    falls = measure_falls(subject, [fall], tmp_path)
    report = Report(model="m", weights="w" * 64, world="1", quality="draft", results=results, codec=[], falls=falls)
    gravity = report.to_record()["motion"]["gravity_error"]
    assert gravity["true"] == {"value": pytest.approx(0, abs=0.3), "clips": 1}
    # Twice the time is a quarter of the gravity.
    assert gravity["generated"] == {"value": pytest.approx(0.75, abs=0.1), "clips": 1}


def test_progress_counts_up_and_foretells(tmp_path):
    heard = []
    subject = Subject(name="p", weights="w", maker=Painter(), seconds=0.5)
    measure_model(subject, Knower(), CASES[:2], tmp_path, true_size=SIZE, on_case=lambda *event: heard.append(event))
    assert [event[:2] for event in heard] == [(0, 2), (1, 2), (2, 2)]
    assert heard[0][2] is None
    assert heard[1][2] is not None
    assert heard[2][2] == 0.0


def test_a_judge_alone_sees_true_renders(tmp_path):
    class Witness:
        def read(self, clip: Clip) -> SceneSlots:
            expected = true_clip(CASES[0].scene, TRUE_SIZE)
            assert np.array_equal(clip.frames_FHWC, expected.frames_FHWC)
            return CASES[0].full

    (result,) = judge_alone(Witness(), CASES[:1], tmp_path)
    assert result.read == result.true_read == CASES[0].full
    assert result.right == result.asked > 0


def test_strips_hold_the_first_and_the_last_frame(tmp_path):
    frames = np.zeros((21, 40, 60, 3), dtype=np.uint8)
    frames[0], frames[-1] = 50, 250
    picture = strip(Clip(frames_FHWC=frames, frame_rate=16.0), moments=3, side=40)
    assert picture.size == (180, 40)
    assert picture.getpixel((5, 5)) == (50, 50, 50)
    assert picture.getpixel((90, 5)) == (0, 0, 0)
    assert picture.getpixel((175, 5)) == (250, 250, 250)
    draw_sheet(tmp_path / "sheet.png", [("1", picture), ("2\n3/4", picture)])
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size[1] > 80


def test_the_gallery_shows_every_prompt_and_its_unknown_words(tmp_path):
    prompts = [GalleryPrompt(text="A red ball.", seed=1), GalleryPrompt(text="一只猫。", seed=2)]
    subject = Subject(name="painter", weights="w", maker=Painter(), seconds=0.5)
    path = draw_gallery(subject, prompts, tmp_path, unknown=lambda text: ["猫"] if "猫" in text else [])
    text = path.read_text(encoding="utf-8")
    assert "**A red ball.** (seed 1)" in text
    assert "**一只猫。** (seed 2; not learnt: 猫)" in text
    assert text.count("Verdict:") == 2
    assert (tmp_path / "1.jpg").exists()
    assert (tmp_path / "2.jpg").exists()
