"""The training objective of the decoder's correction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from kinora.codec import Codec, psnr
from kinora.core.errors import ShapeError
from kinora.training.codec import CodecObjective, codec_step, fidelity_loss, picture_clip, random_crop

ClipMaker = Callable[..., Tensor]
SMALL = CodecObjective(frames=5, crop=16)


def test_a_faultless_picture_costs_nothing_and_each_term_has_its_price() -> None:
    assert fidelity_loss(torch.zeros(1, 3, 5, 8, 8), SMALL) == 0
    flat = torch.full((1, 3, 5, 8, 8), 0.1)
    assert fidelity_loss(flat, SMALL).item() == pytest.approx(0.5 * 0.1 + 0.01)
    flicker = flat * torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0])[:, None, None]
    assert fidelity_loss(flicker, SMALL).item() == pytest.approx(0.06 + 0.1 * 0.2)
    stripes = flat * torch.tensor([1.0, -1.0] * 4)
    assert fidelity_loss(stripes, SMALL).item() == pytest.approx(0.06 + 0.25 * 0.2)


def test_a_single_picture_has_no_temporal_term() -> None:
    assert fidelity_loss(torch.full((1, 3, 1, 8, 8), 0.1), SMALL).item() == pytest.approx(0.06)


def test_crops_are_parts_of_the_clip_or_of_its_mirror_image() -> None:
    video_BCFHW = torch.randn(6, 3, 11, 24, 40)
    crops = random_crop(video_BCFHW, SMALL, torch.Generator().manual_seed(0), space=8)
    assert crops.shape == (6, 3, 5, 16, 16)
    windows = video_BCFHW.unfold(2, 5, 1).unfold(3, 16, 1).unfold(4, 16, 1)
    windows = windows.permute(0, 2, 3, 4, 1, 5, 6, 7)
    for index in range(6):
        found = [
            bool((windows[index] == crop).flatten(3).all(dim=3).any()) for crop in (crops[index], crops[index].flip(-1))
        ]
        assert found.count(True) == 1


def test_small_clips_give_the_crop_they_can() -> None:
    generator = torch.Generator().manual_seed(0)
    assert random_crop(torch.zeros(1, 3, 4, 30, 12), CodecObjective(), generator, space=8).shape == (1, 3, 1, 24, 8)
    with pytest.raises(ShapeError, match="12 x 4 is smaller"):
        random_crop(torch.zeros(1, 3, 5, 4, 12), CodecObjective(), generator, space=8)


def test_the_generator_decides_everything(fitted: Codec, make_clip: ClipMaker) -> None:
    video_BCFHW = make_clip(0, batch=2)
    seen = [codec_step(fitted, video_BCFHW, torch.Generator().manual_seed(seed), SMALL)[1] for seed in (1, 1, 2)]
    assert seen[0] == seen[1] != seen[2]


def test_before_training_a_step_reports_the_linear_quality(fitted: Codec, make_clip: ClipMaker) -> None:
    quiet = replace(SMALL, latent_noise=0.0)
    loss, figures = codec_step(fitted, make_clip(0, batch=2), torch.Generator().manual_seed(0), quiet)
    assert figures.psnr == pytest.approx(figures.linear_psnr, abs=1e-4)
    assert figures.loss == pytest.approx(loss.item())
    _, noisy = codec_step(
        fitted, make_clip(0, batch=2), torch.Generator().manual_seed(0), replace(SMALL, latent_noise=1.0)
    )
    assert noisy.psnr < figures.psnr


def test_easy_and_hard_clips_weigh_alike(fitted: Codec, make_clip: ClipMaker) -> None:
    """Errors are told in units of the linear decoder's, so half the contrast costs nearly the same, not a quarter."""
    sure = replace(SMALL, latent_noise=0.0, floor=1e-6)
    strong = make_clip(0)
    losses = []
    for video_BCFHW in (strong, 0.5 * strong):
        fitted.mean_3.zero_()
        losses.append(codec_step(fitted, video_BCFHW, torch.Generator().manual_seed(0), sure)[0].item())
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_training_learns_more_than_the_linear_decoder_and_leaves_the_encoder_alone(
    fitted: Codec, make_clip: ClipMaker
) -> None:
    clips = [make_clip(seed) for seed in range(4)]
    before, latent_BCTHW = psnr(fitted, clips), fitted.encode(clips[0])
    optimizer = torch.optim.AdamW(fitted.parameters(), lr=4e-3, betas=(0.9, 0.99), weight_decay=0.01)
    generator = torch.Generator().manual_seed(0)
    for _ in range(40):
        optimizer.zero_grad()
        loss, _ = codec_step(fitted, torch.cat(clips), generator, replace(SMALL, crop=32))
        loss.backward()
        optimizer.step()
    assert torch.equal(fitted.encode(clips[0]), latent_BCTHW)
    assert psnr(fitted, clips, linear=True) == pytest.approx(before, abs=1e-4)
    assert psnr(fitted, clips) > before + 0.5


def test_picture_clips_are_fixed_by_their_seed_and_do_not_depend_on_size() -> None:
    small = picture_clip(3, frames=5, height=32, width=32)
    assert small.shape == (1, 3, 5, 32, 32)
    assert small.abs().max() <= 1.0
    assert torch.equal(small, picture_clip(3, frames=5, height=32, width=32))
    assert not torch.equal(small, picture_clip(4, frames=5, height=32, width=32))
    large = picture_clip(3, frames=5, height=64, width=64)
    reduced = torch.nn.functional.avg_pool3d(large, (1, 2, 2))
    assert (reduced - small).abs().mean() < 0.1


def test_most_picture_clips_move_and_some_stand_still() -> None:
    clips = [picture_clip(seed, frames=5, height=16, width=16) for seed in range(30)]
    moving = sum(bool((clip[:, :, 0] - clip[:, :, 4]).abs().max() > 1e-3) for clip in clips)
    assert 18 <= moving < 30
