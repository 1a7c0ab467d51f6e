"""What a service in this process tells its operator."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Any


class Said(io.StringIO):
    """Standard error, from which nothing is taken away: pytest's own capture empties its file in steps, and loses or
    breaks what a server's thread writes between two of them.
    """

    def line(self, event: str, request_id: str) -> dict[str, Any]:
        """The line of an event of a request, waited for: a request's own comes after its answer."""
        until = time.monotonic() + 20
        while True:
            for line in self.getvalue().splitlines(keepends=True):
                if line.startswith("{") and line.endswith("\n"):
                    told: dict[str, Any] = json.loads(line)
                    if (told["event"], told.get("request_id")) == (event, request_id):
                        return told
            assert time.monotonic() < until, (event, request_id, self.getvalue())
            time.sleep(0.01)


@contextmanager
def listening() -> Iterator[Said]:
    """All that is said meanwhile."""
    with redirect_stderr(Said()) as said:
        yield said
