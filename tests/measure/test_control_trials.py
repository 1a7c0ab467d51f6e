"""Whole trials: what is asked is asked whole, and a film that obeys to the letter is found to."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from kinora.codec import Codec, CodecConfig
from kinora.control.drag import DrawnBrush, brush_guide
from kinora.control.guide import Guide
from kinora.control.warp import camera_guide
from kinora.core.camera import CameraMove, camera_track
from kinora.core.clip import Clip
from kinora.core.conditions import Brush, Continue, Keyframe, Moves, Reference, Region, Speech
from kinora.core.request import Request
from kinora.core.slots import SceneSlots
from kinora.measure.control import motion_trials
from kinora.measure.control.motion_trials import (
    MOVES,
    brush_trials,
    camera_trials,
    photographed_brush,
    photographed_camera,
)
from kinora.measure.control.people_trials import reference_trials, speech_trials
from kinora.measure.control.picture_trials import picture_trials, region_trials, seam_trials
from kinora.measure.control.trials import Setting
from kinora.measure.control.whole import cost_outcomes, seams_of


class Blind:
    """A judge that sees nothing."""

    def read(self, clip: Clip) -> SceneSlots:
        return SceneSlots()


@pytest.fixture(scope="module")
def setting(tmp_path_factory):
    codec = Codec(CodecConfig(channels=8, trunk_width=16, trunk_blocks=0, picture_blocks=0)).eval()
    return Setting(
        model="m", weights="w", maker=None, codec=codec, judge=Blind, folder=tmp_path_factory.mktemp("control"),
        side=128, seconds=1.5, quality="draft",
    )  # fmt: skip


@pytest.fixture
def photographs_there(monkeypatch):
    """Three pictures full of detail stand for the photographs, which need packages that may be missing."""
    rng = np.random.default_rng(0)
    coarse = [rng.integers(0, 256, (14, 20, 3)).astype(np.uint8) for _ in range(3)]
    pictures = [Image.fromarray(one).resize((300, 210), Image.Resampling.BICUBIC) for one in coarse]
    monkeypatch.setattr(motion_trials, "photographs", lambda: pictures)


def test_camera_trials_ask_for_every_move_on_a_still_scene(setting):
    trials = list(camera_trials(setting, 3))
    assert [trial.name for trial in trials] == list(MOVES)[:3] == ["pan=+5", "tilt=+5", "roll=+5"]
    first, moves = trials[0].request.conditions
    assert isinstance(first, Keyframe)
    assert moves == Moves(move=CameraMove(pan=5.0))
    assert first.still.rgb_HW3.shape == (128, 128, 3)
    assert trials[0].asked_HW3.shape == (128, 128, 3)
    assert len({trial.truth_key for trial in trials}) == 3
    assert len(MOVES) == 18


def test_a_camera_that_obeys_and_one_that_stands_still(setting):
    trial = next(camera_trials(setting, 1))
    true = trial.truth()
    found = trial.measure(true)
    assert found["sign"] == 1.0
    assert found["error"] < 0.15
    still = Clip(frames_FHWC=np.repeat(true.frames_FHWC[:1], 25, axis=0), frame_rate=16.0)
    assert trial.measure(still)["error"] == pytest.approx(1.0, abs=0.1)


def test_a_brush_that_is_obeyed_and_one_that_is_not(setting):
    trial = next(brush_trials(setting, 1))
    brush = next(condition for condition in trial.request.conditions if isinstance(condition, Brush))
    (stroke,) = brush.strokes
    true = trial.truth()
    assert true.frames_FHWC.shape == (25, 128, 128, 3)
    assert trial.measure(true)["end_error"] < 0.04
    still = Clip(frames_FHWC=np.repeat(true.frames_FHWC[:1], 25, axis=0), frame_rate=16.0)
    way = np.linalg.norm(np.subtract(stroke.points[-1], stroke.points[0]))
    assert trial.measure(still)["end_error"] == pytest.approx(way, abs=0.02)


def test_photographs_are_measured_against_the_guide(setting, photographs_there):
    for trial in photographed_camera(setting, 2):
        first, moves = trial.request.conditions
        track = camera_track(moves.move, np.arange(25) / 16.0)
        guide = camera_guide(Guide.still(first.still.rgb_HW3), track).frames_FHW3
        found = trial.measure(Clip(frames_FHWC=guide, frame_rate=16.0))
        assert found["photograph_error"] < 0.05
        assert found["photograph_sign"] == 1.0
        still = Guide.still(first.still.rgb_HW3, frames=25).frames_FHW3
        assert trial.measure(Clip(frames_FHWC=still, frame_rate=16.0))["photograph_error"] == pytest.approx(1, abs=0.05)


def test_a_piece_of_a_photograph_is_dragged(setting, photographs_there):
    trial = next(photographed_brush(setting, 1))
    first, brush = trial.request.conditions
    (stroke,) = brush.strokes
    drawn = DrawnBrush(strokes=((stroke.mask.inside_HW, 128 * np.array(stroke.points)),))
    guide = brush_guide(first.still.rgb_HW3, drawn, 25).frames_FHW3
    found = trial.measure(Clip(frames_FHWC=guide, frame_rate=16.0))
    assert found["photograph_end_error"] < 0.02
    assert found["photograph_leakage"] < 0.1


def test_without_photographs_the_reason_is_given(setting, monkeypatch):
    from kinora.core.errors import InputError

    def none() -> list:
        raise InputError("Photographs are skipped: a package is missing")

    monkeypatch.setattr(motion_trials, "photographs", none)
    with pytest.raises(InputError, match="skipped"):
        next(photographed_camera(setting, 1))


def test_pictures_stand_where_they_were_asked_for(setting):
    plain, with_middle = picture_trials(setting, 2)
    assert [key.at for key in plain.request.conditions] == [0.0, None]
    assert [key.at for key in with_middle.request.conditions] == [0.0, None, 12 / 16]
    stills = [key.still.rgb_HW3 for key in with_middle.request.conditions]
    frames = np.repeat(stills[0][None], 25, axis=0)
    frames[24], frames[12] = stills[1], stills[2]
    found = with_middle.measure(Clip(frames_FHWC=frames, frame_rate=16.0))
    assert found["first_psnr"] == found["last_psnr"] == found["middle_psnr"] == pytest.approx(120.0)
    assert found["middle_gap"] < 0


def test_a_film_that_goes_on_as_it_truly_did_has_no_seam(setting):
    trial = next(seam_trials(setting, 1))
    (onward,) = trial.request.conditions
    assert isinstance(onward, Continue)
    assert onward.footage.clip.shape.frames == 13
    assert trial.request.seconds == pytest.approx(12 / 16)
    assert trial.measure(trial.truth())["jump_latent"] < 2.0  # this codec of noise jumps at every latent frame
    black = Clip(frames_FHWC=np.zeros((12, 128, 128, 3), dtype=np.uint8), frame_rate=16.0)
    assert trial.measure(black)["jump"] > 10.0


def test_a_region_s_true_film_changes_nothing_outside(setting):
    trial = next(region_trials(setting, 1))
    (region,) = trial.request.conditions
    assert isinstance(region, Region)
    found = trial.measure(trial.truth())
    assert found["outside"] == pytest.approx(120.0)
    assert found["inside"] > 3.0
    assert trial.measure(region.footage.clip)["inside"] == 0.0


def test_a_reference_is_never_told_in_words(setting):
    for trial in reference_trials(setting, 2):
        (reference,) = trial.request.conditions
        assert isinstance(reference, Reference)
        assert f"@{reference.name}" in trial.request.prompt
        hair, clothes = trial.name.replace(",", "").split(" hair ")
        words = trial.request.prompt.lower().split()
        assert clothes not in words
        assert hair not in words


def test_a_mouth_that_speaks_the_track(setting):
    trial, in_existing = speech_trials(setting, 2)
    _, speech = trial.request.conditions
    assert isinstance(speech, Speech)
    assert speech.face.track[0][0] == 0.0
    found = trial.measure(trial.truth())
    assert found["correlation"] > 0.8
    assert found["lag"] <= 1.0
    (speech,) = in_existing.request.conditions
    untouched = in_existing.measure(speech.footage.clip)
    assert untouched["existing_outside"] == pytest.approx(120.0)
    assert untouched["existing_correlation"] < 0.5
    assert in_existing.measure(in_existing.truth())["existing_correlation"] > 0.8


def test_the_cost_of_every_control_is_taken_against_the_bare_clip(setting):
    asked = []

    class Maker:
        def generate(self, request: Request) -> Clip:
            asked.append(request)
            return Clip(frames_FHWC=np.zeros((1, 4, 4, 3), dtype=np.uint8), frame_rate=16.0)

    outcomes = list(cost_outcomes(dataclasses.replace(setting, maker=Maker()), 9))
    assert [outcome.name for outcome in outcomes] == ["picture", "camera", "brush", "reference", "speech"]
    assert [bool(request.conditions) for request in asked] == [False, True] * 20
    assert not any("@" in request.prompt for request in asked[::2])
    assert all(one.seconds == other.seconds for one, other in zip(asked[::2], asked[1::2], strict=True))


def test_seams_lie_where_segments_begin(setting):
    from kinora.core.plan import segments_of

    class Planned:
        segments = segments_of(81, window=21, history=5)

    seams = seams_of(Planned(), 4)
    assert seams[0] == 81  # 21 latent frames are 81 pixel frames: the next is number 81
    assert seams == sorted(set(seams))
