"""The toy dog: its paws on the ground, its gait, how it sits and wags, and its mirror image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kinora.core.slots import ANIMAL_ACTIONS, COLOURS
from kinora.world.animals import animal_motion, animal_parts, head_top
from kinora.world.mirror import mirror
from kinora.world.palette import COLOUR_RGB
from kinora.world.parts import ANIMAL_OWNER, Part
from kinora.world.render import render
from kinora.world.scene import Animal, CameraPath, Place, Scene, States
from kinora.world.simulate import simulate

NEAR = CameraPath(position=(0.0, -4.0, 1.4), target=(0.0, 0.0, 0.45))
DOG = Animal(colour="brown", scale=1.4)
TIME_F = np.arange(81) / 16.0


def scene(**changes: object) -> Scene:
    dog = replace(DOG, **changes)  # type: ignore[arg-type]
    return Scene(place=Place(ground="sand", sky="overcast"), animals=(dog,), camera=NEAR)


def parts_of(one: Scene) -> tuple[list[Part], States]:
    states = simulate(one)
    return animal_parts(one.animals[0], states, 0), states


def lowest(parts: list[Part]) -> np.ndarray:
    """Height of the lowest point of all solids at every frame (F,): exact for ellipsoids and standing cylinders."""
    heights = []
    for part in parts:
        half_3, down_F3 = np.array(part.half_3), part.rotation_F33[:, 2]
        if part.kind == "cylinder":
            reach_F = half_3[0] * np.hypot(down_F3[:, 0], down_F3[:, 1]) + half_3[2] * np.abs(down_F3[:, 2])
        else:
            reach_F = np.linalg.norm(down_F3 * half_3, axis=1)
        heights.append(part.centre_F3[:, 2] - reach_F)
    return np.min(heights, axis=0)


@pytest.mark.parametrize("action", ANIMAL_ACTIONS)
def test_it_stands_on_the_ground_and_not_in_it(action: str) -> None:
    parts, _ = parts_of(scene(action=action, speed=0.5 if action == "walk" else 0.0))
    low_F = lowest(parts)
    assert low_F.min() > -0.06
    assert low_F.max() < 0.03


def test_all_solids_are_its_own() -> None:
    parts, states = parts_of(scene())
    assert {part.owner for part in parts} == {ANIMAL_OWNER}
    assert len(parts) <= 24
    assert {part.owner for part in animal_parts(DOG, states, 0)} == {ANIMAL_OWNER}
    for part in parts:
        identity_F33 = part.rotation_F33 @ part.rotation_F33.transpose(0, 2, 1)
        assert identity_F33 == pytest.approx(np.tile(np.eye(3), (81, 1, 1)), abs=1e-9)


def test_paws_do_not_skate() -> None:
    """While a front paw is on the ground, under the dog and going back against it, it hardly moves over the ground."""
    walker = scene(action="walk", speed=0.5, heading=0.0)
    motion = animal_motion(walker.animals[0], TIME_F)
    parts, _ = parts_of(walker)
    paws = [part for part in parts if part.kind == "cylinder"][:4]
    # The lower end of a leg: its axis is the third column, pointing up.
    foot_F3 = paws[0].centre_F3 - paws[0].rotation_F33[:, :, 2] * paws[0].half_3[2]
    rate_F = np.gradient(motion.legs_F4[:, 0], TIME_F)
    planted = (np.abs(motion.legs_F4[:, 0]) < 0.2) & (rate_F < 0.0)
    speed_F = np.abs(np.gradient(foot_F3[:, 1], TIME_F))
    swinging = (np.abs(motion.legs_F4[:, 0]) < 0.2) & (rate_F > 0.0)
    assert np.median(speed_F[planted]) < 0.6 * 0.5
    assert np.median(speed_F[swinging]) > 1.4 * 0.5


def test_it_walks_where_it_looks() -> None:
    motion = animal_motion(replace(DOG, action="walk", speed=0.5, heading=0.5 * np.pi), TIME_F)
    assert motion.root_F3[-1] == pytest.approx([2.5, 0.0, 0.0], abs=1e-9)
    assert np.ptp(animal_motion(DOG, TIME_F).root_F3, axis=0).max() == 0.0


def test_only_a_wagging_tail_goes_far() -> None:
    reach = {
        action: float(np.abs(animal_motion(replace(DOG, action=action, speed=0.5), TIME_F).pose_F4[:, 1]).max())
        for action in ANIMAL_ACTIONS
    }
    assert reach["wag"] > 0.8
    assert reach["sit"] == 0.0
    assert reach["walk"] < 0.3


def test_the_top_of_its_head_is_where_it_says() -> None:
    for action in ("sit", "wag"):
        one = scene(action=action, heading=0.7)
        parts, states = parts_of(one)
        states.animal_pose_FA4[:, 0, 2:] = 0.0
        parts = animal_parts(one.animals[0], states, 0)
        head = max((part for part in parts if part.centre_F3[0, 2] > 0.6), key=lambda part: min(part.half_3))
        top_3 = head_top(one.animals[0], np.zeros(3))
        assert top_3[2] == pytest.approx(head.centre_F3[0, 2] + head.half_3[2], abs=0.02)
        assert top_3[:2] == pytest.approx(head.centre_F3[0, :2], abs=0.02)


def test_it_is_seen_under_its_own_id_in_its_own_colour() -> None:
    for colour in ("red", "cyan", "yellow", "green"):
        result = render([scene(colour=colour, heading=0.6)], height=96, width=96, frames=[[0]], truth=True)
        assert result.ids_BFHW is not None
        mask = result.ids_BFHW[0, 0].numpy() == ANIMAL_OWNER
        assert 0.02 < mask.mean() < 0.3
        seen_3 = np.median(result.rgb_BFHW3[0, 0].numpy()[mask].astype(float), axis=0)
        nearest = {name: np.array(rgb) ** (1 / 2.2) * 255 for name, rgb in COLOUR_RGB.items()}
        unit = {name: value / np.linalg.norm(value) for name, value in nearest.items() if np.ptp(value) > 60}
        told = max(unit, key=lambda name: float(unit[name] @ seen_3))
        assert told == colour
    assert set(COLOURS) == set(COLOUR_RGB)


@pytest.mark.parametrize("action", ANIMAL_ACTIONS)
def test_its_mirror_image_is_the_picture_of_its_mirror(action: str) -> None:
    one = scene(action=action, heading=0.8, speed=0.4 if action == "walk" else 0.0, position=(0.3, 0.0, 0.0))
    first, second = (
        render([each], height=96, width=96, frames=[[0]], truth=True).ids_BFHW for each in (one, mirror(one))
    )
    assert first is not None
    assert second is not None
    ours, others = (ids[0, 0].numpy() == ANIMAL_OWNER for ids in (first, second))
    shared = (ours[:, ::-1] & others).sum() / (ours[:, ::-1] | others).sum()
    assert shared > 0.96
