"""The visible label: where, when, how large, and legible on any ground."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest

from kinora.core.errors import InputError, MediaError, ShapeError
from kinora.media.label import Label, draw_label, draw_label_on_picture, label_for, labelled_frames, tile_for

SIZES = [(64, 64), (256, 256), (96, 320), (320, 96), (272, 480), (480, 832), (720, 1280), (1280, 720)]


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)


def grey(value: int, *shape: int) -> np.ndarray:
    return np.full((*shape, 3), value, np.uint8)


@pytest.mark.parametrize(
    ("language", "text"),
    [("zh", "AI生成"), ("zh-CN", "AI生成"), ("ZH_tw", "AI生成"), ("en", "AI generated"), ("", "AI generated")],
)
def test_the_label_speaks_the_reader_s_language(language: str, text: str) -> None:
    assert label_for(language).text == text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"seconds": 1.99}, "2 s"),
        ({"seconds": float("nan")}, "2 s"),
        ({"seconds": float("inf")}, "2 s"),
        ({"share": 0.049}, "5%"),
        ({"share": 0.3}, "25%"),
        ({"text": "  "}, "line of text"),
        ({"text": "AI\ngenerated"}, "line of text"),
    ],
)
def test_less_than_the_rules_ask_for_is_refused(fields: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Label(**{"text": "AI", **fields})


@pytest.mark.parametrize(
    ("rate", "frames"), [(8, 16), (16, 32), (23.976, 48), (24.000000001, 48), (29.97, 60), (0.3, 1)]
)
def test_two_seconds_are_rounded_up_to_whole_frames(rate: float, frames: int) -> None:
    assert labelled_frames(rate, label_for("zh")) == frames


def carries(frames: np.ndarray, ground: np.ndarray) -> list[bool]:
    return [bool((one != other).any()) for one, other in zip(frames, ground, strict=True)]


def test_only_the_first_seconds_carry_it() -> None:
    ground = noise(24, 64, 64)
    assert carries(draw_label(ground, 0, 8.0, label_for("zh")), ground) == [True] * 16 + [False] * 8
    longer = Label(text="AI", seconds=2.6)
    assert sum(carries(draw_label(ground, 0, 8.0, longer), ground)) == 21
    throughout = Label(text="AI", throughout=True)
    assert all(carries(draw_label(ground, 1000, 8.0, throughout), ground))


@pytest.mark.parametrize("piece", [1, 5, 16, 17, 24])
def test_pieces_are_drawn_as_the_whole(piece: int) -> None:
    ground, label = noise(24, 64, 96), label_for("en")
    pieces = [draw_label(ground[first : first + piece], first, 8.0, label) for first in range(0, 24, piece)]
    np.testing.assert_array_equal(np.concatenate(pieces), draw_label(ground, 0, 8.0, label))


def test_the_given_frames_stay_as_they_are() -> None:
    ground = noise(4, 64, 64)
    before = ground.copy()
    ground.setflags(write=False)
    drawn = draw_label(ground, 0, 8.0, label_for("zh"))
    np.testing.assert_array_equal(ground, before)
    assert drawn.flags.writeable
    assert draw_label(ground, 16, 8.0, label_for("zh")) is ground
    assert draw_label(ground[:0], 0, 8.0, label_for("zh")).shape == (0, 64, 64, 3)


@pytest.mark.parametrize("size_HW", SIZES)
@pytest.mark.parametrize("share", [0.05, 0.08])
def test_letters_are_as_high_as_owed(size_HW: tuple[int, int], share: float) -> None:
    drawn_HW3 = draw_label_on_picture(grey(0, *size_HW), Label(text="H", share=share))
    height = int((drawn_HW3.max(axis=(1, 2)) >= 200).sum())
    assert height >= np.ceil(share * min(size_HW))
    assert height <= max(14, 1.2 * share * min(size_HW) + 2)  # and no bill-board


@pytest.mark.parametrize("size_HW", SIZES)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_label_stays_in_its_corner(size_HW: tuple[int, int], language: str) -> None:
    ground_HW3 = noise(*size_HW)
    changed_HW = (draw_label_on_picture(ground_HW3, label_for(language)) != ground_HW3).any(axis=2)
    rows, columns = np.flatnonzero(changed_HW.any(axis=1)), np.flatnonzero(changed_HW.any(axis=0))
    margin = max(2, round(0.02 * min(size_HW)))
    assert (rows[0], columns[0]) == (margin, margin)
    assert rows[-1] < size_HW[0] - margin
    assert columns[-1] < size_HW[1] - margin
    assert changed_HW.mean() < (0.45 if size_HW == (64, 64) else 0.3)


def luminance(values: np.ndarray) -> np.ndarray:
    """Relative, of sRGB greys (WCAG 2.2)."""
    part = values / 255
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("value", [0, 60, 128, 200, 255])
def test_text_stands_out_from_any_ground(value: int) -> None:
    drawn_HW3 = draw_label_on_picture(grey(value, 256, 256), label_for("zh"))
    tile = tile_for("AI生成", 0.05, 256, 256)
    height, width, _ = tile.keep_HW3.shape
    plate_HW = drawn_HW3[tile.top : tile.top + height, tile.left : tile.left + width, 0]
    inside = plate_HW[3:-3, 3:-3]
    text, plate = luminance(inside.max()), luminance(inside.min())
    assert (text + 0.05) / (plate + 0.05) >= 7  # WCAG's AAA
    assert (inside >= 250).sum() > 50


def test_no_value_overflows() -> None:
    white, black = grey(255, 1, 256, 256), grey(0, 1, 256, 256)
    for ground in (white, black):
        drawn = draw_label(ground, 0, 8.0, label_for("zh"))
        tile = tile_for("AI生成", 0.05, 256, 256)
        exact = ground.astype(float)
        height, width, _ = tile.keep_HW3.shape
        part = exact[:, tile.top : tile.top + height, tile.left : tile.left + width]
        part[...] = part * (tile.keep_HW3 / 256) + tile.add_HW3 / 256
        assert np.abs(drawn - exact).max() <= 1


def test_a_narrow_picture_wraps_and_shrinks_but_not_below_five_percent() -> None:
    for width in (40, 64, 96):
        tile = tile_for("AI generated", 0.05, 720, width)
        height, wide, _ = tile.keep_HW3.shape
        assert wide + 2 * tile.left <= width
        assert height > wide / 4  # more than one line
        drawn_HW3 = draw_label_on_picture(grey(0, 720, width), Label(text="H"))
        assert (drawn_HW3.max(axis=(1, 2)) >= 200).sum() >= np.ceil(0.05 * width)


def test_every_character_is_drawn_when_lines_are_broken() -> None:
    from kinora.media.label import broken, font_of

    text = "本内容由 AI 生成，（仅供参考）： 第2版·test ﹏ ～"
    font = font_of("AI", 12)
    for width in (60, 100, 1000):
        lines = broken(text, font, width)
        assert lines is not None
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
        assert all(font.getbbox(line, anchor="ls")[2] <= width for line in lines)


def test_a_label_that_cannot_fit_says_so() -> None:
    with pytest.raises(ShapeError, match=r"does not fit into a picture of 64 x 64.*13 pixels high.*Shorten"):
        draw_label_on_picture(grey(0, 64, 64), Label(text="generated by a machine", share=0.2))
    with pytest.raises(ShapeError, match="larger"):
        draw_label_on_picture(grey(0, 8, 8), label_for("en"))


def test_unknown_characters_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("XDG_DATA_DIRS", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(MediaError, match="the label '龘生成'; the shipped one lacks '龘'"):
        draw_label_on_picture(grey(0, 64, 64), Label(text="龘生成"))


def test_a_font_without_a_capital_is_measured_by_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    from kinora.media.fonts.cmap import Face
    from kinora.media.label import font_of, ink_height

    monkeypatch.setattr(Face, "has", lambda self, point: point != ord("H"))
    font_of.cache_clear()
    font = font_of("国", 20)
    assert 20 <= ink_height(font, "国") <= 21
    assert ink_height(font, "H") < 20
    font_of.cache_clear()


def test_a_frame_costs_next_to_nothing() -> None:
    frames, label = noise(1, 256, 256), label_for("zh")
    took = []
    for _ in range(300):
        begin = time.perf_counter()
        draw_label(frames, 0, 16.0, label)
        took.append(time.perf_counter() - begin)
    assert min(took) < 1e-4  # 0.02 ms on the machine where this was written


def test_labels_need_numpy_and_pillow_alone() -> None:
    code = (
        "import sys; from kinora.media.label import *; import numpy as np;"
        "draw_label(np.zeros((1, 64, 64, 3), np.uint8), 0, 8.0, label_for('zh'));"
        "assert not {'torch', 'av', 'c2pa', 'cryptography', 'pydantic'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
