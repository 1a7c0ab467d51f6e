"""Toy people: sound solids that follow the states. F frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kinora.core.errors import InputError
from kinora.world.figures import HAIR_RGB, SHOE_RGB, figure_parts, head_centre
from kinora.world.palette import COLOUR_RGB
from kinora.world.parts import FIGURE_OWNER, KINDS, Part
from kinora.world.scene import Figure, Identity, States

IDENTITY = Identity(
    skin=(0.7, 0.45, 0.3), hair="brown", hair_style=0, eyes=(0.1, 0.3, 0.7), clothes="green", trousers=(0.1, 0.1, 0.3)
)
FIGURE = Figure(identity=IDENTITY)


def still(frames: int = 1, figures: int = 1) -> States:
    """Figures standing in the middle of the stage, facing the camera, face at rest."""
    return States(
        body_position_FN3=np.zeros((frames, 0, 3)),
        body_rotation_FN33=np.zeros((frames, 0, 3, 3)),
        body_velocity_FN3=np.zeros((frames, 0, 3)),
        figure_root_FM3=np.zeros((frames, figures, 3)),
        figure_heading_FM=np.zeros((frames, figures)),
        figure_head_FM2=np.zeros((frames, figures, 2)),
        figure_limbs_FM4=np.zeros((frames, figures, 4)),
        figure_spread_FM2=np.zeros((frames, figures, 2)),
        figure_face_FM2=np.zeros((frames, figures, 2)),
        figure_brow_FM3=np.zeros((frames, figures, 3)),
        figure_mouth_FM4=np.zeros((frames, figures, 4)),
        animal_root_FA3=np.zeros((frames, 0, 3)),
        animal_heading_FA=np.zeros((frames, 0)),
        animal_legs_FA4=np.zeros((frames, 0, 4)),
        animal_pose_FA4=np.zeros((frames, 0, 4)),
        rope_FRJ3=np.zeros((frames, 0, 15, 3)),
        camera_pose_F34=np.zeros((frames, 3, 4)),
        camera_fov_F=np.full(frames, 0.7),
        time_F=np.arange(frames) / 16,
    )


def head_of(parts: list[Part]) -> Part:
    return next(part for part in parts if part.paint == "face")


def bounds(part: Part) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest corner (F, 3) of the box around a part's own box: never tighter than the solid."""
    reach = np.abs(part.rotation_F33) @ np.array(part.half_3)
    return part.centre_F3 - reach, part.centre_F3 + reach


@pytest.mark.parametrize("style", range(5))
def test_a_figure_is_at_most_sixteen_sound_solids(style: int) -> None:
    parts = figure_parts(replace(FIGURE, identity=replace(IDENTITY, hair_style=style)), still(3, figures=2), 1)
    assert 10 <= len(parts) <= 16
    assert [part.paint for part in parts].count("face") == 1
    for part in parts:
        assert part.kind in KINDS
        assert part.owner == FIGURE_OWNER + 1
        assert min(part.half_3) > 0
        assert part.centre_F3.shape == (3, 3)
        assert part.rotation_F33.shape == (3, 3, 3)
        identity = part.rotation_F33 @ part.rotation_F33.transpose(0, 2, 1)
        assert np.allclose(identity, np.eye(3))
        assert np.allclose(np.linalg.det(part.rotation_F33), 1.0)


def test_colours_are_those_of_the_identity() -> None:
    colours = [part.rgb for part in figure_parts(FIGURE, still(), 0)]
    for rgb in (COLOUR_RGB["green"], HAIR_RGB["brown"], IDENTITY.skin, IDENTITY.trousers):
        assert rgb in colours


@pytest.mark.parametrize("height", [1.2, 1.8])
@pytest.mark.parametrize("head", [0.85, 1.2])
def test_it_stands_on_the_ground_and_is_about_as_tall_as_it_says(height: float, head: float) -> None:
    parts = figure_parts(replace(FIGURE, identity=replace(IDENTITY, height=height, head=head)), still(), 0)
    low = min(float(bounds(part)[0][0, 2]) for part in parts)
    assert low == pytest.approx(0.0, abs=0.01 * height)
    skull = head_of(parts)
    assert bounds(skull)[1][0, 2] == pytest.approx(height, rel=0.08)
    assert 2 * skull.half_3[2] / height == pytest.approx(0.348 * head, rel=0.01)


def test_parts_follow_root_and_heading() -> None:
    states = still(2)
    states.figure_root_FM3[1, 0] = (0.5, -2.0, 0.4)
    states.figure_heading_FM[1, 0] = np.pi / 2
    for part in figure_parts(FIGURE, states, 0):
        x, y, z = part.centre_F3[0]
        # A quarter turn to its own left takes own left (x) to the back of the stage and its front (-y) to x.
        assert np.allclose(part.centre_F3[1], (0.5 - y, -2.0 + x, 0.4 + z))
    front = -head_of(figure_parts(FIGURE, states, 0)).rotation_F33[:, :, 1]
    assert np.allclose(front, [(0, -1, 0), (1, 0, 0)])


def test_the_head_turns_left_and_nods_down_about_the_neck() -> None:
    states = still(3)
    states.figure_head_FM2[1, 0, 0] = 0.5
    states.figure_head_FM2[2, 0, 1] = 0.5
    skull = head_of(figure_parts(FIGURE, states, 0))
    front = -skull.rotation_F33[:, :, 1]
    assert np.allclose(front[1], (np.sin(0.5), -np.cos(0.5), 0.0))
    assert np.allclose(front[2], (0.0, -np.cos(0.5), -np.sin(0.5)))
    assert skull.centre_F3[2, 1] < -0.05, "nodding carries the head forward"
    assert np.array_equal(skull.centre_F3, head_centre(FIGURE, states, 0))


def test_limbs_swing_forward_one_by_one() -> None:
    rest = figure_parts(FIGURE, still(), 0)
    moved_sides = []
    for limb in range(4):
        states = still()
        states.figure_limbs_FM4[0, 0, limb] = 0.6
        swung = figure_parts(FIGURE, states, 0)
        shift = np.array([after.centre_F3[0] - before.centre_F3[0] for before, after in zip(rest, swung, strict=True)])
        moved = [k for k in range(len(rest)) if shift[k, 1] < -0.02]
        assert len(moved) == 2
        assert bool((shift[moved, 2] > 0).all()), "the swung limb's two parts go forward and up"
        moved_sides.append({float(np.sign(rest[k].centre_F3[0, 0])) for k in moved})
    assert moved_sides == [{1.0}, {-1.0}, {1.0}, {-1.0}], "own left is +x"


def test_a_stride_neither_sinks_into_the_ground_nor_leaves_it() -> None:
    states = still(9)
    swing = np.linspace(-0.5, 0.5, 9)
    states.figure_limbs_FM4[:, 0, 2], states.figure_limbs_FM4[:, 0, 3] = swing, -swing
    shoes = [part for part in figure_parts(FIGURE, states, 0) if part.rgb == SHOE_RGB]
    # Along its own z a tilted ellipsoid reaches down by the length of its half extents times the world's z axis.
    reach = [np.linalg.norm(part.rotation_F33[:, 2] * np.array(part.half_3), axis=1) for part in shoes]
    lowest = np.min([part.centre_F3[:, 2] - down for part, down in zip(shoes, reach, strict=True)], axis=0)
    assert len(shoes) == 2
    assert np.abs(lowest).max() < 0.06


def test_unknown_hair_styles_are_refused() -> None:
    with pytest.raises(InputError, match="hair style 5; styles run from 0 to 4"):
        figure_parts(replace(FIGURE, identity=replace(IDENTITY, hair_style=5)), still(), 0)


def first_hit(parts: list[Part], origin: np.ndarray, direction: np.ndarray) -> Part | None:
    """The part that a ray meets first at frame 0; ellipsoids exactly, other solids by their inscribed ellipsoid."""
    nearest, hit = np.inf, None
    for part in parts:
        start = part.rotation_F33[0].T @ (origin - part.centre_F3[0]) / part.half_3
        step = part.rotation_F33[0].T @ direction / part.half_3
        a, b, c = step @ step, start @ step, start @ start - 1.0
        if b * b > a * c and (depth := (-b - np.sqrt(b * b - a * c)) / a) < nearest:
            nearest, hit = depth, part
    return hit


@pytest.mark.parametrize("style", range(5))
@pytest.mark.parametrize("size", [0.85, 1.2])
def test_hair_covers_the_crown_and_the_back_but_never_the_face(style: int, size: float) -> None:
    parts = figure_parts(replace(FIGURE, identity=replace(IDENTITY, hair_style=style, head=size)), still(), 0)
    skull = head_of(parts)
    centre, half = skull.centre_F3[0], np.array(skull.half_3)
    for across, up in [(0.0, 0.0), (0.41, 0.12), (-0.41, 0.12), (0.41, 0.5), (0.0, -0.47), (0.5, -0.47), (0.0, -0.8)]:
        place = centre + half * (np.sin(across) * np.cos(up), -np.cos(across) * np.cos(up), np.sin(up))
        assert first_hit(parts, place - np.array([0.0, 5.0, 0.0]), np.array([0.0, 1.0, 0.0])) is skull, (across, up)
    for offset, direction in [((0, 5, 0.2), (0.0, -1.0, 0.0)), ((0, 0.05, 5), (0.0, 0.0, -1.0))]:
        hit = first_hit(parts, centre + np.array(offset), np.array(direction))
        assert hit is not None
        assert hit.rgb == HAIR_RGB["brown"]


@pytest.mark.parametrize("style", range(5))
def test_a_figure_at_rest_is_its_own_mirror_image(style: int) -> None:
    parts = figure_parts(replace(FIGURE, identity=replace(IDENTITY, hair_style=style)), still(), 0)

    def key(part: Part, side: float) -> tuple[float, ...]:
        x, y, z = part.centre_F3[0]
        return (*np.round((side * x + 0.0, y, z), 6), *np.round(part.half_3, 6), *part.rgb)

    assert sorted(key(part, 1.0) for part in parts) == sorted(key(part, -1.0) for part in parts)


def test_the_solids_hang_together() -> None:
    """Every part but the first overlaps another one: nobody's hand floats beside the sleeve."""
    states = still(3)
    states.figure_limbs_FM4[1, 0] = (-0.42, 0.42, 0.5, -0.5)
    states.figure_limbs_FM4[2, 0, :2] = 1.6
    parts = figure_parts(FIGURE, states, 0)
    for frame in range(3):
        for part in parts:
            others = [other for other in parts if other is not part]
            assert any(touch(part, other, frame) for other in others)


def touch(one: Part, other: Part, frame: int) -> bool:
    """Whether some point of one's inner solid lies in the other's inscribed ellipsoid."""
    rng = np.random.default_rng(0)
    ball = rng.normal(size=(400, 3))
    ball *= (rng.uniform(size=(400, 1)) ** (1 / 3)) / np.linalg.norm(ball, axis=1, keepdims=True)
    world = one.centre_F3[frame] + (ball * one.half_3) @ one.rotation_F33[frame].T
    inside = ((world - other.centre_F3[frame]) @ other.rotation_F33[frame]) / other.half_3
    return bool(((inside**2).sum(1) < 1).any())


def test_girth_widens_the_body_and_leaves_the_head() -> None:
    thin, stout = (
        figure_parts(replace(FIGURE, identity=replace(IDENTITY, girth=girth)), still(), 0) for girth in (0.85, 1.2)
    )
    assert head_of(thin).half_3 == head_of(stout).half_3
    assert stout[0].half_3[0] / thin[0].half_3[0] == pytest.approx(1.2 / 0.85)
    assert stout[0].half_3[2] == thin[0].half_3[2]


def test_states_at_chosen_frames_give_the_parts_of_those_frames() -> None:
    rng = np.random.default_rng(0)
    states = still(6)
    for array in (states.figure_root_FM3, states.figure_heading_FM, states.figure_head_FM2, states.figure_limbs_FM4):
        array += rng.uniform(-0.4, 0.4, array.shape)
    chosen = np.array([4, 1])
    for whole, some in zip(figure_parts(FIGURE, states, 0), figure_parts(FIGURE, states.at(chosen), 0), strict=True):
        assert np.allclose(whole.centre_F3[chosen], some.centre_F3)
        assert np.allclose(whole.rotation_F33[chosen], some.rotation_F33)
