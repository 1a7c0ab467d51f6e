"""Libraries: what they hold, how they resume, and that scattered latents are the whole clip's latents."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from kinora.codec import Codec, video_from_frames
from kinora.core.errors import InputError
from kinora.training.latents import FrameEncoder, LatentSet, encode_library, encoder_key
from kinora.training.library import CAPTIONS, Library, LibraryConfig, truth_path
from kinora.training.rendering import render_library
from kinora.world.render import render


def test_a_library_shows_its_seeds_at_its_positions(library: Library) -> None:
    assert len(library) == 12
    assert library.seeds.tolist() == list(range(12))
    assert library.frames(9).shape == (9, 32, 32, 3)
    positions = library.positions_NT[9]
    frames = [0, *(f for t in positions[1:] for f in range(4 * t - 3, 4 * t + 1))]
    again = render([library.scene(9)], height=32, width=32, frames=[frames]).rgb_BFHW3[0].numpy()
    assert np.array_equal(again, library.frames(9))


def test_every_clip_has_its_captions_in_both_languages(library: Library) -> None:
    captions = library.captions()
    assert len(captions) == 12
    for texts in captions:
        assert len(texts) == len(CAPTIONS)
        for (language, _), text in zip(CAPTIONS, texts, strict=True):
            assert any("\u4e00" <= letter <= "\u9fff" for letter in text) == (language == "zh")


def test_a_library_of_another_world_is_refused(library: Library, tmp_path: Path) -> None:
    index = json.loads((library.folder / "index.json").read_text(encoding="utf-8"))
    (tmp_path / "index.json").write_text(json.dumps({**index, "world": "0.9"}), encoding="utf-8")
    with pytest.raises(InputError, match=r"shows world 0\.9"):
        Library(tmp_path)


def test_mixes_of_both_worlds_are_known_by_name() -> None:
    from kinora.training.scenes import mix_named

    worlds = {
        name: mix_named(name).world for name in ("training", "simple", "richest", "reader", "wide", "wide-reader")
    }
    assert worlds == {
        **dict.fromkeys(("training", "simple", "richest", "reader"), "1.0"),
        "wide": "2.0",
        "wide-reader": "2.0",
    }
    assert LibraryConfig(count=1, height=32, width=32, mix="wide").world == "2.0"
    assert LibraryConfig(count=1, height=32, width=32, mix="wide", world="1.9").world == "1.9"
    with pytest.raises(InputError, match="wide-reader"):
        LibraryConfig(count=1, height=32, width=32, mix="narrow")


def test_about_half_of_the_scenes_are_mirrored() -> None:
    from kinora.training.scenes import clip_scene
    from kinora.world.sampler import sample_scene

    pairs = [(clip_scene(seed), sample_scene(seed)) for seed in range(24)]
    mirrored = [clip.bodies != drawn.bodies or clip.figures != drawn.figures for clip, drawn in pairs]
    assert 5 <= sum(mirrored) <= 19


def test_a_lost_shard_is_rendered_again_to_the_bit(library: Library, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(library.folder, folder)
    frames = (folder / "shard-00001.frames.npy").read_bytes()
    for path in folder.glob("shard-00001.*"):
        path.unlink()
    assert len(Library(folder)) == 8
    told: list[tuple[int, int]] = []
    again = render_library(folder, library.config, on_progress=lambda done, total: told.append((done, total)))
    assert told == [(12, 12)]
    assert len(again) == 12
    assert (folder / "shard-00001.frames.npy").read_bytes() == frames
    assert np.array_equal(again.pose_NT12, library.pose_NT12)


def test_only_shards_from_the_first_on_count(library: Library, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(library.folder, folder)
    truth_path(folder, 0).unlink()
    assert len(Library(folder)) == 0
    with pytest.raises(InputError, match="0 whole shards; 1 are asked for"):
        Library(folder, shards=1)


def test_another_library_in_the_folder_is_refused(library: Library) -> None:
    with pytest.raises(InputError, match="choose another folder"):
        render_library(library.folder, dataclasses.replace(library.config, height=64))
    with pytest.raises(InputError, match="short shard"):
        render_library(library.folder, dataclasses.replace(library.config, count=20))


def test_no_library_and_nothing_to_keep(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no library"):
        Library(tmp_path)
    with pytest.raises(InputError, match="nothing would be kept"):
        render_library(tmp_path / "new", LibraryConfig(count=1, height=32, width=32), keep_frames=False)


def test_latents_of_chosen_moments_are_those_of_the_whole_clip(
    library: Library, latents: LatentSet, codec: Codec
) -> None:
    clip = 3
    whole = render([library.scene(clip)], height=32, width=32).rgb_BFHW3
    whole_BCTHW = codec.encode(video_from_frames(whole))
    rows = np.array([[0, 1, 2]])
    taken_BCTHW = latents.take(np.array([clip]), rows, "cpu")
    expected_BCTHW = whole_BCTHW[:, :, library.positions_NT[clip]]
    assert taken_BCTHW.shape == (1, 8, 3, 2, 2)
    assert torch.allclose(taken_BCTHW, expected_BCTHW, atol=2e-3, rtol=2e-3)  # float16 on disk


def test_latents_in_memory_and_on_disk_agree(library: Library, encoder: FrameEncoder, latents: LatentSet) -> None:
    clips, frames = np.array([0, 11, 8]), np.array([[0, 2], [0, 1], [0, 2]])
    from_disk = latents.take(clips, frames, "cpu")
    held = LatentSet(library.folder, library.shards, encoder.key)
    held.load("cpu")
    assert torch.equal(held.take(clips, frames, "cpu"), from_disk)


def test_latents_of_another_encoder_are_missed(library: Library) -> None:
    with pytest.raises(InputError, match="lacks latents of encoder 00000000 for 2 of 2 shards"):
        LatentSet(library.folder, library.shards, "00000000")


def test_the_key_names_the_encoder_and_not_the_decoder() -> None:
    from kinora.codec import CodecConfig

    torch.manual_seed(0)
    codec = Codec(CodecConfig(channels=8, trunk_width=16, trunk_blocks=1, picture_width=16, picture_blocks=1))
    key = encoder_key(codec)
    with torch.no_grad():
        next(codec.parameters()).add_(1.0)
    assert encoder_key(codec) == key
    codec.scale_C.mul_(2.0)
    assert encoder_key(codec) != key


def test_a_library_of_latents_alone(tmp_path: Path, codec: Codec) -> None:
    from kinora.training.parts import Part, save_part

    path = tmp_path / "codec.safetensors"
    save_part(path, Part(kind="codec", config=codec.config.to_dict(), tensors=codec.state_dict(), record={}))
    config = LibraryConfig(count=2, height=32, width=32, latent_frames=3)
    small = render_library(tmp_path / "latents", config, codec=path, keep_frames=False)
    encode_library(small.folder, small.shards, FrameEncoder(codec))  # nothing left to do, so no frames are needed
    assert LatentSet(small.folder, small.shards, encoder_key(codec)).shape == (3, 8, 2, 2)
    with pytest.raises(InputError, match="keeps latents only"):
        small.frames(0)


def test_neighbouring_frames_for_the_codec(tmp_path: Path) -> None:
    config = LibraryConfig(count=2, height=32, width=32, latent_frames=3, contiguous=True)
    neighbours = render_library(tmp_path / "codec", config)
    for clip in range(2):
        start = int(neighbours.positions_NT[clip, 0])
        assert neighbours.positions_NT[clip].tolist() == [start, start + 1, start + 2]
        frames = [list(range(4 * start, 4 * start + 9))]
        again = render([neighbours.scene(clip)], height=32, width=32, frames=frames).rgb_BFHW3[0].numpy()
        assert np.array_equal(again, neighbours.frames(clip))
