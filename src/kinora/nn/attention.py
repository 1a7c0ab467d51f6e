"""Scaled dot-product attention over heads that lie side by side in the last axis."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

__all__ = ["attend"]


def attend(query_BNAK: Tensor, key_BMAK: Tensor, value_BMAK: Tensor, mask_BM: Tensor | None = None) -> Tensor:
    """Every query attends to every key where `mask_BM` is true (everywhere without one); returns (B, N, A K).

    A row whose mask is false throughout attends to everything: a softmax over nothing would be no number.
    """
    mask_B11M = None
    if mask_BM is not None:
        mask_B11M = (mask_BM | ~mask_BM.any(dim=1, keepdim=True))[:, None, None, :]
    mixed_BANK = functional.scaled_dot_product_attention(
        query_BNAK.transpose(1, 2), key_BMAK.transpose(1, 2), value_BMAK.transpose(1, 2), attn_mask=mask_B11M
    )
    return mixed_BANK.transpose(1, 2).flatten(2)
