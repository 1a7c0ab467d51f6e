"""Tasks: what the service has accepted, its one state machine, and who may write to it."""

from __future__ import annotations

from kinora.service.tasks.leasing import Fenced, Lease, Leasing, Outcome, Progress, Refusal
from kinora.service.tasks.submitting import Submission
from kinora.service.tasks.task import ENDED, FAILURES, KINDS, STATES, Event, NewOutput, Output, Task
from kinora.service.tasks.tasks import Tasks

__all__ = [
    "ENDED", "FAILURES", "KINDS", "STATES", "Event", "Fenced", "Lease", "Leasing", "NewOutput", "Outcome", "Output",
    "Progress", "Refusal", "Submission", "Task", "Tasks",
]  # fmt: skip
