"""The held-out prompts that a model is measured on: fixed scenes of all three splits, told in both languages.

Each version of the world has prompts of its own; those of 1.0 have not changed since the first model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count as numbers
from itertools import islice

from kinora.core.errors import InputError
from kinora.core.slots import SceneSlots
from kinora.measure.physics import clearly_falls
from kinora.world.captions import describe
from kinora.world.mix import TRAINING_MIX, WIDE_MIX, Mix
from kinora.world.sampler import sample_scene
from kinora.world.scene import Scene
from kinora.world.slots_of import scene_slots
from kinora.world.splits import SPLITS

__all__ = ["FIRST_SEED", "LANGUAGES", "WORLDS", "Case", "choose_cases", "choose_falls"]

FIRST_SEED = 70_000_000
"""Libraries for training count up from 0; they would have to hold this many clips before one came along here."""
LANGUAGES = ("en", "zh")
WORLDS: dict[str, Mix] = {"1.0": TRAINING_MIX, "2.0": WIDE_MIX}
"""By version of the world, the mix that prompts are drawn from."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """One prompt, what it states, and the scene it was written about."""

    split: str
    language: str
    prompt: str
    stated: SceneSlots
    scene: Scene
    seed: int

    @property
    def full(self) -> SceneSlots:
        """Everything that is true of the scene, stated or not."""
        return scene_slots(self.scene)

    @property
    def name(self) -> str:
        """Short, unique, fit for a file name."""
        return f"{self.split}-{self.language}-{self.seed}"


def choose_cases(count: int, world: str = "1.0") -> list[Case]:
    """`count` cases, spread evenly over splits and languages; more cases begin with the fewer ones' prompts.

    Raises `InputError` for a world that nothing can be drawn from.
    """
    if count < 1:
        raise InputError(f"At least one prompt is needed to measure anything, not {count}.")
    return list(islice(_cases(world), count))


def choose_falls(count: int, world: str = "1.0") -> list[Case]:
    """`count` cases out of the same ones, later ones too, in which a still camera sees a fall that gravity can be
    told from (`kinora.measure.physics.clearly_falls`): few of the others have one.

    Raises `InputError` for a world that nothing can be drawn from.
    """
    return list(islice(filter(_shows_fall, _cases(world)), count))


def _shows_fall(case: Case) -> bool:
    stated = {said.colour: said for said in case.stated.bodies}
    still = case.scene.camera.kind == "still"
    return still and any(body.colour in stated and clearly_falls(stated[body.colour], body)
                         for body in case.scene.bodies)  # fmt: skip


def _cases(world: str) -> Iterator[Case]:
    """All there are, one after the other."""
    if world not in WORLDS:
        raise InputError(f"There are no prompts about world {world!r}; choose one of {', '.join(WORLDS)} with --world.")
    kinds = [(split, language) for language in LANGUAGES for split in SPLITS]
    return (_case(*kinds[index % len(kinds)], FIRST_SEED + index, WORLDS[world]) for index in numbers())


def _case(split: str, language: str, seed: int, mix: Mix) -> Case:
    scene = sample_scene(seed, split=split, mix=mix)
    caption = describe(scene, language=language, seed=seed)
    return Case(split=split, language=language, prompt=caption.text, stated=caption.stated, scene=scene, seed=seed)
