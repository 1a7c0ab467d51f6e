"""From a made file to a published one: output rules, the AIGC field, credentials, the object store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kinora.media.provenance import Aigc, Signer, finish_file
from kinora.service.errors import Refused
from kinora.service.service import Service
from kinora.service.tasks import NewOutput, Outcome, Task
from kinora.worker.events import Made, MadeFile

__all__ = ["Publisher"]


class Publisher:
    """Publishes what the model process has made."""

    def __init__(self, service: Service) -> None:
        self._service = service
        settings = service.settings
        self._signer = Signer.open(
            settings.data / "authority", name=settings.producer, certificate=settings.certificate,
            key=settings.certificate_key,
        )  # fmt: skip

    def published(self, task: Task, made: Made, work: Path) -> Outcome:
        """The task's outcome, its files stored. A file that breaks the rules of content fails the task."""
        outputs = []
        for place, file in enumerate(made.files):
            try:
                self._service.moderation.check_output(work / file.file)
            except Refused as error:
                return Outcome(state="failed", code="refused", message=error.message)
            outputs.append(self._output(task, file, place, work))
        return Outcome(state="succeed", outputs=tuple(outputs))

    def _output(self, task: Task, file: MadeFile, place: int, work: Path) -> NewOutput:
        digest, size = self._stored(task, file, work / file.file, f"{task.id}-{place}")
        output = NewOutput(
            kind=file.kind, digest=digest, media_type=file.media_type, bytes=size, width=file.width, height=file.height,
            frames=file.frames, seconds=file.seconds,
            thumbnail=self._thumbnail(task, work / file.thumbnail, f"{task.id}-{place}-small"),
        )  # fmt: skip
        if file.marked is None:
            return output
        return replace(output, marked=self._stored(task, file, work / file.marked, f"{task.id}-{place}-marked")[0])

    def _thumbnail(self, task: Task, path: Path, produce_id: str) -> str:
        self._finish(task, path, path, produce_id)
        return self._service.assets.store(task.account_id, path, "image/jpeg").digest

    def _finish(self, task: Task, path: Path, into: Path, produce_id: str) -> None:
        aigc = Aigc(producer=self._service.settings.producer, produce_id=produce_id)
        finish_file(path, into, title=f"Kinora task {task.id}", aigc=aigc, signer=self._signer)

    def _stored(self, task: Task, file: MadeFile, path: Path, produce_id: str) -> tuple[str, int]:
        """Mark, sign and store a file; its digest and size."""
        published = path.with_name(f"published-{path.name}")
        self._finish(task, path, published, produce_id)
        frame_rate = file.frames / file.seconds if file.kind == "video" and file.seconds else 0.0
        asset = self._service.assets.store(
            task.account_id, published, file.media_type, name=f"{produce_id}{path.suffix}", width=file.width,
            height=file.height, frames=file.frames, frame_rate=frame_rate,
        )  # fmt: skip
        return asset.digest, asset.bytes
