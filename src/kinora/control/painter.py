"""A painter: moments whose things are left out, and a blocking, in; the same moments with the things drawn, out.

A transformer of this size composes grounds and skies well and bodies badly: given the truth at noise level 0.8 it still
makes a square of a ball (docs/log.md). What a told thing looks like in a given place is hardly a matter of chance, so
it is not drawn from noise: a small network of convolutions says what it most likely is, in the light and on the ground
that are there already. The transformer goes on from there.

Axes: N moments, C latent channels, M channels of control maps, P things, T latent frames, H W latent grid, 2 right and
down, 3 looks, 4 box.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from kinora.control.blocking import BLOCKING_CHANNELS, blocking_maps
from kinora.core.blocking import KINDS
from kinora.nn.convolution import ConvBlock

__all__ = ["Painter", "PainterConfig", "painted_cells"]

FINER = 2
"""Control maps of a painter are as many times as fine as the latent grid: an edge within a cell is to be seen."""
WAVES = (0.5, 1.0, 2.0, 3.0, 4.0)
"""Half turns in a cell, of the waves that tell where an edge is: about as fine as what a codec keeps of a cell."""
NEAR, FAR = 1.5, 6.0
"""Cells up to which waves tell of an edge, and up to which its distance is told."""
EDGE_CHANNELS = 4 * (1 + 2 * len(WAVES))
EXTRA = 4
"""What is told of a thing beside a blocking's own maps: its way in a latent frame, and how large it is."""


@dataclass(frozen=True, kw_only=True)
class PainterConfig:
    """Sizes of a `Painter`."""

    channels: int
    spread: tuple[float, ...]
    """Standard deviation of each latent channel."""
    widths: tuple[int, int, int] = (128, 128, 160)
    """Of the features on the latent grid, at half and at a quarter of it."""
    edges: bool = False
    """Whether it is told where the edges of boxes lie within a cell; those of before are not."""
    depths: tuple[int, int, int] = (2, 2, 3)
    """Residual blocks at each of the three on the way down; on the way up as many at the first two."""

    def __post_init__(self) -> None:
        for name in ("spread", "widths", "depths"):  # read from JSON they are lists
            object.__setattr__(self, name, tuple(getattr(self, name)))


def painted_cells(look_NP3: Tensor, box_NP4: Tensor, height: int, width: int) -> Tensor:
    """Which latent cells (N, 1, H, W) a painter draws, 1 or 0: all that things reach, and half a cell around."""
    return _cells(_maps(look_NP3, box_NP4, None, height, width))


def _cells(maps_NMHW: Tensor) -> Tensor:
    """The same from the finer control maps."""
    reached_N1HW = (maps_NMHW[:, : len(KINDS)].sum(dim=1, keepdim=True) > 0).float()
    around_N1HW = functional.max_pool2d(reached_N1HW, 3, stride=1, padding=1)
    return functional.max_pool2d(around_N1HW, FINER)


class Painter(nn.Module):
    """Convolutions on the latent grid, at half and at a quarter of it, and back (Ronneberger et al. 2015)."""

    def __init__(self, config: PainterConfig) -> None:
        super().__init__()
        self.config = config
        fine, middle, coarse = config.widths
        told = (BLOCKING_CHANNELS + EXTRA) * FINER**2 + (EDGE_CHANNELS if config.edges else 0)
        self.open = nn.Conv2d(config.channels + 2 + told, fine, 3, padding=1)
        self.down_fine = _blocks(fine, config.depths[0])
        self.to_middle = nn.Conv2d(fine, middle, 2, stride=2)
        self.down_middle = _blocks(middle, config.depths[1])
        self.to_coarse = nn.Conv2d(middle, coarse, 2, stride=2)
        self.deep = _blocks(coarse, config.depths[2])
        self.from_coarse = nn.ConvTranspose2d(coarse, middle, 2, stride=2)
        self.up_middle = _blocks(middle, config.depths[1])
        self.from_middle = nn.ConvTranspose2d(middle, fine, 2, stride=2)
        self.up_fine = _blocks(fine, config.depths[0])
        self.close = nn.Conv2d(fine, config.channels, 3, padding=1)
        self.spread_C11: Tensor
        self.register_buffer("spread_C11", torch.tensor(config.spread)[:, None, None], persistent=False)

    def forward(
        self,
        clean_NCHW: Tensor,
        look_NP3: Tensor,
        box_NP4: Tensor,
        way_NP2: Tensor,
        first_N: Tensor,
        gone_N1HW: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The moments with their things drawn (N, C, H, W), and which cells were (N, 1, H, W).

        Looks, boxes and ways are a blocking's (`kinora.core.blocking`); `first_N` says which moments are a clip's
        first latent frame, which holds a single picture. Cells of which something is `gone` are drawn too, as what
        stands behind.
        """
        height, width = clean_NCHW.shape[-2:]
        extra_NPE = torch.cat([way_NP2, box_NP4[..., 2:].clamp(min=1e-2).log()], dim=-1)
        finer_NMHW = _maps(look_NP3, box_NP4, extra_NPE, height, width)
        maps_NMHW, cells_N1HW = functional.pixel_unshuffle(finer_NMHW, FINER), _cells(finer_NMHW)
        if gone_N1HW is not None:
            cells_N1HW = torch.maximum(cells_N1HW, gone_N1HW)
        first_N1HW = first_N.to(clean_NCHW)[:, None, None, None].expand_as(cells_N1HW)
        around_NCHW = clean_NCHW / self.spread_C11 * (1 - cells_N1HW)
        edges = [edge_waves(look_NP3, box_NP4, height, width)] if self.config.edges else []
        seen_NHW = torch.cat([around_NCHW, cells_N1HW, first_N1HW, maps_NMHW, *edges], dim=1)
        # Both halvings come out even.
        seen_NHW = functional.pad(seen_NHW, (0, -width % 4, 0, -height % 4))
        fine = self.down_fine(self.open(seen_NHW.contiguous(memory_format=torch.channels_last)))
        middle = self.down_middle(self.to_middle(fine))
        deep = self.deep(self.to_coarse(middle))
        middle = self.up_middle(middle + self.from_coarse(deep))
        fine = self.up_fine(fine + self.from_middle(middle))
        drawn_NCHW = self.close(fine)[..., :height, :width] * self.spread_C11
        return torch.where(cells_N1HW > 0, drawn_NCHW, clean_NCHW), cells_N1HW


def edge_waves(look_NP3: Tensor, box_NP4: Tensor, height: int, width: int) -> Tensor:
    """Where the edges of the thing that a cell shows lie, as seen from the cell's middle (N, E, H, W).

    What a cell holds depends on where within it an edge passes, finer than a network makes out from how much of it is
    covered; so each of the four distances is told as waves too as long as the edge is near (Fourier features, Tancik
    et al. 2020, arXiv:2006.10739).
    """
    if not box_NP4.shape[1]:
        return box_NP4.new_zeros(len(box_NP4), EDGE_CHANNELS, height, width)
    left_N1W, right_N1W = _distances(box_NP4[..., 0], box_NP4[..., 2], width, min(height, width))
    above_N1H, below_N1H = _distances(box_NP4[..., 1], box_NP4[..., 3], height, min(height, width))
    shape = (*box_NP4.shape[:2], height, width)
    inside_NPHW4 = torch.stack(
        [
            left_N1W[:, :, None, :].expand(shape),
            right_N1W[:, :, None, :].expand(shape),
            above_N1H[..., None].expand(shape),
            below_N1H[..., None].expand(shape),
        ],
        dim=-1,
    )
    # Shown is, of the things that reach the cell or its neighbours, the one that stands lowest in the picture.
    there_NP11 = (look_NP3[..., 0] >= 0)[..., None, None]
    reaches_NPHW = (inside_NPHW4.amin(dim=-1) > -1) & there_NP11
    lowest_NP11 = (box_NP4[..., 1] + box_NP4[..., 3])[..., None, None]
    shown_N1HW = torch.where(reaches_NPHW, lowest_NP11, -torch.inf).argmax(dim=1, keepdim=True)
    nearest_NHW4 = inside_NPHW4.gather(1, shown_N1HW[..., None].expand(-1, -1, -1, -1, 4))[:, 0]
    reached_NHW1 = reaches_NPHW.any(dim=1)[..., None]
    wave_W = torch.tensor(WAVES, device=box_NP4.device) * torch.pi
    phase_NHW4W = nearest_NHW4[..., None] * wave_W
    near_NHW41 = (nearest_NHW4.abs() < NEAR)[..., None]
    told_NHWE = torch.cat(
        [
            nearest_NHW4.clamp(-NEAR, FAR) / FAR,
            (phase_NHW4W.sin() * near_NHW41).flatten(-2),
            (phase_NHW4W.cos() * near_NHW41).flatten(-2),
        ],
        dim=-1,
    )
    return (told_NHWE * reached_NHW1).permute(0, 3, 1, 2)


def _distances(middle_NP: Tensor, half_NP: Tensor, cells: int, shorter: int) -> tuple[Tensor, Tensor]:
    """How far inside of both edges of boxes each cell's middle lies, in cells (N, P, cells)."""
    centre_N = (torch.arange(cells, device=middle_NP.device) + 0.5 - cells / 2) * (2 / shorter)
    low, high = (middle_NP - half_NP)[..., None], (middle_NP + half_NP)[..., None]
    return (centre_N - low) * (shorter / 2), (high - centre_N) * (shorter / 2)


def _maps(look_NP3: Tensor, box_NP4: Tensor, extra_NPE: Tensor | None, height: int, width: int) -> Tensor:
    """Control maps (N, M, 2H, 2W)."""
    extra_NTPE = None if extra_NPE is None else extra_NPE[:, None]
    return blocking_maps(look_NP3, box_NP4[:, None], FINER * height, FINER * width, extra_NTPE)[:, :, 0]


def _blocks(width: int, depth: int) -> nn.Sequential:
    return nn.Sequential(*(ConvBlock(width) for _ in range(depth)))
