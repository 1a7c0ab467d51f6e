"""Steps left out: nothing at threshold 0, more and more above it, and an estimate that keeps to the truth."""

from itertools import pairwise

import pytest
import torch

from kinora.core.errors import InputError
from kinora.flow.reuse import ReuseReport, Reusing
from kinora.flow.schedule import schedule, wan_schedule
from kinora.flow.solvers import sample
from kinora.flow.state import initial_state

SHAPE = (4, 3, 8, 8)
LEVELS = wan_schedule(50, 5.0)


class Counting:
    """The exact velocity of data in two clumps: straight at both ends of the way, bent where it decides for one."""

    def __init__(self, clump=1.5, std=0.3):
        self.levels, self._clump, self._std = [], clump, std

    def __call__(self, x, sigma, position):
        self.levels.append(float(sigma.max()))
        s = sigma[:, None]
        variance = (1 - s) ** 2 * self._std**2 + s**2
        side = torch.tanh((1 - s) * self._clump * x / variance)
        clean = side * self._clump + (1 - s) * self._std**2 / variance * (x - (1 - s) * side * self._clump)
        return (x - clean) / s.clamp(min=1e-6)


def film(threshold, solver="unipc", levels=LEVELS, seed=0):
    """The latents, the report and the model's calls."""
    model = Counting()
    reusing = Reusing(model, threshold, levels)
    return sample(reusing, initial_state(SHAPE, seed=seed), levels, solver), reusing.report, model.levels


def off(latents, solver="unipc", levels=LEVELS, seed=0):
    exact = sample(Counting(), initial_state(SHAPE, seed=seed), levels, solver)
    return float((latents - exact).norm() / exact.norm())


@pytest.mark.parametrize("solver", ["euler", "ab2", "unipc"])
def test_threshold_zero_changes_no_bit(solver):
    latents, report, levels = film(0.0, solver)
    assert torch.equal(latents, sample(Counting(), initial_state(SHAPE, seed=0), LEVELS, solver))
    assert report == ReuseReport(calls=50, reused=0, estimated_error=0.0)
    assert len(levels) == 50


@pytest.mark.parametrize("solver", ["euler", "ab2", "unipc"])
def test_error_and_savings_grow_with_the_threshold(solver):
    films = [film(threshold, solver) for threshold in (0.01, 0.04, 0.16)]
    errors, calls = [off(latents, solver) for latents, _, _ in films], [report.calls for _, report, _ in films]
    assert errors[0] < errors[1] < errors[2]
    assert 50 > calls[0] > calls[1] > calls[2]


@pytest.mark.parametrize("solver", ["euler", "unipc"])
@pytest.mark.parametrize("threshold", [0.01, 0.02, 0.04, 0.08])
def test_the_estimate_is_of_the_order_of_the_error(solver, threshold):
    latents, report, levels = film(threshold, solver)
    assert report.calls == len(levels)
    assert report.calls + report.reused == 50
    assert report.reused > 10
    assert 0.4 < report.estimated_error / off(latents, solver) < 4.0


def test_the_first_three_steps_and_the_last_are_always_computed():
    for threshold in (0.01, 1e6):
        _, _, levels = film(threshold)
        assert levels[:3] == pytest.approx(LEVELS[:3].tolist())
        assert levels[-1] == pytest.approx(float(LEVELS[-2]))


def test_a_straight_way_costs_little_and_no_guess_reaches_far_beyond_what_it_rests_on():
    """Where the velocity is the same all the way guesses are exact; still the gaps grow threefold at most, step by
    step.
    """
    state, target, levels = initial_state(SHAPE, seed=2), torch.randn(1, *SHAPE), []

    def straight(x, sigma, position):
        levels.append(float(sigma.max()))
        return state.noise_BCTHW - target

    reusing = Reusing(straight, 1e-3, schedule(80))
    latents = sample(reusing, state, schedule(80), "euler")
    assert torch.allclose(latents, target, atol=1e-4)
    assert reusing.report.estimated_error < 1e-6
    gaps = torch.tensor(levels).diff().mul(-80).round().int().tolist()
    assert gaps[:2] == [1, 1]
    assert len(gaps) < 10
    assert all(later <= 3 * earlier + 1 for earlier, later in pairwise(gaps))


def test_a_new_window_uses_nothing_of_the_one_before():
    """The same object, another film behind it: to the bit what a fresh one gives."""
    model = Counting()
    reusing = Reusing(model, 0.05, LEVELS)
    sample(reusing, initial_state(SHAPE, seed=5), LEVELS, "unipc")
    first = reusing.report
    again = sample(reusing, initial_state(SHAPE, seed=0), LEVELS, "unipc")
    fresh, report, _ = film(0.05)
    assert torch.equal(again, fresh)
    assert reusing.report.calls == first.calls + report.calls
    assert reusing.report.estimated_error == max(first.estimated_error, report.estimated_error)


def test_a_window_of_another_shape_is_a_new_one():
    reusing = Reusing(Counting(), 0.05, LEVELS)
    x = torch.randn(1, *SHAPE)
    for level in (0.9, 0.8, 0.7):
        reusing(x, torch.full((1, 3, 8, 8), level), torch.zeros(1, 3))
    assert reusing(x[:, :, :2], torch.full((1, 2, 8, 8), 0.6), torch.zeros(1, 2)).shape == (1, 4, 2, 8, 8)


def test_reset_forgets_the_counts():
    reusing = Reusing(Counting(), 0.05, LEVELS)
    sample(reusing, initial_state(SHAPE, seed=0), LEVELS, "unipc")
    reusing.reset()
    assert reusing.report == ReuseReport(calls=0, reused=0, estimated_error=0.0)
    sample(reusing, initial_state(SHAPE, seed=0), LEVELS, "unipc")
    assert reusing.report == film(0.05)[1]


def test_two_experts_have_a_memory_each():
    """Either side of the boundary begins and ends with computed steps."""
    models, boundary = (Counting(), Counting(clump=1.4)), 25
    experts = [
        Reusing(model, 1e6, part)
        for model, part in zip(models, (LEVELS[: boundary + 1], LEVELS[boundary:]), strict=True)
    ]

    def velocity(x, sigma, position):
        return experts[float(sigma.max()) < float(LEVELS[boundary - 1])](x, sigma, position)

    sample(velocity, initial_state(SHAPE, seed=0), LEVELS, "unipc")
    for model, start, end in zip(models, (0, boundary), (boundary - 1, 49), strict=True):
        assert model.levels[:3] == pytest.approx(LEVELS[start : start + 3].tolist())
        assert model.levels[-1] == pytest.approx(float(LEVELS[end]))
        assert len(model.levels) < 15


def test_known_cells_do_not_count():
    """What a model says of known cells is nobody's business: it neither forces a call nor saves one."""
    state = initial_state(SHAPE, seed=0).know([0], torch.randn(1, 4, 1, 8, 8))

    def run(noise):
        model = Counting()

        def velocity(x, sigma, position):
            v = model(x, sigma, position)
            v[:, :, 0] = noise * torch.randn_like(v[:, :, 0])
            return v

        reusing = Reusing(velocity, 0.05, LEVELS)
        return sample(reusing, state, LEVELS, "euler"), reusing.report

    quiet, quiet_report = run(0.0)
    loud, loud_report = run(1e4)
    assert torch.equal(quiet, loud)
    assert quiet_report == loud_report


def test_a_report_is_a_sentence():
    assert str(ReuseReport(calls=17, reused=23, estimated_error=0.0391)) == (
        "17 of 40 steps computed, 23 reused; estimated error 3.9%"
    )


@pytest.mark.parametrize("threshold", [-0.1, float("nan")])
def test_a_threshold_below_zero_is_refused(threshold):
    with pytest.raises(InputError, match=str(threshold)):
        Reusing(Counting(), threshold, schedule(4))


def test_a_schedule_without_a_step_is_refused():
    with pytest.raises(InputError, match="two levels"):
        Reusing(Counting(), 0.1, torch.ones(1))
