"""Is the figure in the film the one on the reference?

Two judges. The reader names hair and clothes of the figures it sees; of several the one that agrees best counts. And a
line-up by colour, which needs no training: a film frame is searched for a column of hair over skin over clothes in an
identity's own colours, of any height; the identity is right when its column is found better than those of seven
others. Guessing is right one time in eight.

What fools it: for the line-up, light that paints everything (a sunset makes all hair red), figures seen from behind,
and others in the line-up who happen to look much the same; for the reader, whatever its own errors are on true
renders, which stand beside.

Axes: H W pixels, K kinds of colour, 3 RGB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from kinora.core.clip import Clip
from kinora.measure.model import Judge
from kinora.world.figures import HAIR_RGB
from kinora.world.palette import COLOUR_RGB
from kinora.world.scene import Identity

__all__ = ["ReferenceFigures", "line_up", "measure_reference"]

SIDE = 96
"""Pixels of the shorter side that the line-up looks at."""
HEIGHTS = (0.26, 0.33, 0.41, 0.5, 0.62, 0.76, 0.9)
"""Of a figure, in picture sides."""
BANDS = ((0.95, 0.07, 0.11), (0.77, 0.08, 0.10), (0.46, 0.16, 0.10))
"""Hair, skin, clothes: middle over the feet, height and half width of a band, in heights of the figure."""
SPREAD = 0.065
"""Distance of colours at which likeness has fallen to 0.6: see `_colour`."""
LOOKS = 3
"""Frames that are looked at."""


@dataclass(frozen=True, kw_only=True)
class ReferenceFigures:
    """What of the reference is in the film."""

    attributes: float
    """Share of hair and clothes that the reader names as the reference has them; 0 when it sees no figure."""
    line_up: float
    """1 when the colours tell the right identity from the others, else 0."""


def measure_reference(clip: Clip, identity: Identity, others: Sequence[Identity], judge: Judge) -> ReferenceFigures:
    """A film that should show the figure `identity`."""
    figures = judge.read(clip).figures
    right = [(figure.hair == identity.hair) + (figure.clothes == identity.clothes) for figure in figures]
    return ReferenceFigures(
        attributes=max(right, default=0) / 2,
        line_up=float(line_up(clip, [identity, *others]) == 0),
    )


@torch.inference_mode()
def line_up(clip: Clip, identities: Sequence[Identity]) -> int:
    """Which of the identities' columns of colours is found best in the film."""
    chosen = sorted(set(np.linspace(0, len(clip.frames_FHWC) - 1, LOOKS).round().astype(int)))
    found_FI = [[_likeness(clip.frames_FHWC[frame], identity) for identity in identities] for frame in chosen]
    return int(np.mean(found_FI, axis=0).argmax())


# Inside


def _likeness(frame_HW3: npt.NDArray[np.uint8], identity: Identity) -> float:
    """How well the best column of the identity's colours fits anywhere in a frame, in [0, 1]."""
    image_CHW = torch.from_numpy(frame_HW3.copy()).permute(2, 0, 1).float().div(255)
    share = SIDE / min(image_CHW.shape[1:])
    size = [round(share * side) for side in image_CHW.shape[1:]]
    image_CHW = functional.interpolate(image_CHW[None], size=size, mode="area")[0]
    wanted = (HAIR_RGB[identity.hair], identity.skin, COLOUR_RGB[identity.clothes])
    like_KHW = torch.stack([_like(image_CHW, _srgb(rgb)) for rgb in wanted])
    return max(_best_column(like_KHW, height * SIDE) for height in HEIGHTS)


def _srgb(linear: tuple[float, float, float]) -> Tensor:
    value = torch.tensor(linear).clamp(min=0.0)
    return torch.where(value <= 0.0031308, 12.92 * value, 1.055 * value ** (1 / 2.4) - 0.055)


def _like(image_CHW: Tensor, rgb_3: Tensor) -> Tensor:
    """Likeness (H, W) of every pixel to a colour."""
    away_HW = (_colour(image_CHW) - _colour(rgb_3[:, None, None])).square().sum(0)
    return torch.exp(-0.5 * away_HW / SPREAD**2)


def _colour(rgb_CHW: Tensor) -> Tensor:
    """Colour as shares of red, green and blue, and a third of the brightness: light changes brightness most."""
    total_1HW = rgb_CHW.sum(0, keepdim=True) + 0.15
    return torch.cat([rgb_CHW / total_1HW, total_1HW / 9])


def _best_column(like_KHW: Tensor, tall: float) -> float:
    """How much likelier the colours of the three bands are inside them than beside them, at the best place for a
    figure `tall` pixels high: the mean over bands, of which the worst counts twice.
    """
    height = like_KHW.shape[1]
    maps = []
    for like_HW, (over_feet, high, half) in zip(like_KHW, BANDS, strict=True):
        rows = 2 * max(1, round(high * tall / 2)) + 1
        inside, around = (_mean(like_HW, rows, 2 * max(1, round(wide * half * tall)) + 1) for wide in (1.0, 2.4))
        # Brought to where the feet would be, which may be below the picture.
        down = round(over_feet * tall)
        moved_HW = functional.pad(inside - around, (0, 0, down, round(tall) - down))
        maps.append(moved_HW[: height + round(tall)])
    bands_KHW = torch.stack(maps)
    return float((bands_KHW.sum(0) + bands_KHW.amin(0)).max()) / 4


def _mean(like_HW: Tensor, rows: int, columns: int) -> Tensor:
    """Mean over a box around every pixel; first down, then across, which is far less work than both at once."""
    down = functional.avg_pool2d(like_HW[None], (rows, 1), stride=1, padding=(rows // 2, 0))
    return functional.avg_pool2d(down, (1, columns), stride=1, padding=(0, columns // 2))[0]
