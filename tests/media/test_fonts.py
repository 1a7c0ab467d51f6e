"""Fonts: the shipped one has what it says, the system's are found, damaged ones do no harm."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest
from PIL import ImageFont

from kinora.core.errors import MediaError
from kinora.media.fonts import SHIPPED, find_font
from kinora.media.fonts.cmap import faces_of

RARE = "龘"
"""In no set of common characters."""


def with_cmap(font: bytes, cmap: bytes) -> bytes:
    """The font with another cmap table."""
    count = struct.unpack_from(">H", font, 4)[0]
    changed = bytearray(font + bytes(-len(font) % 4))
    for index in range(count):
        place = 12 + 16 * index
        if changed[place : place + 4] == b"cmap":
            struct.pack_into(">II", changed, place + 8, len(changed), len(cmap))
    return bytes(changed) + cmap


def mapping_12(*characters: str) -> bytes:
    """A cmap of format 12 that gives each character the glyph 5."""
    groups = b"".join(struct.pack(">III", ord(one), ord(one), 5) for one in sorted(characters))
    table = struct.pack(">HHIII", 12, 0, 16 + len(groups), 0, len(characters)) + groups
    return struct.pack(">HHHHI", 0, 1, 3, 10, 12) + table


def collection(font: bytes) -> bytes:
    """A .ttc with this font twice."""
    head = b"ttcf" + struct.pack(">III", 0x10000, 2, 20) + struct.pack(">I", 20)
    moved = bytearray(font)
    for index in range(struct.unpack_from(">H", font, 4)[0]):
        place = 12 + 16 * index + 8
        struct.pack_into(">I", moved, place, struct.unpack_from(">I", font, place)[0] + len(head))
    return head + bytes(moved)


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of system fonts."""
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "none"))
    monkeypatch.setenv("XDG_DATA_DIRS", str(tmp_path))
    folder = tmp_path / "fonts" / "deep"
    folder.mkdir(parents=True)
    find_font.cache_clear()
    return folder


def test_the_shipped_font_has_every_character_it_names() -> None:
    characters = (SHIPPED.parent / "characters.txt").read_text(encoding="utf-8").strip("\n")
    (face,) = faces_of(SHIPPED)
    assert face.missing(characters) == ""
    assert face.missing("AI生成 AI generated 人工智能生成合成") == ""
    assert face.missing("ab龘c龘") == RARE
    font = ImageFont.truetype(face.path, 24)
    absent = bytes(font.getmask(RARE))
    assert not [one for one in characters if not one.isspace() and bytes(font.getmask(one)) == absent]


def test_it_is_small_and_carries_its_licence() -> None:
    assert SHIPPED.stat().st_size < 300_000
    licence = (SHIPPED.parent / "OFL.txt").read_text(encoding="utf-8")
    assert "SIL OPEN FONT LICENSE Version 1.1" in licence
    assert "Adobe" in licence
    assert ImageFont.truetype(SHIPPED).getname() == ("Kinora Label Sans", "Bold")


def test_the_shipped_font_comes_first(system: Path) -> None:
    (system / "other.otf").write_bytes(SHIPPED.read_bytes())
    assert find_font("AI生成").path == SHIPPED


def test_the_system_s_fonts_are_searched_for_the_rest(system: Path) -> None:
    font = SHIPPED.read_bytes()
    (system / "a-sans-without.otf").write_bytes(font)
    (system / "b-sans-italic.otf").write_bytes(with_cmap(font, mapping_12(RARE, "A")))
    (system / "c-serif.otf").write_bytes(with_cmap(font, mapping_12(RARE, "A")))
    (system / "broken.ttf").write_bytes(b"\0\1\0\0")
    (system / "notes.txt").write_text("no font")
    found = find_font(f"{RARE} A")
    assert found.path.name == "c-serif.otf"
    assert ImageFont.truetype(found.path, 20, index=found.index).getmask(RARE).getbbox()


def test_faces_of_a_collection_are_found(system: Path) -> None:
    (system / "two.ttc").write_bytes(collection(with_cmap(SHIPPED.read_bytes(), mapping_12(RARE))))
    found = find_font(RARE)
    assert (found.path.name, found.index) == ("two.ttc", 0)
    assert len(faces_of(found.path)) == 2
    assert ImageFont.truetype(found.path, 20, index=1).getmask(RARE).getbbox()


def test_missing_characters_are_named_with_a_remedy(system: Path) -> None:
    with pytest.raises(MediaError, match=r"lacks '龘𠮷'.*Install a font") as caught:
        find_font("AI龘生𠮷龘")
    assert "AI" in str(caught.value)


def test_damaged_fonts_have_no_faces_or_fewer_characters(tmp_path: Path) -> None:
    font, chance = SHIPPED.read_bytes(), random.Random(0)
    path = tmp_path / "damaged.otf"
    for length in [*range(0, 400, 7), *range(400, len(font), 9973)]:
        path.write_bytes(font[:length])
        faces_of(path)
    for _ in range(300):
        changed = bytearray(font)
        for _ in range(8):
            changed[chance.randrange(400)] = chance.randrange(256)
        path.write_bytes(changed)
        for face in faces_of(path):
            face.missing("AI生成")
    assert faces_of(tmp_path / "absent.otf") == []
