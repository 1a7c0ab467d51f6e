"""What a training clip records: moments, poses, mouths, faces."""

from __future__ import annotations

import numpy as np
import pytest

from kinora.control.frames import mouth_windows, pose_vectors
from kinora.core.poses import relative_poses
from kinora.core.shapes import Compression
from kinora.training.clips import choose_latent_frames, clip_truth, pixel_frames
from kinora.training.scenes import clip_scene
from kinora.world.figures import head_centre
from kinora.world.render import render
from kinora.world.simulate import simulate


@pytest.mark.parametrize("count", [3, 5, 9])
def test_chosen_latent_frames_hold_the_first_and_two_neighbours(count: int) -> None:
    for seed in range(200):
        chosen = choose_latent_frames(count, 21, np.random.default_rng(seed))
        assert len(chosen) == count
        assert chosen[0] == 0
        assert chosen[-1] <= 20
        assert np.diff(chosen).min() == 1
        assert (np.diff(chosen) > 0).all()


def test_every_latent_frame_is_chosen_about_equally_often() -> None:
    counts = np.zeros(21)
    for seed in range(3000):
        counts[choose_latent_frames(5, 21, np.random.default_rng(seed))] += 1
    later = counts[1:]
    assert later.min() > 0.6 * later.mean()


def test_all_latent_frames_where_all_are_wanted() -> None:
    assert choose_latent_frames(21, 21, np.random.default_rng(0)).tolist() == list(range(21))
    assert choose_latent_frames(1, 21, np.random.default_rng(0)).tolist() == [0]


def test_pixel_frames_are_those_that_the_codec_joins() -> None:
    latent_frames = np.array([0, 3, 4, 20])
    frames = pixel_frames(latent_frames)
    assert frames == [0, 9, 10, 11, 12, 13, 14, 15, 16, 77, 78, 79, 80]
    assert {Compression().latent_frame_of(frame) for frame in frames} == set(latent_frames.tolist())


def test_mouth_windows_known_answer() -> None:
    mouth_F4 = np.zeros((81, 4), dtype=np.float32)
    mouth_F4[:, 0] = np.arange(81)
    windows_TS = mouth_windows(mouth_F4, np.array([0, 2, 20])).reshape(3, 12, 4)
    assert windows_TS[0, :, 0].tolist() == [0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]
    assert windows_TS[1, :, 0].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    assert windows_TS[2, :, 0].tolist() == [73, 74, 75, 76, 77, 78, 79, 80, 80, 80, 80, 80]
    assert not windows_TS[:, :, 1:].any()


def test_poses_are_told_from_the_first_frame_at_each_latent_frames_last_pixel_frame() -> None:
    scene = next(scene for seed in range(100) if (scene := clip_scene(seed)).camera.kind != "still")
    states = simulate(scene)
    latent_frames = np.array([0, 7, 20])
    pose_T12 = pose_vectors(states.camera_pose_F34, latent_frames)
    assert np.allclose(pose_T12[0], np.eye(3, 4).ravel(), atol=1e-6)
    assert np.allclose(pose_T12[2], relative_poses(states.camera_pose_F34)[80].ravel(), atol=1e-6)
    assert not np.allclose(pose_T12[1], pose_T12[2], atol=1e-4)


def test_nobody_speaks_no_mouth_and_no_face() -> None:
    scene = next(scene for seed in range(100) if not (scene := clip_scene(seed)).figures)
    truth = clip_truth(scene, np.array([0, 4, 5]), height=64, width=64)
    assert not truth.mouth_TS.any()
    assert not truth.face_T3.any()


def test_the_face_is_where_the_renderer_draws_the_speaking_figure() -> None:
    scenes = (clip_scene(seed, mix="simple") for seed in range(400))
    scene = next(scene for scene in scenes if any(figure.speech for figure in scene.figures))
    m = next(m for m, figure in enumerate(scene.figures) if figure.speech)
    height, width = 96, 160
    truth = clip_truth(scene, np.array([0, 10, 11]), height=height, width=width)
    assert truth.mouth_TS.max() > 0.05
    ids_HW = render([scene], height=height, width=width, frames=[[40]], truth=True).ids_BFHW[0, 0].numpy()  # type: ignore[index]
    x, y, radius = truth.face_T3[1]
    assert ids_HW[int(y * height), int(x * width)] == 32 + m
    # The head's top is one radius above its centre, give or take the hair; two radii above there is no figure.
    assert ids_HW[int(y * height - 2.2 * radius * height), int(x * width)] != 32 + m
    assert np.isfinite(head_centre(scene.figures[m], simulate(scene), m)).all()
