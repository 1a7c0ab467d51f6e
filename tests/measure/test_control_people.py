"""Mouths and faces: drawn by hand, and in true films."""

import dataclasses

import numpy as np
import pytest

from kinora.core.clip import Clip
from kinora.core.errors import ShapeError
from kinora.core.slots import FigureSlots, SceneSlots
from kinora.measure.control.people_trials import speaking_scene
from kinora.measure.control.reference import line_up, measure_reference
from kinora.measure.control.speech import best_lag, measure_speech, mouth_heights
from kinora.measure.control.stages import STILL_MIX, draw_clip, opening, resting_scenes
from kinora.world.identity import sample_identity
from kinora.world.simulate import simulate

RNG = np.random.default_rng(3)
OPEN_F = np.clip(0.5 + 0.5 * np.sin(np.arange(48) * 0.7) + RNG.normal(0, 0.05, 48), 0, 1)
FACE_3 = np.array([0.5, 0.45, 0.3])


def drawn_face(openness_F, *, late: int = 0, inside=(40, 10, 12)) -> Clip:
    """A skin-coloured picture with a mouth of known height where a face of `FACE_3` has it."""
    row, column = np.mgrid[:96, :96]
    frames = []
    for f in range(len(openness_F)):
        frame = np.full((96, 96, 3), (200, 150, 120), dtype=np.uint8)
        tall = 2.0 + 8.0 * openness_F[max(0, f - late)]
        mouth = ((column - 48) / 10) ** 2 + ((row - (0.45 + 0.45 * 0.3) * 96) / tall) ** 2 < 1
        frame[mouth] = inside
        frames.append(np.clip(frame + RNG.normal(0, 3, frame.shape), 0, 255).astype(np.uint8))
    return Clip(frames_FHWC=np.stack(frames), frame_rate=16.0)


def test_a_mouth_that_follows_its_track():
    faces = np.tile(FACE_3, (len(OPEN_F), 1))
    found = measure_speech(drawn_face(OPEN_F), OPEN_F, faces)
    assert found.correlation > 0.97
    assert found.lag == 0
    white = measure_speech(drawn_face(OPEN_F, inside=(245, 245, 235)), OPEN_F, faces)
    assert white.correlation > 0.95  # teeth instead of the dark inside


@pytest.mark.parametrize("late", [1, 3])
def test_a_mouth_that_comes_late_is_told_by_how_many_frames(late):
    found = measure_speech(drawn_face(OPEN_F, late=late), OPEN_F, np.tile(FACE_3, (len(OPEN_F), 1)))
    assert found.lag == late
    assert found.best > 0.95 > found.correlation
    assert best_lag(OPEN_F[late:], OPEN_F[:-late]) == (pytest.approx(1.0), -late)


def test_a_mouth_that_stays_shut_or_is_not_there_follows_nothing():
    faces = np.tile(FACE_3, (len(OPEN_F), 1))
    shut = measure_speech(drawn_face(np.zeros(len(OPEN_F))), OPEN_F, faces)
    assert abs(shut.correlation) < 0.5
    elsewhere = np.tile(np.array([0.5, 0.1, 0.3]), (len(OPEN_F), 1))
    assert abs(measure_speech(drawn_face(OPEN_F), OPEN_F, elsewhere).correlation) < 0.6
    assert best_lag(np.zeros(30), OPEN_F[:30]) == (0.0, 0)


def test_taller_mouths_measure_taller():
    heights = mouth_heights(drawn_face(np.array([0.0, 0.5, 1.0])).frames_FHWC, np.tile(FACE_3, (3, 1)))
    assert heights[0] < heights[1] < heights[2]


def test_what_shows_no_mouth_is_refused():
    clip = drawn_face(OPEN_F)
    with pytest.raises(ShapeError, match="no mouth"):
        measure_speech(clip, OPEN_F, np.tile(np.array([0.5, 0.5, 0.01]), (len(OPEN_F), 1)))
    with pytest.raises(ShapeError, match="at least 20"):
        measure_speech(dataclasses.replace(clip, frames_FHWC=clip.frames_FHWC[:10]), OPEN_F, np.tile(FACE_3, (48, 1)))


@pytest.mark.parametrize("index", [0, 3])
def test_true_films_of_speaking_figures(index):
    said = speaking_scene(index, 1.5)
    clip = draw_clip(said.scene, said.states(), 128, 128)
    faces = said.faces()
    assert faces[:, 2].min() > 0.12
    found = measure_speech(clip, said.track.mouth_F4[:, 0], faces)
    assert found.correlation > 0.8
    assert abs(found.lag) <= 1
    backwards = measure_speech(clip, said.track.mouth_F4[::-1, 0], faces)
    assert backwards.correlation < 0.6


def someone(number: int):
    return sample_identity(np.random.default_rng([9, number]), held_out=True)


def test_identities_are_told_apart_by_their_colours():
    """Not always: the judge is simple. Far more often than the one time in four that guessing would be right."""
    mix = dataclasses.replace(STILL_MIX, figures=1.0, second_figure=0.0, body_beside_figure=0.0, backdrop=0.0)
    right = 0
    for number, scene in zip(range(6), resting_scenes(60_500, mix=mix), strict=False):
        figure = dataclasses.replace(scene.figures[0], identity=someone(number))
        shown = opening(dataclasses.replace(scene, figures=(figure,)), 96, 96).rgb_HW3
        others = [someone(number + away) for away in (20, 40, 60)]
        right += line_up(Clip(frames_FHWC=shown[None], frame_rate=16.0), [someone(number), *others]) == 0
    assert right >= 4


def test_the_reader_s_best_figure_counts():
    class Says:
        def __init__(self, *figures: FigureSlots) -> None:
            self.figures = figures

        def read(self, clip: Clip) -> SceneSlots:
            return SceneSlots(figures=self.figures)

    who = someone(1)
    shown = Clip(frames_FHWC=np.zeros((1, 64, 64, 3), dtype=np.uint8), frame_rate=16.0)
    same = FigureSlots(hair=who.hair, clothes=who.clothes)
    half = FigureSlots(hair=who.hair, clothes="grey" if who.clothes != "grey" else "red")
    found = [
        measure_reference(shown, who, [someone(2)], Says(*seen)).attributes for seen in ((), (half,), (half, same))
    ]
    assert found == [0.0, 0.5, 1.0]


def test_a_speaking_scene_s_face_is_where_the_head_is():
    said = speaking_scene(1, 0.5)
    states = simulate(said.scene)
    faces = said.faces()
    assert faces.shape == (len(states.time_F), 3)
    first = opening(said.scene, 128, 128)
    x, y, radius = faces[0] * 128
    inside = first.ids_HW[int(y), int(x - 0.8 * radius) : int(x + 0.8 * radius)]
    assert (inside == 32).all()
