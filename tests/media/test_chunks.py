"""Films written chunk by chunk: joins, resumes after real SIGKILLs, refusals."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from kinora.core.errors import MediaError, OutputError
from kinora.media.chunks import ChunkedFilm, work_folder
from kinora.media.film import read_film, read_film_recipe, write_film
from kinora.media.recipe import Recipe

FullDisk = Callable[[int], AbstractContextManager[None]]

LENGTHS = (1, 2, 1, 5, 17, 3, 1)

MAKER = '''
"""Make a film in chunks, from its memory on; at the given event of the file system, die."""
import os, signal, sys
from pathlib import Path

import numpy as np

from kinora.media.chunks import ChunkedFilm

path, die_at, pieces = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
film = ChunkedFilm(path, frame_rate=16.0)
memory = film.resume()
state = int(memory) if memory else 0
assert film.frames == 4 * state, (film.frames, state)

events = 0
def count(event, arguments):
    global events
    if event == "open" or event.startswith(("os.", "shutil.", "tempfile.")):
        events += 1
        if events == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

print(state, flush=True)
sys.addaudithook(count)
while state < 6:
    frames = np.zeros((4, 48, 64, 3), np.uint8)
    frames[..., 1] = np.arange(48)[:, None] * 4
    for index in range(4):
        x = 2 * (4 * state + index)
        frames[index, 16:32, x : x + 12] = (230, 30, 30)
    state += 1
    if pieces:
        for first in range(0, 4, 4 // pieces):
            film.add_frames(frames[first : first + 4 // pieces])
        film.end_chunk(b"%d" % state)
    else:
        film.add(frames, b"%d" % state)
film.finish()
'''


def moving(frames: int, first: int = 0, height: int = 48, width: int = 80) -> np.ndarray:
    """A bar that moves two pixels a frame over a gradient, so that every frame differs."""
    frames_FHWC = np.zeros((frames, height, width, 3), dtype=np.uint8)
    frames_FHWC[..., 1] = np.arange(height)[:, None] * 4
    for index in range(frames):
        frames_FHWC[index, :, 2 * (first + index) : 2 * (first + index) + 6] = (230, 30, 30)
    return frames_FHWC


def written(path: Path, **options: object) -> list[np.ndarray]:
    """A film of `LENGTHS`, and its chunks as they decode on their own."""
    film = ChunkedFilm(path, frame_rate=16.0, **options)
    alone = []
    for index, length in enumerate(LENGTHS):
        film.add(moving(length, film.frames), b"memory %d" % index)
        alone.append(read_film(film.folder / f"{index:06d}.mp4").frames_FHWC)
    film.finish()
    return alone


@pytest.mark.parametrize("backward", [False, True])
def test_joined_frames_are_the_chunks_own(tmp_path: Path, backward: bool) -> None:
    alone = written(tmp_path / "a.mp4", backward=backward)
    whole = read_film(tmp_path / "a.mp4")
    assert whole.frame_rate == 16.0
    assert (whole.frames_FHWC == np.concatenate(alone[::-1] if backward else alone)).all()
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"], "the folder is gone"


def test_players_get_even_times_and_no_gap(tmp_path: Path) -> None:
    written(tmp_path / "a.mp4")
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        decoding = [packet.dts for packet in container.demux(stream) if packet.size]
        assert np.diff(decoding).tolist() == [decoding[1] - decoding[0]] * (sum(LENGTHS) - 1)
        assert (stream.frames, stream.average_rate, stream.start_time) == (sum(LENGTHS), 16, 0)
        assert stream.duration * stream.time_base == sum(LENGTHS) / 16
    with av.open(str(tmp_path / "a.mp4")) as container:
        frames = list(container.decode(video=0))
    assert [frame.time for frame in frames] == [index / 16 for index in range(sum(LENGTHS))]
    assert len({frame.duration for frame in frames}) == 1
    content = (tmp_path / "a.mp4").read_bytes()
    assert content.find(b"moov") < content.find(b"mdat"), "the index must stand in front"


def test_a_rate_of_television_is_exact(tmp_path: Path) -> None:
    film = ChunkedFilm(tmp_path / "a.mp4", frame_rate=30000 / 1001)
    for _ in range(3):
        film.add(moving(3), b"")
    film.finish()
    with av.open(str(tmp_path / "a.mp4")) as container:
        steps = np.diff([frame.pts * frame.time_base for frame in container.decode(video=0)])
    assert {float(step) for step in steps} == {1001 / 30000}


def test_the_film_says_and_shows_what_write_film_would(tmp_path: Path, recipe: Recipe) -> None:
    written(tmp_path / "a.mp4", recipe=recipe)
    write_film(tmp_path / "b.mp4", read_film(tmp_path / "a.mp4"), recipe=recipe)
    assert read_film_recipe(tmp_path / "a.mp4") == recipe
    with av.open(str(tmp_path / "a.mp4")) as chunked, av.open(str(tmp_path / "b.mp4")) as plain:
        assert chunked.metadata == plain.metadata
        for name in ("extradata", "colorspace", "color_range", "profile", "pix_fmt", "width", "height"):
            assert getattr(chunked.streams.video[0].codec_context, name) == getattr(
                plain.streams.video[0].codec_context, name
            )


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., subprocess.Popen[str]]:
    script = tmp_path_factory.mktemp("maker") / "maker.py"
    script.write_text(MAKER)

    def start(path: Path, die_at: int = 0, pieces: int = 0) -> subprocess.Popen[str]:
        command = [sys.executable, str(script), str(path), str(die_at), str(pieces)]
        source = str(Path(__file__).parents[2] / "src")
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": source})

    return start


@pytest.fixture(scope="module")
def unbroken(maker: Callable[..., subprocess.Popen[str]], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("unbroken") / "a.mp4"
    child = maker(path)
    assert child.communicate()[0] == "0\n"
    assert child.returncode == 0
    return path.read_bytes()


@pytest.mark.parametrize(("seed", "pieces"), [(1, 0), (2, 0), (1, 1), (2, 2)])
def test_killed_again_and_again_the_film_is_the_same(
    tmp_path: Path, maker: Callable[..., subprocess.Popen[str]], unbroken: bytes, seed: int, pieces: int
) -> None:
    """Every run dies at another step of its work with files, until one comes through; chunks are added whole, handed
    over whole, or in pieces.
    """
    path = tmp_path / "a.mp4"
    moment = random.Random(seed)
    began, kills = [], 0
    for _ in range(20):
        child = maker(path, moment.randint(5, 75), pieces)
        began.append(int(child.communicate()[0] or -1))
        if child.returncode == 0 or path.exists():
            break
        assert child.returncode == -signal.SIGKILL
        kills += 1
    assert kills >= 2
    assert began == sorted(began), "no chunk is made twice once it is written"
    assert path.read_bytes() == unbroken
    assert not list(tmp_path.glob(".kinora-*"))


def test_killed_from_outside_while_encoding(
    tmp_path: Path, maker: Callable[..., subprocess.Popen[str]], unbroken: bytes
) -> None:
    path = tmp_path / "a.mp4"
    child = maker(path)
    assert child.stdout is not None
    child.stdout.readline()
    while not (work_folder(path) / "000001.mp4").exists():
        time.sleep(0.001)
    child.kill()
    child.communicate()
    resumed = maker(path)
    assert int(resumed.communicate()[0]) >= 2
    assert path.read_bytes() == unbroken


def test_resume_gives_the_last_memory(tmp_path: Path, recipe: Recipe) -> None:
    with ChunkedFilm(tmp_path / "a.mp4", frame_rate=16.0, recipe=recipe) as film:
        assert film.resume() is None
        film.add(moving(3), b"first")
        film.add(moving(4), b"second \x00\xff")
    assert not (tmp_path / "a.mp4").exists()
    with ChunkedFilm(tmp_path / "a.mp4", frame_rate=16.0, recipe=recipe) as again:
        assert again.resume() == b"second \x00\xff"
        assert (again.frames, again.chunks, again.discarded) == (7, 2, None)
        assert len(list(again.folder.glob("*.memory"))) == 1, "only the last memory is kept"


@pytest.mark.parametrize(
    ("change", "says"), [("recipe", "another recipe"), ("rate", "frame rate"), ("backward", "other way")]
)
def test_another_film_begins_anew_and_says_why(tmp_path: Path, recipe: Recipe, change: str, says: str) -> None:
    path = tmp_path / "a.mp4"
    with ChunkedFilm(path, frame_rate=16.0, recipe=recipe) as film:
        film.add(moving(3), b"first")
    other = replace(recipe, request=replace(recipe.request, seed=8)) if change == "recipe" else recipe
    rate = 24.0 if change == "rate" else 16.0
    with ChunkedFilm(path, frame_rate=rate, recipe=other, backward=change == "backward") as film:
        assert film.resume() is None
        assert film.discarded is not None
        assert says in film.discarded
        assert film.frames == 0
        film.add(moving(5), b"")
        film.finish()
    assert read_film(path).shape.frames == 5


@pytest.mark.parametrize("name", ["000000.mp4", "000001.mp4", "000001.memory", "record.json"])
def test_a_damaged_folder_is_begun_anew(tmp_path: Path, name: str) -> None:
    with ChunkedFilm(tmp_path / "a.mp4", frame_rate=16.0) as film:
        film.add(moving(3), b"1")
        film.add(moving(3), b"2")
    (film.folder / name).write_bytes(b"")
    if name.endswith("memory"):
        (film.folder / name).unlink()
    with ChunkedFilm(tmp_path / "a.mp4", frame_rate=16.0) as film:
        assert film.resume() is None
        assert film.discarded is not None


@pytest.mark.parametrize("size", [1, 2, 5, 40])
def test_in_pieces_the_film_has_the_same_bytes(tmp_path: Path, size: int) -> None:
    written(tmp_path / "whole.mp4")
    with ChunkedFilm(tmp_path / "pieces.mp4", frame_rate=16.0) as film:
        done = 0
        for length in LENGTHS:
            frames_FHWC = moving(length, done)
            for first in range(0, length, size):
                film.add_frames(frames_FHWC[first : first + size])
            film.end_chunk(b"")
            done += length
        film.finish()
    assert (tmp_path / "pieces.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()
    assert (film.frames, film.chunks) == (sum(LENGTHS), len(LENGTHS))


def test_a_chunk_counts_once_it_is_ended_and_written(tmp_path: Path) -> None:
    with ChunkedFilm(tmp_path / "a.mp4", frame_rate=16.0) as film:
        film.add_frames(moving(3))
        film.wait()
        assert (film.chunks, film.frames) == (0, 0)
        film.end_chunk(b"1")
        film.wait()
        assert (film.chunks, film.frames) == (1, 3)
        assert (film.folder / "000000.memory").read_bytes() == b"1"
        film.add_frames(moving(2))
        with pytest.raises(MediaError, match="belong to no chunk"):
            film.finish()
    assert sorted(path.name for path in film.folder.iterdir()) == ["000000.memory", "000000.mp4", "lock", "record.json"]


@pytest.mark.parametrize("trouble", [KeyboardInterrupt, RuntimeError])
def test_what_was_ended_is_kept_when_the_next_goes_wrong(tmp_path: Path, trouble: type[BaseException]) -> None:
    with pytest.raises(trouble), ChunkedFilm(tmp_path / "a.mp4", frame_rate=16.0) as film:
        film.add_frames(moving(9))
        film.end_chunk(b"1")
        film.add_frames(moving(2))
        raise trouble
    with ChunkedFilm(tmp_path / "a.mp4", frame_rate=16.0) as film:
        assert film.resume() == b"1"
        assert film.frames == 9


def test_a_full_disk_in_the_background_is_told_by_the_calls_after_it(tmp_path: Path, full_disk: FullDisk) -> None:
    noise_FHWC = np.random.default_rng(3).integers(0, 256, (9, 128, 128, 3), dtype=np.uint8)
    with ChunkedFilm(tmp_path / "a.mp4", frame_rate=16.0) as film:
        film.add(moving(3, height=128, width=128), b"1")
        with full_disk(20_000), pytest.raises(OutputError, match=r"disk is full.*3 frames before are kept"):
            for _ in range(9):
                film.add_frames(noise_FHWC)
                film.end_chunk(b"2")
            film.wait()
        assert film.chunks == 1
        film.add(noise_FHWC, b"2")
        film.finish()
    assert read_film(tmp_path / "a.mp4").shape.frames == 12


def test_without_finish_the_end_of_the_block_tells(tmp_path: Path, full_disk: FullDisk) -> None:
    noise_FHWC = np.random.default_rng(3).integers(0, 256, (9, 128, 128, 3), dtype=np.uint8)
    with (
        full_disk(20_000),
        pytest.raises(OutputError, match=r"disk is full.*nothing is kept"),
        ChunkedFilm(tmp_path / "a.mp4", frame_rate=16.0) as film,
    ):
        film.add_frames(noise_FHWC)
        film.end_chunk(b"1")
    assert list(tmp_path.iterdir()) == []


def test_without_resume_it_begins_anew(tmp_path: Path) -> None:
    with ChunkedFilm(tmp_path / "a.mp4", frame_rate=16.0) as film:
        film.add(moving(3), b"1")
    with ChunkedFilm(tmp_path / "a.mp4", frame_rate=16.0) as film:
        film.add(moving(2), b"1")
        film.finish()
    assert read_film(tmp_path / "a.mp4").shape.frames == 2


def test_two_at_once_are_kept_apart(tmp_path: Path) -> None:
    with ChunkedFilm(tmp_path / "a.mp4", frame_rate=16.0) as film:
        film.add(moving(3), b"1")
        with pytest.raises(OutputError, match="Another process"):
            ChunkedFilm(tmp_path / "a.mp4", frame_rate=16.0).resume()


def test_a_full_disk_keeps_what_was_written(tmp_path: Path, full_disk: FullDisk) -> None:
    noise_FHWC = np.random.default_rng(3).integers(0, 256, (9, 128, 128, 3), dtype=np.uint8)
    path = tmp_path / "a.mp4"
    with ChunkedFilm(path, frame_rate=16.0) as film:
        film.add(moving(3, height=128, width=128), b"1")
        with full_disk(20_000), pytest.raises(OutputError, match=r"a\.mp4 .*disk is full.*3 frames before are kept"):
            film.add(noise_FHWC, b"2")
        with full_disk(1500), pytest.raises(OutputError, match="disk is full"):
            film.finish()
    assert not path.exists()
    with ChunkedFilm(path, frame_rate=16.0) as film:
        assert film.resume() == b"1"
        assert not list(film.folder.glob(".kinora-*"))
        film.add(noise_FHWC, b"2")
        film.finish()
    assert read_film(path).shape.frames == 12


def test_ctrl_c_keeps_the_folder_and_no_film(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), ChunkedFilm(tmp_path / "a.mp4", frame_rate=16.0) as film:
        film.add(moving(3), b"1")
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == [".a.mp4.kinora"]


def test_nothing_made_leaves_nothing(tmp_path: Path) -> None:
    with ChunkedFilm(tmp_path / "a.mp4", frame_rate=16.0) as film:
        assert film.resume() is None
        with pytest.raises(MediaError, match="no frames"):
            film.finish()
        with pytest.raises(MediaError, match="even"):
            film.add(moving(2, height=47), b"")
        with pytest.raises(MediaError, match="at least one"):
            film.add(moving(0), b"")
        with pytest.raises(MediaError, match="at least one"):
            film.end_chunk(b"")
    assert list(tmp_path.iterdir()) == []


def test_chunks_of_another_size_are_refused(tmp_path: Path) -> None:
    with ChunkedFilm(tmp_path / "a.mp4", frame_rate=16.0) as film:
        film.add(moving(2), b"1")
        with pytest.raises(MediaError, match="80 x 64, the film 80 x 48"):
            film.add(moving(2, height=64), b"2")
    with ChunkedFilm(tmp_path / "a.mp4", frame_rate=16.0) as film:
        film.resume()
        with pytest.raises(MediaError, match="80 x 64"):
            film.add(moving(2, height=64), b"2")


def test_an_existing_film_is_not_replaced_unasked(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_text("mine")
    with pytest.raises(OutputError, match="--force"):
        ChunkedFilm(path, frame_rate=16.0)
    film = ChunkedFilm(path, frame_rate=16.0, force=True)
    film.add(moving(2), b"")
    assert path.read_text() == "mine", "the old film stays until the new one is whole"
    film.finish()
    assert read_film(path).shape.frames == 2


def test_a_film_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with ChunkedFilm(path, frame_rate=16.0) as film:
        film.add(moving(2), b"1")
        path.write_text("mine")
        with pytest.raises(OutputError, match="appeared"):
            film.finish()
    assert path.read_text() == "mine"
    assert film.folder.exists()


def test_the_longest_name_has_a_folder_too(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 251 + ".mp4")
    film = ChunkedFilm(path, frame_rate=16.0)
    film.add(moving(2), b"")
    film.finish()
    assert list(tmp_path.iterdir()) == [path]
