"""One task, carried from its lease to its end: the worker's side of the model process."""

from __future__ import annotations

import base64
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from kinora.core.errors import MediaError, OutputError
from kinora.service.errors import Missing, Unavailable
from kinora.service.observing import log as logger
from kinora.service.service import Service
from kinora.service.tasks import Fenced, Lease, Outcome, Progress, Refusal
from kinora.worker.events import Cancel, Cancelled, Failed, Job, Made, Make, Preview, Saved
from kinora.worker.events import Progress as Step
from kinora.worker.model_process import Gone, ModelProcess, Silence
from kinora.worker.publishing import Publisher
from kinora.worker.workplace import Workplace

__all__ = ["Carrier", "Leaving"]

log = logger("kinora.worker")

TELL_SECONDS = 0.5
"""Progress is written so often at most; in between, only whether the task is still wanted is asked."""
HEAR_SECONDS = 0.25
BEAT_LIMIT = 15.0
"""A model process that has not been heard of for so long hangs altogether."""
AGAIN_SECONDS = 1.0
MOST_SECONDS = 10.0
"""Between two tries, at most."""
OUTAGE_SECONDS = 600.0
"""How long object store, disk or database may fail before it costs the task an attempt."""
DATABASE = (OperationalError, InterfaceError, PoolTimeout)
OUTAGES = (*DATABASE, Unavailable, OutputError, OSError)

LEAST_ROOM = 256 * 2**20
"""Bytes that the disk must have free for a task to begin: a worker without them would fail one task after the other."""

Result = TypeVar("Result")


class Leaving(Exception):
    """The worker is to end; the task goes back to the queue."""


class Carrier:
    """Carries tasks one at a time; `leaving` says when the worker is to end."""

    def __init__(self, service: Service, worker_id: str, leaving: Callable[[], bool]) -> None:
        self._service = service
        self._leasing = service.tasks.leasing
        self._worker_id = worker_id
        self._leaving = leaving
        self._publisher = Publisher(service)
        self._model: ModelProcess | None = None
        self._root = Path(service.settings.data) / "work" / worker_id

    def carry(self, task_id: int) -> None:
        """Make a task, as often as it takes; returns when it is over, given back, or somebody else's."""
        while True:
            try:
                lease = self._leasing.lease(task_id, self._worker_id)
                if isinstance(lease, Refusal):
                    return
                if self._attempt(lease):
                    return
            except Fenced:
                log.warning("fenced", task=str(task_id))
                self.close()
                return
            except SQLAlchemyError as error:
                log.warning("database", task=str(task_id), error=str(error))
                time.sleep(AGAIN_SECONDS)

    def close(self) -> None:
        """End the model process."""
        if self._model is not None:
            self._model.kill()
            self._model = None

    def stop(self) -> None:
        """End it gently."""
        if self._model is not None:
            self._model.stop()
            self._model = None

    def _attempt(self, lease: Lease) -> bool:
        """One lease; False when the task is to be leased again."""
        workplace = Workplace(self._root, lease.task, self._service.objects, self._service.assets)
        try:
            outcome = self._outcome(lease, workplace)
            self._patiently(lambda: self._leasing.finish(lease, outcome), lease)
        except Gone as gone:
            log.warning("model process lost", task=str(lease.task.id), code=gone.code, attempt=lease.task.attempts)
            self.close()
            return False
        except Leaving:
            self._save(workplace)
            self._leasing.give_back(lease)
            return True
        except Fenced:
            workplace.leave()
            raise
        except SQLAlchemyError:
            self.close()
            raise
        except Exception:
            # The object store, the disk, or a fault of ours: the next attempt may find it better, the last one not.
            log.exception("attempt", task=str(lease.task.id), attempt=lease.task.attempts)
            self.close()
            time.sleep(AGAIN_SECONDS)
            return False
        with suppress(Unavailable):  # a sweep clears what is left
            workplace.close()
        return True

    def _outcome(self, lease: Lease, workplace: Workplace) -> Outcome:
        """How the task ends; raises `Gone`, `Fenced` or `Leaving`."""
        try:
            self._patiently(self._find_room, lease)
            self._patiently(workplace.open, lease)
            made = self._make(lease, workplace)
            if isinstance(made, Outcome):
                return made
            return self._patiently(lambda: self._publisher.published(lease.task, made, workplace.work), lease)
        except Missing as error:
            log.warning("material gone", task=str(lease.task.id), error=str(error))
            message = "A file that the task needs is there no more. Bring it again and ask for the task anew."
            return Outcome(state="failed", code="input", message=message)
        except MediaError as error:
            return Outcome(state="failed", code="media", message=str(error))

    def _patiently(self, act: Callable[[], Result], lease: Lease) -> Result:
        """Do what needs object store, disk or database, again and again while these fail: that is not the task's
        fault, nor is it worth an attempt. Raises `Leaving`, `Fenced`, and after `OUTAGE_SECONDS` what `act` raised.
        """
        until, pause = time.monotonic() + OUTAGE_SECONDS, AGAIN_SECONDS
        while True:
            try:
                return act()
            except FileNotFoundError:
                raise  # a fault of ours
            except OUTAGES as error:
                if time.monotonic() > until:
                    raise
                log.warning("waits", task=str(lease.task.id), error=str(error))
            if self._leaving():
                raise Leaving
            time.sleep(pause)
            pause = min(2 * pause, MOST_SECONDS)
            with suppress(*DATABASE):
                self._leasing.wanted(lease)

    def _find_room(self) -> None:
        """Raises `OutputError` where this host's disk is full."""
        data = self._service.settings.data
        data.mkdir(parents=True, exist_ok=True)  # a host that only works has none yet
        free = shutil.disk_usage(data).free
        if free < LEAST_ROOM:
            raise OutputError(f"The disk has {free >> 20} MB free; a task needs {LEAST_ROOM >> 20} MB. Make room.")

    def _save(self, workplace: Workplace) -> None:
        """End the model process gently; what it saves at the end goes along."""
        model, self._model = self._model, None
        if model is None:
            return
        model.stop()
        with suppress(Gone, Silence):
            while True:
                event = model.hear(HEAR_SECONDS)
                if isinstance(event, Saved):
                    self._keep(workplace, event)

    def _keep(self, workplace: Workplace, saved: Saved) -> None:
        """Copy a save to the object store; a task goes on without."""
        try:
            workplace.keep(saved.files)
        except OUTAGES as error:
            log.warning("save not kept", task=str(saved.task_id), error=str(error))

    def _make(self, lease: Lease, workplace: Workplace) -> Made | Outcome:
        """Have the model process do it; raises `Gone`, `Fenced` or `Leaving`."""
        model = self._running()
        model.say(Make(job=_job(lease, workplace, self._service.settings.save_steps)))
        watch = Watch(lease, self._service)
        while True:
            if self._leaving():
                raise Leaving
            try:
                event = model.hear(HEAR_SECONDS)
            except Silence:
                if watch.silent():
                    log.warning("model process hangs", task=str(lease.task.id))
                    model.kill()
                    raise Gone(None) from None
                watch.ask(model)
                continue
            watch.heard(event)
            if isinstance(event, Saved):
                self._keep(workplace, event)
            elif isinstance(event, Made):
                return event
            elif isinstance(event, Failed):
                if event.code == "media":
                    self._find_room()  # else it failed for this host's disk, and is not the task's fault
                return Outcome(state="failed", code=event.code, message=event.message)
            elif isinstance(event, Cancelled):
                return Outcome(state="cancelled")
            watch.ask(model)

    def _running(self) -> ModelProcess:
        if self._model is None or not self._model.running:
            self._model = ModelProcess(self._service.settings.device)
        return self._model


class Watch:
    """What is known of a job under way, and what the store is told of it."""

    def __init__(self, lease: Lease, service: Service) -> None:
        self._lease = lease
        self._leasing = service.tasks.leasing
        self._stall = service.settings.stall_seconds
        now = time.monotonic()
        self._moved = self._beat = self._told = now
        self._step: Step | None = None
        self._preview: str | None = None
        self._cancelled = False

    def heard(self, event: object) -> None:
        """An event has come."""
        now = time.monotonic()
        self._beat = now
        if isinstance(event, Step):
            self._moved, self._step = now, event
        elif isinstance(event, Preview):
            self._preview = "data:image/jpeg;base64," + base64.b64encode(event.jpeg).decode()

    def silent(self) -> bool:
        """Whether the process hangs."""
        now = time.monotonic()
        return now - self._beat > BEAT_LIMIT or now - self._moved > self._stall

    def ask(self, model: ModelProcess) -> None:
        """Tell the store how far the job is, and the model process if it is not wanted any more. Raises `Fenced`."""
        now = time.monotonic()
        if now - self._told < TELL_SECONDS:
            return
        self._told = now
        try:
            wanted = self._tell()
        except DATABASE as error:
            # Going on is right whatever becomes of the database: what is done under a lost lease is refused.
            log.warning("database", task=str(self._lease.task.id), error=str(error))
            return
        if not wanted and not self._cancelled:
            self._cancelled = True
            model.say(Cancel(task_id=self._lease.task.id))

    def _tell(self) -> bool:
        """Whether the task is wanted still."""
        step, preview = self._step, self._preview
        if step is None:
            return self._leasing.wanted(self._lease)
        progress = Progress(stage=step.stage, done=step.done, total=step.total, seconds_left=step.seconds_left)
        wanted = not self._leasing.progress(self._lease, progress, preview)
        self._step = self._preview = None
        return wanted


def _job(lease: Lease, workplace: Workplace, save_steps: int) -> Job:
    task, options = lease.task, lease.task.options
    return Job(
        task_id=task.id,
        kind=task.kind,
        model=task.model,
        request=task.request,
        work=str(workplace.work),
        materials=str(workplace.materials),
        attempt=task.attempts,
        count=int(options.get("count", 1)),
        label=bool(options.get("label", False)),
        marked=bool(options.get("marked", False)),
        language=str(options.get("language", "zh")),
        save_steps=save_steps,
        options=options.get("maker", {}),
    )
