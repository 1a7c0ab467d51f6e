"""What figures do over time."""

from __future__ import annotations

import numpy as np
import pytest

from kinora.core.slots import FIGURE_ACTIONS
from kinora.core.visemes import VisemeTrack
from kinora.world.motion import FigureMotion, figure_motion, heading_vector
from kinora.world.scene import Figure, Identity

TIMES = np.arange(161) / 32.0
SOMEONE = Identity(
    skin=(0.6, 0.4, 0.3), hair="black", hair_style=0, eyes=(0.1, 0.2, 0.4), clothes="red", trousers=(0.1, 0.1, 0.3)
)


def moved(phase: float = 0.0, gravity: float = 9.81, **declared: object) -> FigureMotion:
    return figure_motion(Figure(identity=SOMEONE, **declared), TIMES, gravity=gravity, phase=phase)


@pytest.mark.parametrize("action", FIGURE_ACTIONS)
def test_only_walkers_leave_their_place(action: str) -> None:
    motion = moved(action=action, position=(0.4, 0.2, 0.0), speed=0.5)
    stays = action != "walk"
    assert np.allclose(motion.root_F3[:, :2], [0.4, 0.2]) == stays
    assert (motion.root_F3[:, 2].max() > 0.0) == (action == "jump")
    assert (np.ptp(motion.heading_F) > 0.0) == (action == "turn")
    assert (np.ptp(motion.head_F2[:, 1]) > 0.2) == (action == "nod")
    assert (motion.face_F2[:, 0].max() > 0.9) == (action == "smile")


@pytest.mark.parametrize(
    ("heading", "way"), [(0.0, (0, -1, 0)), (np.pi / 2, (1, 0, 0)), (-np.pi / 2, (-1, 0, 0)), (np.pi, (0, 1, 0))]
)
def test_a_walker_goes_where_it_faces(heading: float, way: tuple[int, int, int]) -> None:
    np.testing.assert_allclose(heading_vector(heading), way, atol=1e-12)
    motion = moved(action="walk", heading=heading, speed=0.5)
    np.testing.assert_allclose(motion.root_F3[-1], 0.5 * TIMES[-1] * np.array(way), atol=1e-9)


def test_steps_belong_to_distance_not_to_time() -> None:
    slow, fast = moved(action="walk", speed=0.3), moved(action="walk", speed=0.6)
    np.testing.assert_allclose(slow.limbs_F4[::2], fast.limbs_F4[:81], atol=1e-9)
    np.testing.assert_allclose(slow.limbs_F4[:, 2], -slow.limbs_F4[:, 3])
    assert (np.sign(slow.limbs_F4[1:40, 0]) == -np.sign(slow.limbs_F4[1:40, 2])).all()


def test_a_standing_foot_does_not_skate() -> None:
    """Where the legs pass one another, the swing of the foot backwards is as fast as the walk."""
    motion = moved(action="walk", speed=0.5)
    foot_F = 0.42 * SOMEONE.height * np.sin(motion.limbs_F4[:, 2])
    backward = -np.diff(foot_F).min() * 32.0
    assert backward == pytest.approx(0.5, rel=0.65)


@pytest.mark.parametrize("gravity", [9.81, 3.7])
def test_a_jump_is_ballistic(gravity: float) -> None:
    height_F = moved(action="jump", gravity=gravity).root_F3[:, 2]
    flying = np.flatnonzero(height_F > 0.0)
    first = flying[: int(np.argmax(np.diff(flying) > 1)) + 1] if (np.diff(flying) > 1).any() else flying
    curve = np.polyfit(TIMES[first], height_F[first], 2)
    assert -2 * curve[0] == pytest.approx(gravity, rel=1e-6)
    assert height_F.min() == 0.0
    assert len(flying) > len(first)


def test_a_turn_goes_at_its_rate_and_way() -> None:
    np.testing.assert_allclose(moved(action="turn", heading=0.1, speed=-1.2).heading_F, 0.1 - 1.2 * TIMES)


def test_everyone_blinks_now_and_then_but_not_together() -> None:
    lids = [moved(phase=phase).face_F2[:, 1] for phase in (0.0, 0.37)]
    for lid_F in lids:
        assert lid_F.max() > 0.8
        assert 0.02 < (lid_F > 0).mean() < 0.15
    assert not np.allclose(lids[0], lids[1])


def test_the_mouth_is_the_speech_track_at_the_frames_times() -> None:
    track = np.zeros((5, 4), np.float32)
    track[:, 0] = [0.0, 1.0, 0.5, 0.5, 0.0]
    mouth_F4 = moved(action="speak", speech=VisemeTrack(mouth_F4=track, frame_rate=8.0)).mouth_F4
    np.testing.assert_allclose(mouth_F4[:9, 0], [0.0, 0.25, 0.5, 0.75, 1.0, 0.875, 0.75, 0.625, 0.5])
    assert not mouth_F4[17:].any()
    assert not moved(action="stand").mouth_F4.any()
