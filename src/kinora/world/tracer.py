"""Rays against unit solids: where a ray enters and leaves, which it meets first, and how the surface lies there.

All four are convex, so a ray is inside one for a single span [near, far] of its parameter; a miss has near > far.
Axes in names: P pairs of a ray and a solid, R rays, K solids.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kinora.world.parts import KINDS
from kinora.world.solids import Solids
from kinora.world.views import dot, normalised

__all__ = ["first_hits", "spans", "surface", "unit_vectors"]

NEAREST = 1e-3
"""A ray that starts this close to a surface, metres of depth, does not meet it."""
FAR = 1e9


def unit_vectors(solids: Solids, solid_P: Tensor, vector_3P: Tensor) -> Tensor:
    """World vectors (3, P) in the unit space of each pair's solid."""
    m = solids.to_unit_9K.index_select(1, solid_P)
    x, y, z = vector_3P
    return torch.stack([m[3 * i] * x + m[3 * i + 1] * y + m[3 * i + 2] * z for i in range(3)])


def spans(solids: Solids, solid_P: Tensor, origin_3P: Tensor, direction_3P: Tensor) -> tuple[Tensor, Tensor]:
    """Ray parameters where each ray enters and leaves its pair's solid; near > far where it misses."""
    start_3P = unit_vectors(solids, solid_P, origin_3P - solids.centre_3K.index_select(1, solid_P))
    step_3P = unit_vectors(solids, solid_P, direction_3P)
    if len(solids.kinds) == 1:
        return _SPANS[solids.kinds[0]](start_3P, step_3P)
    near_P = torch.full_like(start_3P[0], FAR)
    far_P = torch.full_like(near_P, -FAR)
    kind_P = solids.kind_K.index_select(0, solid_P)
    for kind in solids.kinds:
        chosen = (kind_P == kind).nonzero().squeeze(1)
        near, far = _SPANS[kind](start_3P.index_select(1, chosen), step_3P.index_select(1, chosen))
        near_P.index_copy_(0, chosen, near)
        far_P.index_copy_(0, chosen, far)
    return near_P, far_P


def _quadratic(a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Span where a t^2 + 2 b t + c <= 0, for a > 0; near > far where there is none."""
    discriminant = b * b - a * c
    root = discriminant.clamp_min(0.0).sqrt()
    inverse = 1.0 / a
    missed = discriminant < 0.0
    near = ((-b - root) * inverse).masked_fill_(missed, FAR)
    far = ((root - b) * inverse).masked_fill_(missed, -FAR)
    return near, far


def _away_from_zero(value: Tensor) -> Tensor:
    return torch.where(value.abs() < 1e-9, torch.full_like(value, 1e-9), value)


def _slab(start: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
    """Span where |start + t step| <= 1."""
    inverse = 1.0 / _away_from_zero(step)
    middle = -start * inverse
    half = inverse.abs()
    return middle - half, middle + half


def _sphere(start: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
    # The constant term is |start|^2 - 1: taken from the point nearest the centre it keeps its digits far away.
    a, b = dot(step, step), dot(start, step)
    inverse = 1.0 / a
    middle = -b * inverse
    closest = torch.addcmul(start, step, middle)
    room = 1.0 - dot(closest, closest)
    half = (room.clamp_min(0.0) * inverse).sqrt()
    missed = room < 0.0
    return (middle - half).masked_fill_(missed, FAR), (middle + half).masked_fill_(missed, -FAR)


def _cube(start: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
    near, far = _slab(start[0], step[0])
    for axis in (1, 2):
        low, high = _slab(start[axis], step[axis])
        near, far = torch.maximum(near, low), torch.minimum(far, high)
    return near, far


def _cylinder(start: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
    a = (step[0] * step[0] + step[1] * step[1]).clamp_min(1e-12)
    b = start[0] * step[0] + start[1] * step[1]
    c = start[0] * start[0] + start[1] * start[1] - 1.0
    near, far = _quadratic(a, b, c)
    low, high = _slab(start[2], step[2])
    return torch.maximum(near, low), torch.minimum(far, high)


def _cone(start: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
    """x^2 + y^2 <= w^2 with w = (1 - z) / 2: a double cone, of which the slab |z| <= 1 keeps the lower one."""
    width, narrowing = 0.5 * (1.0 - start[2]), -0.5 * step[2]
    a = _away_from_zero(step[0] * step[0] + step[1] * step[1] - narrowing * narrowing)
    b = start[0] * step[0] + start[1] * step[1] - width * narrowing
    c = start[0] * start[0] + start[1] * start[1] - width * width
    discriminant = b * b - a * c
    root = discriminant.clamp_min(0.0).sqrt()
    one, other = (-b - root) / a, (root - b) / a
    first, second = torch.minimum(one, other), torch.maximum(one, other)
    # Steeper than the cone's side (a < 0): inside before the first root when rising, after the second when sinking.
    steep, rising = a < 0.0, step[2] > 0.0
    near = torch.where(steep, torch.where(rising, torch.full_like(first, -FAR), second), first)
    far = torch.where(steep, torch.where(rising, first, torch.full_like(first, FAR)), second)
    low, high = _slab(start[2], step[2])
    missed = discriminant < 0.0
    return torch.maximum(near, low).masked_fill_(missed, FAR), torch.minimum(far, high).masked_fill_(missed, -FAR)


_SPANS = (_sphere, _cube, _cylinder, _cone)


def first_hits(rays: int, ray_P: Tensor, solid_P: Tensor, near_P: Tensor, far_P: Tensor) -> tuple[Tensor, Tensor]:
    """For each of `rays` rays the depth of the first solid met (infinite: none) and the solid's index (-1: none).

    Minimum and maximum do not depend on order, so the result is the same on every run of any device.
    """
    met = ((near_P <= far_P) & (near_P > NEAREST)).nonzero().squeeze(1)
    ray, solid, near = ray_P.index_select(0, met), solid_P.index_select(0, met), near_P.index_select(0, met)
    depth_R = near.new_full((rays,), math.inf).scatter_reduce_(0, ray, near, "amin")
    first = (near == depth_R.index_select(0, ray)).nonzero().squeeze(1)
    solid_R = torch.full((rays,), -1, dtype=torch.long, device=near.device)
    solid_R.scatter_reduce_(0, ray.index_select(0, first), solid.index_select(0, first), "amax")
    return depth_R, solid_R


def surface(solids: Solids, solid_P: Tensor, point_3P: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Outward world normal (3, P), unit point (3, P) and facet number (P) where `point_3P` lies on its solid."""
    unit_3P = unit_vectors(solids, solid_P, point_3P - solids.centre_3K.index_select(1, solid_P))
    normal_3P, facet_P = unit_3P.clone(), torch.zeros_like(solid_P)
    kind_P = solids.kind_K.index_select(0, solid_P)
    for kind in solids.kinds:
        if KINDS[kind] == "sphere":
            continue
        chosen = (kind_P == kind).nonzero().squeeze(1)
        normal, facet = _NORMALS[KINDS[kind]](unit_3P.index_select(1, chosen))
        normal_3P.index_copy_(1, chosen, normal)
        facet_P.index_copy_(0, chosen, facet)
    m = solids.to_unit_9K.index_select(1, solid_P)
    x, y, z = normal_3P
    world_3P = torch.stack([m[i] * x + m[3 + i] * y + m[6 + i] * z for i in range(3)])
    return normalised(world_3P), unit_3P, facet_P


def _cube_normal(unit: Tensor) -> tuple[Tensor, Tensor]:
    size = unit.abs()
    z_face = size[2] >= torch.maximum(size[0], size[1])
    x_face = ~z_face & (size[0] >= size[1])
    y_face = ~z_face & ~x_face
    axis = torch.stack([x_face, y_face, z_face])
    facet = (axis * torch.tensor([[1], [3], [5]], device=unit.device)).sum(0) + ((unit < 0.0) & axis).any(0)
    return axis * unit.sign(), facet


def _cylinder_normal(unit: Tensor) -> tuple[Tensor, Tensor]:
    capped = unit[2].abs() >= (unit[0] * unit[0] + unit[1] * unit[1]).sqrt()
    flat = torch.zeros_like(unit[0])
    normal = torch.stack(
        [
            torch.where(capped, flat, unit[0]),
            torch.where(capped, flat, unit[1]),
            torch.where(capped, unit[2].sign(), flat),
        ]
    )
    return normal, capped * torch.where(unit[2] > 0.0, 1, 2)


def _cone_normal(unit: Tensor) -> tuple[Tensor, Tensor]:
    radial = (unit[0] * unit[0] + unit[1] * unit[1]).sqrt()
    capped = unit[2] + 1.0 < 0.5 * (1.0 - unit[2]) - radial
    flat = torch.zeros_like(unit[0])
    # On the side the normal leans up by half the radius: the cone narrows by one half for each unit of height.
    normal = torch.stack(
        [
            torch.where(capped, flat, unit[0]),
            torch.where(capped, flat, unit[1]),
            torch.where(capped, -torch.ones_like(flat), 0.5 * radial.clamp_min(1e-6)),
        ]
    )
    return normal, capped.long()


_NORMALS = {"cube": _cube_normal, "cylinder": _cylinder_normal, "cone": _cone_normal}
