"""Camera moves in words come to what the theatre's cameras do under the same words."""

from __future__ import annotations

import numpy as np
import pytest

from kinora.core.camera import CameraMove, camera_track, spoken_move
from kinora.core.poses import relative_poses
from kinora.core.slots import CAMERAS, SPEEDS
from kinora.world.cameras import camera_path
from kinora.world.scene import CameraPath
from kinora.world.staging import CAMERA_RATES

SECONDS = np.linspace(0.0, 5.0, 11)


@pytest.mark.parametrize("speed", SPEEDS)
@pytest.mark.parametrize("kind", CAMERAS)
def test_a_move_in_words_is_the_theatres(kind: str, speed: str):
    move = spoken_move(kind, speed)
    if kind == "still":
        assert move == CameraMove()
        return
    rate = CAMERA_RATES[kind.split("_", maxsplit=1)[0]][SPEEDS.index(speed)]
    # Level, six metres from what it looks at: in words a move has no more to go by.
    path = CameraPath(kind=kind, speed=speed, rate=rate, position=(0.0, -6.0, 0.8), target=(0.0, 0.0, 0.8))
    pose_F34, fov_F = camera_path(path, SECONDS)
    track, true_F34 = camera_track(move, SECONDS), relative_poses(pose_F34)
    assert track.pose_F34[:, :, :3] == pytest.approx(true_F34[:, :, :3], abs=0.02)
    assert track.pose_F34[:, :, 3] == pytest.approx(true_F34[:, :, 3] / 6.0, abs=0.02)
    zoom_F = np.tan(path.fov / 2) / np.tan(fov_F / 2)
    assert track.zoom_F == pytest.approx(zoom_F, rel=0.02)
