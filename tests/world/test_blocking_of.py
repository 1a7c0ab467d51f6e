"""The true blocking of scenes, against what the renderer shows."""

from __future__ import annotations

import numpy as np
import pytest

from kinora.core.blocking import CUES, DETAILS, KINDS, MOST_THINGS, NOTHING
from kinora.core.slots import COLOURS
from kinora.world.blocking_of import scene_blocking
from kinora.world.mix import TRAINING_MIX, WIDE_MIX
from kinora.world.render import render_states
from kinora.world.sampler import sample_scene
from kinora.world.scene import Animal, Body, Figure, Identity, Panel, Picture, Place, Rope, Scene
from kinora.world.simulate import simulate

SIDE = 128
PIXEL = 2 / SIDE
GRASS = Place(ground="grass", sky="day")
IDENTITY = Identity(
    skin=(0.8, 0.6, 0.5), hair="red", hair_style=0, eyes=(0.2, 0.2, 0.2), clothes="green", trousers=(0.1, 0.1, 0.3)
)


def seen_box(ids_HW: np.ndarray, owner: int) -> list[float]:
    """Middle and half extents of all pixels of an owner."""
    rows, columns = np.nonzero(ids_HW == owner)
    edges = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) * PIXEL - 1
    return [*(edges[:2] + edges[2:]) / 2, *(edges[2:] - edges[:2]) / 2]


@pytest.mark.parametrize("shape", ["sphere", "cube", "cylinder", "cone"])
def test_a_lone_body_fills_its_box(shape: str):
    body = Body(shape=shape, colour="red", size="large", material="matte", position=(0.8, 1.0, 0.72), yaw=0.4)
    scene = Scene(place=GRASS, bodies=(body,))
    states = simulate(scene).at(np.array([0, 40]))
    blocking = scene_blocking(scene, states, np.float32([0, 10]))
    assert blocking.look_P3.tolist() == [[KINDS.index(shape), COLOURS.index("red"), DETAILS.index("matte")]]
    ids_FHW = render_states([scene], [states], height=SIDE, width=SIDE, truth=True).ids_BFHW[0].numpy()
    for frame in (0, 1):
        # Perspective makes a solid's nearer half larger than its middle's depth says.
        assert blocking.box_TP4[frame, 0] == pytest.approx(seen_box(ids_FHW[frame], 2), abs=3 * PIXEL)


def test_things_come_in_order_with_their_looks():
    scene = Scene(
        place=GRASS,
        bodies=(Body(shape="cube", colour="blue", size="small", material="glass", position=(1, 0, 0.34)),),
        figures=(Figure(identity=IDENTITY),),
        animals=(Animal(colour="brown", position=(-1, 0, 0)),),
        ropes=(Rope(),),
        panels=(Panel(picture=Picture(kind="leaves", seed=1), centre=(0, 5, 1.5), width=4, height=3),),
    )
    blocking = scene_blocking(scene, simulate(scene).at(np.array([0])), np.float32([0]))
    names = [KINDS[kind] for kind in blocking.look_P3[:, 0]]
    assert names == ["cube", "figure", "animal", "rope", "panel"]
    assert blocking.look_P3[1].tolist()[1:] == [COLOURS.index("green"), DETAILS.index("red hair")]
    assert blocking.look_P3[2].tolist()[1:] == [COLOURS.index("brown"), NOTHING]
    assert blocking.look_P3[3].tolist()[1:] == [NOTHING, NOTHING]
    assert cues(scene) == [
        ["rest", "none", None, "small"], ["stand", "none", None, None], ["sit", "none", None, None],
        ["hang", None, None, None], [None, None, None, None],
    ]  # fmt: skip


def cues(scene: Scene) -> list[list[str | None]]:
    """Cues of the scene's things, in words."""
    cue_P4 = scene_blocking(scene, simulate(scene).at(np.array([0])), np.float32([0])).cue_P4
    assert cue_P4 is not None
    return [[None if at == NOTHING else values[at] for at, values in zip(row, CUES, strict=True)] for row in cue_P4]


def test_things_have_the_cues_that_captions_tell():
    ball = Body(shape="sphere", colour="red", size="large", material="matte", action="roll", velocity=(-1.0, 0.1, 0.0))
    box = Body(shape="cube", colour="blue", size="medium", material="matte", action="carried")
    walker = Figure(identity=IDENTITY, action="carry", heading=np.pi / 2, speed=0.5)
    dog = Animal(colour="brown", action="walk", heading=0.0, speed=0.5)
    scene = Scene(
        place=GRASS, bodies=(ball, box), figures=(walker,), animals=(dog,), ropes=(Rope(angle=0.4),)
    )  # fmt: skip
    assert cues(scene) == [
        ["roll", "left", "fast", "large"], ["carry", None, None, "medium"], ["carry", "right", None, None],
        ["walk", "toward", None, None], ["swing", None, None, None],
    ]  # fmt: skip


def test_what_is_behind_the_camera_has_no_box():
    body = Body(shape="sphere", colour="red", size="small", material="matte", position=(0, -9, 0.34))
    scene = Scene(place=GRASS, bodies=(body,))
    assert scene_blocking(scene, simulate(scene).at(np.array([0])), np.float32([0])).box_TP4.tolist() == [[[0] * 4]]


def test_an_empty_stage_has_no_things():
    scene = Scene(place=GRASS)
    blocking = scene_blocking(scene, simulate(scene).at(np.array([0, 4])), np.float32([0, 1]))
    assert blocking.box_TP4.shape == (2, 0, 4)


def test_every_scene_has_a_blocking_of_finite_boxes_and_known_looks():
    for mix in (TRAINING_MIX, WIDE_MIX):
        for seed in range(40):
            scene = sample_scene(seed, mix=mix)
            frames = np.arange(0, scene.frames, 16)
            blocking = scene_blocking(scene, simulate(scene).at(frames), (frames / 4).astype(np.float32))
            assert 0 < len(blocking.look_P3) <= MOST_THINGS
            assert np.isfinite(blocking.box_TP4).all()
            assert (blocking.box_TP4[..., 2:] >= 0).all()
            # At the start everybody is in the picture.
            assert (np.abs(blocking.box_TP4[0, :, :2]) < 1.0 + blocking.box_TP4[0, :, 2:]).all()
