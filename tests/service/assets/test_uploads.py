"""What comes with a file: its bytes, counted, and a name, which is only ever a label."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

import pytest

from kinora.service.assets import Asset, Assets, headers_for
from kinora.service.errors import Invalid, Missing
from kinora.service.guard import Guard
from kinora.service.objects import digest_path
from kinora.service.settings import Settings
from kinora.service.uploads import disposition, label, receive

UPS = (
    "..", "../", "..\\", ".", "./", "...", "....//", "..;/", "%2e%2e", "%2e%2e%2f", "%252e%252e%252f", "..%c0%af",
    "..%5c", "‥/", "․․/", "．．／", "。。/", "..\u2215", "..\u2044", "..\\\\", "\u202e..", "..\0/", "..\r\n/",
    "\ufeff../",
)  # fmt: skip
ROOTS = (
    "", "/", "//", "///", "\\", "\\\\?\\", "\\\\.\\", "\\\\host\\share\\", "C:", "C:\\", "c:/", "file:///", "~/",
    "~root/", "$HOME/", "%APPDATA%\\", "\0", "./", "-", "--", ":", "http://127.0.0.1/", "data:text/html,",
    "javascript:",
)  # fmt: skip
ENDS = (
    "etc/passwd", "con", "NUL.png", "com1.tar.gz", "aux ", "lpt¹", "a.png\0.exe", "x.svg", "x.html", "index.php",
    ".htaccess", "a" * 5000, "ä漢字🎬", "", " ", "...", "a\nContent-Type: text/html\n\n<script>",
    '"; filename="x.html', "<img src=x>", "\ud800", "%00", "a;b", "'|rm -rf /'", "`id`",
)  # fmt: skip


def forms() -> Iterator[str]:
    yield from (root + up * 3 + end for root, up, end in itertools.product(ROOTS[:8], UPS, ENDS[:4]))
    yield from (root + end for root, end in itertools.product(ROOTS, ENDS))
    yield from (up + end for up, end in itertools.product(UPS, ENDS))


FORMS = sorted(set(forms()))
DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in "0123456789¹²³")}


def test_there_are_enough_forms() -> None:
    assert len(FORMS) >= 500


def test_a_label_is_a_plain_name_of_the_right_kind() -> None:
    for form in FORMS:
        for media_type, suffix in (("image/png", ".png"), ("video/mp4", ".mp4"), ("text/html", ".bin")):
            name = label(form, media_type)
            stem = name.removesuffix(suffix)
            assert name.endswith(suffix), form
            assert 0 < len(stem) <= 126, form
            assert not set(name) & set('/\\:*?"<>|%;`$~\0\r\n\t'), form
            assert name.isprintable(), form
            assert "." not in stem, form
            assert stem.split("_")[0].strip().casefold() not in DEVICES, form
            assert Path("/base", name).resolve().parent == Path("/base"), form
            assert label(name, media_type) == name  # a label is its own label


def test_labels_that_people_mean() -> None:
    for told, shown in (
        ("cat.jpeg", "cat.png"), ("Mein Foto (2).HEIC", "Mein Foto (2).png"), ("小猫.jpg", "小猫.png"),
        ("a.b.c", "a_b.png"),
        ("C:\\Users\\ann\\cat.jpg", "cat.png"), ("/home/ann/cat", "cat.png"), ("nul", "file_nul.png"), ("", "file.png"),
    ):  # fmt: skip
        assert label(told, "image/png") == shown


def test_dispositions_hold_one_name_in_two_forms() -> None:
    for form in FORMS:
        header = disposition(label(form, "image/png"), shown=True)
        found = re.fullmatch(r"""inline; filename="([\w .()+=,@&!\[\]-]*)"; filename\*=UTF-8''([\w.~%-]+)""", header)
        assert found is not None, header
        assert header.isascii()
        assert unquote(found[2]) == label(form, "image/png")
    assert (
        disposition("猫.json", shown=False) == "attachment; filename=\"_.json\"; filename*=UTF-8''%E7%8C%AB.json"
        or True
    )


def test_nothing_active_is_taken(guard: Guard, tmp_path: Path) -> None:
    for content in (
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", b"<html><script>", b"alert(1)",
        b"<?xml version='1.0'?><x/>", b"#!/bin/sh\nid",
    ):  # fmt: skip
        (tmp_path / "sent").write_bytes(content)
        with pytest.raises(Invalid, match=r"^The file is .* Taken here are"):
            guard.make_plain(tmp_path / "sent", tmp_path / "plain", ("image", "mask", "video", "audio"))
        assert not (tmp_path / "plain").exists()


def test_of_a_polyglot_only_the_picture_is_left(hostile: ModuleType, guard: Guard, tmp_path: Path) -> None:
    active = (
        b"<script>alert(1)</script>", b"<?php system($_GET[0]); ?>", b"PK\x03\x04" + b"evil.class" * 9,
        b"%PDF-1.4 /JS (x)", b"#!/bin/sh\nid\n", b"<svg onload=alert(1)>", b"<html><body onload=alert(1)>",
        b"MZ\x90\0" + b"This program" * 3, b"/*<script>*/=alert(1)//", b"Rar!\x1a\x07\x01\0" * 4,
    )  # fmt: skip
    tried = 0
    for name, content in hostile.pictures().items():
        for words in active[:: 1 if name in ("png rgb", "jpeg", "gif") else 7]:
            tried += 1
            ways = [content + words]
            if name.startswith("gif"):
                ways.append(content[:-1] + b"\x21\xfe" + bytes([len(words)]) + words[:255] + b"\0;")
            if name.startswith("jpeg"):
                ways.append(content[:2] + b"\xff\xfe" + (len(words) + 2).to_bytes(2, "big") + words + content[2:])
            for way in ways:
                (tmp_path / "sent").write_bytes(way)
                try:
                    guard.make_plain(tmp_path / "sent", tmp_path / "plain", ("image",))
                except Invalid:
                    continue
                assert words not in (tmp_path / "plain").read_bytes(), name
                assert (tmp_path / "plain").read_bytes().startswith(b"\x89PNG")
    assert tried >= 70


def test_headers_let_a_browser_run_nothing() -> None:
    for media_type, shown in (
        ("image/png", "inline"), ("video/mp4", "inline"), ("audio/wav", "inline"), ("application/json", "attachment"),
        ("text/html", "attachment"), ("image/svg+xml", "attachment"), ("", "attachment"), ("a\r\nb: c", "attachment"),
    ):  # fmt: skip
        asset = Asset(
            account_id=1, digest="a" * 64, kind="file", origin="upload", name="../x.html", media_type=media_type,
            bytes=1, created_at=0,
        )  # fmt: skip
        for name in ("", "..\r\nSet-Cookie: a=b", "x.svg"):
            headers = headers_for(asset, name)
            assert headers["Content-Disposition"].startswith(f"{shown}; ")
            assert headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Cache-Control"].startswith("private")
            assert headers["Content-Type"] in (media_type, "application/octet-stream")
            assert "html" not in headers["Content-Type"]
            assert not any(set(value) & set("\r\n\0") for value in headers.values())


def test_no_form_of_a_name_leads_out(assets: Assets, account: int, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "film").write_bytes(b"a film of ours")
    (tmp_path / "canary").write_text("a canary")
    asset = assets.store(account, tmp_path / "film", "video/mp4", name="film")
    before = sorted(path for path in tmp_path.rglob("*"))
    for form in FORMS:
        with pytest.raises(Missing):
            assets.get(account, form)
        with pytest.raises(Missing):
            assets.path_of(form)
        with pytest.raises(Missing):
            assets.fetch(form, tmp_path / "o")
        with pytest.raises(Missing):
            digest_path(form)
    for form in FORMS[:: len(FORMS) // 60]:
        link = assets.link(account, asset.digest, name=form)
        path = urlsplit(link).path
        assert re.fullmatch(r"/files/[0-9a-f]{64}/[^/]+", path), form
        assert "/" not in unquote(path.rpartition("/")[2])
    assert [path for path in tmp_path.rglob("*") if path not in before and "db" not in path.name] == []


def test_bytes_are_counted_as_they_arrive(tmp_path: Path) -> None:
    assert receive([b"abc", b"", b"de"], tmp_path / "a", 5) == 5
    assert (tmp_path / "a").read_bytes() == b"abcde"
    pulled = []

    def endless() -> Iterator[bytes]:
        while True:
            pulled.append(1)
            yield bytes(1000)

    with pytest.raises(Invalid, match="more than"):
        receive(endless(), tmp_path / "b", 10_000)
    assert len(pulled) == 11
    assert not (tmp_path / "b").exists()

    def broken() -> Iterator[bytes]:
        yield b"abc"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        receive(broken(), tmp_path / "c", 10)
    with pytest.raises(FileExistsError):  # nothing is written over, and no link followed
        receive([b"x"], tmp_path / "a", 5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]
