"""What every task knows and asks, cell by cell."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
import pytest

from kinora.core.errors import InputError
from kinora.training.tasks import GUIDE_CAPS, TASKS, Canvas, Known, TaskMix, draw_known

CLIPS = 600


def drawn(task: str, *, frames: int = 5, height: int = 16, width: int = 16, clips: int = CLIPS) -> Known:
    canvas = Canvas(
        rng=np.random.default_rng(0), clips=clips, frames=frames, height=height, width=width, history_noise=1 / 3,
        first_noised=0.2,
    )  # fmt: skip
    assert canvas.shape == (clips, frames, height, width)
    return draw_known(task, canvas)


def frame_caps(known: Known) -> npt.NDArray[np.float32]:
    """Caps (N, T) of a task that treats whole frames alike."""
    assert (known.cap_NTHW == known.cap_NTHW[:, :, :1, :1]).all()
    assert (known.asked_NTHW == known.asked_NTHW[:, :, :1, :1]).all()
    caps: npt.NDArray[np.float32] = known.cap_NTHW[:, :, 0, 0]
    return caps


def runs(row: npt.NDArray[np.bool_]) -> int:
    """How many stretches of True a row has."""
    return int(row[0]) + int((np.diff(row.astype(int)) == 1).sum())


def bounds(inside_HW: npt.NDArray[np.bool_]) -> tuple[int, int, int, int]:
    down, across = np.flatnonzero(inside_HW.any(axis=1)), np.flatnonzero(inside_HW.any(axis=0))
    return int(down[0]), int(down[-1]) + 1, int(across[0]), int(across[-1]) + 1


def test_text_is_the_commonest_task_and_shares_add_up() -> None:
    shares = TaskMix().shares(5)
    assert shares.sum() == pytest.approx(1.0)
    assert TASKS[int(shares.argmax())] == "text"
    assert shares[0] >= 0.3
    assert (shares > 0).all()
    assert np.allclose(TaskMix(text=3.0, first=1.0, **dict.fromkeys(TASKS[2:], 0.0)).shares(2)[:2], (0.75, 0.25))


def test_a_single_picture_has_regions_and_guides_and_is_text_otherwise() -> None:
    shares = dict(zip(TASKS, TaskMix().shares(1), strict=True))
    assert {task for task, share in shares.items() if share} == {"text", "region", "guide"}
    assert shares["text"] == pytest.approx(0.83)
    assert shares["guide"] == pytest.approx(0.10)


def test_shares_below_zero_and_no_share_at_all_are_refused() -> None:
    with pytest.raises(InputError, match=r"share of the task guide is -0\.1"):
        TaskMix(guide=-0.1)
    with pytest.raises(InputError, match="share of the task text is nan"):
        TaskMix(text=float("nan"))
    with pytest.raises(InputError, match="at least one task"):
        TaskMix(**dict.fromkeys(TASKS, 0.0))


def test_before_knows_a_run_at_the_end_as_history() -> None:
    known = drawn("before")
    cap_NT = frame_caps(known)
    asked_NT = known.asked_NTHW[:, :, 0, 0].astype(bool)
    assert sorted(set((~asked_NT).sum(axis=1).tolist())) == [1, 2, 3, 4]
    assert (cap_NT[asked_NT] == 1).all()
    for cap_T, asked_T in zip(cap_NT, asked_NT, strict=True):
        assert asked_T[0]
        assert not asked_T[-1]
        assert runs(asked_T) == 1
        assert len(set(cap_T[~asked_T].tolist())) == 1
    assert cap_NT[~asked_NT].max() < 1 / 3
    assert cap_NT[~asked_NT].max() > 0.3


def test_anchored_has_a_clean_first_frame_then_history_then_room() -> None:
    known = drawn("anchored")
    cap_NT = frame_caps(known)
    known_NT = ~known.asked_NTHW[:, :, 0, 0].astype(bool)
    assert (cap_NT[:, 0] == 0).all()
    assert known_NT[:, 0].all()
    lengths = known_NT[:, 1:].sum(axis=1)
    assert sorted(set(lengths.tolist())) == [1, 2, 3]
    assert all(runs(row) == 1 for row in known_NT[:, 1:])
    at_once = known_NT[:, 1].mean()
    assert 0.65 < at_once < 1.0
    history = cap_NT[:, 1:][known_NT[:, 1:]]
    assert 0 < history.min() < history.max() < 1 / 3


def test_anchored_without_room_for_history_is_first() -> None:
    known = drawn("anchored", frames=2)
    assert (known.asked_NTHW[:, 0] == 0).all()
    assert (known.asked_NTHW[:, 1] == 1).all()


def test_a_region_is_a_free_box_in_what_is_known_exactly() -> None:
    known = drawn("region")
    assert set(np.unique(known.cap_NTHW)) == {0.0, 1.0}
    assert np.array_equal(known.cap_NTHW, known.asked_NTHW)
    free_NTHW = known.cap_NTHW.astype(bool)
    around_N = np.array([not boxed(free_THW) for free_THW in free_NTHW])
    assert 0.12 < around_N.mean() < 0.28
    assert all(boxed(~free_THW) for free_THW in free_NTHW[around_N])
    sides = np.array([bounds(free_HW) for free_HW in free_NTHW[~around_N][:, 0]])
    tall, wide = sides[:, 1] - sides[:, 0], sides[:, 3] - sides[:, 2]
    for long in (tall, wide):
        assert long.min() in (3, 4)  # 20% of 16 cells is 3.2
        assert long.max() in (11, 12)  # 70% is 11.2
    at_rim = (sides[:, 0] == 0) | (sides[:, 1] == 16) | (sides[:, 2] == 0) | (sides[:, 3] == 16)
    assert 0.3 < at_rim.mean() < 0.9


def boxed(inside_THW: npt.NDArray[np.bool_]) -> bool:
    """Whether every frame's inside is one filled rectangle, of the same size in all of them."""
    sizes = set()
    for inside_HW in inside_THW:
        if not inside_HW.any():
            return False
        top, bottom, left, right = bounds(inside_HW)
        if not inside_HW[top:bottom, left:right].all():
            return False
        sizes.add((bottom - top, right - left))
    return len(sizes) == 1


def test_some_regions_drift_and_most_lie_on_the_grid_of_tokens() -> None:
    free_NTHW = drawn("region").cap_NTHW.astype(bool)
    moves_N = (free_NTHW[:, 0] != free_NTHW[:, -1]).any(axis=(1, 2))
    assert 0.25 < moves_N.mean() < 0.45
    tokens = free_NTHW.reshape(CLIPS, 5, 8, 2, 8, 2)
    whole_N = (tokens == tokens[:, :, :, :1, :, :1]).all(axis=(1, 2, 3, 4, 5))
    assert 0.75 < whole_N.mean() < 0.95


def test_a_guide_caps_boxes_and_leaves_nothing_known_but_the_picture() -> None:
    known = drawn("guide")
    assert np.array_equal(known.asked_NTHW > 0, known.cap_NTHW > 0)
    between = known.cap_NTHW[(known.cap_NTHW > 0) & (known.cap_NTHW < 1)]
    assert between.min() == pytest.approx(GUIDE_CAPS[0], abs=0.01)
    assert between.max() == pytest.approx(GUIDE_CAPS[1], abs=0.01)
    levels = [len(np.unique(cap_THW[1:])) for cap_THW in known.cap_NTHW]
    assert np.mean(np.array(levels) >= 2) > 0.8
    assert max(levels) == 4  # three boxes and the rest
    first_known = (known.cap_NTHW[:, 0] == 0).all(axis=(1, 2))
    assert 0.3 < first_known.mean() < 0.6
    exact = (known.cap_NTHW[:, 1:] == 0).any(axis=(1, 2, 3))
    assert 0.12 < exact.mean() < 0.28  # a mouth, with everything around it known


def test_a_guide_covers_some_of_the_frames() -> None:
    cap_NTHW = drawn("guide").cap_NTHW
    touched_NT = (cap_NTHW != cap_NTHW[:, -1:, -1:, -1:]).any(axis=(2, 3))
    assert 0.2 < touched_NT.mean() < 0.95


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 12, 20), (2, 3, 5), (3, 2, 2), (21, 20, 12)])
@pytest.mark.parametrize("task", TASKS)
def test_every_shape_is_asked_for_something(task: str, shape: tuple[int, int, int]) -> None:
    frames, height, width = shape
    if frames == 1 and task not in ("text", "region", "guide", "independent"):
        return  # never drawn: `shares` makes it text
    known = drawn(task, frames=frames, height=height, width=width, clips=40)
    assert known.cap_NTHW.shape == known.asked_NTHW.shape == (40, *shape)
    assert known.cap_NTHW.dtype == known.asked_NTHW.dtype == np.float32
    assert known.asked_NTHW.max(axis=(1, 2, 3)).min() == 1
    assert (known.cap_NTHW[known.asked_NTHW > 0] > 0).all()


def test_a_mix_changes_by_name() -> None:
    mix = dataclasses.replace(TaskMix(), guide=0.5)
    assert dict(zip(TASKS, mix.shares(5), strict=True))["guide"] == pytest.approx(0.5 / 1.4)
