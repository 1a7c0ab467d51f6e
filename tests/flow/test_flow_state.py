"""The latent state: what is known stays known."""

import pytest
import torch

from kinora.core.errors import ShapeError
from kinora.flow.state import initial_state

SHAPE = (3, 4, 2, 2)


def test_nothing_is_known_at_first():
    state = initial_state(SHAPE, seed=5, batch=2)
    assert torch.equal(state.latent_BCTHW, state.noise_BCTHW)
    assert state.cap_BTHW.min() == 1
    assert state.position_BT.tolist() == [[0, 1, 2, 3]] * 2


def test_a_batch_is_its_seeds_one_after_another():
    both = initial_state(SHAPE, seed=5, batch=2)
    assert torch.equal(both.noise_BCTHW[1], initial_state(SHAPE, seed=6).noise_BCTHW[0])
    assert not torch.equal(both.noise_BCTHW[0], both.noise_BCTHW[1])


def test_noise_is_standard_normal():
    noise = initial_state((8, 9, 16, 16), seed=0).noise_BCTHW
    assert abs(float(noise.mean())) < 0.03
    assert abs(float(noise.std()) - 1) < 0.03


def test_known_frames_start_exactly_clean_and_the_rest_noisy():
    clean = torch.randn(1, 3, 2, 2, 2)
    state = initial_state(SHAPE, seed=0).know([0, 3], clean)
    assert torch.equal(state.latent_BCTHW[:, :, [0, 3]], clean)
    assert torch.equal(state.latent_BCTHW[:, :, 1:3], state.noise_BCTHW[:, :, 1:3])
    assert state.sigma_at(0.7)[0, :, 0, 0].tolist() == pytest.approx([0, 0.7, 0.7, 0])


def test_lightly_noised_history_is_mixed_at_its_cap():
    clean = torch.randn(1, 3, 1, 2, 2)
    state = initial_state(SHAPE, seed=0).know([1], clean, cap=0.1)
    expected = 0.9 * clean + 0.1 * state.noise_BCTHW[:, :, 1:2]
    assert torch.allclose(state.latent_BCTHW[:, :, 1:2], expected)
    assert torch.allclose(state.at(0.05)[:, :, 1:2], 0.95 * clean + 0.05 * state.noise_BCTHW[:, :, 1:2])


def test_knowing_twice_forgets_the_first():
    first, second = torch.randn(1, 3, 1, 2, 2), torch.randn(1, 3, 1, 2, 2)
    state = initial_state(SHAPE, seed=0)
    twice = state.know([2], first, cap=0.3).know([2], second, cap=0.5)
    assert torch.equal(twice.latent_BCTHW, state.know([2], second, cap=0.5).latent_BCTHW)


def test_knowing_changes_no_other_record():
    state = initial_state(SHAPE, seed=0)
    before = state.latent_BCTHW.clone()
    state.know([0], torch.ones(1, 3, 1, 2, 2))
    assert torch.equal(state.latent_BCTHW, before)


def test_one_clean_frame_serves_a_whole_batch():
    clean = torch.randn(1, 3, 1, 2, 2)
    state = initial_state(SHAPE, seed=0, batch=3).know([0], clean)
    assert torch.equal(state.latent_BCTHW[:, :, :1], clean.expand(3, -1, -1, -1, -1))


def test_cells_can_be_known_one_by_one():
    clean = torch.randn(1, *SHAPE)
    mask = torch.zeros(1, 4, 2, 2, dtype=torch.bool)
    mask[:, :, 0] = True
    state = initial_state(SHAPE, seed=0).know_cells(mask, clean)
    assert torch.equal(state.latent_BCTHW[..., 0, :], clean[..., 0, :])
    assert torch.equal(state.latent_BCTHW[..., 1, :], state.noise_BCTHW[..., 1, :])


def test_cells_are_known_up_to_caps_of_their_own_but_never_less_than_before():
    first, second = torch.full((1, 3, 1, 2, 2), 3.0), torch.full((1, *SHAPE), 5.0)
    state = initial_state(SHAPE, seed=0).know([0], first, cap=0.2)
    cap = torch.tensor([0.5, 0.5, 1.0, 0.0])[None, :, None, None]
    known = state.know_up_to(second, cap)
    assert known.cap_BTHW[0, :, 0, 0].tolist() == pytest.approx([0.2, 0.5, 1, 0])
    assert known.clean_BCTHW[0, 0, :, 0, 0].tolist() == [3, 5, 0, 5]
    assert known.sigma_at(0.3)[0, :, 0, 0].tolist() == pytest.approx([0.2, 0.3, 0.3, 0])
    with pytest.raises(ShapeError, match=r"lies in \[0, 1\]"):
        state.know_up_to(second, 2 * cap)


def test_references_stand_after_the_clip_at_their_own_times():
    clean = torch.randn(1, 3, 2, 2, 2)
    state = initial_state(SHAPE, seed=0).extend(clean, [-4.0, 20.5])
    assert state.position_BT.tolist() == [[0, 1, 2, 3, -4, 20.5]]
    assert torch.equal(state.latent_BCTHW[:, :, 4:], clean)
    assert torch.equal(state.noise_BCTHW[:, :, :4], initial_state(SHAPE, seed=0).noise_BCTHW)


@pytest.mark.parametrize("cap", [-0.1, 1.5])
def test_a_cap_out_of_range_is_refused(cap):
    with pytest.raises(ShapeError, match=r"lies in \[0, 1\]"):
        initial_state(SHAPE, seed=0).know([0], torch.zeros(1, 3, 1, 2, 2), cap=cap)


def test_latents_of_another_size_are_refused():
    with pytest.raises(ShapeError, match="cannot fill"):
        initial_state(SHAPE, seed=0).know([0], torch.zeros(1, 3, 2, 2, 2))
