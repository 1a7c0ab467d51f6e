"""Scores of slots, against scenes small enough to count by hand."""

import itertools
import random

import pytest

from kinora.core.slots import AnimalSlots, BodySlots, FigureSlots, SceneSlots
from kinora.measure.score import Tally, score

RED_BALL = BodySlots(colour="red", shape="sphere", action="roll", direction="left")
BLUE_CUBE = BodySlots(colour="blue", shape="cube", action="rest")


def test_everything_stated_is_right():
    scene = SceneSlots(bodies=(RED_BALL, BLUE_CUBE), ground="snow", sky="night")
    assert score(scene, scene) == {
        "ground": (1, 1),
        "sky": (1, 1),
        "body.colour": (2, 2),
        "body.shape": (2, 2),
        "body.action": (2, 2),
        "body.direction": (1, 1),
        "bodies": (1, 1),
    }


def test_what_is_not_stated_is_not_asked():
    stated = SceneSlots(bodies=(BodySlots(colour="red"),), ground="sand")
    read = SceneSlots(bodies=(RED_BALL,), ground="grass", sky="day", camera="still", event="none")
    assert score(stated, read) == {"ground": (0, 1), "body.colour": (1, 1), "bodies": (1, 1)}


def test_the_order_of_bodies_does_not_matter():
    stated = SceneSlots(bodies=(RED_BALL, BLUE_CUBE))
    read = SceneSlots(bodies=(BLUE_CUBE, RED_BALL))
    assert all(right == asked for right, asked in score(stated, read).values())


def test_the_best_assignment_is_not_the_greedy_one():
    """The first body agrees with both, the second only with one: greed would leave the second alone."""
    stated = SceneSlots(bodies=(BodySlots(colour="red", shape="cube"), BodySlots(colour="red", shape="sphere")))
    read = SceneSlots(bodies=(BodySlots(colour="red", shape="sphere"), BodySlots(colour="red", shape="cone")))
    assert score(stated, read) == {"body.colour": (2, 2), "body.shape": (1, 2), "bodies": (1, 1)}


def test_a_body_that_is_missing_has_all_its_slots_wrong():
    stated = SceneSlots(bodies=(RED_BALL, BLUE_CUBE))
    counted = score(stated, SceneSlots(bodies=(BLUE_CUBE,)))
    assert counted["body.colour"] == (1, 2)
    assert counted["body.direction"] == (0, 1)
    assert counted["bodies"] == (0, 1)
    assert score(stated, SceneSlots())["body.shape"] == (0, 2)


def test_a_body_too_many_counts_against_the_number_only():
    stated = SceneSlots(bodies=(RED_BALL,))
    counted = score(stated, SceneSlots(bodies=(BLUE_CUBE, RED_BALL)))
    assert counted.pop("bodies") == (0, 1)
    assert all(right == asked for right, asked in counted.values())


def test_animals_and_weather_are_asked_too():
    dog = AnimalSlots(colour="brown", action="wag")
    stated = SceneSlots(animals=(dog,), figures=(FigureSlots(hat="cap"),), weather="rain", rope="swing")
    read = SceneSlots(
        animals=(AnimalSlots(colour="brown", action="sit"),), figures=(FigureSlots(hat="cap"),), weather="fog"
    )
    assert score(stated, read) == {
        "weather": (0, 1),
        "rope": (0, 1),
        "figure.hat": (1, 1),
        "animal.colour": (1, 1),
        "animal.action": (0, 1),
        "figures": (1, 1),
        "animals": (1, 1),
    }
    assert Tally.of([(SceneSlots(ground="sand"), SceneSlots(ground="sand", animals=(dog,)))]).all_right == 0


def test_figures_have_slots_of_their_own():
    stated = SceneSlots(figures=(FigureSlots(hair="black", clothes="green", action="walk"),))
    read = SceneSlots(figures=(FigureSlots(hair="black", clothes="red", action="walk", direction="left"),))
    assert score(stated, read) == {
        "figure.hair": (1, 1),
        "figure.clothes": (0, 1),
        "figure.action": (1, 1),
        "figures": (1, 1),
    }


def random_body(rng: random.Random) -> BodySlots:
    return BodySlots(
        colour=rng.choice(["red", "blue"]), shape=rng.choice(["cube", "cone"]), size=rng.choice(["small", None])
    )


@pytest.mark.parametrize("seed", range(20))
def test_the_assignment_is_as_good_as_the_best_of_all_permutations(seed):
    rng = random.Random(seed)
    stated = tuple(random_body(rng) for _ in range(rng.randint(1, 4)))
    read = tuple(random_body(rng) for _ in range(rng.randint(0, 4)))
    counted = score(SceneSlots(bodies=stated), SceneSlots(bodies=read))
    found = sum(right for slot, (right, _) in counted.items() if slot.startswith("body."))
    padded = [*read, *[None] * len(stated)]
    best = max(
        sum(
            other is not None and getattr(body, name) is not None and getattr(body, name) == getattr(other, name)
            for body, other in zip(stated, chosen, strict=True)
            for name in ("colour", "shape", "size")
        )
        for chosen in itertools.permutations(padded, len(stated))
    )
    assert found == best


def test_tally_adds_up_and_averages_over_slots():
    stated = SceneSlots(bodies=(RED_BALL,), ground="snow")
    wrong_ground = SceneSlots(bodies=(RED_BALL,), ground="sand")
    tally = Tally.of([(stated, stated), (stated, wrong_ground)])
    assert tally.clips == 2
    assert tally.share_all_right == 0.5
    assert tally.accuracy()["ground"] == 0.5
    # bodies, colour, shape, action and direction are all right; ground is half right
    assert tally.macro == pytest.approx((5 + 0.5) / 6)


def test_all_right_means_nothing_beyond_what_was_stated():
    stated = SceneSlots(bodies=(RED_BALL,))
    with_figure = SceneSlots(bodies=(RED_BALL,), figures=(FigureSlots(hair="red"),))
    assert Tally.of([(stated, with_figure)]).all_right == 0
    assert Tally.of([(stated, stated)]).all_right == 1


def test_an_empty_tally_divides_by_nothing():
    tally = Tally.of([])
    assert tally.macro == 0.0
    assert tally.share_all_right == 0.0
