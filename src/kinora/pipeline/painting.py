"""Painting: the things that a director places, drawn over a window that follows its sketch.

A sketch knows ground, sky and light; what stands in it is drawn by the model's painter (`kinora.control.painter`), at
every latent frame where the blocking puts it then, and erased where it only stood in the sketch. Where the blocking's
camera moves, the window is the sketch's first moment, its things erased, as that camera sees it.

Axes: B batch (1), C channels, T latent frames, N moments, P things, H W grid, 2 right and down, 3 looks, 4 box.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from kinora.control.guide import Guide, cell_caps
from kinora.control.painter import Painter, painted_cells
from kinora.control.warp import CameraLevels, camera_guide
from kinora.core.blocking import KINDS, NOTHING, Blocking
from kinora.core.camera import CameraMove, camera_track
from kinora.core.shapes import Compression
from kinora.flow.state import LatentState
from kinora.pipeline.drawing import Drawing
from kinora.pipeline.sketching import Sketch

__all__ = ["Painting"]


class Painting:
    """A painter at work on the first window of a film."""

    def __init__(self, painter: Painter, blocking: Blocking, sketch: Sketch, patch: int) -> None:
        """A figure whose clothes the blocking leaves to a portrait is not drawn: the painter would guess them. Cells of
        one token, `patch` along a side, are always known equally well: a token is told one noise level, and what of it
        stood at another would come out as a frame around the things.
        """
        look_P3 = blocking.look_P3.copy()
        look_P3[(look_P3[:, 0] == KINDS.index("figure")) & (look_P3[:, 1] == NOTHING)] = NOTHING
        self._blocking = replace(blocking, look_P3=look_P3)
        self._painter = painter
        self._sketch = sketch
        self._patch = patch

    @property
    def moving(self) -> bool:
        """Whether the camera moves in this window; in a picture nothing does."""
        return self._sketch.frames > 1 and self._blocking.move != CameraMove()

    def seen_moving(
        self, state: LatentState, drawing: Drawing, compression: Compression, *, frame_rate: float, cap: float
    ) -> LatentState:
        """The state with every frame the first one without its things, as the moving camera sees it, up to `cap`."""
        bare_BC1HW = self._bare(state.clean_BCTHW[:, :, :1])
        picture_HW3 = drawing.draw(bare_BC1HW, tell=False)[0][0]
        seconds_F = np.arange(1 + compression.time * (self._sketch.frames - 1)) / frame_rate
        still = Guide.still(picture_HW3, frames=len(seconds_F), cap=cap)
        track = camera_track(self._blocking.move, seconds_F)
        guide = camera_guide(still, track, levels=CameraLevels(turned=cap, travelled=2 * cap, outside=self._sketch.cap))
        clean_BCTHW = drawing.encode(guide.frames_FHW3)
        cap_BTHW = cell_caps(guide.cap_FHW, compression)[None].to(state.cap_BTHW)
        return _with(state, clean_BCTHW, self._of_tokens(functional.avg_pool2d(cap_BTHW, self._patch)))

    def paint(self, state: LatentState, cap: float) -> LatentState:
        """The state with the things drawn, known up to `cap`."""
        frames = self._sketch.frames
        position_T = np.arange(frames, dtype=np.float32)
        place_T = np.array(self._sketch.places, dtype=np.float32)[self._sketch.nearest_T.numpy()]
        moments_TCHW = state.clean_BCTHW[0, :, :frames].transpose(0, 1)
        grid = moments_TCHW.shape[-2:]
        look_TP3, box_TP4, way_TP2 = self._told(position_T, state.clean_BCTHW.device)
        stood_TP4 = torch.from_numpy(self._blocking.at(place_T).box_TP4).to(look_TP3.device)
        stood_T1HW = None if self.moving else _around(painted_cells(look_TP3, stood_TP4, *grid))
        first_T = torch.arange(frames, device=look_TP3.device) == 0
        drawn_TCHW, _ = self._painter(moments_TCHW, look_TP3, box_TP4, way_TP2, first_T, stood_T1HW)
        token_THW = functional.max_pool2d(painted_cells(look_TP3, box_TP4, *grid)[:, 0], self._patch)
        cap_THW = state.cap_BTHW[0, :frames]
        cap_THW = torch.where(self._of_tokens(token_THW) > 0, cap_THW.clamp(max=cap), cap_THW)
        return _with(state, drawn_TCHW.transpose(0, 1)[None].float(), cap_THW[None])

    def _bare(self, first_BC1HW: Tensor) -> Tensor:
        """The first moment without its things."""
        look_1P3, box_1P4, way_1P2 = self._told(np.zeros(1, dtype=np.float32), first_BC1HW.device)
        stood_11HW = _around(painted_cells(look_1P3, box_1P4, *first_BC1HW.shape[-2:]))
        nobody_1P3, first_1 = torch.full_like(look_1P3, NOTHING), torch.ones(1, device=look_1P3.device)
        drawn_1CHW, _ = self._painter(first_BC1HW[:, :, 0], nobody_1P3, box_1P4, way_1P2, first_1, stood_11HW)
        return drawn_1CHW[:, :, None].float()

    def _of_tokens(self, token_NHW: Tensor) -> Tensor:
        """What is told of tokens, of each of their cells."""
        return token_NHW.repeat_interleave(self._patch, -2).repeat_interleave(self._patch, -1)

    def _told(self, position_N: npt.NDArray[np.float32], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """Looks, boxes and ways of the things at some moments."""
        look_P3 = torch.from_numpy(self._blocking.look_P3).to(device)
        box_NP4 = torch.from_numpy(self._blocking.at(position_N).box_TP4).to(device)
        way_NP2 = torch.from_numpy(self._blocking.way(position_N)).to(device)
        return look_P3.expand(len(position_N), -1, -1), box_NP4, way_NP2


def _around(cells_N1HW: Tensor) -> Tensor:
    """Cells and their neighbours: what a sketch draws does not keep to its box."""
    return functional.max_pool2d(cells_N1HW, 3, stride=1, padding=1)


def _with(state: LatentState, clean_BCTHW: Tensor, cap_BTHW: Tensor) -> LatentState:
    """The state with its first frames known otherwise; what stands beside them (references) stays."""
    frames = clean_BCTHW.shape[2]
    all_BCTHW, caps_BTHW = state.clean_BCTHW.clone(), state.cap_BTHW.clone()
    all_BCTHW[:, :, :frames], caps_BTHW[:, :frames] = clean_BCTHW, cap_BTHW
    return replace(state, clean_BCTHW=all_BCTHW, cap_BTHW=caps_BTHW)
