"""From the reader's numbers to slots, on numbers made by hand."""

import torch

from kinora.core.slots import ANIMAL_SLOTS, BODY_SLOTS, FIGURE_SLOTS, SCENE_SLOTS, SLOTS
from kinora.understanding.config import ReaderConfig
from kinora.understanding.read import ANIMAL, BODY, FIGURE, Evidence, find_objects, slots_of

GRID = 8
WIDE = ReaderConfig(max_animals=1, slots=SLOTS)


def centres(*places: tuple[int, int, int, float]) -> torch.Tensor:
    """Logits of -6 everywhere but at (kind, row, column, logit)."""
    grid = torch.full((2, GRID, GRID), -6.0)
    for kind, row, column, logit in places:
        grid[kind, row, column] = logit
    return grid


def count(*probabilities: float) -> torch.Tensor:
    return torch.tensor(probabilities).log()


def test_peaks_that_the_count_agrees_with():
    grid = centres((0, 1, 1, 4.0), (0, 5, 6, 3.0), (1, 4, 2, 5.0))
    found = find_objects(grid, count(0.01, 0.09, 0.9), count(0.1, 0.9))
    assert found == [(BODY, 9), (BODY, 46), (FIGURE, 34)]


def test_a_neighbour_of_a_peak_is_no_second_object():
    grid = centres((0, 1, 1, 4.0), (0, 1, 2, 3.9))
    assert find_objects(grid, count(0.1, 0.4, 0.5), count(1.0, 1e-9)) == [(BODY, 9)]


def test_a_sure_count_overrules_a_weak_peak_and_a_sure_peak_a_weak_count():
    weak, sure = centres((0, 1, 1, 4.0), (0, 5, 6, 0.5)), centres((0, 1, 1, 4.0), (0, 5, 6, 6.0))
    one, perhaps = count(0.001, 0.989, 0.01), count(0.2, 0.5, 0.3)
    assert len(find_objects(weak, one, count(1.0, 1e-9))) == 1
    assert len(find_objects(sure, perhaps, count(1.0, 1e-9))) == 2


def one_hot(values: dict[str, tuple[str, ...]], chosen: dict[str, str]) -> dict[str, torch.Tensor]:
    return {
        name: torch.tensor([5.0 if value == chosen.get(name, all_[0]) else 0.0 for value in all_])
        for name, all_ in values.items()
    }


def test_likeliest_values_by_name():
    evidence = Evidence(
        scene=one_hot(SCENE_SLOTS, {"ground": "snow", "camera": "orbit_left"}),
        bodies=[one_hot(BODY_SLOTS, {"colour": "cyan", "action": "bounce"})],
        figures=[one_hot(FIGURE_SLOTS, {"hair": "red", "action": "nod", "hat": "cap"})],
        animals=[one_hot(ANIMAL_SLOTS, {"colour": "brown", "action": "wag"})],
    )
    slots = slots_of(evidence, WIDE)
    assert (slots.ground, slots.camera, slots.sky) == ("snow", "orbit_left", "day")
    assert (slots.bodies[0].colour, slots.bodies[0].action) == ("cyan", "bounce")
    assert (slots.figures[0].hair, slots.figures[0].action) == ("red", "nod")
    assert (slots.figures[0].hat, slots.weather, slots.rope) == ("cap", "clear", "none")
    assert (slots.animals[0].colour, slots.animals[0].action) == ("brown", "wag")
    first = slots_of(Evidence(**{**evidence.__dict__, "animals": []}), ReaderConfig())
    assert (first.ground, first.weather, first.figures[0].hair, first.figures[0].hat) == ("snow", None, "red", None)


def test_a_reader_with_a_third_kind_finds_it():
    grid = torch.full((3, GRID, GRID), -6.0)
    grid[ANIMAL, 2, 3] = 5.0
    none = count(1.0, 1e-9)
    assert find_objects(grid, none, none, count(0.1, 0.9)) == [(ANIMAL, 19)]


def test_readings_are_averaged_in_log_probability():
    scene = {name: torch.zeros(2, len(values)) for name, values in SCENE_SLOTS.items()}
    scene["sky"] = torch.tensor([[9.0, 0.0, 0.0, 0.0], [0.0, 4.0, 0.0, 0.0]])
    answers = {
        kind: {name: torch.zeros(2, 1, len(values)) for name, values in slots.items()}
        for kind, slots in (("body", BODY_SLOTS), ("figure", FIGURE_SLOTS), ("animal", ANIMAL_SLOTS))
    }
    evidence = Evidence.mean(scene, [BODY], answers)
    assert len(evidence.bodies) == 1
    assert evidence.figures == []
    expected = scene["sky"].log_softmax(-1).mean(0)
    assert torch.allclose(evidence.scene["sky"], expected)
    assert evidence.animals == []
    assert slots_of(evidence, WIDE).sky == "day"
