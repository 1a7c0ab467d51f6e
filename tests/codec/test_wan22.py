"""Wan 2.2's autoencoder in miniature: shapes, streams, causality; in full size, on no device: names and counts."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, asdict, replace

import pytest
import torch
from torch import Tensor, nn

from kinora.codec import wan22 as wan_module
from kinora.codec.wan22 import WAN_START, Wan22Codec, Wan22Config, wan22, wan22_tiny
from kinora.codec.wan_blocks import (
    CausalConv,
    Doubling,
    FrameAttention,
    Halving,
    RootMeanSquare,
    average_down,
    cells_from_pixels,
    copy_up,
    pixels_from_cells,
)
from kinora.core.errors import InputError, ShapeError
from kinora.core.shapes import Compression


def random_video(frames: int, *, height: int = 32, width: int = 16, batch: int = 1, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, 3, frames, height, width, generator=generator) * 2 - 1


@pytest.fixture(scope="module")
def codec() -> Wan22Codec:
    """Random weights everywhere, also where training would start at ones or zeros; nothing is neutral."""
    generator = torch.Generator().manual_seed(3)
    made = Wan22Codec(wan22_tiny()).requires_grad_(False).eval()
    for name, parameter in made.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        fan_in = parameter[0].numel() if parameter.ndim > 1 and "gamma" not in name else 1
        parameter.copy_(1 + 0.2 * noise if "gamma" in name else noise * (0.1 if fan_in == 1 else fan_in**-0.5))
    return made


@pytest.mark.parametrize("frames", [1, 5, 13])
def test_shapes_follow_the_grid(codec: Wan22Codec, frames: int) -> None:
    latent_BCTHW = codec.encode(random_video(frames, batch=2))
    assert latent_BCTHW.shape == (2, 5, 1 + (frames - 1) // 4, 2, 1)
    assert codec.decode(latent_BCTHW).shape == (2, 3, frames, 32, 16)


@pytest.mark.parametrize("pieces", [(1, 1, 1, 1, 1), (1, 3, 1), (3, 2), (5,)])
def test_streaming_equals_the_whole_clip(
    codec: Wan22Codec, pieces: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    video_BCFHW = random_video(17, batch=2)
    latent_BCTHW = codec.encode(video_BCFHW)
    whole_BCFHW, _ = codec.reconstruct(latent_BCTHW)
    frames = [4 * piece - 3 * (i == 0) for i, piece in enumerate(pieces)]
    streamed_latent = list(codec.encode_stream(video_BCFHW.split(frames, dim=2)))
    assert [piece.shape[2] for piece in streamed_latent] == list(pieces)
    torch.testing.assert_close(torch.cat(streamed_latent, dim=2), latent_BCTHW, atol=1e-5, rtol=0)
    streamed = torch.cat(list(codec.decode_stream(latent_BCTHW.split(pieces, dim=2))), dim=2)
    torch.testing.assert_close(streamed, whole_BCFHW.clamp(-1, 1), atol=1e-5, rtol=0)
    monkeypatch.setattr(wan_module, "CHUNK_PIXELS", 1)
    in_bits = list(codec.decode_stream([latent_BCTHW]))
    assert [piece.shape[2] for piece in in_bits] == [1, 4, 4, 4, 4]
    torch.testing.assert_close(torch.cat(in_bits, dim=2), streamed, atol=1e-5, rtol=0)
    torch.testing.assert_close(codec.encode(video_BCFHW), latent_BCTHW, atol=1e-5, rtol=0)


def test_a_later_frame_changes_no_earlier_latent(codec: Wan22Codec) -> None:
    video_BCFHW = random_video(13)
    changed_BCFHW = video_BCFHW.clone()
    changed_BCFHW[:, :, 5] *= -1  # the first pixel frame of latent frame 2
    difference_T = (codec.encode(video_BCFHW) - codec.encode(changed_BCFHW)).abs().amax(dim=(0, 1, 3, 4))
    assert difference_T[:2].max() < 1e-5
    assert difference_T[2:].min() > 1e-4


def test_a_later_latent_changes_no_earlier_frame(codec: Wan22Codec) -> None:
    latent_BCTHW = codec.encode(random_video(13))
    changed_BCTHW = latent_BCTHW.clone()
    changed_BCTHW[:, :, 2] += 1.0
    before, after = codec.reconstruct(latent_BCTHW)[0], codec.reconstruct(changed_BCTHW)[0]
    difference_F = (before - after).abs().amax(dim=(0, 1, 3, 4))
    assert difference_F[:5].max() < 1e-5
    assert difference_F[5:].min() > 1e-4


def test_a_state_can_be_replayed_and_does_not_grow(codec: Wan22Codec) -> None:
    latent_BCTHW = codec.encode(random_video(13))
    _, state = codec.decode_chunk(latent_BCTHW[:, :, :2], WAN_START)
    kept = [past.clone() for past in state.past]
    first, later = codec.decode_chunk(latent_BCTHW[:, :, 2:], state)
    again, _ = codec.decode_chunk(latent_BCTHW[:, :, 2:], state)
    assert torch.equal(first, again)
    assert all(torch.equal(a, b) for a, b in zip(kept, state.past, strict=True))
    assert [past.untyped_storage().nbytes() for past in later.past] == [4 * past.numel() for past in kept]
    assert later.latent_frames == 4
    with pytest.raises(FrozenInstanceError):
        state.latent_frames = 0  # type: ignore[misc]


def test_latents_are_normalised_by_the_configs_statistics(codec: Wan22Codec) -> None:
    """Other statistics shift and scale the same latents, and decoding undoes them."""
    plain = Wan22Codec(replace(codec.config, mean=(0.0,) * 5, std=(1.0,) * 5))
    plain.load_state_dict(codec.state_dict())
    video_BCFHW = random_video(5)
    mean, std = torch.tensor(codec.config.mean), torch.tensor(codec.config.std)
    with torch.no_grad():
        raw_BCTHW = plain.encode(video_BCFHW)
        expected = (raw_BCTHW - mean.view(1, 5, 1, 1, 1)) / std.view(1, 5, 1, 1, 1)
        torch.testing.assert_close(codec.encode(video_BCFHW), expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(codec.decode(expected), plain.decode(raw_BCTHW), atol=1e-5, rtol=1e-5)


def test_a_causal_convolution_adds_a_frame_and_the_two_before() -> None:
    conv = CausalConv(1, 1, space=1).requires_grad_(False)
    conv.weight.copy_(torch.tensor([100.0, 10.0, 1.0]).view(1, 1, 3, 1, 1))
    conv.bias.zero_()
    first, past = conv(torch.tensor([1.0, 2.0]).view(1, 1, 2, 1, 1))
    second, past = conv(torch.tensor([3.0]).view(1, 1, 1, 1, 1), past)
    assert first.flatten().tolist() == [1.0, 12.0]
    assert second.flatten().tolist() == [123.0]
    assert past[0].flatten().tolist() == [2.0, 3.0]


def test_halving_keeps_the_first_frame_and_merges_pairs_with_the_frame_before_them() -> None:
    halving = Halving(1, time=True).requires_grad_(False)
    for parameter in halving.parameters():
        parameter.zero_()
    halving.get_parameter("resample.1.weight")[..., 1, 1] = 1.0  # of each 2 x 2 square the last, so nothing is padding
    halving.get_parameter("time_conv.weight").copy_(torch.tensor([100.0, 10.0, 1.0]).view(1, 1, 3, 1, 1))
    x_BCTHW = torch.arange(1.0, 6.0).view(1, 1, 5, 1, 1) * torch.tensor([[0.0, 0.0], [0.0, 1.0]])
    first, past = halving(x_BCTHW[:, :, :3])
    second, past = halving(x_BCTHW[:, :, 3:], past)
    assert first.flatten().tolist() == [1.0, 123.0]
    assert second.flatten().tolist() == [345.0]
    assert past[0].flatten().tolist() == [5.0]


def test_doubling_leaves_the_first_frame_alone_and_out_of_the_second_ones_past() -> None:
    doubling = Doubling(1, time=True).requires_grad_(False)
    for parameter in doubling.parameters():
        parameter.zero_()
    doubling.get_parameter("resample.1.weight")[..., 1, 1] = 1.0
    taps_2T = torch.tensor([[100.0, 10.0, 1.0], [200.0, 20.0, 2.0]])  # the earlier and the later frame of a pair
    doubling.get_parameter("time_conv.weight").copy_(taps_2T.view(2, 1, 3, 1, 1))
    x_BCTHW = torch.arange(1.0, 5.0).view(1, 1, 4, 1, 1)
    first, past = doubling(x_BCTHW[:, :, :1])
    second, past = doubling(x_BCTHW[:, :, 1:3], past)
    third, _ = doubling(x_BCTHW[:, :, 3:], past)
    y_BCTHW = torch.cat([first, second, third], dim=2)
    assert y_BCTHW.shape == (1, 1, 7, 2, 2)
    assert y_BCTHW[0, 0, :, 0, 0].tolist() == [1.0, 2.0, 4.0, 23.0, 46.0, 234.0, 468.0]
    assert torch.equal(y_BCTHW[:, :, :5], doubling(x_BCTHW[:, :, :3])[0])


def test_a_chain_hands_each_layer_its_own_past(codec: Wan22Codec) -> None:
    """Encoder: 22 convolutions of three frames and two that halve time; decoder: 30 and two that double it."""
    _, past = codec.encoder(torch.zeros(1, 12, 5, 8, 8))
    assert codec.encoder.memories == len(past) == 24
    assert sorted({tensor.shape[2] for tensor in past}) == [1, 2]
    assert codec.decoder.memories == len(codec.reconstruct(torch.zeros(1, 5, 1, 1, 1))[1].past) == 32


def test_the_norm_brings_the_channels_to_unit_root_mean_square() -> None:
    norm = RootMeanSquare(2, axes=1).requires_grad_(False)
    norm.gamma.copy_(torch.tensor([[1.0], [10.0]]))
    y = norm(torch.tensor([[[3.0, 0.0], [4.0, 0.0]]]))
    torch.testing.assert_close(y[0, :, 0], torch.tensor([3.0, 40.0]) / 12.5**0.5)
    assert y[0, :, 1].tolist() == [0.0, 0.0]


def test_attention_stays_within_the_frame_and_sees_all_of_it() -> None:
    torch.manual_seed(0)
    attention = FrameAttention(4).requires_grad_(False)
    x_BCTHW = torch.randn(2, 4, 3, 2, 3)
    changed_BCTHW = x_BCTHW.clone()
    changed_BCTHW[0, :, 1, 0, 0] += 1.0
    difference = (attention(x_BCTHW) - attention(changed_BCTHW)).abs().amax(dim=1)
    assert (difference[0, 1] > 1e-6).all()
    assert difference[1].max() == difference[0, 0].max() == difference[0, 2].max() == 0.0


def test_averages_of_a_block_go_by_channel_then_frame_then_row() -> None:
    x_BCTHW = torch.arange(16.0).view(1, 2, 2, 2, 2)
    whole = average_down(x_BCTHW, 2, time=2, space=2)
    assert whole.flatten().tolist() == [3.5, 11.5]
    by_frame = average_down(x_BCTHW, 4, time=2, space=2)
    assert by_frame.flatten().tolist() == [1.5, 5.5, 9.5, 13.5]
    assert torch.equal(average_down(x_BCTHW, 2, time=1, space=1), x_BCTHW)


def test_a_lone_first_frame_is_averaged_with_zeros_before_it() -> None:
    x_BCTHW = torch.tensor([4.0, 6.0, 8.0]).view(1, 1, 3, 1, 1)
    assert average_down(x_BCTHW, 1, time=2, space=1).flatten().tolist() == [2.0, 7.0]
    assert average_down(x_BCTHW[:, :, :1], 2, time=2, space=1).flatten().tolist() == [0.0, 4.0]


def test_copies_fill_a_block_and_the_first_frame_gives_only_one() -> None:
    x_BCTHW = torch.tensor([[1.0, 5.0], [2.0, 6.0]]).view(1, 2, 2, 1, 1)  # two channels, two frames
    later = copy_up(x_BCTHW, 1, time=2, space=2, first=False)
    assert later.shape == (1, 1, 4, 2, 2)
    assert later[0, 0, :, 0, 0].tolist() == later[0, 0, :, 1, 1].tolist() == [1.0, 2.0, 5.0, 6.0]
    assert torch.equal(copy_up(x_BCTHW, 1, time=2, space=2, first=True), later[:, :, 1:])
    columns = copy_up(torch.arange(4.0).view(1, 4, 1, 1, 1), 1, time=1, space=2, first=True)
    assert columns[0, 0, 0].tolist() == [[0.0, 1.0], [2.0, 3.0]]


def test_pixels_become_channels_by_column_then_row() -> None:
    video_BCFHW = torch.arange(12.0).view(1, 3, 1, 2, 2)
    cell_BCFHW = cells_from_pixels(video_BCFHW, 2)
    assert cell_BCFHW.flatten().tolist() == [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0, 8.0, 10.0, 9.0, 11.0]
    wide_BCFHW = random_video(3, height=6, width=4)
    assert torch.equal(pixels_from_cells(cells_from_pixels(wide_BCFHW, 2), 2), wide_BCFHW)


def wan_checkpoint() -> dict[str, tuple[int, ...]]:
    """Names and shapes of Wan2.2_VAE.pth, written down layer by layer."""
    found: dict[str, tuple[int, ...]] = {}

    def conv(name: str, outputs: int, inputs: int, *kernel: int) -> None:
        found.update({f"{name}.weight": (outputs, inputs, *kernel), f"{name}.bias": (outputs,)})

    def residual(name: str, inputs: int, outputs: int) -> None:
        found.update({f"{name}.residual.0.gamma": (inputs, 1, 1, 1), f"{name}.residual.3.gamma": (outputs, 1, 1, 1)})
        conv(f"{name}.residual.2", outputs, inputs, 3, 3, 3)
        conv(f"{name}.residual.6", outputs, outputs, 3, 3, 3)
        if inputs != outputs:
            conv(f"{name}.shortcut", outputs, inputs, 1, 1, 1)

    def ends(name: str, inputs: int, first: int, inner: int, last: int, outputs: int) -> None:
        conv(f"{name}.conv1", first, inputs, 3, 3, 3)
        residual(f"{name}.middle.0", inner, inner)
        found[f"{name}.middle.1.norm.gamma"] = (inner, 1, 1)
        conv(f"{name}.middle.1.to_qkv", 3 * inner, inner, 1, 1)
        conv(f"{name}.middle.1.proj", inner, inner, 1, 1)
        residual(f"{name}.middle.2", inner, inner)
        found[f"{name}.head.0.gamma"] = (last, 1, 1, 1)
        conv(f"{name}.head.2", outputs, last, 3, 3, 3)

    ends("encoder", 12, 160, 640, 640, 96)
    for i, (inputs, outputs) in enumerate([(160, 160), (160, 320), (320, 640), (640, 640)]):
        stage = f"encoder.downsamples.{i}.downsamples"
        residual(f"{stage}.0", inputs, outputs)
        residual(f"{stage}.1", outputs, outputs)
        if i < 3:
            conv(f"{stage}.2.resample.1", outputs, outputs, 3, 3)
        if i in {1, 2}:
            conv(f"{stage}.2.time_conv", outputs, outputs, 3, 1, 1)
    conv("conv1", 96, 96, 1, 1, 1)
    conv("conv2", 48, 48, 1, 1, 1)
    ends("decoder", 48, 1024, 1024, 256, 12)
    for i, (inputs, outputs) in enumerate([(1024, 1024), (1024, 1024), (1024, 512), (512, 256)]):
        stage = f"decoder.upsamples.{i}.upsamples"
        residual(f"{stage}.0", inputs, outputs)
        residual(f"{stage}.1", outputs, outputs)
        residual(f"{stage}.2", outputs, outputs)
        if i < 3:
            conv(f"{stage}.3.resample.1", outputs, outputs, 3, 3)
        if i in {0, 1}:
            conv(f"{stage}.3.time_conv", 2 * outputs, outputs, 3, 1, 1)
    return found


@pytest.fixture(scope="module")
def published() -> Wan22Codec:
    with torch.device("meta"):
        return Wan22Codec(wan22())


def test_the_published_form_has_wans_names_and_shapes(published: Wan22Codec) -> None:
    assert {name: tuple(value.shape) for name, value in published.state_dict().items()} == wan_checkpoint()


def test_the_published_form_has_wans_size(published: Wan22Codec) -> None:
    def numbers(module: nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    assert numbers(published.encoder) == 149_627_776
    assert numbers(published.decoder) == 555_049_228
    assert numbers(published) == 704_688_668
    assert published.config.compression == Compression(time=4, space=16)


def test_a_model_built_on_no_device_takes_assigned_weights(codec: Wan22Codec) -> None:
    with torch.device("meta"):
        other = Wan22Codec(Wan22Config.from_dict(json.loads(json.dumps(codec.config.to_dict()))))
    other.load_state_dict(codec.state_dict(), assign=True)
    video_BCFHW = random_video(5)
    with torch.no_grad():
        assert torch.equal(other.decode(other.encode(video_BCFHW)), codec.decode(codec.encode(video_BCFHW)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"halve_time": (True,)}, "halve_time has 3 entries, not 1"),
        ({"channels": 6}, "as many means and deviations, not 5 and 5"),
        ({"std": (1.0, 1.0, 0.0, 1.0, 1.0)}, "above zero, not 0"),
    ],
)
def test_impossible_configs_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Wan22Config(**{**asdict(wan22_tiny()), **change})


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 3, 6, 32, 32), "6 frames does not fit"),
        ((1, 3, 5, 30, 32), "32 x 30 does not fit"),
        ((3, 5, 32, 32), "shape"),
    ],
)
def test_videos_off_the_grid_are_refused(codec: Wan22Codec, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        codec.encode(torch.zeros(shape))


def test_a_stream_that_goes_on_off_the_grid_is_refused(codec: Wan22Codec) -> None:
    with pytest.raises(ShapeError, match="multiples of 4 frames, not 5"):
        list(codec.encode_stream([torch.zeros(1, 3, 5, 16, 16), torch.zeros(1, 3, 5, 16, 16)]))


@pytest.mark.parametrize("shape", [(1, 16, 2, 4, 4), (5, 2, 4, 4), (1, 5, 0, 4, 4)])
def test_strange_latents_are_refused(codec: Wan22Codec, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="decodes latents of shape"):
        codec.decode(torch.zeros(shape))
