"""Hats, glasses and expressions: what figures wear and show, and that the plain ones are as before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kinora.core.errors import InputError
from kinora.core.slots import EXPRESSIONS, HATS
from kinora.world.figures import HATS as HAT_PIECES
from kinora.world.figures import figure_parts
from kinora.world.palette import COLOUR_RGB
from kinora.world.render import render
from kinora.world.scene import CameraPath, Figure, Identity, Place, Scene
from kinora.world.simulate import simulate
from kinora.world.speech import random_speech

SOMEONE = Identity(
    skin=(0.7, 0.45, 0.3), hair="brown", hair_style=0, eyes=(0.1, 0.3, 0.7), clothes="green", trousers=(0.1, 0.1, 0.3)
)
CLOSE = CameraPath(position=(0.0, -1.8, 1.22), target=(0.0, 0.0, 1.26), shot="close")
SIZE = 128


def scene(identity: Identity = SOMEONE, **changes: object) -> Scene:
    figure = replace(Figure(identity=identity), **changes)  # type: ignore[arg-type]
    return Scene(place=Place(ground="grass", sky="overcast"), figures=(figure,), camera=CLOSE)


def face(one: Scene, frame: int = 0) -> np.ndarray:
    return render([one], height=SIZE, width=SIZE, frames=[[frame]]).rgb_BFHW3[0, 0].numpy().astype(np.float64)


def test_every_hat_has_pieces() -> None:
    assert set(HAT_PIECES) == set(HATS) - {"none"}


@pytest.mark.parametrize("style", range(5))
@pytest.mark.parametrize("hat", HATS)
def test_a_hat_sits_on_top_of_any_hair(hat: str, style: int) -> None:
    one = scene(replace(SOMEONE, hat=hat, hat_colour="red", hair_style=style))
    states = simulate(one).at(np.array([0]))
    parts = figure_parts(one.figures[0], states, 0)
    assert len(parts) <= 19

    def top(part: object) -> float:
        rotation_33 = part.rotation_F33[0]  # type: ignore[attr-defined]
        half_3 = np.array(part.half_3)  # type: ignore[attr-defined]
        return float(part.centre_F3[0, 2] + np.linalg.norm(rotation_33[2] * half_3))  # type: ignore[attr-defined]

    highest = max(parts, key=top)
    assert (highest in parts[-len(HAT_PIECES.get(hat, ())) :]) == (hat != "none") or hat == "none"
    worn = [part for part in parts if part.rgb == COLOUR_RGB["red"]]
    assert bool(worn) == (hat != "none")


def test_an_unknown_hat_is_refused() -> None:
    one = scene(replace(SOMEONE, hat="crown"))
    with pytest.raises(InputError, match="crown"):
        figure_parts(one.figures[0], simulate(one), 0)


def test_hats_and_glasses_show_and_differ() -> None:
    plain = face(scene())
    seen = {hat: face(scene(replace(SOMEONE, hat=hat))) for hat in HATS}
    assert (seen["none"] == plain).all()
    for hat in HATS[1:]:
        assert np.abs(seen[hat] - plain)[: SIZE // 2].mean() > 4
    glasses = face(scene(replace(SOMEONE, glasses=True)))
    changed = np.abs(glasses - plain).max(axis=2) > 40
    rows, columns = np.nonzero(changed)
    assert changed.sum() > 80
    # Rims on both sides of the middle, over a band of the face.
    assert columns.min() < 0.44 * SIZE
    assert columns.max() > 0.56 * SIZE
    assert np.ptp(rows) < 0.3 * SIZE
    assert glasses[changed].mean() < plain[changed].mean()


def test_glasses_are_filtered() -> None:
    """A small picture is about what a large one comes to when its pixels are averaged: rims do not break up."""
    far = replace(scene(replace(SOMEONE, glasses=True)), camera=CameraPath(position=(0.0, -5.0, 1.3)))
    small, large = (
        render([far], height=side, width=side, frames=[[0]]).rgb_BFHW3[0, 0].numpy().astype(np.float64)
        for side in (96, 384)
    )
    averaged = large.reshape(96, 4, 96, 4, 3).mean((1, 3))
    head = (slice(22, 46), slice(36, 60))
    assert np.abs(small - averaged)[head].mean() < 5.0


def test_expressions_show_in_the_state() -> None:
    smile = {name: simulate(scene(expression=name)).figure_face_FM2[:, 0, 0] for name in EXPRESSIONS}
    assert smile["neutral"] == pytest.approx(0.15)
    assert smile["smile"].min() > 0.9
    assert smile["frown"].max() < -0.5
    brow = {name: simulate(scene(expression=name)).figure_brow_FM3[0, 0] for name in EXPRESSIONS}
    assert not brow["neutral"].any()
    assert brow["frown"][1] == 1.0
    assert brow["surprised"][0] == brow["surprised"][2] == 1.0
    assert simulate(scene(expression="surprised")).figure_mouth_FM4[0, 0, 0] > 0.4


def test_expressions_are_far_apart_in_the_picture() -> None:
    seen = {name: face(scene(expression=name), 4) for name in EXPRESSIONS}
    names = list(EXPRESSIONS)
    for i, one in enumerate(names):
        for other in names[:i]:
            assert (np.abs(seen[one] - seen[other]).max(axis=2) > 25).sum() > 120, (one, other)


def test_a_frown_turns_the_mouth_down_and_a_smile_up() -> None:
    def bend(expression: str) -> float:
        """How much higher the mouth's dark line is at its ends than in its middle, pixels."""
        one = scene(replace(SOMEONE, skin=(0.8, 0.7, 0.6)), expression=expression)
        lower = face(one, 4)[int(0.56 * SIZE) : int(0.70 * SIZE)].sum(axis=2)
        middle = lower[:, SIZE // 2 - 2 : SIZE // 2 + 2].mean(axis=1).argmin()
        ends = [lower[:, SIZE // 2 + side * 8].argmin() for side in (-1, 1)]
        return float(middle - np.mean(ends))

    assert bend("frown") < bend("neutral") < bend("smile")
    assert bend("frown") < 0.0


def test_one_who_speaks_with_an_expression_still_moves_the_mouth() -> None:
    speech = random_speech(np.random.default_rng(4), 81, 16.0)
    talking = simulate(scene(expression="surprised", action="speak", speech=speech))
    assert talking.figure_mouth_FM4[:, 0] == pytest.approx(speech.mouth_F4, abs=1e-6)
    assert talking.figure_brow_FM3[0, 0, 0] == 1.0


def test_a_gaze_turns_the_head() -> None:
    yaw_F = simulate(scene(gaze=0.5)).figure_head_FM2[:, 0, 0]
    assert yaw_F.mean() == pytest.approx(0.5, abs=0.02)
    assert np.abs(face(scene(gaze=0.5)) - face(scene())).mean() > 2
