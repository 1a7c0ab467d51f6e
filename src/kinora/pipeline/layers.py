"""Layers: in which order things are painted, and which pixels are whose.

Axes: F frames, P things, H W pixels, 3 looks, 4 box.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import Tensor

from kinora.core.blocking import KINDS, NOTHING

__all__ = ["layers", "reach"]

AROUND = tuple(KINDS.index(kind) for kind in ("rope", "panel"))
"""What stands around or behind others is drawn before them: told at once, a pendulum's frame would cover its ball."""
FADE = 0.5
"""Latent cells around things over which what was painted gives way to the stage: the painter draws so far at least,
and what it draws of a ground is softer than the ground.
"""
BELOW = 3.0
"""How many times as far below them, where their shadows lie."""
MEET = 0.3
"""How near boxes come, in half picture sides, when a painter that draws both draws each otherwise than alone: a few
of its cells.
"""


def layers(look_P3: Tensor, box_FP4: Tensor) -> npt.NDArray[np.int64]:
    """Which layer each thing is painted in (F, P), from 0 at the back on; -1 for what is not there.

    What stands lower in the picture is nearer, by where it stood lowest: what falls comes to stand. Things whose boxes
    do not meet in a frame share a layer there.
    """
    kind_P, box = look_P3[:, 0].cpu().numpy(), box_FP4.cpu().numpy()
    foot_P = (box[..., 1] + box[..., 3]).max(axis=0)
    foot_P[np.isin(kind_P, AROUND)] = -np.inf
    layer_FP = np.full(box.shape[:2], -1, dtype=np.int64)
    for thing in sorted(np.flatnonzero(kind_P != NOTHING).tolist(), key=lambda at: foot_P[at]):
        apart_FP2 = np.abs(box[..., :2] - box[:, [thing], :2]) - box[..., 2:] - box[:, [thing], 2:]
        met_FP = np.where((apart_FP2 < MEET).all(axis=-1), layer_FP, -1)
        layer_FP[:, thing] = 1 + met_FP.max(axis=1, initial=-1)
    return layer_FP


def reach(look_FP3: Tensor, box_FP4: Tensor, height: int, width: int, cell: int) -> npt.NDArray[np.float32]:
    """How much each pixel is a thing's (F, H, W): all of it in the things' boxes, fading out around them."""
    shorter = min(height, width)
    shown_FHW = np.zeros((len(box_FP4), height, width), dtype=np.float32)
    x_W, y_H = ((np.arange(size) + 0.5 - size / 2) * (2 / shorter) for size in (width, height))
    there_FP = (look_FP3[..., 0] != NOTHING) & (box_FP4[..., 2:] > 0).all(dim=-1)
    for frame, thing in there_FP.nonzero().tolist():
        right, down, half_width, half_height = box_FP4[frame, thing].tolist()
        above_H, below_H = down - half_height - y_H, (y_H - down - half_height) / BELOW
        outside_H1 = np.maximum(np.maximum(above_H, below_H), 0.0)[:, None]
        outside_W = np.maximum(np.abs(x_W - right) - half_width, 0.0)
        share_HW = 1 - np.hypot(outside_H1, outside_W) * (shorter / 2) / (FADE * cell)
        np.maximum(shown_FHW[frame], share_HW, out=shown_FHW[frame])
    return shown_FHW
