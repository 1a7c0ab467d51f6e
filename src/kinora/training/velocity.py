"""A transformer asked about a batch, with references beside it.

Axes: B batch, C channels, R references, T latent frames, H W latent grid.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from kinora.flow.solvers import Velocity
from kinora.training.batches import Batch
from kinora.transformer.model import Conditions, Transformer

__all__ = ["velocity_of"]


def velocity_of(transformer: Transformer, conditions: Conditions, batch: Batch) -> Velocity:
    """The transformer under these conditions, with the batch's references standing beside whatever it is shown."""
    reference_BCRHW, reference_position_BR = batch.reference_BCRHW, batch.reference_position_BR

    def velocity(x_BCTHW: Tensor, sigma_BTHW: Tensor, position_BT: Tensor) -> Tensor:
        plain: Tensor = transformer(x_BCTHW, sigma_BTHW, position_BT, conditions)
        return plain.float()

    if reference_BCRHW is None or reference_position_BR is None:
        return velocity
    count = reference_BCRHW.shape[2]
    # Of references no camera, mouth, face or blocking is told.
    lengthened = replace(
        conditions,
        control_BCTHW=_with_more(conditions.control_BCTHW, count, axis=2),
        pose_BT12=_with_more(conditions.pose_BT12, count),
        mouth_BTS=_with_more(conditions.mouth_BTS, count),
        face_BTHW=_with_more(conditions.face_BTHW, count),
    )

    def beside(x_BCTHW: Tensor, sigma_BTHW: Tensor, position_BT: Tensor) -> Tensor:
        frames = x_BCTHW.shape[2]
        position_BT = torch.cat([position_BT, reference_position_BR], dim=1)
        shown_BCTHW = torch.cat([x_BCTHW, reference_BCRHW], dim=2)
        known_BTHW = sigma_BTHW.new_zeros(sigma_BTHW.shape[0], count, *sigma_BTHW.shape[2:])
        sigma_BTHW = torch.cat([sigma_BTHW, known_BTHW], dim=1)
        whole: Tensor = transformer(shown_BCTHW, sigma_BTHW, position_BT, lengthened)
        return whole[:, :, :frames].float()

    return beside


def _with_more(values: Tensor | None, count: int, *, axis: int = 1) -> Tensor | None:
    """`values` with `count` frames of zeros after its own."""
    if values is None:
        return None
    shape = list(values.shape)
    shape[axis] = count
    return torch.cat([values, values.new_zeros(shape)], dim=axis)
