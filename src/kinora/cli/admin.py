"""`kinora admin`: what the operator of a service does from its terminal."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinora.cli.main import say
from kinora.cli.serve import settings_of

if TYPE_CHECKING:
    from kinora.service.accounts import Account
    from kinora.service.service import Service

__all__ = ["register", "run"]


def register(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser(
        "admin",
        help="accounts, keys, grants, tasks of a service",
        description="Works on the service's database directly (KINORA_DATA or KINORA_DATABASE), running or not.",
    )
    acts = parser.add_subparsers(dest="act", metavar="ACT", required=True)
    acts.add_parser("accounts", help="list them").set_defaults(do=list_accounts)
    new = acts.add_parser("account", help="make one, or change one that is there")
    new.add_argument("name")
    new.add_argument("--plan", help="free, standard, pro, premier, ultra or house")
    new.add_argument("--role", choices=("member", "admin"))
    new.add_argument("--language", choices=("zh", "en"))
    new.add_argument("--state", choices=("active", "suspended", "closed"))
    new.add_argument("--password", action="store_true", help="read a password for the studio from standard input")
    new.set_defaults(do=set_account)
    keys = acts.add_parser("keys", help="an account's keys; --new makes one, --pair one for Kling's clients")
    keys.add_argument("name")
    keys.add_argument("--new", metavar="NAME", help="make a key of that name")
    keys.add_argument("--pair", metavar="NAME", help="make an access and a secret key")
    keys.add_argument("--revoke", metavar="ID", type=int)
    keys.set_defaults(do=do_keys)
    grant = acts.add_parser("grant", help="give an account units")
    grant.add_argument("name")
    grant.add_argument("units", type=int)
    grant.add_argument("--days", type=float, help="they expire after so many days")
    grant.add_argument("--reason", default="gift")
    grant.set_defaults(do=give)
    tasks = acts.add_parser("tasks", help="list tasks of everybody, newest first; --cancel stops one")
    tasks.add_argument("--state", choices=("submitted", "processing", "succeed", "failed", "cancelled"))
    tasks.add_argument("--limit", type=int, default=20)
    tasks.add_argument("--cancel", metavar="ID", type=int)
    tasks.set_defaults(do=do_tasks)
    acts.add_parser("workers", help="who works").set_defaults(do=list_workers)
    figures = acts.add_parser("figures", help="active accounts, tasks and units by day and month")
    figures.add_argument("--days", type=int, default=14)
    figures.set_defaults(do=show_figures)
    acts.add_parser("retention", help="delete what is over now").set_defaults(do=clear)
    acts.add_parser("audit", help="compute the ledger again").set_defaults(do=do_audit)
    back = acts.add_parser("backup", help="database, secrets and files into a new folder; the service may run")
    back.add_argument("folder")
    back.set_defaults(do=None)
    bring = acts.add_parser("restore", help="a backup into an empty KINORA_DATA")
    bring.add_argument("folder")
    bring.set_defaults(do=None)


def run(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    if arguments.do is None:
        from kinora.service import backup

        act = backup.backup if arguments.act == "backup" else backup.restore
        act(settings, Path(arguments.folder))
        print(arguments.folder if arguments.act == "backup" else settings.data)
        return 0
    from kinora.service.service import open_service

    service = open_service(settings)
    try:
        return int(arguments.do(service, arguments) or 0)
    finally:
        service.close()


def list_accounts(service: Service, _arguments: argparse.Namespace) -> None:
    for account in _all(service):
        with service.database.read() as c:
            balance = service.ledger.balance(c, account.id)
        rows(account.id, account.name, account.role, account.state, account.plan, f"{balance.available} units")


def set_account(service: Service, arguments: argparse.Namespace) -> None:
    known = next((account for account in _all(service) if account.name == arguments.name), None)
    names = ("plan", "role", "language", "state")
    told: dict[str, Any] = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    if arguments.password:
        told["password"] = sys.stdin.readline().rstrip("\n")
    if known is None:
        state = told.pop("state", "active")
        known = service.accounts.create(arguments.name, **told)
        told = {"state": state} if state != "active" else {}
    account = service.accounts.change(known.id, **told) if told else known
    rows(account.id, account.name, account.role, account.state, account.plan)


def do_keys(service: Service, arguments: argparse.Namespace) -> None:
    account = _named(service, arguments.name)
    if arguments.revoke is not None:
        service.accounts.revoke(account.id, arguments.revoke)
    for kind, name in (("key", arguments.new), ("pair", arguments.pair)):
        if name is not None:
            made = service.accounts.new_key(account.id, name, kind=kind)
            say("shown this once:")
            rows(*([made.access_key, made.secret] if made.access_key else [made.secret]))
    if arguments.new is None and arguments.pair is None:
        for key in service.accounts.keys(account.id):
            rows(key.id, key.kind, key.name, f"{key.shown}...", "revoked" if key.revoked_at else "good")


def give(service: Service, arguments: argparse.Namespace) -> None:
    from kinora.core.errors import InputError
    from kinora.service.store import new_id, now_ms

    account = _named(service, arguments.name)
    if arguments.units < 1:
        raise InputError(f"{arguments.units} units cannot be given; give 1 or more.")
    expires = now_ms() + int(arguments.days * 86_400_000) if arguments.days else None
    with service.database.write() as c:
        service.ledger.grant(
            c, account.id, arguments.units, source=arguments.reason, period=str(new_id()), expires_at=expires
        )
        balance = service.ledger.balance(c, account.id)
    rows(account.name, f"{balance.available} units")


def do_tasks(service: Service, arguments: argparse.Namespace) -> None:
    if arguments.cancel is not None:
        task = service.tasks.cancel(None, arguments.cancel)
        rows(task.id, "cancelling" if task.cancelling else task.state)
        return
    states = [arguments.state] if arguments.state else []
    for task in service.tasks.page(None, states=states, limit=arguments.limit):
        when = datetime.fromtimestamp(task.created_at / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
        rows(task.id, when, task.account_id, task.kind, task.model, task.state, task.code or "", f"{task.units} units")


def list_workers(service: Service, _arguments: argparse.Namespace) -> None:
    from kinora.service.workers import Workers

    for worker in Workers(service.database, service.settings).page():
        rows(worker.id, worker.host, worker.pid, worker.device, ",".join(worker.models), worker.state)


def show_figures(service: Service, arguments: argparse.Namespace) -> None:
    from kinora.service.figures import by_day, by_month

    last = datetime.now(UTC).date()
    rows("day", "accounts", "tasks", "succeeded", "failed", "cancelled", "units")
    for day in by_day(service.database, last - timedelta(days=arguments.days - 1), last):
        rows(day.day, day.accounts, day.tasks, day.succeeded, day.failed, day.cancelled, day.units)
    rows("month", "accounts", "tasks", "units")
    for month in by_month(service.database, last - timedelta(days=180), last):
        rows(month.month.strftime("%Y-%m"), month.accounts, month.tasks, month.units)


def clear(service: Service, _arguments: argparse.Namespace) -> None:
    from kinora.service.sweeping import Sweeper

    Sweeper(service).clear()
    say("what is over is deleted")


def do_audit(service: Service, _arguments: argparse.Namespace) -> int:
    from kinora.service.ledger_audit import audit

    with service.database.read() as c:
        found = audit(c)
    for name, value in vars(found).items():
        rows(name, value)
    return 0 if found.sound else 1


def rows(*values: object) -> None:
    """One line of a table, tabs between: for people and for `cut`."""
    print("\t".join(str(value) for value in values))


def _all(service: Service) -> list[Account]:
    found: list[Account] = []
    while page := service.accounts.page(limit=500, after=found[-1].id if found else None):
        found += page
    return found


def _named(service: Service, name: str) -> Account:
    from kinora.core.errors import InputError

    for account in _all(service):
        if name in (account.name, str(account.id)):
            return account
    raise InputError(f"There is no account {name!r}; `kinora admin accounts` lists them.")
