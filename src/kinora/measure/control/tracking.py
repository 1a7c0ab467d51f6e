"""Points followed through a clip, from its pixels alone.

Lucas and Kanade's way (1981), coarse to fine: a window around a point is shifted until it looks like the window around
the point one frame before. What is found is then settled against the first frame itself, under an affine map that
turns and stretches the window as its neighbours were seen to turn and stretch, so that small errors do not pile up.
A point is sure where following it back leads to where it came from, and where its window still looks like itself.

What fools it: surfaces without texture, edges that slide along themselves (a point on one may be anywhere along it:
`corners` avoids both), mirror images and shadows (they move, though no thing does), and things of one colour that
change places in one frame.

Axes: F frames, P points, H W pixels, C colours, N pixels of a window, 2 = (x right, y down), pixel centres at +0.5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from kinora.core.errors import ShapeError

__all__ = ["Followed", "corners", "follow"]

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

LUMA = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in brightness (ITU-R BT.601)."""
LEVELS = 3
"""Each halves the picture: a window of 15 pixels sees motions of some 25 pixels a frame at the coarsest."""
REACH = 7
"""Pixels of a window on either side of its point."""
ROUNDS = 8
SETTLED = 0.02
"""Pixels: when nine points of ten make a smaller step, the search ends."""
ASTRAY = 1.0
"""Pixels: following back must end so near to the start."""
ALIKE = 0.75
"""Correlation with the first frame's window from which on a point is taken to be the same."""
LEAST_CORNER = 1e-4
"""Gradient energy (of pictures in [0, 1], per pixel) along the weaker direction that a point needs to be held."""
STIFF = 0.05
"""How much a window resists being bent: squared error (of pictures in [0, 1]) that bending its rim by a pixel must
save."""
MOST_BENT = 0.6
"""A window grows or shrinks by this share at most."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Followed:
    """Where each point is in each frame."""

    pixels_FP2: Array
    sure_FP: Bools
    """Whether the place can be trusted; in the first frame, whether the point can be held at all. Once lost, a point
    stays lost.
    """

    @property
    def lasting_P(self) -> Bools:
        """Points that are sure to the end."""
        return np.asarray(self.sure_FP[-1])


def corners(picture_HW3: npt.NDArray[np.uint8], inside_HW: Bools | None = None, *, count: int = 200) -> Array:
    """At most `count` points (P, 2) that a window can be held by, the clearest first, apart from each other.

    Clearest: the smaller eigenvalue of the gradients' second moments (Shi and Tomasi, 1994). Only inside the mask.
    """
    weaker_HW = _hold(_image(picture_HW3))
    rim = REACH // 2 + 1
    weaker_HW[:rim], weaker_HW[-rim:], weaker_HW[:, :rim], weaker_HW[:, -rim:] = 0.0, 0.0, 0.0, 0.0
    if inside_HW is not None:
        weaker_HW = weaker_HW * torch.from_numpy(inside_HW)
    highest_HW = functional.max_pool2d(weaker_HW[None, None], 7, stride=1, padding=3)[0, 0]
    row_P, column_P = torch.nonzero((weaker_HW == highest_HW) & (weaker_HW > LEAST_CORNER), as_tuple=True)
    best_P = weaker_HW[row_P, column_P].argsort(descending=True)[:count]
    return torch.stack([column_P[best_P] + 0.5, row_P[best_P] + 0.5], 1).numpy().astype(np.float64)


@torch.inference_mode()
def follow(frames_FHW3: npt.NDArray[np.uint8], points_P2: Array) -> Followed:
    """Follow points of the first frame through all frames.

    Raises `ShapeError` when there are no points, or none in the picture.
    """
    frames, height, width, _ = frames_FHW3.shape
    if not len(points_P2) or not _inside(torch.from_numpy(points_P2), height, width).any():
        raise ShapeError(
            f"None of {len(points_P2)} points lies in the picture; a tracker needs at least one that does."
        )
    first = _pyramid(frames_FHW3[0])
    start_P2 = torch.from_numpy(points_P2).float()
    window = _windows(first[0], start_P2)
    bent = Bent(place_P2=start_P2, bend_P22=torch.eye(2).repeat(len(start_P2), 1, 1))
    place_P2, sure_P, before = (
        start_P2,
        _look(_hold(first[0])[None, None], start_P2[:, None])[:, 0, 0] > LEAST_CORNER,
        first,
    )
    places, sures = [start_P2], [sure_P]
    for frame in range(1, frames):
        now = _pyramid(frames_FHW3[frame])
        moved_P2 = _shift(before, now, place_P2, place_P2)
        back_P2 = _shift(now, before, moved_P2, place_P2)
        sure_P = sure_P & ((back_P2 - place_P2).norm(dim=1) < ASTRAY)
        bent, alike_P = _settle(window, now[0], Bent(place_P2=moved_P2, bend_P22=bent.bend_P22))
        sure_P = sure_P & (alike_P > ALIKE) & _inside(bent.place_P2, height, width)
        places.append(bent.place_P2)
        sures.append(sure_P)
        place_P2, before = bent.place_P2, now
    return Followed(pixels_FP2=torch.stack(places).double().numpy(), sure_FP=torch.stack(sures).numpy())


# Inside


def _hold(image_1CHW: Tensor) -> Tensor:
    """How well a window around each pixel can be held (H, W): the gradients' energy along the weaker direction."""
    x_1CHW, y_1CHW = _gradients(image_1CHW)
    pairs = ((x_1CHW, x_1CHW), (x_1CHW, y_1CHW), (y_1CHW, y_1CHW))
    products_13HW = torch.cat([(a * b).sum(1, keepdim=True) for a, b in pairs], 1)
    xx_HW, xy_HW, yy_HW = functional.avg_pool2d(products_13HW, 2 * REACH + 1, stride=1, padding=REACH)[0]
    return 0.5 * (xx_HW + yy_HW - torch.sqrt((xx_HW - yy_HW) ** 2 + 4 * xy_HW**2))


def _image(picture_HW3: npt.NDArray[np.uint8]) -> Tensor:
    """Its luma (1, 1, H, W) in [0, 1]: a third of the work, and hardly an edge is lost."""
    image_HW3 = torch.from_numpy(picture_HW3.copy()).float()
    return (image_HW3 @ torch.tensor(LUMA).div(255))[None, None]


def _pyramid(picture_HW3: npt.NDArray[np.uint8]) -> list[Tensor]:
    """The picture and its halves, as far as a window fits."""
    levels = [_image(picture_HW3)]
    while len(levels) < LEVELS and min(levels[-1].shape[2:]) >= 4 * REACH:
        levels.append(functional.avg_pool2d(levels[-1], 2))
    return levels


def _gradients(image_1CHW: Tensor) -> tuple[Tensor, Tensor]:
    """Central differences, a pixel's worth; at the rim as if the picture went on unchanged."""
    padded = functional.pad(image_1CHW, (1, 1, 1, 1), mode="replicate")
    return 0.5 * (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]), 0.5 * (
        padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
    )


def _inside(places_P2: Tensor, height: int, width: int) -> Tensor:
    return (places_P2 >= 0).all(1) & (places_P2[:, 0] < width) & (places_P2[:, 1] < height)


def _offsets() -> Tensor:
    """Places of a window's pixels against its middle, (N, 2)."""
    step = torch.arange(-REACH, REACH + 1, dtype=torch.float32)
    return torch.stack(torch.meshgrid(step, step, indexing="xy"), dim=-1).reshape(-1, 2)


def _look(image_1CHW: Tensor, places_PN2: Tensor) -> Tensor:
    """Colours (P, N, C) at places in pixels, between pixels bilinearly; beyond the rim the rim's."""
    height, width = image_1CHW.shape[2:]
    grid_PN2 = 2 * places_PN2 / places_PN2.new_tensor([width, height]) - 1
    return functional.grid_sample(
        image_1CHW, grid_PN2[None], mode="bilinear", padding_mode="border", align_corners=False
    )[0].permute(1, 2, 0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Windows:
    """What surrounds each point, and how it changes when shifted."""

    colour_PNC: Tensor
    slope_PNC2: Tensor
    inverse_P22: Tensor
    """Inverse of the slopes' second moments."""


def _windows(image_1CHW: Tensor, places_P2: Tensor) -> Windows:
    x_1CHW, y_1CHW = _gradients(image_1CHW)
    at_PN2 = places_P2[:, None] + _offsets()
    seen_PNK = _look(torch.cat([image_1CHW, x_1CHW, y_1CHW], 1), at_PN2)
    colour_PNC, x_PNC, y_PNC = seen_PNK.chunk(3, dim=2)
    slope_PNC2 = torch.stack([x_PNC, y_PNC], dim=-1)
    return Windows(colour_PNC=colour_PNC, slope_PNC2=slope_PNC2, inverse_P22=_inverse(slope_PNC2))


def _inverse(slope_PNC2: Tensor) -> Tensor:
    moments_P22 = torch.einsum("pnci,pncj->pij", slope_PNC2, slope_PNC2)
    return torch.linalg.inv(moments_P22 + 1e-5 * torch.eye(2))


def _shift(before: list[Tensor], now: list[Tensor], from_P2: Tensor, guess_P2: Tensor) -> Tensor:
    """Where the windows around `from_P2` in one picture are in the next, looked for from `guess_P2` on."""
    away_P2 = (guess_P2 - from_P2) / 2 ** len(before)
    offsets_N2 = _offsets()
    for level in range(len(before) - 1, -1, -1):
        at_P2, away_P2 = from_P2 / 2**level, 2 * away_P2
        window = _windows(before[level], at_P2)
        for _ in range(ROUNDS):
            seen_PNC = _look(now[level], (at_P2 + away_P2)[:, None] + offsets_N2)
            step_P2 = _step(window, seen_PNC)
            away_P2 = away_P2 - step_P2
            if _settled(step_P2):
                break
    return from_P2 + away_P2


def _step(window: Windows, seen_PNC: Tensor) -> Tensor:
    """Gauss-Newton's step of the window's own shift that would explain what is seen; at most two pixels."""
    error_PNC = seen_PNC - window.colour_PNC
    pull_P2 = torch.einsum("pnci,pnc->pi", window.slope_PNC2, error_PNC)
    return torch.einsum("pij,pj->pi", window.inverse_P22, pull_P2).clamp(-2, 2)


def _settled(step_P2: Tensor) -> bool:
    return bool((step_P2.abs().amax(1) < SETTLED).float().mean() > 0.9)


@dataclass(frozen=True, kw_only=True, eq=False)
class Bent:
    """First windows that may also turn, stretch and shear: where they are now."""

    place_P2: Tensor
    bend_P22: Tensor


def _settle(first: Windows, now_1CHW: Tensor, guess: Bent) -> tuple[Bent, Tensor]:
    """The first frame's windows looked for near a guess, and how alike they are there (correlation, P).

    Inverse compositional (Baker and Matthews, 2004): the step is worked out on the first window, whose slopes stay the
    same, and undone on what is looked at. Where the guess was better, it stays.
    """
    offsets_N2 = _offsets()
    lever_N3 = functional.pad(offsets_N2 / REACH, (1, 0), value=1.0)
    steep_PNC6 = (first.slope_PNC2[..., :, None] * lever_N3[:, None, None, :]).flatten(3)
    square_P66 = torch.einsum("pnci,pncj->pij", steep_PNC6, steep_PNC6)
    inverse_P66 = torch.linalg.inv(square_P66 + torch.diag(torch.tensor([1e-4, STIFF, STIFF] * 2)))
    bent = guess
    before_P = _alike(first.colour_PNC, _look(now_1CHW, _bent(bent, offsets_N2)))
    for _ in range(ROUNDS):
        seen_PNC = _look(now_1CHW, _bent(bent, offsets_N2))
        # Light changes: what is seen is first brought to the window's own mean.
        error_PNC = seen_PNC - first.colour_PNC
        error_PNC = error_PNC - error_PNC.mean(1, keepdim=True)
        step_P23 = torch.einsum("pij,pncj,pnc->pi", inverse_P66, steep_PNC6, error_PNC).reshape(-1, 2, 3)
        bent = _without(bent, step_P23)
        if _settled(step_P23[..., 0]):
            break
    after_P = _alike(first.colour_PNC, _look(now_1CHW, _bent(bent, offsets_N2)))
    better_P = (after_P >= before_P) & ((bent.place_P2 - guess.place_P2).norm(dim=1) < REACH / 2)
    return Bent(
        place_P2=torch.where(better_P[:, None], bent.place_P2, guess.place_P2),
        bend_P22=torch.where(better_P[:, None, None], bent.bend_P22, guess.bend_P22),
    ), torch.where(better_P, after_P, before_P)


def _bent(bent: Bent, offsets_N2: Tensor) -> Tensor:
    """Where a window's pixels are, (P, N, 2)."""
    return bent.place_P2[:, None] + torch.einsum("pij,nj->pni", bent.bend_P22, offsets_N2)


def _without(bent: Bent, step_P23: Tensor) -> Bent:
    """The map after which the step has been undone. A step that would fold the window leaves its bend as it is."""
    shift_P2 = step_P23[..., 0].clamp(-2, 2)
    inner_P22 = torch.eye(2) + (step_P23[..., 1:] / REACH).clamp(-0.2, 0.2)
    bend_P22 = bent.bend_P22 @ torch.linalg.inv(inner_P22)
    fine_P = (torch.linalg.svdvals(bend_P22) - 1).abs().amax(1) < MOST_BENT
    bend_P22 = torch.where(fine_P[:, None, None], bend_P22, bent.bend_P22)
    return Bent(place_P2=bent.place_P2 - torch.einsum("pij,pj->pi", bend_P22, shift_P2), bend_P22=bend_P22)


def _alike(a_PNC: Tensor, b_PNC: Tensor) -> Tensor:
    """Correlation of two sets of windows, (P,), each colour brought to its own mean."""
    a, b = (x - x.mean(1, keepdim=True) for x in (a_PNC, b_PNC))
    return (a * b).sum((1, 2)) / (a.square().sum((1, 2)) * b.square().sum((1, 2))).sqrt().clamp(min=1e-6)
