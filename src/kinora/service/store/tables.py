"""The tables. Times are milliseconds since 1970, ids time-ordered numbers (`ids`), units whole numbers.

A table belongs to one module of the service, named in its comment; others read it and write through that module.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)  # fmt: skip
from sqlalchemy.sql.schema import SchemaItem

__all__ = [
    "accounts", "answers", "assets", "books", "consents", "deliveries", "elements", "entries", "events", "feedback",
    "grants", "keys", "metadata", "models", "numbers", "outputs", "secrets", "tasks", "transfers", "workers",
]  # fmt: skip

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite counts rows up by itself only in a column of exactly this type.
COUNTED = BigInteger().with_variant(Integer, "sqlite")


def _id() -> Column[int]:
    return Column("id", BigInteger, primary_key=True, autoincrement=False)


def _account(*, index: bool = False) -> Column[int]:
    return Column("account_id", BigInteger, ForeignKey("accounts.id"), nullable=False, index=index)


def _when(name: str, *, needed: bool = True) -> Column[int]:
    return Column(name, BigInteger, nullable=not needed)


def _table(name: str, *columns: SchemaItem) -> Table:
    return Table(name, metadata, *columns)


# accounts.py

accounts = _table(
    "accounts",
    _id(),
    Column("name", String(100), nullable=False, unique=True),  # logs in with it
    Column("role", String(16), nullable=False),  # member, admin
    Column("state", String(16), nullable=False),  # active, suspended, closed
    Column("plan", String(32), nullable=False),  # a key of plans.PLANS
    Column("language", String(8), nullable=False),  # zh, en: of labels and mails
    Column("password", Text),  # argon2, None: keys alone open it
    Column("video_slots", Integer, nullable=False, default=0),  # held by tasks that have not ended
    Column("image_slots", Integer, nullable=False, default=0),
    Column("turn", BigInteger, nullable=False, default=0),  # of its last task (fairness, see tasks.py)
    _when("created_at"),
)

keys = _table(
    "keys",
    _id(),
    _account(index=True),
    Column("kind", String(16), nullable=False),  # key (opaque), pair (access and secret key), session (studio)
    Column("name", String(100), nullable=False),
    Column("shown", String(16), nullable=False),  # its beginning, to tell keys apart
    Column("hash", String(64), unique=True),  # sha256 of an opaque key or session
    Column("access_key", String(64), unique=True),
    Column("sealed", LargeBinary),  # the secret key, encrypted: signatures are checked with it
    _when("created_at"),
    _when("expires_at", needed=False),
    _when("revoked_at", needed=False),
    _when("used_at", needed=False),
)

# ledger.py: a transfer moves units between books of one account; its entries sum to zero and never change (triggers of
# the first migration refuse it)

LOT = text("kind = 'grant'")
HOUSE = text("kind IN ('issued', 'earned', 'expired')")

books = _table(
    "books",
    _id(),
    _account(),
    # grant, hold (closed once it is over and empty); the house's side of the account: issued, earned, expired
    Column("kind", String(16), nullable=False),
    Column("grant_id", BigInteger, ForeignKey("grants.id")),
    Column("task_id", BigInteger),  # of a hold
    Column("balance", BigInteger, nullable=False, default=0),  # always the sum of its entries
    _when("expires_at", needed=False),  # of a lot; ledger.NEVER where it does not
    # What is issued is owed: the one kind of book that goes below zero.
    CheckConstraint("balance >= 0 OR kind = 'issued'", name="not_overdrawn"),
    Index(None, "account_id", "kind", "expires_at"),
    Index("ix_books_over", "expires_at", sqlite_where=LOT, postgresql_where=LOT),
    Index("uq_books_house", "account_id", "kind", unique=True, sqlite_where=HOUSE, postgresql_where=HOUSE),
    UniqueConstraint("task_id"),
)

grants = _table(
    "grants",
    _id(),
    _account(index=True),
    Column("source", String(64), nullable=False),  # plan:daily:<plan>, plan:monthly:<plan>, gift, purchase
    Column("period", String(128), nullable=False),  # 2026-11, 2026-11-23, or a provider's id: given once
    Column("amount", BigInteger, nullable=False),
    _when("created_at"),
    _when("expires_at", needed=False),
    UniqueConstraint("account_id", "source", "period"),
)

transfers = _table(
    "transfers",
    _id(),
    Column("kind", String(16), nullable=False),  # grant, hold, settle, release, expire
    Column("account_id", BigInteger, ForeignKey("accounts.id"), nullable=False),
    Column("task_id", BigInteger),
    Column("token", String(64), nullable=False, unique=True),  # names the act, so that it happens once
    _when("created_at"),
    Index(None, "account_id", "id"),
    Index(None, "task_id"),
)

entries = _table(
    "entries",
    Column("transfer_id", BigInteger, ForeignKey("transfers.id"), primary_key=True),
    Column("book_id", BigInteger, ForeignKey("books.id"), primary_key=True, index=True),
    Column("amount", BigInteger, nullable=False),
)

# tasks.py

tasks = _table(
    "tasks",
    _id(),  # the id of its durable workflow too
    _account(),
    Column("kind", String(32), nullable=False),  # a value of tasks.KINDS
    Column("state", String(16), nullable=False),  # submitted, processing, succeed, failed, cancelled
    Column("model", String(100), nullable=False),  # the model that makes it, a name of the catalogue
    Column("request", JSON, nullable=False),  # kinora.core Request.to_record(); materials name assets
    Column("options", JSON, nullable=False),  # what else the maker is told: count, label, marked (see tasks.Options)
    Column("wire", JSON, nullable=False),  # what a wire format wants to show again: family, path, words as asked
    Column("external_id", String(255)),
    Column("callback_url", Text),
    Column("parent_id", BigInteger),  # the output that it goes on from or remixes
    Column("slot_kind", String(8), nullable=False),  # video, image
    Column("slots", Integer, nullable=False),
    Column("units", BigInteger, nullable=False),  # held at submit
    Column("charged", BigInteger),  # settled; None while it runs
    Column("turn", BigInteger, nullable=False),  # its place in the queue
    Column("paused", Boolean, nullable=False, default=False),
    Column("cancelling", Boolean, nullable=False, default=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("epoch", Integer, nullable=False, default=0),  # counts leases; a writer with an older one is refused
    Column("worker_id", String(64)),
    Column("stage", String(16)),
    Column("done", Integer, nullable=False, default=0),
    Column("total", Integer, nullable=False, default=0),
    Column("seconds_left", Float),
    Column("expected", Float),  # seconds of work as planned
    Column("code", String(32)),  # of the failure, a value of tasks.FAILURES
    Column("message", Text),
    _when("created_at"),
    _when("updated_at"),
    _when("started_at", needed=False),
    _when("ended_at", needed=False),
    _when("deleted_at", needed=False),
    UniqueConstraint("account_id", "external_id"),
    Index(None, "account_id", "id"),
    Index(None, "state", "turn"),
)

outputs = _table(
    "outputs",
    _id(),
    _account(),
    Column("task_id", BigInteger, ForeignKey("tasks.id"), nullable=False),
    Column("place", Integer, nullable=False),  # 0, 1, ... within the task
    Column("kind", String(8), nullable=False),  # video, image
    Column("digest", String(64), nullable=False),
    Column("marked", String(64)),  # digest of the copy with a visible mark throughout, where one was asked for
    Column("thumbnail", String(64)),
    Column("media_type", String(64), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("frames", Integer, nullable=False),
    Column("seconds", Float, nullable=False),
    _when("created_at"),
    _when("expires_at"),
    _when("deleted_at", needed=False),
    UniqueConstraint("task_id", "place"),
    Index(None, "account_id", "id"),
)

events = Table(
    "events",
    metadata,
    Column("id", COUNTED, primary_key=True, autoincrement=True),  # SSE's Last-Event-ID
    _account(),
    Column("task_id", BigInteger, ForeignKey("tasks.id"), nullable=False),
    Column("kind", String(16), nullable=False),  # state, progress, preview, note
    Column("body", JSON, nullable=False),
    _when("created_at"),
    Index(None, "account_id", "id"),
    Index(None, "task_id", "id"),
    sqlite_autoincrement=True,  # a number is never used twice
)

answers = _table(
    "answers",
    Column("account_id", BigInteger, ForeignKey("accounts.id"), primary_key=True),
    Column("key", String(255), primary_key=True),  # Idempotency-Key
    Column("asked", String(64), nullable=False),  # sha256 of route and body
    Column("status", Integer),  # None while the first is under way
    Column("body", LargeBinary),
    Column("task_id", BigInteger),
    _when("created_at"),
)

numbers = _table(
    "numbers",
    Column("name", String(64), primary_key=True),  # turn: where the queue stands
    Column("value", BigInteger, nullable=False),
)

workers = _table(
    "workers",
    Column("id", String(64), primary_key=True),
    Column("host", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("device", String(64), nullable=False),
    Column("models", JSON, nullable=False),
    Column("state", String(16), nullable=False),  # live, draining, dead, gone
    _when("started_at"),
    _when("beat_at"),
    Index(None, "state", "beat_at"),
)

# assets.py, elements.py, consents

assets = _table(
    "assets",
    Column("account_id", BigInteger, ForeignKey("accounts.id"), primary_key=True),
    Column("digest", String(64), primary_key=True),  # sha256 of the stored file
    Column("kind", String(8), nullable=False),  # image, video, audio, file
    Column("origin", String(16), nullable=False),  # upload, url, output, work
    Column("name", String(255), nullable=False),
    Column("media_type", String(64), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("width", Integer, nullable=False, default=0),
    Column("height", Integer, nullable=False, default=0),
    Column("frames", Integer, nullable=False, default=0),
    Column("frame_rate", Float, nullable=False, default=0.0),
    Column("ours", Boolean, nullable=False, default=False),  # made by Kinora: shows no real person
    _when("created_at"),
    _when("expires_at", needed=False),
    Index(None, "digest"),
    Index(None, "expires_at"),
)

consents = _table(
    "consents",
    _id(),
    _account(),
    Column("digest", String(64), nullable=False),  # the asset that shows a person
    Column("person", String(200), nullable=False),  # who agreed, as the account holder states
    Column("statement", Text, nullable=False),
    _when("created_at"),
    _when("revoked_at", needed=False),
    Index(None, "account_id", "digest"),
)

elements = _table(
    "elements",
    Column("id", BigInteger, primary_key=True, autoincrement=False),  # below 2**53: JavaScript reads it as a number
    _account(index=True),
    Column("name", String(20), nullable=False),
    Column("description", String(100), nullable=False),
    Column("body", JSON, nullable=False),  # digests of its pictures and films, voice, tags
    _when("created_at"),
    _when("deleted_at", needed=False),
)

# webhooks.py

secrets = _table(
    "secrets",
    Column("account_id", BigInteger, ForeignKey("accounts.id"), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),  # signs callbacks
    Column("before", LargeBinary),  # the one before it, which signs too until `until`
    _when("until", needed=False),
)

deliveries = _table(
    "deliveries",
    _id(),  # webhook-id
    _account(),
    Column("task_id", BigInteger, nullable=False),
    Column("url", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("state", String(16), nullable=False),  # waiting, done, dead
    Column("attempts", Integer, nullable=False, default=0),
    _when("next_at"),
    Column("answer", String(200)),  # how the last attempt went
    _when("created_at"),
    Index(None, "state", "next_at"),
    Index(None, "task_id"),
)

# feedback.py, catalogue.py

feedback = _table(
    "feedback",
    _id(),
    _account(),
    Column("task_id", BigInteger, ForeignKey("tasks.id"), nullable=False),
    Column("output_id", BigInteger),
    Column("kind", String(16), nullable=False),  # rating, chosen, kept, deleted
    Column("value", Integer),
    Column("over", JSON),  # of a choice: the outputs not chosen
    Column("words", Text),
    _when("created_at"),
    Index(None, "account_id", "task_id"),
)

models = _table(
    "models",
    Column("name", String(100), primary_key=True),
    Column("version", String(64), primary_key=True),  # hash of its weights
    Column("card", JSON, nullable=False),
    _when("first_seen_at"),
)
