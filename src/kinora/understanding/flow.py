"""How a picture moves within a moment: optical flow by Lucas and Kanade's method (1981), and what becomes of it.

A camera's slow turn is less than a pixel between the first and the last frame of a moment. A network would have to
learn to divide what changes by how steep the picture is before it could see that; the method does so in closed form,
coarse to fine, and a small network learns what the outcome means.

Axes: A pictures, C channels, S side, R side that flow is found at, G fine cells along a side, D width, N tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from kinora.understanding.moments import COLOURS

__all__ = ["DRIFT_NUMBERS", "FLOW_NUMBERS", "Motion", "Moved", "drift_of", "flow_of"]

FLOW_NUMBERS = 5
"""Way right and down during the moment, in quarters of a fine cell; how well it can be told there; what it leaves
unexplained; how much changes at all.
"""
DRIFT_NUMBERS = 6
"""The way right and the way down of the picture as a whole: in its middle, and how they grow to the right and down."""
FITS, OUTLIER = 4, 0.5
"""Rounds of fitting the whole picture's way; from this far off (quarters of a fine cell) cells count for less."""
LEVELS, ROUNDS, WINDOW = 3, 2, 5
"""Sizes that flow is found at, each half of the one before; corrections at each; side of the window, pixels."""
LEAST_STEEP = 3e-4
"""Squared steepness that counts as none: of grain, where a picture is plain."""
_PIXELS = 4
"""Along a fine cell, at the finest size that flow is found at."""
SHARPER = 4.0
"""Brings a slow camera's drift to about one."""
FARTHEST = 12.0
"""Quarters of a fine cell beyond which a way is a mistake."""


@torch.no_grad()
def flow_of(moments_ACSS: Tensor, grid: int) -> Tensor:
    """Flow (A, `FLOW_NUMBERS`, G, G) on `grid` x `grid` cells of moments (A, 6, S, S): pictures, twice what changed."""
    now, change = moments_ACSS.float().split(COLOURS, dim=1)
    coarser = max(1, now.shape[-1] // (_PIXELS * grid))
    pairs = [tuple(functional.avg_pool2d(x, coarser) for x in (now, now - change / 2))]
    for _ in range(LEVELS - 1):
        pairs.append(tuple(functional.avg_pool2d(x, 2) for x in pairs[-1]))
    flow = now.new_zeros(len(now), 2, *pairs[-1][0].shape[-2:])
    for level, (here, before) in enumerate(reversed(pairs)):
        if level:
            flow = 2 * functional.interpolate(flow, scale_factor=2, mode="bilinear", align_corners=False)
        flow, sure, left = _refined(flow, here, before)
    cell = flow.shape[-1] // grid
    # Where a picture is steep decides for its cell; the walk went back in time.
    way = -functional.avg_pool2d(flow * sure, cell) / functional.avg_pool2d(sure, cell) * (_PIXELS / cell)
    sure, left = functional.avg_pool2d(sure, cell).log() + 8, functional.avg_pool2d(left, cell)
    changed = functional.avg_pool2d(change.abs().mean(1, keepdim=True), change.shape[-1] // grid)
    return torch.cat([way.clamp(-FARTHEST, FARTHEST), sure, left, changed], dim=1)


@torch.no_grad()
def drift_of(flow_AFGG: Tensor) -> tuple[Tensor, Tensor]:
    """What most of a picture does: its drift (A, 6), and the flow that this does not explain (A, 2, G, G).

    The affine flow that is nearest by least squares, cells weighted by how sure they are and less the farther off they
    are: pans and tilts are its middle, zooms and rolls its growth.
    """
    grid = flow_AFGG.shape[-1]
    step = (torch.arange(grid, device=flow_AFGG.device) + 0.5) * (2 / grid) - 1
    down_GG, across_GG = torch.meshgrid(step, step, indexing="ij")
    terms_N3 = torch.stack([torch.ones_like(across_GG), across_GG, down_GG], dim=-1).flatten(0, 1)
    way_AN2 = flow_AFGG[:, :2].flatten(2).transpose(1, 2)
    sure_AN = flow_AFGG[:, 2].flatten(1).exp().clamp(max=20.0)
    weight_AN = sure_AN
    steady_33 = 1e-3 * torch.eye(3, device=flow_AFGG.device)
    for _ in range(FITS):
        weighted_AN3 = weight_AN[..., None] * terms_N3
        gram_A33 = weighted_AN3.transpose(1, 2) @ terms_N3 + weight_AN.mean(1)[:, None, None] * steady_33
        fit_A32 = torch.linalg.solve(gram_A33, weighted_AN3.transpose(1, 2) @ way_AN2)
        own_AN2 = way_AN2 - terms_N3 @ fit_A32
        weight_AN = sure_AN / (1 + (own_AN2.norm(dim=-1) / OUTLIER).square())
    return fit_A32.transpose(1, 2).flatten(1), own_AN2.transpose(1, 2).unflatten(2, (grid, grid))


def _refined(flow: Tensor, here: Tensor, before: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The way from `here` to `before` (A, 2, R, R), corrected; its certainty and what is left (A, 1, R, R)."""
    padded = functional.pad(here, (1, 1, 1, 1), mode="replicate")
    across = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    down = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    aa, dd = _around(across * across) + LEAST_STEEP, _around(down * down) + LEAST_STEEP
    ad = _around(across * down)
    determinant = aa * dd - ad * ad
    off = _moved(before, flow) - here
    for _ in range(ROUNDS):
        ao, do = _around(across * off), _around(down * off)
        step = torch.cat([ad * do - dd * ao, ad * ao - aa * do], dim=1) / determinant
        flow = flow + step.clamp(-1, 1)
        off = _moved(before, flow) - here
    return flow, determinant / (aa + dd), off.abs().mean(1, keepdim=True)


def _around(x: Tensor) -> Tensor:
    """The mean over a window and the sum over channels: (A, 1, R, R)."""
    return functional.avg_pool2d(x.sum(1, keepdim=True), WINDOW, 1, WINDOW // 2, count_include_pad=False)


def _moved(picture: Tensor, flow: Tensor) -> Tensor:
    """What lies `flow` pixels beside each pixel."""
    side = picture.shape[-1]
    step = torch.arange(side, device=flow.device) + 0.5
    across = (step + flow[:, 0]) * (2 / side) - 1
    down = (step[:, None] + flow[:, 1]) * (2 / side) - 1
    return functional.grid_sample(
        picture, torch.stack([across, down], dim=-1), padding_mode="border", align_corners=False
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Moved:
    """What motion adds to what is seen: to features (A, C, G, G), to tokens (A, N, D), and to whole moments (A, D)."""

    fine_ACGG: Tensor
    token_AND: Tensor
    moment_AD: Tensor


class Motion(nn.Module):
    """Moments (A, 6, S, S) to what their flow means."""

    def __init__(self, grid: int, channels: int, width: int, hidden: int = 64) -> None:
        super().__init__()
        self.grid = grid
        self.enter = nn.Conv2d(FLOW_NUMBERS + 2, hidden, 3, padding=1)
        self.among = nn.Conv2d(hidden, hidden, 3, padding=1)
        self.fine = nn.Conv2d(hidden, channels, 1)
        self.token = nn.Conv2d(hidden, width, 2, stride=2)
        self.moment = nn.Sequential(
            nn.Linear(DRIFT_NUMBERS, width), nn.GELU(approximate="tanh"), nn.Linear(width, width)
        )

    def forward(self, moments_ACSS: Tensor) -> Moved:
        with torch.autocast(moments_ACSS.device.type, enabled=False):  # hundredths of a pixel count
            flow_AFGG = flow_of(moments_ACSS, self.grid)
            drift_A6, own_A2GG = drift_of(flow_AFGG)
        x = functional.relu(self.enter(torch.cat([flow_AFGG, own_A2GG], dim=1)))
        x = functional.relu(self.among(x))
        return Moved(
            fine_ACGG=self.fine(x),
            token_AND=self.token(x).flatten(2).transpose(1, 2),
            moment_AD=self.moment(SHARPER * drift_A6),
        )
