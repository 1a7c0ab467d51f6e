"""Given pictures, seams and regions: every figure against an answer known beforehand."""

import dataclasses

import numpy as np
import pytest

from kinora.codec import Codec, CodecConfig
from kinora.core.clip import Clip
from kinora.core.errors import ShapeError
from kinora.core.slots import BodySlots, FigureSlots, SceneSlots
from kinora.measure.control.pictures import measure_picture, psnr_between, through_codec
from kinora.measure.control.region import measure_region
from kinora.measure.control.seams import differences, kept, lasting_slots, measure_seams, part_of

RNG = np.random.default_rng(0)


def clip_of(levels, side: int = 16) -> Clip:
    """Grey frames of the given levels."""
    frames = np.stack([np.full((side, side, 3), level, dtype=np.uint8) for level in levels])
    return Clip(frames_FHWC=frames, frame_rate=16.0)


class Says:
    """Answers from a list, in turn, and keeps what it was shown."""

    def __init__(self, *answers: SceneSlots) -> None:
        self.answers, self.shown = list(answers), []

    def read(self, clip: Clip) -> SceneSlots:
        self.shown.append(clip)
        return self.answers.pop(0)


@pytest.fixture(scope="module")
def codec():
    return Codec(CodecConfig(channels=8, trunk_width=16, trunk_blocks=0, picture_blocks=0)).eval()


def test_psnr_by_hand():
    black, grey = (np.full((4, 4, 3), level, dtype=np.uint8) for level in (0, 51))
    assert psnr_between(black, grey) == pytest.approx(20 * np.log10(255 / 51))
    assert psnr_between(grey, grey) == pytest.approx(120.0)


def test_a_film_that_shows_what_the_codec_would_is_not_short_of_it(codec):
    given = RNG.integers(0, 256, (32, 32, 3)).astype(np.uint8)
    best = through_codec(given[None], codec)[0]
    found = measure_picture(best, given, codec)
    assert found.gap == pytest.approx(0.0, abs=1e-9)
    assert found.psnr == pytest.approx(found.codec)
    worse = np.clip(best.astype(int) + np.where(RNG.random(best.shape) < 0.5, 60, -60), 0, 255).astype(np.uint8)
    assert measure_picture(worse, given, codec).gap > 0.2
    assert measure_picture(given, given, codec).gap < 0


def test_a_jump_is_told_in_multiples_of_the_usual_change():
    levels = np.cumsum([100, *[2] * 8, 10, *[2] * 8])
    found = measure_seams(clip_of(levels), [9])
    assert found.jump == pytest.approx(5.0)
    assert found.jump_latent == pytest.approx(5.0)
    assert found.worst == pytest.approx(5.0)
    assert found.slots_kept is None
    assert measure_seams(clip_of(np.arange(60, 78)), [9]).jump == pytest.approx(1.0)


def test_latent_frames_that_meet_are_told_apart():
    """A film whose every latent frame begins with a step of 4: its seam is nothing new."""
    steps = [4 if f % 4 == 0 else 1 for f in range(24)]
    found = measure_seams(clip_of(np.cumsum([50, *steps])), [9])
    assert found.jump == pytest.approx(4.0)
    assert found.jump_latent == pytest.approx(1.0)


def test_several_seams_are_averaged_and_the_worst_is_told():
    steps = [1] * 24
    steps[7], steps[15] = 3, 7
    found = measure_seams(clip_of(np.cumsum([50, *steps])), [8, 16])
    assert found.jump == pytest.approx(5.0)
    assert found.worst == pytest.approx(7.0)


def test_seams_outside_the_film_are_refused():
    for seams in ([], [0], [9]):
        with pytest.raises(ShapeError, match="do not lie inside"):
            measure_seams(clip_of([1] * 9), seams)


def test_the_reader_is_shown_both_sides_and_only_what_lasts_is_compared():
    ball = BodySlots(colour="red", shape="sphere", action="roll", direction="left", speed="fast")
    before = SceneSlots(bodies=(ball,), ground="sand", camera="pan_left")
    after = SceneSlots(bodies=(dataclasses.replace(ball, action="rest", direction="none"),), ground="snow")
    judge = Says(before, after)
    found = measure_seams(clip_of(range(80)), [40], judge)
    first, second = judge.shown
    assert (first.frames_FHWC[-1, 0, 0, 0], second.frames_FHWC[0, 0, 0, 0]) == (36, 40)
    assert first.shape.frames == second.shape.frames == 29
    assert found.slots_kept == pytest.approx(3 / 4)  # colour, shape and number, but not the ground


def test_what_lasts():
    slots = SceneSlots(
        bodies=(BodySlots(colour="red", action="roll"),),
        figures=(FigureSlots(hair="brown", action="walk", direction="left"),),
        sky="day", camera="zoom_in", event="collision",
    )  # fmt: skip
    assert lasting_slots(slots) == SceneSlots(
        bodies=(BodySlots(colour="red"),), figures=(FigureSlots(hair="brown"),), sky="day"
    )
    assert kept(slots, slots) == 1.0
    assert kept(SceneSlots(), slots) == 1.0


def test_parts_have_lengths_that_the_reader_takes():
    clip = clip_of(range(50))
    for start, stop in ((0, 50), (-5, 8), (44, 90), (3, 4)):
        part = part_of(clip, start, stop)
        assert part.shape.frames % 4 == 1
        assert part.frames_FHWC[0, 0, 0, 0] == max(start, 0)
        assert part.shape.frames <= min(stop, 50) - max(start, 0)
    assert differences(clip.frames_FHWC) == pytest.approx(np.ones(49))


def test_a_region_is_told_from_what_lies_outside():
    mask = np.zeros((16, 16), dtype=bool)
    mask[4:8, 4:8] = True
    footage = clip_of([100] * 5)
    frames = footage.frames_FHWC.copy()
    frames[:, mask] = 130
    wanted = BodySlots(colour="blue", shape="cube")
    seen = SceneSlots(
        bodies=(BodySlots(colour="red", shape="cube"), BodySlots(colour="blue", shape="cube", size="small"))
    )
    found = measure_region(dataclasses.replace(footage, frames_FHWC=frames), footage, mask, wanted, Says(seen))
    assert (found.outside, found.inside, found.asked) == (pytest.approx(120.0), pytest.approx(30.0), 1.0)
    frames[:, 0, 0] = 151
    spoilt = measure_region(
        dataclasses.replace(footage, frames_FHWC=frames),
        footage,
        mask,
        wanted,
        Says(SceneSlots(bodies=seen.bodies[:1])),
    )
    assert spoilt.outside == pytest.approx(10 * np.log10(255**2 / (51**2 / 240)))
    assert spoilt.asked == 0.0


@pytest.mark.parametrize("filled", [True, False])
def test_a_region_needs_an_inside_and_an_outside(filled):
    clip = clip_of([1] * 5)
    with pytest.raises(ShapeError, match="outside"):
        measure_region(clip, clip, np.full((16, 16), filled), BodySlots(), Says(SceneSlots()))
    with pytest.raises(ShapeError, match="own size"):
        measure_region(clip, clip_of([1] * 5, side=32), np.eye(16, dtype=bool), BodySlots(), Says(SceneSlots()))
