"""The model process as a real process, with real signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from kinora.worker.events import Beat, Cancel, Cancelled, Failed, Made, Make, Note, Preview, Progress, Saved, Stop

SLOW = {"stub": {"step_seconds": 0.05}}

ORPHAN = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-m", "kinora.worker.child"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child.stdout.readline()
os.set_inheritable(child.stdin.fileno(), True)
keeper = subprocess.Popen(["sleep", "60"], close_fds=False)  # holds the pipe open
print(child.pid, keeper.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def child(process: ModuleType) -> Iterator[Any]:
    with process.ModelProcess() as running:
        yield running


def until(child: Any, done: int) -> None:
    """Hear events up to that step."""
    for event in child.events():
        if isinstance(event, Progress) and event.done >= done:
            return
    raise AssertionError("the job ended too soon")


def test_jobs_are_made_one_after_the_other(child: Any, process: ModuleType, tmp_path: Path) -> None:
    jobs = [process.job_in(tmp_path, task) for task in (1, 2, 3)]
    for job in jobs:
        child.tell(Make(job=job))
    for job in jobs:
        heard = list(child.events())
        assert {event.task_id for event in heard} == {job.task_id}
        assert {type(event) for event in heard} == {Progress, Saved, Preview, Made}
        assert (Path(job.work) / heard[-1].files[0].file).stat().st_size > 500


def test_it_beats_while_it_works_and_while_it_waits(child: Any, process: ModuleType, tmp_path: Path) -> None:
    child.tell(Make(job=process.job_in(tmp_path, 9, options={"stub": {"step_seconds": 0.5, "steps": 3}})))
    heard = []
    while not isinstance(event := child.hear(), Made):
        heard.append(event)
    assert Beat(task_id=9) in heard
    while not isinstance(event := child.hear(), Beat):
        pass
    assert event.task_id is None


def test_a_job_is_cancelled_between_two_steps(child: Any, process: ModuleType, tmp_path: Path) -> None:
    child.tell(Make(job=process.job_in(tmp_path, 1, options=SLOW)))
    until(child, 2)
    child.tell(Cancel(task_id=1))
    *steps, end = list(child.events())
    assert end == Cancelled(task_id=1)
    assert sum(isinstance(event, Progress) for event in steps) <= 2
    assert isinstance(child.make(process.job_in(tmp_path, 2))[-1], Made)


def test_a_job_that_waits_is_cancelled_before_it_begins(child: Any, process: ModuleType, tmp_path: Path) -> None:
    child.tell(Make(job=process.job_in(tmp_path, 1, options=SLOW)))
    child.tell(Make(job=process.job_in(tmp_path, 2)))
    child.tell(Cancel(task_id=2))
    assert isinstance(list(child.events())[-1], Made)
    assert list(child.events())[-1] == Cancelled(task_id=2)


@pytest.mark.parametrize("code", ["input", "weights", "memory", "media", "internal"])
def test_failures_come_with_their_code_and_the_process_lives_on(
    child: Any, process: ModuleType, tmp_path: Path, code: str
) -> None:
    end = child.make(process.job_in(tmp_path, 1, options={"stub": {"fault": "fail", "code": code}}))[-1]
    assert isinstance(end, Failed)
    assert end.code == code
    assert isinstance(child.make(process.job_in(tmp_path, 2))[-1], Made)


def test_a_request_that_cannot_be_is_the_client_s_fault(child: Any, process: ModuleType, tmp_path: Path) -> None:
    job = process.job_in(tmp_path)
    end = child.make(replace(job, request={"prompt": ""}))[-1]
    assert isinstance(end, Failed)
    assert end.code == "input"
    assert "prompt is empty" in end.message


def test_a_model_that_is_not_there_fails(child: Any, process: ModuleType, tmp_path: Path) -> None:
    end = child.make(process.job_in(tmp_path, model="nowhere"))[-1]
    assert isinstance(end, Failed)
    assert end.code == "weights"


def test_memory_that_gives_out_is_noted(child: Any, process: ModuleType, tmp_path: Path) -> None:
    heard = child.make(process.job_in(tmp_path, options={"stub": {"fault": "memory"}}))
    assert any(isinstance(event, Note) for event in heard)
    assert isinstance(heard[-1], Made)


def test_killed_it_goes_on_from_its_save_elsewhere(process: ModuleType, tmp_path: Path) -> None:
    whole, cut = process.job_in(tmp_path, 1), process.job_in(tmp_path, 2, options=SLOW)
    with process.ModelProcess() as child:
        child.make(whole)
        child.tell(Make(job=cut))
        until(child, 5)
        os.kill(child.process.pid, signal.SIGKILL)
        assert child.process.wait(10) == -signal.SIGKILL
    with process.ModelProcess() as child:
        heard = child.make(replace(cut, attempt=2))
    assert heard[0].done >= 4
    assert isinstance(heard[-1], Made)
    assert (Path(cut.work) / "film.mp4").read_bytes() == (Path(whole.work) / "film.mp4").read_bytes()


def test_a_task_can_kill_it(child: Any, process: ModuleType, tmp_path: Path) -> None:
    child.tell(Make(job=process.job_in(tmp_path, options={"stub": {"fault": "kill", "step": 3}})))
    with pytest.raises(EOFError):
        list(child.events())
    assert child.process.wait(10) == -signal.SIGKILL


def test_frozen_it_is_silent_and_hanging_it_beats(child: Any, process: ModuleType, tmp_path: Path) -> None:
    child.tell(Make(job=process.job_in(tmp_path, 1, options={"stub": {"fault": "hang", "step": 2}})))
    until(child, 1)
    assert isinstance(child.hear(), Beat)  # and no progress any more
    child.process.kill()
    with process.ModelProcess() as frozen:
        frozen.tell(Make(job=process.job_in(tmp_path, 2, options={"stub": {"fault": "freeze", "step": 2}})))
        until(frozen, 1)
        _, status = os.waitpid(frozen.process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)


@pytest.mark.parametrize("how", ["stop", "end of input", "SIGTERM"])
def test_told_to_end_it_saves_and_goes(child: Any, process: ModuleType, tmp_path: Path, how: str) -> None:
    job = process.job_in(tmp_path, save_steps=0, options=SLOW)
    child.tell(Make(job=job))
    until(child, 3)
    if how == "stop":
        child.tell(Stop())
    elif how == "SIGTERM":
        child.process.send_signal(signal.SIGTERM)
    else:
        child.process.stdin.close()
    heard = []
    with pytest.raises(EOFError):
        for event in child.events():
            heard.append(event)  # noqa: PERF402 - what came before the end
    assert child.process.wait(10) == 0
    assert any(isinstance(event, Saved) for event in heard)
    assert list(Path(job.work).glob("latents-*.save"))


def test_idle_it_ends_at_once(child: Any) -> None:
    child.process.stdin.close()
    assert child.process.wait(5) == 0


def test_ctrl_c_is_the_worker_s_to_hear(child: Any, process: ModuleType, tmp_path: Path) -> None:
    child.process.send_signal(signal.SIGINT)
    assert isinstance(child.make(process.job_in(tmp_path))[-1], Made)


def test_damage_on_the_line_ends_it(child: Any) -> None:
    child.process.stdin.write(b'{"say":"Make","job":{}}\n')
    child.process.stdin.flush()
    child.process.wait(5)
    assert b"error: " in child.process.stderr.read()


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the end of the parent")
def test_it_dies_with_its_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, keeper = (int(word) for word in parent.stdout.readline().split())
        parent.kill()
        try:
            deadline = time.monotonic() + 5
            while _lives(pid):
                assert time.monotonic() < deadline
                time.sleep(0.02)
        finally:
            os.kill(keeper, signal.SIGKILL)


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_it_starts_without_torch(process: ModuleType, tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "torch.py").write_text("raise ImportError('no torch here')\n")
    with process.ModelProcess(environment={"PYTHONPATH": str(hidden)}) as child:
        assert isinstance(child.make(process.job_in(tmp_path))[-1], Made)


def test_what_is_printed_does_not_disturb(process: ModuleType, tmp_path: Path) -> None:
    noisy = tmp_path / "noisy"
    noisy.mkdir()
    (noisy / "sitecustomize.py").write_text("")
    (noisy / "noise.py").write_text(
        "import os\nfrom kinora.worker import stub\nmake = stub.StubMaker.make\n"
        "def loud(self, job, tell):\n    print('noise')\n    os.write(1, b'more\\n')\n"
        "    return make(self, job, tell)\n"
        "stub.StubMaker.make = loud\nfrom kinora.worker.child import main\nmain([])\n"
    )
    command = [sys.executable, str(noisy / "noise.py")]
    job = process.job_in(tmp_path)
    from kinora.worker.events import EVENTS, from_line, to_line

    done = subprocess.run(command, input=to_line(Make(job=job)), capture_output=True, timeout=30)
    # Input ends at once: the job is left at its first step, and every line is an event.
    assert all(from_line(line, EVENTS) for line in done.stdout.splitlines())
    assert b"noise" not in done.stdout
