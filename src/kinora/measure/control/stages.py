"""Held-out scenes for the measures of control, and what they would truly look like if the conditions were obeyed.

The true films are the instruments' own test: what a measure says of them is the best it can say of anything.
Axes: F frames, H W pixels, P points.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from kinora.core.camera import CameraTrack
from kinora.core.clip import Clip
from kinora.world.mirror import mirror
from kinora.world.mix import Mix
from kinora.world.projection import focal_length, unproject
from kinora.world.render import render_states
from kinora.world.sampler import sample_scene
from kinora.world.scene import Body, Figure, Scene, States
from kinora.world.simulate import simulate

__all__ = ["FIRST_SEED", "STILL_MIX", "Opening", "along_path", "draw_clip", "opening", "resting_scenes", "with_camera"]

Array = npt.NDArray[np.float64]

FIRST_SEED = 80_000_000
"""No library and no other measure counts up to here."""
STILL_MIX = Mix(figures=0.4, backdrop=0.25, moving_picture=0.0, camera=0.0, collision=0.0, water=0.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Opening:
    """A scene's first picture and its truth."""

    scene: Scene
    rgb_HW3: npt.NDArray[np.uint8]
    ids_HW: npt.NDArray[np.int16]
    """As in `kinora.world.Rendered`."""
    depth_HW: Array
    """Metres along the view axis; infinite in the sky."""

    @property
    def distance(self) -> float:
        """Metres to what the camera looks at: the unit of asked travel."""
        return float(np.linalg.norm(np.subtract(self.scene.camera.target, self.scene.camera.position)))

    def depth_at(self, points_P2: Array) -> Array:
        """Depth of what pixels show, in that unit."""
        column_P, row_P = np.floor(points_P2).astype(np.int64).T
        return np.asarray(self.depth_HW[row_P, column_P] / self.distance)


def resting_scenes(first: int, *, mix: Mix = STILL_MIX, seconds: float = 5.0) -> Iterator[Scene]:
    """Scenes in which nothing moves, from a seed of this range on; half of them mirrored, of the held-out split."""
    seed = FIRST_SEED + first
    while True:
        scene = sample_scene(seed, split="held_out", mix=mix)
        scene = mirror(scene) if seed % 2 else scene
        yield replace(
            scene,
            bodies=tuple(_rest(body) for body in scene.bodies),
            figures=tuple(_stand(figure) for figure in scene.figures),
            seconds=seconds,
        )
        seed += 1


def _rest(body: Body) -> Body:
    x, y, _ = body.position
    return replace(body, action="rest", velocity=(0.0, 0.0, 0.0), position=(x, y, body.radius))


def _stand(figure: Figure) -> Figure:
    return replace(figure, action="stand", speed=0.0, speech=None)


def opening(scene: Scene, height: int, width: int) -> Opening:
    """The first picture of a scene."""
    drawn = render_states([scene], [simulate(scene).at(np.array([0]))], height=height, width=width, truth=True)
    assert drawn.ids_BFHW is not None
    assert drawn.depth_BFHW is not None
    return Opening(
        scene=scene,
        rgb_HW3=drawn.rgb_BFHW3[0, 0].numpy(),
        ids_HW=drawn.ids_BFHW[0, 0].numpy(),
        depth_HW=drawn.depth_BFHW[0, 0].numpy().astype(np.float64),
    )


def draw_clip(scene: Scene, states: States, height: int, width: int) -> Clip:
    """A scene's film from its states."""
    drawn = render_states([scene], [states], height=height, width=width)
    return Clip(frames_FHWC=drawn.rgb_BFHW3[0].numpy(), frame_rate=scene.frame_rate)


def with_camera(scene: Scene, track: CameraTrack) -> States:
    """The states of a scene seen by a camera that goes along a track."""
    states = simulate(scene).at(np.arange(len(track.zoom_F)))
    first_34, unit = states.camera_pose_F34[0], np.linalg.norm(np.subtract(scene.camera.target, scene.camera.position))
    pose_F34 = np.stack(
        [
            np.column_stack([first_34[:, :3] @ pose_34[:, :3], first_34[:, 3] + unit * first_34[:, :3] @ pose_34[:, 3]])
            for pose_34 in track.pose_F34
        ]
    )
    fov_F = 2.0 * np.arctan(np.tan(0.5 * states.camera_fov_F[0]) / track.zoom_F)
    return replace(states, camera_pose_F34=pose_F34, camera_fov_F=fov_F)


def along_path(scene: Scene, index: int, points_F2: Array) -> States:
    """The states of a scene whose body `index` goes along a path in the picture, always as far from the camera's plane.

    `points_F2` are in shares of the (square) picture; the body's middle goes by what they differ from the first.
    """
    states = simulate(scene).at(np.arange(len(points_F2)))
    pose_34, fov = states.camera_pose_F34[0], float(states.camera_fov_F[0])
    seen_3 = (states.body_position_FN3[0, index] - pose_34[:, 3]) @ pose_34[:, :3]
    start_2 = 0.5 + seen_3[:2] / seen_3[2] * focal_length(fov, 1, 1)
    place_F2 = start_2 + points_F2 - points_F2[0]
    position_FN3 = states.body_position_FN3.copy()
    position_FN3[:, index] = unproject(place_F2, np.full(len(place_F2), seen_3[2]), pose_34, fov, 1, 1)
    return replace(states, body_position_FN3=position_FN3)
