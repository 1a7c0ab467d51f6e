"""Real H.264 there and back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter

from kinora.core.clip import Clip
from kinora.core.errors import MediaError, OutputError
from kinora.media.film import read_film, read_film_recipe, write_film
from kinora.media.h264 import as_yuv
from kinora.media.recipe import Recipe

FullDisk = Callable[[int], AbstractContextManager[None]]


def rolling_ball(frames: int = 17, height: int = 64, width: int = 96, frame_rate: float = 16.0) -> Clip:
    """A red ball rolling over a gradient."""
    y_HW, x_HW = np.mgrid[:height, :width]
    frames_FHWC = np.zeros((frames, height, width, 3), dtype=np.uint8)
    frames_FHWC[..., 1] = y_HW * 255 // height
    frames_FHWC[..., 2] = 90
    for index, frame_HWC in enumerate(frames_FHWC):
        frame_HWC[(x_HW - 4 * index) ** 2 + (y_HW - height // 2) ** 2 < 120] = (230, 20, 20)
    return Clip(frames_FHWC=frames_FHWC, frame_rate=frame_rate)


def noise(frames: int = 17, size: int = 128) -> Clip:
    """What no encoder can make small."""
    pixels = np.random.default_rng(3).integers(0, 256, (frames, size, size, 3), dtype=np.uint8)
    return Clip(frames_FHWC=pixels, frame_rate=16.0)


def test_frames_rate_and_colours_come_back(tmp_path: Path) -> None:
    clip = rolling_ball()
    write_film(tmp_path / "a.mp4", clip)
    back = read_film(tmp_path / "a.mp4")
    assert (back.shape, back.frame_rate) == (clip.shape, 16.0)
    error = back.frames_FHWC.astype(int) - clip.frames_FHWC.astype(int)
    assert np.abs(error).mean() < 3.0
    # A wrong colour matrix would tint the plain regions.
    assert np.abs(error[:, :8, 80:].mean(axis=(0, 1, 2))).max() < 2.0


def test_the_file_plays_in_a_browser(tmp_path: Path, recipe: Recipe) -> None:
    write_film(tmp_path / "a.mp4", rolling_ball(), recipe=recipe)
    content = (tmp_path / "a.mp4").read_bytes()
    assert 0 < content.find(b"moov") < content.find(b"mdat"), "the index must stand in front"
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.codec_context.colorspace == 1, "BT.709"
        assert container.metadata["title"] == recipe.request.prompt


@pytest.mark.parametrize(("height", "width"), [(64, 64), (66, 98), (480, 832)])
def test_one_reformatter_for_all_frames_changes_none(height: int, width: int) -> None:
    shared = VideoReformatter()
    for rgb_HW3 in np.random.default_rng(5).integers(0, 256, (4, height, width, 3), dtype=np.uint8):
        alone = av.VideoFrame.from_ndarray(rgb_HW3, format="rgb24")
        alone = alone.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
        together = as_yuv(rgb_HW3, shared)
        assert np.array_equal(together.to_ndarray(), alone.to_ndarray())
        assert (together.colorspace, together.color_range) == (alone.colorspace, alone.color_range)


@pytest.mark.parametrize("frame_rate", [8.0, 16.0, 24000 / 1001])
def test_length_and_rate_are_exact(tmp_path: Path, frame_rate: float) -> None:
    write_film(tmp_path / "a.mp4", rolling_ball(frames=5, frame_rate=frame_rate))
    assert read_film(tmp_path / "a.mp4").frame_rate == pytest.approx(frame_rate, rel=1e-6)
    assert read_film(tmp_path / "a.mp4").shape.frames == 5


def test_the_recipe_comes_back_however_long(tmp_path: Path, recipe: Recipe) -> None:
    long = replace(recipe, request=replace(recipe.request, prompt="长" * 500, negative="x" * 500))
    write_film(tmp_path / "a.mp4", rolling_ball(), recipe=long)
    assert read_film_recipe(tmp_path / "a.mp4") == long


def test_same_clip_and_recipe_same_bytes(tmp_path: Path, recipe: Recipe) -> None:
    for name in ("a.mp4", "b.mp4"):
        write_film(tmp_path / name, rolling_ball(), recipe=recipe)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_a_single_frame_is_a_film_too(tmp_path: Path) -> None:
    write_film(tmp_path / "a.mp4", rolling_ball(frames=1))
    assert read_film(tmp_path / "a.mp4").shape.frames == 1


def test_odd_sizes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="even"):
        write_film(tmp_path / "a.mp4", rolling_ball(height=63))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing(tmp_path: Path, full_disk: FullDisk) -> None:
    with full_disk(20_000), pytest.raises(OutputError, match="disk is full"):
        write_film(tmp_path / "a.mp4", noise())
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_old_film(tmp_path: Path, full_disk: FullDisk) -> None:
    write_film(tmp_path / "a.mp4", rolling_ball())
    before = (tmp_path / "a.mp4").read_bytes()
    with full_disk(20_000), pytest.raises(OutputError):
        write_film(tmp_path / "a.mp4", noise(), force=True)
    assert (tmp_path / "a.mp4").read_bytes() == before


def test_ctrl_c_while_encoding_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("kinora.media.h264.count_frames", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_film(tmp_path / "a.mp4", rolling_ball())
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_no_films_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"not a film at all")
    for path in (tmp_path / "a.mp4", tmp_path / "missing.mp4"):
        for read in (read_film, read_film_recipe):
            with pytest.raises(MediaError, match=path.name):
                read(path)


def test_half_a_film_is_refused(tmp_path: Path) -> None:
    write_film(tmp_path / "a.mp4", noise())
    content = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "half.mp4").write_bytes(content[:400])
    with pytest.raises(MediaError, match=r"half\.mp4"):
        read_film(tmp_path / "half.mp4")


def test_a_film_without_recipe_says_so(tmp_path: Path) -> None:
    write_film(tmp_path / "a.mp4", rolling_ball())
    with pytest.raises(MediaError, match="no recipe"):
        read_film_recipe(tmp_path / "a.mp4")
