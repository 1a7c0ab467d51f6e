"""Counted operations against sums done by hand, and the share of the limit in a run's record."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from kinora.training.plan import Stage
from kinora.training.run import Run, RunConfig
from kinora.training.throughput import count_flops, matmul_peak


def test_a_linear_layer_costs_three_products() -> None:
    layer = nn.Linear(32, 48)
    inputs = torch.randn(10, 32, requires_grad=True)
    assert count_flops(lambda: layer(inputs).sum()) == 3 * 2 * 10 * 32 * 48


def test_attention_on_a_processor_is_counted() -> None:
    batch, heads, tokens, width = 2, 3, 16, 8
    one = torch.randn(batch, heads, tokens, width, requires_grad=True)
    product = 2 * batch * heads * tokens * tokens * width
    counted = count_flops(lambda: functional.scaled_dot_product_attention(one, one, one).sum())
    assert counted == (2 + 5) * product  # the backward pass makes the scores again


def test_compiled_blocks_are_counted_as_they_are_written() -> None:
    block = nn.Sequential(nn.Linear(16, 16), nn.GELU(), nn.Linear(16, 16))
    inputs = torch.randn(4, 16, requires_grad=True)
    plain = count_flops(lambda: block(inputs).sum())
    block.compile(backend="eager")
    assert count_flops(lambda: block(inputs).sum()) == plain > 0


def test_the_peak_is_a_plausible_number() -> None:
    assert 1e8 < matmul_peak("cpu") < 1e14


class ProductJob:
    """One large product a step: close to the limit, whatever the machine."""

    name = "product"

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model: nn.Module = nn.Linear(512, 512, bias=False)
        self.stages = (Stage(name="only", share=1.0, size=3),)

    def loss(self, stage: str, seed: int, step: int) -> Tensor:
        generator = torch.Generator().manual_seed(step)
        inputs = torch.randn(512, 512, generator=generator)
        loss: Tensor = self.model(inputs).square().mean()
        return loss

    def sheet(self, tensors: Mapping[str, Tensor], path: Path) -> None:
        """Nothing to see."""


def test_a_run_records_its_share_of_the_limit(run_folder: Path) -> None:
    run = Run(run_folder, ProductJob(), RunConfig(steps=12, log_steps=1), lambda _: None)
    assert run.plan.step_flops == {"only": 2 * 2 * 512**3}  # no gradient of the inputs
    assert run.go()
    record = run.record()
    told = record["throughput"]["only"]
    assert 0.0 < told["share_of_limit"] < 2.0
    assert told["gflops"] == pytest.approx(2 * 2 * 512**3 / told["seconds_a_step"] / 1e9)
    assert told["a_second"] == pytest.approx(3 / told["seconds_a_step"])
    assert record["optimiser"]["muon_rate"] == 0.02
    assert {"steps", "planned", "seed", "seconds", "device", "threads"} <= set(record)
