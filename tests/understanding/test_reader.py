"""The reader as a network: shapes, learning, reading whole clips."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from kinora.core.clip import Clip
from kinora.core.errors import InputError, ShapeError
from kinora.core.slots import BODY_SLOTS, SCENE_SLOTS, SLOTS, SLOTS_1, SceneSlots
from kinora.understanding.config import ReaderConfig
from kinora.understanding.disturb import disturb
from kinora.understanding.model import Reader
from kinora.understanding.objective import reader_loss
from kinora.understanding.truth import UNSAID, ReaderTruth, mirrored


@pytest.fixture(scope="module")
def taught(toys) -> Reader:
    """A small reader after 200 steps on the toy world: some twenty seconds."""
    torch.manual_seed(0)
    reader = Reader(toys.config)
    optimiser = torch.optim.AdamW(reader.parameters(), lr=2e-3)
    for step in range(200):
        moments, times, truth = toys.batch(step, 12)
        loss, _ = reader_loss(reader, reader.encode(moments, times), truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return reader.eval()


def test_it_learns_colour_place_and_motion(taught, toys):
    moments, times, truth = toys.batch(10_000, 64)
    _, figures = reader_loss(taught, taught.encode(moments, times), truth)
    assert figures["right/body.colour"] > 0.95
    assert figures["right/body.action"] > 0.9
    assert figures["right/bodies"] == 1.0
    assert figures["loss/centre"] < 1.0
    assert figures["loss/box"] < 0.2


def test_it_tells_where_and_how_large_things_are(taught, toys):
    moments, times, truth = toys.batch(10_001, 32)
    with torch.no_grad():
        boxes = taught.boxes(taught.encode(moments, times), truth.cell_BP)
    apart = (boxes - truth.box_BP4)[:, 0].abs()
    assert float(apart[:, :2].max()) < 8 / 64  # less than half a square's side
    assert float(apart[:, 2:].max()) < 4 / 64


def test_it_reads_whole_clips(taught, toys):
    rng = np.random.default_rng(77)
    right = 0
    for _ in range(20):
        frames, colour, _, _ = toys.frames(rng)
        slots = taught.read(Clip(frames_FHWC=frames, frame_rate=16.0), readings=1)
        right += len(slots.bodies) == 1 and slots.bodies[0].colour == colour
    assert right >= 18


@pytest.mark.parametrize("shape", [(1, 64, 64, 3), (81, 40, 72, 3), (13, 128, 96, 3)])
def test_any_clip_gives_slots(shape, toys):
    torch.manual_seed(1)
    frames = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    slots = Reader(toys.config).read(Clip(frames_FHWC=frames, frame_rate=16.0))
    assert isinstance(slots, SceneSlots)
    asked = toys.config.slots
    assert all(getattr(slots, name) in values for name, values in toys.config.scene_slots.items())
    assert all(getattr(body, name) in asked[f"body.{name}"] for body in slots.bodies for name in BODY_SLOTS)
    assert slots.weather is None


def test_a_clip_without_objects_reads_as_empty(toys):
    reader = Reader(toys.config)
    with torch.no_grad():
        reader.body_count.bias[0] += 50
        reader.figure_count.bias[0] += 50
    frames = np.zeros((9, 64, 64, 3), dtype=np.uint8)
    slots = reader.read(Clip(frames_FHWC=frames, frame_rate=16.0))
    assert slots.bodies == ()
    assert slots.figures == ()


def test_it_learns_in_half_precision_too(toys):
    """As on a GPU: every step of a lesson under autocast, forward and back."""
    torch.manual_seed(0)
    reader = Reader(toys.config)
    moments, times, truth = toys.batch(3, 4)
    whole, _ = reader_loss(reader, reader.encode(moments, times), truth)
    with torch.autocast("cpu", torch.bfloat16):
        half, _ = reader_loss(reader, reader.encode(moments, times), truth)
    half.backward()
    assert float(half.detach()) == pytest.approx(float(whole.detach()), rel=0.05)
    assert all(torch.isfinite(parameter.grad).all() for parameter in reader.parameters() if parameter.grad is not None)


def test_slots_nobody_states_teach_nothing(toys):
    """Clips whose sky is unknown must not move the sky's head."""
    reader = Reader(toys.config)
    moments, times, truth = toys.batch(3, 4)
    loss, figures = reader_loss(reader, reader.encode(moments, times), truth)
    loss.backward()
    assert "right/sky" not in figures
    assert float(reader.scene_heads["sky"].weight.grad.abs().max()) == 0.0
    assert float(reader.scene_heads["camera"].weight.grad.abs().max()) > 0.0
    assert all(torch.isfinite(p.grad).all() for p in reader.parameters() if p.grad is not None)


def test_absent_objects_teach_nothing(toys):
    """Changing what the arrays say in places without an object changes no loss."""
    reader = Reader(toys.config)
    moments, times, truth = toys.batch(4, 4)
    before, _ = reader_loss(reader, reader.encode(moments, times), truth)
    track = truth.track_BPK3.clone()
    track[:, 1:] = 9.0
    changed = ReaderTruth(**{**truth.__dict__, "track_BPK3": track})
    after, _ = reader_loss(reader, reader.encode(moments, times), changed)
    assert torch.equal(before, after)


def test_mirroring_twice_is_nothing_and_once_swaps_left_and_right(toys):
    moments, _, truth = toys.batch(5, 8)
    moments_1, once = mirrored(moments, truth, toys.config)
    moments_2, twice = mirrored(moments_1, once, toys.config)
    assert torch.equal(moments, moments_2)
    assert all(torch.equal(getattr(truth, name), getattr(twice, name)) for name in truth.__dict__)
    direction = list(BODY_SLOTS).index("direction")
    values = BODY_SLOTS["direction"]
    went_right = truth.value_BPA[:, 0, direction] == values.index("right")
    assert bool(went_right.any())
    assert bool((once.value_BPA[went_right, 0, direction] == values.index("left")).all())
    assert bool((once.value_BPA[~went_right, 0, direction] == values.index("none")).all())
    assert bool((once.cell_BP[:, 1:] == UNSAID).all())
    column = truth.cell_BP[:, 0] % toys.config.fine_grid
    assert torch.equal(once.cell_BP[:, 0] % toys.config.fine_grid, toys.config.fine_grid - 1 - column)


def test_mirrored_camera_moves(toys):
    _, _, truth = toys.batch(6, 1)
    camera = list(SCENE_SLOTS).index("camera")
    moves = SCENE_SLOTS["camera"]
    for name, other in (("pan_left", "pan_right"), ("roll_clockwise", "roll_counterclockwise"), ("zoom_in", "zoom_in")):
        truth.scene_BS[0, camera] = moves.index(name)
        _, once = mirrored(torch.zeros(1, 3, 6, 64, 64), truth, toys.config)
        assert moves[once.scene_BS[0, camera]] == other


def test_disturbance_depends_on_the_generator_alone_and_keeps_colours(toys):
    moments, _, _ = toys.batch(7, 32)
    once = disturb(moments, torch.Generator().manual_seed(3))
    again = disturb(moments, torch.Generator().manual_seed(3))
    other = disturb(moments, torch.Generator().manual_seed(4))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    untouched = (once == moments).flatten(1).all(1).float().mean()
    assert 0.05 < float(untouched) < 0.6
    means, before = once[:, :, :3].mean((1, 3, 4)), moments[:, :, :3].mean((1, 3, 4))
    assert float((means - before).abs().max()) < 0.3
    hue = (means - means.mean(1, keepdim=True)) - (before - before.mean(1, keepdim=True))
    assert float(hue.abs().max()) < 0.06


def test_a_reader_of_the_wide_world_learns_its_slots_and_answers_them(toys):
    config = dataclasses.replace(toys.config, max_animals=1, slots=SLOTS)
    torch.manual_seed(2)
    reader = Reader(config)
    moments, times, truth = toys.batch(8, 4, config)
    truth = dataclasses.replace(truth, count_BO=torch.cat([truth.count_BO, torch.ones(4, 1, dtype=torch.long)], 1))
    weather = list(config.scene_slots).index("weather")
    truth.scene_BS[:, weather] = SLOTS["weather"].index("fog")
    animal = config.kinds[2].places.start
    truth.cell_BP[:, animal] = 9
    truth.value_BPA[:, animal, 0] = SLOTS["animal.colour"].index("brown")
    loss, figures = reader_loss(reader, reader.encode(moments, times), truth)
    loss.backward()
    assert {"right/weather", "right/animal.colour", "right/animals"} <= set(figures)
    assert "right/animal.action" not in figures
    assert float(reader.animal_heads["colour"].weight.grad.abs().max()) > 0
    with torch.no_grad():
        reader.animal_count.bias[1] += 50
        reader.scene_heads["weather"].bias[SLOTS["weather"].index("fog")] += 50
    slots = reader.read(Clip(frames_FHWC=np.zeros((9, 64, 64, 3), dtype=np.uint8), frame_rate=16.0))
    assert slots.weather == "fog"
    assert len(slots.animals) == 1


def test_a_configuration_survives_json_and_asks_nothing_unknown(toys):
    wide = dataclasses.replace(toys.config, max_animals=1, slots=SLOTS)
    assert ReaderConfig(**json.loads(json.dumps(dataclasses.asdict(wide)))) == wide
    assert ReaderConfig().slots == SLOTS_1
    with pytest.raises(InputError, match=r"weather = hail"):
        ReaderConfig(slots={"weather": ("clear", "hail")})


def test_sizes_that_fit_no_grid_are_refused():
    with pytest.raises(ShapeError, match="100"):
        ReaderConfig(size=100)
    with pytest.raises(ShapeError, match="heads"):
        ReaderConfig(width=100, heads=6)
