"""C2PA credentials: what they say, that they hold, that any change shows, and that nobody outside is asked."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import c2pa
import numpy as np
import pytest
from PIL import Image

from kinora.core.clip import Clip
from kinora.core.errors import MediaError, OutputError
from kinora.media.aigc import Aigc, read_aigc, write_aigc
from kinora.media.credentials import Signer, read_credentials, statement
from kinora.media.film import read_film, read_film_recipe, write_film
from kinora.media.picture import read_picture, write_picture
from kinora.media.recipe import Recipe

FIELD = Aigc(producer="Kinora", produce_id="42")
KINDS = ["film.mp4", "picture.png", "photo.jpg"]
SOAK = Path(__file__).parents[2] / "benchmarks" / "soak_labels.py"


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return Signer.open(tmp_path_factory.mktemp("data") / "authority")


@pytest.fixture
def plain(tmp_path: Path, recipe: Recipe) -> Path:
    """A folder with a small file of each kind, not signed."""
    frames_FHWC = (np.indices((32, 32)).sum(0)[None, :, :, None] * 3 + np.arange(24)[:, None, None, None]).repeat(3, 3)
    frames_FHWC = frames_FHWC.astype(np.uint8)
    write_film(tmp_path / "film.mp4", Clip(frames_FHWC=frames_FHWC, frame_rate=16.0), recipe=recipe)
    write_picture(tmp_path / "picture.png", frames_FHWC[0], recipe=recipe)
    Image.fromarray(frames_FHWC[0]).save(tmp_path / "photo.jpg")
    return tmp_path


def signed(signer: Signer, path: Path) -> Path:
    into = path.with_name(f"signed-{path.name}")
    signer.sign(path, into, title='一个"球"', produce_id="192837465564738291", producer="工作室")
    return into


@pytest.mark.parametrize("name", KINDS)
def test_credentials_say_who_made_it_and_how(name: str, plain: Path, signer: Signer) -> None:
    assert read_credentials(plain / name).state == "none"
    path = signed(signer, plain / name)
    found = read_credentials(path, anchors=signer.anchors)
    assert (found.state, found.valid, found.trusted, found.generated) == ("Trusted", True, True, True)
    assert (found.title, found.produce_id, found.producer) == ('一个"球"', "192837465564738291", "工作室")
    assert found.problems == ()


def test_only_a_known_authority_is_trusted(plain: Path, signer: Signer, tmp_path: Path) -> None:
    path = signed(signer, plain / "picture.png")
    stranger = Signer.open(tmp_path / "other")
    for anchors in ("", stranger.anchors):
        found = read_credentials(path, anchors=anchors)
        assert (found.state, found.valid, found.trusted) == ("Valid", True, False)
        assert found.problems == ("signingCredential.untrusted",)


@pytest.mark.parametrize("name", KINDS)
def test_what_was_in_the_file_stays(name: str, plain: Path, signer: Signer, recipe: Recipe) -> None:
    write_aigc(plain / name, plain / name, FIELD)
    path = signed(signer, plain / name)
    assert read_aigc(path) == FIELD
    if name == "film.mp4":
        np.testing.assert_array_equal(read_film(path).frames_FHWC, read_film(plain / name).frames_FHWC)
        assert read_film_recipe(path) == recipe
    else:
        np.testing.assert_array_equal(read_picture(path), read_picture(plain / name))


def soak_module():
    spec = importlib.util.spec_from_file_location("soak_labels", SOAK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", KINDS)
def test_a_changed_byte_shows_wherever_it_is(name: str, plain: Path, signer: Signer) -> None:
    path = signed(signer, plain / name)
    content = path.read_bytes()
    places = [place for first, end in soak_module().sealed(content) for place in range(first, end)]
    assert len(places) > 400
    changed = bytearray(content)
    other = path.with_name(f"changed{path.suffix}")
    unseen = []
    for place in [*places[:60], *places[60:-60:17], *places[-60:]]:
        changed[place] ^= 1 + place % 255
        other.write_bytes(changed)
        changed[place] = content[place]
        try:
            found = read_credentials(other, anchors=signer.anchors)
        except MediaError:  # no longer a film or picture at all
            continue
        if found.valid:
            unseen.append(place)
    assert unseen == []


@pytest.mark.parametrize("name", KINDS)
def test_bytes_added_or_taken_away_show(name: str, plain: Path, signer: Signer) -> None:
    path = signed(signer, plain / name)
    content = path.read_bytes()
    extra = b"\0\0\0\x10free12345678" if name == "film.mp4" else b"more"
    for other in (content + extra, content[:-1], content[:-200], content[:-300] + content[-299:]):
        path.write_bytes(other)
        assert not read_credentials(path, anchors=signer.anchors).valid


def test_credentials_do_not_fit_another_file(plain: Path, signer: Signer) -> None:
    """Those of one picture, moved to another of the same size."""
    soak = soak_module()
    write_picture(plain / "other.png", np.zeros((32, 32, 3), np.uint8))
    paths = [signed(signer, plain / name) for name in ("picture.png", "other.png")]
    first, second = (path.read_bytes() for path in paths)
    (_, start), (end, _) = soak.sealed(first)
    (_, other_start), (other_end, _) = soak.sealed(second)
    paths[1].write_bytes(second[:other_start] + first[start:end] + second[other_end:])
    found = read_credentials(paths[1], anchors=signer.anchors)
    assert not found.valid
    assert "assertion.dataHash.mismatch" in found.problems


def called_by(read: Callable[[Path], object], plain: Path, signer: Signer) -> list[bytes]:
    """What arrives at the address of a picture's credentials that lie elsewhere, while the picture is read."""
    calls = []
    with socket.create_server(("127.0.0.1", 0)) as canary:
        canary.settimeout(0.5)

        def listen() -> None:
            with suppress(TimeoutError):
                caller = canary.accept()[0]
                calls.append(caller.recv(100))
                caller.close()

        listener = threading.Thread(target=listen)
        listener.start()
        identity = signer._identity
        info = c2pa.C2paSignerInfo("es256", identity.chain.encode(), identity.key.encode(), None)
        with (
            c2pa.Signer.from_info(info) as signing,
            c2pa.Context.from_dict({"version": 1}) as context,
            c2pa.Builder(statement("", "1", "K"), context) as builder,
            (plain / "photo.jpg").open("rb") as source,
            (plain / "remote.jpg").open("w+b") as target,
        ):
            builder.set_no_embed()
            builder.set_remote_url(f"http://127.0.0.1:{canary.getsockname()[1]}/manifest.c2pa")
            builder.sign(signing, "image/jpeg", source, target)
        assert b"manifest.c2pa" in (plain / "remote.jpg").read_bytes()
        read(plain / "remote.jpg")
        listener.join()
    return calls


def test_nobody_outside_is_asked(plain: Path, signer: Signer) -> None:
    def as_it_comes(path: Path) -> None:
        with path.open("rb") as file, c2pa.Context.from_dict({"version": 1}) as context, suppress(c2pa.C2paError):
            c2pa.Reader("image/jpeg", file, context=context)

    assert len(called_by(as_it_comes, plain, signer)) == 1  # C2PA's own way is to call
    assert called_by(lambda path: read_credentials(path, anchors=signer.anchors), plain, signer) == []
    assert not read_credentials(plain / "remote.jpg", anchors=signer.anchors).valid


def test_many_threads_may_sign(plain: Path, signer: Signer) -> None:
    def work(number: int) -> bool:
        name = KINDS[number % 3]
        into = plain / f"{number}-{name}"
        signer.sign(plain / name, into, title="", produce_id=str(number), producer="K")
        found = read_credentials(into, anchors=signer.anchors)
        return found.trusted and found.produce_id == str(number)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(24)))


@pytest.mark.parametrize("name", KINDS)
def test_a_file_may_be_signed_in_its_place(name: str, plain: Path, signer: Signer) -> None:
    signer.sign(plain / name, plain / name, title="", produce_id="1", producer="K")
    assert read_credentials(plain / name, anchors=signer.anchors).trusted
    assert not list(plain.glob(".kinora*"))


def test_what_cannot_be_signed_is_told_and_leaves_nothing(plain: Path, signer: Signer) -> None:
    (plain / "text.png").write_text("no picture")
    (plain / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    with pytest.raises(MediaError, match="no MP4, PNG or JPEG"):
        signer.sign(plain / "text.png", plain / "out.png", title="", produce_id="1", producer="K")
    with pytest.raises(MediaError, match=r"broken\.png could not be signed"):
        signer.sign(plain / "broken.png", plain / "out.png", title="", produce_id="1", producer="K")
    with pytest.raises(MediaError, match="no MP4, PNG or JPEG"):
        read_credentials(plain / "text.png")
    assert not list(plain.glob("out*"))
    assert not list(plain.glob(".kinora*"))


@pytest.mark.parametrize("name", KINDS)
def test_a_full_disk_leaves_what_was_there(
    name: str, plain: Path, signer: Signer, full_disk: Callable[[int], AbstractContextManager[None]]
) -> None:
    before = (plain / name).read_bytes()
    with full_disk(len(before) + 500), pytest.raises((MediaError, OutputError)):
        signer.sign(plain / name, plain / name, title="", produce_id="1", producer="K")
    assert (plain / name).read_bytes() == before
    assert not list(plain.glob(".kinora*"))


def test_c2pa_and_torch_wait_until_they_are_needed() -> None:
    code = (
        "import sys; sys.modules['torch'] = None; import kinora.media.provenance, kinora.media.authority;"
        "assert not {'c2pa', 'av'} & sys.modules.keys(), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
