"""What the camera sees of a staged scene."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from kinora.world.framing import Room, body_box, figure_box, stays_visible
from kinora.world.identity import sample_identity
from kinora.world.scene import Body, CameraPath, Figure, Place, Scene
from kinora.world.simulate import simulate

CAMERA = CameraPath(position=(0.0, -6.0, 1.0), target=(0.0, 0.0, 1.0))
BODY = Body(shape="cylinder", colour="red", size="medium", material="matte", position=(0.0, 0.0, 0.5))


def staged(*bodies: Body, camera: CameraPath = CAMERA) -> bool:
    scene = Scene(place=Place(ground="wood", sky="day"), bodies=bodies, camera=camera)
    return stays_visible(scene, simulate(scene))


def test_boxes_hold_their_solids() -> None:
    np.testing.assert_allclose(np.ptp(body_box(BODY), axis=0), 1.0)
    turned = body_box(replace(BODY, shape="cube", yaw=math.pi / 4))
    np.testing.assert_allclose(np.ptp(turned, axis=0), [math.sqrt(2), math.sqrt(2), 1.0])
    figure = Figure(identity=sample_identity(np.random.default_rng(1), held_out=False), position=(0.3, 0.0, 0.0))
    assert np.ptp(figure_box(figure), axis=0)[2] == pytest.approx(figure.identity.height)
    assert figure_box(replace(figure, action="jump"))[:, 2].max() > figure.identity.height + 0.2


@pytest.mark.parametrize(("x", "fits"), [(0.0, True), (1.4, True), (1.7, False), (-1.4, True), (-1.7, False)])
def test_the_central_square_ends_where_the_field_of_view_does(x: float, fits: bool) -> None:
    """The box's near edge, 5.5 m away, may reach 0.97 tan(0.36) 5.5 = 2.008 m from the axis: centres up to 1.508."""
    assert Room(CAMERA).body_fits(replace(BODY, position=(x, 0.0, 0.5))) == fits


@pytest.mark.parametrize(
    ("x", "y", "fits"), [(1.2, 0.0, True), (1.05, 0.0, False), (0.0, 2.0, False), (1.1, 2.0, True)]
)
def test_neighbours_keep_apart_on_the_ground_and_in_the_picture(x: float, y: float, fits: bool) -> None:
    room = Room(CAMERA)
    assert room.body_fits(BODY)
    assert room.body_fits(replace(BODY, position=(x, y, 0.5))) == fits


def test_what_hides_or_leaves_is_noticed() -> None:
    assert staged(BODY)
    behind = replace(BODY, size="small", position=(0.1, 2.0, 0.34))
    assert not staged(BODY, behind)
    assert staged(BODY, replace(behind, position=(1.2, 2.0, 0.34)))
    assert staged(replace(BODY, velocity=(0.7, 0.0, 0.0)))
    assert not staged(replace(BODY, velocity=(1.5, 0.0, 0.0)))
    assert not staged(BODY, camera=replace(CAMERA, kind="pan_left", rate=0.4))
    assert not staged(BODY, camera=replace(CAMERA, kind="dolly_in", rate=1.2))
