"""The object store in a folder: whole objects, ranges, listings, and names that lead nowhere else."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from kinora.service.errors import Missing
from kinora.service.objects import Objects, digest_path, is_digest
from kinora.service.settings import Settings

DIGEST = "ab" * 32


def test_an_object_comes_back_as_it_went_in(objects: Objects, tmp_path: Path) -> None:
    content = bytes(range(256)) * 9000  # more than a piece
    (tmp_path / "file").write_bytes(content)
    for path, sent in (("work/7/latents.1", content), (digest_path(DIGEST), tmp_path / "file")):
        objects.put(path, sent)
        assert objects.read(path) == content
        assert objects.size(path) == len(content)
        assert objects.has(path)
        objects.get(path, tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == content
        assert b"".join(objects.stream(path)) == content
    objects.put("work/7/latents.1", b"newer")
    assert objects.read("work/7/latents.1") == b"newer"
    objects.put("work/7/empty", b"")
    assert objects.read("work/7/empty") == b""
    assert list(objects.stream("work/7/empty")) == []


def test_ranges(objects: Objects) -> None:
    objects.put("work/1/a", b"0123456789")
    for start, length, expected in (
        (0, 3, b"012"), (7, 3, b"789"), (7, 30, b"789"), (10, 5, b""), (99, 5, b""), (4, 0, b""),
        (2, None, b"23456789"),
    ):  # fmt: skip
        assert objects.read("work/1/a", start, length) == expected
        if length is not None:
            assert b"".join(objects.stream("work/1/a", start, length)) == expected
    for start, length in ((-1, 3), (0, -3)):
        with pytest.raises(ValueError, match="both are at least 0"):
            objects.read("work/1/a", start, length)


def test_listings_and_deletions(objects: Objects) -> None:
    for name in ("work/1/b", "work/1/a", "work/12/a", digest_path(DIGEST)):
        objects.put(name, b"xyz")
    assert [(item.path, item.bytes) for item in objects.list("work/1")] == [("work/1/a", 3), ("work/1/b", 3)]
    assert objects.list("work/3") == []
    assert objects.delete_all("work/1") == 2
    assert [item.path for item in objects.list("work")] == ["work/12/a"]
    objects.delete("work/1/a")  # gone already: no error
    for act in (objects.size, objects.read, lambda path: list(objects.stream(path))):
        with pytest.raises(Missing, match=r"There is no object work/1/a"):
            act("work/1/a")
    assert not objects.has("work/1/a")


@pytest.mark.parametrize(
    "name",
    ["", "/", "../a", "a/../b", "a/./b", "/etc/passwd", "a//b", "a/", ".hidden", "a\\b", "a\0b", "a b", "a%2e", "ä",
     "a" * 900, "C:/a", "a:b", "~/a", "a/" + "b" * 201, "a\nb"],
)  # fmt: skip
def test_names_that_are_none(objects: Objects, name: str) -> None:
    acts = (
        lambda n: objects.put(n, b""),
        objects.read,
        objects.size,
        objects.delete,
        lambda n: list(objects.stream(n)),
    )
    for act in acts:
        with pytest.raises(ValueError, match="is no object's name"):
            act(name)


def test_planted_links_are_not_followed(settings: Settings, tmp_path: Path) -> None:
    objects = Objects(settings)
    canary = tmp_path / "canary"
    canary.write_text("a canary")
    folder = settings.data / "objects" / "sha256" / DIGEST[:2]
    folder.mkdir(parents=True)
    (folder / DIGEST[2:]).symlink_to(canary)
    (settings.data / "objects" / "work").symlink_to(tmp_path)
    for path in (digest_path(DIGEST), "work/canary"):
        with pytest.raises(Missing, match="a link lies in its place"):
            objects.read(path)
        with pytest.raises(Missing, match="a link lies in its place"):
            objects.get(path, tmp_path / "copy")
        with pytest.raises(Missing, match="a link lies in its place"):
            objects.put(path, b"mine")
        with pytest.raises(Missing, match="a link lies in its place"):
            objects.delete(path)
    assert objects.list("sha256") == []
    assert canary.read_text() == "a canary"


def test_a_reader_sees_the_old_object_or_the_new_one(objects: Objects) -> None:
    sizes = {length: bytes([length % 251]) * length for length in (300_000, 700_000)}
    objects.put("work/1/a", sizes[300_000])
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            for content in sizes.values():
                objects.put("work/1/a", content)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(60):
            content = objects.read("work/1/a", 0, 10**6)
            assert len(set(content)) == 1
    finally:
        stop.set()
        writer.join()


def test_places(settings: Settings, tmp_path: Path) -> None:
    elsewhere = Objects(settings.model_copy(update={"objects": str(tmp_path / "else")}))
    elsewhere.put("work/1/a", b"x")
    assert (tmp_path / "else" / "work" / "1" / "a").read_bytes() == b"x"
    for place, said in (("https://example.com", "give a folder"), ("s3:///prefix", "name the bucket")):
        with pytest.raises(ValueError, match=said):
            Objects(settings.model_copy(update={"objects": place}))


def test_digests() -> None:
    assert is_digest(DIGEST)
    assert digest_path(DIGEST) == "sha256/ab/" + "ab" * 31
    for wrong in ("", "ab", "AB" * 32, "g" * 64, DIGEST + "\n", "../" + DIGEST[3:], None, 7, "٣" * 64):
        assert not is_digest(wrong)
    with pytest.raises(Missing, match="64 hexadecimal digits"):
        digest_path("../../etc/passwd")
