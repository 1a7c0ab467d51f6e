"""Where a result may take the place of what it is computed from."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["may_reuse"]


def may_reuse(x: Tensor) -> bool:
    """Whether the memory of `x`, which must be nobody else's, is worth reusing: in float32 on CPU, where fresh pages
    cost as much as a pass over them. Never while learning, which needs `x` again, nor under a compiler, which sees to
    it itself.
    """
    if torch.compiler.is_compiling() or torch.is_grad_enabled():
        return False
    return x.device.type == "cpu" and x.dtype == torch.float32 and x.is_contiguous()
