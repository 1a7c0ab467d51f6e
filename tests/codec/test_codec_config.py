"""A codec's numbers: what they imply and what they forbid."""

from __future__ import annotations

import json

import pytest

from kinora.codec import CodecConfig
from kinora.core.errors import InputError
from kinora.core.shapes import Compression


def test_a_patch_holds_three_colours_of_every_pixel_and_frame() -> None:
    assert CodecConfig().patch_size == 3 * 4 * 16 * 16
    assert CodecConfig(compression=Compression(time=4, space=8), channels=16).patch_size == 768


def test_a_config_survives_a_manifest() -> None:
    config = CodecConfig(compression=Compression(time=4, space=8), channels=24, whitening=0.25, trunk_width=32)
    assert CodecConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_an_unknown_name_in_a_manifest_is_refused() -> None:
    with pytest.raises(TypeError, match="chanels"):
        CodecConfig.from_dict({**CodecConfig().to_dict(), "chanels": 3})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"channels": 0}, "cannot be kept in 0"),
        ({"channels": 4000}, "choose 1 to 3072"),
        ({"whitening": 1.5}, "between 0 and 1, not 1.5"),
        ({"compression": Compression(time=4, space=6)}, "multiple of 4, not 6"),
    ],
)
def test_impossible_numbers_are_named(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        CodecConfig(**wrong)  # type: ignore[arg-type]


def test_a_codec_without_blocks_is_linear() -> None:
    assert CodecConfig(trunk_blocks=0, picture_blocks=0).linear
    assert not CodecConfig(trunk_blocks=0).linear
