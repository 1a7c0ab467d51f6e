"""How one body moves between contacts: flight, bounce, sliding, rolling and floating, each by its closed form.

Within a step the acceleration is constant (or, on water, linear in the displacement), so positions are exact
whatever the step; landing and coming to a stop are found inside the step and the rest of it goes on from there.
Plain floats, no arrays: a scene has a handful of bodies and some hundreds of steps, where array overhead would cost
ten times the arithmetic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from kinora.world.scene import Body

__all__ = ["DENSITY", "Mover", "advance", "energy", "floating_height", "start"]

SLIP_FRICTION = 0.4
"""Coulomb coefficient of a sphere that slips (rubber on wood, about); a frictionless sphere (friction 0) never
grips."""
SETTLE_SPEED = 0.05
"""A rebound slower than this, metres a second, ends the bouncing."""
DENSITY = 0.3
"""Of every floating body relative to water: 30% of its height is under the surface."""
WATER_DRAG = 0.04
"""Share of drift speed lost to the water in a second."""
BOB_DAMPING = 0.05
"""Damping ratio of the bobbing."""
SPHERE_INERTIA = 0.4
"""2/5: moment of inertia of a full sphere over m r^2."""
EPSILON = 1e-9


@dataclass(slots=True, kw_only=True)
class Mover:
    """The changing part of a body. `spin` is the angular velocity of a sphere, `turned` the rotation vector gathered
    since last read.
    """

    body: Body
    position: list[float]
    velocity: list[float]
    spin: list[float]
    turned: list[float]
    radius: float
    mass: float
    sphere: bool
    floats: bool
    floor: float = 0.0
    """Height of what is under it: the ground, or the top of another body."""

    @property
    def grounded(self) -> bool:
        """Whether it touches what is under it and is not about to leave."""
        return not self.floats and self.velocity[2] <= EPSILON and self.position[2] - self.radius - self.floor <= 1e-7

    @property
    def idle(self) -> bool:
        """Whether nothing but a push can move it."""
        return self.grounded and not any(self.velocity) and not any(self.spin)


def start(body: Body, *, water: bool) -> Mover:
    """The body at time 0. A sphere that is to roll already turns as it goes; any other starts without spin."""
    sphere = body.shape == "sphere"
    radius = body.radius
    spin = [0.0, 0.0, 0.0]
    if sphere and body.action == "roll":
        spin = [-body.velocity[1] / radius, body.velocity[0] / radius, 0.0]
    return Mover(
        body=body,
        position=list(body.position),
        velocity=list(body.velocity),
        spin=spin,
        turned=[0.0, 0.0, 0.0],
        radius=radius,
        mass=body.mass,
        sphere=sphere,
        floats=water,
    )


def floating_height(radius: float) -> float:
    """Height of the centre of a body of half height `radius` that floats at rest."""
    return radius * (1.0 - 2.0 * DENSITY)


def energy(mover: Mover, gravity: float) -> float:
    """Mechanical energy in joules against its resting height; spheres count their spin, floating bodies the water's
    spring.
    """
    x, y, z = mover.velocity
    kinetic = 0.5 * mover.mass * (x * x + y * y + z * z)
    spinning = 0.5 * SPHERE_INERTIA * mover.mass * mover.radius**2 * sum(s * s for s in mover.spin)
    if mover.floats:
        lift = mover.position[2] - floating_height(mover.radius)
        return kinetic + spinning + 0.5 * mover.mass * gravity / _draft(mover.radius) * lift * lift
    return kinetic + spinning + mover.mass * gravity * (mover.position[2] - mover.radius)


def advance(mover: Mover, seconds: float, gravity: float) -> None:
    """Moves the body on by `seconds`."""
    if mover.idle:
        return
    if mover.floats:
        _float(mover, seconds, gravity)
        return
    left = seconds
    while left > EPSILON:
        left -= _along_floor(mover, left, gravity) if mover.grounded else _flight(mover, left, gravity)


def _flight(mover: Mover, seconds: float, gravity: float) -> float:
    """Free flight until it lands or the time is over; returns the time used."""
    drop = mover.position[2] - mover.radius - mover.floor
    rise = mover.velocity[2]
    landing = (rise + math.sqrt(max(0.0, rise * rise + 2.0 * gravity * drop))) / gravity if gravity > 0 else math.inf
    used = min(seconds, landing)
    _shift(mover, used, (0.0, 0.0, -gravity))
    if landing <= seconds:
        mover.position[2] = mover.floor + mover.radius
        rebound = -mover.body.restitution * mover.velocity[2]
        mover.velocity[2] = rebound if rebound > SETTLE_SPEED else 0.0
    _turn(mover, used, mover.spin)
    return used


def _along_floor(mover: Mover, seconds: float, gravity: float) -> float:
    """Sliding, slipping or rolling until the regime changes or the time is over; returns the time used."""
    mover.velocity[2] = 0.0
    if mover.sphere and mover.body.friction > 0.0:
        slip_x = mover.velocity[0] - mover.radius * mover.spin[1]
        slip_y = mover.velocity[1] + mover.radius * mover.spin[0]
        slip = math.hypot(slip_x, slip_y)
        if slip > 1e-6:
            return _slipping(mover, seconds, gravity, (slip_x / slip, slip_y / slip, slip))
    return _slowing(mover, seconds, gravity)


def _slowing(mover: Mover, seconds: float, gravity: float) -> float:
    """v = v0 - mu g t along the motion, then rest: sliding solids, and spheres against rolling resistance."""
    x, y, _ = mover.velocity
    speed = math.hypot(x, y)
    braking = mover.body.friction * gravity
    if speed <= EPSILON:
        mover.velocity = [0.0, 0.0, 0.0]
        if mover.body.friction > 0.0:
            mover.spin = [0.0, 0.0, 0.0]
        _turn(mover, seconds, mover.spin)
        return seconds
    stop = speed / braking if braking > 0.0 else math.inf
    used = min(seconds, stop)
    _shift(mover, used, (-braking * x / speed, -braking * y / speed, 0.0))
    if stop <= seconds:
        mover.velocity = [0.0, 0.0, 0.0]
    # Without friction nothing changes the spin; with it the ball rolls as it goes.
    _turn(mover, used, _rolling(mover) if mover.body.friction > 0.0 else mover.spin)
    return used


def _slipping(mover: Mover, seconds: float, gravity: float, slip: tuple[float, float, float]) -> float:
    """A sphere whose contact point skids: friction brakes it and spins it up until it rolls (v falls by 2/7 from no
    spin).
    """
    slip_x, slip_y, speed = slip
    braking = SLIP_FRICTION * gravity
    grip = speed / (braking * (1.0 + 1.0 / SPHERE_INERTIA))
    used = min(seconds, grip)
    _shift(mover, used, (-braking * slip_x, -braking * slip_y, 0.0))
    spin_up = braking * used / (SPHERE_INERTIA * mover.radius)
    spin = [mover.spin[0] - spin_up * slip_y, mover.spin[1] + spin_up * slip_x, 0.0]
    _turn(mover, used, _rolling(mover) if grip <= seconds else spin)
    return max(used, 2.0 * EPSILON)


def _rolling(mover: Mover) -> list[float]:
    """The spin at which the contact point of a sphere stands still."""
    return [-mover.velocity[1] / mover.radius, mover.velocity[0] / mover.radius, 0.0]


def _shift(mover: Mover, seconds: float, acceleration: tuple[float, float, float]) -> None:
    for axis in range(3):
        mover.position[axis] += seconds * (mover.velocity[axis] + 0.5 * seconds * acceleration[axis])
        mover.velocity[axis] += seconds * acceleration[axis]


def _turn(mover: Mover, seconds: float, spin: list[float]) -> None:
    """Turns a sphere while its spin goes evenly to `spin`."""
    if mover.sphere:
        for axis in range(3):
            mover.turned[axis] += 0.5 * seconds * (mover.spin[axis] + spin[axis])
        mover.spin = spin


def _draft(radius: float) -> float:
    return 2.0 * radius * DENSITY


def _float(mover: Mover, seconds: float, gravity: float) -> None:
    """Damped oscillation about the waterline, z'' = -w^2 z - 2 c w z' with w^2 = g / draft, and drift that slowly
    dies away.
    """
    waterline = floating_height(mover.radius)
    natural = math.sqrt(gravity / _draft(mover.radius))
    decay, rate = BOB_DAMPING * natural, natural * math.sqrt(1.0 - BOB_DAMPING**2)
    lift, climb = mover.position[2] - waterline, mover.velocity[2]
    cosine, sine = math.cos(rate * seconds), math.sin(rate * seconds)
    fade = math.exp(-decay * seconds)
    quadrature = (climb + decay * lift) / rate
    mover.position[2] = waterline + fade * (lift * cosine + quadrature * sine)
    mover.velocity[2] = fade * (climb * cosine - (decay * quadrature + rate * lift) * sine)
    carried = -math.expm1(-WATER_DRAG * seconds) / WATER_DRAG
    slowed = math.exp(-WATER_DRAG * seconds)
    for axis in range(2):
        mover.position[axis] += mover.velocity[axis] * carried
        mover.velocity[axis] *= slowed
