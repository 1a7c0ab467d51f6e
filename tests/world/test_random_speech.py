"""Made-up speech: syllables at a natural rate, smooth, within bounds."""

from __future__ import annotations

import numpy as np
import pytest

from kinora.world.speech import random_speech


def track(seed: int, seconds: float = 20.0, frame_rate: float = 16.0) -> np.ndarray:
    return random_speech(np.random.default_rng(seed), round(seconds * frame_rate), frame_rate).mouth_F4


@pytest.mark.parametrize("seed", range(8))
def test_a_track_has_its_length_and_bounds_and_starts_closed(seed: int) -> None:
    speech = random_speech(np.random.default_rng(seed), 81, 16.0)
    assert speech.mouth_F4.shape == (81, 4)
    assert speech.mouth_F4.dtype == np.float32
    assert speech.frame_rate == 16.0
    assert not speech.mouth_F4[0].any()
    assert speech.mouth_F4.max() > 0.5


def test_syllables_come_three_to_five_times_a_second() -> None:
    for seed in range(6):
        openness = track(seed, frame_rate=200.0)[:, 0]
        inner = openness[1:-1]
        peaks = ((inner > openness[:-2]) & (inner >= openness[2:]) & (inner > 0.25)).sum()
        talking = (np.convolve(openness > 0.02, np.ones(21), "same") > 0).mean() * 20.0
        assert 2.0 < peaks / talking < 6.0


def test_lips_move_smoothly_and_rest_between_phrases() -> None:
    fine = track(3, frame_rate=400.0)
    assert np.abs(np.diff(fine, axis=0)).max() < 0.06
    # The second difference of a jump does not shrink with the step; that of an eased movement does.
    assert np.abs(np.diff(fine, n=2, axis=0)).max() < 0.01
    assert 0.02 < (fine.max(1) < 0.01).mean() < 0.6


def test_axes_go_together_as_lips_do() -> None:
    frames = np.concatenate([track(seed) for seed in range(12)])
    openness, width, rounding, teeth = frames.T
    talking = frames.max(1) > 0.2
    assert np.corrcoef(width[talking], rounding[talking])[0, 1] < -0.3, "rounded lips are narrow"
    assert np.corrcoef(teeth[talking], rounding[talking])[0, 1] < 0.0, "rounded lips hide the teeth"
    assert teeth[openness > 0.8].mean() < teeth[(openness < 0.3) & talking].mean()
    assert frames.std(0).min() > 0.1


def test_frame_rate_changes_the_sampling_and_not_the_speech() -> None:
    slow, fast = track(5, seconds=5.0, frame_rate=8.0), track(5, seconds=5.0, frame_rate=16.0)
    assert np.allclose(slow, fast[::2], atol=1e-6)


def test_speech_is_fixed_by_the_generator() -> None:
    assert np.array_equal(track(1), track(1))
    assert not np.array_equal(track(1), track(2))
