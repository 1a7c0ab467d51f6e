"""Did the camera move as asked? Told from how points of the first picture go through the film.

Two fits, both robust (a point that goes its own way counts ever less, the farther it is from the fit):

- *amount*: by how much must the asked move be scaled so that it explains the film best? 1 is as asked, 0 stood still,
  less than 0 went the wrong way. For travel this needs the depth of every point (true scenes: their truth; elsewhere:
  the flow of the guide that the film was asked to follow).
- *turn*: the rotation and the change of focal length that explain the last frame best, whatever was asked; so it also
  sees a roll that nobody wanted. For moves without travel, where depth does not matter.

What fools it: a picture with hardly a point to hold (a bare ground under a bare sky), bodies that move all alike, and
a world repainted as the camera goes on: a point is only itself while it looks like itself.

Axes: F frames, P points, 2 = (x right, y down) in pixels, 3 = camera axes x right, y down, z forward.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from kinora.core.camera import CameraTrack
from kinora.core.poses import rotation_about
from kinora.measure.control.tracking import Followed
from kinora.world.projection import focal_length

__all__ = ["CameraFigures", "View", "fit_amount", "fit_turn", "flow_of_guide", "measure_camera", "scaled"]

Array = npt.NDArray[np.float64]
Predict = Callable[[float], Array]
"""Where every point should be (F, P, 2) if the asked move were scaled by an amount."""

LEAST_POINTS = 6
"""Sure points without which a frame tells nothing."""
AMOUNTS = np.linspace(-2.0, 3.0, 101)
TRUSTED = 1.5
"""Pixels: points that lie farther from a fit count ever less."""


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """What the first picture shows: where points are, and how far away."""

    points_P2: Array
    depth_P: Array
    """Along the view axis, in distances to what the camera looks at; infinite in the sky."""
    fov: float
    """Angle across the shorter side, radians."""
    height: int
    width: int

    def seen(self, track: CameraTrack) -> Array:
        """Where the points are in each frame of a track (F, P, 2); NaN behind the camera."""
        middle_2 = np.array([0.5 * self.width, 0.5 * self.height])
        focal = float(focal_length(self.fov, self.height, self.width))
        ray_P3 = np.column_stack([(self.points_P2 - middle_2) / focal, np.ones(len(self.points_P2))])
        nearness_P1 = (1.0 / self.depth_P)[:, None]
        frames = []
        for pose_34, zoom in zip(track.pose_F34, track.zoom_F, strict=True):
            # In the sky only the direction counts: its nearness is 0.
            seen_P3 = (ray_P3 - nearness_P1 * pose_34[:, 3]) @ pose_34[:, :3]
            ahead_P1 = np.where(seen_P3[:, 2:] > 1e-6, seen_P3[:, 2:], np.nan)
            frames.append(seen_P3[:, :2] / ahead_P1 * focal * zoom + middle_2)
        return np.stack(frames)


@dataclass(frozen=True, kw_only=True)
class CameraFigures:
    """What was measured; None where too few points lasted."""

    amount: float | None
    """Share of the asked move that was made."""
    error: float | None
    """Distance of the pose from the asked one as a share of the asked motion, at the last frame that can be told."""
    sign_right: bool | None
    lasting: float
    """Share of the points that could be followed to the last frame."""


def measure_camera(followed: Followed, view: View, track: CameraTrack) -> CameraFigures:
    """Measure a film against the track it was asked to follow, from points whose depth is known."""
    amount = fit_amount(followed, lambda share: view.seen(scaled(track, share)))
    travels = bool(np.abs(track.pose_F34[:, :, 3]).max() > 1e-6)
    turn = None if travels else fit_turn(followed, view)
    error = None if amount is None else abs(amount - 1.0)
    if turn is not None:
        error = _turn_error(turn, track)
    sign = None if amount is None else amount > 0.0
    return CameraFigures(amount=amount, error=error, sign_right=sign, lasting=float(followed.sure_FP[-1].mean()))


def scaled(track: CameraTrack, share: float) -> CameraTrack:
    """The same move, made only by a share (or more than once, or backwards): turns, ways and zoom all scaled."""
    poses = []
    for pose_34 in track.pose_F34:
        turned_33 = _rotation(share * rotation_vector(pose_34[:, :3]))
        poses.append(np.column_stack([turned_33, share * pose_34[:, 3]]))
    return CameraTrack(pose_F34=np.stack(poses), zoom_F=np.exp(share * np.log(track.zoom_F)))


def rotation_vector(rotation_33: Array) -> Array:
    """Axis times angle, radians, of a rotation by less than half a turn."""
    angle = math.acos(float(np.clip((np.trace(rotation_33) - 1.0) / 2.0, -1.0, 1.0)))
    twist_3 = np.array(
        [
            rotation_33[2, 1] - rotation_33[1, 2],
            rotation_33[0, 2] - rotation_33[2, 0],
            rotation_33[1, 0] - rotation_33[0, 1],
        ]
    )
    return np.asarray(0.5 * twist_3 if angle < 1e-6 else twist_3 * (angle / (2.0 * math.sin(angle))))


def _rotation(vector_3: Array) -> Array:
    angle = float(np.linalg.norm(vector_3))
    return np.eye(3) if angle < 1e-12 else rotation_about(vector_3 / angle, angle)


def fit_amount(followed: Followed, predict: Predict) -> float | None:
    """The amount whose prediction lies nearest to what was followed, over all frames together; None without points.

    Nearest: least sum of d^2 / (d^2 + t^2), d in pixels (Geman and McClure): a point far off counts 1, however far.
    """
    sure_FP = followed.sure_FP & (followed.sure_FP.sum(1) >= LEAST_POINTS)[:, None]
    if not sure_FP[1:].any():
        return None

    def cost(amount: float) -> float:
        away_FP = np.linalg.norm(followed.pixels_FP2 - predict(amount), axis=2)[sure_FP]
        square = np.where(np.isfinite(away_FP), away_FP, np.inf) ** 2
        return float(np.mean(1.0 / (1.0 + TRUSTED**2 / np.maximum(square, 1e-12))))

    best = float(min(AMOUNTS, key=cost))
    step = float(AMOUNTS[1] - AMOUNTS[0])
    while step > 1e-3:
        best = min((best - step, best - step / 2, best, best + step / 2, best + step), key=cost)
        step /= 2
    return best


@dataclass(frozen=True, kw_only=True, eq=False)
class Turn:
    """What a camera that only turns and zooms did up to a frame."""

    frame: int
    rotation_33: Array
    """Camera axes at the frame, told in the first frame's."""
    log_zoom: float


def fit_turn(followed: Followed, view: View) -> Turn | None:
    """Rotation and zoom from the first frame to the last that can be told; None when none can.

    Gauss and Newton on the four numbers, each point weighted by 1 / (1 + d^2 / t^2)^2. A frame can be told when six
    points, and half of those it has, lie within three pixels of the fit.
    """
    frames = np.flatnonzero(followed.sure_FP.sum(1) >= LEAST_POINTS)
    last = int(frames[-1]) if len(frames) else 0
    found_4, told = np.zeros(4), None
    for frame in sorted({*range(4, last, 4), last} - {0}):
        sure_P = followed.sure_FP[frame]
        if sure_P.sum() < LEAST_POINTS:
            continue
        start = replace(view, points_P2=view.points_P2[sure_P], depth_P=np.full(int(sure_P.sum()), np.inf))
        fitted_4, away_P = _fit_frame(start, followed.pixels_FP2[frame][sure_P], found_4)
        near = int((away_P < 2 * TRUSTED).sum())
        if near >= max(LEAST_POINTS, 0.5 * len(away_P)):
            found_4, told = fitted_4, frame
    if told is None:
        return None
    return Turn(frame=told, rotation_33=_rotation(found_4[:3]), log_zoom=float(found_4[3]))


def _fit_frame(start: View, place_P2: Array, found_4: Array) -> tuple[Array, Array]:
    """The four numbers that explain one frame best, and how far from them each point lies (P), pixels."""

    def seen(numbers_4: Array) -> Array:
        pose_34 = np.column_stack([_rotation(numbers_4[:3]), np.zeros(3)])
        track = CameraTrack(pose_F34=pose_34[None], zoom_F=np.exp(numbers_4[3:]))
        return start.seen(track)[0]

    # Wide at first, so that no half of the points is taken for outliers before the fit has come near.
    for trusted in (32.0, 32.0, 16.0, 8.0, 4.0, *([TRUSTED] * 6)):
        now_P2 = seen(found_4)
        error_P2 = place_P2 - now_P2
        weight_P = 1.0 / (1.0 + (error_P2**2).sum(1) / trusted**2) ** 2
        slope_P24 = np.stack([(seen(found_4 + 1e-5 * unit_4) - now_P2) / 1e-5 for unit_4 in np.eye(4)], axis=2)
        fine_P = np.isfinite(slope_P24).all((1, 2)) & np.isfinite(error_P2).all(1)
        root_P1 = np.sqrt(weight_P[fine_P])[:, None]
        steep_N4 = (slope_P24[fine_P] * root_P1[:, :, None]).reshape(-1, 4)
        step_4, *_ = np.linalg.lstsq(steep_N4, (error_P2[fine_P] * root_P1).reshape(-1), rcond=None)
        found_4 = found_4 + step_4
    return found_4, np.nan_to_num(np.linalg.norm(place_P2 - seen(found_4), axis=1), nan=np.inf)


def _turn_error(turn: Turn, track: CameraTrack) -> float:
    """Radians (and logarithms of zoom) off, over those asked."""
    asked_33, asked_zoom = track.pose_F34[turn.frame, :, :3], math.log(track.zoom_F[turn.frame])
    asked = math.hypot(float(np.linalg.norm(rotation_vector(asked_33))), asked_zoom)
    off_33 = turn.rotation_33.T @ asked_33
    off = math.hypot(float(np.linalg.norm(rotation_vector(off_33))), turn.log_zoom - asked_zoom)
    return off / max(asked, 1e-9)


def flow_of_guide(guide: Followed) -> Predict:
    """Prediction from points followed through the guide that the film was asked to follow: their ways, scaled.

    Points that the guide lost are predicted nowhere (NaN), so they count against every amount alike.
    """
    start_P2 = guide.pixels_FP2[0]
    way_FP2 = np.where(guide.sure_FP[:, :, None], guide.pixels_FP2 - start_P2, np.nan)
    return lambda share: start_P2 + share * way_FP2
