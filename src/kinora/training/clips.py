"""What one training clip records: which moments of a scene it shows, and the truth that goes with them.

A five second clip has 21 latent frames; training needs to see only a few of them at a time, because the transformer is
told where in time each one stands. So a clip is a scene seed, latent frame 0 and a random few others, and what is true
at those.

Axes: T chosen latent frames, F pixel frames, P points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kinora.control.frames import mouth_windows, pose_vectors
from kinora.core.shapes import Compression
from kinora.core.visemes import MOUTH_AXES
from kinora.world.figures import HEAD_HALF, head_centre
from kinora.world.scene import Scene, States
from kinora.world.simulate import simulate

__all__ = ["ClipTruth", "choose_latent_frames", "clip_truth", "pixel_frames"]

Array = npt.NDArray[np.float32]

_PATCH_FRAMES = Compression().time


@dataclass(frozen=True, kw_only=True, eq=False)
class ClipTruth:
    """Conditions at the chosen latent frames of one clip."""

    pose_T12: Array
    """Camera pose told from the clip's first camera, [rotation | metres] by rows; all zero would mean "not given"."""
    mouth_TS: Array
    """Mouth shapes of the previous, this and the next latent frame's pixel frames; zero when nobody speaks."""
    face_T3: Array
    """Where the speaking face is: x and y of its centre and its radius in shares of the picture's width, height and
    shorter side; radius 0 where there is none."""


def choose_latent_frames(count: int, total: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """`count` of `total` latent frames, sorted: 0 always, and two neighbours, so that motion is seen at its finest."""
    if count >= total:
        return np.arange(total)
    if count < 3:
        return np.sort(np.append(rng.choice(np.arange(1, total), size=count - 1, replace=False), 0)).astype(np.int64)
    start = int(rng.integers(0, total - 1))
    chosen = {0, start, start + 1}
    rest = rng.permutation([t for t in range(1, total) if t not in chosen])
    return np.sort(np.array([*chosen, *rest[: count - len(chosen)]], dtype=np.int64))


def pixel_frames(latent_frames: npt.NDArray[np.int64]) -> list[int]:
    """The pixel frames inside some latent frames (0 first): frame 0, then 4t-3 to 4t of every later one."""
    frames = [0]
    for t in latent_frames[1:]:
        frames.extend(range(_PATCH_FRAMES * int(t) - _PATCH_FRAMES + 1, _PATCH_FRAMES * int(t) + 1))
    return frames


def clip_truth(
    scene: Scene, latent_frames: npt.NDArray[np.int64], *, height: int, width: int, states: States | None = None
) -> ClipTruth:
    """Simulate a scene (unless all its states are known) and read off the conditions of its chosen latent frames."""
    states = simulate(scene) if states is None else states
    speaking = next((m for m, figure in enumerate(scene.figures) if figure.speech is not None), None)
    if speaking is None:
        count = len(latent_frames)
        mouth_TS = np.zeros((count, 3 * _PATCH_FRAMES * len(MOUTH_AXES)), dtype=np.float32)
        face_T3 = np.zeros((count, 3), dtype=np.float32)
    else:
        mouth_TS = mouth_windows(states.figure_mouth_FM4[:, speaking], latent_frames)
        face_T3 = _face_track(scene, states, speaking, latent_frames, height=height, width=width)
    return ClipTruth(pose_T12=pose_vectors(states.camera_pose_F34, latent_frames), mouth_TS=mouth_TS, face_T3=face_T3)


def _face_track(
    scene: Scene, states: States, m: int, latent_frames: npt.NDArray[np.int64], *, height: int, width: int
) -> Array:
    """Centre and radius (T, 3) of figure `m`'s head in the picture at each latent frame's last pixel frame."""
    frames = _PATCH_FRAMES * latent_frames
    pose_T34 = states.camera_pose_F34[frames]
    identity = scene.figures[m].identity
    head_T3 = head_centre(scene.figures[m], states, m)[frames]
    seen_T3 = np.einsum("tji,tj->ti", pose_T34[:, :, :3], head_T3 - pose_T34[:, :, 3])
    # Pixels per unit of tangent, in shares of the shorter side: the field of view is told across that side.
    focal_T = 0.5 / np.tan(0.5 * states.camera_fov_F[frames])
    depth_T = np.maximum(seen_T3[:, 2], 1e-3)
    shorter = min(height, width)
    face_T3 = np.stack(
        [
            0.5 + focal_T * seen_T3[:, 0] / depth_T * shorter / width,
            0.5 + focal_T * seen_T3[:, 1] / depth_T * shorter / height,
            focal_T * max(HEAD_HALF) * identity.head * identity.height / depth_T,
        ],
        axis=1,
    )
    return np.where(seen_T3[:, 2:] > 0.1, face_T3, 0.0).astype(np.float32)
