"""Soft shadows without extra rays: the distance of a point from a solid's outline as the light sees it, over the
penumbra's width; and the darkening near contact.

Outlines are those of parallel light. A box's is a hexagon (its widths across three edge directions), a cylinder's a
rectangle with elliptic ends, a cone's the hull of an ellipse and a point.
Axes in names: P pairs of a point and a solid.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kinora.world.parts import KINDS
from kinora.world.solids import CONTACT_REACH, CONTACT_SHARE, PAINTS, Solids
from kinora.world.views import dot

__all__ = ["contact_shade", "near_contact", "near_shadow", "sunlight"]

OUTLINE_SLACK = 1.15
"""Distances from elliptic outlines are good to first order; a shadow is looked for this much further out."""


def near_shadow(radius_P: Tensor, apart_3P: Tensor, toward_3P: Tensor, softness_P: Tensor, blur_P: Tensor) -> Tensor:
    """Mask (P) of points, `apart_3P` from their solids' middles, that may lie in shadow: a test before `sunlight`."""
    behind_P = -dot(apart_3P, toward_3P)
    beside2_P = dot(apart_3P, apart_3P) - behind_P * behind_P
    reach_P = OUTLINE_SLACK * radius_P + softness_P * behind_P.clamp_min(0.0) + blur_P
    return (behind_P > -0.3 * radius_P) & (beside2_P < reach_P * reach_P)


def near_contact(contact_P: Tensor, apart_3P: Tensor) -> Tensor:
    """Mask (P) of the points that a solid may darken by contact (`Solids.contact_K`): a test before `contact_shade`."""
    return dot(apart_3P, apart_3P) < contact_P * contact_P


def _local(solids: Solids, solid_P: Tensor, vector_3P: Tensor) -> Tensor:
    """World vectors along each solid's own axes, metres."""
    m = solids.rotation_9K.index_select(1, solid_P)
    x, y, z = vector_3P
    return torch.stack([m[i] * x + m[3 + i] * y + m[6 + i] * z for i in range(3)])


def sunlight(
    solids: Solids, solid_P: Tensor, apart_3P: Tensor, toward_3P: Tensor, softness_P: Tensor, blur_P: Tensor
) -> Tensor:
    """Share (P) of the key light that each solid lets through to each point.

    `apart_3P` is where the point lies from the solid's middle; `toward_3P` points to the light; `softness_P` is the
    penumbra's width a metre behind the solid; `blur_P` the least
    width, metres (the pixel's footprint).
    """
    offset_3P = _local(solids, solid_P, apart_3P)
    light_3P = _local(solids, solid_P, toward_3P.expand_as(apart_3P))
    half_3P = solids.half_3K.index_select(1, solid_P)
    behind_P = -dot(offset_3P, light_3P)
    if len(solids.kinds) == 1:
        outside_P = _OUTLINES[solids.kinds[0]](offset_3P, light_3P, half_3P)
    else:
        outside_P = torch.empty_like(behind_P)
        kind_P = solids.kind_K.index_select(0, solid_P)
        for kind in solids.kinds:
            chosen = (kind_P == kind).nonzero().squeeze(1)
            columns = [table.index_select(1, chosen) for table in (offset_3P, light_3P, half_3P)]
            outside_P.index_copy_(0, chosen, _OUTLINES[kind](*columns))
    width_P = softness_P * behind_P.clamp_min(0.0) + blur_P
    share_P = (outside_P / width_P).mul_(0.5).add_(0.5).clamp_(0.0, 1.0)
    share_P = share_P * share_P * (3.0 - 2.0 * share_P)
    # A solid shades only what lies behind it; the gate opens over half its size, so that no edge shows.
    size_P = half_3P.mean(0)
    gate_P = (behind_P / (0.5 * size_P) + 0.5).clamp_(0.0, 1.0)
    return 1.0 - gate_P * (1.0 - share_P)


def _ellipsoid_outline(offset: Tensor, light: Tensor, half: Tensor) -> Tensor:
    start, step = offset / half, light / half
    closest = start - step * (dot(start, step) / dot(step, step))
    length = dot(closest, closest).clamp_min(1e-8).sqrt()
    slope = closest / half
    return length * (length - 1.0) / dot(slope, slope).clamp_min(1e-8).sqrt()


def _cube_outline(offset: Tensor, light: Tensor, half: Tensor) -> Tensor:
    furthest = None
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        across = (offset[j] * light[k] - offset[k] * light[j]).abs()
        reach = half[j] * light[k].abs() + half[k] * light[j].abs()
        scale = (light[j] * light[j] + light[k] * light[k]).clamp_min(1e-6).rsqrt()
        distance = (across - reach) * scale
        furthest = distance if furthest is None else torch.maximum(furthest, distance)
    assert furthest is not None
    return furthest


def _upright(offset: Tensor, light: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Coordinates across and along a standing solid as the light sees it, and the sine and cosine of its slant."""
    sine = (light[0] * light[0] + light[1] * light[1]).clamp_min(1e-6).sqrt()
    across = (offset[0] * light[1] - offset[1] * light[0]).abs() / sine
    along = (offset[2] - light[2] * dot(offset, light)) / sine
    return across, along, sine, light[2].abs().clamp_min(0.02)


def _cylinder_outline(offset: Tensor, light: Tensor, half: Tensor) -> Tensor:
    across, along, sine, cosine = _upright(offset, light)
    radius, flat = half[0], half[0] * cosine
    u, v = across / radius, (along.abs() - half[2] * sine).clamp_min(0.0) / flat
    length = (u * u + v * v).clamp_min(1e-8).sqrt()
    slope = ((u / radius) ** 2 + (v / flat) ** 2).clamp_min(1e-8).sqrt()
    return length * (length - 1.0) / slope


def _cone_outline(offset: Tensor, light: Tensor, half: Tensor) -> Tensor:
    """In coordinates that make the base a unit circle: the hull of that circle and the tip at height `tip`."""
    across, along, sine, cosine = _upright(offset, light)
    radius, flat = half[0], half[0] * cosine
    u, v = across / radius, (along + half[2] * sine) / flat
    tip = 2.0 * half[2] * sine / flat
    lean = (1.0 / tip.clamp_min(1.0)).clamp_max(1.0)
    steep = (1.0 - lean * lean).clamp_min(0.0).sqrt()
    tangent = v * steep - u * lean
    to_circle = (u * u + v * v).clamp_min(1e-8).sqrt()
    above = v - tip
    to_tip = (u * u + above * above).clamp_min(1e-8).sqrt()
    by_line, by_tip = tangent > 0.0, tangent > tip * steep
    x = torch.where(by_tip, u / to_tip, torch.where(by_line, steep, u / to_circle))
    y = torch.where(by_tip, above / to_tip, torch.where(by_line, lean, v / to_circle))
    value = torch.where(by_tip, to_tip, torch.where(by_line, u * steep + v * lean - 1.0, to_circle - 1.0))
    return value / ((x / radius) ** 2 + (y / flat) ** 2).clamp_min(1e-8).sqrt()


_OUTLINES = (_ellipsoid_outline, _cube_outline, _cylinder_outline, _cone_outline)


def contact_shade(solids: Solids, solid_P: Tensor, apart_3P: Tensor, normal_3P: Tensor) -> Tensor:
    """Share (P) of the light from all around that reaches a point near a solid: small where they touch."""
    half_3P = solids.half_3K.index_select(1, solid_P)
    size_P = half_3P.mean(0)
    offset_3P = _local(solids, solid_P, apart_3P)
    outside_3P = (offset_3P.abs() - half_3P).clamp_min(0.0)
    distance_P = dot(outside_3P, outside_3P).sqrt()
    if KINDS.index("sphere") in solids.kinds:
        unit_3P = offset_3P / half_3P
        length_P = dot(unit_3P, unit_3P).sqrt()
        round_P = solids.kind_K.index_select(0, solid_P) == KINDS.index("sphere")
        distance_P = torch.where(round_P, (length_P - 1.0).clamp_min(0.0) * size_P, distance_P)
    near_P = (1.0 - distance_P / (CONTACT_SHARE * size_P).clamp_max(CONTACT_REACH)).clamp_(0.0, 1.0)
    length_P = dot(apart_3P, apart_3P).clamp_min(1e-8).sqrt()
    facing_P = (0.5 - 0.5 * dot(normal_3P.expand_as(apart_3P), apart_3P) / length_P).clamp_(0.0, 1.0)
    solid_wall_P = solids.paint_K.index_select(0, solid_P) == PAINTS.index("panel")
    return 1.0 - (0.85 * near_P * near_P * facing_P).masked_fill_(solid_wall_P, 0.0)
