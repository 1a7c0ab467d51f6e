"""The command line: one module per verb, and what all verbs share (exit codes, how a mistake is told).

Exit codes: 0 done; 1 a fault of Kinora's own (with a traceback, please report it) or a failed check; 2 something the
user can mend, in one sentence; 130 stopped with Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Protocol, cast

from kinora import __version__
from kinora.core.errors import Cancelled, KinoraError

__all__ = ["VERBS", "build_parser", "main"]

VERBS = (
    "generate",
    "image",
    "extend",
    "edit",
    "speak",
    "scene",
    "sheet",
    "recipe",
    "doctor",
    "models",
    "measure",
    "train",
    "serve",
    "worker",
    "admin",
    "mcp",
)
"""In the order of the help page; each is a module of this package. None of them may import torch when it is
imported."""

STOPPED = 130
MENDABLE = 2


class Verb(Protocol):
    """What a verb's module offers."""

    def register(self, verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
        """Add the verb's own parser."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Do it; the result is the exit code."""


def build_parser() -> argparse.ArgumentParser:
    """The whole command line, every verb registered."""
    parser = argparse.ArgumentParser(prog="kinora", description="From a sentence to a film, on your own machine.")
    parser.add_argument("--version", action="version", version=f"kinora {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name in VERBS:
        verb_module(name).register(verbs)
    return parser


def verb_module(name: str) -> Verb:
    return cast("Verb", import_module(f"kinora.cli.{name}"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the result is the process's exit code."""
    chosen = build_parser().parse_args(arguments)
    try:
        return verb_module(chosen.verb).run(chosen)
    except (KeyboardInterrupt, Cancelled) as stop:
        say(f"\n{stop}" if str(stop) else "\nstopped; nothing half-written was left")
        return STOPPED
    except KinoraError as error:
        say(f"kinora: {error}")
        return MENDABLE
    except OSError as error:
        if error.filename is None:
            raise
        say(f"kinora: {error.filename} cannot be used ({error.strerror}); name another file or folder.")
        return MENDABLE
    except ModuleNotFoundError as error:
        if error.name not in ("av", "torch", "numpy", "PIL", "safetensors"):
            raise
        say(f"kinora: the package {error.name} is missing; install it with: pip install 'kinora[film]'")
        return MENDABLE


def say(sentence: str) -> None:
    """A line for the person at the terminal; results go to standard output, talk to standard error."""
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
