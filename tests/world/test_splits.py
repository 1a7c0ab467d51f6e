"""The rules of the splits, and that sampled scenes keep them in both worlds."""

from __future__ import annotations

from collections import Counter

import pytest

from kinora.core.slots import ANIMAL_ACTIONS, HATS, SHAPES, WEATHERS
from kinora.world.mix import TRAINING_MIX, WIDE_MIX, Mix
from kinora.world.sampler import sample_scene
from kinora.world.splits import (
    HELD_OUT_ANIMALS,
    HELD_OUT_BODIES,
    HELD_OUT_HATS,
    HELD_OUT_WEATHER,
    held_out_combinations,
)


def test_the_rules_name_few_pairs_and_every_value_once_at_most_of_each_kind() -> None:
    assert sorted(HELD_OUT_HATS) == [("cap", "blue"), ("party_hat", "black"), ("top_hat", "orange")]
    assert sorted(HELD_OUT_ANIMALS) == [("cyan", "sit"), ("red", "wag"), ("white", "walk")]
    assert {hat for hat, _ in HELD_OUT_HATS} == set(HATS) - {"none"}
    assert {action for _, action in HELD_OUT_ANIMALS} == set(ANIMAL_ACTIONS)
    assert {weather for weather, _ in HELD_OUT_WEATHER} == set(WEATHERS) - {"clear"}
    assert len({ground for _, ground in HELD_OUT_WEATHER}) == 3
    assert {shape for _, shape in HELD_OUT_BODIES} == set(SHAPES)


@pytest.mark.parametrize("mix", [TRAINING_MIX, WIDE_MIX], ids=["training", "wide"])
def test_training_scenes_show_no_held_out_pair_and_held_out_ones_do(mix: Mix) -> None:
    for seed in range(25):
        assert not held_out_combinations(sample_scene(seed, mix=mix))
        assert not held_out_combinations(sample_scene(seed, split="out_of_range", mix=mix))
        assert held_out_combinations(sample_scene(seed, split="held_out", mix=mix))


def test_pairs_of_every_rule_are_held_out_in_the_wide_world() -> None:
    rules = {"hat": HELD_OUT_HATS, "animal": HELD_OUT_ANIMALS, "weather": HELD_OUT_WEATHER, "body": HELD_OUT_BODIES}
    found: Counter[str] = Counter()
    for seed in range(140):
        pairs = held_out_combinations(sample_scene(seed, split="held_out", mix=WIDE_MIX))
        found.update(name for name, kept in rules.items() if set(pairs) & kept)
    assert all(found[name] > 0 for name in rules), found
