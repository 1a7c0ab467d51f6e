"""Scaled dot-product attention over heads that lie side by side in the last axis.

Axes: B batch, N queries, M keys, A heads, K head width.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["attend", "attend_in_pieces"]

PIECE = 320
"""Queries of one head whose scores are held at once: 320 x 1,344 of them in bfloat16 still fit a core's cache."""


def attend(
    query_BNAK: Tensor,
    key_BMAK: Tensor,
    value_BMAK: Tensor,
    mask_BM: Tensor | None = None,
    *,
    bias_BM: Tensor | None = None,
) -> Tensor:
    """Every query attends to every key where `mask_BM` is true (everywhere without one); returns (B, N, A K).

    A row whose mask is false throughout attends to everything: a softmax over nothing would be no number.
    `bias_BM`, given instead of a mask, is added to the scores of each key. Queries of one clip may meet keys of
    several, and the other way round.
    """
    batch = max(len(query_BNAK), len(key_BMAK))
    query_BANK, key_BAMK, value_BAMK = (
        x.transpose(1, 2).expand(batch, -1, -1, -1) for x in (query_BNAK, key_BMAK, value_BMAK)
    )
    if mask_BM is None and _pieces_pay(query_BNAK, key_BMAK):
        return attend_in_pieces(query_BANK, key_BAMK, value_BAMK, bias_BM).flatten(2)
    weight_B11M = None
    if mask_BM is not None:
        weight_B11M = (mask_BM | ~mask_BM.any(dim=1, keepdim=True))[:, None, None, :]
    elif bias_BM is not None:
        weight_B11M = bias_BM.to(query_BNAK.dtype)[:, None, None, :]
    mixed_BANK = functional.scaled_dot_product_attention(query_BANK, key_BAMK, value_BAMK, attn_mask=weight_B11M)
    return mixed_BANK.transpose(1, 2).flatten(2)


def attend_in_pieces(query_BANK: Tensor, key_BAMK: Tensor, value_BAMK: Tensor, bias_BM: Tensor | None = None) -> Tensor:
    """The same by plain matrix products, some queries of one head at a time; returns (B, N, A, K). Learns nothing.

    On CPUs that multiply bfloat16 natively torch's own attention reaches a fifth of their speed (torch 2.13 on an AMD
    Zen 5: 82 of 440 GFLOP/s a core), two plain products with a softmax between them nearly half (205).
    """
    batch, heads, queries, width = query_BANK.shape
    scaled_BANK = query_BANK * width**-0.5
    mixed_BNAK = query_BANK.new_empty(batch, queries, heads, width)
    for b in range(batch):
        bias_M = None if bias_BM is None else bias_BM[b].to(query_BANK.dtype)
        for a in range(heads):
            key_KM, value_MK = key_BAMK[b, a].t(), value_BAMK[b, a].contiguous()
            for begin in range(0, queries, PIECE):
                query_NK = scaled_BANK[b, a, begin : begin + PIECE]
                score_NM = query_NK @ key_KM if bias_M is None else torch.addmm(bias_M, query_NK, key_KM)
                mixed_BNAK[b, begin : begin + PIECE, a] = score_NM.softmax(dim=-1) @ value_MK
    return mixed_BNAK


def _pieces_pay(query_BNAK: Tensor, key_BMAK: Tensor) -> bool:
    """Whether plain products beat torch's attention: bfloat16 on a CPU that has it, many keys, nothing to be learnt."""
    if query_BNAK.device.type != "cpu" or query_BNAK.dtype != torch.bfloat16 or key_BMAK.shape[1] < PIECE:
        return False
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        return False
    # What oneDNN calls supported includes slow emulation, so the instructions themselves are asked for.
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
