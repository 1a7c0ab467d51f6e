"""A blocking as control maps: what the transformer is told of each latent cell.

Axes: B batch, C channels of a map, P things, T latent frames, H W latent grid, E further numbers, 3 looks, 4 box.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from kinora.core.blocking import LOOKS, Blocking

__all__ = ["BLOCKING_CHANNELS", "blocking_maps", "maps_of"]

BLOCKING_CHANNELS = sum(map(len, LOOKS)) + 2
"""One for every value of every look, and where in its box a cell lies, right and down."""


def maps_of(blocking: Blocking, height: int, width: int) -> Tensor:
    """Maps (1, C, T, H, W) of one blocking at its own moments."""
    look_BP3, box_BTP4 = torch.from_numpy(blocking.look_P3)[None], torch.from_numpy(blocking.box_TP4)[None]
    return blocking_maps(look_BP3, box_BTP4, height, width)


def blocking_maps(
    look_BP3: Tensor, box_BTP4: Tensor, height: int, width: int, extra_BTPE: Tensor | None = None
) -> Tensor:
    """Maps (B, C, T, H, W) of looks (indices, -1 for none) and boxes (see `kinora.core.blocking`), and behind them of
    any further numbers that are told of each thing.

    A thing weighs in a cell as much as of the cell lies in its box, and what stands lower in the picture, so nearer,
    covers what stands higher.
    """
    batch, frames, things, _ = box_BTP4.shape
    across, down = (_along(box_BTP4[..., axis], box_BTP4[..., 2 + axis], side, min(height, width))
                    for axis, side in ((0, width), (1, height)))  # fmt: skip
    weight_BTPHW = down[0][..., :, None] * across[0][..., None, :]
    weight_BTPHW = weight_BTPHW * (look_BP3[..., 0] >= 0)[:, None, :, None, None]
    values_BPC = torch.cat(
        [functional.one_hot(look_BP3[..., i] + 1, len(LOOKS[i]) + 1)[..., 1:] for i in range(len(LOOKS))], dim=-1
    ).to(box_BTP4.dtype)
    extra = 0 if extra_BTPE is None else extra_BTPE.shape[-1]
    maps_BTCHW = box_BTP4.new_zeros(batch, frames, BLOCKING_CHANNELS + extra, height, width)
    order_BTP = (box_BTP4[..., 1] + box_BTP4[..., 3]).argsort(dim=-1)
    rows_BT = torch.arange(batch, device=box_BTP4.device)[:, None].expand(batch, frames)
    columns_BT = torch.arange(frames, device=box_BTP4.device)[None].expand(batch, frames)
    for place in range(things):
        thing_BT = order_BTP[..., place]
        told_BTC = values_BPC[rows_BT, thing_BT]
        shape = (batch, frames, 1, height, width)
        right, low = across[1][rows_BT, columns_BT, thing_BT], down[1][rows_BT, columns_BT, thing_BT]
        inside = [
            told_BTC[..., None, None].expand(*told_BTC.shape, height, width),
            right[:, :, None, None, :].expand(shape),
            low[:, :, None, :, None].expand(shape),
        ]
        if extra_BTPE is not None:
            extra_BTE = extra_BTPE[rows_BT, columns_BT, thing_BT]
            inside.append(extra_BTE[..., None, None].expand(*extra_BTE.shape, height, width))
        inside_BTCHW = torch.cat(inside, dim=2)
        weight_BT1HW = weight_BTPHW[rows_BT, columns_BT, thing_BT][:, :, None]
        maps_BTCHW = torch.lerp(maps_BTCHW, inside_BTCHW, weight_BT1HW)
    return maps_BTCHW.transpose(1, 2)


def _along(middle_BTP: Tensor, half_BTP: Tensor, cells: int, shorter: int) -> tuple[Tensor, Tensor]:
    """For every cell along one side (B, T, P, cells): how much of it lies between a box's edges, and where in the box
    its middle is, in [-1, 1].
    """
    edge_N = (torch.arange(cells + 1, device=middle_BTP.device) - cells / 2) * (2 / shorter)
    low, high = (middle_BTP - half_BTP)[..., None], (middle_BTP + half_BTP)[..., None]
    covered = (torch.minimum(high, edge_N[1:]) - torch.maximum(low, edge_N[:-1])).clamp(min=0) * (shorter / 2)
    centre_N = (edge_N[1:] + edge_N[:-1]) / 2
    place = ((centre_N - middle_BTP[..., None]) / half_BTP.clamp(min=1e-3)[..., None]).clamp(-1, 1)
    return covered, place
