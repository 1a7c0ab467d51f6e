"""The reader's teacher against scenes: known places, mirrors, and what the renderer shows."""

import dataclasses

import numpy as np
import pytest
import torch

from kinora.core.slots import BODY_SLOTS, SCENE_SLOTS, SLOTS
from kinora.training.lessons import ReaderBatches
from kinora.training.library import Library, LibraryConfig, drawn_by_size
from kinora.training.reader_truth import READER_MIX, reader_split, reader_truth
from kinora.training.rendering import render_library
from kinora.understanding.config import ReaderConfig
from kinora.understanding.truth import UNSAID, ReaderTruth, mirrored
from kinora.world.mirror import mirror
from kinora.world.render import render
from kinora.world.sampler import sample_scene
from kinora.world.scene import Animal, Body, CameraPath, Place, Scene
from kinora.world.splits import SPLITS

CONFIG, CONFIG_32 = ReaderConfig(), ReaderConfig(size=32)
SHOWN = np.array([0, 2, 9, 20])
LEVEL = CameraPath(position=(0.0, -6.0, 1.0), target=(0.0, 0.0, 1.0))


def one_ball(**camera) -> Scene:
    ball = Body(shape="sphere", colour="red", size="medium", material="matte", action="rest", position=(0.1, 0.0, 0.5))
    return Scene(place=Place(ground="sand", sky="day"), bodies=(ball,), camera=dataclasses.replace(LEVEL, **camera))


def test_place_and_values_of_a_ball_before_a_level_camera():
    truth = reader_truth(one_ball(), SHOWN, CONFIG)
    # 0.5 m under the axis and 0.1 m right of it at 6 m, where half a picture spans 6 tan 0.36 m.
    down, across = 0.5 / (6 * np.tan(0.36)), 0.1 / (6 * np.tan(0.36))
    row, column = divmod(int(truth["cell"][0]), CONFIG.fine_grid)
    assert (row, column) == (int((1 + down) / 2 * CONFIG.fine_grid), CONFIG.fine_grid // 2)
    assert truth["track"][0, :, 1] == pytest.approx(down, abs=1e-6)
    assert truth["track"][0, :, 0] == pytest.approx(across, abs=1e-6)
    assert truth["tracked"][0].tolist() == [1, 1, 1, 1]
    said = {name: values[index] for (name, values), index in zip(BODY_SLOTS.items(), truth["value"][0], strict=True)}
    assert {name: said[name] for name in ("colour", "shape", "size", "action", "direction")} == {
        "colour": "red", "shape": "sphere", "size": "medium", "action": "rest", "direction": "none",
    }  # fmt: skip
    assert truth["value"][0, list(BODY_SLOTS).index("speed")] == UNSAID
    assert truth["count"].tolist() == [1, 0]
    assert (truth["cell"][1:] == UNSAID).all()
    assert not truth["tracked"][1:].any()
    assert not truth["camera"].any()


def test_animals_stand_behind_figures_for_a_reader_that_knows_them():
    wide = dataclasses.replace(CONFIG, max_animals=1, slots=SLOTS)
    dog = Animal(colour="brown", position=(0.5, 0.0, 0.0), action="wag")
    rain = Place(ground="sand", sky="day", weather="rain")
    scene = dataclasses.replace(one_ball(), animals=(dog,), place=rain)
    truth = reader_truth(scene, SHOWN, wide)
    place = wide.kinds[2].places.start
    assert truth["count"].tolist() == [1, 0, 1]
    assert truth["value"][place, :3].tolist() == [
        SLOTS["animal.colour"].index("brown"),
        SLOTS["animal.action"].index("wag"),
        SLOTS["animal.direction"].index("none"),
    ]
    assert truth["track"][place, :, 0] == pytest.approx(0.5 / (6 * np.tan(0.36)), abs=1e-6)
    assert truth["scene"][list(wide.scene_slots).index("weather")] == SLOTS["weather"].index("rain")
    first = reader_truth(scene, SHOWN, CONFIG)
    assert first["count"].tolist() == [1, 0]
    assert len(first["scene"]) == len(CONFIG.scene_slots) == 6
    assert np.array_equal(first["value"], truth["value"][: CONFIG.objects])


def test_a_reader_is_asked_nothing_that_it_has_no_word_for():
    swings = dataclasses.replace(one_ball().bodies[0], action="swing", anchor=(0.1, 0.0, 2.5), position=(0.3, 0.0, 1.0))
    truth = reader_truth(dataclasses.replace(one_ball(), bodies=(swings,)), SHOWN, CONFIG)
    assert truth["value"][0, list(BODY_SLOTS).index("action")] == UNSAID
    assert truth["value"][0, list(BODY_SLOTS).index("colour")] == BODY_SLOTS["colour"].index("red")


@pytest.mark.parametrize(
    ("kind", "number", "sign"),
    [
        ("pan_right", 1, 1),
        ("pan_left", 1, -1),
        ("tilt_up", 0, 1),
        ("zoom_in", 6, 1),
        ("zoom_out", 6, -1),
        ("dolly_in", 5, 1),
    ],
)
def test_the_camera_s_path_in_numbers(kind, number, sign):
    truth = reader_truth(one_ball(kind=kind, rate=0.05), SHOWN, CONFIG)
    camera_K7 = truth["camera"]
    assert not camera_K7[0].any()
    assert (np.diff(camera_K7[:, number]) * sign > 0).all()
    assert camera_K7[-1, number] == pytest.approx(sign * 0.05 * (5.0 - 0.2), rel=1e-3)
    others = np.delete(camera_K7, number, axis=1)
    assert np.abs(others).max() < 1e-6
    camera = list(SCENE_SLOTS).index("camera")
    assert SCENE_SLOTS["camera"][truth["scene"][camera]] == kind


@pytest.mark.parametrize("seed", range(12))
def test_truth_of_the_mirrored_scene_is_the_mirrored_truth(seed):
    scene = sample_scene(seed, mix=READER_MIX)
    here = ReaderTruth.stack([reader_truth(scene, SHOWN, CONFIG)])
    there = ReaderTruth.stack([reader_truth(mirror(scene), SHOWN, CONFIG)])
    _, swapped = mirrored(torch.zeros(1, 4, 6, 16, 16), here, CONFIG)
    for field in dataclasses.fields(ReaderTruth):
        a, b = getattr(swapped, field.name).double(), getattr(there, field.name).double()
        # Figures keep the hand they carry and wave with, so the boxes around them differ a little.
        assert torch.allclose(a, b, atol=0.03 if field.name == "box_BP4" else 1e-4), field.name


def test_centres_lie_on_what_the_renderer_draws():
    """At the first moment the pixel under a body's centre shows that body, or another one in front of it."""
    scenes = [sample_scene(seed, mix=READER_MIX) for seed in range(40, 52)]
    rendered = render(scenes, height=128, width=128, frames=[[0]] * len(scenes), truth=True)
    hits, asked = 0, 0
    for scene, ids_FHW in zip(scenes, np.asarray(rendered.ids_BFHW), strict=True):
        truth = reader_truth(scene, SHOWN, CONFIG)
        for body in range(len(scene.bodies)):
            across, down = truth["track"][body, 0, :2]
            asked += 1
            hits += ids_FHW[0, int((down + 1) * 64), int((across + 1) * 64)] == 2 + body
    assert asked >= 12
    assert hits >= 0.85 * asked


def test_two_in_one_cell_keep_cells_of_their_own():
    near = Body(shape="sphere", colour="red", size="small", material="matte", position=(0.1, -1.0, 0.9))
    far = dataclasses.replace(near, colour="blue", position=(0.1, 1.0, 0.9))
    scene = dataclasses.replace(one_ball(), bodies=(far, near))
    cells = reader_truth(scene, SHOWN, CONFIG)["cell"][:2]
    assert cells[0] != cells[1]
    row, column = divmod(int(cells[1]), CONFIG.fine_grid)
    assert (row, column) == (CONFIG.fine_grid // 2, CONFIG.fine_grid // 2)


def test_the_judge_s_scenes_come_from_all_splits():
    drawn = [reader_split(seed) for seed in range(400)]
    assert {split: round(drawn.count(split) / 400, 1) for split in SPLITS} == {
        "train": 0.6,
        "held_out": pytest.approx(0.25, abs=0.06),
        "out_of_range": pytest.approx(0.15, abs=0.06),
    }


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Library:
    folder = tmp_path_factory.mktemp("library")
    return render_library(folder, LibraryConfig(count=6, height=32, width=32, shard_clips=3, mix="reader"))


@pytest.fixture(scope="module")
def batches(library) -> ReaderBatches:
    return ReaderBatches([library], CONFIG_32)


def test_seed_and_step_decide_a_batch(batches):
    lesson, again, other = batches.draw(1, 5, 4), batches.draw(1, 5, 4), batches.draw(1, 6, 4)
    assert torch.equal(lesson.moments_BKCSS, again.moments_BKCSS)
    assert torch.equal(lesson.close_B3SS, again.close_B3SS)
    assert torch.equal(lesson.truth.cell_BP, again.truth.cell_BP)
    assert torch.equal(lesson.asked.cell_BP, again.asked.cell_BP)
    assert torch.equal(lesson.asked.box_BP4, again.asked.box_BP4)
    moments = lesson.moments_BKCSS.shape[1]
    assert moments == lesson.times_BK.shape[1] == lesson.maps.near_BTHW.shape[1]
    assert moments == lesson.truth.track_BPK3.shape[2] == lesson.truth.camera_BK7.shape[1]
    assert not torch.equal(lesson.moments_BKCSS[:4, :1], other.moments_BKCSS[:4, :1])


def test_batches_are_clips_or_three_times_as_many_pictures(batches):
    camera, direction = list(SCENE_SLOTS).index("camera"), list(BODY_SLOTS).index("direction")
    drawn = [batches.draw(1, step, 2) for step in range(16)]
    assert {tuple(lesson.times_BK.shape) for lesson in drawn} == {(6, 1), (2, 3), (2, 4), (2, 5)}
    for lesson in drawn:
        tells_motion, truth = lesson.times_BK.shape[1] > 1, lesson.truth
        assert bool((truth.scene_BS[:, camera] != UNSAID).all()) == tells_motion
        assert tells_motion or bool((truth.value_BPA[:, :6, direction] == UNSAID).all())
        assert bool((truth.scene_BS[:, 0] != UNSAID).all())
        assert tells_motion or not lesson.moments_BKCSS[:, :, 3:].any()
        assert torch.equal(lesson.close_B3SS, lesson.moments_BKCSS[:, 0, :3])


def test_pictures_are_looked_at_small_and_closely_at_their_own_size(tmp_path):
    stills = render_library(tmp_path, LibraryConfig(count=2, height=64, width=64, latent_frames=1, mix="reader"))
    lesson = ReaderBatches([stills], CONFIG_32).draw(0, 0, 1)
    assert lesson.moments_BKCSS.shape[-2:] == (32, 32)
    assert lesson.close_B3SS.shape[-2:] == (64, 64)
    shrunk = torch.nn.functional.avg_pool2d(lesson.close_B3SS, 2)
    assert torch.equal(shrunk, lesson.moments_BKCSS[:, 0, :3])


def test_maps_of_a_lesson_fit_its_clips_mirrored_or_not(library, batches):
    """Where a body's centre is told to be, the maps mostly show a thing; mirrored batches too."""
    hits = []
    for step in range(12):
        lesson = batches.draw(4, step, 4)
        things = 1 - lesson.maps.share_BMTHW[:, :3, 0].sum(1)  # neither sky, ground nor panel
        assert things.shape[-2:] == (CONFIG_32.fine_grid, CONFIG_32.fine_grid)
        clip, place = (lesson.truth.cell_BP[:, :6] != UNSAID).nonzero(as_tuple=True)
        hits.append(things.flatten(1)[clip, lesson.truth.cell_BP[clip, place]])
    assert float((torch.cat(hits) > 0.2).float().mean()) > 0.8


def test_maps_that_a_library_keeps_on_the_readers_grid_are_taken(tmp_path):
    config = LibraryConfig(count=2, height=32, width=32, latent_frames=3, mix="reader", map_cell=8)
    kept = render_library(tmp_path / "kept", config)
    made = render_library(tmp_path / "made", dataclasses.replace(config, map_cell=0))
    lessons = [ReaderBatches([library], CONFIG_32).draw(0, 1, 2) for library in (kept, made)]
    assert not list(kept.folder.glob("*reader-maps*"))
    assert list(made.folder.glob("*reader-maps*"))
    for name in ("share_BMTHW", "near_BTHW", "motion_B2THW"):
        assert torch.equal(*(getattr(lesson.maps, name) for lesson in lessons)), name


@pytest.mark.parametrize("index", [0, 4, 5])
def test_clips_of_all_shards_meet_their_own_truth(library, batches, index):
    """Truth kept beside the shards is that of the clip's own scene, and moments are those of its own frames."""
    (source,) = batches._clips
    moments, times, truth = source.take(np.array([index]), np.array([0, 2, 4]))
    positions = library.positions_NT[index]
    own = reader_truth(library.scene(index), positions, CONFIG_32)
    assert times[0].tolist() == (positions[[0, 2, 4]] / 4).tolist()
    assert np.array_equal(truth.cell_BP[0].numpy(), own["cell"])
    assert np.array_equal(truth.value_BPA[0].numpy(), own["value"])
    assert np.array_equal(truth.track_BPK3[0].numpy(), own["track"][:, [0, 2, 4]])
    frames = library.frames(index)
    last = torch.from_numpy(frames[[0, 8, 16]]).permute(0, 3, 1, 2) * (2 / 255) - 1
    assert torch.allclose(moments[0, :, :3], last, atol=1e-5)


def test_stills_come_from_a_library_of_their_own(library, tmp_path):
    config = LibraryConfig(count=2, height=32, width=32, latent_frames=1, first_seed=90)
    stills = render_library(tmp_path, config)
    with_stills = ReaderBatches([library], CONFIG_32, stills=[stills])
    first_frames = {stills.frames(i)[0].tobytes() for i in range(2)}
    moments, times, _ = with_stills._stills[0].take(np.array([0, 1]), np.array([0]))
    assert times.tolist() == [[0.0], [0.0]]
    shown = ((moments[:, 0, :3] + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1)
    assert {picture.numpy().tobytes() for picture in shown} == first_frames


def test_batches_show_every_library(library, tmp_path):
    other = render_library(tmp_path, LibraryConfig(count=3, height=32, width=32, first_seed=90, mix="wide-reader"))
    both = ReaderBatches([library, other], CONFIG_32)
    shown = [drawn_by_size(both._clips, np.random.default_rng(seed)) is both._clips[0] for seed in range(300)]
    assert np.mean(shown) == pytest.approx(2 / 3, abs=0.08)


def test_objects_are_asked_about_at_their_cell_or_the_next_in_boxes_that_are_a_little_off(batches):
    side, moved, off = CONFIG_32.fine_grid, [], []
    for step in range(20):
        lesson = batches.draw(2, step, 4)
        truth, asked = lesson.truth, lesson.asked
        there = truth.cell_BP != UNSAID
        assert torch.equal(asked.cell_BP == UNSAID, ~there)
        down = (asked.cell_BP // side - truth.cell_BP // side)[there]
        across = (asked.cell_BP % side - truth.cell_BP % side)[there]
        assert int(down.abs().max()) <= 1
        assert int(across.abs().max()) <= 1
        moved.append(float(((down != 0) | (across != 0)).float().mean()))
        half = truth.box_BP4[there][:, 2:]
        off.append((asked.box_BP4[there][:, :2] - truth.box_BP4[there][:, :2]) / half)
        assert float(half.min()) > 0
    assert 0.2 < np.mean(moved) < 0.6
    assert 0.05 < float(torch.cat(off).std()) < 0.2


def test_boxes_surround_what_the_renderer_draws():
    """The pixels of a body that nothing hides reach to the edges of its box."""
    scenes = [sample_scene(seed, mix=READER_MIX) for seed in range(40, 52)]
    rendered = render(scenes, height=128, width=128, frames=[[0]] * len(scenes), truth=True)
    apart = []
    for scene, ids_FHW in zip(scenes, np.asarray(rendered.ids_BFHW), strict=True):
        truth = reader_truth(scene, SHOWN, CONFIG)
        for body in range(len(scene.bodies)):
            rows, columns = np.nonzero(ids_FHW[0] == 2 + body)
            if rows.size:
                edges = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) / 64 - 1
                middle, half = np.split(truth["box"][body], 2)
                apart.append(np.abs(edges - np.concatenate([middle - half, middle + half])).max())
    assert len(apart) >= 12
    assert np.median(apart) < 0.05
