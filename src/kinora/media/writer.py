"""Chunks of a film written in a thread of their own, while the next frames are made.

FFmpeg works outside Python's lock, and so do torch and a GPU: what is written meanwhile costs no time of its own as
long as there are cores for both.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

__all__ = ["Arriving", "ChunkWriter"]


Frames = npt.NDArray[np.uint8]
Item = Frames | bytes | None
"""Frames of the chunk under way; bytes, its memory, end it; None ends everything."""

MOST_WAITING = 256 * 2**20
"""Bytes of frames that may wait or be in work (5 s at 480p take 97 MB); who brings more is held up, so that memory
stays flat however long the film.
"""


class Dropped(Exception):
    """The chunk under way is not wanted any more."""


class Arriving:
    """The frames of one chunk, (H, W, 3) each, as they come; once they are through, `memory` is what ended them."""

    def __init__(self, first: Frames, take: Callable[[], Item], stopped: threading.Event) -> None:
        self._first = first
        self._take = take
        self._stopped = stopped
        self.memory = b""

    def __iter__(self) -> Iterator[Frames]:
        item: Item = self._first
        while not isinstance(item, bytes):
            if item is None:
                raise Dropped
            for rgb_HW3 in item:
                if self._stopped.is_set():
                    raise Dropped
                yield rgb_HW3
            item = self._take()
        self.memory = item


class ChunkWriter:
    """Takes chunks in pieces and hands each to `write`, in order, in a thread that starts with the first piece.

    What `write` raises is raised at the next call here, or by `wait`; whatever was handed over in between is thrown
    away. All calls come from one thread.
    """

    def __init__(self, write: Callable[[Arriving], None]) -> None:
        self._write = write
        self._queue: queue.Queue[Item] = queue.Queue()
        self._room = threading.Condition()
        self._waiting = 0
        """Bytes of frames that wait or are in work."""
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._trouble: BaseException | None = None
        self._in_hand = self._last = False
        self._held = 0
        """Bytes of the item in hand."""

    def put(self, frames_FHW3: Frames) -> None:
        """Some more frames of the chunk under way; they must not change any more."""
        self._tell()
        if self._thread is None:
            # A daemon: when the process is to end, a chunk that is not whole is no reason to stay.
            self._thread = threading.Thread(target=self._work, name="kinora film writer", daemon=True)
            self._thread.start()
        with self._room:
            self._room.wait_for(lambda: not self._waiting or self._waiting + frames_FHW3.nbytes <= MOST_WAITING)
            self._waiting += frames_FHW3.nbytes
        self._queue.put(frames_FHW3)

    def end(self, memory: bytes) -> None:
        """The chunk under way has all its frames."""
        self._tell()
        self._queue.put(memory)

    def wait(self) -> None:
        """Return when everything handed over is written."""
        self._queue.join()
        self._tell()

    def stop(self) -> None:
        """Throw away what is not written yet, and end the thread."""
        if self._thread is None:
            return
        self._stopped.set()
        self._queue.put(None)
        self._thread.join()
        self._thread = None
        self._stopped.clear()

    def _tell(self) -> None:
        if self._trouble is None:
            return
        self._queue.join()  # the thread throws away what was handed over since
        trouble, self._trouble = self._trouble, None
        raise trouble

    # In the thread

    def _work(self) -> None:
        while (item := self._take()) is not None:
            if self._trouble is not None or self._stopped.is_set() or isinstance(item, bytes):
                continue
            try:
                self._write(Arriving(item, self._take, self._stopped))
            except Dropped:
                if self._last:
                    break
            except BaseException as error:  # noqa: BLE001 - raised again in the thread that asked for the work
                self._trouble = error
        self._lay_down()

    def _take(self) -> Item:
        """The next item; the one before it is done with."""
        self._lay_down()
        item = self._queue.get()
        self._in_hand, self._last = True, item is None
        self._held = item.nbytes if isinstance(item, np.ndarray) else 0
        return item

    def _lay_down(self) -> None:
        if self._in_hand:
            with self._room:
                self._waiting -= self._held
                self._room.notify()
            self._queue.task_done()
            self._in_hand = False
