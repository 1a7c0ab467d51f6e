"""Optimisers, schedule, moving average, guard."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from kinora.training.optimise import Average, Guard, OptimiserConfig, Optimisers, learning_rate_factor, orthogonalise


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.blocks = nn.ModuleList([nn.Linear(8, 16), nn.Linear(16, 8)])
        self.head = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = torch.tanh(block(x))
        out: torch.Tensor = self.head(x)
        return out


@pytest.mark.parametrize(("shape", "least"), [((24, 24), 0.0), ((16, 64), 0.6), ((64, 16), 0.6)])
def test_orthogonalised_matrices_have_singular_values_near_one(shape: tuple[int, int], least: float) -> None:
    generator = torch.Generator().manual_seed(0)
    matrices_NRC = torch.randn(3, *shape, generator=generator)
    values = torch.linalg.svdvals(orthogonalise(matrices_NRC))
    assert values.min() > least  # a square matrix has singular values near zero, which take longer
    assert values.median() > 0.7
    assert values.max() < 1.3


def test_orthogonalising_keeps_the_directions() -> None:
    matrix_RC = torch.randn(12, 20, generator=torch.Generator().manual_seed(1))
    u, _, vh = torch.linalg.svd(matrix_RC, full_matrices=False)
    exact = u @ vh
    near = orthogonalise(matrix_RC[None])[0]
    assert float((near * exact).sum() / (near.norm() * exact.norm())) > 0.95


def test_matrices_inside_blocks_go_to_muon_and_the_rest_to_adam() -> None:
    model = Small()
    optimisers = Optimisers(model.named_parameters(), OptimiserConfig())
    model(torch.randn(2, 8)).sum().backward()
    optimisers.step(1.0)
    names = [name for name, _ in optimisers.tensors()]
    assert sum(name.startswith("muon") for name in names) == 2  # two matrices, one buffer each
    assert sum(name.startswith("adam") for name in names) == 3 * 4  # two biases, a head; step and two moments each


def test_they_learn() -> None:
    model = Small()
    inputs = torch.randn(64, 8, generator=torch.Generator().manual_seed(2))
    targets = inputs[:, :4].sin()
    optimisers = Optimisers(model.named_parameters(), OptimiserConfig(adam_rate=1e-2))
    losses = []
    for step in range(150):
        loss = (model(inputs) - targets).square().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        optimisers.clip()
        optimisers.step(learning_rate_factor(step, 150, optimisers.config))
        optimisers.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.05 * losses[0]


def test_state_goes_out_and_in_to_the_bit() -> None:
    ends = []
    for interrupted in (False, True):
        model = Small()
        optimisers = Optimisers(model.named_parameters(), OptimiserConfig())
        for step in range(6):
            if interrupted and step == 3:
                held = {name: tensor.clone() for name, tensor in optimisers.tensors()}
                optimisers = Optimisers(model.named_parameters(), OptimiserConfig())
                optimisers.load_tensors(held)
            model(torch.full((2, 8), 0.1 * step)).square().sum().backward()
            optimisers.step(0.5)
            optimisers.zero_grad()
        ends.append(torch.cat([parameter.detach().flatten() for parameter in model.parameters()]))
    assert torch.equal(ends[0], ends[1])


def test_clipping_tells_the_norm_as_it_was() -> None:
    model = Small()
    optimisers = Optimisers(model.named_parameters(), OptimiserConfig(clip=0.5))
    (1000 * model(torch.ones(1, 8)).sum()).backward()
    assert optimisers.clip() > 100
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    norm = math.sqrt(sum(float(gradient.square().sum()) for gradient in gradients))
    assert norm == pytest.approx(0.5, rel=1e-3)


def test_the_rate_goes_up_stays_and_comes_down() -> None:
    config = OptimiserConfig(warm_up=0.1, cool_down=0.25)
    factors = [learning_rate_factor(step, 100, config) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[9:76] == [1.0] * 67
    assert factors[87] == pytest.approx(13 / 25)
    assert factors[99] == pytest.approx(1 / 25)
    assert learning_rate_factor(100, 100, config) == 0.0


def test_the_average_starts_warm_and_ends_slow() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    average = Average([("p", parameter)], 0.999)
    parameter.data.fill_(1.0)
    average.update(0)
    assert average.tensors["p"].item() == pytest.approx(0.9)  # decay 1/10 at the first step
    before = average.tensors["p"].item()
    parameter.data.fill_(2.0)
    average.update(1_000_000)
    assert average.tensors["p"].item() == pytest.approx(before + 0.001 * (2.0 - before), rel=1e-5)


def test_the_guard_stops_what_is_no_number() -> None:
    guard = Guard()
    assert guard.complaint(1.0, 1.0) is None
    assert "not a number" in str(guard.complaint(math.nan, 1.0))
    assert "not a number" in str(guard.complaint(1.0, math.inf))
    assert guard.losses == [1.0]


def test_the_guard_stops_spikes_once_it_knows_what_is_usual() -> None:
    guard = Guard(window=16)
    assert guard.complaint(1.0, 1.0) is None
    assert guard.complaint(50.0, 1.0) is None  # too early to tell
    for _ in range(8):
        assert guard.complaint(1.0, 1.0) is None
    assert "spike: loss 4.1" in str(guard.complaint(4.1, 1.0))
    assert "spike: gradient norm" in str(guard.complaint(1.0, 21.0))
    assert guard.complaint(3.9, 19.0) is None


def test_the_guard_gives_way_when_the_new_level_stays() -> None:
    guard = Guard(window=8)
    for _ in range(8):
        guard.complaint(1.0, 1.0)
    answers = [guard.complaint(9.0, 1.0) for _ in range(20)]
    assert answers[0] is not None
    assert answers[-1] is None
