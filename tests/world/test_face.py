"""Faces: drawn as the states say, each mouth axis telling, smooth at any distance. P pixels."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from kinora.world.face import CHEEK_ACROSS, CHEEK_UP, MOUTH_CENTRE, MOUTH_REACH, paint_face
from kinora.world.figures import HAIR_RGB
from kinora.world.scene import Figure, Identity, States

IDENTITY = Identity(
    skin=(0.7, 0.45, 0.3), hair="brown", hair_style=0, eyes=(0.1, 0.3, 0.7), clothes="green", trousers=(0.1, 0.1, 0.3)
)
FIGURE = Figure(identity=IDENTITY)


def still(frames: int = 1) -> States:
    """One figure with its face at rest."""
    return States(
        body_position_FN3=np.zeros((frames, 0, 3)),
        body_rotation_FN33=np.zeros((frames, 0, 3, 3)),
        body_velocity_FN3=np.zeros((frames, 0, 3)),
        figure_root_FM3=np.zeros((frames, 1, 3)),
        figure_heading_FM=np.zeros((frames, 1)),
        figure_head_FM2=np.zeros((frames, 1, 2)),
        figure_limbs_FM4=np.zeros((frames, 1, 4)),
        figure_spread_FM2=np.zeros((frames, 1, 2)),
        figure_face_FM2=np.zeros((frames, 1, 2)),
        figure_brow_FM3=np.zeros((frames, 1, 3)),
        figure_mouth_FM4=np.zeros((frames, 1, 4)),
        animal_root_FA3=np.zeros((frames, 0, 3)),
        animal_heading_FA=np.zeros((frames, 0)),
        animal_legs_FA4=np.zeros((frames, 0, 4)),
        animal_pose_FA4=np.zeros((frames, 0, 4)),
        rope_FRJ3=np.zeros((frames, 0, 15, 3)),
        camera_pose_F34=np.zeros((frames, 3, 4)),
        camera_fov_F=np.full(frames, 0.7),
        time_F=np.arange(frames) / 16,
    )


def face_grid(size: int = 96) -> torch.Tensor:
    """Points (size, size, 3) of the unit sphere's front, seen from before it; rows go down, columns to its own left."""
    steps = ((torch.arange(size) + 0.5) / size * 2 - 1) * 0.7
    up, left = torch.meshgrid(steps.flip(0), steps, indexing="ij")
    return torch.stack([left, -torch.sqrt(1 - left**2 - up**2), up], -1)


def painted(
    *, smile: float = 0.0, blink: float = 0.0, mouth: tuple[float, ...] = (0, 0, 0, 0), identity: Identity = IDENTITY
) -> torch.Tensor:
    """The face (96, 96, 3) at one moment."""
    states = still(2)
    states.figure_face_FM2[1, 0] = smile, blink
    states.figure_mouth_FM4[1, 0] = mouth
    points = face_grid().reshape(-1, 3)
    frame, footprint = torch.ones(len(points), dtype=torch.long), torch.full((len(points),), 1.4 / 96)
    return paint_face(points, replace(FIGURE, identity=identity), frame, states, 0, footprint).reshape(96, 96, 3)


def changed(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return (one - other).abs().amax(-1) > 0.05


def test_a_face_is_skin_with_eyes_of_its_colour() -> None:
    face = painted()
    assert face.min() >= 0
    assert face.max() <= 1
    skin = torch.tensor(IDENTITY.skin)
    assert torch.allclose(face[5, 48], skin, atol=0.02)
    assert bool(((face - torch.tensor(IDENTITY.eyes)).abs().amax(-1) < 0.02).any()), "the iris shows"
    assert bool((face.amin(-1) > 0.8).any()), "the whites show"
    assert bool((face.amax(-1) < 0.02).any()), "the pupils show"
    other = painted(identity=replace(IDENTITY, eyes=(0.3, 0.1, 0.02)))
    assert bool(changed(face, other).any())
    assert not bool(changed(face, other)[60:].any())


def test_the_face_is_symmetric_but_for_the_glint() -> None:
    face = painted(smile=0.5, mouth=(0.5, 0.5, 0.2, 0.5))
    assert float(changed(face, face.flip(1)).float().mean()) < 0.02


def test_blinking_covers_the_whites() -> None:
    def white(blink: float) -> float:
        return float((painted(blink=blink)[:50].amin(-1) > 0.6).sum())

    assert white(0.0) > 2 * white(0.6)
    assert white(1.0) <= 0.02 * white(0.0)
    assert not bool(changed(painted(), painted(blink=1.0))[62:].any()), "a blink leaves the mouth alone"


def dark_red(face: torch.Tensor) -> torch.Tensor:
    """Where the inside of the mouth shows."""
    return (face[..., 0] < 0.2) & (face[..., 1] < 0.05) & (torch.arange(96)[:, None] > 60)


def extent(mask: torch.Tensor) -> tuple[int, int]:
    """Height and width of what a mask holds."""
    return int(mask.any(1).sum()), int(mask.any(0).sum())


def test_every_mouth_axis_does_what_its_name_says() -> None:
    heights = [extent(dark_red(painted(mouth=(openness, 0.4, 0, 0))))[0] for openness in (0.1, 0.4, 0.7, 1.0)]
    assert heights == sorted(heights)
    assert heights[-1] > heights[0] + 10
    narrow, wide = (extent(dark_red(painted(mouth=(0.5, width, 0, 0))))[1] for width in (0.0, 1.0))
    assert wide > 1.3 * narrow
    flat, pursed = (extent(dark_red(painted(mouth=(0.4, 0.4, rounding, 0)))) for rounding in (0.0, 1.0))
    assert pursed[1] < 0.7 * flat[1]
    assert pursed[1] / pursed[0] < 0.7 * flat[1] / flat[0]
    counts = [float((painted(mouth=(0.2, 0.6, 0, teeth))[58:].amin(-1) > 0.6).sum()) for teeth in (0.0, 0.5, 1.0)]
    assert counts[0] == 0
    assert counts[2] > counts[1] > 0


def test_a_smile_lifts_the_corners() -> None:
    def corner_lift(smile: float) -> float:
        face = painted(smile=smile)
        lips = (face[..., 1] < 0.7 * face[20, 48, 1]) & (torch.arange(96)[:, None] > 60)
        rows, columns = lips.nonzero(as_tuple=True)
        edge = rows[(columns - 48).abs() > 0.8 * (columns - 48).abs().max()].float().mean()
        return float(rows[(columns - 48).abs() < 3].float().mean() - edge)

    assert corner_lift(1.0) > corner_lift(0.0) + 6


def test_speech_changes_only_what_lies_within_the_mouths_reach() -> None:
    points = face_grid()
    across, up = torch.atan2(points[..., 0], -points[..., 1]), torch.asin(points[..., 2])
    inside = ((across - MOUTH_CENTRE[0]).abs() < MOUTH_REACH[0]) & ((up - MOUTH_CENTRE[1]).abs() < MOUTH_REACH[1])
    rest = painted(smile=1.0)
    for mouth in [(1, 1, 0, 1), (1, 0, 1, 0), (0, 1, 0, 0), (1, 1, 1, 1)]:
        difference = changed(rest, painted(smile=1.0, mouth=mouth))
        assert bool(difference.any())
        assert not bool((difference & ~inside).any())


def test_a_wide_footprint_smooths_and_keeps_the_mean() -> None:
    points = face_grid().reshape(-1, 3)
    frame, states = torch.zeros(len(points), dtype=torch.long), still()
    sharp, soft = (
        paint_face(points, FIGURE, frame, states, 0, torch.full((len(points),), width)) for width in (0.01, 0.12)
    )
    assert torch.allclose(sharp.mean(0), soft.mean(0), atol=0.03)
    step = [(face.reshape(96, 96, 3).diff(dim=1).abs().amax()) for face in (sharp, soft)]
    assert step[1] < 0.5 * step[0]


def test_each_pixel_reads_its_own_frame() -> None:
    states = still(2)
    states.figure_mouth_FM4[1, 0] = (1, 0.5, 0, 0)
    point = torch.tensor([[0.0, -np.cos(0.47), -np.sin(0.47)]], dtype=torch.float32).expand(2, 3)
    frames = torch.tensor([0, 1])
    both = paint_face(point, FIGURE, frames, states, 0, torch.full((2,), 0.02))
    assert not torch.allclose(both[0], both[1], atol=0.02)
    assert torch.allclose(both[1], paint_face(point[:1], FIGURE, frames[1:], states, 0, torch.full((1,), 0.02))[0])


def test_brows_have_the_colour_of_the_hair() -> None:
    brown, white = painted(), painted(identity=replace(IDENTITY, hair="white"))
    rows = changed(brown, white).any(1).nonzero()
    assert len(rows) > 0
    assert int(rows.max()) < 40, "hair colour shows in the brows only, above the eyes"
    brow = torch.tensor(HAIR_RGB["white"]) * 0.7
    assert bool(((white[:40] - brow).abs().amax(-1) < 0.03).any())


def test_a_smile_reddens_the_cheeks() -> None:
    left = np.sin(CHEEK_ACROSS) * np.cos(CHEEK_UP)
    column, row = round((left / 0.7 + 1) * 48), round((1 - np.sin(CHEEK_UP) / 0.7) * 48)
    calm, glad = painted()[row, min(column, 95)], painted(smile=1.0)[row, min(column, 95)]
    assert float(glad[1] / glad[0]) < 0.9 * float(calm[1] / calm[0]) < 0.9 * IDENTITY.skin[1] / IDENTITY.skin[0]


@pytest.mark.parametrize("skin", [(0.9, 0.75, 0.6), (0.4, 0.2, 0.1), (0.1, 0.045, 0.022)])
def test_mouth_and_eyes_stand_out_on_every_skin(skin: tuple[float, float, float]) -> None:
    face = painted(identity=replace(IDENTITY, skin=skin), mouth=(0.8, 0.5, 0.0, 0.0))
    lips = painted(identity=replace(IDENTITY, skin=skin))
    brightness = face.mean(-1)
    assert float(brightness[:50].max()) > float(np.mean(skin)) + 0.05
    assert float((face - torch.tensor(skin)).abs().amax(-1)[62:].max()) > 0.05
    assert float((lips - torch.tensor(skin)).abs().amax(-1)[62:, 40:56].max()) > 0.05


def test_the_back_of_the_head_is_bare_skin() -> None:
    rng = np.random.default_rng(0)
    points = torch.tensor(rng.normal(size=(500, 3)), dtype=torch.float32)
    points = points / points.norm(dim=1, keepdim=True)
    points[:, 1] = points[:, 1].abs()
    frame = torch.zeros(500, dtype=torch.long)
    behind = points[points[:, 1] > 0.2]
    rgb = paint_face(behind, FIGURE, frame[: len(behind)], still(), 0, torch.full((len(behind),), 0.02))
    assert torch.allclose(rgb, torch.tensor(IDENTITY.skin).expand_as(rgb), atol=0.02)


def test_poles_and_tiny_or_huge_footprints_stay_finite() -> None:
    points = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0], [0.0, -1.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    for width in (0.0, 1e-6, 5.0):
        rgb = paint_face(points, FIGURE, torch.zeros(5, dtype=torch.long), still(), 0, torch.full((5,), width))
        assert bool(torch.isfinite(rgb).all())
        assert float(rgb.min()) >= 0
        assert float(rgb.max()) <= 1


def test_every_expression_between_two_is_between_them() -> None:
    """Mouth shapes move smoothly: halving the step of the axes halves the change of the picture, roughly."""
    start, end = np.array([0.1, 0.2, 0.0, 0.0]), np.array([0.9, 0.7, 0.3, 0.6])
    shapes = [start + share * (end - start) for share in np.linspace(0, 1, 17)]
    faces = [painted(mouth=tuple(shape)) for shape in shapes]
    steps = [float((after - before).abs().mean()) for before, after in pairwise(faces)]
    assert max(steps) < 3 * float(np.mean(steps))
