"""Contacts between bodies, and of bodies with figures.

Two spheres touch as spheres. Everything else is upright, so it touches sideways: each solid is taken at its half
width along the line between the two axes (a cube's depends on how it is turned), which is never less than the solid
itself, so solids that do not touch here do not touch at all. Pushes are central: no contact turns a solid about the
vertical.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from kinora.world.physics import Mover

__all__ = ["Contact", "bounce_apart", "contact", "obstacle_contact", "rest_height"]

CONE_SPHERE_REACH = 0.618
"""Share of a sphere's radius by which it stands off the base of a cone it touches, both on the ground.

(sqrt 5 - 1) / 2, since the cone's side leans in by one half of its height."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """How two things stand to one another: distance between their surfaces (negative inside) along a unit vector
    from first to second.
    """

    gap: float
    normal: tuple[float, float, float]

    def closing(self, first: Mover, second: Mover | None) -> float:
        """Speed at which they near each other along the normal; a figure, None, stands still."""
        other = second.velocity if second is not None else (0.0, 0.0, 0.0)
        return sum(n * (a - b) for n, a, b in zip(self.normal, first.velocity, other, strict=True))


def contact(first: Mover, second: Mover) -> Contact | None:
    """How two bodies stand to one another; None when one is wholly above the other."""
    along = [b - a for a, b in zip(first.position, second.position, strict=True)]
    reach = first.radius + second.radius
    flat = math.hypot(along[0], along[1])
    if first.sphere and second.sphere:
        distance = math.sqrt(flat * flat + along[2] * along[2])
        level = (first.grounded and second.grounded) or first.floats
        # On the ground the push along a tilted normal is taken up by the ground: only its level part moves them.
        scale = flat if level else distance
        height = 0.0 if level else along[2]
        return Contact(gap=distance - reach, normal=_unit(along[0], along[1], height, scale))
    if abs(along[2]) >= reach - 1e-6:
        return None
    normal = _unit(along[0], along[1], 0.0, flat)
    bearing = math.atan2(normal[1], normal[0])
    return Contact(gap=flat - _half_width(first, second, bearing) - _half_width(second, first, bearing), normal=normal)


def obstacle_contact(mover: Mover, centre: tuple[float, float], radius: float, height: float) -> Contact | None:
    """How a body stands to an upright obstacle of the given radius and height; None when it is above it."""
    if mover.position[2] - mover.radius >= height:
        return None
    across, along = centre[0] - mover.position[0], centre[1] - mover.position[1]
    flat = math.hypot(across, along)
    normal = _unit(across, along, 0.0, flat)
    return Contact(gap=flat - radius - _half_width(mover, None, math.atan2(along, across)), normal=normal)


def bounce_apart(first: Mover, second: Mover | None, touch: Contact) -> None:
    """Exchanges momentum along the normal (Newton's restitution, the mean of both bodies') and undoes any overlap."""
    restitution = first.body.restitution
    first_share = 1.0
    if second is not None:
        restitution = 0.5 * (restitution + second.body.restitution)
        first_share = second.mass / (first.mass + second.mass)
    change = (1.0 + restitution) * max(0.0, touch.closing(first, second))
    overlap = max(0.0, -touch.gap)
    for axis, n in enumerate(touch.normal):
        first.velocity[axis] -= first_share * change * n
        first.position[axis] -= first_share * overlap * n
        if second is not None:
            second.velocity[axis] += (1.0 - first_share) * change * n
            second.position[axis] += (1.0 - first_share) * overlap * n


def rest_height(mover: Mover, others: list[Mover]) -> float:
    """Height of what a body would land on: the ground, or the flat top of a lower body that it stands over."""
    height = 0.0
    for other in others:
        if other is mover or (other.sphere and mover.sphere):
            continue
        top = other.position[2] + other.radius
        if mover.position[2] - mover.radius < top - 1e-6 or top <= height:
            continue
        across, along = other.position[0] - mover.position[0], other.position[1] - mover.position[1]
        bearing = math.atan2(along, across)
        if math.hypot(across, along) < _half_width(mover, other, bearing) + _half_width(other, mover, bearing):
            height = top
    return height


def _half_width(mover: Mover, other: Mover | None, bearing: float) -> float:
    """Reach of a solid along a bearing, metres."""
    if mover.body.shape == "cube":
        turned = bearing - mover.body.yaw
        return mover.radius * (abs(math.cos(turned)) + abs(math.sin(turned)))
    if mover.sphere and other is not None and other.body.shape == "cone" and mover.grounded and other.grounded:
        return mover.radius * CONE_SPHERE_REACH
    return mover.radius


def _unit(x: float, y: float, z: float, length: float) -> tuple[float, float, float]:
    return (x / length, y / length, z / length) if length > 1e-9 else (1.0, 0.0, 0.0)
