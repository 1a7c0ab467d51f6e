"""From a scene to its states: everything that moves, at every frame."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kinora.world.animals import animal_motion
from kinora.world.cameras import camera_path
from kinora.world.handling import with_hands
from kinora.world.motion import figure_motion
from kinora.world.scene import Scene, States
from kinora.world.swinging import JOINTS, rope_joints
from kinora.world.trajectories import Trajectories, trajectories

__all__ = ["simulate"]


def simulate(scene: Scene, *, bodies: Trajectories | None = None) -> States:
    """The exact states of all `scene.frames` frames; `bodies` saves computing them twice."""
    time_F = np.arange(scene.frames) / scene.frame_rate
    bodies = bodies or trajectories(scene)
    motions = [
        # Any two figures of a scene, and the same figure in two scenes, sway and blink at different moments.
        figure_motion(
            figure, time_F, gravity=scene.physics.gravity, phase=(0.37 * m + 0.618 * (scene.seed % 1000)) % 1.0
        )
        for m, figure in enumerate(scene.figures)
    ]
    motions = [with_hands(scene, m, motion, time_F) for m, motion in enumerate(motions)]
    pets = [animal_motion(animal, time_F) for animal in scene.animals]
    ropes = [rope_joints(rope, scene.physics.gravity, time_F) for rope in scene.ropes]
    pose_F34, fov_F = camera_path(scene.camera, time_F)
    return States(
        body_position_FN3=bodies.position_FN3,
        body_rotation_FN33=bodies.rotation_FN33,
        body_velocity_FN3=bodies.velocity_FN3,
        figure_root_FM3=_side_by_side([motion.root_F3 for motion in motions], scene.frames, 3),
        figure_heading_FM=_side_by_side([motion.heading_F for motion in motions], scene.frames),
        figure_head_FM2=_side_by_side([motion.head_F2 for motion in motions], scene.frames, 2),
        figure_limbs_FM4=_side_by_side([motion.limbs_F4 for motion in motions], scene.frames, 4),
        figure_spread_FM2=_side_by_side([motion.spread_F2 for motion in motions], scene.frames, 2),
        figure_face_FM2=_side_by_side([motion.face_F2 for motion in motions], scene.frames, 2),
        figure_brow_FM3=_side_by_side([motion.brow_F3 for motion in motions], scene.frames, 3),
        figure_mouth_FM4=_side_by_side([motion.mouth_F4 for motion in motions], scene.frames, 4),
        animal_root_FA3=_side_by_side([pet.root_F3 for pet in pets], scene.frames, 3),
        animal_heading_FA=_side_by_side([pet.heading_F for pet in pets], scene.frames),
        animal_legs_FA4=_side_by_side([pet.legs_F4 for pet in pets], scene.frames, 4),
        animal_pose_FA4=_side_by_side([pet.pose_F4 for pet in pets], scene.frames, 4),
        rope_FRJ3=_side_by_side(ropes, scene.frames, JOINTS, 3),
        camera_pose_F34=pose_F34,
        camera_fov_F=fov_F,
        time_F=time_F,
    )


def _side_by_side(columns: list[npt.NDArray[np.float64]], frames: int, *axes: int) -> npt.NDArray[np.float64]:
    """(F, ...) for each figure to (F, M, ...), also for no figure."""
    return np.stack(columns, axis=1) if columns else np.zeros((frames, 0, *axes))
