"""Recipes and their JSON."""

from __future__ import annotations

import json

import pytest

from kinora.core.errors import MediaError
from kinora.media.recipe import Recipe


def test_a_recipe_survives_json_as_one_line_of_ascii(recipe: Recipe) -> None:
    text = recipe.to_json()
    assert text.isascii()
    assert "\n" not in text
    assert Recipe.from_json(text) == recipe


def test_the_json_reads_as_a_person_would_expect(recipe: Recipe) -> None:
    record = json.loads(recipe.to_json())
    assert record["request"]["prompt"] == '一个红色的球 "rolls", \\ and stops'
    assert record["weights"] == "ab" * 32
    assert set(record) == {"kinora", "kind", "model", "weights", "world", "request"}


@pytest.mark.parametrize("text", ["", "Lavf62", "[1]", "{}", '{"request": 3}'])
def test_other_comments_are_no_recipes(text: str) -> None:
    with pytest.raises(MediaError, match="not a Kinora recipe"):
        Recipe.from_json(text)


@pytest.mark.parametrize("spoil", [{"model": None}, {"kind": "opera"}, {"weights": 3}])
def test_an_incomplete_recipe_is_refused(spoil: dict[str, object], recipe: Recipe) -> None:
    with pytest.raises(MediaError, match="incomplete"):
        Recipe.from_json(json.dumps({**json.loads(recipe.to_json()), **spoil}))


def test_a_recipe_that_asks_the_impossible_says_what(recipe: Recipe) -> None:
    record = json.loads(recipe.to_json())
    record["request"]["seconds"] = 900
    with pytest.raises(MediaError, match="900 s"):
        Recipe.from_json(json.dumps(record))
