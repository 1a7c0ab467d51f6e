"""Long films, cost, the table, and the command line, with makers whose every answer is known."""

import json
from itertools import count

import numpy as np
import pytest

from kinora.cli.main import main
from kinora.core.clip import Clip
from kinora.core.errors import InputError
from kinora.core.request import Request
from kinora.core.slots import BodySlots, SceneSlots
from kinora.measure.control.cost import measure_cost
from kinora.measure.control.long import (
    Streamed,
    colour_drift,
    measure_long,
    peak_memory,
    pieces_of,
    read_streamed,
    shrunk,
    steadiness,
    stream_apart,
)
from kinora.measure.control.report import ASKED, Asked, markdown, record_of, summary
from kinora.measure.control.run import CONDITIONS
from kinora.measure.control.trials import Outcome, Setting, Trial, carry_out


def grey(levels, side: int = 16) -> Clip:
    frames = np.stack([np.full((side, side, 3), level, dtype=np.uint8) for level in levels])
    return Clip(frames_FHWC=frames, frame_rate=16.0)


class Reads:
    """Names a body red while the picture is dark, and blue once it is bright."""

    def read(self, clip: Clip) -> SceneSlots:
        bright = clip.frames_FHWC.mean() > 128
        return SceneSlots(bodies=(BodySlots(colour="blue" if bright else "red", shape="cube"),), ground="sand")


def test_a_long_film_against_its_own_beginning():
    levels = [40] * 80 + [60] * 80 + [200] * 80
    arrived = tuple((f, 0.5 * f) for f in range(1, 16))
    film = Streamed(clip=grey(levels), arrived=arrived, peak_bytes=110)
    found = measure_long(film, Reads(), Streamed(clip=grey([1]), arrived=(), peak_bytes=100))
    assert found.slots_kept == pytest.approx(3 / 4)  # colour changed; shape, ground and number stayed
    assert found.count_kept
    assert found.drift == pytest.approx(1.0)
    assert found.peak_ratio == pytest.approx(1.1)
    assert found.time_spread == pytest.approx(0.0, abs=1e-9)


def test_pieces_and_drift():
    clip = grey([10] * 80 + [250] * 80 + [7] * 9)
    first, second = pieces_of(clip)
    assert (first.shape.frames, second.shape.frames) == (77, 77)
    assert colour_drift(first, first) == 0.0
    assert colour_drift(first, second) == 1.0
    assert pieces_of(grey([5] * 20))[0].shape.frames == 17


def test_a_pace_that_slackens_is_seen():
    steady = [(f, 2.0 * f) for f in range(1, 21)]
    slower = [(f, 2.0 * f + max(0, f - 16) ** 2) for f in range(1, 21)]
    assert steadiness(steady) == pytest.approx(0.0, abs=1e-9)
    assert steadiness(slower) > 1.0
    assert steadiness(steady[:9]) is None


def test_frames_are_kept_small():
    frames = np.full((3, 320, 192, 3), 77, dtype=np.uint8)
    assert shrunk(frames).shape == (3, 128, 77, 3)
    assert (shrunk(frames) == 77).all()
    assert shrunk(frames[:, :64, :64]).shape == (3, 64, 64, 3)


def test_memory_is_told_in_bytes():
    before = peak_memory()
    held = np.ones(8_000_000)
    assert peak_memory() >= before > 10_000_000
    assert held.sum() > 0


def test_a_film_is_streamed_in_a_process_of_its_own(model_folder, tmp_path):
    request = Request(prompt="A red ball.", seconds=0.5, quality="draft")
    film = stream_apart(str(model_folder), request, tmp_path / "film")
    assert film.clip.shape.frames == 9
    assert film.arrived[-1][0] == pytest.approx(9 / 16)
    assert film.arrived[-1][1] > 0
    assert film.peak_bytes > 50_000_000
    (tmp_path / "film" / "film.rgb").touch()
    assert read_streamed(tmp_path / "film").arrived == film.arrived
    assert stream_apart("nobody asks it again", request, tmp_path / "film").peak_bytes == film.peak_bytes


def test_cost_is_the_ratio_of_medians_of_clips_made_in_turn():
    plain, controlled = Request(prompt="plain"), Request(prompt="controlled")
    took = {"plain": iter([99.0, 2.0, 4.0, 3.0]), "controlled": iter([99.0, 3.3, 9.0, 3.0])}
    made, now = [], [0.0]

    class Maker:
        def generate(self, request: Request) -> Clip:
            made.append(request.prompt)
            now[0] += next(took[request.prompt])
            return grey([0])

    found = measure_cost(Maker(), plain, controlled, clock=lambda: now[0])
    assert made == ["plain", "controlled"] * 4
    assert (found.without, found.with_control) == (pytest.approx(3.0), pytest.approx(3.3))
    assert found.added == pytest.approx(0.1)


def test_a_summary_passes_over_what_could_not_be_taken():
    asked = Asked(condition="c", figure="f", words="w", most=0.2)
    assert summary(asked, [{"f": 0.1}, {"f": None}, {}, {"f": 0.4}]) == pytest.approx(0.25)
    assert summary(asked, [{"f": None}]) is None
    middle = Asked(condition="c", figure="f", words="w", middle="median")
    assert summary(middle, [{"f": 0.0}, {"f": 0.1}, {"f": 9.0}]) == pytest.approx(0.1)


def test_aims_are_met_or_missed():
    most, least = (
        Asked(condition="c", figure="f", words="w", most=0.2),
        Asked(condition="c", figure="f", words="w", least=0.8),
    )
    assert (most.met(0.2), most.met(0.3), least.met(0.8), least.met(0.7)) == (True, False, True, False)
    assert most.met(None) is None
    assert Asked(condition="c", figure="f", words="w").met(1.0) is None
    assert (most.target, least.target) == ("at most 20.0%", "at least 80.0%")
    assert Asked(condition="c", figure="f", words="w", unit="px").told(0.5) == "0.50 px"


def test_the_table_says_what_was_found_beside_the_truth():
    outcomes = {
        "brush": [
            Outcome(name="red cube", figures={"end_error": 0.03, "leakage": None}, true_figures={"end_error": 0.01}),
            Outcome(name="blue cone", figures={"end_error": 0.09, "leakage": 0.2}, true_figures={"end_error": 0.02}),
        ]
    }
    about = {"model": "m", "weights": "abc", "quality": "draft"}
    text = markdown(record_of(about, outcomes, {"speech": "m was not made to follow speech"}))
    assert "| brush | end-point error over the width | 2 | 6.0% | 1.5% | at most 4.0% | no |" in text
    assert "| brush | leakage: motion outside the brush | 1 | 0.20 px | - | at most 0.50 px | yes |" in text
    assert "- speech: m was not made to follow speech" in text
    assert "1. red cube: end_error 0.03, leakage -" in text
    assert "camera" not in text


def test_every_figure_belongs_to_a_condition_that_is_measured():
    assert {asked.condition for asked in ASKED} == set(CONDITIONS)
    names = [(asked.condition, asked.figure) for asked in ASKED]
    assert len(names) == len(set(names))


@pytest.fixture
def setting(tmp_path):
    class Maker:
        made = 0

        def generate(self, request: Request) -> Clip:
            Maker.made += 1
            return grey([request.seed] * 5)

    return Setting(model="m", weights="w", maker=Maker(), codec=None, judge=Reads, folder=tmp_path, side=16)


def test_trials_are_made_once_and_measured_beside_the_truth(setting):
    rendered = count()

    def truth() -> Clip:
        next(rendered)
        return grey([7] * 5)

    trial = Trial(
        name="t", request=Request(prompt="p", seed=50), asked_HW3=np.zeros((16, 16, 3), dtype=np.uint8),
        measure=lambda clip: {"level": float(clip.frames_FHWC.mean())}, truth=truth, truth_key="seven",
    )  # fmt: skip
    for _ in range(2):
        (outcome,) = carry_out(setting, [trial])
        assert outcome.figures == {"level": 50.0}
        assert outcome.true_figures == {"level": 7.0}
        assert outcome.row.size == (128 + 4 + 6 * 128, 128)
    assert setting.maker.made == 1
    assert next(rendered) == 1


def test_control_is_measured_from_the_command_line(model_folder, tmp_path, capsys):
    """A model of noise on small pictures: what it can take is measured, what it refuses is left out by name."""
    out = tmp_path / "out"
    asks = ["measure", "control", str(model_folder), "--quick", "--count", "1", "--seconds", "0.5", "--out", str(out)]
    assert main([*asks, "--only", "camera,pictures"]) == 0
    record = json.loads((out / "control.json").read_text(encoding="utf-8"))
    assert set(record["trials"]) == {"pictures"}
    assert "Shorten" in record["left_out"]["camera"]  # its prompts are longer than this model reads
    assert (out / "control-pictures.png").exists()
    printed = capsys.readouterr()
    assert "| pictures | first frame, short of the codec | 1 |" in printed.out
    assert "pictures: 1 of 1" in printed.err
    assert main([*asks, "--only", "pictures"]) == 0  # from the folder


def test_parts_are_those_of_what_is_measured(capsys):
    assert main(["measure", "control", "tiny", "--only", "gallery"]) == 2
    assert "gallery is no condition" in capsys.readouterr().err
    assert main(["measure", "tiny", "--only", "brush,camera"]) == 2
    assert "kinora measure control" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["measure", "control", "tiny", "--only", "weather"])
    assert "weather" in capsys.readouterr().err


def test_the_command_line_names_the_conditions_there_are():
    from kinora.cli.measure import CONDITIONS as NAMED

    assert NAMED == CONDITIONS


def test_no_trial_is_no_measurement(setting):
    from kinora.measure.control.run import Wanted, measure_control

    with pytest.raises(InputError, match="At least one trial"):
        measure_control(setting, Wanted(conditions=("camera",), count=0))
