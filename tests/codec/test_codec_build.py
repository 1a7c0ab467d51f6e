"""Codecs from the numbers of a manifest."""

from __future__ import annotations

import json

import pytest
import torch

from kinora.codec import Codec, CodecConfig, Wan21Codec, Wan22Codec, build_codec
from kinora.codec.protocol import AnyCodec
from kinora.codec.wan21 import MEAN, STD, wan21
from kinora.codec.wan22 import wan22
from kinora.core.errors import InputError, WeightsError
from kinora.presets.wan import WAN21_CODEC, WAN22_CODEC


def test_without_a_kind_it_is_kinoras_own(small_config: CodecConfig) -> None:
    for values in (small_config.to_dict(), {"kind": "kinora", **small_config.to_dict()}):
        made = build_codec(json.loads(json.dumps(values)))
        assert isinstance(made, Codec)
        assert made.config == small_config


def test_the_presets_of_open_weights_are_the_published_forms() -> None:
    with torch.device("meta"):
        small, large = build_codec(WAN21_CODEC), build_codec(WAN22_CODEC)
    assert isinstance(small, Wan21Codec)
    assert isinstance(large, Wan22Codec)
    assert small.config == wan21()
    assert large.config == wan22()


def test_latents_have_the_published_statistics_cut_to_their_channels_or_those_that_are_given() -> None:
    cut = build_codec({"kind": "wan21", "width": 4, "channels": 3})
    assert isinstance(cut, Wan21Codec)
    assert (cut.config.mean, cut.config.std) == (MEAN[:3], STD[:3])
    given = build_codec({"kind": "wan21", "width": 4, "channels": 2, "mean": [0.5, 0.25], "std": [1.0, 2.0]})
    assert isinstance(given, Wan21Codec)
    assert (given.config.mean, given.config.std) == ((0.5, 0.25), (1.0, 2.0))
    with pytest.raises(InputError, match="Latents of 20 channels need as many means and deviations, not 16 and 16"):
        build_codec({"kind": "wan21", "width": 4, "channels": 20})


def test_a_config_comes_back_from_its_own_record() -> None:
    made = build_codec({"kind": "wan22", "encoder_width": 4, "decoder_width": 6, "channels": 5})
    again = build_codec(json.loads(json.dumps({"kind": "wan22", **made.config.to_dict()})))
    assert again.config == made.config


def test_strange_kinds_and_numbers_are_refused() -> None:
    with pytest.raises(WeightsError, match="not 'wan23'"):
        build_codec({"kind": "wan23"})
    with pytest.raises(TypeError, match="depth"):
        build_codec({"kind": "wan21", "width": 4, "channels": 3, "depth": 2})


@torch.no_grad()
@pytest.mark.parametrize(
    "values",
    [
        {"compression": {"time": 4, "space": 16}, "channels": 6, "trunk_width": 8, "picture_width": 8},
        {"kind": "wan21", "width": 4, "channels": 3},
        {"kind": "wan22", "encoder_width": 4, "decoder_width": 4, "channels": 3},
    ],
)
def test_every_codec_offers_the_same(values: dict[str, object]) -> None:
    codec: AnyCodec = build_codec(values).eval()
    video_BCFHW = torch.rand(1, 3, 9, 32, 48) * 2 - 1
    latent_BCTHW = codec.encode(video_BCFHW)
    space = codec.config.compression.space
    assert latent_BCTHW.shape == (1, codec.config.channels, 3, 32 // space, 48 // space)
    assert codec.decode(latent_BCTHW).shape == video_BCFHW.shape
    pieces = list(codec.decode_stream(codec.encode_stream([video_BCFHW], at_once=1), at_once=1))
    assert [piece.shape[2] for piece in pieces] == [1, 4, 4]
