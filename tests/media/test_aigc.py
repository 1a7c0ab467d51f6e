"""The AIGC field: written while muxing or afterwards, beside what files carried before, and read back."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from kinora.core.clip import Clip
from kinora.core.errors import MediaError, OutputError
from kinora.media.aigc import Aigc, aigc_field, read_aigc, write_aigc
from kinora.media.chunks import ChunkedFilm
from kinora.media.film import read_film, read_film_recipe, write_film
from kinora.media.picture import read_picture, read_picture_recipe, write_picture
from kinora.media.recipe import Recipe

FIELD = Aigc(producer='001 "Kinora" <北京> & Söhne', produce_id="192837465564738291", propagator="P", reserved_1="</x>")
NAMES = ["Label", "ContentProducer", "ProduceID", "ReservedCode1", "ContentPropagator", "PropagateID", "ReservedCode2"]


def frames(count: int = 10) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 32, 48, 3), dtype=np.uint8)


@pytest.fixture
def film(tmp_path: Path, recipe: Recipe) -> Path:
    path = tmp_path / "film.mp4"
    write_film(path, Clip(frames_FHWC=frames(), frame_rate=23.976), recipe=recipe)
    return path


@pytest.fixture
def picture(tmp_path: Path, recipe: Recipe) -> Path:
    path = tmp_path / "picture.png"
    write_picture(path, frames(1)[0], recipe=recipe, source="a thumbnail")
    return path


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    exif = Image.Exif()
    exif[0x0131] = "a camera"
    Image.fromarray(frames(1)[0]).save(path, exif=exif)
    return path


def packets(path: Path) -> list[tuple[object, ...]]:
    with av.open(str(path)) as container:
        return [
            (one.stream.type, bytes(one), one.pts, one.dts, one.duration, one.time_base)
            for one in container.demux()
            if one.size
        ]


def test_the_field_is_the_standard_s() -> None:
    record = json.loads(aigc_field("Kinora", "7", propagate_id="8"))
    assert list(record) == NAMES
    assert record == dict.fromkeys(NAMES, "") | {
        "Label": "1", "ContentProducer": "Kinora", "ProduceID": "7", "PropagateID": "8",
    }  # fmt: skip
    assert FIELD.to_json().isascii()
    assert Aigc.from_json(FIELD.to_json()) == FIELD
    assert Aigc.from_json('{"Label": 2}') == Aigc(label="2", producer="", produce_id="")


@pytest.mark.parametrize("text", ["", "no", "[1]", '"text"', "{"])
def test_a_field_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(MediaError, match="no JSON object"):
        Aigc.from_json(text)


@pytest.mark.parametrize("kind", ["film", "picture", "photo"])
def test_it_is_written_into_finished_files(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    path: Path = request.getfixturevalue(kind)
    into = tmp_path / f"out{path.suffix}"
    assert read_aigc(path) is None
    write_aigc(path, into, FIELD)
    assert read_aigc(into) == FIELD
    assert read_aigc(path) is None
    write_aigc(path, path, FIELD)
    assert path.read_bytes() == into.read_bytes()


def test_a_film_keeps_its_packets_and_its_recipe(film: Path, tmp_path: Path, recipe: Recipe) -> None:
    into = tmp_path / "out.mp4"
    write_aigc(film, into, FIELD)
    assert packets(into) == packets(film)
    assert read_film_recipe(into) == recipe
    old, new = read_film(film), read_film(into)
    np.testing.assert_array_equal(old.frames_FHWC, new.frames_FHWC)
    assert old.frame_rate == new.frame_rate
    content = into.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # plays while it loads
    with av.open(str(into)) as container:
        assert container.metadata["title"] == recipe.request.prompt
        assert container.metadata["AIGC"] == FIELD.to_json()


def test_a_film_keeps_its_sound(tmp_path: Path) -> None:
    path = tmp_path / "loud.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 48, 32, "yuv420p"
        audio = container.add_stream("aac", rate=16000, layout="mono")
        for index, rgb_HW3 in enumerate(frames()):
            picture = av.VideoFrame.from_ndarray(rgb_HW3, format="rgb24")
            picture.pts = index
            container.mux(video.encode(picture))
        sound = np.random.default_rng(1).integers(-9000, 9000, (1, 16000)).astype(np.float32) / 32768
        for first in range(0, 16000, 1024):
            piece = av.AudioFrame.from_ndarray(sound[:, first : first + 1024], format="fltp", layout="mono")
            piece.sample_rate, piece.pts = 16000, first
            container.mux(audio.encode(piece))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    into = tmp_path / "out.mp4"
    write_aigc(path, into, FIELD)
    assert sorted(packets(into)) == sorted(packets(path))
    assert {kind for kind, *_ in packets(into)} == {"audio", "video"}
    assert read_aigc(into) == FIELD


def test_pictures_keep_pixels_and_notes(picture: Path, photo: Path, tmp_path: Path, recipe: Recipe) -> None:
    for path in (picture, photo):
        into = tmp_path / f"out{path.suffix}"
        write_aigc(path, into, FIELD)
        np.testing.assert_array_equal(read_picture(into), read_picture(path))
    assert read_picture_recipe(tmp_path / "out.png") == recipe
    with Image.open(tmp_path / "out.png") as image:
        image.load()
        assert image.info["Source"] == "a thumbnail"
        assert image.info["AIGC"] == FIELD.to_json()
        assert "TC260:AIGC" in image.info["XML:com.adobe.xmp"]
    with Image.open(tmp_path / "out.jpg") as image:
        assert b"TC260:AIGC" in image.info["xmp"]
        assert "exif" in image.info


def test_it_is_written_while_muxing(tmp_path: Path, recipe: Recipe) -> None:
    path = tmp_path / "film.mp4"
    with ChunkedFilm(path, frame_rate=8.0, recipe=recipe, notes=FIELD.film_notes) as film:
        film.add(frames(5), b"1")
        film.add(frames(3), b"2")
        film.finish()
    assert read_aigc(path) == FIELD
    assert read_film_recipe(path) == recipe
    write_picture(tmp_path / "picture.png", frames(1)[0], recipe=recipe, notes=FIELD.picture_notes)
    assert read_aigc(tmp_path / "picture.png") == FIELD
    assert read_picture_recipe(tmp_path / "picture.png") == recipe


def test_notes_change_neither_frames_nor_what_can_be_resumed(tmp_path: Path, recipe: Recipe) -> None:
    plain, noted = tmp_path / "plain.mp4", tmp_path / "noted.mp4"
    with ChunkedFilm(plain, frame_rate=8.0, recipe=recipe) as film:
        film.add(frames(5), b"1")
        film.finish()
    with ChunkedFilm(noted, frame_rate=8.0, recipe=recipe, notes=Aigc(producer="K", produce_id="1").film_notes) as film:
        film.add(frames(5), b"1")
    with ChunkedFilm(noted, frame_rate=8.0, recipe=recipe, notes=FIELD.film_notes) as film:
        assert film.resume() == b"1"
        film.finish()
    assert packets(plain) == packets(noted)
    assert read_aigc(noted) == FIELD
    assert b"mdta" not in plain.read_bytes()  # without notes, the boxes that it always had


def test_fields_of_others_are_read(tmp_path: Path) -> None:
    record = json.dumps({"Label": "1", "ContentProducer": "他人", "ProduceID": "x"}, ensure_ascii=False)
    packet = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description><TC260:AIGC>'
        + record.replace('"', "&quot;")
        + "</TC260:AIGC></rdf:Description></rdf:RDF></x:xmpmeta>"
    )
    image = Image.fromarray(frames(1)[0])
    image.save(tmp_path / "a.jpg", xmp=packet.encode())
    notes = PngInfo()
    notes.add_itxt("XML:com.adobe.xmp", packet, zip=True)
    image.save(tmp_path / "b.png", pnginfo=notes)
    notes = PngInfo()
    notes.add_text("AIGC", json.dumps(json.loads(record)), zip=True)
    image.save(tmp_path / "c.png", pnginfo=notes)
    for name in ("a.jpg", "b.png", "c.png"):
        assert read_aigc(tmp_path / name) == Aigc(producer="他人", produce_id="x")
    for name in ("a.jpg", "b.png"):
        with pytest.raises(MediaError, match="XMP already"):
            write_aigc(tmp_path / name, tmp_path / f"o-{name}", FIELD)


def test_other_files_are_refused(tmp_path: Path, film: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no film")
    (tmp_path / "b.mp4").write_bytes(film.read_bytes()[:200])
    (tmp_path / "c.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(30))
    with pytest.raises(MediaError, match="no MP4, PNG or JPEG"):
        write_aigc(tmp_path / "a.mp4", tmp_path / "out.mp4", FIELD)
    with pytest.raises(MediaError, match="no frames"):
        write_aigc(tmp_path / "b.mp4", tmp_path / "out.mp4", FIELD)
    (tmp_path / "d.mp4").write_bytes(film.read_bytes()[:-5000])
    with pytest.raises((MediaError, OutputError)):
        write_aigc(tmp_path / "d.mp4", tmp_path / "out.mp4", FIELD)
    with pytest.raises(MediaError):
        read_aigc(tmp_path / "c.png")
    with pytest.raises(MediaError, match="cannot be read"):
        read_aigc(tmp_path / "absent.mp4")
    assert not list(tmp_path.glob("out*"))
    assert not list(tmp_path.glob(".kinora*"))


@pytest.mark.parametrize("kind", ["film", "picture"])
def test_a_full_disk_leaves_what_was_there(
    kind: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    full_disk: Callable[[int], AbstractContextManager[None]],
) -> None:
    path: Path = request.getfixturevalue(kind)
    before = path.read_bytes()
    with full_disk(len(before) // 2), pytest.raises((OutputError, MediaError)):
        write_aigc(path, path, FIELD)
    assert path.read_bytes() == before
    assert not list(tmp_path.glob(".kinora*"))
