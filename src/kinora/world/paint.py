"""The colour of a surface before light: bodies' two tones, figures' faces, panels' pictures.

Axes in names: P points, 3 vectors and colours.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kinora.world.parts import FIGURE_OWNER, KINDS, PANEL_OWNER
from kinora.world.solids import PAINTS
from kinora.world.stage import Stage

__all__ = ["surface_rgb"]

BAND_AXIS = (0.48, 0.36, 0.80)
"""Oblique, so that a ball that rolls any way shows it."""


def surface_rgb(stage: Stage, solid_P: Tensor, unit_3P: Tensor, facet_P: Tensor, wide_P: Tensor) -> Tensor:
    """Linear RGB (3, P) at points of solids; `wide_P` is the pixel's width there, metres."""
    solids = stage.solids
    rgb_3P = solids.rgb_3K.index_select(1, solid_P)
    if not solids.paints - {None}:
        return rgb_3P
    paint_P = solids.paint_K.index_select(0, solid_P)
    for name, paint in (("band", _banded), ("face", _faces), ("panel", _panels)):
        if name in solids.paints:
            chosen = (paint_P == PAINTS.index(name)).nonzero().squeeze(1)
            if len(chosen):
                columns = (solid_P[chosen], unit_3P.index_select(1, chosen), facet_P[chosen], wide_P[chosen])
                rgb_3P.index_copy_(1, chosen, paint(stage, rgb_3P.index_select(1, chosen), *columns))
    return rgb_3P


def _banded(stage: Stage, rgb_3P: Tensor, solid_P: Tensor, unit_3P: Tensor, facet_P: Tensor, wide_P: Tensor) -> Tensor:
    """A second tone: a ring round a ball, a frame on a cube's faces, rings on cylinders, a belt on cones."""
    kind_P = stage.solids.kind_K.index_select(0, solid_P)
    blur_P = wide_P / stage.solids.half_3K[0].index_select(0, solid_P) + 0.01
    x, y, z = unit_3P
    inside_P = torch.full_like(x, -1.0)
    for kind in stage.solids.kinds:
        name = KINDS[kind]
        if name == "sphere":
            inside = 0.24 - (BAND_AXIS[0] * x + BAND_AXIS[1] * y + BAND_AXIS[2] * z).abs()
        elif name == "cube":
            a, b, c = x.abs(), y.abs(), z.abs()
            inside = a + b + c - torch.minimum(torch.minimum(a, b), c) - 1.0 - 0.76
        elif name == "cylinder":
            inside = torch.where(facet_P == 0, z.abs() - 0.66, (x * x + y * y).sqrt() - 0.70)
        else:
            inside = torch.where(facet_P == 0, 0.20 - (z + 0.30).abs(), inside_P)
        inside_P = torch.where(kind_P == kind, inside, inside_P)
    share_P = (inside_P / blur_P + 0.5).clamp_(0.0, 1.0)
    # The second tone is darker; near black it must be lighter to be seen.
    bright_P = rgb_3P.mean(0)
    second_3P = torch.where(bright_P > 0.03, rgb_3P * 0.52, rgb_3P + 0.05)
    return rgb_3P + share_P * (second_3P - rgb_3P)


def _faces(stage: Stage, rgb_3P: Tensor, solid_P: Tensor, unit_3P: Tensor, facet_P: Tensor, wide_P: Tensor) -> Tensor:
    """Heads, each drawn by `paint_face` with its figure's expression at its frame."""
    from kinora.world.face import paint_face

    view_P = stage.solids.view_K.index_select(0, solid_P)
    scene_P = stage.views.scene_V.index_select(0, view_P)
    frame_P = stage.frame_V.index_select(0, view_P)
    owner_P = stage.solids.owner_K.index_select(0, solid_P)
    blur_P = wide_P / stage.solids.half_3K[0].index_select(0, solid_P)
    painted_3P = rgb_3P.clone()
    for number, scene in enumerate(stage.scenes):
        for m, figure in enumerate(scene.figures):
            chosen = ((scene_P == number) & (owner_P == FIGURE_OWNER + m)).nonzero().squeeze(1)
            if len(chosen):
                face_P3 = paint_face(
                    unit_3P.index_select(1, chosen).T, figure, frame_P[chosen], stage.states[number], m, blur_P[chosen]
                )
                painted_3P.index_copy_(1, chosen, face_P3.T.to(painted_3P.dtype))
    return painted_3P


FRONT = 4
"""Facet of a cube that looks along its own -y."""


def _panels(stage: Stage, rgb_3P: Tensor, solid_P: Tensor, unit_3P: Tensor, facet_P: Tensor, wide_P: Tensor) -> Tensor:
    """Panels' pictures on their fronts."""
    from kinora.world.pictures import picture_rgb

    view_P = stage.solids.view_K.index_select(0, solid_P)
    scene_P = stage.views.scene_V.index_select(0, view_P)
    time_P = stage.views.time_V.index_select(0, view_P)
    owner_P = stage.solids.owner_K.index_select(0, solid_P)
    painted_3P = rgb_3P.clone()
    for number, scene in enumerate(stage.scenes):
        for p, panel in enumerate(scene.panels):
            mask_P = (scene_P == number) & (owner_P == PANEL_OWNER + p) & (facet_P == FRONT)
            chosen = mask_P.nonzero().squeeze(1)
            if len(chosen):
                unit = unit_3P.index_select(1, chosen)
                uv_P2 = torch.stack([0.5 + 0.5 * unit[0], (0.5 + 0.5 * unit[2]) * (panel.height / panel.width)], 1)
                shown_P3 = picture_rgb(panel.picture, uv_P2, wide_P[chosen] / panel.width, time_P[chosen])
                painted_3P.index_copy_(1, chosen, shown_P3.T.to(painted_3P.dtype))
    return painted_3P
