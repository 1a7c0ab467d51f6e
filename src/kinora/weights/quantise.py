"""How tensors are kept on disk: as they are, halved, or as bytes with a scale for each row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

__all__ = ["SCALE_SUFFIX", "Storage", "pack", "unpack"]

Storage = Literal["float32", "bfloat16", "int8"]

SCALE_SUFFIX = "::scale"
"""Beside an int8 tensor `name` stands `name::scale`, float32, one number for each row."""


def pack(name: str, tensor: Tensor, storage: Storage) -> dict[str, Tensor]:
    """What is written for one tensor. Integers stay as they are; int8 is for matrices, and vectors then stay
    float32.
    """
    tensor = tensor.detach().cpu().contiguous()
    if not tensor.is_floating_point():
        return {name: tensor}
    if storage == "bfloat16":
        return {name: tensor.to(torch.bfloat16)}
    if storage == "float32" or tensor.ndim < 2:
        return {name: tensor.float()}
    rows = tensor.float().flatten(1)
    # A row of zeros keeps scale 1: nought divided by nought is not nought.
    scale_R = rows.abs().amax(dim=1) / 127.0
    scale_R = torch.where(scale_R == 0, 1.0, scale_R)
    whole = (rows / scale_R[:, None]).round().to(torch.int8)
    return {name: whole.view_as(tensor), name + SCALE_SUFFIX: scale_R}


def unpack(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a shard, floating ones in float32 again. int8 errs by at most half a 127th of each row's
    largest value.
    """
    tensors: dict[str, Tensor] = {}
    for name, tensor in stored.items():
        if name.endswith(SCALE_SUFFIX):
            continue
        scale_R = stored.get(name + SCALE_SUFFIX)
        if scale_R is not None:
            tensor = (tensor.flatten(1).float() * scale_R[:, None]).view_as(tensor)
        tensors[name] = tensor.float() if tensor.is_floating_point() else tensor
    return tensors
