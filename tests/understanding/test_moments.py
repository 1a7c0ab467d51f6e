"""What the reader looks at, against frames whose every value is known."""

import numpy as np
import pytest
import torch

from kinora.core.clip import Clip
from kinora.core.errors import ShapeError
from kinora.understanding.moments import choose_positions, clip_moments, moments_of, times_of


def ramp(frames: int, height: int, width: int) -> np.ndarray:
    """Frame f is evenly of grey 10 f."""
    return np.broadcast_to((10 * np.arange(frames, dtype=np.uint8))[:, None, None, None], (frames, height, width, 3))


def test_picture_is_the_last_frame_of_a_group_and_change_its_last_minus_first():
    frames_BFHW3 = torch.from_numpy(ramp(9, 32, 32).copy())[None]
    moments = moments_of(frames_BFHW3, 32)
    assert moments.shape == (1, 3, 6, 32, 32)
    picture, change = moments[0, :, 0, 0, 0], moments[0, :, 3, 0, 0]
    assert torch.allclose(picture, torch.tensor([0.0, 40.0, 80.0]) * 2 / 255 - 1, atol=1e-6)
    assert torch.allclose(change, torch.tensor([0.0, 30.0, 30.0]) * 4 / 255, atol=1e-5)


def test_wide_and_tall_pictures_show_their_central_square():
    frames = np.zeros((1, 32, 64, 3), dtype=np.uint8)
    frames[:, :, 16:48] = 255
    assert float(moments_of(torch.from_numpy(frames)[None], 16)[:, :, :3].min()) == 1.0
    tall = np.ascontiguousarray(frames.transpose(0, 2, 1, 3))
    assert float(moments_of(torch.from_numpy(tall)[None], 16)[:, :, :3].min()) == 1.0


@pytest.mark.parametrize("side", [32, 48, 40])
def test_any_size_keeps_the_mean_colour(side):
    frames = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), dtype=np.uint8)
    shrunk = moments_of(torch.from_numpy(frames)[None], 32)[0, 0, :3].mean()
    assert float(shrunk) == pytest.approx(frames.mean() * 2 / 255 - 1, abs=0.02)


def test_frames_that_form_no_groups_are_refused():
    with pytest.raises(ShapeError, match="not 8"):
        moments_of(torch.zeros(1, 8, 16, 16, 3, dtype=torch.uint8), 16)


def test_positions_begin_at_zero_and_spread_to_the_end():
    readings = [choose_positions(21, 5, reading, 3) for reading in range(3)]
    assert all(
        positions[0] == 0 and len(set(positions)) == 5 and positions == sorted(positions) for positions in readings
    )
    assert len({tuple(positions) for positions in readings}) == 3
    assert max(map(max, readings)) == 20
    assert min(positions[-1] for positions in readings) >= 16
    assert all(0 <= p <= 20 for positions in readings for p in positions)


def test_short_clips_give_all_they_have():
    assert choose_positions(1, 5, 0, 3) == [0]
    assert choose_positions(4, 5, 2, 3) == [0, 1, 2, 3]


def test_moments_of_a_clip_are_those_of_its_frames():
    clip = Clip(frames_FHWC=np.ascontiguousarray(ramp(25, 32, 32)), frame_rate=16.0)
    moments = clip_moments(clip, [0, 3, 6], 32)
    assert torch.allclose(moments[0, :, 0, 0, 0], torch.tensor([0.0, 120.0, 240.0]) * 2 / 255 - 1, atol=1e-6)


def test_times_are_seconds_of_the_pictures():
    assert times_of(torch.tensor([[0, 4, 20]]), 16.0).tolist() == [[0.0, 1.0, 5.0]]
