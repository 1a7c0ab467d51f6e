"""The tracker on true films whose tracks are known, and on pictures warped by known maps."""

import numpy as np
import pytest
import torch
from PIL import Image

from kinora.core.errors import ShapeError
from kinora.measure.control.tracking import corners, follow
from kinora.world.pictures import picture_rgb
from kinora.world.render import render_states
from kinora.world.scene import CameraPath, Figure, Identity, Panel, Picture, Place, Scene
from kinora.world.simulate import simulate
from kinora.world.tracks import tracks

SIDE = 160


def painted(kind: str, seed: int, side: int = SIDE):
    """A procedural picture that fills the frame: what stands for a photograph here."""
    middle = (torch.arange(side) + 0.5) / side
    uv_P2 = torch.stack(torch.meshgrid(middle, 1 - middle, indexing="xy"), dim=-1).reshape(-1, 2)
    size_P = torch.full((side * side,), 1.0 / side)
    rgb_P3 = picture_rgb(Picture(kind=kind, seed=seed), uv_P2, size_P, torch.zeros_like(size_P)).clamp(0, 1)
    return (rgb_P3.sqrt() * 255).to(torch.uint8).reshape(side, side, 3).numpy()


def warped(picture_HW3, matrix_23):
    """The picture after an affine map of its pixels, places told with centres at +0.5."""
    full_33 = np.vstack([matrix_23, [0.0, 0.0, 1.0]])
    back = np.linalg.inv(full_33)[:2].ravel()
    image = Image.fromarray(picture_HW3)
    return np.asarray(image.transform(image.size, Image.Transform.AFFINE, tuple(back), Image.Resampling.BICUBIC))


def about_middle(angle: float, scale: float, shift):
    """Turned and scaled about the picture's middle, then shifted."""
    turn_22 = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle_2 = np.array([SIDE / 2, SIDE / 2])
    return np.column_stack([turn_22, middle_2 - turn_22 @ middle_2 + np.asarray(shift)])


@pytest.mark.parametrize(
    ("angle", "scale", "shift"),
    [(0.0, 1.0, (1.3, -0.7)), (0.012, 1.0, (0.0, 0.0)), (0.0, 1.012, (0.4, 0.2)), (0.0, 0.99, (-1.0, 0.0))],
    ids=["shift", "turn", "grow", "shrink"],
)
def test_warped_pictures_are_followed_to_a_fraction_of_a_pixel(angle, scale, shift):
    picture = painted("leaves", 3)
    points = corners(picture, count=60)
    maps = [about_middle(angle * f, scale**f, np.asarray(shift) * f) for f in range(13)]
    followed = follow(np.stack([warped(picture, one) for one in maps]), points)
    true = np.stack([points @ one[:, :2].T + one[:, 2] for one in maps])
    error = np.linalg.norm(followed.pixels_FP2 - true, axis=2)
    assert followed.lasting_P.mean() > 0.5
    assert np.median(error[-1][followed.lasting_P]) < 0.3
    assert np.percentile(error[followed.sure_FP], 95) < 0.8


def test_tracks_of_the_world_are_found():
    """A camera that goes round a figure before a painted wall: every point's true way is known."""
    who = Identity(
        skin=(0.6, 0.4, 0.3), hair="brown", hair_style=1, eyes=(0.1, 0.2, 0.5), clothes="red", trousers=(0.1, 0.1, 0.3)
    )
    scene = Scene(
        place=Place(ground="checker", sky="day"),
        figures=(Figure(identity=who, position=(0.5, -1.5, 0.0)),),
        panels=(Panel(picture=Picture(kind="leaves", seed=4), centre=(0.0, 2.0, 2.0), width=7.0, height=4.0),),
        camera=CameraPath(kind="orbit_right", rate=0.12),
        seconds=1.0,
    )
    states = simulate(scene)
    true = tracks(scene, states, SIDE, SIDE, 200, 1)
    frames = render_states([scene], [states], height=SIDE, width=SIDE).rgb_BFHW3[0].numpy()
    followed = follow(frames, true.pixels_FP2[0])
    known = followed.sure_FP[-1] & true.visible_FP[-1]
    error = np.linalg.norm(followed.pixels_FP2[-1] - true.pixels_FP2[-1], axis=1)
    way = np.linalg.norm(true.pixels_FP2[-1] - true.pixels_FP2[0], axis=1)
    assert np.median(way[known]) > 3
    for owner in (32, 64):
        assert (known & (true.owner_P == owner)).sum() >= 8
    assert np.median(error[known]) < 0.5


def test_points_that_cannot_be_held_are_not_sure():
    flat = np.full((3, 64, 64, 3), 90, dtype=np.uint8)
    assert not follow(flat, np.array([[30.0, 30.0]])).sure_FP.any()
    assert len(corners(flat[0])) == 0
    edge = flat.copy()
    edge[:, :, 32:] = 200  # a straight edge: along it any place is as good as another
    assert len(corners(edge[0])) == 0
    crossing = edge.copy()
    crossing[:, 32:] = 255 - crossing[:, 32:]
    held = corners(crossing[0])
    assert len(held) >= 1
    assert np.abs(held - 32).max() < 9  # a window's reach from the crossing


def test_what_changes_altogether_is_lost_and_stays_lost():
    one, other = painted("leaves", 1), painted("glyphs", 2)
    frames = np.stack([one, one, other, one, one])
    followed = follow(frames, corners(one, count=30))
    assert followed.sure_FP[1].all()
    assert followed.sure_FP[2:].mean() < 0.1
    assert not (followed.sure_FP[3:] & ~followed.sure_FP[2]).any()


def test_corners_keep_to_the_mask_and_apart_and_stop_at_the_count():
    picture = painted("leaves", 5)
    inside = np.zeros((SIDE, SIDE), dtype=bool)
    inside[40:120, 40:120] = True
    points = corners(picture, inside, count=12)
    assert len(points) == 12
    assert ((points > 40) & (points < 120)).all()
    apart = np.linalg.norm(points[:, None] - points[None], axis=2) + 99 * np.eye(12)
    assert apart.min() >= 3
    # the clearest come first
    assert np.array_equal(corners(picture, inside, count=5), points[:5])


def test_no_point_in_the_picture_is_refused():
    frames = np.zeros((2, 32, 32, 3), dtype=np.uint8)
    for points in (np.zeros((0, 2)), np.array([[40.0, 5.0]])):
        with pytest.raises(ShapeError, match="at least one"):
            follow(frames, points)
