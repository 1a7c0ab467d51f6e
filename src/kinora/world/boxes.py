"""Culling on the host: boxes of pixels that a solid, its shadow or its mirror image may touch, as lists of pairs.

Axes in names: K solids, N points around each, V views, P pairs of a pixel and a solid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kinora.world.lights import Air
from kinora.world.lists import Lists, make_lists
from kinora.world.solids import CONTACT_REACH, GLOW_REACH, PAINTS, Solids
from kinora.world.views import Views

__all__ = [
    "Pairs",
    "halo_pairs",
    "influence_pairs",
    "mirror_pairs",
    "neighbours",
    "others",
    "solid_pairs",
]

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NEAR = 0.05
CORNERS = np.array([[x, y, z] for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)])
OCTAGON = np.array([[math.cos(a), math.sin(a)] for a in np.arange(8) * math.pi / 4]) / math.cos(math.pi / 8)


@dataclass(frozen=True, kw_only=True, eq=False)
class Pairs:
    """A list of pairs: which ray (or pixel), and which solid."""

    ray_P: Tensor
    solid_P: Tensor

    def kept(self, keep_P: Tensor) -> Pairs:
        """The pairs where the mask holds."""
        index = keep_P.nonzero().squeeze(1)
        return Pairs(ray_P=self.ray_P.index_select(0, index), solid_P=self.solid_P.index_select(0, index))


def solid_pairs(views: Views, solids: Solids) -> Pairs:
    """Every solid with every pixel it may cover."""
    corners_KN3 = _corners(solids)
    box_K4 = _bounds(views, solids.host_view_K, corners_KN3, 1.0)
    return _spread(views, solids.host_view_K, _cut(box_K4, _sphere_bounds(views, solids)), solids.view_K.device)


def mirror_pairs(views: Views, solids: Solids, margin: float) -> Pairs:
    """Every solid with every pixel where a mirror at z = 0 may show it; `margin` is what ripples add, in radians."""
    corners_KN3 = _corners(solids) * np.array([1.0, 1.0, -1.0])
    box_K4 = _bounds(views, solids.host_view_K, corners_KN3, 1.0 + margin * views.host_focal_V[solids.host_view_K])
    return _spread(views, solids.host_view_K, box_K4, solids.view_K.device)


def halo_pairs(views: Views, solids: Solids, reach: float) -> Pairs:
    """Every glowing solid with every pixel within `reach` radii of its middle."""
    box_K4 = _sphere_bounds(views, solids, reach) * solids.host_glowing_K[:, None]
    return _spread(views, solids.host_view_K, box_K4, solids.view_K.device)


def influence_pairs(views: Views, air: Air, solids: Solids) -> Pairs:
    """Every solid with every pixel in which the ground may lie in its shadow, its contact shade or its glow."""
    scene_K = views.host_scene_V[solids.host_view_K]
    toward_K3, softness_K = air.host_toward_S3[scene_K], air.host_softness_S[scene_K]
    lean_K2 = toward_K3[:, :2] / toward_K3[:, 2:]
    radius_K = solids.host_radius_K
    corners_KN3 = _corners(solids)
    round_K = solids.host_sphere_K[:, None, None]
    height_KN = np.maximum(np.where(round_K[..., 0], solids.host_centre_K3[:, None, 2], corners_KN3[..., 2]), 0.0)
    cast_KN2 = np.where(
        round_K,
        solids.host_centre_K3[:, None, :2] + OCTAGON * (radius_K / toward_K3[:, 2])[:, None, None],
        corners_KN3[..., :2],
    )
    cast_KN2 = cast_KN2 - lean_K2[:, None] * height_KN[..., None]
    edge_KN = 0.05 + softness_K[:, None] * height_KN / toward_K3[:, 2:]
    cast_KN2 = (cast_KN2[:, :, None] + OCTAGON[::2] * 1.4 * edge_KN[:, :, None, None]).reshape(solids.count, 32, 2)
    lowest_K = solids.host_centre_K3[:, 2] - radius_K
    around_K = np.where(lowest_K < CONTACT_REACH, np.maximum(solids.host_contact_K, radius_K), radius_K)
    around_K = np.where(solids.host_glowing_K, GLOW_REACH, around_K)
    around_K = np.where(solids.host_paint_K == PAINTS.index("panel"), 0.1, around_K)
    around_KN2 = solids.host_centre_K3[:, None, :2] + OCTAGON * around_K[:, None, None]
    ground_KN2 = np.concatenate([cast_KN2, around_KN2], 1)
    ground_KN3 = np.concatenate([ground_KN2, np.zeros_like(ground_KN2[..., :1])], 2)
    box_K4 = _bounds(views, solids.host_view_K, ground_KN3, 1.0)
    return _spread(views, solids.host_view_K, box_K4, solids.view_K.device)


def neighbours(views: Views, air: Air, solids: Solids) -> tuple[Ints, Ints]:
    """Pairs of solids (receiver, caster) of which the second may shade or light the first."""
    toward_K3 = air.host_toward_S3[views.host_scene_V[solids.host_view_K]]
    softness_K = air.host_softness_S[views.host_scene_V[solids.host_view_K]]
    receiver, caster = _same_view(solids)
    apart = solids.host_centre_K3[caster] - solids.host_centre_K3[receiver]
    along = (apart * toward_K3[receiver]).sum(1)
    distance = np.linalg.norm(apart, axis=1)
    beside = np.sqrt(np.maximum(distance**2 - along**2, 0.0))
    radii = solids.host_radius_K[caster] + solids.host_radius_K[receiver]
    shades = (along > -0.5 * radii) & (beside < radii + softness_K[receiver] * np.maximum(along, 0.0))
    touches = distance < radii + CONTACT_REACH * 0.5
    lights = solids.host_glowing_K[caster] & (distance < GLOW_REACH + radii)
    kept = shades | touches | lights
    return receiver[kept], caster[kept]


def others(solids: Solids) -> Lists:
    """For each solid all others of its view."""
    return make_lists(*_same_view(solids), solids.count, solids.view_K.device)


def _same_view(solids: Solids) -> tuple[Ints, Ints]:
    """All ordered pairs of two different solids of one view. Solids of a view are neighbours in the tables."""
    count_V = np.bincount(solids.host_view_K)
    first_V = np.cumsum(count_V) - count_V
    count_K = count_V[solids.host_view_K]
    one = np.repeat(np.arange(solids.count), count_K)
    other = np.arange(len(one)) - np.repeat(np.cumsum(count_K) - count_K, count_K) + first_V[solids.host_view_K[one]]
    return one[one != other], other[one != other]


def _corners(solids: Solids) -> Array:
    """World corners (K, 8, 3) of each solid's box."""
    local_KN3 = CORNERS * solids.host_half_K3[:, None]
    return np.asarray(solids.host_centre_K3[:, None] + np.einsum("kij,knj->kni", solids.host_rotation_K33, local_KN3))


def _bounds(views: Views, view_K: Ints, point_KN3: Array, margin: float | Array) -> Ints:
    """Boxes (K, 4) of pixels x0, y0, x1, y1 (ends excluded) around projected points; all pixels if some are behind."""
    pose_K34, focal_K = views.host_pose_V34[view_K], views.host_focal_V[view_K]
    camera_KN3 = np.einsum("kni,kij->knj", point_KN3 - pose_K34[:, None, :, 3], pose_K34[:, :, :3])
    depth_KN = camera_KN3[..., 2]
    pixel_KN2 = camera_KN3[..., :2] / np.maximum(depth_KN, NEAR)[..., None] * focal_K[:, None, None]
    pixel_KN2 += np.array([0.5 * views.width, 0.5 * views.height])
    margin_K1 = np.broadcast_to(margin, view_K.shape)[:, None]
    low_K2, high_K2 = pixel_KN2.min(1) - margin_K1, pixel_KN2.max(1) + margin_K1
    crossing = (depth_KN.min(1) < NEAR)[:, None]
    gone = (depth_KN.max(1) < NEAR)[:, None]
    low_K2 = np.where(crossing, 0.0, low_K2)
    high_K2 = np.where(crossing, np.where(gone, 0.0, max(views.width, views.height)), high_K2)
    return _clipped(views, low_K2, high_K2)


def _clipped(views: Views, low_K2: Array, high_K2: Array) -> Ints:
    limit = np.array([views.width, views.height])
    low = np.clip(np.floor(np.nan_to_num(low_K2)), 0, limit)
    high = np.clip(np.ceil(np.nan_to_num(high_K2)), 0, limit)
    return np.concatenate([low, np.maximum(high, low)], 1).astype(np.int64)


def _sphere_bounds(views: Views, solids: Solids, scale: float = 1.0) -> Ints:
    """Boxes of pixels around the sphere that holds each solid: exact intervals of the angle on each axis."""
    pose_K34 = views.host_pose_V34[solids.host_view_K]
    focal_K = views.host_focal_V[solids.host_view_K]
    camera_K3 = np.einsum("ki,kij->kj", solids.host_centre_K3 - pose_K34[:, :, 3], pose_K34[:, :, :3])
    radius_K = solids.host_radius_K * scale
    ends = []
    for axis, middle in ((0, 0.5 * views.width), (1, 0.5 * views.height)):
        distance = np.hypot(camera_K3[:, axis], camera_K3[:, 2])
        half = np.arcsin(np.clip(radius_K / np.maximum(distance, 1e-9), 0.0, 1.0))
        angle = np.arctan2(camera_K3[:, axis], camera_K3[:, 2])
        low, high = angle - half, angle + half
        open_ended = (distance <= radius_K * 1.001) | (np.maximum(-low, high) > 1.5)
        low_K = np.where(open_ended, 0.0, middle + focal_K * np.tan(np.clip(low, -1.5, 1.5)) - 1.0)
        high_K = np.where(open_ended, 2.0 * middle, middle + focal_K * np.tan(np.clip(high, -1.5, 1.5)) + 1.0)
        ends.append((low_K, high_K))
    return _clipped(views, np.stack([ends[0][0], ends[1][0]], 1), np.stack([ends[0][1], ends[1][1]], 1))


def _cut(a_K4: Ints, b_K4: Ints) -> Ints:
    """What two sets of boxes have in common."""
    low = np.maximum(a_K4[:, :2], b_K4[:, :2])
    return np.concatenate([low, np.maximum(low, np.minimum(a_K4[:, 2:], b_K4[:, 2:]))], 1)


def _spread(views: Views, view_K: Ints, box_K4: Ints, device: torch.device) -> Pairs:
    """One pair for each pixel of each box, numbered through all views. Rows on the host, pixels on the device."""
    x0, y0, x1, y1 = box_K4.T
    rows_K = np.where(x1 > x0, y1 - y0, 0)
    solid_N = np.repeat(np.arange(len(rows_K)), rows_K)
    y_N = np.arange(len(solid_N)) - np.repeat(np.cumsum(rows_K) - rows_K, rows_K) + y0[solid_N]
    wide_N = (x1 - x0)[solid_N]
    start_N = (view_K[solid_N] * views.height + y_N) * views.width + x0[solid_N]
    total = int(wide_N.sum())
    table_N3 = torch.from_numpy(np.stack([wide_N, start_N - (np.cumsum(wide_N) - wide_N), solid_N])).to(device)
    repeats = table_N3[0]
    ray_P = torch.repeat_interleave(table_N3[1], repeats, output_size=total) + torch.arange(total, device=device)
    return Pairs(ray_P=ray_P, solid_P=torch.repeat_interleave(table_N3[2], repeats, output_size=total))
