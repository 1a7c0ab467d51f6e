"""The process that decodes: what it can reach, when it is ended, and what it leaves to the next file."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from kinora.service.errors import Invalid
from kinora.service.guard import Guard, Limits
from kinora.service.guard.asking import Decoder
from kinora.service.guard.job import Plain

TAKEN_OVER = """
import json, os, socket, sys
from pathlib import Path
from kinora.service.guard.child import confined
from kinora.service.guard.cage import limit
from kinora.service.guard.warming import job_for

source, target, canary, port, parent = sys.argv[1:]
job = job_for(Path(source), Path(target), "picture", "PNG", ("image",))
limit(seconds=5, memory=2**30, size=2**20)
granted = confined(job)
said = {"granted": granted}

def attempt(name, act):
    try:
        said[name] = repr(act())
    except OSError as error:
        said[name] = f"refused ({type(error).__name__})"

attempt("own", lambda: open(source, "rb").read(8))
attempt("write", lambda: open(target, "wb").write(b"plain"))
attempt("read", lambda: open(canary).read())
attempt("proc", lambda: open(f"/proc/{parent}/environ", "rb").read())
attempt("list", lambda: os.listdir(os.path.dirname(canary)))
attempt("make", lambda: open(canary + ".new", "w"))
attempt("change", lambda: open(canary, "a"))
attempt("change own", lambda: open(source, "ab"))
attempt("remove", lambda: os.unlink(canary))
attempt("link", lambda: os.symlink("/etc/passwd", canary + ".link"))
attempt("run", lambda: os.execv("/bin/true", ["true"]))
attempt("connect", lambda: socket.create_connection(("127.0.0.1", int(port)), timeout=2))
attempt("signal", lambda: os.kill(int(parent), 0))
attempt("grow", lambda: open(target, "wb").write(bytes(2**21)))
attempt("descriptors", lambda: [os.dup(1) for _ in range(40)])
print(json.dumps(said))
"""


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    """A process that decodes, of the test's own."""
    one = Decoder()
    yield one
    one.stop()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "sent.png"
    Image.fromarray(np.full((48, 64, 3), 80, dtype=np.uint8)).save(path)
    return path


def children_of(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state = (entry / "stat").read_text().rpartition(") ")[2].split()
            except OSError:
                continue
            if int(state[1]) == pid:
                found.append(int(entry.name))
    return found


def server_of(decoder: Decoder) -> int:
    decoder.start()
    assert decoder._server is not None
    return decoder._server[0].pid


@pytest.mark.skipif(sys.platform != "linux", reason="Landlock and namespaces are Linux's")
def test_code_that_takes_a_child_over_reaches_nothing(tmp_path: Path, picture: Path) -> None:
    canary, target = tmp_path / "secret" / "canary", tmp_path / "target"
    canary.parent.mkdir()
    canary.write_text("a canary")
    target.touch()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        port = listener.getsockname()[1]
        ran = subprocess.run(
            [sys.executable, "-I", "-c", TAKEN_OVER, picture, target, canary, str(port), str(os.getpid())],
            capture_output=True,
            text=True,
            timeout=60,
        )
        with pytest.raises(TimeoutError):
            listener.accept()
    said = json.loads(ran.stdout)
    granted = [well for well, _ in said.pop("granted")]
    assert said.pop("own") == repr(b"\x89PNG\r\n\x1a\n")
    assert said.pop("write") == "5"
    assert "canary" not in ran.stdout or not all(granted)
    if not all(granted):
        pytest.skip("this system grants less: see what the guard says of itself")
    scoped = tuple(map(int, os.uname().release.split("-")[0].split(".")[:2])) >= (6, 12)
    if not scoped:
        said.pop("signal")
    assert {name: told for name, told in said.items() if not told.startswith("refused")} == {}
    assert sorted(path.name for path in canary.parent.iterdir()) == ["canary"]
    assert canary.read_text() == "a canary"


def test_a_file_that_takes_too_long_is_ended_with_its_group(
    decoder: Decoder, hostile: ModuleType, tmp_path: Path, picture: Path
) -> None:
    guard = Guard(Limits(film_patience=0.15), decoder)
    server = server_of(decoder)
    (tmp_path / "long").write_bytes(hostile.film("mp4", "mpeg4", frames=1000, rate=100))
    began = time.monotonic()
    with pytest.raises(Invalid, match="takes too long"):
        guard.make_plain(tmp_path / "long", tmp_path / "o", ("video",))
    assert time.monotonic() - began < 2
    assert children_of(server) == []
    assert guard.make_plain(picture, tmp_path / "o2", ("image",)) == Plain(kind="image", width=64, height=48, frames=1)
    assert server_of(decoder) == server  # the same process goes on


def test_a_file_that_needs_too_much_memory_is_refused(decoder: Decoder, hostile: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "bomb").write_bytes(hostile.PICTURE_BOMBS["png of 16 megapixels, flat"]())
    guard = Guard(Limits(memory=64 * 2**20, picture_patience=30), decoder)
    with pytest.raises(Invalid, match="needs more memory"):
        guard.make_plain(tmp_path / "bomb", tmp_path / "o", ("image",))
    assert children_of(server_of(decoder)) == []


def test_a_file_over_which_the_child_breaks_down_is_refused(
    decoder: Decoder, hostile: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "long").write_bytes(hostile.film("mp4", "mpeg4", frames=1000, rate=100))
    server = server_of(decoder)

    def break_down() -> None:
        while not (found := children_of(server)):
            time.sleep(0.001)
        os.kill(found[0], signal.SIGSEGV)

    breaker = threading.Thread(target=break_down)
    breaker.start()
    with pytest.raises(Invalid, match="what reads it broke down over it"):
        Guard(decoder=decoder).make_plain(tmp_path / "long", tmp_path / "o", ("video",))
    breaker.join()
    assert children_of(server) == []


def test_what_a_child_says_is_not_trusted(decoder: Decoder, tmp_path: Path) -> None:
    guard = Guard(decoder=decoder)
    for said in (
        "", "null", "[]", "{}", '{"confined": [], "plain": {"kind": "program"}}', '{"confined": [], "plain": 3}',
        '{"confined": [], "plain": {"kind": "image", "width": -1}}', '{"confined": 4, "unfit": "a"}', "\x00",
        '{"confined": [], "plain": {"kind": "image", "frame_rate": 1e999}}', '{"confined": [], "plain": {"kind": []}}',
        '{"confined": [], "plain": {"kind": "image", "width": true, "height": "9"}}', "[" * 10_000,
    ):  # fmt: skip
        with pytest.raises(Invalid, match="broke down"):
            guard._heard({"said": said})
    with pytest.raises(Invalid) as refused:
        guard._heard({"said": json.dumps({"confined": [], "unfit": "words\x1b[2J\n" + "a" * 9000})})
    assert len(refused.value.message) <= 500
    assert refused.value.message.isprintable()
    for kind, content in (("image", b"<script>"), ("video", b"<html>"), ("audio", b"RIFF1234AVI "), ("file", b"<")):
        (tmp_path / "target").write_bytes(content)
        with pytest.raises(Invalid, match="broke down"):
            guard._confirmed(Plain(kind=kind, width=4, height=4), tmp_path / "target")


def test_a_server_that_was_killed_is_started_anew(decoder: Decoder, picture: Path, tmp_path: Path) -> None:
    guard = Guard(decoder=decoder)
    first = server_of(decoder)
    os.kill(first, signal.SIGKILL)
    assert guard.make_plain(picture, tmp_path / "o", ("image",)).width == 64
    assert server_of(decoder) != first


def test_nothing_is_left_when_the_service_dies(tmp_path: Path, picture: Path) -> None:
    script = (
        "import os, sys, pathlib\nfrom kinora.service.guard import Guard\nguard = Guard()\n"
        "guard.make_plain(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), ('image',))\n"
        "print(guard._decoder._server[0].pid, flush=True)\nos.kill(os.getpid(), 9)"
    )
    ran = subprocess.run([sys.executable, "-c", script, picture, tmp_path / "o"], capture_output=True, text=True)
    assert ran.returncode == -9
    server = int(ran.stdout)
    until = time.monotonic() + 10
    while time.monotonic() < until and Path(f"/proc/{server}").exists():
        time.sleep(0.05)
    assert not Path(f"/proc/{server}").exists()


def test_many_at_once_take_turns(decoder: Decoder, picture: Path, tmp_path: Path) -> None:
    guard = Guard(Limits(at_once=2), decoder)
    server = server_of(decoder)
    most = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.is_set():
            most = max(most, len(children_of(server)))
            time.sleep(0.005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(8) as pool:
        plains = list(pool.map(lambda i: guard.make_plain(picture, tmp_path / f"o{i}", ("image",)), range(24)))
    done.set()
    watcher.join()
    assert {(plain.width, plain.height) for plain in plains} == {(64, 48)}
    assert 1 <= most <= 2
    assert len({(tmp_path / f"o{i}").read_bytes() for i in range(24)}) == 1


def test_links_and_folders_are_no_files(guard: Guard, picture: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(picture)
    with pytest.raises((Invalid, OSError)):
        guard.make_plain(tmp_path / "link", tmp_path / "o", ("image",))
    with pytest.raises((Invalid, OSError)):
        guard.make_plain(tmp_path, tmp_path / "o", ("image",))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises((Invalid, OSError)):
        guard.make_plain(tmp_path / "pipe", tmp_path / "o", ("image",))
