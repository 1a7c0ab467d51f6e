"""Pictures and films that a request brings: a file, an address, a data URL, an upload, or a video made before."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kinora.service.accounts import Caller
from kinora.service.api.openai.forms import Asked
from kinora.service.api.openai.shapes import task_id_of
from kinora.service.assets import Asset
from kinora.service.errors import Invalid, Missing
from kinora.service.objects import is_digest
from kinora.service.outside import decoded, fetch, is_url
from kinora.service.tasks import Output, Task

if TYPE_CHECKING:
    from kinora.service.service import Service

__all__ = ["Source", "output_of", "picture_of", "source_of", "video_task"]

FILE_PREFIX = "file-"
"""A client that wants to see OpenAI's kind of id may put it before an upload's digest."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A film to work on."""

    asset: Asset
    output: Output | None = None
    """Where it was made here."""
    told: str = ""
    """The prompt that its end was made from."""


def picture_of(service: Service, caller: Caller, asked: Asked, field: str, *, want: str = "image") -> Asset | None:
    """The picture in a field: a file, `{"image_url": ...}`, `{"file_id": ...}`, or the URL itself; None for none.
    `want` is "image", or "mask" for a picture whose opacity is the mask.

    Raises `Invalid` for what is no picture or cannot be fetched, `Missing` for an upload that is not there.
    """
    sent = asked.files.get(field)
    if sent is not None:
        return service.assets.take(caller.account.id, sent.path, sent.name, want=(want,))
    said = _object(asked.get(field), "image_url")
    if not said:
        return None
    if said.get("file_id"):
        return _uploaded(service, caller, str(said["file_id"]), "image", field)
    url = said.get("image_url")
    # OpenAI's chat format has {"image_url": {"url": ...}}.
    url = url.get("url") if isinstance(url, dict) else url
    if not isinstance(url, str) or not url:
        raise Invalid(f"{field} must be a file, or hold image_url or file_id.", field=field)
    return _fetched(service, caller, asked, url, field, want)


def source_of(service: Service, caller: Caller, asked: Asked) -> Source:
    """The film in the field `video`: a file, `{"id": "video_..."}`, or the id itself; raises `Invalid`, `Missing`."""
    sent = asked.files.get("video")
    if sent is not None:
        return Source(asset=service.assets.take(caller.account.id, sent.path, sent.name, want=("video",)))
    said = _object(asked.get("video"), "id") or _object(asked.get("video_id"), "id")
    if said.get("file_id"):
        return Source(asset=_uploaded(service, caller, str(said["file_id"]), "video", "video"))
    if not said.get("id"):
        raise Invalid("video is missing; send the film as a file, or the id of a finished one.", field="video")
    task = video_task(service, caller, str(said["id"]))
    output = output_of(task)
    asset = service.assets.get(caller.account.id, output.digest)
    prompts = [task.request["prompt"], *(line["prompt"] for line in task.request.get("script", ()))]
    return Source(asset=asset, output=output, told=prompts[-1])


def video_task(service: Service, caller: Caller, said: str) -> Task:
    """The caller's task behind a video's id; raises `Missing`."""
    task_id = task_id_of(said)
    try:
        task = service.tasks.get(caller.account.id, task_id)
    except Missing:
        raise Missing(f"There is no video {said!r}.") from None
    if task.slot_kind != "video":
        raise Missing(f"There is no video {said!r}; what has this number is a picture.")
    return task


def output_of(task: Task) -> Output:
    """A video's film; raises `Missing` while there is none, or when its time is over."""
    if task.outputs:
        return task.outputs[0]
    if task.state in ("submitted", "processing"):
        raise Missing(f"The video is not ready ({task.state}); ask for it again until its status is completed.")
    ended = {"failed": "could not be made", "cancelled": "was cancelled"}.get(
        task.state, "was deleted: its time is over"
    )
    raise Missing(f"The video {ended}; create another one.")


def _object(value: Any, word: str) -> dict[str, Any]:
    """A reference as an object: `{...}`, its JSON in a form's field, or the value of `word` alone."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise Invalid(f"The reference {value[:40]!r} is not JSON; send an object with {word}.") from None
    if isinstance(value, str):
        return {word: value} if value else {}
    if value is not None and not isinstance(value, dict):
        raise Invalid(f"A reference is a file or an object with {word}, not {type(value).__name__}.")
    return value or {}


def _uploaded(service: Service, caller: Caller, file_id: str, kind: str, field: str) -> Asset:
    digest = file_id.removeprefix(FILE_PREFIX)
    if not is_digest(digest):
        raise Invalid(
            f"{field}: {file_id[:40]!r} is no upload's id; upload the file first, or send it here.", field=field
        )
    asset = service.assets.get(caller.account.id, digest)
    if asset.kind != kind:
        raise Invalid(f"{field}: the upload is a file of kind {asset.kind}; a {kind} is wanted.", field=field)
    return asset


def _fetched(service: Service, caller: Caller, asked: Asked, url: str, field: str, want: str) -> Asset:
    path, settings = asked.folder / "fetched", service.settings
    if is_url(url):
        fetched = fetch(url, path, settings=settings, limit=settings.upload_bytes, kinds=("image",), field=field)
        return service.assets.take(caller.account.id, path, fetched.name, origin="url", want=(want,))
    path.write_bytes(decoded(url, settings.upload_bytes, field=field))
    return service.assets.take(caller.account.id, path, field, want=(want,))
