"""A walk interrupted after any step goes on to the same bits, whatever the solver remembers."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import safetensors.torch
import torch
from torch import Tensor

from kinora.flow.guidance import guided_pair
from kinora.flow.reuse import Reusing
from kinora.flow.schedule import schedule, wan_schedule
from kinora.flow.solvers import SOLVERS, Standing, sample
from kinora.flow.state import LatentState, initial_state

STEPS = 7
SHAPE = (3, 5, 4, 4)


def curved(x: Tensor, sigma: Tensor, position: Tensor) -> Tensor:
    """A velocity with no straight part, coupled across channels, whose memory does not lie in order."""
    level = sigma[:, None]
    bent = (
        torch.tanh(1.3 * x + 0.4 * level) * (1 + level) - 0.2 * x.roll(1, 1) + 0.01 * position[:, None, :, None, None]
    )
    return bent.transpose(1, 4).contiguous().transpose(1, 4)


def guided(x: Tensor, sigma: Tensor, position: Tensor) -> Tensor:
    def both(x: Tensor, sigma: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        return curved(x, sigma, position), curved(0.9 * x, sigma, position)

    return guided_pair(both, lambda level: 3.0 if level > 0.6 else 5.0)(x, sigma, position)


def known(state: LatentState) -> LatentState:
    """Some frames known, some up to a cap, references beside them: cells that come in late."""
    picture = torch.linspace(-1, 1, 3 * 16).reshape(1, 3, 1, 4, 4)
    state = state.know([0], picture).know([1], 0.5 * picture, cap=0.4)
    cap = torch.ones(1, 5, 4, 4)
    cap[:, 3, :2] = 0.7
    return state.know_up_to(torch.zeros(1, 3, 5, 4, 4), cap).extend(picture, [-3.0])


def stored(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Through bytes and back."""
    return safetensors.torch.load(safetensors.torch.save({name: t.contiguous().clone() for name, t in tensors.items()}))


@pytest.mark.parametrize("bare", [True, False], ids=["free", "partly known"])
@pytest.mark.parametrize("velocity", [curved, guided])
@pytest.mark.parametrize("solver", SOLVERS)
def test_after_every_step_it_goes_on_to_the_same_bits(solver: str, velocity: object, bare: bool) -> None:
    state = initial_state(SHAPE, seed=3)
    state = state if bare else known(state)
    levels = (wan_schedule if solver == "unipc" else schedule)(STEPS, 3.0)
    stands: list[tuple[int, dict[str, Tensor]]] = []

    def keep(standing: Standing) -> None:
        stands.append((standing.steps, stored({"latents": standing.x_BCTHW, **standing.history})))

    whole = sample(velocity, state, levels, solver, on_stand=keep)  # type: ignore[arg-type]
    assert [steps for steps, _ in stands] == list(range(1, STEPS + 1))
    for steps, tensors in stands:
        told: list[int] = []
        latents = tensors.pop("latents")
        begin = Standing(steps=steps, x_BCTHW=latents, history=tensors)
        again = sample(velocity, state, levels, solver, lambda done, _: told.append(done), begin=begin)  # type: ignore[arg-type]  # noqa: B023
        assert torch.equal(again, whole), steps
        assert told == list(range(steps + 1, STEPS + 1))


@pytest.mark.parametrize("solver", SOLVERS)
def test_what_is_remembered_matters(solver: str) -> None:
    """Else the test above could not fail."""
    state, levels = initial_state(SHAPE, seed=3), schedule(STEPS, 3.0)
    stands: list[Standing] = []
    whole = sample(curved, state, levels, solver, on_stand=stands.append)
    forgetful = Standing(steps=3, x_BCTHW=stands[2].x_BCTHW)
    same = torch.equal(sample(curved, state, levels, solver, begin=forgetful), whole)
    assert same == (solver in ("euler", "heun"))


@pytest.mark.parametrize("threshold", [0.05, 0.5])
@pytest.mark.parametrize("solver", ["euler", "ab2", "unipc"])
def test_reused_steps_are_the_same_ones(solver: str, threshold: float) -> None:
    state, levels = initial_state(SHAPE, seed=3), wan_schedule(24, 3.0)
    reusing = Reusing(curved, threshold, levels)
    stands: list[tuple[Standing, dict[str, Tensor]]] = []
    whole = sample(reusing, state, levels, solver, on_stand=lambda s: stands.append((s, stored(reusing.history()))))
    assert reusing.report.reused > 2
    for standing, history in stands:
        again = Reusing(curved, threshold, levels)
        again.resume(history)
        assert torch.equal(sample(again, state, levels, solver, begin=standing), whole), standing.steps
        assert again.report == reusing.report


def test_reuse_over_several_windows_keeps_its_counts() -> None:
    state, levels = initial_state(SHAPE, seed=3), schedule(12, 3.0)
    reusing = Reusing(curved, 0.3, levels)
    sample(reusing, state, levels)
    begun: list[dict[str, Tensor]] = []
    stands: list[Standing] = []

    def keep(standing: Standing) -> None:
        stands.append(standing)
        begun.append(stored(reusing.history()))

    whole = sample(reusing, initial_state(SHAPE, seed=4), levels, on_stand=keep)
    again = Reusing(curved, 0.3, levels)
    again.resume(begun[5])
    assert torch.equal(sample(again, initial_state(SHAPE, seed=4), levels, begin=stands[5]), whole)
    assert again.report == reusing.report
