"""What the renderer says is in each pixel, checked against the scene; and points that are followed."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from kinora.core.errors import ShapeError
from kinora.core.poses import look_at, rotation_about
from kinora.world.projection import project, unproject
from kinora.world.render import Rendered, render, render_states
from kinora.world.scene import Body, CameraPath, Figure, Identity, Panel, Picture, Place, Scene, States
from kinora.world.tracks import tracks
from kinora.world.views import make_views, pixel_rays

POSITION, TARGET, FOV = (0.0, -6.0, 1.7), (0.0, 0.0, 0.8), 0.72


def body(shape: str, x: float, y: float, *, colour: str = "red", z: float | None = None, **more: str) -> Body:
    return Body(
        shape=shape,
        colour=colour,
        size="medium",
        material=more.get("material", "matte"),
        position=(x, y, 0.5 if z is None else z),
    )


def scene(*bodies: Body, ground: str = "checker", sky: str = "day", **more: object) -> Scene:
    return dataclasses.replace(Scene(place=Place(ground=ground, sky=sky), bodies=bodies), **more)  # type: ignore[arg-type]


def states_of(one: Scene, position_FN3: np.ndarray | None = None, pose_F34: np.ndarray | None = None) -> States:
    """States made by hand: bodies where they are told to be, the camera standing unless told otherwise."""
    if position_FN3 is None:
        position_FN3 = np.array([[each.position for each in one.bodies]], dtype=np.float64).reshape(1, -1, 3)
    frames, bodies = position_FN3.shape[:2]
    if pose_F34 is None:
        pose_F34 = np.tile(look_at(np.array(one.camera.position), np.array(one.camera.target)), (frames, 1, 1))
    none = len(one.figures)
    return States(
        body_position_FN3=position_FN3,
        body_rotation_FN33=np.tile(np.eye(3), (frames, bodies, 1, 1)),
        body_velocity_FN3=np.zeros_like(position_FN3),
        figure_root_FM3=np.zeros((frames, none, 3)),
        figure_heading_FM=np.zeros((frames, none)),
        figure_head_FM2=np.zeros((frames, none, 2)),
        figure_limbs_FM4=np.zeros((frames, none, 4)),
        figure_spread_FM2=np.zeros((frames, none, 2)),
        figure_face_FM2=np.zeros((frames, none, 2)),
        figure_brow_FM3=np.zeros((frames, none, 3)),
        figure_mouth_FM4=np.zeros((frames, none, 4)),
        animal_root_FA3=np.zeros((frames, 0, 3)),
        animal_heading_FA=np.zeros((frames, 0)),
        animal_legs_FA4=np.zeros((frames, 0, 4)),
        animal_pose_FA4=np.zeros((frames, 0, 4)),
        rope_FRJ3=np.zeros((frames, 0, 15, 3)),
        camera_pose_F34=pose_F34,
        camera_fov_F=np.full(frames, one.camera.fov),
        time_F=np.arange(frames) / one.frame_rate,
    )


def truth(one: Scene, states: States, size: int = 96) -> tuple[np.ndarray, np.ndarray]:
    drawn = render_states([one], [states], height=size, width=size, truth=True)
    assert drawn.ids_BFHW is not None
    assert drawn.depth_BFHW is not None
    return drawn.ids_BFHW[0].numpy(), drawn.depth_BFHW[0].numpy()


def test_projection_undoes_the_rays() -> None:
    one = scene()
    pose = look_at(np.array(POSITION), np.array(TARGET))
    pose[:, :3] = pose[:, :3] @ rotation_about(np.array([0.0, 0.0, 1.0]), 0.3)
    views = make_views([states_of(one, pose_F34=pose[None])], 90, 160, torch.device("cpu"))
    draw = np.random.default_rng(0)
    pixel_P2 = draw.uniform(0, 1, (200, 2)) * [160, 90]
    depth_P = draw.uniform(0.5, 40, 200)
    x_P, y_P = torch.from_numpy(pixel_P2.T.astype(np.float32))
    rays = pixel_rays(views, torch.zeros(200, dtype=torch.long), x_P, y_P)
    point_P3 = rays.point(torch.from_numpy(depth_P.astype(np.float32))).T.numpy()
    found_P2, found_P = project(point_P3.astype(np.float64), pose, FOV, 90, 160)
    assert np.allclose(found_P2, pixel_P2, atol=2e-3)
    assert np.allclose(found_P, depth_P, rtol=1e-5)
    assert np.allclose(unproject(pixel_P2, depth_P, pose, FOV, 90, 160), point_P3, atol=1e-4)


def test_points_behind_the_camera_have_no_pixel() -> None:
    pose = look_at(np.array(POSITION), np.array(TARGET))
    pixel_P2, depth_P = project(np.array([[0.0, -9.0, 1.0]]), pose, FOV, 64, 64)
    assert depth_P[0] < 0
    assert np.isnan(pixel_P2).all()


def test_ids_lie_where_bodies_project() -> None:
    one = scene(body("sphere", -1.2, 0.0), body("cube", 0.2, 0.8), body("cone", 1.6, 0.0))
    ids_FHW, _ = truth(one, states_of(one))
    pose = look_at(np.array(POSITION), np.array(TARGET))
    pixel_P2, _ = project(np.array([each.position for each in one.bodies]), pose, FOV, 96, 96)
    for index, (x, y) in enumerate(pixel_P2.astype(int)):
        assert ids_FHW[0, y, x] == 2 + index
    assert ids_FHW[0, 0].max() == 0
    assert (ids_FHW[0, -1] == 1).all()


def test_a_ball_covers_its_solid_angle() -> None:
    one = scene(body("sphere", 0.0, 0.0, z=0.8))
    ids_FHW, depth_FHW = truth(one, states_of(one), 256)
    # The picture of a ball on the axis is a disc with tan(angle) = r / sqrt(d^2 - r^2).
    distance = math.dist(POSITION, TARGET)
    focal = 128 / math.tan(FOV / 2)
    radius = focal * 0.5 / math.sqrt(distance**2 - 0.25)
    assert (ids_FHW == 2).sum() == pytest.approx(math.pi * radius**2, rel=0.01)
    assert depth_FHW[0, 127:129, 127:129].mean() == pytest.approx(distance - 0.5, abs=1e-3)


def test_depth_of_the_ground_is_exact_and_the_sky_is_infinitely_far() -> None:
    one = scene()
    ids_FHW, depth_FHW = truth(one, states_of(one), 64)
    pose = look_at(np.array(POSITION), np.array(TARGET))
    row, column = np.nonzero(ids_FHW[0] == 1)
    point_P3 = unproject(
        np.stack([column + 0.5, row + 0.5], 1), depth_FHW[0][row, column].astype(np.float64), pose, FOV, 64, 64
    )
    near = depth_FHW[0][row, column] < 100
    assert np.abs(point_P3[near, 2]).max() < 2e-3
    assert np.isinf(depth_FHW[ids_FHW == 0]).all()


def test_the_nearer_body_hides_the_farther() -> None:
    one = scene(body("sphere", 0.0, 2.0, z=0.8), body("sphere", 0.0, 0.0, z=0.8))
    ids_FHW, _ = truth(one, states_of(one))
    assert ids_FHW[0, 48, 48] == 3
    assert (ids_FHW == 2).sum() < 0.2 * (ids_FHW == 3).sum()


def test_figures_and_panels_have_their_own_ids() -> None:
    who = Identity(
        skin=(0.8, 0.5, 0.4), hair="brown", hair_style=1, eyes=(0.1, 0.2, 0.5), clothes="red", trousers=(0.1, 0.1, 0.3)
    )
    one = scene(
        figures=(Figure(identity=who),),
        panels=(Panel(picture=Picture(kind="stripes", seed=1), centre=(0.0, 3.0, 1.5), width=8.0, height=3.0),),
    )
    ids_FHW, _ = truth(one, states_of(one))
    assert set(np.unique(ids_FHW)) == {0, 1, 32, 64}
    # The panel's edge lies where its corner projects to.
    pose = look_at(np.array(POSITION), np.array(TARGET))
    (_, top), (_, bottom) = project(np.array([[0.0, 2.98, 3.0], [0.0, 2.98, 0.0]]), pose, FOV, 96, 96)[0]
    column = ids_FHW[0, :, 10]
    assert abs(np.flatnonzero(column == 64).min() - top) <= 1.0
    assert abs(np.flatnonzero(column == 64).max() + 1 - bottom) <= 1.0


@pytest.mark.parametrize(("height", "width"), [(64, 112), (112, 64)])
def test_the_central_square_shows_the_same_in_every_aspect(height: int, width: int) -> None:
    one = scene(body("sphere", -0.6, 0.0), body("cube", 0.7, 0.3))
    states = states_of(one)
    square = render_states([one], [states], height=64, width=64).rgb_BFHW3[0, 0].int()
    wide = render_states([one], [states], height=height, width=width).rgb_BFHW3[0, 0].int()
    top, left = (height - 64) // 2, (width - 64) // 2
    assert (wide[top : top + 64, left : left + 64] - square).abs().max() <= 1


def test_the_same_call_gives_the_same_bits_and_frames_can_be_chosen() -> None:
    one = Scene(
        place=Place(ground="water", sky="sunset", seed=5),
        bodies=(body("sphere", -0.5, 0.0, z=1.5, material="metal"), body("cube", 0.8, 0.4, material="glass")),
        camera=CameraPath(kind="orbit_left", rate=0.2),
        seconds=1.0,
    )
    first = render([one], height=48, width=48, frames=[[0, 7, 16]]).rgb_BFHW3
    again = render([one], height=48, width=48, frames=[[0, 7, 16]]).rgb_BFHW3
    assert torch.equal(first, again)
    whole = render([one], height=48, width=48).rgb_BFHW3
    assert whole.shape == (1, 17, 48, 48, 3)
    assert (whole[:, [0, 7, 16]].int() - first.int()).abs().max() <= 1


def test_scenes_drawn_together_look_as_they_do_alone() -> None:
    scenes = [
        scene(body("sphere", 0.0, 0.0, material="shiny")),
        scene(body("cube", 0.5, 0.0, material="glowing"), ground="wood", sky="night"),
        scene(body("cone", 0.5, 0.0, material="metal"), ground="water", sky="sunset"),
    ]
    states = [states_of(one) for one in scenes]
    together = render_states(scenes, states, height=48, width=48, truth=True)
    for index, (one, state) in enumerate(zip(scenes, states, strict=True)):
        alone = render_states([one], [state], height=48, width=48, truth=True)
        assert torch.equal(alone.rgb_BFHW3[0], together.rgb_BFHW3[index])
        assert alone.ids_BFHW is not None
        assert together.ids_BFHW is not None
        assert torch.equal(alone.ids_BFHW[0], together.ids_BFHW[index])


def test_many_scenes_in_one_chunk_look_as_they_do_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    # An accelerator draws many scenes at once; the same path is forced here.
    from kinora.world import render as module

    scenes = [
        scene(body("sphere", 0.0, 0.0, material="shiny"), body("sphere", 1.0, 0.5, material="glowing")),
        scene(body("cube", 0.5, 0.0, material="glowing"), ground="wood", sky="night"),
        scene(body("cone", 0.5, 0.0, material="glass"), ground="water", sky="sunset"),
        scene(body("cylinder", 0.5, 0.0, material="metal"), ground="grass", sky="overcast"),
    ]
    states = [states_of(one) for one in scenes]
    alone: Rendered = render_states(scenes, states, height=48, width=48, truth=True)
    monkeypatch.setattr(module, "_chunks", lambda scenes, frames, pixels, device: [(0, scenes, 0, frames)])
    together = render_states(scenes, states, height=48, width=48, truth=True)
    apart = (alone.rgb_BFHW3.int() - together.rgb_BFHW3.int()).abs()
    assert (apart > 1).float().mean() < 1e-3
    assert alone.ids_BFHW is not None
    assert together.ids_BFHW is not None
    assert torch.equal(alone.ids_BFHW, together.ids_BFHW)


def test_sizes_and_frame_counts_that_cannot_be_are_refused() -> None:
    one = scene()
    with pytest.raises(ShapeError, match="0 x 32"):
        render_states([one], [states_of(one)], height=32, width=0)
    longer = states_of(one, np.zeros((3, 0, 3)))
    with pytest.raises(ShapeError, match=r"\[1, 3\]"):
        render_states([one, one], [states_of(one), longer], height=16, width=16)


def test_tracks_follow_a_body_and_notice_when_it_is_hidden() -> None:
    one = scene(body("cube", -1.5, 1.0), body("cube", 0.0, -1.0))
    path = np.tile(np.array([[-1.5, 1.0, 0.5], [0.0, -1.0, 0.5]]), (9, 1, 1))
    path[:, 0, 0] = np.linspace(-1.5, 1.5, 9)
    states = states_of(one, path)
    found = tracks(one, states, 96, 96, 40, seed=1)
    assert found.pixels_FP2.shape == (9, 40, 2)
    assert found.visible_FP[0].all()
    first, ground = found.owner_P == 2, found.owner_P == 1
    assert first.any()
    assert ground.any()
    # Points of a body that does not turn keep their distance from its projected middle's world motion.
    assert (np.diff(found.pixels_FP2[:, first, 0], axis=0) > 0).all()
    assert np.abs(found.pixels_FP2[:, ground] - found.pixels_FP2[:1, ground]).max() == 0
    # Half way only its top looks over the nearer one.
    assert found.visible_FP[4, first].mean() < 0.35
    assert found.visible_FP[8, first].mean() > 0.5


def test_tracks_need_a_surface() -> None:
    one = scene(camera=CameraPath(target=(0.0, 0.0, 9.0)))
    with pytest.raises(ShapeError, match="only sky"):
        tracks(one, states_of(one), 32, 32, 4, seed=0)
