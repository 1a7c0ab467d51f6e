"""Files that ask their reader for other files and addresses: a canary that lies open to us, and a port that listens."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from kinora.service.errors import Invalid
from kinora.service.guard import Guard
from kinora.service.guard.asking import shared_decoder
from kinora.service.guard.warming import job_for

CANARY = b"the canary that lies open to the service"
READERS = ("mov", "matroska", "avi", "wav", "mp3")


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    path = tmp_path / "canary.txt"
    path.write_bytes(CANARY * 40)
    return path


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as one:
        one.setblocking(False)
        yield one


def payloads(canary: Path, port: int) -> dict[str, bytes]:
    """What has made FFmpeg and others read files or open sockets, each for a file and for an address."""
    found = {}
    targets = {
        "file": f"file://{canary}", "path": str(canary), "concat": f"concat:{canary}|{canary}",
        "http": f"http://127.0.0.1:{port}/a", "tcp": f"tcp://127.0.0.1:{port}", "crypto": f"crypto:{canary}",
        "subfile": f"subfile,,start,0,end,99,,:{canary}",
    }  # fmt: skip
    for name, target in targets.items():
        found |= {
            f"hls {name}": f"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10.0,\n{target}\n#EXT-X-ENDLIST\n",
            f"hls key {name}": f'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{target}"\n#EXTINF:1,\n{target}\n',
            f"list {name}": f"ffconcat version 1.0\nfile '{target}'\n",
            f"dash {name}": f"<MPD><Period><AdaptationSet><Representation><BaseURL>{target}</BaseURL>"
            "</Representation></AdaptationSet></Period></MPD>",
            f"svg {name}": f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{target}"/></svg>',
            f"sdp {name}": f"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video {port} RTP/AVP 96\na=control:{target}\n",
            f"subtitles {name}": f"1\n00:00:00,000 --> 00:00:09,000\n<img src='{target}'>\n",
            f"pls {name}": f"[playlist]\nFile1={target}\n",
        }  # fmt: skip
    return {name: text.encode() for name, text in found.items()}


def quicktime(hostile: ModuleType, target: str) -> bytes:
    """A film whose frames are said to lie elsewhere (a data reference that is not "self")."""
    data = hostile.films()["mp4 h264"]
    start = data.index(b"url \0\0\0\1") - 4
    reference = struct.pack(">I4sI", 12 + len(target) + 1, b"url ", 0) + target.encode() + b"\0"
    return data[:start] + reference + data[start + 12 :]


def subtitled(hostile: ModuleType, text: bytes) -> bytes:
    """An AVI with a playlist where its subtitles should be (GAB2)."""
    body = b"GAB2\0\2\0" + bytes(4) + b"\4\0" + struct.pack("<I", len(text)) + text
    chunk = b"01tx" + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)
    data = hostile.films()["avi mpeg4"]
    return data.replace(b"movi", b"movi" + chunk, 1)


def reached(listener: socket.socket) -> bool:
    try:
        listener.accept()
    except BlockingIOError:
        return False
    return True


def test_nothing_else_is_read_and_nobody_called(
    hostile: ModuleType, guard: Guard, canary: Path, listener: socket.socket, tmp_path: Path
) -> None:
    port = listener.getsockname()[1]
    told = payloads(canary, port)
    assert len(told) >= 50
    sent, target = tmp_path / "sent", tmp_path / "plain"
    for name, content in told.items():
        sent.write_bytes(content)
        with pytest.raises(Invalid) as refused:
            guard.make_plain(sent, target, ("image", "video", "audio"))
        assert CANARY.decode() not in refused.value.message, name
    assert not reached(listener)


def test_not_even_by_a_reader_that_was_told_to(
    hostile: ModuleType, canary: Path, listener: socket.socket, tmp_path: Path
) -> None:
    """What would happen if the first bytes had lied: each reader, on such files and on films that hold them."""
    port = listener.getsockname()[1]
    told = {name: content for name, content in payloads(canary, port).items() if name.endswith(("file", "http"))}
    address = f"http://127.0.0.1:{port}/a"
    held = {
        "quicktime file": ("mov", quicktime(hostile, f"file://{canary}")),
        "quicktime path": ("mov", quicktime(hostile, str(canary))),
        "quicktime http": ("mov", quicktime(hostile, address)),
        **{f"avi {name}": ("avi", subtitled(hostile, content)) for name, content in told.items()},
        **{f"{READERS[i % 5]} {name}": (READERS[i % 5], content) for i, (name, content) in enumerate(told.items())},
    }
    sent, target = tmp_path / "sent", tmp_path / "plain"
    for name, (reader, content) in held.items():
        sent.write_bytes(content)
        target.write_bytes(b"")
        answer = shared_decoder().ask(job_for(sent, target, "film", reader, ("video", "audio")))
        assert CANARY.decode() not in str(answer), name
        assert CANARY not in target.read_bytes(), name
        assert not reached(listener), name
