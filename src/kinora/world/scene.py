"""A scene: a frozen declaration of everything that will happen in the theatre.

Units are metres, seconds, kilograms and radians. Axes: x right, y away from the starting camera, z up; the ground is
z = 0. Nothing here moves: `simulate` turns a scene into states over time, `render` turns states into pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from kinora.core.visemes import VisemeTrack

__all__ = [
    "HANDLED",
    "WORLD_VERSION",
    "Animal",
    "Body",
    "CameraPath",
    "Figure",
    "Identity",
    "Panel",
    "Physics",
    "Picture",
    "Place",
    "Rope",
    "Scene",
    "States",
]

WORLD_VERSION = "1.0"
"""Changes whenever a scene would look or read differently; weights carry the version they were trained on."""

Vec3 = tuple[float, float, float]
Rgb = tuple[float, float, float]

BODY_RADIUS = {"small": 0.34, "medium": 0.5, "large": 0.72}
"""Half the height of a body of each size, metres; bodies are as wide as they are high."""

HANDLED = ("carried", "pushed", "eaten")
"""Actions of a body that are a figure's doing: no values of the slot `body.action`."""


@dataclass(frozen=True, kw_only=True)
class Body:
    """A solid. Cylinders and cones stand on their base; cubes keep one face down; all may turn about the vertical."""

    shape: str
    colour: str
    size: str
    material: str
    action: str = "rest"
    """What it does, a value of the slot `body.action` or of `HANDLED` (by the first figure); the sampler sets position
    and velocity to match.
    """
    position: Vec3 = (0.0, 0.0, 0.5)
    """Centre at time 0."""
    velocity: Vec3 = (0.0, 0.0, 0.0)
    yaw: float = 0.0
    restitution: float = 0.0
    """Share of normal speed kept when it hits the ground or another body."""
    friction: float = 0.0
    """Coulomb coefficient of sliding for cubes, cylinders and cones; rolling resistance for spheres."""
    scale: float = 1.0
    """Factor on the size's radius, for scenes out of range and for what figures can hold."""
    anchor: Vec3 = (0.0, 0.0, 0.0)
    """What a swinging body hangs from by a string, or the middle of the circle of an orbiting one."""
    rate: float = 0.0
    """Of an orbiting body: radians a second, positive anticlockwise seen from above."""

    @property
    def radius(self) -> float:
        """Half its height, metres; also half its width."""
        return BODY_RADIUS[self.size] * self.scale

    @property
    def mass(self) -> float:
        """Kilograms at unit density of the bounding sphere."""
        return 4.19 * self.radius**3


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who a figure is, as numbers: this vector is what a reference picture of the figure shows."""

    skin: Rgb
    hair: str
    """A value of the slot `figure.hair`."""
    hair_style: int
    """0 short, 1 bob, 2 bun, 3 spiky, 4 long."""
    eyes: Rgb
    clothes: str
    """A value of the slot `figure.clothes`."""
    trousers: Rgb
    height: float = 1.5
    """Metres, 1.2 to 1.8."""
    head: float = 1.0
    """Factor on the head's size, 0.85 to 1.2."""
    girth: float = 1.0
    """Factor on the body's width, 0.85 to 1.2."""
    hat: str = "none"
    """A value of the slot `figure.hat`."""
    hat_colour: str = "red"
    """Colour of a cap or party hat, and of a top hat's band."""
    glasses: bool = False


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A toy person."""

    identity: Identity
    position: Vec3 = (0.0, 0.0, 0.0)
    """Where its feet stand at time 0."""
    heading: float = 0.0
    """Where it faces: 0 is toward the starting camera, positive turns to its own left (seen from above)."""
    action: str = "stand"
    speed: float = 0.0
    """Metres a second when walking; radians a second when turning, positive to its own left."""
    expression: str = "neutral"
    """A value of the slot `figure.expression`, kept all the time."""
    gaze: float = 0.0
    """Where its head is turned while it stands, nods or speaks, radians, own left positive."""
    side: float = 1.0
    """The hand that eats or strokes: +1 its own left, -1 its own right."""
    speech: VisemeTrack | None = field(default=None, compare=False)
    name: str | None = None


@dataclass(frozen=True, kw_only=True)
class Animal:
    """A toy dog."""

    colour: str
    """Of its coat, a value of the slot `animal.colour`."""
    position: Vec3 = (0.0, 0.0, 0.0)
    """The ground under its middle at time 0."""
    heading: float = 0.0
    """As of a figure: 0 is toward the starting camera, positive turns to its own left."""
    action: str = "sit"
    """A value of the slot `animal.action`: walk, sit, wag (stands and wags its tail)."""
    speed: float = 0.0
    """Metres a second when walking."""
    scale: float = 1.0
    """Factor on its size; at 1 it stands 0.65 m high."""


@dataclass(frozen=True, kw_only=True)
class Rope:
    """A rope that hangs from the bar of a frame, drawn aside at time 0 and let go."""

    anchor: Vec3 = (0.0, 0.0, 2.5)
    length: float = 1.7
    angle: float = 0.0
    """How far it is drawn aside, radians from the vertical; at 0 it hangs still."""
    azimuth: float = 0.0
    """The level direction it is drawn to: 0 is +x, positive turns towards +y."""
    damping: float = 0.03
    """Damping ratio of each of its modes."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A procedural picture: fixed by kind and seed, still or drifting."""

    kind: str
    """A value of the slot `backdrop` other than none."""
    seed: int
    drift: tuple[float, float] = (0.0, 0.0)
    """Motion of the texture over its panel, panel widths a second, right and up."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A flat picture standing upright: a wall, a backdrop or a card."""

    picture: Picture
    centre: Vec3
    width: float
    height: float
    yaw: float = 0.0
    """0 faces the starting camera (its normal is -y)."""


@dataclass(frozen=True, kw_only=True)
class Place:
    ground: str
    sky: str
    seed: int = 0
    """Lays out clouds, stars, tufts, ripples, grain, drops and flakes."""
    weather: str = "clear"
    """A value of the slot `weather`."""
    waves: str = "calm"
    """A value of the slot `waves`; there are waves on water only."""
    wind: float = 0.0
    """To the right (+x), in units of a light breeze: slants rain, carries snow, and its sign turns the waves."""


@dataclass(frozen=True, kw_only=True)
class Physics:
    gravity: float = 9.81


@dataclass(frozen=True, kw_only=True)
class CameraPath:
    """How the camera moves from where it starts."""

    kind: str = "still"
    """A value of the slot `camera`."""
    speed: str = "slow"
    rate: float = 0.0
    """Radians a second (pan, tilt, roll, orbit), metres a second (dolly), log of magnification a second (zoom)."""
    position: Vec3 = (0.0, -6.0, 1.7)
    target: Vec3 = (0.0, 0.0, 0.8)
    fov: float = 0.72
    """Angle across the shorter side of the picture at time 0, radians."""
    shot: str = "wide"
    """A value of the slot `shot`: close is a face that fills much of the picture."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Everything that will happen, fixed before it does."""

    place: Place
    bodies: tuple[Body, ...] = ()
    figures: tuple[Figure, ...] = ()
    panels: tuple[Panel, ...] = ()
    """The first panel is the backdrop when the slot `backdrop` is not none."""
    animals: tuple[Animal, ...] = ()
    ropes: tuple[Rope, ...] = ()
    camera: CameraPath = CameraPath()
    physics: Physics = Physics()
    seconds: float = 5.0
    frame_rate: float = 16.0
    seed: int = 0
    split: str = "train"
    """train, held_out (combinations never seen together in training) or out_of_range."""

    @property
    def frames(self) -> int:
        """Pixel frames: 4n + 1, so that the codec can hold the clip (5 s at 16 a second: 81)."""
        return 1 + 4 * round(self.seconds * self.frame_rate / 4)


@dataclass(frozen=True, kw_only=True, eq=False)
class States:
    """A scene over time, in float64: the exact physical truth.

    F frames, N bodies, M figures, A animals, R ropes, J joints of a rope.
    """

    body_position_FN3: npt.NDArray[np.float64]
    body_rotation_FN33: npt.NDArray[np.float64]
    """Body-to-world rotation (spheres roll, so their texture turns)."""
    body_velocity_FN3: npt.NDArray[np.float64]
    figure_root_FM3: npt.NDArray[np.float64]
    """Where the feet's midpoint is; z > 0 while jumping."""
    figure_heading_FM: npt.NDArray[np.float64]
    figure_head_FM2: npt.NDArray[np.float64]
    """Yaw (own left positive) and pitch (down positive) of the head against the body."""
    figure_limbs_FM4: npt.NDArray[np.float64]
    """Swing forward of left arm, right arm, left leg, right leg."""
    figure_spread_FM2: npt.NDArray[np.float64]
    """How much further outward than at rest the left and the right arm are turned."""
    figure_face_FM2: npt.NDArray[np.float64]
    """Smile in [-1, 1] (below 0 the mouth turns down) and eyelid closure in [0, 1]."""
    figure_brow_FM3: npt.NDArray[np.float64]
    """Brows raised, brows drawn together, eyes opened wide, each in [0, 1]."""
    figure_mouth_FM4: npt.NDArray[np.float64]
    """Mouth shape, axes as in `kinora.core.visemes.MOUTH_AXES`."""
    animal_root_FA3: npt.NDArray[np.float64]
    """The ground under its middle."""
    animal_heading_FA: npt.NDArray[np.float64]
    animal_legs_FA4: npt.NDArray[np.float64]
    """Swing forward of the front left, front right, hind left and hind right leg."""
    animal_pose_FA4: npt.NDArray[np.float64]
    """How far it sits (0 stands, 1 sits), yaw of the tail (own left positive), yaw and pitch of the head."""
    rope_FRJ3: npt.NDArray[np.float64]
    """Joints from the bar down to the free end."""
    camera_pose_F34: npt.NDArray[np.float64]
    camera_fov_F: npt.NDArray[np.float64]
    time_F: npt.NDArray[np.float64]

    def at(self, frames: npt.NDArray[np.int64]) -> States:
        """The states at chosen frames only."""
        return States(**{name: value[frames] for name, value in self.__dict__.items()})
