"""The body of a request: a form or JSON, read the same way.

OpenAI's own client sends creates as forms, others send JSON; both nest objects their own way. Files of a form are laid
into a temporary folder that lives as long as the request. The middleware has bounded the body before it is read here.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from kinora.service.errors import Invalid

__all__ = ["Asked", "Sent", "read_body", "read_json"]

MOST_FILES = 8
MOST_FIELDS = 200
FIELD_BYTES = 16 * 2**20
"""Of a form's field that is no file: a picture may come in one as a data URL."""
NESTED = re.compile(r"([^\[\]]+)(\[\])?\[([^\[\]]+)\]")
PIECE = 2**20


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A file of a form."""

    path: Path
    name: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a request says: fields as JSON has them, and files. What is empty or null counts as not said."""

    fields: Mapping[str, Any]
    files: Mapping[str, Sent] = field(default_factory=dict)
    folder: Path
    """For what else the request needs on disk; gone with the request."""

    def get(self, name: str) -> Any:
        value = self.fields.get(name)
        return None if value == "" else value

    def text(self, name: str) -> str:
        """A field of text, empty where it was not said; raises `Invalid` for what is none."""
        value = self.get(name)
        if value is not None and not isinstance(value, str):
            raise Invalid(f"{name} must be text, not {type(value).__name__}.", field=name)
        return value or ""

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number in bounds; raises `Invalid`."""
        value = self.get(name)
        try:
            number = default if value is None else int(str(value))
        except ValueError:
            number = low - 1
        if isinstance(value, bool) or not low <= number <= high:
            raise Invalid(f"{name} must be a whole number from {low} to {high}, not {str(value)[:40]!r}.", field=name)
        return number

    def mark(self, route: str) -> str:
        """sha256 over everything asked: two requests with one mark ask for the same."""
        files = {name: sent.digest for name, sent in sorted(self.files.items())}
        told = json.dumps([route, self.fields, files], sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(told.encode()).hexdigest()


@asynccontextmanager
async def read_body(request: Request) -> AsyncIterator[Asked]:
    """The request's form or JSON; raises `Invalid` for what is neither."""
    folder = Path(await run_in_threadpool(tempfile.mkdtemp, prefix="kinora-"))
    try:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind in ("multipart/form-data", "application/x-www-form-urlencoded"):
            yield await _form(request, folder)
        else:
            yield Asked(fields=await read_json(request), folder=folder)
    finally:
        await run_in_threadpool(shutil.rmtree, folder, ignore_errors=True)


async def read_json(request: Request) -> dict[str, Any]:
    """The body as a JSON object; raises `Invalid`."""
    body = await request.body()
    try:
        value = await run_in_threadpool(json.loads, body)  # tens of megabytes where a picture lies in it
    except (ValueError, RecursionError) as error:
        raise Invalid(f"The body is not JSON ({str(error)[:80]}); send a JSON object or a form.") from None
    if not isinstance(value, dict):
        raise Invalid(f"The body must be a JSON object, not {type(value).__name__}.")
    return value


async def _form(request: Request, folder: Path) -> Asked:
    try:
        form = await request.form(max_files=MOST_FILES, max_fields=MOST_FIELDS, max_part_size=FIELD_BYTES)
    except HTTPException as error:
        if error.status_code != 400:  # too large: the middleware's to tell
            raise
        raise Invalid(f"The form cannot be read: {str(error.detail).rstrip('.')}.") from None
    try:
        fields, uploads = _sorted(form)
        files = await run_in_threadpool(_laid_down, uploads, folder)
    finally:
        await form.close()
    return Asked(fields=fields, files=files, folder=folder)


def _sorted(form: FormData) -> tuple[dict[str, Any], dict[str, UploadFile]]:
    """Fields and files apart; `video[id]` becomes `{"video": {"id": ...}}` and `characters[][id]` a list of such, as
    JSON would have them.
    """
    fields: dict[str, Any] = {}
    uploads: dict[str, UploadFile] = {}
    for name, value in form.multi_items():
        nested = NESTED.fullmatch(name)
        if isinstance(value, UploadFile):
            uploads.setdefault(name.removesuffix("[]"), value)
        elif nested is None:
            fields.setdefault(name, value)
        else:
            _put(fields, nested[1], nested[3], value, listed=nested[2] is not None)
    return fields, uploads


def _put(fields: dict[str, Any], name: str, key: str, value: str, *, listed: bool) -> None:
    """Set an entry of an object, or of the last object of a list that has none of that name yet."""
    held = fields.setdefault(name, [] if listed else {})
    if isinstance(held, list):
        if not held or key in held[-1]:
            held.append({})
        held = held[-1]
    if isinstance(held, dict):
        held[key] = value


def _laid_down(uploads: Mapping[str, UploadFile], folder: Path) -> dict[str, Sent]:
    return {name: _copied(part, folder / str(index)) for index, (name, part) in enumerate(uploads.items())}


def _copied(part: UploadFile, path: Path) -> Sent:
    digest = hashlib.sha256()
    with path.open("wb") as file:
        while piece := part.file.read(PIECE):
            digest.update(piece)
            file.write(piece)
    shown = PurePosixPath((part.filename or "").replace("\\", "/")).name[:200]
    return Sent(path=path, name=shown or "upload", digest=digest.hexdigest())
