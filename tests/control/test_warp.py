"""The camera: what it sees after it moved, by known answers."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from kinora.control.drag import BrushLevels, DrawnBrush, brush_guide
from kinora.control.guide import Guide
from kinora.control.warp import CameraLevels, Stage, camera_guide
from kinora.core.camera import CameraKey, CameraMove, CameraTrack, camera_track
from kinora.core.errors import ShapeError
from kinora.world.render import render_states
from kinora.world.sampler import sample_scene
from kinora.world.simulate import simulate

SIZE = 128
STAGE, LEVELS = Stage(), CameraLevels()
FOCAL = 0.5 * SIZE / math.tan(0.5 * STAGE.fov)


def _dot(x: float, y: float, height: int = SIZE, width: int = SIZE) -> npt.NDArray[np.uint8]:
    """A soft white dot whose middle lies at (x, y), pixel centres at a half."""
    rows, columns = np.mgrid[:height, :width] + 0.5
    value = 240.0 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 4.0**2))
    return np.repeat(value[:, :, None], 3, axis=2).astype(np.uint8)


def _centre(frame_HW3: npt.NDArray[np.uint8]) -> tuple[float, float]:
    weight = frame_HW3[..., 0].astype(float)
    rows, columns = np.mgrid[: weight.shape[0], : weight.shape[1]] + 0.5
    return float((weight * columns).sum() / weight.sum()), float((weight * rows).sum() / weight.sum())


def _moved(picture: npt.NDArray[np.uint8], **key: float) -> Guide:
    """The picture from a camera that reaches `key` in one second."""
    track = camera_track(CameraMove(path=(CameraKey(seconds=0.0), CameraKey(seconds=1.0, **key))), np.array([0.0, 1.0]))
    return camera_guide(Guide.still(picture), track)


@pytest.mark.parametrize("degrees", [3.0, -5.0])
def test_a_pan_moves_the_picture_by_f_tan(degrees: float) -> None:
    x, y = _centre(_moved(_dot(64, 64), pan=degrees).frames_FHW3[1])
    assert x == pytest.approx(64 - FOCAL * math.tan(math.radians(degrees)), abs=0.1)
    assert y == pytest.approx(64, abs=0.1)


def test_a_tilt_up_lowers_the_picture() -> None:
    x, y = _centre(_moved(_dot(64, 64), tilt=4.0).frames_FHW3[1])
    assert (x, y) == (pytest.approx(64, abs=0.1), pytest.approx(64 + FOCAL * math.tan(math.radians(4.0)), abs=0.1))


def test_a_longer_focal_length_enlarges_about_the_middle() -> None:
    x, y = _centre(_moved(_dot(74, 58), zoom=math.log(2.0)).frames_FHW3[1])
    assert (x, y) == (pytest.approx(84, abs=0.2), pytest.approx(52, abs=0.2))


def test_a_clockwise_roll_turns_the_picture_the_other_way() -> None:
    x, y = _centre(_moved(_dot(94, 64), roll=30.0).frames_FHW3[1])
    angle = math.radians(-30.0)
    assert (x, y) == (
        pytest.approx(64 + 30 * math.cos(angle), abs=0.1),
        pytest.approx(64 + 30 * math.sin(angle), abs=0.1),
    )


def _point_on_stage(x: float, y: float) -> npt.NDArray[np.float64]:
    """What the first camera sees at a pixel, found by hand: the nearer of ground and wall."""
    ray = np.array([(x - 64) / FOCAL, (y - 64) / FOCAL, 1.0])
    level, down = math.cos(STAGE.looks_down), math.sin(STAGE.looks_down)
    below, ahead = level * ray[1] + down * ray[2], level * ray[2] - down * ray[1]
    ways = [STAGE.height / below if below > 0 else math.inf, STAGE.wall / ahead]
    return ray * min(ways)


@pytest.mark.parametrize("place", [(64.0, 100.0), (80.0, 92.0), (50.0, 30.0)])
@pytest.mark.parametrize("key", [{"x": 0.1}, {"y": -0.05}, {"z": 0.2}, {"orbit": 6.0}, {"x": -0.1, "pan": 5.0}])
def test_travel_moves_ground_and_wall_as_their_depths_demand(place: tuple[float, float], key: dict[str, float]) -> None:
    move = CameraMove(path=(CameraKey(seconds=0.0), CameraKey(seconds=1.0, **key)))
    track = camera_track(move, np.array([0.0, 1.0]))
    guide = camera_guide(Guide.still(_dot(*place)), track)
    pose_34 = track.pose_F34[1]
    seen_3 = (_point_on_stage(*place) - pose_34[:, 3]) @ pose_34[:, :3]
    expected = 64 + FOCAL * seen_3[:2] / seen_3[2]
    # A dot is spread over ground that is seen at a slant, so its centroid is a little off its middle's image.
    assert _centre(guide.frames_FHW3[1]) == pytest.approx(expected, abs=0.6)


def test_a_still_camera_returns_the_guide_unchanged() -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (5, 32, 48, 3), dtype=np.uint8)
    guide = Guide(frames_FHW3=frames, cap_FHW=rng.random((5, 32, 48), dtype=np.float32))
    seen = camera_guide(guide, camera_track(CameraMove(), np.arange(5) / 16))
    assert np.array_equal(seen.frames_FHW3, frames)
    assert np.array_equal(seen.cap_FHW, guide.cap_FHW)


def test_a_move_begins_with_the_picture_itself() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    seen = camera_guide(Guide.still(picture, cap=0.0), camera_track(CameraMove(pan=10, forward=5), np.arange(5) / 16))
    assert np.array_equal(seen.frames_FHW3[0], picture)
    assert (seen.cap_FHW[0] == 0).all()
    assert not np.array_equal(seen.frames_FHW3[4], picture)


def test_what_the_picture_did_not_show_is_free() -> None:
    right = _moved(_dot(64, 64), pan=10.0).cap_FHW[1]
    assert right[64, 0] < right[64, -1] == 1.0
    wide = _moved(_dot(64, 64), zoom=-math.log(2.0)).cap_FHW[1]
    assert (wide[32:96, 32:96] < 1).all()
    assert (wide == 1).sum() == SIZE**2 - 64**2


def test_caps_travel_with_their_pixels_and_the_camera_adds_its_own_doubt() -> None:
    cap = np.full((1, SIZE, SIZE), 0.9, dtype=np.float32)
    cap[:, :, :64] = 0.0
    guide = Guide(frames_FHW3=_dot(64, 64)[None], cap_FHW=cap)
    track = camera_track(CameraMove(path=(CameraKey(seconds=0.0), CameraKey(seconds=1.0, pan=5.0))), np.array([0, 1.0]))
    seen = camera_guide(guide, track).cap_FHW[1, 64]
    edge = 64 - FOCAL * math.tan(math.radians(5.0))
    assert seen[int(edge) - 3] == pytest.approx(LEVELS.turned), "exact before, now as exact as a turn leaves it"
    assert seen[int(edge) + 3] == pytest.approx(0.9), "free before, free still"


def test_doubt_grows_with_travel_up_to_its_level() -> None:
    def least(distance: float) -> float:
        return float(_moved(_dot(64, 64), x=distance).cap_FHW[1].min())

    # A still has a cap of its own; a picture known exactly shows what the camera adds.
    exact = Guide.still(_dot(64, 64), cap=0.0)
    keys = (CameraKey(seconds=0.0), CameraKey(seconds=1.0, x=0.2))
    seen = camera_guide(exact, camera_track(CameraMove(path=keys), np.array([0, 0.375, 1.0])))
    assert seen.cap_FHW[1].min() == pytest.approx(0.5 * (LEVELS.turned + LEVELS.travelled), abs=1e-6)
    assert seen.cap_FHW[2].min() == pytest.approx(LEVELS.travelled)
    assert least(0.01) == pytest.approx(0.3)


def test_a_brushed_square_goes_its_way_and_the_camera_goes_its_own() -> None:
    picture = np.full((SIZE, SIZE, 3), 30, dtype=np.uint8)
    inside = np.zeros((SIZE, SIZE), dtype=bool)
    inside[58:70, 58:70] = True
    picture[inside] = 230
    brush = brush_guide(picture, DrawnBrush(strokes=((inside, np.array([[0.0, 0.0], [20.0, 0.0]])),)), 5)
    keys = (CameraKey(seconds=0.0), CameraKey(seconds=1.0, tilt=5.0))
    both = camera_guide(brush, camera_track(CameraMove(path=keys), np.linspace(0, 1, 5)))
    bright = np.clip(both.frames_FHW3[-1].astype(int) - 60, 0, None).astype(np.uint8)
    dropped = math.tan(math.radians(5.0)) * FOCAL
    # The square was dragged to (84, 64); turning the camera moves it down, and off the axis a little further.
    assert _centre(bright) == pytest.approx((84 + 20 * (1 / math.cos(math.radians(5)) - 1), 64 + dropped), abs=0.4)
    assert both.cap_FHW[-1, int(64 + dropped), 84] == pytest.approx(BrushLevels().dragged, abs=1e-5)
    assert both.cap_FHW[-1, int(64 + dropped), 60] == pytest.approx(BrushLevels().uncovered, abs=1e-5)


def test_other_shapes_keep_square_pixels() -> None:
    key = {"roll": 90.0}
    move = CameraMove(path=(CameraKey(seconds=0.0), CameraKey(seconds=1.0, **key)))
    picture = _dot(64 + 20, 32, 64, 128)
    guide = camera_guide(Guide.still(picture), camera_track(move, np.array([0.0, 1.0])))
    assert _centre(guide.frames_FHW3[1]) == pytest.approx((64, 32 - 20), abs=0.1)


def test_lengths_must_agree() -> None:
    guide = Guide.still(_dot(64, 64), frames=3)
    track = CameraTrack(pose_F34=np.tile(np.eye(3, 4), (5, 1, 1)), zoom_F=np.ones(5))
    with pytest.raises(ShapeError, match="3 frames cannot follow a camera of 5"):
        camera_guide(guide, track)


def _psnr(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8], where_HW: npt.NDArray[np.bool_]) -> float:
    return 10 * math.log10(255**2 / float(((a[where_HW].astype(float) - b[where_HW]) ** 2).mean()))


@pytest.mark.parametrize(
    ("move", "gain"),
    [
        (CameraMove(pan=6), 8.0),
        (CameraMove(tilt=-6), 8.0),
        (CameraMove(roll=6), 8.0),
        (CameraMove(zoom=-6), 8.0),
        (CameraMove(horizontal=6), 3.0),
        (CameraMove(vertical=6), 3.0),
        (CameraMove(forward=6), 3.0),
        (CameraMove(orbit=6), 1.0),
    ],
    ids=lambda value: value.name if isinstance(value, CameraMove) else "",
)
def test_the_theatre_seen_from_the_moved_camera_looks_like_the_guide(move: CameraMove, gain: float) -> None:
    """Decibels gained over the picture left as it is: the renderer knows nothing of this package's geometry."""
    scene = sample_scene(12)
    track = camera_track(move, np.array([0.0, 1.0]))
    states = simulate(scene).at(np.array([0, 0]))
    distance = float(np.linalg.norm(np.subtract(scene.camera.target, scene.camera.position)))
    first_34 = states.camera_pose_F34[0]
    place_F31 = first_34[:, :3] @ (distance * track.pose_F34[:, :, 3:]) + first_34[:, 3:]
    pose_F34 = np.concatenate([first_34[:, :3] @ track.pose_F34[:, :, :3], place_F31], axis=2)
    fov_F = 2 * np.arctan(np.tan(0.5 * states.camera_fov_F) / track.zoom_F)
    moved = replace(states, camera_pose_F34=pose_F34, camera_fov_F=fov_F)
    first_HW3, then_HW3 = render_states([scene], [moved], height=96, width=96).rgb_BFHW3[0].numpy()
    guide = camera_guide(Guide.still(first_HW3), track)
    seen_HW = guide.cap_FHW[1] < 1
    assert _psnr(guide.frames_FHW3[1], then_HW3, seen_HW) > _psnr(first_HW3, then_HW3, seen_HW) + gain
