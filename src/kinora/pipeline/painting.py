"""Painting: the things that a director places, drawn over a window that follows its sketch.

A sketch knows ground, sky and light: from its moments, their things erased, comes one stage for the whole window; where
the blocking's camera moves, as that camera sees it. What stands on it is drawn by the model's painter
(`kinora.control.painter`), in every frame where the blocking puts it then, and the frames are encoded as a film.

Axes: B batch (1), C channels, T latent frames, F frames, K moments of the sketch, N of either, P things, H W grid (of
pixels in frames), 2 right and down, 3 looks or colours, 4 box.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

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
from kinora.flow.state import LatentState
from kinora.pipeline.drawing import Drawing, Encoded, Frames
from kinora.pipeline.layers import layers, reach
from kinora.pipeline.sketching import Sketch

__all__ = ["Painting"]

FEWEST = 3
"""Moments of a sketch from which on what most of them show is told from what one of them shows."""
LIKE, UNLIKE = 12.0, 40.0
"""By how many levels of 255 a painted pixel differs from the bare stage's up to which none and from which on all of it
is a thing's.
"""
AT_ONCE = 27
"""Frames painted and laid together at a time, to spare memory."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Stage:
    """What the things of a window stand on, told in every way that it is needed."""

    latent_BCTHW: Tensor
    cap_THW: Tensor
    """Highest noise level of each cell."""
    picture_FCHW: Tensor
    """Latents of each frame as a picture of its own."""
    frames_FHW3: Frames


class Painting:
    """A painter at work on the first window of a film."""

    def __init__(
        self, painter: Painter, blocking: Blocking, sketch: Sketch, drawing: Drawing, *, patch: int, cap: float
    ) -> None:
        """A figure whose clothes the blocking leaves to a portrait is not drawn: the painter would guess them. Cells of
        one token, `patch` along a side, are always known equally well: a token is told one noise level, and what of it
        stood at another would come out as a frame around the things. What is painted is known up to `cap`.
        """
        look_P3 = blocking.look_P3.copy()
        look_P3[(look_P3[:, 0] == KINDS.index("figure")) & (look_P3[:, 1] == NOTHING)] = NOTHING
        self._blocking = replace(blocking, look_P3=look_P3)
        self._draws_all = np.array_equal(look_P3, blocking.look_P3)
        self._painter = painter
        self._sketch = sketch
        self._drawing = drawing
        self._patch = patch
        self._cap = cap

    def cleared(self, state: LatentState) -> LatentState:
        """The state with nothing on the stage. All frames show the same one, cell by cell the median of the sketch's
        moments: what a sketch draws beside its boxes stands there in one moment and not in the others. A figure that
        is not painted stays as the sketch has it, moment by moment.
        """
        places = list(self._sketch.places)
        at_places = self._blocking.at(np.array(places, dtype=np.float32))
        look_KP3, box_KP4 = _told(at_places, state.clean_BCTHW.device)
        moments_KCHW = state.clean_BCTHW[0, :, places].transpose(0, 1)
        stood_K1HW = _around(painted_cells(look_KP3, box_KP4, *moments_KCHW.shape[-2:]))
        bare_KCHW = self._drawn(moments_KCHW, torch.full_like(look_KP3, NOTHING), box_KP4, stood_K1HW)
        stage_TCHW = bare_KCHW[self._sketch.nearest_T.to(bare_KCHW.device)]
        if self._draws_all and len(places) >= FEWEST:
            stage_TCHW = bare_KCHW.median(dim=0).values.expand_as(stage_TCHW)
        frames = self._sketch.frames
        return _with(state, stage_TCHW.transpose(0, 1)[None].float(), state.cap_BTHW[:, :frames])

    def paint(self, state: LatentState, frame_rate: float) -> tuple[LatentState, Encoded]:
        """A cleared state with the things drawn, seen by the blocking's camera; and the frames that were drawn.

        They are drawn frame by frame, as pictures, so that nothing holds still between two latent frames.
        """
        frames, compression = self._sketch.frames, self._drawing.compression
        latent_F = np.array([compression.latent_frame_of(f) for f in range(1 + compression.time * (frames - 1))])
        moving = frames > 1 and self._blocking.move != CameraMove()
        stage = (
            self._moving_stage(state, np.arange(len(latent_F)) / frame_rate) if moving else self._stage(state, latent_F)
        )
        look_FP3, box_FP4 = _told(
            self._blocking.in_frames(np.arange(len(latent_F)), compression), state.clean_BCTHW.device
        )
        frames_FHW3 = self._composed(stage, look_FP3, box_FP4)
        cells_FHW = painted_cells(look_FP3, box_FP4, *state.clean_BCTHW.shape[-2:])[:, 0]
        cells_THW = torch.stack([cells_FHW[latent_F == at].amax(dim=0) for at in range(frames)])
        painted_THW = self._of_tokens(cells_THW, functional.max_pool2d) > 0
        cap_THW = torch.where(painted_THW, stage.cap_THW.clamp(max=self._cap), stage.cap_THW)
        cap_FHW = _spread(cap_THW[latent_F], compression.space).cpu().numpy()
        drawn = Encoded(Guide(frames_FHW3=frames_FHW3, cap_FHW=cap_FHW), self._drawing.encode(frames_FHW3))
        clean_BCTHW = torch.where(painted_THW, drawn.latent_BCTHW, stage.latent_BCTHW)
        return _with(state, clean_BCTHW, cap_THW[None]), drawn

    def _stage(self, state: LatentState, latent_F: npt.NDArray[np.int64]) -> Stage:
        """What a camera that stands still sees."""
        latent_BCTHW = state.clean_BCTHW[:, :, : self._sketch.frames]
        picture_TCHW = latent_BCTHW[0].transpose(0, 1)
        return Stage(
            latent_BCTHW=latent_BCTHW,
            cap_THW=state.cap_BTHW[0, : self._sketch.frames],
            picture_FCHW=picture_TCHW[latent_F],
            frames_FHW3=self._drawing.draw_each(picture_TCHW)[latent_F],
        )

    def _moving_stage(self, state: LatentState, seconds_F: npt.NDArray[np.float64]) -> Stage:
        """The first frame in every one, as the moving camera sees it."""
        first_HW3 = self._drawing.draw_each(state.clean_BCTHW[:, :, 0])[0]
        levels = CameraLevels(turned=self._cap, travelled=2 * self._cap, outside=self._sketch.cap)
        seen = camera_guide(
            Guide.still(first_HW3, frames=len(seconds_F), cap=self._cap),
            camera_track(self._blocking.move, seconds_F),
            levels=levels,
        )
        cap_THW = cell_caps(seen.cap_FHW, self._drawing.compression).to(state.cap_BTHW)
        return Stage(
            latent_BCTHW=self._drawing.encode(seen.frames_FHW3),
            cap_THW=self._of_tokens(cap_THW, functional.avg_pool2d),
            picture_FCHW=self._drawing.encode_each(seen.frames_FHW3),
            frames_FHW3=seen.frames_FHW3,
        )

    def _composed(self, stage: Stage, look_FP3: Tensor, box_FP4: Tensor) -> Frames:
        """The frames of a stage with the things on it, a few frames at a time."""
        layer_FP = layers(look_FP3[0], box_FP4)
        pieces = [slice(first, first + AT_ONCE) for first in range(0, len(layer_FP), AT_ONCE)]
        return np.concatenate([
            self._laid(stage.picture_FCHW[piece], stage.frames_FHW3[piece], layer_FP[piece], look_FP3[piece],
                       box_FP4[piece])
            for piece in pieces
        ])  # fmt: skip

    def _laid(
        self,
        clean_NCHW: Tensor,
        bare_NHW3: Frames,
        layer_NP: npt.NDArray[np.int64],
        look_NP3: Tensor,
        box_NP4: Tensor,
    ) -> Frames:
        """Frames of the bare stage with the things on it, those behind first.

        Painted at once, things that overlap would run into each other. So each layer is painted on the bare stage and
        laid over what is there already, where it differs from the bare stage.
        """
        _, height, width, _ = bare_NHW3.shape
        frames_NHW3, under_NHW1 = bare_NHW3.copy(), np.zeros((*bare_NHW3.shape[:3], 1), dtype=np.float32)
        for layer in range(1 + int(layer_NP.max(initial=-1))):
            of_layer_NP = layer_NP == layer
            at = np.flatnonzero(of_layer_NP.any(axis=1))
            of_layer_NP1 = torch.from_numpy(of_layer_NP[at, :, None]).to(look_NP3.device)
            seen_NP3 = torch.where(of_layer_NP1, look_NP3[at], NOTHING)
            gone_N1HW = torch.zeros_like(clean_NCHW[at, :1])
            drawn_NHW3 = self._drawing.draw_each(self._drawn(clean_NCHW[at], seen_NP3, box_NP4[at], gone_N1HW))
            over_NHW1 = reach(seen_NP3, box_NP4[at], height, width, self._drawing.compression.space)[..., None]
            below_NHW1 = under_NHW1[at]
            under_NHW1[at] = np.maximum(below_NHW1, over_NHW1)
            if layer:
                over_NHW1 *= 1 - below_NHW1 * (1 - _unlike(drawn_NHW3, bare_NHW3[at]))
            frames_NHW3[at] = np.rint(frames_NHW3[at] + over_NHW1 * (drawn_NHW3.astype(np.float32) - frames_NHW3[at]))
        return frames_NHW3

    def _drawn(self, clean_NCHW: Tensor, look_NP3: Tensor, box_NP4: Tensor, gone_N1HW: Tensor) -> Tensor:
        """Pictures with things drawn and what is gone erased."""
        first_N = torch.ones(len(clean_NCHW), dtype=torch.bool, device=clean_NCHW.device)
        still_NP2 = torch.zeros_like(box_NP4[..., :2])
        drawn_NCHW: Tensor = self._painter(clean_NCHW, look_NP3, box_NP4, still_NP2, first_N, gone_N1HW)[0]
        return drawn_NCHW

    def _of_tokens(self, cells_NHW: Tensor, pool: Callable[[Tensor, int], Tensor]) -> Tensor:
        """What is told of cells, of the tokens that they are in."""
        return _spread(pool(cells_NHW[:, None], self._patch)[:, 0], self._patch)


def _told(blocking: Blocking, device: torch.device) -> tuple[Tensor, Tensor]:
    """Looks and boxes of the things at the blocking's moments."""
    box_NP4 = torch.from_numpy(blocking.box_TP4).to(device)
    return torch.from_numpy(blocking.look_P3).to(device).expand(len(box_NP4), -1, -1), box_NP4


def _unlike(drawn_NHW3: Frames, bare_NHW3: Frames) -> npt.NDArray[np.float32]:
    """How much of each pixel is a thing's (N, H, W, 1), by how far it is from the bare stage."""
    off_NHW1 = np.abs(drawn_NHW3.astype(np.float32) - bare_NHW3).max(axis=-1, keepdims=True)
    return np.clip((off_NHW1 - LIKE) / (UNLIKE - LIKE), 0, 1)


def _spread(cells_NHW: Tensor, finer: int) -> Tensor:
    """The same on a finer grid."""
    return cells_NHW.repeat_interleave(finer, -2).repeat_interleave(finer, -1)


def _around(cells_N1HW: Tensor) -> Tensor:
    """Cells and their neighbours: what a sketch draws does not keep to its box."""
    return functional.max_pool2d(cells_N1HW, 3, stride=1, padding=1)


def _with(state: LatentState, clean_BCTHW: Tensor, cap_BTHW: Tensor) -> LatentState:
    """The state with its first frames known otherwise; what stands beside them (references) stays."""
    frames = clean_BCTHW.shape[2]
    all_BCTHW, caps_BTHW = state.clean_BCTHW.clone(), state.cap_BTHW.clone()
    all_BCTHW[:, :, :frames], caps_BTHW[:, :frames] = clean_BCTHW, cap_BTHW
    return replace(state, clean_BCTHW=all_BCTHW, cap_BTHW=caps_BTHW)
