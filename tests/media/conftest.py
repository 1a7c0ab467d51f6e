"""A recipe, and a disk that is full."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from kinora.core.request import Request
from kinora.media.recipe import Recipe


@contextmanager
def limited_files(limit: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def full_disk() -> Callable[[int], AbstractContextManager[None]]:
    """`full_disk(limit)`: no file of this process may grow beyond `limit` bytes. A full disk that needs no disk."""
    return limited_files


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(
        kind="film",
        request=Request(prompt='一个红色的球 "rolls", \\ and stops', seed=7, negative="blue"),
        model="tiny",
        weights="ab" * 32,
        world="1.0",
        kinora="0.1.0",
    )
