"""A real model process to talk to."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from kinora.core.request import Request
from kinora.worker.events import (
    EVENTS,
    Beat,
    Cancelled,
    Command,
    Event,
    Failed,
    Job,
    Made,
    Make,
    Ready,
    from_line,
    to_line,
)

ENDS = (Made, Failed, Cancelled)


@dataclass(kw_only=True)
class ModelProcess:
    """`python -m kinora.worker.child`, its commands and its events."""

    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=lambda: {"KINORA_STUB_FAULTS": "1"})

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kinora.worker.child", *self.arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1", **self.environment},
        )
        ready = self.hear()
        assert ready == Ready(pid=self.process.pid)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()

    def tell(self, command: Command) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(to_line(command))
        self.process.stdin.flush()

    def hear(self) -> Event:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise EOFError
        return from_line(line, EVENTS)

    def events(self) -> Iterator[Event]:
        """What is heard but for beats, up to a job's end."""
        while True:
            event = self.hear()
            if not isinstance(event, Beat):
                yield event
            if isinstance(event, ENDS):
                return

    def make(self, job: Job) -> list[Event]:
        self.tell(Make(job=job))
        return list(self.events())


def job_in(folder: Path, task_id: int = 1, **fields: Any) -> Job:
    """A job with its folders; fields of the request by their names."""
    own = {name: fields.pop(name) for name in list(fields) if name in Request.__dataclass_fields__}
    work, materials = folder / str(task_id), folder / "materials"
    work.mkdir(exist_ok=True)
    materials.mkdir(exist_ok=True)
    request = Request(**{"prompt": "a red ball", "seconds": 3, **own}).to_record()
    return Job(
        **{
            "task_id": task_id,
            "kind": "text_to_video",
            "model": "stub",
            "request": request,
            "work": str(work),
            "materials": str(materials),
            "save_steps": 2,
            **fields,
        }
    )
