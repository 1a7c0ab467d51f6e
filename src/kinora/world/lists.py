"""Lists of solids, one for each of many things, laid one after another.

Axes in names: K things that have a list, N entries of all lists, R members of a query, P pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["Lists", "expand", "make_lists"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Lists:
    """Where each list starts, how long it is, and the entries."""

    first_K: Tensor
    count_K: Tensor
    entry_N: Tensor


def make_lists(key_N: npt.NDArray[np.int64], entry_N: npt.NDArray[np.int64], keys: int, device: torch.device) -> Lists:
    """Lists from entries sorted by the key that owns them."""
    count_K = np.bincount(key_N, minlength=keys)
    return Lists(
        first_K=torch.from_numpy(np.cumsum(count_K) - count_K).to(device),
        count_K=torch.from_numpy(count_K).to(device),
        entry_N=torch.from_numpy(np.ascontiguousarray(entry_N)).to(device),
    )


def expand(lists: Lists, key_R: Tensor) -> tuple[Tensor, Tensor]:
    """Pairs of each member of a query with every entry of its key's list: (place in the query, entry), in order."""
    count_R = lists.count_K.index_select(0, key_R)
    place_P = torch.repeat_interleave(torch.arange(len(key_R), device=key_R.device), count_R)
    start_R = lists.first_K.index_select(0, key_R) - (count_R.cumsum(0) - count_R)
    entry_P = torch.arange(len(place_P), device=key_R.device) + start_R.index_select(0, place_P)
    return place_P, lists.entry_N.index_select(0, entry_P)
