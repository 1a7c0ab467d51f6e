"""Solids: every part of every view of a chunk in tables, and the boxes of pixels they may touch.

Axes in names: K solids (one part in one view), V views, P pairs of a pixel and a solid, 3 and 33 vectors and matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kinora.core.slots import MATERIALS
from kinora.world.palette import COLOUR_RGB
from kinora.world.parts import KINDS, PANEL_OWNER, Part
from kinora.world.scene import Scene, States

__all__ = ["CONTACT_REACH", "CONTACT_SHARE", "GLOW_REACH", "PAINTS", "Solids", "make_solids", "scene_parts"]

Array = npt.NDArray[np.float64]

PAINTS = (None, "band", "face", "panel")
"""How a solid's surface is coloured: plain, a body's two tones, a figure's face, a panel's picture."""

PANEL_THICKNESS = 0.02
GLOW_REACH = 3.0
"""Metres a glowing solid's light reaches."""
CONTACT_SHARE, CONTACT_REACH = 1.1, 0.6
"""Contact darkening reaches this share of a solid's mean half extent, but at most so many metres."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Solids:
    """Parts as tables on the device; the same geometry in float64 on the host, for culling."""

    view_K: Tensor
    kind_K: Tensor
    material_K: Tensor
    owner_K: Tensor
    paint_K: Tensor
    source_K: Tensor
    """Index of the solid's part within its scene's list of parts."""
    to_unit_9K: Tensor
    """World-to-unit matrix, row by row: `unit = to_unit @ (world - centre)`."""
    centre_3K: Tensor
    half_3K: Tensor
    radius_K: Tensor
    """Of the sphere around each solid."""
    contact_K: Tensor
    """Distance from its middle within which each solid may darken by contact."""
    rotation_9K: Tensor
    rgb_3K: Tensor
    kinds: tuple[int, ...]
    """Kinds that occur."""
    materials: frozenset[str]
    glowing: tuple[int, ...]
    """Sources of the solids that glow."""
    paints: frozenset[str | None]
    host_centre_K3: Array
    host_half_K3: Array
    host_rotation_K33: Array
    host_view_K: npt.NDArray[np.int64]
    host_paint_K: npt.NDArray[np.int64]
    host_owner_K: npt.NDArray[np.int64]
    host_glowing_K: npt.NDArray[np.bool_]
    host_sphere_K: npt.NDArray[np.bool_]
    host_radius_K: Array
    host_contact_K: Array

    @property
    def count(self) -> int:
        return len(self.host_view_K)


def body_parts(scene: Scene, states: States) -> list[Part]:
    """One part for each body."""
    parts = []
    for index, body in enumerate(scene.bodies):
        parts.append(
            Part(
                kind=body.shape,
                centre_F3=states.body_position_FN3[:, index],
                rotation_F33=states.body_rotation_FN33[:, index],
                half_3=(body.radius, body.radius, body.radius),
                rgb=COLOUR_RGB[body.colour],
                material=body.material,
                owner=2 + index,
                paint="band",
            )
        )
    return parts


def panel_parts(scene: Scene, frames: int) -> list[Part]:
    """One thin box for each panel; its front (-y) shows the picture."""
    parts = []
    for index, panel in enumerate(scene.panels):
        cosine, sine = np.cos(panel.yaw), np.sin(panel.yaw)
        rotation_33 = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
        parts.append(
            Part(
                kind="cube",
                centre_F3=np.tile(np.array(panel.centre), (frames, 1)),
                rotation_F33=np.tile(rotation_33, (frames, 1, 1)),
                half_3=(panel.width / 2, PANEL_THICKNESS, panel.height / 2),
                rgb=(0.5, 0.5, 0.5),
                material="matte",
                owner=PANEL_OWNER + index,
                paint="panel",
            )
        )
    return parts


def scene_parts(scene: Scene, states: States) -> list[Part]:
    """All solids of a scene, posed at every frame of `states`: bodies, figures, animals, ropes, strings, panels."""
    parts = body_parts(scene, states)
    if scene.figures:
        from kinora.world.figures import figure_parts

        for index, figure in enumerate(scene.figures):
            parts.extend(figure_parts(figure, states, index))
    if scene.animals:
        from kinora.world.animals import animal_parts

        for index, animal in enumerate(scene.animals):
            parts.extend(animal_parts(animal, states, index))
    if scene.ropes or any(body.action == "swing" for body in scene.bodies):
        from kinora.world.rigs import rope_parts, string_parts

        parts += rope_parts(scene, states) + string_parts(scene, states)
    return parts + panel_parts(scene, len(states.time_F))


def make_solids(parts: Sequence[Sequence[Part]], frames: Sequence[int], device: torch.device) -> Solids:
    """Tables of all parts of all scenes, scene by scene, view by view, part by part."""
    centre, rotation, view, chosen = [], [], [], []
    first_view = 0
    for scene_parts_list, count in zip(parts, frames, strict=True):
        if scene_parts_list:
            centre.append(np.stack([part.centre_F3 for part in scene_parts_list], 1).reshape(-1, 3))
            rotation.append(np.stack([part.rotation_F33 for part in scene_parts_list], 1).reshape(-1, 3, 3))
            view.append(np.repeat(np.arange(first_view, first_view + count), len(scene_parts_list)))
            chosen.extend(list(enumerate(scene_parts_list)) * count)
        first_view += count
    return _tables(
        np.concatenate(centre) if centre else np.zeros((0, 3)),
        np.concatenate(rotation) if rotation else np.zeros((0, 3, 3)),
        np.concatenate(view) if view else np.zeros(0, np.int64),
        chosen,
        device,
    )


def _tables(
    centre_K3: Array,
    rotation_K33: Array,
    view_K: npt.NDArray[np.int64],
    chosen: list[tuple[int, Part]],
    device: torch.device,
) -> Solids:
    """Upload the geometry and the looks of `chosen` parts."""
    half_K3 = np.array([part.half_3 for _, part in chosen]).reshape(-1, 3)
    to_unit_K33 = rotation_K33.transpose(0, 2, 1) / half_K3[:, :, None]
    kind_K = np.array([KINDS.index(part.kind) for _, part in chosen], np.int64)
    sphere_K = kind_K == KINDS.index("sphere")
    # A box reaches to its corners; cylinders and cones lie within theirs.
    radius_K = np.where(sphere_K, half_K3.max(1, initial=0.0), np.linalg.norm(half_K3, axis=1))
    size_K = half_K3.mean(1) if len(half_K3) else np.zeros(0)
    reach_K = np.minimum(CONTACT_SHARE * size_K, CONTACT_REACH)
    # An ellipsoid's reach is measured in its unit space, so along a long axis it is longer.
    contact_K = np.where(sphere_K, radius_K * (1.0 + reach_K / np.maximum(size_K, 1e-9)), radius_K + reach_K)
    material_K = np.array([MATERIALS.index(part.material) for _, part in chosen], np.int64)
    owner_K = np.array([part.owner for _, part in chosen], np.int64)
    paint_K = np.array([PAINTS.index(part.paint) for _, part in chosen], np.int64)

    def floats(array: Array) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)).to(device)

    def longs(values: Sequence[int] | npt.NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(np.asarray(values, np.int64)).to(device)

    return Solids(
        view_K=longs(view_K),
        kind_K=longs(kind_K),
        material_K=longs(material_K),
        owner_K=longs(owner_K),
        paint_K=longs(paint_K),
        source_K=longs([index for index, _ in chosen]),
        to_unit_9K=floats(to_unit_K33.reshape(-1, 9).T),
        centre_3K=floats(centre_K3.T),
        half_3K=floats(half_K3.T),
        radius_K=floats(radius_K),
        contact_K=floats(contact_K),
        rotation_9K=floats(rotation_K33.reshape(-1, 9).T),
        rgb_3K=floats(np.array([part.rgb for _, part in chosen]).reshape(-1, 3).T),
        kinds=tuple(sorted(set(kind_K.tolist()))),
        materials=frozenset(MATERIALS[index] for index in set(material_K.tolist())),
        glowing=tuple(sorted({index for index, part in chosen if part.material == "glowing"})),
        paints=frozenset(PAINTS[index] for index in set(paint_K.tolist())),
        host_centre_K3=centre_K3,
        host_half_K3=half_K3,
        host_rotation_K33=rotation_K33,
        host_view_K=view_K,
        host_paint_K=paint_K,
        host_owner_K=owner_K,
        host_glowing_K=material_K == MATERIALS.index("glowing"),
        host_sphere_K=sphere_K,
        host_radius_K=radius_K,
        host_contact_K=contact_K,
    )
