"""One task, carried from its lease to its end: the worker's side of the model process."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy.exc import DBAPIError

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
            except DBAPIError as error:
                log.warning("database", task=str(task_id), error=str(error.orig))
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
            workplace.open()
            outcome = self._make(lease, workplace)
        except Gone as gone:
            log.warning("model process lost", task=str(lease.task.id), code=gone.code, attempt=lease.task.attempts)
            self._model = None
            return False
        except Leaving:
            self.stop()
            self._leasing.give_back(lease)
            return True
        except Fenced:
            workplace.leave()
            raise
        except DBAPIError:
            self.close()
            raise
        except Exception:
            # The object store, the disk, or a fault of ours: the next attempt may find it better, the last one not.
            log.exception("attempt", task=str(lease.task.id), attempt=lease.task.attempts)
            self.close()
            time.sleep(AGAIN_SECONDS)
            return False
        self._leasing.finish(lease, outcome)
        workplace.close()
        return True

    def _make(self, lease: Lease, workplace: Workplace) -> Outcome:
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
                workplace.keep(event.files)
            elif isinstance(event, Made):
                return self._publisher.published(lease.task, event, workplace.work)
            elif isinstance(event, Failed):
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
        if self._step is None:
            wanted = self._leasing.wanted(self._lease)
        else:
            step, self._step = self._step, None
            preview, self._preview = self._preview, None
            progress = Progress(stage=step.stage, done=step.done, total=step.total, seconds_left=step.seconds_left)
            wanted = not self._leasing.progress(self._lease, progress, preview)
        if not wanted and not self._cancelled:
            self._cancelled = True
            model.say(Cancel(task_id=self._lease.task.id))


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
