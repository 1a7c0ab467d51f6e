"""`kinora mcp`: the service's tools for agents, over standard input and output."""

from __future__ import annotations

import argparse
import os

from kinora.core.errors import InputError

__all__ = ["register", "run"]

URL = "http://127.0.0.1:8190"


def register(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser(
        "mcp",
        help="tools for agents (MCP), of a service that runs",
        description="An MCP server over standard input and output. It works with the service at KINORA_URL on the "
        "account of the key in KINORA_KEY.",
    )
    parser.add_argument("--url", metavar="URL", help=f"the service's (default: KINORA_URL, else {URL})")


def run(arguments: argparse.Namespace) -> int:
    from kinora.service.api.mcp import Native, server_for

    key = os.environ.get("KINORA_KEY", "").strip()
    if not key:
        raise InputError("KINORA_KEY is not set; put an account's key there (kinora serve shows the first one).")
    url = (arguments.url or os.environ.get("KINORA_URL", "")).strip() or URL
    if not url.startswith(("http://", "https://")):
        raise InputError(f"The service's URL begins with http:// or https://; {url!r} does not.")
    server_for(Native(url, key)).run("stdio")
    return 0
