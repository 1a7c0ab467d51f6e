"""Flow matching against closed forms."""

import math

import pytest
import torch

from kinora.core.errors import Cancelled, InputError
from kinora.flow.guidance import guided
from kinora.flow.objective import flow_loss, training_pair
from kinora.flow.schedule import logit_normal, schedule, shifted
from kinora.flow.solvers import SOLVERS, sample, still_steps
from kinora.flow.state import initial_state

SHAPE = (2, 3, 2, 2)


def to_point(target):
    """The exact velocity when all data is one point: v = (x - x_0) / sigma."""
    return lambda x, sigma, position: (x - target) / sigma.clamp(min=1e-6)[:, None]


def gaussian(mean, std):
    """The exact velocity for data N(mean, std^2), in closed form."""

    def velocity(x, sigma, position):
        s = sigma[:, None]
        variance = (1 - s) ** 2 * std**2 + s**2
        centred = x - (1 - s) * mean
        return s / variance * centred - (mean + (1 - s) * std**2 / variance * centred)

    return velocity


def integrated(mean, std, noise):
    """Where the exact flow takes noise: the straight map from N(0, 1) to N(mean, std^2)."""
    return mean + std * noise


@pytest.mark.parametrize("solver", ["euler", "ab2"])  # Heun looks at sigma 0 itself, where this velocity is 0 / 0
@pytest.mark.parametrize("steps", [1, 7])
def test_a_point_is_reached_exactly(solver, steps):
    target = torch.randn(1, *SHAPE)
    state = initial_state(SHAPE, seed=1)
    assert torch.allclose(sample(to_point(target), state, schedule(steps, 3.0), solver), target, atol=1e-5)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_gaussian_is_reached_in_the_limit(solver):
    state = initial_state(SHAPE, seed=2)
    got = sample(gaussian(0.7, 0.4), state, schedule(400), solver)
    assert torch.allclose(got, integrated(0.7, 0.4, state.noise_BCTHW), atol=1e-2)


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("heun", 2), ("ab2", 2)])
def test_each_solver_has_its_order(solver, order):
    state = initial_state(SHAPE, seed=3)
    wide = {name: value.double() for name, value in vars(state).items()}
    state = type(state)(**wide)
    truth = integrated(0.7, 0.5, state.noise_BCTHW)
    error = [float((sample(gaussian(0.7, 0.5), state, schedule(n), solver) - truth).abs().max()) for n in (40, 80)]
    assert math.log2(error[0] / error[1]) == pytest.approx(order, abs=0.3)


def test_ab2_keeps_its_order_on_a_shifted_schedule():
    state = initial_state(SHAPE, seed=3)
    truth = integrated(0.7, 0.5, state.noise_BCTHW)
    error = {
        solver: float((sample(gaussian(0.7, 0.5), state, schedule(20, 3.0), solver) - truth).abs().max())
        for solver in SOLVERS
    }
    assert error["ab2"] < 0.3 * error["euler"]


@pytest.mark.parametrize("solver", SOLVERS)
def test_known_cells_are_not_touched_by_a_bit(solver):
    clean = torch.randn(1, 2, 1, 2, 2)
    clean[0, 0, 0, 0, 0] = -0.0
    state = initial_state(SHAPE, seed=4).know([1], clean)

    def wild(x, sigma, position):
        assert torch.equal(x[:, :, 1:2], clean)
        assert (sigma[:, 1] == 0).all()
        v = torch.randn_like(x)
        v[:, :, 1] = float("nan")
        return v

    got = sample(wild, state, schedule(5, 3.0), solver)
    assert got[:, :, 1:2].numpy().tobytes() == clean.numpy().tobytes()
    assert torch.isfinite(got[:, :, [0, 2]]).all()


@pytest.mark.parametrize("solver", SOLVERS)
def test_history_rests_at_its_cap_until_the_schedule_passes_it(solver):
    clean = torch.randn(1, 2, 1, 2, 2)
    state = initial_state(SHAPE, seed=5).know([0], clean, cap=0.25)
    start = state.latent_BCTHW[:, :, :1].clone()
    seen = []

    def velocity(x, sigma, position):
        if float(sigma.max()) >= 0.25:
            assert torch.equal(x[:, :, :1], start)
        seen.append(float(sigma[0, 0, 0, 0]))
        return state.noise_BCTHW - state.clean_BCTHW

    got = sample(velocity, state, schedule(8), solver)
    assert max(seen) == 0.25
    # That velocity is exact for the history, so it ends where it came from.
    assert torch.allclose(got[:, :, :1], clean, atol=1e-5)


def test_positions_are_handed_on():
    state = initial_state(SHAPE, seed=0, first_position=7.0)
    sample(lambda x, s, p: x * 0 + float((p[0, 0] - 7.0).abs()), state, schedule(2))

    def check(x, sigma, position):
        assert torch.equal(position, state.position_BT)
        return x

    sample(check, state, schedule(2))


def test_steps_are_told_and_may_be_cancelled():
    told = []

    def on_step(step, steps):
        told.append((step, steps))
        if step == 2:
            raise Cancelled("The user asked to stop.")

    with pytest.raises(Cancelled):
        sample(lambda x, s, p: x, initial_state(SHAPE, seed=0), schedule(4), on_step=on_step)
    assert told == [(1, 4), (2, 4)]


@pytest.mark.parametrize("solver", SOLVERS)
def test_steps_above_every_cap_are_neither_asked_nor_told(solver):
    """With one free frame beside them all steps are taken, and the others come out the same to the bit."""
    asked, told = [], []

    def velocity(x, sigma, position):
        asked.append(float(sigma.max()))
        return torch.sin(x) + sigma[:, None]

    free = initial_state(SHAPE, seed=0)
    capped = free.know_up_to(torch.zeros(1, *SHAPE), torch.full((1, *SHAPE[1:]), 0.6))
    beside = free.know_up_to(torch.zeros(1, *SHAPE), torch.tensor([0.6] * (SHAPE[1] - 1) + [1.0])[None, :, None, None])
    levels = schedule(8)  # 1, 0.875, 0.75, 0.625, 0.5, ...: three end above 0.6
    whole = sample(velocity, beside, levels, solver)
    asked.clear()
    result = sample(velocity, capped, levels, solver, lambda done, _total: told.append(done))
    assert told == [4, 5, 6, 7, 8]
    assert still_steps(levels.tolist(), capped) == 3
    assert asked[0] == pytest.approx(0.6)
    assert len(asked) == len(told) * (2 if solver == "heun" else 1)
    assert torch.equal(result[:, :, :-1], whole[:, :, :-1])


def test_an_unknown_solver_is_refused_by_name():
    with pytest.raises(InputError, match="'rk4'"):
        sample(lambda x, s, p: x, initial_state(SHAPE, seed=0), schedule(1), "rk4")


def test_schedule_runs_from_one_to_zero_and_is_shifted_by_the_formula():
    even = schedule(4)
    assert even.tolist() == [1, 0.75, 0.5, 0.25, 0]
    bent = schedule(4, 3.0)
    assert bent[0] == 1
    assert bent[-1] == 0
    assert bent[2] == pytest.approx(3 * 0.5 / (1 + 2 * 0.5))
    assert torch.allclose(shifted(shifted(even, 3.0), 1 / 3), even, atol=1e-6)


@pytest.mark.parametrize(("steps", "shift"), [(0, 1.0), (4, 0.0)])
def test_schedules_that_cannot_be_are_refused(steps, shift):
    with pytest.raises(InputError):
        schedule(steps, shift)


def test_logit_normal_has_its_median_and_stays_inside():
    draw = logit_normal((20000,), torch.Generator().manual_seed(0), mean=0.5, std=1.2)
    assert draw.min() > 0
    assert draw.max() < 1
    assert float(draw.median()) == pytest.approx(1 / (1 + math.exp(-0.5)), abs=0.01)
    moved = logit_normal((20000,), torch.Generator().manual_seed(0), shift=3.0)
    assert float(moved.median()) == pytest.approx(0.75, abs=0.01)


def test_guidance_is_the_straight_line_through_both():
    conditional, unconditional = (lambda x, s, p: x * 2), (lambda x, s, p: x * 5)
    x = torch.randn(1, *SHAPE)
    at = [guided(conditional, unconditional, scale)(x, x[:, 0], x[:, 0, :, 0, 0]) for scale in (0.0, 1.0, 4.0)]
    assert torch.allclose(at[0], 5 * x)
    assert torch.allclose(at[1], 2 * x)
    assert torch.allclose(at[2], (5 + 4 * (2 - 5)) * x)


def test_guidance_of_one_asks_once():
    def never(x, sigma, position):
        raise AssertionError("not to be asked")

    x = torch.randn(1, *SHAPE)
    assert torch.equal(guided(lambda x, s, p: x, never, 1.0)(x, x[:, 0], x[:, 0, :, 0, 0]), x)


def test_training_pair_lies_on_the_line_and_points_along_it():
    clean, noise = torch.randn(2, *SHAPE), torch.randn(2, *SHAPE)
    sigma = torch.rand(2, 3, 2, 2)
    x, v = training_pair(clean, noise, sigma)
    assert torch.allclose(x - sigma[:, None] * v, clean, atol=1e-6)
    assert torch.allclose(x + (1 - sigma[:, None]) * v, noise, atol=1e-6)


def test_loss_leaves_known_cells_out():
    sigma = torch.full((1, 3, 2, 2), 0.5)
    sigma[:, 0] = 0
    target = torch.zeros(1, *SHAPE)
    guess = torch.zeros(1, *SHAPE)
    guess[:, :, 0] = 100.0
    assert flow_loss(guess, target, sigma) == 0
    guess[:, :, 1:] = 3.0
    assert flow_loss(guess, target, sigma) == pytest.approx(9.0)


def test_loss_weighs_cells_and_survives_a_clip_that_is_all_known():
    target, guess = torch.zeros(1, *SHAPE), torch.ones(1, *SHAPE)
    guess[:, :, 0] = 3.0
    weight = torch.zeros(1, 3, 2, 2)
    weight[:, 0] = 1.0
    assert flow_loss(guess, target, torch.ones(1, 3, 2, 2), weight) == pytest.approx(9.0)
    assert flow_loss(guess, target, torch.zeros(1, 3, 2, 2)) == 0


def test_ab2_takes_a_plain_step_where_a_cell_comes_in_late():
    """A cap just above a level leaves a cell a first step of almost nothing; extrapolating over it would explode."""
    levels = schedule(6, 3.0)
    state = initial_state((1, 1, 1, 2), seed=0)
    cap = torch.ones(1, 1, 1, 2)
    cap[..., 0] = float(levels[2]) + 1e-4
    state = state.know_up_to(torch.zeros(1, 1, 1, 1, 2), cap)
    calls = iter(range(100))

    def velocity(x, sigma, position):
        return torch.full_like(x, 1.0 if next(calls) % 2 else -1.0)  # slopes that disagree as much as they can

    result = sample(velocity, state, levels, solver="ab2")
    assert result.abs().max() < 10
