"""`kinora worker`: a worker on this host, for a service whose database and files it can reach."""

from __future__ import annotations

import argparse

from kinora.cli.serve import settings_of

__all__ = ["register", "run"]


def register(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser(
        "worker",
        help="a worker of a service",
        description="Take tasks from the service's database (KINORA_DATABASE, KINORA_OBJECTS) and make them here.",
    )
    parser.add_argument("--models", dest="serves", metavar="NAME,...", help="models it makes films with")
    parser.add_argument("--device", help="cpu, cuda, cuda:1; the best there is when left out")
    parser.add_argument("--parent", type=int, help="process to end with, as under `kinora serve`")


def run(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments, "serves", "device")
    from kinora.service.service import open_service
    from kinora.worker.worker import Worker

    service = open_service(settings)
    try:
        Worker(service, parent=arguments.parent).run()
    finally:
        service.close()
    return 0
