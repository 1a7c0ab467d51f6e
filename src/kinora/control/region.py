"""Making part of an existing film anew.

Axes: F pixel frames, H W pixels; B batch, C channels, T latent frames.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from kinora.core.errors import ShapeError
from kinora.core.shapes import Compression
from kinora.flow.state import LatentState

__all__ = ["keep_outside", "paste", "touched_cells"]


def touched_cells(inside_HW: npt.NDArray[np.bool_], compression: Compression) -> Tensor:
    """Which cells (h, w) of the latent grid hold at least one pixel of the region."""
    space = compression.space
    if inside_HW.shape[0] % space or inside_HW.shape[1] % space:
        raise ShapeError(f"A region of shape {inside_HW.shape} does not fit cells of {space} x {space} pixels.")
    inside_11HW = torch.from_numpy(np.ascontiguousarray(inside_HW)).float()[None, None]
    return functional.max_pool2d(inside_11HW, space)[0, 0] > 0


def keep_outside(
    state: LatentState, latent_BCTHW: Tensor, inside_HW: npt.NDArray[np.bool_], compression: Compression
) -> LatentState:
    """The state with every cell that lies wholly outside the region known exactly; cells that it touches stay free.

    `latent_BCTHW` is the encoded film; it covers the state's first T frames, frames that stand beside the clip stay.
    """
    beside = state.clean_BCTHW.shape[2] - latent_BCTHW.shape[2]
    if beside < 0:
        raise ShapeError(f"A film of {latent_BCTHW.shape[2]} latent frames is longer than its state by {-beside}.")
    known_THW = (~touched_cells(inside_HW, compression)).expand(latent_BCTHW.shape[2], -1, -1)
    return state.know_cells(
        functional.pad(known_THW, (0, 0, 0, 0, 0, beside))[None],
        functional.pad(latent_BCTHW, (0, 0, 0, 0, 0, beside)),
    )


def paste(
    made_FHW3: npt.NDArray[np.uint8],
    original_FHW3: npt.NDArray[np.uint8],
    inside_HW: npt.NDArray[np.bool_],
    *,
    feather: int = 6,
) -> npt.NDArray[np.uint8]:
    """The film made, inside the region; the original, bit for bit, outside.

    The seam is hidden on the inner side: from the region's edge inwards the new film fades in over `feather` pixels.
    At the picture's own edge nothing is faded: there is no seam.
    """
    if made_FHW3.shape != original_FHW3.shape or inside_HW.shape != made_FHW3.shape[1:3]:
        raise ShapeError(
            f"A film of shape {made_FHW3.shape} cannot be laid into one of shape {original_FHW3.shape} "
            f"through a mask of shape {inside_HW.shape}; sizes must agree."
        )
    share_HW1 = _fade_in(inside_HW, feather)[:, :, None]
    result_FHW3 = original_FHW3.copy()
    rows, columns = (np.flatnonzero(inside_HW.any(axis=axis)) for axis in (1, 0))
    if rows.size:
        box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        for made_HW3, result_HW3 in zip(made_FHW3, result_FHW3, strict=True):
            old_HW3 = result_HW3[box].astype(np.float32)
            mixed_HW3 = old_HW3 + share_HW1[box] * (made_HW3[box] - old_HW3)
            result_HW3[box] = np.rint(mixed_HW3).astype(np.uint8)
    return result_FHW3


def _fade_in(inside_HW: npt.NDArray[np.bool_], feather: int) -> npt.NDArray[np.float32]:
    """0 outside, rising to 1 over `feather` pixels inwards (in chessboard steps)."""
    left_11HW = torch.from_numpy(~inside_HW).float()[None, None]
    depth_11HW = torch.zeros_like(left_11HW)
    for _ in range(max(feather, 1)):
        depth_11HW += 1.0 - left_11HW
        # Padding of a maximum is never chosen, so the picture's edge does not erode the region.
        left_11HW = functional.max_pool2d(left_11HW, 3, stride=1, padding=1)
    share_HW: npt.NDArray[np.float32] = (depth_11HW / max(feather, 1))[0, 0].numpy()
    return share_HW
