"""Which scenes a library shows: a seed, a split and the name of a mix make one, mirrored for half of the seeds."""

from __future__ import annotations

import numpy as np

from kinora.core.errors import InputError
from kinora.world.mirror import mirror
from kinora.world.mix import RICHEST_MIX, SIMPLE_MIX, TRAINING_MIX, WIDE_MIX, Mix
from kinora.world.sampler import sample_scene
from kinora.world.scene import Scene

__all__ = ["MIXES", "READER_MIXES", "clip_scene", "clip_split", "mix_named"]

MIXES: dict[str, Mix] = {"training": TRAINING_MIX, "simple": SIMPLE_MIX, "richest": RICHEST_MIX, "wide": WIDE_MIX}
READER_MIXES = ("reader", "wide-reader")
"""What readers learn from, in either world; see `kinora.training.reader_truth`."""


def mix_named(name: str) -> Mix:
    """The mix of that name; raises `InputError` naming those there are."""
    if name in READER_MIXES:
        from kinora.training.reader_truth import READER_MIX, WIDE_READER_MIX  # it reads libraries, so it stands above

        return READER_MIX if name == "reader" else WIDE_READER_MIX
    if name not in MIXES:
        raise InputError(f"There is no mix of scenes {name!r}; choose one of {', '.join((*MIXES, *READER_MIXES))}.")
    return MIXES[name]


def clip_split(seed: int, *, split: str, mix: str) -> str:
    """The split of one clip. The reader's mixes choose it themselves: a judge knows all of them."""
    if mix not in READER_MIXES:
        return split
    from kinora.training.reader_truth import reader_split  # as above

    return reader_split(seed)


def clip_scene(seed: int, *, split: str = "train", mix: str = "training") -> Scene:
    """The scene of one clip."""
    scene = sample_scene(seed, split=clip_split(seed, split=split, mix=mix), mix=mix_named(mix))
    return mirror(scene) if np.random.default_rng([seed, 0x0C11B]).random() < 0.5 else scene
