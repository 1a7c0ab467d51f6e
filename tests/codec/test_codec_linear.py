"""The closed-form start: patches, principal components, normalised latents."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from kinora.codec import (
    Codec,
    CodecConfig,
    PatchStatistics,
    frames_from_video,
    measure_patches,
    psnr,
    video_from_frames,
)
from kinora.codec.linear import cosine_basis
from kinora.codec.patches import hold_first, patchify, release_first, unpatchify
from kinora.core.errors import InputError
from kinora.core.shapes import Compression

EIGHT = Compression(time=4, space=8)
ClipMaker = Callable[..., Tensor]


def test_patches_are_the_pixels_they_cover() -> None:
    video_BCFHW = torch.randn(2, 3, 8, 16, 24)
    patch_BTHWP = patchify(video_BCFHW, EIGHT)
    assert patch_BTHWP.shape == (2, 2, 2, 3, 768)
    covered = video_BCFHW[1, :, 4:8, 8:16, 16:24]
    assert torch.equal(patch_BTHWP[1, 1, 1, 2], covered.flatten())
    assert torch.equal(unpatchify(patch_BTHWP, EIGHT), video_BCFHW)


def test_the_first_frame_stands_still_and_is_released() -> None:
    video_BCFHW = torch.randn(1, 3, 5, 8, 8)
    held = hold_first(video_BCFHW, 4)
    assert held.shape[2] == 8
    assert all(torch.equal(held[:, :, f], video_BCFHW[:, :, 0]) for f in range(4))
    assert torch.allclose(release_first(held, 4), video_BCFHW, atol=1e-6)


def test_pictures_survive_the_way_to_video_and_back() -> None:
    frames = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16, 1).expand(1, 2, 16, 16, 3)
    video_BCFHW = video_from_frames(frames)
    assert (video_BCFHW.min(), video_BCFHW.max()) == (-1.0, 1.0)
    assert torch.equal(frames_from_video(video_BCFHW), frames)


def test_covariance_is_that_of_the_patches_and_their_mirror_images(make_clip: ClipMaker) -> None:
    clips = [make_clip(seed) for seed in range(3)]
    statistics = measure_patches(clips, EIGHT)
    both = [*clips, *(clip.flip(-1) for clip in clips)]
    patch_NP = torch.cat([patchify(hold_first(clip, 4), EIGHT).flatten(0, 3) for clip in both]).double()
    mean_3, covariance_PP = statistics.covariance()
    assert torch.allclose(mean_3, patch_NP.reshape(len(patch_NP), 3, -1).mean(dim=(0, 2)), atol=1e-6)
    centred_NP = patch_NP - mean_3.repeat_interleave(256)
    assert torch.allclose(covariance_PP, centred_NP.T @ centred_NP / len(patch_NP), atol=1e-5)


def test_clips_in_batches_or_one_by_one_give_the_same_statistics(make_clip: ClipMaker) -> None:
    video_BCFHW = make_clip(3, batch=3)
    together, apart = measure_patches([video_BCFHW], EIGHT), measure_patches(video_BCFHW.split(1), EIGHT)
    assert together.count == apart.count == 3 * 3 * 16
    assert torch.allclose(together.outer_PP, apart.outer_PP, rtol=1e-5, atol=1e-3)


def test_statistics_of_nothing_are_refused() -> None:
    with pytest.raises(InputError, match="at least one clip"):
        PatchStatistics(EIGHT).basis()


def test_basis_is_orthonormal_and_ordered(make_clip: ClipMaker) -> None:
    basis = measure_patches([make_clip(seed) for seed in range(6)], EIGHT).basis(20)
    assert torch.allclose(basis.basis_PC.T @ basis.basis_PC, torch.eye(20), atol=1e-5)
    assert (basis.std_C.diff() <= 1e-6).all()
    assert torch.equal(basis.leading(5).basis_PC, basis.basis_PC[:, :5])


def test_clips_inside_the_kept_space_come_back_whole() -> None:
    """A known answer: videos made of 5 patterns need 5 channels and no more."""
    generator = torch.Generator().manual_seed(0)
    pattern_5P = torch.randn(5, 768, generator=generator) * 0.02

    def clip() -> Tensor:
        weight = torch.randn(1, 2, 4, 4, 5, generator=generator)
        return unpatchify(weight @ pattern_5P, EIGHT)

    statistics = PatchStatistics(EIGHT)
    clips = [clip() for _ in range(40)]
    for video_BCFHW in clips:
        patch_NP = patchify(video_BCFHW, EIGHT).flatten(0, 3)
        patch_NP = torch.cat([patch_NP, patchify(video_BCFHW.flip(-1), EIGHT).flatten(0, 3)])
        statistics.count += len(patch_NP)
        statistics.outer_PP += (patch_NP.T @ patch_NP).double()
    basis = statistics.basis(11)
    assert basis.std_C[9] > 100 * basis.std_C[10], "five patterns and their mirror images are ten directions"


def test_principal_components_beat_cosines_and_more_channels_are_better(make_clip: ClipMaker) -> None:
    clips = [make_clip(seed) for seed in range(24)]
    basis = measure_patches(clips, EIGHT).basis()
    reached = []
    for channels in (6, 12, 24):
        codec = Codec(CodecConfig(compression=EIGHT, channels=channels, trunk_blocks=0, picture_blocks=0))
        cosines = psnr(codec, clips)
        codec.use_basis(basis)
        reached.append(psnr(codec, clips))
        assert reached[-1] > cosines + 0.5
    assert reached[0] + 1 < reached[1] < reached[2] - 1


def test_cosines_are_orthonormal_and_carry_a_flat_picture_exactly() -> None:
    basis = cosine_basis(EIGHT, 40)
    assert torch.allclose(basis.basis_PC.T @ basis.basis_PC, torch.eye(40), atol=1e-5)
    codec = Codec(CodecConfig(compression=EIGHT, channels=16))
    flat = torch.tensor([0.3, -0.5, 0.9]).reshape(1, 3, 1, 1, 1).expand(1, 3, 5, 16, 16)
    assert torch.allclose(codec.decode(codec.encode(flat)), flat, atol=1e-5)


@pytest.mark.parametrize("whitening", [0.0, 0.5, 1.0])
def test_latents_have_unit_variance_overall_and_the_whitening_asked_for(whitening: float, make_clip: ClipMaker) -> None:
    clips = [make_clip(seed) for seed in range(12)]
    clips += [clip.flip(-1) for clip in clips]
    codec = Codec(CodecConfig(compression=EIGHT, channels=8, whitening=whitening, trunk_blocks=0, picture_blocks=0))
    codec.fit_linear(clips)
    latent_NC = torch.cat([codec.encode(clip).permute(0, 2, 3, 4, 1).flatten(0, 3) for clip in clips])
    assert latent_NC.square().mean() == pytest.approx(1.0, abs=0.01)
    spread_C = latent_NC.square().mean(dim=0).sqrt()
    ratio = spread_C[0] / spread_C[7]
    assert ratio == pytest.approx(float((codec.std_C[0] / codec.std_C[7]) ** (1 - whitening)), rel=0.02)


def test_whitening_does_not_change_the_picture(make_clip: ClipMaker) -> None:
    clip = make_clip(40)
    basis = measure_patches([make_clip(seed) for seed in range(12)], EIGHT).basis(8)
    pictures = []
    for whitening in (0.0, 1.0):
        codec = Codec(CodecConfig(compression=EIGHT, channels=8, whitening=whitening))
        codec.use_basis(basis)
        pictures.append(codec.decode(codec.encode(clip)))
    assert torch.allclose(pictures[0], pictures[1], atol=1e-5)
