"""`kinora admin` as its operator uses it: real processes on a real database, the service running or not."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kinora.cli.main import main

Admin = Callable[..., tuple[int, list[list[str]], str]]


@pytest.fixture
def admin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Admin:
    """`admin(*words)`: exit code, rows of standard output, standard error."""
    monkeypatch.setenv("KINORA_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("KINORA_SERVES", "stub")

    def run(*words: str, told: str = "") -> tuple[int, list[list[str]], str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(told))
        capsys.readouterr()
        code = main(["admin", *words])
        said = capsys.readouterr()
        return code, [line.split("\t") for line in said.out.splitlines()], said.err

    return run


def test_accounts(admin: Admin) -> None:
    assert admin("accounts") == (0, [], "")
    code, made, _ = admin("account", "ann", "--plan", "pro", "--language", "en")
    assert (code, made[0][1:]) == (0, ["ann", "member", "active", "pro"])
    assert made[0][0].isdecimal()
    assert admin("account", "ann")[1] == made, "it is there, and stays as it is"
    assert admin("account", "ann", "--role", "admin", "--state", "suspended")[1][0][2:] == ["admin", "suspended", "pro"]
    assert admin("account", "bob")[1][0][2:] == ["member", "active", "free"]
    assert [row[1] for row in admin("accounts")[1]] == ["ann", "bob"]


def test_a_password_opens_the_studio(admin: Admin, tmp_path: Path) -> None:
    from kinora.service.service import open_service
    from kinora.service.settings import Settings

    assert admin("account", "ann", "--password", told="a long enough password\n")[0] == 0
    service = open_service(Settings())
    assert service.accounts.login("ann", "a long enough password").secret
    service.close()
    code, _, said = admin("account", "ann", "--password", told="x\n")
    assert code == 2
    assert one_sentence(said)


def test_keys(admin: Admin) -> None:
    from kinora.service.errors import Unauthenticated
    from kinora.service.service import open_service
    from kinora.service.settings import Settings

    admin("account", "ann")
    code, shown, said = admin("keys", "ann", "--new", "laptop")
    assert (code, said.strip()) == (0, "shown this once:")
    secret = shown[0][0]
    access, paired = admin("keys", "ann", "--pair", "kling")[1][0]
    listed = admin("keys", "ann")[1]
    assert [row[1:3] for row in listed] in (
        [["key", "laptop"], ["pair", "kling"]],
        [["pair", "kling"], ["key", "laptop"]],
    )
    assert not any(secret in part or paired in part for row in listed for part in row), "no secret is shown again"
    assert access
    service = open_service(Settings())
    assert service.accounts.authenticate(secret).account.name == "ann"
    service.close()
    key_id = next(row[0] for row in listed if row[1] == "key")
    assert [row[-1] for row in admin("keys", "ann", "--revoke", key_id)[1] if row[0] == key_id] == ["revoked"]
    service = open_service(Settings())  # one that runs may believe it for some seconds more
    with pytest.raises(Unauthenticated):
        service.accounts.authenticate(secret)
    service.close()
    code, _, said = admin("keys", "ann", "--revoke", "12")
    assert code == 2
    assert one_sentence(said)


def test_grants_and_the_audit(admin: Admin) -> None:
    admin("account", "ann", "--plan", "standard")
    assert admin("grant", "ann", "500")[1] == [["ann", "500 units"]]
    assert admin("grant", "ann", "20", "--days", "3", "--reason", "purchase")[1] == [["ann", "520 units"]]
    assert admin("accounts")[1][0][-1] == "520 units"
    code, found, _ = admin("audit")
    assert code == 0
    assert ["drift", "0"] in found
    code, _, said = admin("grant", "ann", "-5")
    assert code == 2
    assert one_sentence(said)


def test_the_audit_sees_what_is_wrong(admin: Admin) -> None:
    from kinora.service.service import open_service
    from kinora.service.settings import Settings
    from kinora.service.store.tables import books

    admin("account", "ann")
    admin("grant", "ann", "500")
    service = open_service(Settings())
    with service.database.write() as c:
        c.execute(books.update().where(books.c.kind == "grant").values(balance=501))
    service.close()
    assert admin("audit")[0] == 1


def test_tasks_and_figures(admin: Admin) -> None:
    from kinora.service.creating import Wanted
    from kinora.service.service import open_service
    from kinora.service.settings import Settings

    admin("account", "ann", "--plan", "house")
    secret = admin("keys", "ann", "--new", "one")[1][0][0]
    service = open_service(Settings())
    caller = service.accounts.authenticate(secret)
    tasks = [
        service.studio.create(caller, Wanted(kind="text_to_video", prompt=prompt, seconds=2.0, quality="draft"))
        for prompt in ("one", "two", "three")
    ]
    service.close()
    assert [row[0] for row in admin("tasks", "--limit", "2")[1]] == [str(tasks[2].id), str(tasks[1].id)]
    assert admin("tasks", "--cancel", str(tasks[0].id))[1] == [[str(tasks[0].id), "cancelled"]]
    assert [row[0] for row in admin("tasks", "--state", "cancelled")[1]] == [str(tasks[0].id)]
    assert len(admin("tasks", "--state", "submitted")[1]) == 2
    code, found, _ = admin("figures", "--days", "2")
    assert code == 0
    assert found[0] == ["day", "accounts", "tasks", "succeeded", "failed", "cancelled", "units"]
    assert found[2][1:6] == ["1", "3", "0", "0", "1"]
    assert found[-1][1:3] == ["1", "3"], "the month"
    assert admin("retention")[0] == 0
    assert admin("workers")[1] == []
    code, _, said = admin("tasks", "--cancel", "12")
    assert code == 2
    assert one_sentence(said)


def test_backup_and_restore(admin: Admin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    admin("account", "ann")
    assert admin("backup", str(tmp_path / "kept"))[:2] == (0, [[str(tmp_path / "kept")]])
    monkeypatch.setenv("KINORA_DATA", str(tmp_path / "other"))
    assert admin("restore", str(tmp_path / "kept"))[:2] == (0, [[str(tmp_path / "other")]])
    assert [row[1] for row in admin("accounts")[1]] == ["ann"]
    for act in ("restore", "backup"):
        code, _, said = admin(act, str(tmp_path / "kept"))
        assert code == 2
        assert one_sentence(said)


@pytest.mark.parametrize("words", [
    ["keys", "nobody"],
    ["grant", "nobody", "5"],
    ["account", "ann", "--plan", "golden"],
    ["account", ""],
    ["restore", "nowhere"],
])  # fmt: skip
def test_mistakes_are_one_sentence(admin: Admin, words: list[str]) -> None:
    code, found, said = admin(*words)
    assert (code, found) == (2, [])
    assert one_sentence(said), said


def test_a_setting_that_cannot_be(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINORA_PORT", "many")
    code, _, said = admin("accounts")
    assert code == 2
    assert "KINORA_PORT cannot be 'many'" in said


@pytest.mark.parametrize("verb", ["serve", "worker", "admin"])
def test_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert f"usage: kinora {verb}" in said
    undescribed = re.findall(r"^  (-\S+(?: \S+)?)$", said, flags=re.MULTILINE)
    assert not [name for name in undescribed if len(name) < 20], "every option has its words"


@pytest.mark.parametrize("words", [[], ["accounts", "more"], ["tasks", "--state", "lost"], ["grant", "ann", "many"]])
def test_words_that_are_none(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["admin", *words])
    assert ended.value.code == 2
    assert "usage: kinora" in capsys.readouterr().err


def one_sentence(said: str) -> Any:
    """Told as `kinora: ...` on one line, without a traceback."""
    return re.fullmatch(r"kinora: .+\.\n", said)
