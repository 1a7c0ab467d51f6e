"""Renewed noise: the same distribution by another way, to the same bits each time.

Axes: B batch, C channels, T latent frames, H W latent grid.
"""

from __future__ import annotations

import itertools

import pytest
import safetensors.torch
import torch
from torch import Tensor

from kinora.core.errors import InputError
from kinora.flow.renewal import Renewal
from kinora.flow.schedule import schedule
from kinora.flow.solvers import SOLVERS, Standing, sample
from kinora.flow.state import initial_state

MEAN, SPREAD = 0.7, 0.4
LEVELS = schedule(12, 3.0)
HALF = Renewal(eta=0.6)


def exact(x_BCTHW: Tensor, sigma_BTHW: Tensor, position_BT: Tensor) -> Tensor:
    """The velocity towards data N(MEAN, SPREAD^2), in closed form."""
    s = sigma_BTHW[:, None]
    variance = (1 - s) ** 2 * SPREAD**2 + s**2
    centred = x_BCTHW - (1 - s) * MEAN
    return s / variance * centred - (MEAN + (1 - s) * SPREAD**2 / variance * centred)


def mistaken_above(level: float, by: float) -> object:
    """The same, but for an error while levels are high."""
    return lambda x, sigma, position: exact(x, sigma, position) + by * (sigma > level)[:, None]


@pytest.mark.parametrize(("eta", "most_alike"), [(0.5, 0.95), (1.0, 0.7)])
def test_the_distribution_is_the_same(eta: float, most_alike: float) -> None:
    state = initial_state((4, 4, 40, 40), seed=1)
    drawn = sample(exact, state, schedule(200), renewal=Renewal(eta=eta, floor=0.1))
    assert float(drawn.mean()) == pytest.approx(MEAN, abs=0.02)
    assert float(drawn.std()) == pytest.approx(SPREAD, abs=0.02)
    there = sample(exact, state, schedule(200))
    alike = float(torch.corrcoef(torch.stack([drawn.flatten(), there.flatten()]))[0, 1])
    assert alike < most_alike


def test_mistakes_made_high_up_are_forgotten() -> None:
    state = initial_state((4, 4, 20, 20), seed=2)
    wrong = mistaken_above(0.9, 2.0)
    off = [
        float(sample(wrong, state, schedule(40, 3.0), renewal=renewal).mean()) - MEAN  # type: ignore[arg-type]
        for renewal in (None, Renewal(eta=0.7, floor=0.3))
    ]
    assert abs(off[1]) < 0.5 * abs(off[0])


@pytest.mark.parametrize("solver", SOLVERS)
def test_nothing_renewed_is_the_solver_itself(solver: str) -> None:
    state = initial_state((2, 3, 4, 4), seed=3)
    alone = sample(exact, state, LEVELS, solver)
    assert torch.equal(sample(exact, state, LEVELS, solver, renewal=Renewal(eta=0.0)), alone)
    capped = state.know_up_to(torch.ones(1, 2, 3, 4, 4), torch.full((1, 3, 4, 4), 0.5))
    assert torch.equal(sample(exact, capped, LEVELS, solver, renewal=HALF), sample(exact, capped, LEVELS, solver))


@pytest.mark.parametrize("solver", SOLVERS)
def test_an_interrupted_walk_goes_on_to_the_same_bits(solver: str) -> None:
    picture = torch.linspace(-1, 1, 32).reshape(1, 2, 1, 4, 4)
    state = initial_state((2, 3, 4, 4), seed=4).know([0], picture).know([1], picture, cap=0.8)
    stands: list[tuple[int, dict[str, Tensor]]] = []

    def keep(standing: Standing) -> None:
        tensors = {"latents": standing.x_BCTHW, **standing.history}
        kept = safetensors.torch.save({name: tensor.clone() for name, tensor in tensors.items()})
        stands.append((standing.steps, safetensors.torch.load(kept)))

    whole = sample(exact, state, LEVELS, solver, renewal=HALF, on_stand=keep)
    assert len(stands) == 12
    for steps, tensors in stands:
        history = {name: tensor for name, tensor in tensors.items() if name != "latents"}
        begin = Standing(steps=steps, x_BCTHW=tensors["latents"], history=history)
        assert torch.equal(sample(exact, state, LEVELS, solver, renewal=HALF, begin=begin), whole)
    assert torch.equal(whole[:, :, :1], picture)


def test_a_clip_in_a_batch_is_what_it_is_alone() -> None:
    both = sample(exact, initial_state((2, 3, 4, 4), seed=5, batch=2), LEVELS, "ab2", renewal=HALF)
    for index in range(2):
        alone = sample(exact, initial_state((2, 3, 4, 4), seed=5 + index), LEVELS, "ab2", renewal=HALF)
        assert torch.equal(both[index : index + 1], alone)
    assert not torch.allclose(both[0], both[1], atol=0.01)


def test_no_two_steps_renew_with_the_same_noise() -> None:
    """Where all data is zero the velocity is x / sigma, and what a step adds is its own noise."""
    state, seen = initial_state((2, 2, 16, 16), seed=6), []

    def to_zero(x: Tensor, sigma: Tensor, position: Tensor) -> Tensor:
        return x / sigma[:, None]

    def keep(standing: Standing) -> None:
        seen.append(standing.x_BCTHW.flatten())

    levels = [1.0, 0.9, 0.7, 0.5, 0.0]
    sample(to_zero, state, torch.tensor(levels), renewal=Renewal(eta=1.0, floor=0.5), on_stand=keep)
    kept = [(1 - a) * b / ((1 - b) * a) for a, b in itertools.pairwise(levels[:4])]
    before = [state.noise_BCTHW.flatten(), *(x / level for x, level in zip(seen, levels[1:3], strict=False))]
    added = [x / b - k * noise for x, b, k, noise in zip(seen, levels[1:4], kept, before, strict=False)]
    apart = torch.corrcoef(torch.stack([before[0], *added])) - torch.eye(4)
    assert float(apart.abs().max()) < 0.2
    for noise, k in zip(added, kept, strict=True):
        assert float(noise.std()) == pytest.approx((1 - k**2) ** 0.5, rel=0.1)


@pytest.mark.parametrize(("eta", "floor"), [(-0.1, 0.6), (1.5, 0.6), (0.5, 0.0), (0.5, 1.2)])
def test_what_cannot_be_renewed_is_refused(eta: float, floor: float) -> None:
    with pytest.raises(InputError, match="Noise cannot be renewed by eta"):
        Renewal(eta=eta, floor=floor)
