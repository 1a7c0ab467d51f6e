"""The native API from a client's side, as far as the tools need it."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import httpx

__all__ = ["ENDED", "Native", "Trouble"]

ENDED = ("succeed", "failed", "cancelled")
TRIES = 3
AGAIN = frozenset({429, 502, 503, 504})
MOST_WAIT = 10.0
"""Seconds that a busy service may ask to wait before the next try."""
LOOKS = (0.1, 2.0)
"""Seconds between two looks at a task: from, to."""
DIGEST = re.compile(r"[0-9a-f]{64}")


class Trouble(Exception):
    """What the service answered, or that it did not, as a sentence for whoever asked."""


class Native:
    """One account's view of one service. Requests that change something can be sent again: they carry a key."""

    def __init__(self, url: str, key: str, *, seconds: float = 60.0) -> None:
        """`url` is the service's, `key` the account's; `seconds` is how long an answer may take."""
        self._http = httpx.AsyncClient(
            base_url=url.rstrip("/"),
            headers={"Authorization": f"Bearer {key}"},
            timeout=seconds,
            follow_redirects=False,
        )
        self.url = url

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def me(self) -> dict[str, Any]:
        return await self._ask("GET", "/api/account")

    async def models(self) -> list[dict[str, Any]]:
        answer = await self._ask("GET", "/api/models")
        models: list[dict[str, Any]] = answer["models"]
        return models

    async def create(self, wish: Mapping[str, Any]) -> dict[str, Any]:
        """A new task; entries of None are left to the service."""
        told = {name: value for name, value in wish.items() if value is not None}
        return await self._ask("POST", "/api/tasks", json=told, headers={"Idempotency-Key": uuid.uuid4().hex})

    async def task(self, task_id: str) -> dict[str, Any]:
        return await self._ask("GET", f"/api/tasks/{quote(task_id, safe='')}")

    async def tasks(self, limit: int) -> list[dict[str, Any]]:
        """The newest tasks."""
        answer = await self._ask("GET", "/api/tasks", params={"limit": limit})
        tasks: list[dict[str, Any]] = answer["tasks"]
        return tasks

    async def finished(self, task: dict[str, Any], seconds: float) -> dict[str, Any]:
        """The task when it is over, or as it stands after so many seconds."""
        until = asyncio.get_running_loop().time() + seconds
        pause, most = LOOKS
        while task["state"] not in ENDED:
            left = until - asyncio.get_running_loop().time()
            if left <= 0:
                break
            await asyncio.sleep(min(left, pause))
            pause = min(pause * 1.3, most)
            task = await self.task(task["id"])
        return task

    async def upload(self, file: Path, purpose: str = "any") -> dict[str, Any]:
        """A file of this machine as an asset of the account; raises `Trouble` for one that cannot be read."""
        try:
            data = await asyncio.to_thread(file.read_bytes)
        except OSError as error:
            raise Trouble(f"{file} cannot be read ({error.strerror}); name a file of this machine.") from None
        path = f"/api/uploads/{quote(file.name, safe='')}"
        return await self._ask("PUT", path, content=data, params={"purpose": purpose})

    async def asset(self, said: str) -> str:
        """The digest of an asset for its digest, or for a file of this machine, which is uploaded."""
        if DIGEST.fullmatch(said):
            return said
        digest: str = (await self.upload(Path(said).expanduser(), "image"))["digest"]
        return digest

    async def _ask(self, method: str, path: str, **how: Any) -> dict[str, Any]:
        """Ask, again where that may help; raises `Trouble`."""
        told = ""
        for left in reversed(range(TRIES)):
            try:
                response = await self._http.request(method, path, **how)
            except httpx.TransportError as error:
                told = f"{self.url} does not answer ({type(error).__name__}); is the service running?"
                await asyncio.sleep(0.5 if left else 0)
                continue
            if response.status_code < 400:
                answer: dict[str, Any] = response.json()
                return answer
            told = _message(response)
            if response.status_code not in AGAIN or not left:
                break
            await asyncio.sleep(_pause(response))
        raise Trouble(told)


def _message(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"The service answered {response.status_code} to {response.request.url.path}; is KINORA_URL right?"


def _pause(response: httpx.Response) -> float:
    try:
        return min(float(response.headers.get("retry-after", "1")), MOST_WAIT)
    except ValueError:
        return 1.0
