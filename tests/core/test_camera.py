"""Camera moves: signs, sizes, and that they are the world's own moves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinora.core.camera import AMOUNTS, FULL, NAMED_MOVES, CameraKey, CameraMove, camera_track
from kinora.core.errors import InputError
from kinora.core.poses import relative_poses
from kinora.world.cameras import camera_path
from kinora.world.scene import CameraPath

SECONDS_F = np.linspace(0.0, 5.0, 81)


def seen(point_3: tuple[float, float, float], move: CameraMove, seconds: float = 2.0) -> tuple[float, float]:
    """Where a point lies in the picture after a while: x right, y down, in units of the first focal length."""
    track = camera_track(move, np.array([0.0, seconds]))
    rotation_33, position_3 = track.pose_F34[1, :, :3], track.pose_F34[1, :, 3]
    x, y, z = rotation_33.T @ (np.array(point_3) - position_3)
    return track.zoom_F[1] * x / z, track.zoom_F[1] * y / z


@pytest.mark.parametrize("name", AMOUNTS)
@settings(max_examples=10)
@given(amount=st.floats(-10, 10))
def test_a_track_begins_where_it_is_and_its_turns_are_turns(name: str, amount: float) -> None:
    track = camera_track(CameraMove(**{name: amount}), SECONDS_F)
    np.testing.assert_allclose(track.pose_F34[0], np.eye(3, 4), atol=1e-12)
    assert track.zoom_F[0] == 1.0
    rotation_F33 = track.pose_F34[:, :, :3]
    np.testing.assert_allclose(
        rotation_F33 @ rotation_F33.transpose(0, 2, 1), np.tile(np.eye(3), (81, 1, 1)), atol=1e-9
    )


@pytest.mark.parametrize(
    ("move", "point", "goes"),
    [
        (CameraMove(pan=5), (0, 0, 1), (-1, 0)),  # the camera looks right: things go left
        (CameraMove(pan=-5), (0, 0, 1), (1, 0)),
        (CameraMove(tilt=5), (0, 0, 1), (0, 1)),  # looks up: things sink
        (CameraMove(horizontal=5), (0, 0, 1), (-1, 0)),
        (CameraMove(vertical=5), (0, 0, 1), (0, 1)),
        (CameraMove(roll=5), (1, 0, 1), (0, -1)),  # turns clockwise: its right hand side goes down, the picture's up
        (CameraMove(zoom=5), (0.5, 0, 1), (-1, 0)),  # wider: things shrink to the middle
        (CameraMove(forward=5), (0.5, 0, 2), (1, 0)),
        (CameraMove(orbit=5), (0, 0, 1.5), (1, 0)),  # goes round to the right: what is behind the middle moves right
        (CameraMove(orbit=5), (0, 0, 0.5), (-1, 0)),
    ],
)
def test_things_move_against_the_camera(
    move: CameraMove, point: tuple[float, float, float], goes: tuple[float, float]
) -> None:
    before, after = seen(point, CameraMove()), seen(point, move)
    for axis, sign in enumerate(goes):
        if sign:
            assert sign * (after[axis] - before[axis]) > 0.01, (before, after)


def test_an_orbit_keeps_its_middle_where_it_is() -> None:
    for seconds in (0.2, 1.0, 4.0):
        assert seen((0, 0, 1), CameraMove(orbit=10), seconds) == pytest.approx((0, 0), abs=1e-12)


@pytest.mark.parametrize("name", AMOUNTS)
def test_ten_is_what_full_says_in_a_second(name: str) -> None:
    """Speed is even after the ramp, so two moments a second apart tell it."""
    track = camera_track(CameraMove(**{name: 10}), np.array([2.0, 3.0]))
    if name == "zoom":
        travelled = abs(np.log(track.zoom_F[1] / track.zoom_F[0]))
    elif name in ("horizontal", "vertical", "forward"):
        travelled = np.linalg.norm(track.pose_F34[1, :, 3] - track.pose_F34[0, :, 3])
    else:
        between_33 = track.pose_F34[0, :, :3].T @ track.pose_F34[1, :, :3]
        travelled = math.acos((np.trace(between_33) - 1) / 2)
    assert travelled == pytest.approx(FULL[name])


@pytest.mark.parametrize(
    ("kind", "name", "sign"),
    [
        ("pan_left", "pan", -1), ("pan_right", "pan", 1), ("tilt_up", "tilt", 1), ("tilt_down", "tilt", -1),
        ("roll_clockwise", "roll", 1), ("roll_counterclockwise", "roll", -1), ("zoom_in", "zoom", -1),
        ("zoom_out", "zoom", 1), ("orbit_left", "orbit", -1), ("orbit_right", "orbit", 1),
        ("dolly_in", "forward", 1), ("dolly_out", "forward", -1),
    ],
)  # fmt: skip
def test_moves_are_the_ones_the_world_teaches(kind: str, name: str, sign: int) -> None:
    """A level camera, one unit from what it looks at, moving at the full rate."""
    path = CameraPath(
        position=(0.0, 0.0, 1.0), target=(0.0, 1.0, 1.0), fov=1.0, kind=kind, rate=FULL[name], speed="fast"
    )
    pose_F34, fov_F = camera_path(path, SECONDS_F)
    track = camera_track(CameraMove(**{name: 10.0 * sign}), SECONDS_F)
    np.testing.assert_allclose(track.pose_F34, relative_poses(pose_F34), atol=1e-9)
    np.testing.assert_allclose(track.zoom_F, np.tan(0.5) / np.tan(fov_F / 2), rtol=1e-9)


def test_a_move_starts_from_rest() -> None:
    zoom_F = camera_track(CameraMove(zoom=10), np.array([0.0, 0.02, 0.04])).zoom_F
    first, second = np.log(zoom_F[0] / zoom_F[1]), np.log(zoom_F[1] / zoom_F[2])
    assert second == pytest.approx(3 * first, rel=1e-6)


def test_turning_while_going_forward_follows_a_circle() -> None:
    track = camera_track(NAMED_MOVES["right_turn_forward"], np.array([0.0, 4.0]))
    x, _, z = track.pose_F34[1, :, 3]
    heading_3 = track.pose_F34[1, :, 2]
    assert x > 0
    assert z > 0
    assert math.atan2(heading_3[0], heading_3[2]) == pytest.approx(2 * math.atan2(x, z)), "a chord makes half the turn"


@pytest.mark.parametrize(
    ("name", "axis", "sign"),
    [
        ("down_back", 1, 1),
        ("down_back", 2, -1),
        ("forward_up", 1, -1),
        ("forward_up", 2, 1),
        ("left_turn_forward", 0, -1),
    ],
)
def test_named_moves_go_where_their_names_say(name: str, axis: int, sign: int) -> None:
    assert sign * camera_track(NAMED_MOVES[name], np.array([3.0])).pose_F34[0, axis, 3] > 0.02


def test_a_path_passes_its_keys_counted_from_the_first() -> None:
    path = (CameraKey(seconds=0, x=1, pan=10), CameraKey(seconds=2, x=1.5, pan=40, zoom=0.5))
    track = camera_track(CameraMove(path=path), np.array([0.0, 1.0, 2.0, 9.0]))
    np.testing.assert_allclose(track.pose_F34[0], np.eye(3, 4), atol=1e-12)
    np.testing.assert_allclose(track.pose_F34[:, 0, 3], [0, 0.25, 0.5, 0.5])
    angles = np.degrees(np.arctan2(track.pose_F34[:, 0, 2], track.pose_F34[:, 2, 2]))
    np.testing.assert_allclose(angles, [0, 15, 30, 30], atol=1e-9)
    np.testing.assert_allclose(np.log(track.zoom_F), [0, 0.25, 0.5, 0.5], atol=1e-12)


@pytest.mark.parametrize("amount", [10.01, -11, math.nan, math.inf, True, "5", 10**400])
def test_amounts_out_of_range_are_refused(amount: float) -> None:
    with pytest.raises(InputError, match="choose from -10 to 10"):
        CameraMove(pan=amount)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ([(0.5, 0)], "starts at 0 s"),
        ([(0, 0), (1, 0), (1, 1)], "in order"),
        ([(0, 0), (1, math.inf)], "finite"),
        ([(0, 0), (1, 99)], "too far.*x 10"),
    ],
)
def test_paths_that_cannot_be_gone_are_refused(keys: list[tuple[float, float]], says: str) -> None:
    with pytest.raises(InputError, match=says):
        CameraMove(path=tuple(CameraKey(seconds=seconds, x=x) for seconds, x in keys))


def test_a_path_and_an_amount_contradict_each_other() -> None:
    with pytest.raises(InputError, match="not both"):
        CameraMove(pan=1, path=(CameraKey(seconds=0),))


def test_names_for_plans() -> None:
    assert CameraMove().name == "still"
    assert CameraMove(pan=5, zoom=-2.5).name == "pan=5, zoom=-2.5"
    assert CameraMove(path=(CameraKey(seconds=0),)).name == "a path of 1 keys"
