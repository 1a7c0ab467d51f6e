"""Who may shade or light whom, in two steps: first the solids of one owner as a crowd in a sphere, then each of them.

A figure is a dozen solids and a wall is many thousand pixels; most pixels are done with a figure after one test.
Axes in names: K solids, C crowds, R points of a list, P pairs of a point and a solid, Q pairs of a point and a crowd.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kinora.world.lists import Lists, expand, make_lists
from kinora.world.solids import GLOW_REACH, Solids
from kinora.world.views import dot

__all__ = ["Crowds", "make_crowds"]

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SLACK = 1.6
"""A crowd's shadow is looked for within this many radii: its members' own slack, and what penumbras gain by depth."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Crowds:
    """For each receiving solid its crowds; for each crowd its sphere and the casting solids in it."""

    of_solid: Lists
    members: Lists
    centre_3C: Tensor
    radius_C: Tensor
    reach_C: Tensor
    """Distance from its middle within which it may darken by contact or glow."""

    def pairs(
        self, solid_R: Tensor, point_3R: Tensor, toward_3R: Tensor, softness_R: Tensor, blur_R: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Pairs (point, casting solid) left after the crowds' spheres are tested; `toward_3R` may have one column."""
        ray_Q, crowd_Q = expand(self.of_solid, solid_R)
        apart_3Q = point_3R.index_select(1, ray_Q) - self.centre_3C.index_select(1, crowd_Q)
        toward_3Q = toward_3R if toward_3R.shape[1] == 1 else toward_3R.index_select(1, ray_Q)
        softness_Q = softness_R if softness_R.shape[0] == 1 else softness_R.index_select(0, ray_Q)
        radius_Q = self.radius_C.index_select(0, crowd_Q)
        square_Q, behind_Q = dot(apart_3Q, apart_3Q), -dot(apart_3Q, toward_3Q)
        wide_Q = SLACK * radius_Q + softness_Q * behind_Q.clamp_min(0.0) + blur_R.index_select(0, ray_Q)
        shaded_Q = (behind_Q > -radius_Q) & (square_Q - behind_Q * behind_Q < wide_Q * wide_Q)
        kept = (shaded_Q | (square_Q < self.reach_C.index_select(0, crowd_Q) ** 2)).nonzero().squeeze(1)
        ray_Q, crowd_Q = ray_Q.index_select(0, kept), crowd_Q.index_select(0, kept)
        place_P, solid_P = expand(self.members, crowd_Q)
        return ray_Q.index_select(0, place_P), solid_P


def make_crowds(solids: Solids, receiver_N: Ints, caster_N: Ints) -> Crowds:
    """Sort pairs of solids into crowds by receiver and by the caster's owner."""
    owner_N = solids.host_owner_K[caster_N]
    order = np.lexsort((caster_N, owner_N, receiver_N))
    receiver_N, caster_N, owner_N = receiver_N[order], caster_N[order], owner_N[order]
    fresh_N = np.ones(len(receiver_N), bool)
    fresh_N[1:] = (np.diff(receiver_N) != 0) | (np.diff(owner_N) != 0)
    first_C = np.flatnonzero(fresh_N)
    crowd_N = np.cumsum(fresh_N) - 1
    count_C = np.bincount(crowd_N, minlength=len(first_C))
    centre_N3 = solids.host_centre_K3[caster_N]
    sums = [np.bincount(crowd_N, centre_N3[:, axis], len(first_C)) for axis in range(3)]
    centre_C3 = np.stack(sums, 1) / np.maximum(count_C, 1)[:, None]
    apart_N = np.linalg.norm(centre_N3 - centre_C3[crowd_N], axis=1)
    radius_C, reach_C = np.zeros(len(first_C)), np.zeros(len(first_C))
    np.maximum.at(radius_C, crowd_N, apart_N + solids.host_radius_K[caster_N])
    lit_N = np.where(solids.host_glowing_K[caster_N], GLOW_REACH, 0.0)
    np.maximum.at(reach_C, crowd_N, apart_N + np.maximum(solids.host_contact_K[caster_N], lit_N))
    device = solids.view_K.device

    def floats(array: Array) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)).to(device)

    return Crowds(
        of_solid=make_lists(receiver_N[first_C], np.arange(len(first_C)), solids.count, device),
        members=make_lists(crowd_N, caster_N, len(first_C), device),
        centre_3C=floats(centre_C3.T),
        radius_C=floats(radius_C),
        reach_C=floats(reach_C),
    )
