"""Pictures of every kind, with known pixels."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from kinora.core.errors import MediaError
from kinora.media.still import read_still

X_HW, Y_HW = np.meshgrid(np.arange(32), np.arange(24))
COLOURS_HW3 = np.stack([X_HW * 8, Y_HW * 10, np.full_like(X_HW, 90)], axis=-1).astype(np.uint8)
"""Every corner differs, so that no turn or mirror goes unseen."""


def far(path: Path, expected_HW3: np.ndarray) -> int:
    """The largest difference between what is read and what is expected."""
    rgb_HW3 = read_still(path).rgb_HW3
    assert rgb_HW3.shape == expected_HW3.shape
    return int(np.abs(rgb_HW3.astype(int) - expected_HW3).max())


def test_the_name_is_what_the_user_gave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(COLOURS_HW3).save(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    assert read_still(Path("a.png")).name == "a.png"
    assert far(Path("a.png"), COLOURS_HW3) == 0
    assert read_still(Path("a.png")).digest == read_still(tmp_path / "a.png").digest


STORED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}
"""How a camera stores an upright picture under each orientation (CIPA DC-008: where row 0 and column 0 are shown)."""


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_comes_out_upright(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored_HW3 = np.ascontiguousarray(STORED[orientation](COLOURS_HW3))
    Image.fromarray(stored_HW3).save(tmp_path / "a.png", exif=exif)
    assert far(tmp_path / "a.png", COLOURS_HW3) == 0


def test_broken_exif_is_no_reason_to_refuse(tmp_path: Path) -> None:
    Image.fromarray(COLOURS_HW3).save(tmp_path / "a.jpg", exif=b"Exif\x00\x00MM\x00\x2a\xff\xff", quality=95)
    assert far(tmp_path / "a.jpg", COLOURS_HW3) < 40


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_greys_are_scaled_and_not_clipped(tmp_path: Path, suffix: str) -> None:
    grey_HW = (X_HW * 2114).astype(np.uint16)
    Image.fromarray(grey_HW).save(tmp_path / f"a{suffix}")
    expected_HW3 = np.repeat(np.rint(grey_HW / 257)[..., None], 3, axis=-1)
    assert far(tmp_path / f"a{suffix}", expected_HW3) == 0


def test_a_turned_sixteen_bit_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray((X_HW * 2000).astype(np.uint16)).save(tmp_path / "a.png", exif=exif)
    rgb_HW3 = read_still(tmp_path / "a.png").rgb_HW3
    assert rgb_HW3.shape == (32, 24, 3)
    assert (rgb_HW3[:, 0, 0] == np.rint(np.arange(32) * 2000 / 257)).all()


def png_of(width: int, height: int, depth: int, kind: int, lines: bytes) -> bytes:
    """A PNG put together by hand (PNG, third edition, 11.2), for what Pillow does not write."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def test_sixteen_bit_colours_are_scaled(tmp_path: Path) -> None:
    deep_HW3 = (COLOURS_HW3.astype(np.uint16) << 8) | 0x7F
    lines = b"".join(b"\x00" + row.astype(">u2").tobytes() for row in deep_HW3)
    (tmp_path / "a.png").write_bytes(png_of(32, 24, 16, 2, lines))
    assert far(tmp_path / "a.png", COLOURS_HW3) <= 1


def test_floats_go_from_black_to_white(tmp_path: Path) -> None:
    Image.fromarray((X_HW / 31).astype(np.float32)).save(tmp_path / "a.tif")
    assert far(tmp_path / "a.tif", np.repeat(np.rint(X_HW / 31 * 255)[..., None], 3, axis=-1)) == 0


def test_print_colours_are_not_inverted(tmp_path: Path) -> None:
    """JPEG keeps CMYK inverted, with Adobe's mark; read as it lies, red paper would be cyan."""
    for name, cmyk in (("red", (0, 255, 255, 0)), ("white", (0, 0, 0, 0)), ("black", (0, 0, 0, 255))):
        Image.new("CMYK", (32, 32), cmyk).save(tmp_path / f"{name}.jpg", quality=95)
        assert b"Adobe" in (tmp_path / f"{name}.jpg").read_bytes()
    for name, rgb in (("red", (255, 0, 0)), ("white", (255, 255, 255)), ("black", (0, 0, 0))):
        assert far(tmp_path / f"{name}.jpg", np.full((32, 32, 3), rgb)) <= 3


@pytest.mark.parametrize("mode", ["P", "L", "1"])
def test_palettes_and_greys(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(COLOURS_HW3).convert(mode)
    image.save(tmp_path / "a.png")
    assert far(tmp_path / "a.png", np.asarray(image.convert("RGB"))) == 0


@pytest.mark.parametrize(("suffix", "options"), [(".gif", {}), (".webp", {"lossless": True}), (".png", {})])
def test_of_an_animation_the_first_frame(tmp_path: Path, suffix: str, options: dict[str, bool]) -> None:
    first, second = Image.new("RGB", (32, 24), (200, 30, 40)), Image.new("RGB", (32, 24), (0, 0, 255))
    first.save(tmp_path / f"a{suffix}", save_all=True, append_images=[second], duration=100, **options)
    with Image.open(tmp_path / f"a{suffix}") as written:
        assert written.n_frames == 2
    assert far(tmp_path / f"a{suffix}", np.full((24, 32, 3), (200, 30, 40))) == 0


def test_transparency_lies_on_white(tmp_path: Path) -> None:
    alpha_HW = np.where(X_HW < 8, 0, np.where(X_HW < 16, 128, 255)).astype(np.uint8)
    Image.fromarray(np.dstack([COLOURS_HW3, alpha_HW])).save(tmp_path / "a.png")
    share = alpha_HW[..., None] / 255
    assert far(tmp_path / "a.png", np.rint(COLOURS_HW3 * share + 255 * (1 - share))) <= 1
    Image.new("LA", (32, 24), (10, 128)).save(tmp_path / "grey.png")
    assert far(tmp_path / "grey.png", np.full((24, 32, 3), round(10 * 128 / 255 + 127))) <= 1


def test_a_transparent_palette_entry_is_white(tmp_path: Path) -> None:
    image = Image.new("P", (32, 24), 0)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.paste(1, (0, 0, 16, 24))
    image.save(tmp_path / "a.gif", transparency=0)
    rgb_HW3 = read_still(tmp_path / "a.gif").rgb_HW3
    assert rgb_HW3[5, 5].tolist() == [200, 100, 50]
    assert rgb_HW3[5, 25].tolist() == [255, 255, 255]


def profile_of(name: str) -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()


def display_p3() -> bytes:
    """Pillow's sRGB profile with Display P3's red, green and blue (their XYZ under D50, ICC registry) put in."""
    profile = bytearray(profile_of("sRGB"))
    for tag, xyz in (
        (b"rXYZ", (0.51512, 0.24120, -0.00105)),
        (b"gXYZ", (0.29198, 0.69225, 0.04189)),
        (b"bXYZ", (0.15710, 0.06657, 0.78407)),
    ):
        entry = profile.index(tag)
        offset = int.from_bytes(profile[entry + 4 : entry + 8], "big") + 8
        for index, value in enumerate(xyz):
            number = round(value * 65536) & 0xFFFFFFFF
            profile[offset + 4 * index : offset + 4 * index + 4] = number.to_bytes(4, "big")
    # The description would make it pass for sRGB.
    start = profile.index("sRGB".encode("utf-16-be"))
    profile[start : start + 8] = "P3 x".encode("utf-16-be")
    return bytes(profile)


def test_a_wide_gamut_is_converted(tmp_path: Path) -> None:
    """P3's (200, 100, 50) in sRGB, by the two colour spaces' matrices: (214, 97, 32), to a level or two."""
    Image.new("RGB", (32, 24), (200, 100, 50)).save(tmp_path / "a.png", icc_profile=display_p3())
    linear = lambda v: np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)  # noqa: E731
    to_srgb = np.array([[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]])
    values = to_srgb @ linear(np.array([200, 100, 50]) / 255)
    expected = 255 * (1.055 * values ** (1 / 2.4) - 0.055)
    assert far(tmp_path / "a.png", np.broadcast_to(np.rint(expected).astype(int), (24, 32, 3))) <= 2


def test_an_srgb_profile_changes_nothing(tmp_path: Path) -> None:
    Image.fromarray(COLOURS_HW3).save(tmp_path / "a.png", icc_profile=profile_of("sRGB"))
    assert far(tmp_path / "a.png", COLOURS_HW3) == 0


def test_a_damaged_profile_is_passed_over(tmp_path: Path) -> None:
    Image.fromarray(COLOURS_HW3).save(tmp_path / "a.png", icc_profile=b"nothing of the kind")
    assert far(tmp_path / "a.png", COLOURS_HW3) == 0


def test_a_profile_of_another_kind_is_passed_over(tmp_path: Path) -> None:
    Image.fromarray(COLOURS_HW3).convert("L").save(tmp_path / "a.png", icc_profile=display_p3())
    assert far(tmp_path / "a.png", np.asarray(Image.fromarray(COLOURS_HW3).convert("L").convert("RGB"))) == 0


def test_too_small_and_too_large_say_what_can_be(tmp_path: Path) -> None:
    Image.new("RGB", (40, 15)).save(tmp_path / "small.png")
    with pytest.raises(MediaError, match=r"small\.png is 40 x 15 .* 16"):
        read_still(tmp_path / "small.png")
    for size, says in (((10_000, 6_000), "60 megapixels; at most 50"), ((20_000, 20_000), "at most 50")):
        (tmp_path / "large.png").write_bytes(png_of(*size, 8, 0, b""))
        with pytest.raises(MediaError, match=says):
            read_still(tmp_path / "large.png")


def test_what_is_damaged_is_named(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(tmp_path / "whole.png")
    content = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "half.png").write_bytes(content[: len(content) // 2])
    spoiled = bytearray(content)
    spoiled[200:260] = bytes(60)
    (tmp_path / "spoiled.png").write_bytes(spoiled)
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "phone.png").write_bytes(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic")
    for name in ("half", "spoiled", "empty", "missing"):
        with pytest.raises(MediaError, match=rf"{name}\.png"):
            read_still(tmp_path / f"{name}.png")
    with pytest.raises(MediaError, match="cannot be read"):
        read_still(tmp_path)
    with pytest.raises(MediaError, match="save it as PNG or JPEG"):
        read_still(tmp_path / "phone.png")
