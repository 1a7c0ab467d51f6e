"""How much of the device's limit a training step uses.

The limit is the matrix product: what the device makes of one large product, measured in the same run, because clocks,
other work and precision differ from day to day. A step's work is counted, not guessed: every matrix product,
convolution and attention of its forward and backward pass (`torch.utils.flop_counter`), two operations a
multiplication. What else a step does (norms, optimiser, moving data) counts as loss, as it should.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

__all__ = ["count_flops", "matmul_peak", "synchronise"]

_SIDE = {"cuda": 8192, "cpu": 768}
"""Of the square matrices multiplied: large enough for the device's best, small enough for a second."""
_REPEATS = 5


def count_flops(loss: Callable[[], Tensor]) -> float:
    """Floating-point operations of computing a loss and its gradients; gradients are left as they come."""
    # A compiled block hides its operations from the counter.
    with torch.compiler.set_stance("force_eager"):
        counter = FlopCounterMode(display=False, custom_mapping=_cpu_attention())
        with counter:
            loss().backward()
    return float(counter.get_total_flops())


def matmul_peak(device: str) -> float:
    """Operations a second of a large square product on `device`, in the type that training multiplies in there.

    bfloat16 on a GPU, float32 on a processor; the median of several products.
    """
    kind = torch.device(device).type
    side = _SIDE["cpu" if kind == "cpu" else "cuda"]
    dtype = torch.float32 if kind == "cpu" else torch.bfloat16
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    out = torch.empty_like(a)
    torch.mm(a, b, out=out)
    taken = []
    for _ in range(_REPEATS):
        synchronise(device)
        start = time.perf_counter()
        torch.mm(a, b, out=out)
        synchronise(device)
        taken.append(time.perf_counter() - start)
    return 2.0 * side**3 / statistics.median(taken)


def synchronise(device: str) -> None:
    """Wait until the device has done what it was given."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def _cpu_attention() -> dict[Any, Any]:
    """Counts for the processor's attention; PyTorch knows those of GPUs only."""
    aten = torch.ops.aten
    return {
        aten._scaled_dot_product_flash_attention_for_cpu: _attention,
        aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
    }


def _attention(query: torch.Size, key: torch.Size, value: torch.Size, *_: object, **__: object) -> int:
    """From shapes (B, heads, N, K): a product for the scores and one with the values."""
    batch, heads, tokens, width = query
    return 2 * batch * heads * tokens * key[2] * (width + value[3])


def _attention_backward(
    _gradient: torch.Size, query: torch.Size, key: torch.Size, value: torch.Size, *_: object, **__: object
) -> int:
    """The scores once more, as kernels that do not keep them must, then two products for each of the forward pass."""
    batch, heads, tokens, width = query
    return 2 * batch * heads * tokens * key[2] * (3 * width + 2 * value[3])
