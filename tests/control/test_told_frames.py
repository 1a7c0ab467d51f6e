"""Conditions told frame by frame: the same for training and pipeline."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from kinora.control.frames import STAGE_DISTANCE, face_mask, mouth_windows, pose_of_track, pose_vectors
from kinora.core.camera import CameraKey, CameraMove, camera_track


def test_poses_are_told_from_the_first_frame_at_each_latent_frames_last_pixel_frame() -> None:
    pose_F34 = np.tile(np.eye(3, 4), (9, 1, 1))
    pose_F34[:, 0, 3] = 5.0 + np.arange(9)
    vectors_T12 = pose_vectors(pose_F34, np.arange(3))
    assert vectors_T12.dtype == np.float32
    assert vectors_T12.reshape(3, 3, 4)[:, 0, 3].tolist() == [0, 4, 8]
    assert vectors_T12.reshape(3, 3, 4)[2, :, :3].tolist() == np.eye(3).tolist()


def test_a_track_is_told_in_the_theatres_metres() -> None:
    move = CameraMove(path=(CameraKey(seconds=0.0), CameraKey(seconds=1.0, x=0.5, pan=30.0)))
    vectors = pose_of_track(camera_track(move, np.linspace(0, 1, 9)), np.arange(3)).reshape(3, 3, 4)
    assert vectors[2, :, 3] == pytest.approx([0.5 * STAGE_DISTANCE, 0, 0])
    assert vectors[2, :, 2] == pytest.approx([math.sin(math.pi / 6), 0, math.cos(math.pi / 6)], abs=1e-6)
    assert vectors[0].tolist() == np.eye(3, 4).tolist()


def test_a_mouth_window_holds_twelve_frames_and_repeats_the_ends() -> None:
    mouth_F4 = np.arange(9, dtype=np.float64)[:, None] * np.ones(4)
    windows = mouth_windows(mouth_F4, np.arange(3)).reshape(3, 12, 4)[:, :, 0]
    assert windows[0].tolist() == [0] * 8 + [1, 2, 3, 4]
    assert windows[1].tolist() == [0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert windows[2].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 8, 8]


def test_a_face_covers_its_disc() -> None:
    face = torch.tensor([[[0.5, 0.5, 0.25], [0.5, 0.5, 0.0]]])
    mask = face_mask(face, 16, 32)
    assert mask.shape == (1, 2, 16, 32)
    assert float(mask[0, 0].sum()) == pytest.approx(math.pi * 16, rel=0.05)
    assert mask[0, 0, 8, [16, 22]].tolist() == [1, 0]
    assert not mask[0, 1].any()
