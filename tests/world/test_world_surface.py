"""The page a newcomer reads first names things that exist."""

from __future__ import annotations

import re
from importlib import import_module

import pytest

import kinora.world

NAMES = sorted(set(re.findall(r"`(\w+)\.(\w+)", kinora.world.__doc__ or "")))


def test_every_kind_of_truth_has_a_door() -> None:
    assert {name for _, name in NAMES} >= {"sample_scene", "simulate", "render", "tracks", "project", "describe"}


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_the_door_is_there_and_offered(module: str, name: str) -> None:
    assert name in import_module(f"kinora.world.{module}").__all__
