"""Identities: sampled by split, and told apart by a rule."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from kinora.core.slots import COLOURS, HAIR_COLOURS
from kinora.world.identity import (
    RANGES,
    STYLES,
    is_held_out,
    sample_identity,
)
from kinora.world.scene import Identity


def many(count: int, *, held_out: bool, seed: int = 0) -> list[Identity]:
    rng = np.random.default_rng(seed)
    return [sample_identity(rng, held_out=held_out) for _ in range(count)]


def told(identity: Identity) -> tuple[str, int, str]:
    return identity.hair, identity.hair_style, identity.clothes


def test_the_splits_are_disjoint_in_what_tells_a_figure() -> None:
    training, held_out = many(1500, held_out=False), many(1500, held_out=True, seed=1)
    assert not {told(one) for one in training} & {told(one) for one in held_out}
    assert not any(map(is_held_out, training))
    assert all(map(is_held_out, held_out))


def test_one_combination_in_seven_is_held_out_but_every_pair_is_learnt() -> None:
    base = many(1, held_out=False)[0]
    combinations = list(product(HAIR_COLOURS, range(STYLES), COLOURS))
    training = [
        (hair, style, clothes)
        for hair, style, clothes in combinations
        if not is_held_out(replace(base, hair=hair, hair_style=style, clothes=clothes))
    ]
    assert 1 - len(training) / len(combinations) == pytest.approx(1 / 7, abs=0.02)
    assert {one[:2] for one in training} == set(product(HAIR_COLOURS, range(STYLES)))
    assert {one[1:] for one in training} == set(product(range(STYLES), COLOURS))
    assert {(one[0], one[2]) for one in training} == set(product(HAIR_COLOURS, COLOURS))


def test_the_rule_looks_at_nothing_but_the_lattice() -> None:
    for identity in many(50, held_out=True):
        assert is_held_out(replace(identity, height=1.7, skin=(0.1, 0.1, 0.1), head=1.0))


def test_sampling_is_fixed_by_the_generator() -> None:
    assert many(20, held_out=False, seed=3) == many(20, held_out=False, seed=3)
    assert many(20, held_out=False, seed=3) != many(20, held_out=False, seed=4)


@pytest.mark.parametrize("held_out", [False, True])
def test_samples_cover_every_value_and_stay_in_range(held_out: bool) -> None:
    people = many(600, held_out=held_out)
    assert {one.hair for one in people} == set(HAIR_COLOURS)
    assert {one.clothes for one in people} == set(COLOURS)
    assert {one.hair_style for one in people} == set(range(STYLES))
    for name, (low, high) in RANGES.items():
        values = [getattr(one, name) for one in people]
        assert low <= min(values) < low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) < max(values) <= high
    colours = np.array([[*one.skin, *one.eyes, *one.trousers] for one in people])
    assert colours.min() >= 0
    assert colours.max() <= 1
