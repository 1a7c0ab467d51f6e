"""Everything a chunk of views is drawn from, gathered once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kinora.world.boxes import neighbours, others
from kinora.world.crowds import Crowds, make_crowds
from kinora.world.lights import Air, make_air
from kinora.world.lists import Lists
from kinora.world.scene import Scene, States
from kinora.world.solids import Solids, make_solids, scene_parts
from kinora.world.views import Views, make_views

__all__ = ["Stage", "make_stage"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Stage:
    """A chunk of views with the solids, light and scenes in them."""

    scenes: Sequence[Scene]
    states: Sequence[States]
    views: Views
    air: Air
    solids: Solids
    crowds: Crowds
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
    return Stage(
        scenes=scenes,
        states=states,
        views=views,
        air=air,
        solids=solids,
        crowds=make_crowds(solids, *neighbours(views, air, solids)),
        others=others(solids),
        frame_V=torch.cat([torch.arange(count, device=device) for count in frames]),
    )
