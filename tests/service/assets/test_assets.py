"""Assets of accounts, on both databases: taken, shared, linked, over."""

from __future__ import annotations

import hashlib
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import pytest
import sqlalchemy as sa
from PIL import Image

from kinora.service.assets import DAY_MS, Asset, Assets
from kinora.service.errors import Forbidden, Invalid, Missing
from kinora.service.objects import Objects
from kinora.service.sealing import Sealer
from kinora.service.settings import Settings
from kinora.service.store import Database, now_ms
from kinora.service.store.tables import assets as table


def picture(path: Path, value: int = 80) -> Path:
    Image.fromarray(np.full((48, 64, 3), value, dtype=np.uint8)).save(path, "PNG")
    return path


def kept(file: Path, content: bytes) -> Path:
    file.write_bytes(content)
    return file


def test_what_is_taken_comes_back(assets: Assets, account: int, objects: Objects, tmp_path: Path) -> None:
    sent = picture(tmp_path / "sent")
    before = now_ms()
    asset = assets.take(account, sent, "../My cat.html", want=("image",))
    assert (asset.kind, asset.origin, asset.name, asset.media_type) == ("image", "upload", "My cat.png", "image/png")
    assert (asset.width, asset.height, asset.frames, asset.ours) == (64, 48, 1, False)
    assert before <= asset.created_at <= now_ms()
    assert asset.expires_at == asset.created_at + 30 * DAY_MS
    assert sent.exists()
    assets.fetch(asset.digest, tmp_path / "copy")
    content = (tmp_path / "copy").read_bytes()
    assert hashlib.sha256(content).hexdigest() == asset.digest
    assert len(content) == asset.bytes == objects.size(assets.path_of(asset))
    assert assets.path_of(asset) == assets.path_of(asset.digest) == f"sha256/{asset.digest[:2]}/{asset.digest[2:]}"
    with Image.open(io.BytesIO(content)) as image:
        assert image.getpixel((3, 3)) == (80, 80, 80)
    assert assets.get(account, asset.digest) == asset
    assert assets.page(account) == [asset]


def test_each_kind_is_taken(assets: Assets, account: int, hostile: ModuleType, tmp_path: Path) -> None:
    film = assets.take(account, kept(tmp_path / "f", hostile.films()["webm vp9"]), "f.webm")
    assert (film.kind, film.media_type, film.frames, film.frame_rate) == ("video", "video/mp4", 8, pytest.approx(8.0))
    sound = assets.take(account, kept(tmp_path / "s", hostile.films()["mp3"]), "s.mp3")
    assert (sound.kind, sound.media_type, sound.name) == ("audio", "audio/wav", "s.wav")
    track = assets.take(account, kept(tmp_path / "t", b"[[0,0,0,1]]"), "t.json", want=("speech",))
    assert (track.kind, track.media_type, track.frames) == ("file", "application/json", 1)
    assert {asset.kind for asset in assets.page(account)} == {"video", "audio", "file"}
    assert [asset.kind for asset in assets.page(account, kinds=["audio"])] == ["audio"]


def test_what_is_refused_leaves_nothing(assets: Assets, account: int, objects: Objects, tmp_path: Path) -> None:
    for content in (b"<svg/>", b"\x89PNG\r\n\x1a\n" + bytes(90), b""):
        with pytest.raises(Invalid):
            assets.take(account, kept(tmp_path / "sent", content), "a.png")
    assert assets.page(account) == []
    assert objects.list("sha256") == []


def test_ours_are_kept_as_they_are(assets: Assets, account: int, tmp_path: Path) -> None:
    film = kept(tmp_path / "film.mp4", b"\0\0\0\x18ftyp and frames")
    asset = assets.store(account, film, "video/mp4", name="A film", width=64, height=48, frames=9, frame_rate=16.0)
    assert asset.digest == hashlib.sha256(film.read_bytes()).hexdigest()
    assert (asset.kind, asset.origin, asset.name, asset.ours) == ("video", "output", "A film.mp4", True)
    assert assets.get(account, asset.digest) == asset
    assert assets.page(account, origins=["upload"]) == []


def test_the_same_file_again_is_the_same_asset(assets: Assets, account: int, tmp_path: Path) -> None:
    first = assets.take(account, picture(tmp_path / "a"), "first.png")
    second = assets.take(account, picture(tmp_path / "a"), "second.png")
    assert (second.digest, second.name, second.created_at) == (first.digest, first.name, first.created_at)
    assert second.expires_at is not None
    assert second.expires_at >= (first.expires_at or 0)
    assert assets.page(account) == [second]


def test_accounts_know_nothing_of_each_other(assets: Assets, account: int, other: int, tmp_path: Path) -> None:
    asset = assets.take(account, picture(tmp_path / "a"), "a.png")
    missing = pytest.raises(Missing, match="There is no asset")
    with missing:
        assets.get(other, asset.digest)
    with pytest.raises(Missing):
        assets.delete(other, asset.digest)
    with pytest.raises(Missing):
        assets.link(other, asset.digest)
    assert assets.page(other) == []
    assert assets.get(account, asset.digest) == asset


def test_a_shared_file_goes_with_its_last_asset(
    assets: Assets, account: int, other: int, objects: Objects, tmp_path: Path
) -> None:
    mine = assets.take(account, picture(tmp_path / "a"), "a.png")
    theirs = assets.take(other, picture(tmp_path / "a"), "b.png")
    assert mine.digest == theirs.digest
    assert len(objects.list("sha256")) == 1
    assets.delete(account, mine.digest)
    assets.fetch(theirs.digest, tmp_path / "copy")
    assert assets.get(other, theirs.digest) == theirs
    assets.delete(other, theirs.digest)
    assert objects.list("sha256") == []
    with pytest.raises(Missing):
        assets.fetch(theirs.digest, tmp_path / "copy")
    with pytest.raises(Missing):
        assets.delete(other, theirs.digest)


def test_assets_end(
    assets: Assets, account: int, other: int, objects: Objects, tmp_path: Path, database: Database
) -> None:
    short = assets.take(account, picture(tmp_path / "a", 1), "a.png")
    long = assets.take(account, picture(tmp_path / "b", 2), "b.png")
    shared = assets.take(other, picture(tmp_path / "a", 1), "c.png")
    with database.write() as c:
        over = (table.c.digest == short.digest) & (table.c.account_id == account)
        c.execute(sa.update(table).where(over).values(expires_at=now_ms() - 1))
    with pytest.raises(Missing):  # at once, before anybody sweeps
        assets.get(account, short.digest)
    assert assets.page(account) == [long]
    assert assets.expire(now_ms()) == 1
    assert len(objects.list("sha256")) == 2  # the other account has it still
    assert assets.expire(now_ms() + 31 * DAY_MS) == 2
    assert objects.list("sha256") == []
    assert assets.page(other) == []
    assert assets.expire(now_ms() + 31 * DAY_MS) == 0
    assert shared.digest == short.digest


def test_without_retention_nothing_ends(
    database: Database, objects: Objects, settings: Settings, account: int, tmp_path: Path
) -> None:
    settings = settings.model_copy(update={"retention_days": 0.0})
    assets = Assets(database, objects, Sealer(settings), settings)
    asset = assets.store(account, kept(tmp_path / "f", b"film"), "video/mp4")
    assert asset.expires_at is None
    assert assets.expire(now_ms() + 10_000 * DAY_MS) == 0
    assert assets.get(account, asset.digest) == asset


def test_objects_that_nobody_names_are_swept(assets: Assets, account: int, objects: Objects, tmp_path: Path) -> None:
    asset = assets.store(account, kept(tmp_path / "f", b"film"), "video/mp4")
    objects.put("sha256/ab/" + "cd" * 31, b"a process died after this")
    assert assets.sweep(now_ms()) == 0  # too fresh: it may be named in a moment
    assert assets.sweep(now_ms() + 2 * DAY_MS) == 1
    assert [item.path for item in objects.list("sha256")] == [assets.path_of(asset)]


def test_a_damaged_object_is_not_handed_out(assets: Assets, account: int, objects: Objects, tmp_path: Path) -> None:
    asset = assets.store(account, kept(tmp_path / "f", b"film"), "video/mp4")
    objects.put(assets.path_of(asset), b"fi1m")
    with pytest.raises(Missing, match="damaged"):
        assets.fetch(asset.digest, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_pages(assets: Assets, account: int, tmp_path: Path, database: Database) -> None:
    made = [assets.store(account, kept(tmp_path / "f", b"%d" % index), "video/mp4") for index in range(7)]
    with database.write() as c:
        for index, asset in enumerate(made):
            c.execute(sa.update(table).where(table.c.digest == asset.digest).values(created_at=1000 + index))
    newest = [asset.digest for asset in reversed(made)]
    assert [asset.digest for asset in assets.page(account)] == newest
    assert [asset.digest for asset in assets.page(account, limit=3, offset=2)] == newest[2:5]


def test_naming_and_deleting_at_once_lose_nothing(
    assets: Assets, account: int, other: int, objects: Objects, tmp_path: Path
) -> None:
    file = kept(tmp_path / "f", b"a film that two accounts have")
    done = threading.Event()

    def come_and_go() -> None:
        while not done.is_set():
            asset = assets.store(other, file, "video/mp4")
            assets.delete(other, asset.digest)

    with ThreadPoolExecutor(2) as pool:
        going = pool.submit(come_and_go)
        try:
            for index in range(25):
                asset = assets.store(account, file, "video/mp4")
                assets.fetch(asset.digest, tmp_path / f"copy{index}")  # named: nobody may take it away
                assets.delete(account, asset.digest)
        finally:
            done.set()
        going.result(timeout=30)
    assert objects.list("sha256") == []


# Links


def parts(link: str) -> dict[str, str]:
    split = urlsplit(link)
    _, files, digest, name = split.path.split("/")
    assert files == "files"
    query = {key: values[0] for key, values in parse_qs(split.query).items()}
    return {"digest": digest, "name": unquote(name), **query}


def checked(assets: Assets, told: dict[str, str]) -> Asset:
    return assets.check_link(told["digest"], told["name"], told["account"], told["until"], told["sign"])


def test_a_link_leads_to_its_asset(assets: Assets, account: int, tmp_path: Path) -> None:
    asset = assets.store(account, kept(tmp_path / "f", b"film"), "video/mp4")
    for name in ("", "film.mp4", "a film.mp4", "猫.mp4"):
        told = parts(assets.link(account, asset.digest, name=name))
        assert told["name"] == (name or "file.mp4")
        assert checked(assets, told) == asset
        assert assets.check_link(told["digest"], told["name"], account, int(told["until"]), told["sign"]) == asset
    assert int(told["until"]) == pytest.approx(now_ms() / 1000 + 86_400, abs=5)


def test_a_link_that_was_changed_leads_nowhere(assets: Assets, account: int, other: int, tmp_path: Path) -> None:
    asset = assets.store(account, kept(tmp_path / "f", b"film"), "video/mp4")
    theirs = assets.store(other, kept(tmp_path / "g", b"another film"), "video/mp4")
    told = parts(assets.link(account, asset.digest, name="film.mp4"))
    flipped = told["sign"][:-1] + ("0" if told["sign"][-1] != "0" else "1")
    for key, values in {
        "digest": (theirs.digest, "0" * 64), "name": ("film.html", "", "film.mp4 ", "film.mp4\n"),
        "account": (str(other), "0", "0" + told["account"], "٣", told["account"] + " "),
        "until": (str(int(told["until"]) + 1), "9" * 18, "+" + told["until"]),
        "sign": ("", "0" * 64, told["sign"][:-1], told["sign"].upper(), flipped, "ä", "\ud800", told["sign"] + "0"),
    }.items():  # fmt: skip
        for value in values:
            with pytest.raises(Forbidden, match="not one of ours"):
                checked(assets, {**told, key: value})
    assert checked(assets, told) == asset


def test_a_link_ends(assets: Assets, account: int, tmp_path: Path) -> None:
    asset = assets.store(account, kept(tmp_path / "f", b"film"), "video/mp4")
    with pytest.raises(Forbidden, match="This link is over"):
        checked(assets, parts(assets.link(account, asset.digest, seconds=-1)))
    told = parts(assets.link(account, asset.digest, seconds=60))
    assert checked(assets, told) == asset
    assets.delete(account, asset.digest)
    with pytest.raises(Missing):
        checked(assets, told)


def test_another_secret_signs_other_links(
    database: Database, objects: Objects, settings: Settings, account: int, tmp_path: Path
) -> None:
    others = settings.model_copy(update={"secret": "another secret of more than 32 letters"})
    ours = Assets(database, objects, Sealer(settings), settings)
    theirs = Assets(database, objects, Sealer(others), others)
    asset = ours.store(account, kept(tmp_path / "f", b"film"), "video/mp4")
    with pytest.raises(Forbidden):
        checked(ours, parts(theirs.link(account, asset.digest)))
