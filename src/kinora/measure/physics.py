"""Does motion obey? Falls, speeds and lasting things, measured on tracks of the colour judge.

A body's true radius turns its apparent radius into metres a pixel at its own distance, so no depth has to be known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kinora.core.slots import BodySlots
from kinora.understanding.colour import HUES, ColourBody, ColourReading
from kinora.world.scene import BODY_RADIUS, Body, Scene
from kinora.world.staging import GROUND_SPEEDS

__all__ = ["Fall", "Motion", "clearly_falls", "fit_fall", "measure_motion", "speed_along", "speed_error"]

Array = npt.NDArray[np.float64]

LEAST_FALL_FRAMES = 5
LANDED = 0.95
"""Share of the whole way down at which a fall is over: the landing itself is not free, and what lies may still settle.
"""
SPEED_SECONDS = 1.0
"""Speed is taken over the first second: friction has hardly slowed anything yet."""
ACROSS = {"sphere": 2.0, "cylinder": 2.0, "cone": 2.0, "cube": 2.5}
"""Width of a solid in the picture over its radius; a cube's depends on how it is turned, 2 to 2.8."""


@dataclass(frozen=True, kw_only=True)
class Fall:
    """A parabola through a falling body's heights."""

    gravity: float
    """Metres per second squared."""
    residual: float
    """Root mean square distance of the heights from the parabola, metres."""
    frames: int


@dataclass(frozen=True, kw_only=True)
class Motion:
    """What the colour judge could measure in one clip; None where there was nothing to measure."""

    gravity_error: float | None
    """Difference from the scene's gravity as a share of it."""
    speed_error: float | None
    """How far outside the range of the stated word the speed lies, as a share of the range's nearer end."""
    permanence: float | None
    """Share of (body, frame) in which the bodies of the first frame are there."""


def measure_motion(scene: Scene, stated: tuple[BodySlots, ...], reading: ColourReading, frame_rate: float) -> Motion:
    """Measure a clip that should show `scene`, whose prompt states `stated` of its bodies."""
    falls, speeds = [], []
    for body in scene.bodies:
        said = next((said for said in stated if said.colour == body.colour), None)
        track = _track_of(body.colour, reading)
        if said is None or track is None or not reading.camera_still:
            continue
        radius = BODY_RADIUS[body.size] * body.scale
        if clearly_falls(said, body):
            fall = fit_fall(track, radius=radius, shape=body.shape, frame_rate=frame_rate)
            falls += [] if fall is None else [abs(fall.gravity / scene.physics.gravity - 1.0)]
        speed = speed_along(track, radius=radius, shape=body.shape, frame_rate=frame_rate)
        if said.speed is not None and said.direction in ("left", "right") and speed is not None and body.scale == 1.0:
            speeds.append(speed_error(speed, said.speed))
    return Motion(
        gravity_error=float(np.mean(falls)) if falls else None,
        speed_error=float(np.mean(speeds)) if speeds else None,
        permanence=reading.permanence if reading.bodies else None,
    )


def clearly_falls(said: BodySlots, body: Body) -> bool:
    """Whether gravity can be told from such a body's fall: its width must tell metres, so its size must be stated (or
    a film may show another one) and as usual (no word tells what is beyond); a cube's depends on how it is turned, and
    glass has no colour of its own.
    """
    stated = body.action == said.action == "fall" and said.size is not None
    usual = body.shape != "cube" and body.material != "glass" and body.scale == 1.0
    return stated and usual and body.colour in HUES


def _track_of(colour: str, reading: ColourReading) -> ColourBody | None:
    """The one track of that colour; None when there is none, or more than one so that it is unclear which is meant."""
    tracks = [body for body in reading.bodies if body.colour == colour]
    return tracks[0] if colour in HUES and len(tracks) == 1 else None


def metres_per_side(track: ColourBody, *, radius: float, shape: str) -> float:
    """Metres that one picture side spans at the body's distance: its median over the frames in which it is seen."""
    return float(ACROSS[shape] * radius / np.median(track.width_F[track.seen_F]))


def fit_fall(track: ColourBody, *, radius: float, shape: str, frame_rate: float) -> Fall | None:
    """Least squares of a parabola through the heights from the first frame to just before the landing.

    None when the body is not seen to fall for at least five frames, or less than half its radius.
    """
    seen = np.flatnonzero(track.seen_F)
    scale = metres_per_side(track, radius=radius, shape=shape)
    height_N = -scale * track.y_F[seen]
    way = height_N[0] - height_N.min()
    if way < 0.5 * radius:
        return None
    landing = int(np.argmax(height_N[0] - height_N >= LANDED * way))
    if landing < LEAST_FALL_FRAMES or seen[landing] - seen[0] != landing:
        return None
    time_N = np.arange(landing) / frame_rate
    terms_N3 = np.stack([np.ones(landing), time_N, 0.5 * time_N**2], axis=1)
    found_3, *_ = np.linalg.lstsq(terms_N3, height_N[:landing], rcond=None)
    residual_N = terms_N3 @ found_3 - height_N[:landing]
    return Fall(gravity=-float(found_3[2]), residual=float(np.sqrt(np.mean(residual_N**2))), frames=landing)


def speed_along(track: ColourBody, *, radius: float, shape: str, frame_rate: float) -> float | None:
    """Metres a second across the picture over the first second, by a line through the places; None when hardly seen."""
    frames = 1 + round(SPEED_SECONDS * frame_rate)
    seen = np.flatnonzero(track.seen_F[:frames])
    if len(seen) < LEAST_FALL_FRAMES:
        return None
    slope = float(np.polyfit(seen / frame_rate, track.x_F[seen], 1)[0])
    return abs(slope) * metres_per_side(track, radius=radius, shape=shape)


def speed_error(speed: float, word: str) -> float:
    """0 inside the range of speeds that `word` (slow, fast) names, else the distance as a share of its nearer end."""
    low, high = GROUND_SPEEDS[word]
    if speed < low:
        return 1.0 - speed / low
    return max(0.0, speed / high - 1.0)
