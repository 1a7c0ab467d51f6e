"""Where the camera goes and what that does to the picture."""

from __future__ import annotations

import numpy as np
import pytest

from kinora.core.errors import InputError
from kinora.core.slots import CAMERAS
from kinora.world.cameras import RAMP_SECONDS, camera_path, start_pose
from kinora.world.mirror import MIRRORED
from kinora.world.scene import CameraPath

TIMES = np.linspace(0.0, 5.0, 81)
MOVING = CAMERAS[1:]


def seen(kind: str, point: tuple[float, float, float], rate: float = 0.1) -> np.ndarray:
    """Picture coordinates (F, 2) of a world point in half heights of the picture: x right, y down."""
    pose_F34, fov_F = camera_path(CameraPath(kind=kind, rate=rate), TIMES)
    away_F3 = np.array(point) - pose_F34[:, :, 3]
    camera_F3 = np.einsum("fi,fij->fj", away_F3, pose_F34[:, :, :3])
    return camera_F3[:, :2] / camera_F3[:, 2:] / np.tan(fov_F / 2)[:, None]


@pytest.mark.parametrize("kind", CAMERAS)
def test_poses_are_rigid_start_at_the_declared_place_and_ease_in(kind: str) -> None:
    path = CameraPath(kind=kind, rate=0.1)
    pose_F34, fov_F = camera_path(path, TIMES)
    rotation_F33 = pose_F34[:, :, :3]
    product = rotation_F33 @ rotation_F33.transpose(0, 2, 1)
    np.testing.assert_allclose(product, np.broadcast_to(np.eye(3), product.shape), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(rotation_F33), 1.0)
    np.testing.assert_allclose(pose_F34[0], start_pose(path), atol=1e-12)
    assert fov_F[0] == pytest.approx(path.fov)
    change_F = np.abs(np.diff(pose_F34, axis=0)).sum(axis=(1, 2)) + np.abs(np.diff(fov_F))
    if kind == "still":
        assert change_F.max() == 0.0
    else:
        assert 0.0 < change_F[0] < 0.3 * change_F[20]


def test_the_start_looks_at_the_target_and_stands_level() -> None:
    path = CameraPath(position=(0.3, -5.0, 1.9), target=(0.1, 0.2, 0.7))
    pose_34 = start_pose(path)
    toward = np.subtract(path.target, path.position)
    np.testing.assert_allclose(pose_34[:, 2], toward / np.linalg.norm(toward))
    assert pose_34[2, 0] == 0.0
    assert pose_34[2, 1] < 0.0


@pytest.mark.parametrize(
    ("kind", "axis", "sign"),
    [
        ("pan_left", 0, 1),
        ("pan_right", 0, -1),
        ("tilt_up", 1, 1),
        ("tilt_down", 1, -1),
        ("orbit_left", 0, -1),
        ("orbit_right", 0, 1),
    ],
)
def test_which_way_the_picture_moves(kind: str, axis: int, sign: int) -> None:
    # The centre of an orbit stays; what stands nearer goes against the camera's way, to the right when it goes left.
    point = (0.0, -2.0, 0.8) if kind.startswith("orbit") else (0.0, 0.0, 0.8)
    track_F2 = seen(kind, point)
    moved = track_F2[-1, axis] - track_F2[0, axis]
    wanted = -sign if kind.startswith("orbit") else sign
    assert np.sign(moved) == wanted
    assert abs(moved) > 0.2


def test_a_clockwise_camera_turns_the_picture_the_other_way() -> None:
    track_F2 = seen("roll_clockwise", (0.0, 0.0, 2.0))
    above, later = track_F2[0], track_F2[-1]
    assert above[1] < 0.0
    assert later[0] < above[0] - 0.05
    np.testing.assert_allclose(np.linalg.norm(track_F2, axis=1), np.linalg.norm(above), rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "grows"), [("zoom_in", True), ("zoom_out", False), ("dolly_in", True), ("dolly_out", False)]
)
def test_nearing_makes_things_larger(kind: str, grows: bool) -> None:
    width_F = seen(kind, (0.5, 0.0, 0.8))[:, 0] - seen(kind, (-0.5, 0.0, 0.8))[:, 0]
    assert (np.diff(width_F) > 0).all() == grows
    assert (np.diff(width_F) < 0).all() != grows


def test_the_rate_is_in_the_units_it_says() -> None:
    full = 5.0 - RAMP_SECONDS / 2
    pan_F34, _ = camera_path(CameraPath(kind="pan_left", rate=0.1), TIMES)
    turned = np.arccos(np.clip((np.trace(pan_F34[-1, :, :3] @ pan_F34[0, :, :3].T) - 1) / 2, -1, 1))
    assert turned == pytest.approx(0.1 * full)
    dolly_F34, _ = camera_path(CameraPath(kind="dolly_in", rate=0.4), TIMES)
    np.testing.assert_allclose(dolly_F34[-1, :, 3] - dolly_F34[0, :, 3], [0.0, 0.4 * full, 0.0], atol=1e-12)
    _, fov_F = camera_path(CameraPath(kind="zoom_in", rate=0.1), TIMES)
    assert np.tan(fov_F[0] / 2) / np.tan(fov_F[-1] / 2) == pytest.approx(np.exp(0.1 * full))


@pytest.mark.parametrize("kind", ["orbit_left", "orbit_right"])
def test_an_orbit_keeps_its_distance_and_its_centre(kind: str) -> None:
    path = CameraPath(kind=kind, rate=0.2)
    pose_F34, _ = camera_path(path, TIMES)
    away_F3 = np.array(path.target) - pose_F34[:, :, 3]
    np.testing.assert_allclose(np.linalg.norm(away_F3, axis=1), np.linalg.norm(away_F3[0]))
    np.testing.assert_allclose(seen(kind, path.target, 0.2), 0.0, atol=1e-9)
    assert pose_F34[-1, 0, 3] * (-1 if kind == "orbit_left" else 1) > 2.0


@pytest.mark.parametrize("kind", MOVING)
def test_the_mirrored_move_shows_the_mirrored_picture(kind: str) -> None:
    straight = seen(kind, (0.7, 0.4, 1.1))
    mirrored = seen(MIRRORED.get(kind, kind), (-0.7, 0.4, 1.1))
    np.testing.assert_allclose(mirrored, straight * [-1.0, 1.0], atol=1e-9)


def test_an_unknown_move_is_refused() -> None:
    with pytest.raises(InputError, match="spiral"):
        camera_path(CameraPath(kind="spiral"), TIMES)
