"""The thread that writes: order, trouble, being held up, being stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from kinora.media.writer import Arriving, ChunkWriter


def piece(*values: int) -> np.ndarray:
    """Frames of one pixel each, told apart by their value."""
    return np.array(values, np.uint8).reshape(-1, 1, 1, 1).repeat(3, axis=3)


class Paper:
    """Notes what is written, and holds it up or fails when told to."""

    def __init__(self) -> None:
        self.chunks: list[tuple[list[int], bytes]] = []
        self.begun: list[int] = []
        self.go = threading.Event()
        self.go.set()
        self.fail_at: int | None = None

    def write(self, frames: Arriving) -> None:
        values = []
        for rgb_HW3 in frames:
            self.begun.append(int(rgb_HW3[0, 0, 0]))
            assert self.go.wait(10)
            if self.begun[-1] == self.fail_at:
                raise OSError(28, "no room")
            values.append(self.begun[-1])
        self.chunks.append((values, frames.memory))


@pytest.fixture
def paper() -> Paper:
    return Paper()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_chunks_are_written_in_order_with_their_memory(paper: Paper) -> None:
    writer = ChunkWriter(paper.write)
    for first in (0, 10, 20):
        writer.put(piece(first, first + 1))
        writer.put(piece(first + 2))
        writer.end(b"%d" % first)
    writer.wait()
    assert paper.chunks == [([0, 1, 2], b"0"), ([10, 11, 12], b"10"), ([20, 21, 22], b"20")]
    writer.stop()


def test_frames_are_written_before_their_chunk_is_whole(paper: Paper) -> None:
    writer = ChunkWriter(paper.write)
    writer.put(piece(1, 2, 3))
    until(lambda: paper.begun == [1, 2, 3])
    assert paper.chunks == []
    writer.end(b"m")
    writer.wait()
    assert paper.chunks == [([1, 2, 3], b"m")]
    writer.stop()


def test_who_brings_frames_is_held_up_only_when_too_much_waits(paper: Paper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kinora.media.writer.MOST_WAITING", 3 * piece(0).nbytes)
    paper.go.clear()
    writer = ChunkWriter(paper.write)
    for value in range(3):
        writer.put(piece(value))  # returns at once, though nothing gets written
    late = threading.Thread(target=lambda: writer.put(piece(9)))
    late.start()
    late.join(0.05)
    assert late.is_alive(), "one more is held up"
    paper.go.set()
    late.join(10)
    writer.put(piece(*range(20, 30)))  # more than may wait, but alone
    writer.end(b"")
    writer.wait()
    assert paper.chunks == [([0, 1, 2, 9, *range(20, 30)], b"")]
    writer.stop()


def test_who_is_held_up_hears_of_trouble_at_the_next_call(paper: Paper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kinora.media.writer.MOST_WAITING", piece(0).nbytes)
    paper.fail_at = 3
    writer = ChunkWriter(paper.write)
    with pytest.raises(OSError, match="no room"):
        for value in range(100):
            writer.put(piece(value))
    writer.stop()


def test_trouble_is_told_once_and_what_came_after_it_is_thrown_away(paper: Paper) -> None:
    paper.fail_at = 2
    writer = ChunkWriter(paper.write)
    writer.put(piece(1, 2, 3))
    with pytest.raises(OSError, match="no room"):
        for value in range(10, 20):
            writer.put(piece(value))
            writer.end(b"lost")
        writer.wait()
    assert paper.chunks == []
    writer.put(piece(4))
    writer.end(b"kept")
    writer.wait()
    assert paper.chunks == [([4], b"kept")]
    writer.stop()


def test_trouble_at_the_very_end_is_told_by_wait(paper: Paper) -> None:
    paper.fail_at = 1
    writer = ChunkWriter(paper.write)
    writer.put(piece(1))
    writer.end(b"")
    with pytest.raises(OSError, match="no room"):
        writer.wait()
    writer.wait()
    writer.stop()


def test_stopping_throws_away_what_is_not_written_and_ends_the_thread(paper: Paper) -> None:
    paper.go.clear()
    writer = ChunkWriter(paper.write)
    writer.put(piece(*range(100)))
    writer.end(b"")
    until(lambda: bool(paper.begun))
    threading.Timer(0.05, paper.go.set).start()
    writer.stop()
    assert paper.chunks == []
    assert len(paper.begun) < 100
    assert not any(thread.name == "kinora film writer" for thread in threading.enumerate())
    writer.stop()
    writer.wait()


def test_stopping_an_open_chunk_does_not_wait_for_its_end(paper: Paper) -> None:
    writer = ChunkWriter(paper.write)
    writer.put(piece(1))
    until(lambda: paper.begun == [1])
    writer.stop()
    assert paper.chunks == []


def test_after_a_stop_it_may_begin_again(paper: Paper) -> None:
    writer = ChunkWriter(paper.write)
    writer.put(piece(1))
    writer.stop()
    writer.put(piece(2))
    writer.end(b"m")
    writer.wait()
    assert paper.chunks == [([2], b"m")]
    writer.stop()


def test_nothing_begun_nothing_to_wait_for_or_stop(paper: Paper) -> None:
    writer = ChunkWriter(paper.write)
    writer.wait()
    writer.stop()
    assert paper.chunks == []
