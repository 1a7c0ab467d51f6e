"""What a training step draws, and the loss: known answers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kinora.control.frames import face_mask
from kinora.flow.objective import training_pair
from kinora.training.batches import Batch
from kinora.training.objective import Draw, ObjectiveConfig, draw_levels, draw_step, generator_loss
from kinora.training.tasks import TASKS, TaskMix
from kinora.transformer.model import Conditions

NOTHING = dict.fromkeys(TASKS, 0.0)


def only(task: str) -> ObjectiveConfig:
    return ObjectiveConfig(mix=TaskMix(**{**NOTHING, task: 1.0}))


def a_batch(size: int = 4, frames: int = 5) -> Batch:
    generator = torch.Generator().manual_seed(5)
    return Batch(
        clean_BCTHW=torch.randn(size, 3, frames, 4, 4, generator=generator),
        position_BT=torch.arange(frames).float().expand(size, -1),
        ids_BL=torch.ones(size, 6, dtype=torch.long),
        pose_BT12=torch.ones(size, frames, 12),
        mouth_BTS=torch.ones(size, frames, 48),
        face_BTHW=torch.ones(size, frames, 4, 4),
        control_BCTHW=torch.ones(size, 2, frames, 4, 4),
    )


def levels_of(draw: Draw) -> Tensor:
    """Levels (B, T) of a draw on a grid of one cell."""
    return draw.sigma_BTHW[..., 0, 0]


def asked_of(draw: Draw) -> Tensor:
    return draw.asked_BTHW[..., 0, 0]


class Oracle(nn.Module):
    """Knows the answer, up to an error that it was given for each latent frame."""

    def __init__(self, clean_BCTHW: Tensor, noise_BCTHW: Tensor, error_BT: Tensor) -> None:
        super().__init__()
        self.answer = noise_BCTHW - clean_BCTHW + error_BT[:, None, :, None, None]
        self.seen: dict[str, Tensor] = {}
        self.conditions: Conditions | None = None

    def forward(self, x: Tensor, sigma: Tensor, position: Tensor, conditions: Conditions) -> Tensor:
        self.seen = {"x": x, "sigma": sigma, "position": position}
        self.conditions = conditions
        return self.answer


def test_levels_have_the_median_of_their_shift() -> None:
    rng = np.random.default_rng(0)
    config = ObjectiveConfig(uniform=0.0, top=0.0)
    for shift in (1.0, 1.5, 3.0):
        levels = draw_levels(rng, 40_000, config, shift=shift)
        assert np.median(levels) == pytest.approx(shift / (1 + shift), abs=0.01)  # logit-normal has median 1/2
        assert levels.min() > 0
        assert levels.max() <= 1


def test_a_tenth_of_the_levels_is_uniform() -> None:
    levels = draw_levels(np.random.default_rng(1), 100_000, ObjectiveConfig(), shift=3.0)
    pure = draw_levels(np.random.default_rng(1), 100_000, ObjectiveConfig(uniform=0.0), shift=3.0)
    # Below 0.05 the shifted logit-normal has next to nothing; the uniform share puts 0.1 * 0.05 there.
    assert (levels < 0.05).mean() - (pure < 0.05).mean() == pytest.approx(0.005, abs=0.001)


def test_a_fifth_of_the_levels_is_close_to_pure_noise() -> None:
    """Even in the logarithm of what is left: as many between 0.9 and 0.99 as between 0.99 and 0.999."""
    config = ObjectiveConfig(uniform=0.0)
    levels = draw_levels(np.random.default_rng(1), 100_000, config, shift=3.0)
    pure = draw_levels(np.random.default_rng(2), 100_000, dataclasses.replace(config, top=0.0), shift=3.0)
    for low, high in ((0.9, 0.99), (0.99, 0.9990001)):
        share, kept = (((one >= low) & (one < high)).mean() for one in (levels, pure))
        assert share == pytest.approx(0.1 + 0.8 * kept, abs=0.005)
    assert levels.max() < 1.0


def test_a_step_is_decided_by_seed_and_step_alone() -> None:
    shape = (3, 2, 5, 4, 4)
    one, same = (draw_step(7, 11, shape, ObjectiveConfig(), "cpu") for _ in range(2))
    for name in ("noise_BCTHW", "sigma_BTHW", "asked_BTHW", "keep_text_B"):
        assert torch.equal(getattr(one, name), getattr(same, name))
    assert not torch.equal(one.noise_BCTHW, draw_step(7, 12, shape, ObjectiveConfig(), "cpu").noise_BCTHW)
    assert not torch.equal(one.noise_BCTHW, draw_step(8, 11, shape, ObjectiveConfig(), "cpu").noise_BCTHW)


def test_text_to_video_knows_nothing_and_has_one_level() -> None:
    draw = draw_step(0, 0, (64, 1, 5, 1, 1), only("text"), "cpu")
    assert asked_of(draw).min() == 1
    assert torch.equal(levels_of(draw), levels_of(draw)[:, :1].expand(-1, 5))


def test_the_first_frame_is_known_and_sometimes_a_little_noised() -> None:
    draw = draw_step(0, 0, (512, 1, 5, 1, 1), only("first"), "cpu")
    assert asked_of(draw)[:, 0].max() == 0
    assert asked_of(draw)[:, 1:].min() == 1
    clean = (levels_of(draw)[:, 0] == 0).float().mean()
    assert float(clean) == pytest.approx(0.8, abs=0.06)
    assert levels_of(draw)[:, 0].max() < 0.3


def test_history_is_a_run_from_the_start_at_one_level_up_to_a_third() -> None:
    draw = draw_step(0, 0, (512, 1, 5, 1, 1), only("continuation"), "cpu")
    known = 5 - asked_of(draw).sum(dim=1)
    assert sorted(set(known.tolist())) == [1.0, 2.0, 3.0, 4.0]
    for b in range(512):
        n = int(known[b])
        history = levels_of(draw)[b, :n]
        assert asked_of(draw)[b, :n].max() == 0
        assert history.max() == history.min()
        assert 0 <= history.max() <= 1 / 3
        assert history.max() <= levels_of(draw)[b, -1]  # never noisier than what is asked for
    assert levels_of(draw)[:, 0].max() > 0.25


def test_start_and_end_are_known() -> None:
    draw = draw_step(0, 0, (64, 1, 5, 1, 1), only("ends"), "cpu")
    assert asked_of(draw).tolist() == [[0, 1, 1, 1, 0]] * 64


def test_independent_levels_differ_within_a_clip() -> None:
    draw = draw_step(0, 0, (16, 1, 5, 1, 1), only("independent"), "cpu")
    assert asked_of(draw).min() == 1
    assert all(len(set(row.tolist())) == 5 for row in levels_of(draw))


def test_something_is_always_asked_whatever_the_task_and_length() -> None:
    for shape in ((1, 1, 1), (2, 1, 1), (3, 2, 2), (5, 16, 16), (1, 12, 20), (2, 3, 5)):
        for task in TASKS:
            draw = draw_step(1, 1, (128, 1, *shape), only(task), "cpu")
            assert draw.sigma_BTHW.shape == draw.asked_BTHW.shape == (128, *shape)
            assert draw.asked_BTHW.flatten(1).sum(dim=1).min() >= 1
            assert draw.sigma_BTHW[draw.asked_BTHW > 0].min() > 0  # nothing can be said of a cell without noise
            assert draw.sigma_BTHW.max() <= 1


def test_the_right_answer_costs_nothing_and_errors_count_where_asked() -> None:
    batch = a_batch()
    draw = draw_step(0, 0, tuple(batch.clean_BCTHW.shape), only("ends"), "cpu")
    text = torch.ones(4, 6, 8)
    right = Oracle(batch.clean_BCTHW, draw.noise_BCTHW, torch.zeros(4, 5))
    assert float(generator_loss(right, text, batch, draw)) == pytest.approx(0.0, abs=1e-10)  # type: ignore[arg-type]
    wrong_where_known = torch.tensor([[9.0, 0.0, 0.0, 0.0, 9.0]]).expand(4, -1)
    known = Oracle(batch.clean_BCTHW, draw.noise_BCTHW, wrong_where_known)
    assert float(generator_loss(known, text, batch, draw)) == pytest.approx(0.0, abs=1e-10)  # type: ignore[arg-type]
    off = Oracle(batch.clean_BCTHW, draw.noise_BCTHW, torch.tensor([[9.0, 2.0, 0.0, 0.0, 9.0]]).expand(4, -1))
    assert float(generator_loss(off, text, batch, draw)) == pytest.approx(4.0 / 3.0, rel=1e-5)  # type: ignore[arg-type]


def test_the_model_sees_known_frames_clean_and_the_rest_mixed() -> None:
    batch = a_batch()
    config = dataclasses.replace(only("first"), first_noised=0.0)
    draw = draw_step(0, 3, tuple(batch.clean_BCTHW.shape), config, "cpu")
    oracle = Oracle(batch.clean_BCTHW, draw.noise_BCTHW, torch.zeros(4, 5))
    generator_loss(oracle, torch.ones(4, 6, 8), batch, draw)  # type: ignore[arg-type]
    assert torch.equal(oracle.seen["x"][:, :, 0], batch.clean_BCTHW[:, :, 0])
    expected, _ = training_pair(batch.clean_BCTHW, draw.noise_BCTHW, oracle.seen["sigma"])
    assert torch.equal(oracle.seen["x"], expected)
    assert torch.equal(oracle.seen["position"], batch.position_BT)


def test_dropped_conditions_are_zero_and_the_others_whole() -> None:
    batch = a_batch(size=200)
    draw = draw_step(0, 0, tuple(batch.clean_BCTHW.shape), ObjectiveConfig(), "cpu")
    oracle = Oracle(batch.clean_BCTHW, draw.noise_BCTHW, torch.zeros(200, 5))
    generator_loss(oracle, torch.ones(200, 6, 8), batch, draw)  # type: ignore[arg-type]
    told = oracle.conditions
    assert told is not None
    assert told.pose_BT12 is not None
    assert told.face_BTHW is not None
    assert told.control_BCTHW is not None
    dropped = (told.text_BLD, 0.1), (told.pose_BT12, 0.5), (told.face_BTHW, 0.3), (told.control_BCTHW, 0.35)
    for values, share in dropped:
        kept = values.flatten(1).mean(dim=1)
        assert set(kept.tolist()) == {0.0, 1.0}
        assert float((kept == 0).float().mean()) == pytest.approx(share, abs=0.1)


def test_a_face_covers_its_disc() -> None:
    face_BT3 = torch.tensor([[[0.5, 0.5, 0.25], [0.25, 0.75, 0.1], [0.5, 0.5, 0.0]]])
    mask_BTHW = face_mask(face_BT3, 16, 16)
    assert mask_BTHW.shape == (1, 3, 16, 16)
    assert float(mask_BTHW[0, 0].sum()) == pytest.approx(np.pi * 4**2, rel=0.05)
    assert mask_BTHW[0, 0, 8, 8] == 1
    assert mask_BTHW[0, 0, 0, 0] == 0
    assert mask_BTHW[0, 1, 12, 4] > 0.5  # y is down, x is right
    assert mask_BTHW[0, 1, 4, 12] == 0
    assert mask_BTHW[0, 2].sum() == 0


def test_a_face_is_round_in_a_wide_picture() -> None:
    mask_HW = face_mask(torch.tensor([[[0.5, 0.5, 0.25]]]), 12, 20)[0, 0]
    assert float(mask_HW.sum()) == pytest.approx(np.pi * 3**2, rel=0.06)
