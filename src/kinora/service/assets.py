"""Assets: files of an account, by the sha256 of what is stored. Two accounts with the same file share its object and
know nothing of each other.

An object goes when no asset names it any more. Naming and deleting the same object take turns (`_turn`): whoever names
it afterwards finds it gone and puts it again.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

import sqlalchemy as sa
from sqlalchemy import Connection

from kinora.service.errors import Forbidden, Missing
from kinora.service.guard import Guard, Limits
from kinora.service.objects import Objects, digest_path, is_digest
from kinora.service.sealing import Sealer
from kinora.service.settings import Settings
from kinora.service.store import Database, now_ms
from kinora.service.store.tables import assets
from kinora.service.uploads import SUFFIXES, disposition, label

__all__ = ["Asset", "Assets", "headers_for"]

DAY_MS = 86_400_000
SHOWN = ("image/png", "image/jpeg", "video/mp4", "audio/wav")
"""What a browser may show in place; everything else is saved."""
KINDS = {"image": "image", "video": "video", "audio": "audio"}
SIMPLE = re.compile(r"\w[\w .-]{0,199}")
"""Names that stand in a URL as they are."""
MOST = 500
"""Assets in a page."""


@dataclass(frozen=True, kw_only=True)
class Asset:
    """A file of an account; each field is a column."""

    account_id: int
    digest: str
    kind: str
    """image, video, audio, file."""
    origin: str
    """upload, url, output, work."""
    name: str
    media_type: str
    bytes: int
    width: int = 0
    height: int = 0
    frames: int = 0
    frame_rate: float = 0.0
    ours: bool = False
    """Made by Kinora: shows no real person."""
    created_at: int
    expires_at: int | None = None
    """Milliseconds since 1970, as `created_at`; None: kept until deleted."""


class Assets:
    """Files in, files out. Safe to use from several threads."""

    def __init__(
        self, database: Database, objects: Objects, sealer: Sealer, settings: Settings, guard: Guard | None = None
    ) -> None:
        """`guard` makes strangers' files plain; without one, one of the settings' limits."""
        self._database = database
        self._objects = objects
        self._sealer = sealer
        self._settings = settings
        self.guard = guard or Guard(Limits.of(settings))

    # In

    def take(
        self,
        account_id: int,
        file: Path,
        name: str,
        *,
        origin: str = "upload",
        want: Sequence[str] = ("image", "video", "audio"),
    ) -> Asset:
        """Keep what a stranger's file shows, made plain in a process of its own. `want` is of "image", "mask" (a
        picture whose opacity is kept as the mask), "video", "audio" and "speech".

        Raises `Invalid` for a file that is not taken, which leaves nothing behind. `file` stays where it is.
        """
        with tempfile.TemporaryDirectory(prefix="kinora-plain-") as folder:
            target = Path(folder, "plain")
            plain = self.guard.make_plain(file, target, tuple(want))
            ours = self._made_here(_digest_of(file)[0])
            return self._keep(
                target,
                Asset(
                    account_id=account_id, digest="", kind=plain.kind, origin=origin,
                    name=label(name, plain.media_type), media_type=plain.media_type, bytes=0, width=plain.width,
                    height=plain.height, frames=plain.frames, frame_rate=plain.frame_rate, ours=ours,
                    created_at=now_ms(),
                ),
            )  # fmt: skip

    def store(
        self,
        account_id: int,
        file: Path,
        media_type: str,
        *,
        origin: str = "output",
        name: str = "",
        width: int = 0,
        height: int = 0,
        frames: int = 0,
        frame_rate: float = 0.0,
        ours: bool = True,
    ) -> Asset:
        """Keep a file of our own making as it is."""
        return self._keep(
            file,
            Asset(
                account_id=account_id, digest="", kind=KINDS.get(media_type.partition("/")[0], "file"), origin=origin,
                name=label(name or origin, media_type), media_type=media_type, bytes=0, width=width, height=height,
                frames=frames, frame_rate=frame_rate, ours=ours, created_at=now_ms(),
            ),
        )  # fmt: skip

    def _made_here(self, digest: str) -> bool:
        """Whether a file that somebody sends is one that Kinora has made, to the byte."""
        same = (assets.c.digest == digest) & assets.c.ours & (assets.c.origin == "output")
        with self._database.read() as c:
            return c.execute(sa.select(assets.c.digest).where(same).limit(1)).first() is not None

    def _keep(self, file: Path, told: Asset) -> Asset:
        digest, size = _digest_of(file)
        days = self._settings.retention_days
        expires_at = told.created_at + round(days * DAY_MS) if days > 0 else None
        row = asdict(told) | {"digest": digest, "bytes": size, "expires_at": expires_at}
        path = digest_path(digest)
        if not self._objects.has(path):
            self._objects.put(path, file)
        while True:
            with self._database.write() as c:
                self._turn(c, digest)
                if self._objects.has(path):
                    return _named(c, row)
            self._objects.put(path, file)  # deleted in between, with its last asset

    # Out

    def get(self, account_id: int, digest: str) -> Asset:
        """The account's asset; raises `Missing` for another's, too, and for one whose time is over."""
        mine = (assets.c.account_id == account_id) & (assets.c.digest == digest)
        row = None
        if is_digest(digest):
            with self._database.read() as c:
                row = c.execute(sa.select(assets).where(mine, _alive(now_ms()))).one_or_none()
        if row is None:
            raise Missing(f"There is no asset {digest[:64]!r} in this account; it may have expired. Upload it again.")
        return Asset(**row._mapping)

    def page(
        self,
        account_id: int,
        *,
        kinds: Sequence[str] = (),
        origins: Sequence[str] = (),
        limit: int = 30,
        offset: int = 0,
    ) -> list[Asset]:
        """The account's assets, newest first."""
        asked = sa.select(assets).where(assets.c.account_id == account_id, _alive(now_ms()))
        if kinds:
            asked = asked.where(assets.c.kind.in_(kinds))
        if origins:
            asked = asked.where(assets.c.origin.in_(origins))
        asked = asked.order_by(assets.c.created_at.desc(), assets.c.digest).limit(min(limit, MOST)).offset(offset)
        with self._database.read() as c:
            return [Asset(**row._mapping) for row in c.execute(asked)]

    def path_of(self, asset: Asset | str) -> str:
        """Where an asset or a digest lies in the object store."""
        return digest_path(asset if isinstance(asset, str) else asset.digest)

    def fetch(self, digest: str, into: Path) -> None:
        """Copy a file; raises `Missing` where there is none, or another lies in its place."""
        self._objects.get(digest_path(digest), into)
        if _digest_of(into)[0] != digest:
            into.unlink()
            raise Missing(f"The file {digest} is damaged in the object store; restore it from a backup.")

    # Links

    def link(self, account_id: int, digest: str, *, name: str = "", seconds: float | None = None) -> str:
        """Path and query of a URL that is good for `seconds` (the settings' where None) and needs no key."""
        good = self._settings.link_seconds if seconds is None else seconds
        shown = name if SIMPLE.fullmatch(name) else label(name, self.get(account_id, digest).media_type)
        until = int(now_ms() / 1000 + good)
        sign = self._sealer.sign(_signed(digest, shown, account_id, until))
        query = urlencode({"account": account_id, "until": until, "sign": sign})
        return f"/files/{digest}/{quote(shown, safe='')}?{query}"

    def check_link(self, digest: str, name: str, account: int | str, until: int | str, sign: str) -> Asset:
        """The asset that a link leads to; raises `Forbidden` when the link is forged or over, `Missing` when the asset
        is gone.
        """
        if not self._sealer.matches(_signed(digest, name, account, until), sign):
            raise Forbidden("This link is not one of ours, or was changed. Ask for the file's link again.")
        if int(until) <= now_ms() / 1000:
            raise Forbidden("This link is over. Ask for the file's link again.")
        return self.get(int(account), digest)

    # Away

    def delete(self, account_id: int, digest: str) -> None:
        """Take an asset from an account, and its file where nobody else has it; raises `Missing`."""
        self.get(account_id, digest)
        self._drop(account_id, digest)

    def expire(self, now: int) -> int:
        """Delete the assets whose time is over at `now` (milliseconds); returns how many these were."""
        due = sa.select(assets.c.account_id, assets.c.digest).where(assets.c.expires_at <= now)
        with self._database.read() as c:
            rows = c.execute(due).all()
        for account_id, digest in rows:
            self._drop(account_id, digest, now)
        return len(rows)

    def sweep(self, now: int, *, age_ms: int = DAY_MS) -> int:
        """Delete objects that no asset names and that are older than `age_ms`: a process died between putting and
        naming them. Returns how many these were.
        """
        count = 0
        for item in self._objects.list("sha256"):
            digest = item.path.removeprefix("sha256/").replace("/", "")
            if item.changed_ms < now - age_ms:
                count += self._drop_object(digest)
        return count

    def _drop(self, account_id: int, digest: str, now: int | None = None) -> None:
        mine = (assets.c.account_id == account_id) & (assets.c.digest == digest)
        if now is not None:  # not one that was taken again meanwhile
            mine &= assets.c.expires_at <= now
        with self._database.write() as c:
            self._turn(c, digest)
            c.execute(sa.delete(assets).where(mine))
        self._drop_object(digest)

    def _drop_object(self, digest: str) -> int:
        """Delete an object that no asset names; returns 1 if it did."""
        with self._database.write() as c:
            self._turn(c, digest)
            if c.execute(sa.select(assets.c.digest).where(assets.c.digest == digest).limit(1)).first() is not None:
                return 0
            self._objects.delete(digest_path(digest))
        return 1

    def _turn(self, c: Connection, digest: str) -> None:
        """Wait until nobody else names or deletes this digest. SQLite has one writer anyway."""
        if not self._database.is_sqlite:
            number = int.from_bytes(hashlib.sha256(b"asset " + digest.encode()).digest()[:8], signed=True)
            c.execute(sa.select(sa.func.pg_advisory_xact_lock(number)))


def headers_for(asset: Asset, name: str = "") -> dict[str, str]:
    """What goes with a file over HTTP, so that a browser runs nothing of it: its type is ours and is not guessed at,
    and only pictures, films and sound are shown in place.
    """
    known = asset.media_type if asset.media_type in SUFFIXES else "application/octet-stream"
    return {
        "Content-Type": known,
        "Content-Disposition": disposition(label(name or asset.name, known), shown=known in SHOWN),
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, max-age=3600",
    }


def _named(c: Connection, row: dict[str, object]) -> Asset:
    """The row, new or kept for longer: who brings a file again means it."""
    mine = (assets.c.account_id == row["account_id"]) & (assets.c.digest == row["digest"])
    before = c.execute(sa.select(assets).where(mine)).one_or_none()
    if before is None:
        c.execute(sa.insert(assets).values(row))
        return Asset(**row)  # type: ignore[arg-type]  # every column, as the table has it
    changed = {"expires_at": row["expires_at"], "ours": before.ours or row["ours"]}
    c.execute(sa.update(assets).where(mine).values(changed))
    return Asset(**{**before._mapping, **changed})


def _alive(now: int) -> sa.ColumnElement[bool]:
    return sa.or_(assets.c.expires_at.is_(None), assets.c.expires_at > now)


def _digest_of(file: Path) -> tuple[str, int]:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest(), os.fstat(opened.fileno()).st_size


def _signed(digest: str, name: str, account: int | str, until: int | str) -> bytes:
    """What a signature is over. No part holds a line's end: the last one is the name, whatever it holds."""
    return f"file\n{digest}\n{account}\n{until}\n{name}".encode("utf-8", "replace")
