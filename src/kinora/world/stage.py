"""Everything a chunk of views is drawn from, gathered once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kinora.world.boxes import neighbours, others
from kinora.world.lights import Air, make_air
from kinora.world.scene import Scene, States
from kinora.world.solids import Solids, make_solids, scene_parts
from kinora.world.views import Views, make_views

__all__ = ["Lists", "Stage", "expand", "make_stage"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Lists:
    """For each solid a list of solids, one after another in `solid_N`."""

    first_K: Tensor
    count_K: Tensor
    solid_N: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Stage:
    """A chunk of views with the solids, light and scenes in them."""

    scenes: Sequence[Scene]
    states: Sequence[States]
    views: Views
    air: Air
    solids: Solids
    neighbours: Lists
    """Who may shade or light whom."""
    others: Lists
    """All other solids of the same view."""
    frame_V: Tensor
    """Each view's frame within its scene's states."""


def make_stage(
    scenes: Sequence[Scene], states: Sequence[States], height: int, width: int, device: torch.device
) -> Stage:
    """Gather a chunk: all frames of each scene's `states`."""
    views = make_views(states, height, width, device)
    air = make_air([scene.place for scene in scenes], device)
    frames = [len(one.time_F) for one in states]
    parts = [scene_parts(scene, one) for scene, one in zip(scenes, states, strict=True)]
    solids = make_solids(parts, frames, device)
    near = neighbours(views, air, solids)
    rest = others(solids)
    return Stage(
        scenes=scenes,
        states=states,
        views=views,
        air=air,
        solids=solids,
        neighbours=Lists(first_K=near[0], count_K=near[1], solid_N=near[2]),
        others=Lists(first_K=rest[0], count_K=rest[1], solid_N=rest[2]),
        frame_V=torch.cat([torch.arange(count, device=device) for count in frames]),
    )


def expand(lists: Lists, solid_R: Tensor) -> tuple[Tensor, Tensor]:
    """Pairs of each ray with every solid on its own solid's list: (ray, solid), rays in order."""
    count_R = lists.count_K.index_select(0, solid_R)
    ray_P = torch.repeat_interleave(torch.arange(len(solid_R), device=solid_R.device), count_R)
    start_R = lists.first_K.index_select(0, solid_R) - (count_R.cumsum(0) - count_R)
    place_P = torch.arange(len(ray_P), device=solid_R.device) + start_R.index_select(0, ray_P)
    return ray_P, lists.solid_N.index_select(0, place_P)
