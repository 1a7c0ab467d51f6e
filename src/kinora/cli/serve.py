"""`kinora serve`: the service on this machine, nothing beside it."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from kinora.cli.main import say

if TYPE_CHECKING:
    from kinora.service.settings import Settings

__all__ = ["register", "run"]

OTHERS = {"KINORA_MODELS", "KINORA_PROMPT", "KINORA_FILM", "KINORA_URL", "KINORA_KEY", "KINORA_STUB_FAULTS"}
"""Variables of other commands: the model store, `make film`, `kinora mcp`, the stub."""
ABOUT = """\
Serve the studio's API, Kling's and OpenAI's wire formats. Every setting is an environment variable KINORA_...
(docs/operations.md lists them); the options here stand before them.
"""


def register(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser("serve", help="the service: API, queue and workers", description=ABOUT)
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on; 0 takes a free one (default: 8190)")
    parser.add_argument("--data", metavar="FOLDER", help="where database, files and secrets lie")
    parser.add_argument("--models", dest="serves", metavar="NAME,...", help="models to serve; the first is the default")
    parser.add_argument("--workers", type=int, help="worker processes on this machine; 0 for none")


def run(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments, "host", "port", "data", "serves", "workers")
    gc.disable()  # nothing of what is made at the start is garbage: looking for some took a tenth of it
    try:
        return serve_until_told(settings)
    finally:
        gc.enable()


def serve_until_told(settings: Settings) -> int:
    from kinora.service.service import open_service
    from kinora.service.serving import bound, first_key, serve

    listening = bound(settings)
    service = open_service(settings, warm=False)
    host, port = listening.getsockname()[:2]
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    first = first_key(service)

    def ready() -> None:
        print(f"Kinora serves at {url}")
        if first is not None:
            print(f"your key: {first.key}")
            print(f"for Kling's clients: access key {first.access_key}, secret key {first.secret_key}")
            print("They are shown this once; `kinora admin keys` makes others.")
        sys.stdout.flush()
        gc.freeze()
        gc.enable()

    try:
        serve(service, listening, ready)
    finally:
        service.close()
    say("stopped; what was accepted is kept and goes on at the next start")
    return 0


def settings_of(arguments: argparse.Namespace, *names: str) -> Settings:
    """The environment's settings, with the options that were given; raises `InputError` for one that cannot be."""
    from pydantic import ValidationError

    from kinora.core.errors import InputError
    from kinora.service.settings import Settings

    for name in unknown_settings(os.environ):
        say(f"note: {name} is no setting of this version; docs/operations.md lists them")
    given = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        wrong = error.errors()[0]
        name = "_".join(map(str, wrong["loc"])).upper()
        raise InputError(f"The setting KINORA_{name} cannot be {wrong['input']!r}: {wrong['msg']}.") from error


def unknown_settings(environment: Iterable[str]) -> list[str]:
    """Variables that look like settings and are none: a slip of the pen in one that labels or limits goes unseen."""
    from kinora.service.settings import Settings

    known = {f"KINORA_{name.upper()}" for name in Settings.model_fields} | OTHERS
    return sorted(name for name in environment if name.startswith("KINORA_") and name not in known)
