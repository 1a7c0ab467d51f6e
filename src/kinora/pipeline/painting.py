"""Painting: the things that a director places, drawn over a window that follows its sketch.

A sketch knows ground, sky and light: from its moments, their things erased, comes one stage for the whole window; where
the blocking's camera moves, as that camera sees it. What stands on it is drawn by the model's painter
(`kinora.control.painter`), at every latent frame where the blocking puts it then.

Axes: B batch (1), C channels, T latent frames, K moments of the sketch, N moments, P things, H W grid, 2 right and
down, 3 looks, 4 box.
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

AROUND = tuple(KINDS.index(kind) for kind in ("rope", "panel"))
"""What stands around or behind others is drawn before them: told at once, a pendulum's frame would cover its ball."""
FEWEST = 3
"""Moments of a sketch from which on what most of them show is told from what one of them shows."""


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
        self._draws_all = np.array_equal(look_P3, blocking.look_P3)
        self._painter = painter
        self._sketch = sketch
        self._patch = patch

    @property
    def moving(self) -> bool:
        """Whether the camera moves in this window; in a picture nothing does."""
        return self._sketch.frames > 1 and self._blocking.move != CameraMove()

    def cleared(self, state: LatentState) -> LatentState:
        """The state with nothing on the stage. All frames show the same one, cell by cell the median of the sketch's
        moments: what a sketch draws beside its boxes stands there in one moment and not in the others. A figure that
        is not painted stays as the sketch has it, moment by moment.
        """
        places = list(self._sketch.places)
        look_KP3, box_KP4, way_KP2 = self._told(np.array(places, dtype=np.float32), state.clean_BCTHW.device)
        moments_KCHW = state.clean_BCTHW[0, :, places].transpose(0, 1)
        stood_K1HW = _around(painted_cells(look_KP3, box_KP4, *moments_KCHW.shape[-2:]))
        first_K = torch.tensor(places, device=look_KP3.device) == 0
        bare_KCHW, _ = self._painter(
            moments_KCHW, torch.full_like(look_KP3, NOTHING), box_KP4, way_KP2, first_K, stood_K1HW
        )
        stage_TCHW = bare_KCHW[self._sketch.nearest_T.to(bare_KCHW.device)]
        if self._draws_all and len(places) >= FEWEST:
            stage_TCHW = bare_KCHW.median(dim=0).values.expand_as(stage_TCHW)
        frames = self._sketch.frames
        return _with(state, stage_TCHW.transpose(0, 1)[None].float(), state.cap_BTHW[:, :frames])

    def seen_moving(
        self, state: LatentState, drawing: Drawing, compression: Compression, *, frame_rate: float, cap: float
    ) -> LatentState:
        """The state with every frame the first one, as the moving camera sees it, up to `cap`."""
        picture_HW3 = drawing.draw(state.clean_BCTHW[:, :, :1], tell=False)[0][0]
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
        drawn_TCHW = state.clean_BCTHW[0, :, :frames].transpose(0, 1)
        look_TP3, box_TP4, way_TP2 = self._told(np.arange(frames, dtype=np.float32), state.clean_BCTHW.device)
        first_T = torch.arange(frames, device=look_TP3.device) == 0
        around_TP1 = torch.isin(look_TP3[..., :1], torch.tensor(AROUND, device=look_TP3.device))
        for layer_TP1 in (around_TP1, ~around_TP1):
            layer_TP3 = torch.where(layer_TP1, look_TP3, NOTHING)
            if (layer_TP3[..., 0] != NOTHING).any():
                drawn_TCHW, _ = self._painter(drawn_TCHW, layer_TP3, box_TP4, way_TP2, first_T)
        token_THW = functional.max_pool2d(painted_cells(look_TP3, box_TP4, *drawn_TCHW.shape[-2:])[:, 0], self._patch)
        cap_THW = state.cap_BTHW[0, :frames]
        cap_THW = torch.where(self._of_tokens(token_THW) > 0, cap_THW.clamp(max=cap), cap_THW)
        return _with(state, drawn_TCHW.transpose(0, 1)[None].float(), cap_THW[None])

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
