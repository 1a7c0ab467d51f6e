"""Wan's autoencoders in miniature: shapes, streams, causality, states."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable
from dataclasses import FrozenInstanceError, asdict, replace

import pytest
import torch
from torch import Tensor, nn

from kinora.codec import START, wan21, wan22
from kinora.codec import wan as wan_module
from kinora.codec.reel import Reel
from kinora.codec.wan import WanCodec
from kinora.codec.wan21 import Wan21Codec, Wan21Config
from kinora.codec.wan22 import Wan22Codec, Wan22Config
from kinora.core.errors import InputError, ShapeError

TINY_21 = Wan21Config(width=4, channels=3, mean=wan21.MEAN[:3], std=wan21.STD[:3])
TINY_22 = Wan22Config(encoder_width=4, decoder_width=6, channels=5, mean=wan22.MEAN[:5], std=wan22.STD[:5])
"""The published forms in miniature."""


def random_video(frames: int, *, height: int = 32, width: int = 16, batch: int = 1, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, 3, frames, height, width, generator=generator) * 2 - 1


@pytest.fixture(scope="module", params=["wan21", "wan22"])
def codec(request: pytest.FixtureRequest, randomise: Callable[[nn.Module], None]) -> WanCodec:
    made = Wan21Codec(TINY_21) if request.param == "wan21" else Wan22Codec(TINY_22)
    randomise(made)
    return made


@pytest.mark.parametrize("frames", [1, 5, 13])
def test_shapes_follow_the_grid(codec: WanCodec, frames: int) -> None:
    latent_BCTHW = codec.encode(random_video(frames, batch=2))
    space = codec.config.compression.space
    assert latent_BCTHW.shape == (2, codec.config.channels, 1 + (frames - 1) // 4, 32 // space, 16 // space)
    assert codec.decode(latent_BCTHW).shape == (2, 3, frames, 32, 16)


@pytest.mark.parametrize("pieces", [(1, 1, 1, 1, 1), (1, 3, 1), (3, 2), (5,)])
def test_streaming_equals_the_whole_clip(
    codec: WanCodec, pieces: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    video_BCFHW = random_video(17, batch=2)
    latent_BCTHW = codec.encode(video_BCFHW)
    whole_BCFHW, _ = codec.reconstruct(latent_BCTHW)
    frames = [4 * piece - 3 * (i == 0) for i, piece in enumerate(pieces)]
    streamed_latent = list(codec.encode_stream(video_BCFHW.split(frames, dim=2)))
    assert [piece.shape[2] for piece in streamed_latent] == list(pieces)
    torch.testing.assert_close(torch.cat(streamed_latent, dim=2), latent_BCTHW, atol=3e-5, rtol=0)
    streamed = torch.cat(list(codec.decode_stream(latent_BCTHW.split(pieces, dim=2))), dim=2)
    torch.testing.assert_close(streamed, whole_BCFHW.clamp(-1, 1), atol=3e-5, rtol=0)
    monkeypatch.setattr(wan_module, "CHUNK_PIXELS", 1)
    in_bits = list(codec.decode_stream([latent_BCTHW]))
    assert [piece.shape[2] for piece in in_bits] == [1, 4, 4, 4, 4]
    torch.testing.assert_close(torch.cat(in_bits, dim=2), streamed, atol=3e-5, rtol=0)
    torch.testing.assert_close(codec.encode(video_BCFHW), latent_BCTHW, atol=3e-5, rtol=0)
    assert [piece.shape[2] for piece in codec.decode_stream([latent_BCTHW], at_once=2)] == [5, 8, 4]
    assert [piece.shape[2] for piece in codec.encode_stream([video_BCFHW], at_once=3)] == [3, 2]


def test_a_later_frame_changes_no_earlier_latent(codec: WanCodec) -> None:
    video_BCFHW = random_video(13)
    changed_BCFHW = video_BCFHW.clone()
    changed_BCFHW[:, :, 5] *= -1  # the first pixel frame of latent frame 2
    difference_T = (codec.encode(video_BCFHW) - codec.encode(changed_BCFHW)).abs().amax(dim=(0, 1, 3, 4))
    assert difference_T[:2].max() < 1e-5
    assert difference_T[2:].min() > 1e-4


def test_a_later_latent_changes_no_earlier_frame(codec: WanCodec) -> None:
    latent_BCTHW = codec.encode(random_video(13))
    changed_BCTHW = latent_BCTHW.clone()
    changed_BCTHW[:, :, 2] += 1.0
    before, after = codec.reconstruct(latent_BCTHW)[0], codec.reconstruct(changed_BCTHW)[0]
    difference_F = (before - after).abs().amax(dim=(0, 1, 3, 4))
    assert difference_F[:5].max() < 1e-5
    assert difference_F[5:].min() > 1e-4


def test_a_state_can_be_replayed_and_does_not_grow(codec: WanCodec) -> None:
    latent_BCTHW = codec.encode(random_video(13))
    _, state = codec.decode_chunk(latent_BCTHW[:, :, :2], START)
    kept = [past.clone() for past in state.past]
    first, later = codec.decode_chunk(latent_BCTHW[:, :, 2:], state)
    again, _ = codec.decode_chunk(latent_BCTHW[:, :, 2:], state)
    assert torch.equal(first, again)
    assert all(torch.equal(a, b) for a, b in zip(kept, state.past, strict=True))
    assert [past.untyped_storage().nbytes() for past in later.past] == [4 * past.numel() for past in later.past]
    assert later.latent_frames == 4
    with pytest.raises(FrozenInstanceError):
        state.latent_frames = 0  # type: ignore[misc]


def test_each_layer_that_looks_back_keeps_at_most_two_frames(codec: WanCodec) -> None:
    """Encoder: 22 convolutions of three frames and two that halve time; decoder: 30 and two that double it."""
    latent_BCTHW, state = codec.encode_chunk(random_video(5), START)
    assert len(state.past) == 24
    assert sorted({tensor.shape[2] for tensor in state.past}) == [1, 2]
    _, state = codec.decode_chunk(latent_BCTHW[:, :, :1], START)
    assert len(state.past) == 32
    assert sorted({tensor.shape[2] for tensor in state.past}) == [0, 1]
    _, state = codec.decode_chunk(latent_BCTHW[:, :, 1:], state)
    assert sorted({tensor.shape[2] for tensor in state.past}) == [1, 2]


def test_a_stream_lets_go_of_the_frames_that_a_layer_has_taken(
    codec: WanCodec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At no time does it hold what two chunks have kept."""
    watched: list[weakref.ref[Tensor]] = []
    alive: list[int] = []
    reel_keep = Reel.keep

    def keep(reel: Reel, x_BCTHW: Tensor) -> None:
        watched.append(weakref.ref(x_BCTHW))
        reel_keep(reel, x_BCTHW)
        alive.append(sum(reference() is not None for reference in watched))

    monkeypatch.setattr(Reel, "keep", keep)
    stream = codec.decode_stream([torch.randn(1, codec.config.channels, 6, 2, 1)], at_once=1)
    assert sum(video_BCFHW.shape[2] for video_BCFHW in stream) == 21
    assert len(watched) == 6 * 32
    assert max(alive) <= 33


def test_what_a_stream_keeps_does_not_grow_with_its_length(codec: WanCodec) -> None:
    generator = torch.Generator().manual_seed(0)
    state, sizes = START, []
    for _ in range(12):
        latent_BCTHW = torch.randn(1, codec.config.channels, 1, 2, 1, generator=generator)
        _, state = codec.decode_chunk(latent_BCTHW, state)
        sizes.append(sum(past.untyped_storage().nbytes() for past in state.past))
    assert state.latent_frames == 12
    assert sizes[0] < sizes[3] == sizes[-1]


def test_another_precision_is_kept_to_within_its_own_error(codec: WanCodec) -> None:
    half = type(codec)(codec.config).requires_grad_(False).eval()
    half.load_state_dict(codec.state_dict())
    half.bfloat16()
    video_BCFHW = random_video(5)
    exact_BCTHW, rough_BCTHW = codec.encode(video_BCFHW), half.encode(video_BCFHW)
    assert rough_BCTHW.dtype == torch.bfloat16
    assert (rough_BCTHW - exact_BCTHW).norm() < 0.03 * exact_BCTHW.norm()


def test_latents_are_normalised_by_the_configs_statistics(codec: WanCodec) -> None:
    """Other statistics shift and scale the same latents, and decoding undoes them."""
    plain = type(codec)(replace(codec.config, mean=(0.0,) * codec.config.channels, std=(1.0,) * codec.config.channels))
    plain.load_state_dict(codec.state_dict())
    video_BCFHW = random_video(5)
    mean, std = torch.tensor(codec.config.mean), torch.tensor(codec.config.std)
    with torch.no_grad():
        raw_BCTHW = plain.encode(video_BCFHW)
        expected = (raw_BCTHW - mean.view(1, -1, 1, 1, 1)) / std.view(1, -1, 1, 1, 1)
        torch.testing.assert_close(codec.encode(video_BCFHW), expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(codec.decode(expected), plain.decode(raw_BCTHW), atol=1e-5, rtol=1e-5)


def test_a_model_built_on_no_device_takes_assigned_weights(codec: WanCodec) -> None:
    with torch.device("meta"):
        other = type(codec)(type(codec.config).from_dict(json.loads(json.dumps(codec.config.to_dict()))))
    other.load_state_dict(codec.state_dict(), assign=True)
    video_BCFHW = random_video(5)
    with torch.no_grad():
        assert torch.equal(other.decode(other.encode(video_BCFHW)), codec.decode(codec.encode(video_BCFHW)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"halve_time": (True,)}, "halve_time has 3 entries, not 1"),
        ({"channels": 6}, "as many means and deviations, not 3 and 3"),
        ({"std": (1.0, 1.0, 0.0)}, "above zero, not 0"),
    ],
)
def test_impossible_configs_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Wan21Config(**{**asdict(TINY_21), **change})


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 3, 6, 32, 32), "6 frames does not fit"),
        ((1, 3, 5, 30, 32), "32 x 30 does not fit"),
        ((3, 5, 32, 32), "shape"),
    ],
)
def test_videos_off_the_grid_are_refused(codec: WanCodec, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        codec.encode(torch.zeros(shape))


def test_a_stream_that_goes_on_off_the_grid_is_refused(codec: WanCodec) -> None:
    with pytest.raises(ShapeError, match="multiples of 4 frames, not 5"):
        list(codec.encode_stream([torch.zeros(1, 3, 5, 16, 16), torch.zeros(1, 3, 5, 16, 16)]))


@pytest.mark.parametrize("shape", [(1, 16, 2, 4, 4), (5, 2, 4, 4), (1, 3, 0, 4, 4)])
def test_strange_latents_are_refused(codec: WanCodec, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="decodes latents of shape"):
        codec.decode(torch.zeros(shape))
