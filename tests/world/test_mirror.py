"""The mirrored scene is the scene in a mirror, at every moment."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kinora.world.mirror import mirror
from kinora.world.mix import TRAINING_MIX
from kinora.world.sampler import sample_scene
from kinora.world.simulate import simulate

MIX = replace(TRAINING_MIX, figures=0.4, backdrop=0.4, camera=0.7, collision=0.8)
FLIP_3 = np.array([-1.0, 1.0, 1.0])


@pytest.mark.parametrize("seed", range(40))
def test_twice_mirrored_is_the_scene(seed: int) -> None:
    scene = sample_scene(seed, mix=MIX)
    assert mirror(mirror(scene)) == scene
    assert mirror(scene) != scene


@pytest.mark.parametrize("seed", range(40))
def test_all_states_are_mirrored(seed: int) -> None:
    scene = sample_scene(seed, mix=MIX)
    states, other = simulate(scene), simulate(mirror(scene))
    np.testing.assert_allclose(other.body_position_FN3, states.body_position_FN3 * FLIP_3, atol=1e-6)
    np.testing.assert_allclose(other.body_velocity_FN3, states.body_velocity_FN3 * FLIP_3, atol=1e-5)
    np.testing.assert_allclose(other.figure_root_FM3, states.figure_root_FM3 * FLIP_3, atol=1e-9)
    np.testing.assert_allclose(other.figure_heading_FM, -states.figure_heading_FM, atol=1e-9)
    np.testing.assert_allclose(other.camera_fov_F, states.camera_fov_F)
    # A mirrored rotation is the rotation between two flips; of the camera, the right axis is flipped as well.
    flip_33 = np.diag(FLIP_3)
    rotation = flip_33 @ states.body_rotation_FN33 @ flip_33
    np.testing.assert_allclose(other.body_rotation_FN33, rotation, atol=1e-5)
    pose_F34 = states.camera_pose_F34.copy()
    pose_F34[:, :, :3] = flip_33 @ pose_F34[:, :, :3] @ flip_33
    pose_F34[:, 0, 3] *= -1.0
    np.testing.assert_allclose(other.camera_pose_F34, pose_F34, atol=1e-9)
