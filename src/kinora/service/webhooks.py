"""Callbacks: queued in the transaction that changes a task, signed, sent by threads, tried again for three days.

`Webhooks` is what the service queues with and accounts see; `Sender` is the loop that sends, of which any number of
processes may run one.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC
from email.utils import parsedate_to_datetime

from sqlalchemy import Connection, select, update
from sqlalchemy.exc import SQLAlchemyError

from kinora.core.errors import KinoraError
from kinora.service import deliveries
from kinora.service.addresses import place_of
from kinora.service.deliveries import Delivery, Result
from kinora.service.errors import Invalid, TooManyRequests
from kinora.service.lanes import THREADS, Lanes
from kinora.service.observing import log
from kinora.service.outside import Answer, post
from kinora.service.sealing import Sealer
from kinora.service.settings import Settings
from kinora.service.signing import Secrets, signed_headers
from kinora.service.store import Database, now_ms, tables

__all__ = ["Sender", "Webhooks"]

TIMEOUT = 15.0
"""Seconds for one attempt, looking up the host included."""
POLL_SECONDS = 0.2
TEST_TASK = 0
"""The task of a test callback."""
TEST_GAP_MS = 6_000
"""Kling allows one test callback in six seconds."""


class Webhooks:
    """The callbacks of accounts, and the secrets that sign them."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._secrets = Secrets(sealer)

    def secret(self, account_id: int, *, now: int | None = None) -> str | None:
        """The account's secret (`whsec_...`), or None where its callbacks are not signed."""
        with self._database.read() as c:
            return next(iter(self._secrets.valid(c, account_id, now_ms() if now is None else now)), None)

    def rotate(self, account_id: int, *, emergency: bool = False, now: int | None = None) -> str:
        """A new secret, or the first. The old one signs for seven days more, unless it is an emergency."""
        with self._database.write() as c:
            return self._secrets.replace(c, account_id, now_ms() if now is None else now, emergency=emergency)

    def unsign(self, account_id: int) -> bool:
        """Take the secret away; False where there was none."""
        with self._database.write() as c:
            return self._secrets.remove(c, account_id)

    def queue(self, c: Connection, account_id: int, task_id: int, url: str, body: bytes, now: int | None = None) -> int:
        """Queue a callback in the caller's transaction; its id stays the same over all attempts. Refuses nothing: a
        task must be able to end whatever its callback's address has become.
        """
        with suppress(Invalid):
            url = place_of(url, loopback=True).url
        return deliveries.add(c, account_id, task_id, url, body, now_ms() if now is None else now)

    def test(self, account_id: int, url: str, body: bytes, *, settings: Settings, now: int | None = None) -> Answer:
        """Post a body at once and once, signed as the others are, and give the answer.

        Raises:
            TooManyRequests: the last test was less than six seconds ago.
            Invalid: the address may not be used or does not answer.
        """
        at = now_ms() if now is None else now
        table = tables.deliveries
        with self._database.write() as c:
            # The account's row is locked, so that of two tests at once the second sees the first.
            c.execute(select(tables.accounts.c.id).where(tables.accounts.c.id == account_id).with_for_update())
            mine = select(table.c.created_at).where(table.c.task_id == TEST_TASK, table.c.account_id == account_id)
            last = c.execute(mine.order_by(table.c.id.desc()).limit(1)).scalar()
            if last is not None and at - last < TEST_GAP_MS:
                wait = (last + TEST_GAP_MS - at) / 1000
                raise TooManyRequests(f"Test callbacks are 6 s apart; wait {wait:.1f} s.", retry_after=wait)
            test_id = self.queue(c, account_id, TEST_TASK, url, body, at)
            c.execute(update(table).where(table.c.id == test_id).values(state="dead", attempts=1))
            secrets = self._secrets.valid(c, account_id, at)
        answer = post(url, body, signed_headers(secrets, str(test_id), at // 1000, body), settings=settings)
        with self._database.write() as c:
            state = "done" if 200 <= answer.status < 300 else "dead"
            c.execute(update(table).where(table.c.id == test_id).values(state=state, answer=str(answer.status)))
        return answer

    def page(self, account_id: int, *, limit: int = 30, before: int | None = None) -> list[Delivery]:
        """An account's callbacks, the newest first; `before` is the last id of the page before."""
        with self._database.read() as c:
            return deliveries.page(c, account_id, limit=limit, before=before)

    def counts(self) -> dict[str, int]:
        """How many callbacks are waiting, done and dead."""
        with self._database.read() as c:
            return deliveries.counts(c)

    def expire(self, c: Connection, before: int) -> int:
        """Forget callbacks made before a time that are done or dead; how many."""
        return deliveries.expire(c, before)


class Sender:
    """Sends what is due. A process needs one; several share the work."""

    def __init__(
        self,
        database: Database,
        sealer: Sealer,
        settings: Settings,
        *,
        timeout: float = TIMEOUT,
        gaps: Sequence[float] = deliveries.GAPS,
    ) -> None:
        """`timeout` of an attempt and the `gaps` between attempts are in seconds. A lease is twice the timeout."""
        self._database = database
        self._secrets = Secrets(sealer)
        self._settings = settings
        self._timeout = timeout
        self._gaps = gaps
        self._lanes = Lanes()
        self._log = log("kinora.webhooks")

    def run(self, stop: threading.Event) -> None:
        """Send until `stop` is set; then end what is under way, which takes an attempt's time at most."""
        with ThreadPoolExecutor(THREADS, thread_name_prefix="callback") as pool:
            while not stop.is_set():
                self._lanes.freed.clear()
                try:
                    chosen = self._claim(now_ms(), THREADS)
                except SQLAlchemyError as error:
                    self._log.warning("callbacks wait for the database", error=str(error))
                    stop.wait(1.0)
                    continue
                for delivery in chosen:
                    pool.submit(self._deliver, delivery, None)
                if not chosen:
                    self._lanes.freed.wait(POLL_SECONDS)

    def send_due(self, now: int | None = None, limit: int = THREADS) -> int:
        """Send up to `limit` callbacks that are due at `now`, wait for their answers, and say how many were sent."""
        chosen = self._claim(now_ms() if now is None else now, limit)
        with ThreadPoolExecutor(max(1, len(chosen)), thread_name_prefix="callback") as pool:
            for delivery in chosen:
                pool.submit(self._deliver, delivery, now)
        return len(chosen)

    def _claim(self, now: int, limit: int) -> list[Delivery]:
        free = min(limit, self._lanes.free())
        with self._database.read() as c:
            if not free or not deliveries.due(c, now):
                return []
        accounts, origins = self._lanes.full()
        entered: list[Delivery] = []

        def admits(delivery: Delivery) -> bool:
            if not self._lanes.enter(delivery):
                return False
            entered.append(delivery)
            return True

        try:
            with self._database.write() as c:
                return deliveries.claim(
                    c,
                    now,
                    free,
                    lease_ms=round(self._timeout * 2000),
                    admits=admits,
                    not_accounts=accounts,
                    not_origins=origins,
                )
        except BaseException:
            for delivery in entered:
                self._lanes.leave(delivery, None)
            raise

    def _deliver(self, delivery: Delivery, now: int | None) -> None:
        result = None
        try:
            result = self._attempt(delivery, now_ms() if now is None else now)
            with self._database.write() as c:
                deliveries.record(c, delivery, result, now_ms() if now is None else now, self._gaps)
        except SQLAlchemyError as error:
            # Not written down, so sent again when the lease is over.
            self._log.warning("a callback's answer was not kept", id=str(delivery.id), error=str(error))
        finally:
            self._lanes.leave(delivery, result)

    def _attempt(self, delivery: Delivery, now: int) -> Result:
        with self._database.read() as c:
            try:
                secrets = self._secrets.valid(c, delivery.account_id, now)
            except KinoraError as error:
                self._log.error("a callback cannot be signed", id=str(delivery.id), error=str(error))
                return Result(answer="not signed")
        headers = signed_headers(secrets, str(delivery.id), now // 1000, delivery.body)
        try:
            answer = post(delivery.url, delivery.body, headers, settings=self._settings, timeout=self._timeout)
        except Invalid as error:
            return Result(answer=error.message, heard=False)
        return _judged(answer, now)


def _judged(answer: Answer, now: int) -> Result:
    text = str(answer.status)
    if 200 <= answer.status < 300:
        return Result(done=True, answer=text)
    if answer.status == 410:
        return Result(dead=True, answer=text)
    asked = answer.headers.get("retry-after", "") if answer.status in (429, 503) else ""
    return Result(answer=text, wait=_seconds(asked, now))


def _seconds(retry_after: str, now: int) -> float:
    """Of a Retry-After: a number of seconds, or a date; 0 of anything else."""
    if retry_after.strip().isdecimal():
        return float(retry_after[:9])
    with suppress(ValueError, OverflowError):
        date = parsedate_to_datetime(retry_after)
        return max(0.0, date.replace(tzinfo=date.tzinfo or UTC).timestamp() - now / 1000)
    return 0.0
