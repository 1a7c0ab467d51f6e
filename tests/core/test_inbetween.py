"""What is between the keys of a motion, beside motions whose every moment is known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from kinora.core.inbetween import inbetween

Array = npt.NDArray[np.float64]

KEY_T = np.array([0, *range(2, 43, 4)], dtype=np.float64)
FRAME_M = np.arange(40, dtype=np.float64)
DROP = 0.5 * 9.81 * 0.3 / 16**2
"""Half of how much faster what falls gets, in pictures and frames."""


def of_one(value_T: Array, moment_M: Array = FRAME_M, key_T: Array = KEY_T) -> Array:
    """The way of a single number."""
    return inbetween(key_T, value_T[:, None], moment_M)[:, 0]


def falling(frame_M: Array) -> Array:
    """Comes to lie at frame 9.2."""
    return np.minimum(DROP * frame_M**2, DROP * 9.2**2)


def bouncing(frame_M: Array) -> Array:
    """Thrown up from the floor again and again, each time for 14 frames."""
    since_M = (frame_M + 7) % 14
    return DROP * since_M * (14 - since_M)


def test_a_fall_gets_faster_and_ends_at_once():
    found_M = of_one(falling(KEY_T))
    assert found_M == pytest.approx(falling(FRAME_M), abs=1e-6)
    # On straight lines between keys it is far off.
    assert np.abs(np.interp(FRAME_M, KEY_T, falling(KEY_T)) - falling(FRAME_M)).max() > 0.03


def test_a_landing_on_a_key_bends_nothing_before_it():
    def landing(frame_M: Array) -> Array:
        return np.minimum(DROP * frame_M**2, DROP * 10**2)

    assert of_one(landing(KEY_T)) == pytest.approx(landing(FRAME_M), abs=0.005)


def test_bounces_are_found_between_keys():
    found_M = of_one(bouncing(KEY_T))
    # Of those whose neighbours on both sides are known, and as far as curves have keys between two of them.
    wrong_M = np.abs(found_M - bouncing(FRAME_M))[:24]
    straight_M = np.abs(np.interp(FRAME_M, KEY_T, bouncing(KEY_T)) - bouncing(FRAME_M))[:24]
    assert wrong_M.max() < 0.4 * straight_M.max()
    assert found_M.max() < 1.05 * bouncing(FRAME_M).max()


def test_what_goes_steadily_stays_so_though_keys_are_set_unsteadily():
    unsteady_T = 0.02 * KEY_T + np.random.default_rng(3).normal(0, 0.004, len(KEY_T))
    assert of_one(unsteady_T) == pytest.approx(0.02 * FRAME_M, abs=0.02)


def test_each_number_moves_by_itself():
    value_TN = np.stack([falling(KEY_T), 0.02 * KEY_T, bouncing(KEY_T)], axis=1)
    together_MN = inbetween(KEY_T, value_TN, FRAME_M)
    for at in range(3):
        assert together_MN[:, at] == pytest.approx(of_one(value_TN[:, at]))


def test_keys_are_kept_and_outside_of_them_all_stands_still():
    value_T = np.random.default_rng(0).normal(size=len(KEY_T))
    assert of_one(value_T, KEY_T) == pytest.approx(value_T)
    assert of_one(value_T, np.array([-3.0, 99.0])) == pytest.approx(value_T[[0, -1]])


@pytest.mark.parametrize(("count", "moment", "value"), [(1, 2.0, 1.0), (2, 2.0, 2.0), (3, 1.0, 1.6875)])
def test_few_keys_are_enough(count: int, moment: float, value: float):
    value_T, key_T = np.array([1.0, 3.0, 3.0]), np.array([0.0, 4.0, 8.0])
    assert of_one(value_T[:count], np.array([moment]), key_T[:count]) == pytest.approx(value)


def test_nothing_moves_nowhere():
    assert inbetween(KEY_T, np.zeros((len(KEY_T), 0)), FRAME_M).shape == (len(FRAME_M), 0)
