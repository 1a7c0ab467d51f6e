"""UniPC, Euler and the schedules, beside diffusers' own and in closed forms."""

import warnings

import pytest
import torch

from kinora.flow.schedule import diffusers_schedule, schedule, wan_schedule, whole_times
from kinora.flow.solvers import sample
from kinora.flow.state import initial_state

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from diffusers import FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler

SHAPE = (4, 3, 4, 4)
SHIFTS = (1.0, 3.0, 5.0, 8.0, 12.0, 16.0)

WAN_SIGMAS = {
    (4, 5.0): [0.9997998476028442, 0.9372654557228088, 0.8330553770065308, 0.6246873736381531, 0.0],
    (3, 12.0): [0.9999166131019592, 0.9598847031593323, 0.8569590449333191, 0.0],
}
"""What FlowUniPCMultistepScheduler(shift=1).set_timesteps(steps, shift=shift) of the Wan 2.1 repository computes."""

WAN_TIMES = {
    (10, 5.0): [999, 978, 952, 920, 882, 833, 768, 681, 555, 356],
    (10, 12.0): [999, 990, 979, 965, 947, 922, 888, 837, 749, 571],
}


def curved(x, level):
    """A velocity with no straight part, coupled across channels."""
    return torch.tanh(1.3 * x + 0.4 * level) * (1 + level) + 0.3 * torch.sin(3 * x * level) - 0.2 * x.roll(1, 1)


def ours(state, sigmas, solver="unipc", *, whole=True):
    """Latents before every step and at the end, and the times the model was told."""
    seen, told = [], []

    def model(x, sigma, position):
        told.append(round(1000 * float(sigma.max())))
        return curved(x, sigma[:, None])

    asked = whole_times(model) if whole else model

    def velocity(x, sigma, position):
        seen.append(x)
        return asked(x, sigma, position)

    end = sample(velocity, state, sigmas, solver)
    return [*seen, end], told


def theirs(scheduler, noise):
    x, seen = noise.clone(), []
    for time in scheduler.timesteps:
        seen.append(x)
        x = scheduler.step(curved(x, float(time) / 1000), time, x, return_dict=False)[0]
    return [*seen, x]


def unipc(steps, shift):
    scheduler = UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift)
    scheduler.set_timesteps(steps)
    return scheduler


def worst(ours, theirs):
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("steps", [1, 2, 10, 50])
def test_every_latent_agrees_with_diffusers(steps, shift):
    state, scheduler = initial_state(SHAPE, seed=0), unipc(steps, shift)
    sigmas = diffusers_schedule(steps, shift)
    assert torch.equal(sigmas, scheduler.sigmas)
    latents, told = ours(state, sigmas)
    assert told == scheduler.timesteps.tolist()
    assert worst(latents, theirs(scheduler, state.noise_BCTHW)) < 1e-5


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("steps", [10, 50])
def test_every_latent_agrees_on_wans_schedule(steps, shift):
    """diffusers' scheduler runs the same formulas as Wan's file, which was run beside this one too."""
    state, scheduler = initial_state(SHAPE, seed=0), unipc(steps, shift)
    sigmas = wan_schedule(steps, shift)
    scheduler.sigmas, scheduler.timesteps = sigmas, (1000 * sigmas[:-1]).long()
    latents, told = ours(state, sigmas)
    assert told == scheduler.timesteps.tolist()
    assert worst(latents, theirs(scheduler, state.noise_BCTHW)) < 1e-5


@pytest.mark.parametrize(("steps", "shift"), WAN_SIGMAS)
def test_wans_levels_are_its_own_to_the_bit(steps, shift):
    assert wan_schedule(steps, shift).tolist() == WAN_SIGMAS[steps, shift]


@pytest.mark.parametrize(("steps", "shift"), WAN_TIMES)
def test_wans_models_are_told_whole_times(steps, shift):
    _, told = ours(initial_state(SHAPE, seed=0), wan_schedule(steps, shift))
    assert told == WAN_TIMES[steps, shift]


def test_whole_times_leave_the_solver_its_levels_and_known_cells_theirs():
    state = initial_state(SHAPE, seed=0).know([1], torch.zeros(1, 4, 1, 4, 4))
    told = []

    def model(x, sigma, position):
        told.append(sigma)
        return torch.ones_like(x)

    end = sample(whole_times(model), state, torch.tensor([0.9996, 0.3337, 0.0]), "euler")
    assert [float(sigma[0, 0, 0, 0]) for sigma in told] == pytest.approx([0.999, 0.333])
    assert all((sigma[:, 1] == 0).all() for sigma in told)
    assert torch.allclose(end[:, :, 0], state.noise_BCTHW[:, :, 0] - 0.9996, atol=1e-6)


@pytest.mark.parametrize("shift", [1.0, 5.0])
def test_euler_agrees_with_diffusers(shift):
    """diffusers' Euler steps from 1 to 0.001 and then to 0; it is told times that are not whole."""
    scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
    scheduler.set_timesteps(10)
    state = initial_state(SHAPE, seed=0)
    x = state.noise_BCTHW.clone()
    reference = []
    for time in scheduler.timesteps:
        reference.append(x)
        x = scheduler.step(curved(x, float(time) / 1000), time, x, return_dict=False)[0]
    latents, _ = ours(state, scheduler.sigmas, "euler", whole=False)
    assert worst(latents, [*reference, x]) < 1e-5


def gaussian(x, sigma, position, mean=0.7, std=0.5):
    """The exact velocity for data N(mean, std^2)."""
    s = sigma[:, None]
    variance = (1 - s) ** 2 * std**2 + s**2
    centred = x - (1 - s) * mean
    return s / variance * centred - (mean + (1 - s) * std**2 / variance * centred)


def on_the_way(x, start, end, mean=0.7, std=0.5):
    """Where the exact flow takes `x` between two levels: the same multiple of the standard deviation."""
    width = [((1 - s) ** 2 * std**2 + s**2) ** 0.5 for s in (start, end)]
    return (1 - end) * mean + width[1] / width[0] * (x - (1 - start) * mean)


def error(solver, steps):
    """In float64 and between levels that are neither noise nor clean, so that no step is infinite in its logarithm."""
    state = initial_state(SHAPE, seed=3)
    wide = type(state)(**{name: value.double() for name, value in vars(state).items()})
    got = sample(gaussian, wide, torch.linspace(0.9, 0.1, steps + 1, dtype=torch.float64), solver)
    return float((got - on_the_way(wide.noise_BCTHW, 0.9, 0.1)).abs().max())


def test_it_has_at_least_its_order():
    assert error("unipc", 20) / error("unipc", 40) > 2**1.8


def test_it_is_far_more_accurate_than_euler_at_the_same_price():
    assert error("unipc", 20) < 0.1 * error("euler", 20)


def test_cells_that_come_in_late_go_the_exact_way_and_disturb_no_other():
    """One frame waits at its cap, in the middle of a step, until the schedule passes it."""
    levels, state = schedule(24, 3.0), initial_state(SHAPE, seed=1)
    cap = 0.5 * float(levels[9] + levels[10])
    late = state.know([1], torch.full((1, 4, 1, 4, 4), 0.7), cap=cap)
    got, free = (sample(gaussian, one, levels, "unipc") for one in (late, state))
    assert torch.equal(got[:, :, [0, 2]], free[:, :, [0, 2]])
    exact = on_the_way(late.latent_BCTHW[:, :, 1], cap, 0.0)
    plain = sample(gaussian, late, levels, "euler")[:, :, 1]
    assert (got[:, :, 1] - exact).abs().max() < 0.5 * (plain - exact).abs().max()


def test_a_late_cell_takes_a_first_order_step_and_then_a_plain_one():
    """A cap just above a level leaves a cell a first step of almost nothing; extrapolating over it would explode."""
    levels = schedule(8, 3.0)
    state = initial_state((1, 2, 1, 1), seed=0)
    state = state.know_up_to(
        torch.zeros(1, 1, 2, 1, 1), torch.tensor([1.0, float(levels[3]) + 1e-6])[None, :, None, None]
    )
    calls = iter(range(100))

    def velocity(x, sigma, position):
        return torch.full_like(x, 1.0 if next(calls) % 2 else -1.0)  # slopes that disagree as much as they can

    assert sample(velocity, state, levels, "unipc").abs().max() < 10


def test_known_cells_and_resting_ones_are_not_touched_by_a_bit():
    clean = torch.randn(1, 4, 1, 4, 4)
    clean[0, 0, 0, 0, 0] = -0.0
    state = initial_state(SHAPE, seed=4).know([0], clean).know([2], clean, cap=0.3)
    start = state.latent_BCTHW[:, :, 2].clone()
    levels = wan_schedule(9, 5.0)

    def wild(x, sigma, position):
        v = torch.randn_like(x)
        v[:, :, 0] = float("nan")
        assert x[:, :, 0].numpy().tobytes() == clean[:, :, 0].numpy().tobytes()
        if float(sigma.max()) > 0.3:
            assert torch.equal(x[:, :, 2], start)
        return v

    got = sample(wild, state, levels, "unipc")
    assert got[:, :, 0].numpy().tobytes() == clean[:, :, 0].numpy().tobytes()
    assert torch.isfinite(got[:, :, 1:]).all()
    assert not torch.equal(got[:, :, 2], start)


def test_a_solver_remembers_nothing_of_the_film_before():
    state, levels = initial_state(SHAPE, seed=5), wan_schedule(6, 5.0)
    first = sample(gaussian, state, levels, "unipc")
    sample(gaussian, initial_state((4, 1, 2, 2), seed=6), levels, "unipc")
    assert torch.equal(first, sample(gaussian, state, levels, "unipc"))


def test_pure_noise_is_where_every_schedule_begins():
    state = initial_state(SHAPE, seed=7)
    for sigmas in (wan_schedule(3, 5.0), diffusers_schedule(3, 5.0), schedule(3, 5.0)):
        latents, _ = ours(state, sigmas)
        assert torch.equal(latents[0], state.noise_BCTHW)
