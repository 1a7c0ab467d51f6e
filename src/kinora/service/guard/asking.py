"""The process that decodes, seen from the service: started when first needed, asked over a socket, ended with us."""

from __future__ import annotations

import atexit
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from typing import Any

from kinora.service.errors import Unavailable
from kinora.service.guard.job import Job

__all__ = ["Decoder", "shared_decoder"]

READY = b"ready"
MOST_SAID = 65_536
SLACK = 5.0
"""Seconds beyond a job's own after which its process is taken for lost."""
STARTING = 60.0


class Decoder:
    """One `server` process. Threads may share it; after a fork each process has its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._server: tuple[subprocess.Popen[bytes], socket.socket, int] | None = None

    def start(self) -> None:
        """Have the process ready before the first file comes."""
        self._door()

    def stop(self) -> None:
        """End the process, and with it what it is decoding."""
        with self._lock:
            self._stop()

    def ask(self, job: Job) -> dict[str, Any]:
        """What the server says of a job; one that has died is started anew, once. Raises `Unavailable`."""
        for _ in range(2):
            try:
                return self._ask(job)
            except (OSError, EOFError, ValueError):
                self.stop()
        raise Unavailable("The process that reads files does not answer. Try again later.")

    def _ask(self, job: Job) -> dict[str, Any]:
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                socket.send_fds(self._door(), [job.to_bytes()], [theirs.fileno()])
            ours.settimeout(job.seconds + SLACK)
            told = b""
            while piece := ours.recv(MOST_SAID):
                told += piece
        if not told:
            raise EOFError
        answer = json.loads(told)
        assert isinstance(answer, dict)
        return answer

    def _door(self) -> socket.socket:
        with self._lock:
            if self._server is not None:
                process, door, owner = self._server
                if owner == os.getpid() and process.poll() is None:
                    return door
                self._stop()
            self._server = (*_started(), os.getpid())
            return self._server[1]

    def _stop(self) -> None:
        if self._server is None:
            return
        process, door, owner = self._server
        self._server = None
        door.close()
        if owner != os.getpid():
            process.returncode = 0  # came over a fork: not ours to end or to wait for
            return
        try:
            process.wait(timeout=SLACK)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@functools.cache
def shared_decoder() -> Decoder:
    """The one of this process; it ends with it."""
    decoder = Decoder()
    atexit.register(decoder.stop)
    return decoder


def _started() -> tuple[subprocess.Popen[bytes], socket.socket]:
    """The process and the socket to ask it over; of this one's environment it keeps where libraries lie."""
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    environment = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "TMPDIR") if name in os.environ}
    environment |= {"PATH": "/usr/bin:/bin", "HOME": "/", "LANG": "C.UTF-8"}
    environment |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    with theirs:
        process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-I", "-m", "kinora.service.guard.server", str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd="/",
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
        )
    ours.settimeout(STARTING)
    said = b""
    with suppress(OSError):
        said = ours.recv(len(READY))
    if said != READY:
        ours.close()
        process.kill()
        process.wait()
        raise Unavailable("The process that reads files did not start. Look at the server's log.")
    ours.settimeout(None)
    return process, ours
