"""Codec: shapes, causality, streams exact to the whole clip, flat memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError

import pytest
import torch
from torch import Tensor

from kinora.codec import START, Codec, CodecConfig, psnr, psnr_of
from kinora.codec import model as codec_model
from kinora.core.errors import InputError, ShapeError

ClipMaker = Callable[..., Tensor]


@pytest.mark.parametrize("frames", [1, 5, 13])
def test_shapes_follow_the_grid(fitted: Codec, make_clip: ClipMaker, frames: int) -> None:
    latent_BCTHW = fitted.encode(make_clip(0, frames=frames, batch=2)[..., :24])
    assert latent_BCTHW.shape == (2, 12, 1 + (frames - 1) // 4, 4, 3)
    assert fitted.decode(latent_BCTHW).shape == (2, 3, frames, 32, 24)


def test_training_starts_exactly_at_the_linear_optimum(fitted: Codec, make_clip: ClipMaker) -> None:
    latent_BCTHW = fitted.encode(make_clip(3))
    assert torch.equal(fitted.decode(latent_BCTHW), fitted.decode_linear(latent_BCTHW))


def test_decoded_values_stay_in_range_but_reconstruct_does_not_clamp(trained_like: Codec) -> None:
    latent_BCTHW = 30 * torch.randn(1, 12, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    assert trained_like.decode(latent_BCTHW).abs().max() == 1.0
    assert trained_like.reconstruct(latent_BCTHW)[0].abs().max() > 1.5


@pytest.mark.parametrize("pieces", [(1, 1, 1, 1, 1, 1), (1, 3, 2), (4, 2), (6,)])
@torch.no_grad()
def test_streaming_is_exact_to_the_whole_clip(
    trained_like: Codec, make_clip: ClipMaker, pieces: tuple[int, ...]
) -> None:
    video_BCFHW = make_clip(7, frames=21, batch=2)
    latent_BCTHW = trained_like.encode(video_BCFHW)
    whole_BCFHW, _ = trained_like.reconstruct(latent_BCTHW)
    frames = [4 * piece - 3 * (i == 0) for i, piece in enumerate(pieces)]
    streamed_latent = list(trained_like.encode_stream(video_BCFHW.split(frames, dim=2)))
    assert [piece.shape[2] for piece in streamed_latent] == list(pieces)
    assert torch.allclose(torch.cat(streamed_latent, dim=2), latent_BCTHW, atol=1e-5)
    streamed = torch.cat(list(trained_like.decode_stream(latent_BCTHW.split(pieces, dim=2))), dim=2)
    assert torch.allclose(streamed, whole_BCFHW.clamp(-1, 1), atol=1e-5)


@torch.no_grad()
def test_long_clips_are_worked_on_in_chunks_with_the_same_result(
    trained_like: Codec, make_clip: ClipMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    video_BCFHW = make_clip(9, frames=17)
    latent_BCTHW, decoded = trained_like.encode(video_BCFHW), trained_like.decode(trained_like.encode(video_BCFHW))
    monkeypatch.setattr(codec_model, "CHUNK_PIXELS", 1)
    assert len(list(trained_like.decode_stream([latent_BCTHW]))) == 5
    assert torch.allclose(trained_like.decode(latent_BCTHW), decoded, atol=1e-5)
    assert torch.allclose(trained_like.encode(video_BCFHW), latent_BCTHW, atol=1e-5)


@torch.no_grad()
def test_no_frame_sees_the_future(trained_like: Codec, make_clip: ClipMaker) -> None:
    latent_BCTHW = trained_like.encode(make_clip(1, frames=17))
    changed_BCTHW = latent_BCTHW.clone()
    changed_BCTHW[:, :, 3:] += 1.0
    before, after = trained_like.decode(latent_BCTHW), trained_like.decode(changed_BCTHW)
    assert torch.allclose(before[:, :, :9], after[:, :, :9], atol=1e-5)
    assert (before[:, :, 9:] - after[:, :, 9:]).abs().amax(dim=(0, 1, 3, 4)).min() > 1e-3


@torch.no_grad()
def test_the_correction_does_see_the_past(trained_like: Codec, make_clip: ClipMaker) -> None:
    latent_BCTHW = trained_like.encode(make_clip(1, frames=17))
    changed_BCTHW = latent_BCTHW.clone()
    changed_BCTHW[:, :, 0] += 5.0
    last = [trained_like.reconstruct(latent)[0][:, :, 13:] for latent in (latent_BCTHW, changed_BCTHW)]
    assert (last[0] - last[1]).abs().max() > 1e-4


@torch.no_grad()
def test_a_state_can_be_replayed(trained_like: Codec, make_clip: ClipMaker) -> None:
    latent_BCTHW = trained_like.encode(make_clip(2, frames=13))
    _, state = trained_like.decode_chunk(latent_BCTHW[:, :, :2], START)
    kept = [past.clone() for past in state.past]
    first, _ = trained_like.decode_chunk(latent_BCTHW[:, :, 2:], state)
    again, _ = trained_like.decode_chunk(latent_BCTHW[:, :, 2:], state)
    assert torch.equal(first, again)
    assert all(torch.equal(a, b) for a, b in zip(kept, state.past, strict=True))
    with pytest.raises(FrozenInstanceError):
        state.latent_frames = 0  # type: ignore[misc]


@torch.no_grad()
def test_memory_stays_flat_however_long_the_stream(trained_like: Codec) -> None:
    """What a stream keeps between chunks is two frames per causal convolution, whether 3 or 60 have passed."""
    generator = torch.Generator().manual_seed(0)
    state, sizes = START, []
    for _ in range(60):
        _, state = trained_like.decode_chunk(torch.randn(1, 12, 1, 2, 2, generator=generator), state)
        sizes.append(sum(past.untyped_storage().nbytes() for past in state.past))
    assert sizes[2] == sizes[-1] == 2 * 2 * 16 * 2 * 2 * 4
    assert state.latent_frames == 60


def test_streams_are_lazy(fitted: Codec, make_clip: ClipMaker) -> None:
    drawn = 0

    def endless() -> Iterator[Tensor]:
        nonlocal drawn
        while True:
            drawn += 1
            yield make_clip(0, frames=1 if drawn == 1 else 4)

    stream = fitted.decode_stream(fitted.encode_stream(endless()))
    assert next(stream).shape[2] == 1
    assert next(stream).shape[2] == 4
    assert drawn == 2


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 3, 6, 32, 32), "6 frames does not fit"),
        ((1, 3, 5, 30, 32), "32 x 30 does not fit"),
        ((1, 4, 5, 32, 32), "shape"),
        ((3, 5, 32, 32), "shape"),
    ],
)
def test_videos_off_the_grid_are_refused(fitted: Codec, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        fitted.encode(torch.zeros(shape))


def test_a_stream_that_goes_on_off_the_grid_is_refused(fitted: Codec) -> None:
    with pytest.raises(ShapeError, match="multiples of 4 frames, not 5"):
        list(fitted.encode_stream([torch.zeros(1, 3, 5, 8, 8), torch.zeros(1, 3, 5, 8, 8)]))


@pytest.mark.parametrize("shape", [(1, 48, 2, 4, 4), (12, 2, 4, 4), (1, 12, 0, 4, 4)])
def test_strange_latents_are_refused(fitted: Codec, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="decodes latents of shape"):
        fitted.reconstruct(torch.zeros(shape))


def test_a_saved_codec_comes_back_whole(trained_like: Codec, small_config: CodecConfig, make_clip: ClipMaker) -> None:
    other = Codec(small_config)
    other.load_state_dict(trained_like.state_dict())
    clip = make_clip(4)
    with torch.no_grad():
        assert torch.equal(other.encode(clip), trained_like.encode(clip))
        assert torch.equal(other.decode(other.encode(clip)), trained_like.decode(trained_like.encode(clip)))


def test_latents_are_exact_inside_an_autocast(fitted: Codec, make_clip: ClipMaker) -> None:
    clip = make_clip(6)
    exact = fitted.encode(clip)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(fitted.encode(clip), exact)
        assert torch.equal(fitted.decode_linear(exact), fitted.decode_linear(exact.clone()))


def test_psnr_has_its_known_values(fitted: Codec, make_clip: ClipMaker) -> None:
    truth = torch.zeros(2, 3, 1, 8, 8)
    error_B = torch.tensor([0.2, 0.02]).reshape(2, 1, 1, 1, 1)
    assert torch.allclose(psnr_of(truth + error_B, truth), torch.tensor([20.0, 40.0]), atol=1e-4)
    clips = [make_clip(seed) for seed in range(3)]
    each = [psnr(fitted, [clip]) for clip in clips]
    assert psnr(fitted, [torch.cat(clips)]) == pytest.approx(sum(each) / 3, abs=1e-4)
    with pytest.raises(InputError, match="at least one clip"):
        psnr(fitted, [])
