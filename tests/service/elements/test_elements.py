"""Elements, on both databases."""

from __future__ import annotations

import hashlib

import pytest
import sqlalchemy as sa

from kinora.service import elements as module
from kinora.service.elements import Elements
from kinora.service.errors import Invalid, Missing
from kinora.service.store import Database, new_id, now_ms, tables

PICTURES = [hashlib.sha256(bytes([n])).hexdigest() for n in range(5)]
FILM = hashlib.sha256(b"film").hexdigest()
GOOD = {"name": "Ada", "description": "A mathematician.", "frontal": PICTURES[0], "refers": PICTURES[1:3]}


@pytest.fixture
def account_id(database: Database) -> int:
    return _account(database)


def _account(database: Database) -> int:
    account_id = new_id()
    values = {"name": str(account_id), "role": "member", "state": "active", "plan": "free", "language": "en"}
    with database.write() as c:
        c.execute(sa.insert(tables.accounts).values(id=account_id, **values, created_at=now_ms()))
        for digest in (*PICTURES, FILM):
            values_ = {"kind": "video" if digest == FILM else "image", "origin": "upload", "name": "x", "bytes": 1}
            values_ |= {"account_id": account_id, "digest": digest, "media_type": "image/png", "created_at": now_ms()}
            c.execute(sa.insert(tables.assets).values(**values_))
    return account_id


def test_an_element_comes_back_as_it_was_made(database: Database, account_id: int) -> None:
    elements = Elements(database)
    made = elements.create(
        account_id, **GOOD, tags=["o_102", "o_108", "o_102"], voice="calm, low", wire={"external_task_id": "7"}
    )
    assert elements.get(account_id, made.id) == made
    assert (made.name, made.frontal, made.refers) == ("Ada", PICTURES[0], tuple(PICTURES[1:3]))
    assert (made.tags, made.voice, made.film) == (("o_102", "o_108"), "calm, low", None)
    assert made.wire == {"external_task_id": "7"}
    film = elements.create(account_id, name="  Boat ", description="A boat", film=FILM)
    assert (film.name, film.film, film.frontal, film.refers) == ("Boat", FILM, None, ())


def test_ids_are_numbers_of_javascript_in_order(database: Database, account_id: int) -> None:
    elements = Elements(database)
    made = [elements.create(account_id, **GOOD) for _ in range(20)]
    ids = [each.id for each in made]
    assert len(set(ids)) == 20
    assert all(10**12 < each < 2**53 and int(float(each)) == each for each in ids)
    assert {each.id for each in elements.page(account_id, limit=20)} == set(ids)
    assert elements.page(account_id, limit=3, offset=2) == elements.page(account_id)[2:5]
    assert elements.count(account_id) == 20


def test_two_of_one_id_are_told_apart(database: Database, account_id: int, monkeypatch: pytest.MonkeyPatch) -> None:
    elements = Elements(database)
    first = elements.create(account_id, **GOOD)
    given = iter([first.id, first.id, first.id + 1])
    monkeypatch.setattr(module, "_new_id", lambda: next(given))
    assert elements.create(account_id, **GOOD).id == first.id + 1
    monkeypatch.setattr(module, "_new_id", lambda: first.id)
    with pytest.raises(sa.exc.IntegrityError):
        elements.create(account_id, **GOOD)


def test_deleted_is_gone_and_another_account_s_is_missing(database: Database, account_id: int) -> None:
    elements, other = Elements(database), _account(database)
    made = elements.create(account_id, **GOOD)
    for act in (elements.get, elements.delete):
        with pytest.raises(Missing):
            act(other, made.id)
    assert elements.page(other) == []
    for nobody in (0, -1, made.id + 1, 2**53, 2**63, 10**30):
        with pytest.raises(Missing):
            elements.get(account_id, nobody)
    assert elements.delete(account_id, made.id) == made
    for act in (elements.get, elements.delete):
        with pytest.raises(Missing):
            act(account_id, made.id)
    assert (elements.page(account_id), elements.count(account_id)) == ([], 0)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": "n" * 21}, "name"),
        ({"description": ""}, "description"),
        ({"description": "d" * 101}, "description"),
        ({"frontal": None}, "refers"),
        ({"refers": []}, "refers"),
        ({"refers": PICTURES[1:5]}, "refers"),
        ({"film": FILM}, "film"),
        ({"frontal": FILM}, "refers"),
        ({"frontal": None, "refers": [], "film": PICTURES[0]}, "film"),
        ({"tags": ["o_999"]}, "tags"),
        ({"tags": ["o_101"] * 9}, "tags"),
        ({"voice": "v" * 201}, "voice"),
    ],
)
def test_what_breaks_a_rule(change: dict[str, object], field: str, rules_database: tuple[Elements, int]) -> None:
    elements, account_id = rules_database
    with pytest.raises(Invalid) as caught:
        elements.create(account_id, **(GOOD | change))
    assert caught.value.field == field
    assert elements.page(account_id) == []


@pytest.fixture(scope="module")
def rules_database(tmp_path_factory: pytest.TempPathFactory):
    from kinora.service.settings import Settings
    from kinora.service.store import open_database

    database = open_database(Settings(data=tmp_path_factory.mktemp("elements")))
    yield Elements(database), _account(database)
    database.close()


def test_an_asset_of_nobody_is_missing(database: Database, account_id: int) -> None:
    with pytest.raises(Missing, match="upload it first"):
        Elements(database).create(account_id, **(GOOD | {"frontal": "f" * 64}))
