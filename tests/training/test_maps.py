"""Truth maps: what lies in a cell, how near, how it moves, against scenes whose answers are known."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from kinora.core.errors import InputError
from kinora.training.library import Library, LibraryConfig
from kinora.training.maps import KINDS, MapSet, kind_of_ids, maps_path, truth_maps
from kinora.training.rendering import render_library
from kinora.world.mix import WIDE_MIX
from kinora.world.projection import project
from kinora.world.sampler import sample_scene
from kinora.world.scene import Animal, Body, CameraPath, Place, Scene
from kinora.world.simulate import simulate

GRID = 16
KEPT = np.array([0, 4, 5])
SPHERE, SKY, GROUND = KINDS.index("sphere"), KINDS.index("sky"), KINDS.index("ground")


def maps(scene: Scene, kept: np.ndarray = KEPT) -> dict[str, np.ndarray]:
    found = truth_maps([scene], [simulate(scene)], [kept], height=GRID, width=GRID)
    return {name: value[0].astype(np.float64) for name, value in found.items()}


def ball(**changes: object) -> Body:
    return replace(
        Body(shape="sphere", colour="red", size="large", material="matte", position=(0.0, 0.0, 0.72)),
        **changes,  # type: ignore[arg-type]
    )


def scene(*bodies: Body, **changes: object) -> Scene:
    place = Place(ground="sand", sky="day")
    return replace(Scene(place=place, bodies=bodies, seconds=2.0), **changes)  # type: ignore[arg-type]


def test_shares_add_up_and_the_ball_is_where_it_is_seen() -> None:
    one = scene(ball())
    found = maps(one)
    assert np.allclose(found["share"].sum(axis=1), 255.0, atol=len(KINDS))
    states = simulate(one)
    pixel, depth = project(
        states.body_position_FN3[0], states.camera_pose_F34[0], float(states.camera_fov_F[0]), GRID, GRID
    )
    row, column = int(pixel[0, 1]), int(pixel[0, 0])
    assert found["share"][0, SPHERE, row, column] == 255
    assert found["near"][0, row, column] == pytest.approx(1.0 / depth[0], rel=0.2)
    assert found["share"][0, SKY, 0].min() == 255
    assert found["near"][0, 0].max() < 1e-3
    assert found["share"][0, GROUND, -1].min() == 255


def test_nothing_moves_before_a_still_camera() -> None:
    assert np.abs(maps(scene(ball()))["motion"]).max() < 1e-3


def test_a_sliding_cube_moves_by_its_speed_and_all_else_stays() -> None:
    cube = Body(
        shape="cube", colour="red", size="large", material="matte", position=(-0.7, 0.0, 0.72),
        velocity=(0.8, 0.0, 0.0), action="slide",
    )  # fmt: skip
    one = scene(cube)
    states, found = simulate(one), maps(one)
    ends = [
        project(states.body_position_FN3[f], states.camera_pose_F34[f], float(states.camera_fov_F[f]), 1, 1)[0][0]
        for f in (12, 16)
    ]
    inside = found["share"][1, KINDS.index("cube")] == 255
    assert inside.sum() >= 3
    assert np.median(found["motion"][1, 0][inside]) == pytest.approx(ends[1][0] - ends[0][0], rel=0.15)
    assert np.median(found["motion"][1, 0][inside]) > 0.01
    outside = found["share"][1, KINDS.index("cube")] == 0
    assert np.abs(found["motion"][1][:, outside]).max() < 1e-3


def test_frame_0_tells_the_motion_that_follows_it() -> None:
    cube = Body(
        shape="cube", colour="red", size="large", material="matte", position=(-0.7, 0.0, 0.72),
        velocity=(0.8, 0.0, 0.0), action="slide",
    )  # fmt: skip
    found = maps(scene(cube), np.array([0, 1, 2]))
    inside = found["share"][0, KINDS.index("cube")] == 255
    assert np.median(found["motion"][0, 0][inside]) > 0.01


def test_under_a_panning_camera_even_the_sky_moves() -> None:
    pans = CameraPath(kind="pan_left", rate=0.2)
    found = maps(scene(ball(), camera=pans))["motion"][2]
    turned = 0.2 * 4 / 16 / (2 * math.tan(0.36))
    assert found[0, GRID // 2, GRID // 2] == pytest.approx(turned, rel=0.1)
    assert abs(found[0, 0, GRID // 2]) == pytest.approx(turned, rel=0.15)


def test_ids_name_every_kind() -> None:
    both = scene(
        ball(), Body(shape="cone", colour="red", size="small", material="matte"), animals=(Animal(colour="red"),)
    )
    table = kind_of_ids(both)
    names = [KINDS[table[i]] for i in (0, 1, 2, 3, 32, 48, 56, 60, 64)]
    assert names == ["sky", "ground", "sphere", "cone", "figure", "animal", "rope", "rope", "panel"]


def test_scenes_of_the_wide_world_have_maps() -> None:
    kinds = np.zeros(len(KINDS))
    for seed in range(14):
        found = maps(sample_scene(seed, mix=WIDE_MIX), np.array([0, 8, 9]))
        assert all(np.isfinite(value).all() for value in found.values())
        assert np.abs(found["motion"]).max() <= 1.0
        kinds += found["share"].sum(axis=(0, 2, 3))
    assert kinds[KINDS.index("figure")] > 0


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Library:
    config = LibraryConfig(count=6, height=32, width=32, latent_frames=3, shard_clips=4, map_cell=16, mix="wide")
    return render_library(tmp_path_factory.mktemp("mapped"), config)


def test_a_library_keeps_the_maps_of_its_clips(mapped: Library) -> None:
    held = MapSet([maps_path(mapped.stem(at)) for at in range(2)], "cpu")
    assert held.grid == (2, 2)
    clips, frames = np.array([5, 0]), np.array([[0, 2], [0, 1]])
    targets = held.take(clips, frames)
    assert targets.share_BMTHW.shape == (2, len(KINDS), 2, 2, 2)
    assert targets.motion_B2THW.shape == (2, 2, 2, 2, 2)
    assert torch.allclose(targets.share_BMTHW.sum(dim=1), torch.ones(2, 2, 2, 2), atol=0.02)
    again = truth_maps(
        [mapped.scene(5)], [simulate(mapped.scene(5))], [mapped.positions_NT[5]], height=2, width=2
    )  # fmt: skip
    assert np.allclose(targets.near_BTHW[0], again["near"][0, [0, 2]], atol=1e-3)
    assert np.allclose(targets.share_BMTHW[0, :, 1] * 255, again["share"][0, 2], atol=0.5)


def test_a_library_carries_the_world_of_its_mix_and_its_pace(mapped: Library, library: Library) -> None:
    assert mapped.config.world == "2.0"
    assert library.config.world == "1.0"
    assert mapped.pace()["clips_a_second"] > 0
    assert mapped.pace()["device"] == "cpu"


def test_missing_maps_and_cells_that_do_not_fit_are_refused(library: Library, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2 of 2 shards have no truth maps"):
        MapSet([maps_path(library.stem(at)) for at in range(2)], "cpu")
    with pytest.raises(InputError, match="16 pixels a cell do not fit"):
        LibraryConfig(count=1, height=40, width=32, map_cell=16)
