"""Captions of the mixes of world 1.0 stay word for word what they were: the bundled model was taught them."""

from __future__ import annotations

import hashlib

import pytest

from kinora.training.library import CAPTIONS
from kinora.training.reader_truth import READER_MIX
from kinora.world.captions import describe_slots
from kinora.world.mix import RICHEST_MIX, SIMPLE_MIX, TRAINING_MIX, Mix
from kinora.world.sampler import sample_scene
from kinora.world.slots_of import scene_slots

PINNED = {
    ("training", "train"): "bab8807a8359ce93",
    ("training", "held_out"): "1eb6da9868b9edb5",
    ("training", "out_of_range"): "1c0269fca9ea19b6",
    ("simple", "train"): "c0ed6328009416fc",
    ("simple", "held_out"): "151e194ed97f75a8",
    ("simple", "out_of_range"): "9723571d677313c6",
    ("richest", "train"): "2843ae169a02a3bf",
    ("richest", "held_out"): "869cd00eec537ffe",
    ("richest", "out_of_range"): "8522f219b35b7954",
    ("reader", "train"): "30eec69b3d44df48",
    ("reader", "held_out"): "efed5c25d081aeeb",
    ("reader", "out_of_range"): "a601db8302c24e68",
}
"""The first 16 digits of the SHA-256 over the captions of seeds 0 to 7, taken before world 2.0 was begun."""
MIXES: dict[str, Mix] = {
    "training": TRAINING_MIX, "simple": SIMPLE_MIX, "richest": RICHEST_MIX, "reader": READER_MIX,
}  # fmt: skip


@pytest.mark.parametrize(("mix", "split"), PINNED)
def test_captions_of_world_1_stay_as_they_were(mix: str, split: str) -> None:
    digest = hashlib.sha256()
    for seed in range(8):
        slots = scene_slots(sample_scene(seed, split=split, mix=MIXES[mix]))
        for n, (language, length) in enumerate(CAPTIONS):
            caption = describe_slots(slots, language=language, seed=len(CAPTIONS) * seed + n, length=length)
            digest.update(caption.text.encode() + b"\n")
    assert digest.hexdigest()[:16] == PINNED[mix, split]
