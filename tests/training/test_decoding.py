"""Frames for a library that kept latents only."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from kinora.cli.main import main
from kinora.codec import Codec, CodecConfig, video_from_frames
from kinora.core.errors import InputError
from kinora.training.decoding import decode_library
from kinora.training.latents import LatentSet
from kinora.training.library import Library
from kinora.training.parts import Part, save_part


def test_decoded_clips_are_those_of_the_codec(
    library: Library, latents: LatentSet, codec: Codec, tmp_path: Path
) -> None:
    seen: list[tuple[int, int]] = []
    decoded = decode_library(tmp_path / "seen", library, codec, side=16, on_progress=lambda *done: seen.append(done))
    assert seen == [(8, 12), (12, 12)]
    assert (len(decoded), decoded.config.height, decoded.config.width) == (12, 16, 16)
    assert decoded.captions() == library.captions()
    assert np.array_equal(decoded.positions_NT, library.positions_NT)
    assert decoded.scene(9) == library.scene(9)
    video_BCFHW = video_from_frames(torch.from_numpy(np.array(library.frames(9))[None]))
    again_FHWC = codec.decode(codec.encode(video_BCFHW))[0].permute(1, 2, 3, 0).detach().numpy()
    halved = again_FHWC.reshape(9, 16, 2, 16, 2, 3).mean((2, 4)).clip(-1, 1) * 127.5 + 127.5
    assert np.abs(decoded.frames(9) - halved).max() < 2.5  # latents are kept as float16


def test_it_goes_on_where_it_was_stopped(library: Library, latents: LatentSet, codec: Codec, tmp_path: Path) -> None:
    whole = decode_library(tmp_path / "whole", library, codec, side=16)
    part = decode_library(tmp_path / "part", library, codec, side=16)
    part.stem(1).with_name("shard-00001.truth.npz").unlink()
    assert len(Library(tmp_path / "part")) == 8
    again = decode_library(tmp_path / "part", library, codec, side=16)
    assert np.array_equal(again.frames(11), whole.frames(11))


def test_what_cannot_be_decoded_is_named(library: Library, latents: LatentSet, codec: Codec, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="squares whose side divides theirs, not to 24"):
        decode_library(tmp_path / "a", library, codec, side=24)
    with pytest.raises(InputError, match="lacks latents of encoder"):
        decode_library(tmp_path / "b", library, Codec(CodecConfig(channels=4, trunk_blocks=0)), side=16)
    assert not list(tmp_path.iterdir())


def test_by_the_command_line(library: Library, latents: LatentSet, codec: Codec, tmp_path: Path) -> None:
    path, out = tmp_path / "codec.safetensors", tmp_path / "seen"
    tensors = dict(codec.state_dict())
    save_part(path, Part(kind="codec", config=dataclasses.asdict(codec.config), tensors=tensors, record={}))
    words = ["train", "library", "--for", "reader", "--decode", str(library.folder), "--out", str(out)]
    assert main([*words, "--height", "16"]) == 2
    assert not out.exists()
    assert main([*words, "--codec", str(path), "--height", "16"]) == 0
    assert json.loads((out / "index.json").read_text())["height"] == 16
    assert len(Library(out)) == 12
