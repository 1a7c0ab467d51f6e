"""Rays against solids and light against outlines, checked against geometry that needs no renderer."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from kinora.core.poses import rotation_about
from kinora.world.parts import KINDS, Part
from kinora.world.shadows import contact_shade, near_contact, near_shadow, sunlight
from kinora.world.solids import Solids, make_solids
from kinora.world.tiles import noise
from kinora.world.tracer import first_hits, spans, surface, unit_vectors

HALF = {
    "sphere": (0.5, 0.8, 0.6),
    "cube": (0.5, 0.3, 0.7),
    "cylinder": (0.4, 0.4, 0.9),
    "cone": (0.5, 0.5, 0.6),
}
TURN = rotation_about(np.array([0.6, 0.0, 0.8]), 0.7)
CENTRE = np.array([0.3, -0.2, 1.1])


def solid(kind: str, half: tuple[float, float, float] | None = None, turn: np.ndarray = TURN) -> Solids:
    part = Part(
        kind=kind,
        centre_F3=CENTRE[None],
        rotation_F33=turn[None],
        half_3=half or HALF[kind],
        rgb=(1.0, 0.0, 0.0),
        material="matte",
        owner=2,
    )
    return make_solids([[part]], [1], torch.device("cpu"))


def level(kind: str, unit_3P: Tensor) -> Tensor:
    """1 on the surface, less inside."""
    x, y, z = unit_3P
    radial = (x * x + y * y).sqrt()
    if kind == "sphere":
        return (x * x + y * y + z * z).sqrt()
    if kind == "cube":
        return unit_3P.abs().amax(0)
    if kind == "cylinder":
        return torch.maximum(radial, z.abs())
    return torch.maximum(radial + 0.5 * (1.0 + z), -z)


def rays(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Rays from three metres away that pass near the solid."""
    generator = torch.Generator().manual_seed(seed)
    toward = torch.randn(3, count, generator=generator)
    toward = toward / toward.norm(dim=0)
    aside = torch.randn(3, count, generator=generator) * 0.45
    origin = torch.tensor(CENTRE, dtype=torch.float32)[:, None] + aside - 3.0 * toward
    return origin, toward


@pytest.mark.parametrize("kind", KINDS)
def test_a_ray_enters_and_leaves_on_the_surface(kind: str) -> None:
    solids = solid(kind)
    origin, toward = rays(4000, 1)
    index = torch.zeros(4000, dtype=torch.long)
    near, far = spans(solids, index, origin, toward)
    hit = near <= far
    assert 0.2 < hit.float().mean() < 0.95
    centre = torch.tensor(CENTRE, dtype=torch.float32)[:, None]
    for depth in (near, far):
        unit = unit_vectors(solids, index[hit], (origin + toward * depth)[:, hit] - centre)
        assert torch.allclose(level(kind, unit), torch.ones(int(hit.sum())), atol=2e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_ray_that_misses_never_comes_inside(kind: str) -> None:
    solids = solid(kind)
    origin, toward = rays(3000, 2)
    index = torch.zeros(3000, dtype=torch.long)
    near, far = spans(solids, index, origin, toward)
    missed = near > far
    centre = torch.tensor(CENTRE, dtype=torch.float32)[:, None]
    deepest = torch.full((3000,), 9.0)
    for depth in torch.linspace(0.0, 6.0, 400):
        deepest = torch.minimum(deepest, level(kind, unit_vectors(solids, index, origin + toward * depth - centre)))
    assert deepest[missed].min() > 0.995
    assert deepest[~missed].max() < 1.02


@pytest.mark.parametrize("kind", KINDS)
def test_normals_point_along_the_rise_of_the_level(kind: str) -> None:
    solids = solid(kind)
    origin, toward = rays(500, 3)
    index = torch.zeros(500, dtype=torch.long)
    near, far = spans(solids, index, origin, toward)
    hit = (near <= far).nonzero().squeeze(1)
    point = (origin + toward * near)[:, hit]
    normal, _, _ = surface(solids, index[hit], point)
    assert torch.allclose(normal.norm(dim=0), torch.ones(len(hit)), atol=1e-5)
    centre = torch.tensor(CENTRE, dtype=torch.float32)[:, None]
    outside = level(kind, unit_vectors(solids, index[hit], point + 0.02 * normal - centre))
    inside = level(kind, unit_vectors(solids, index[hit], point - 0.02 * normal - centre))
    assert (outside > 1.005).all()
    # Near an edge the way in may leave again by the next face.
    assert (inside < 1.001).float().mean() > 0.97
    assert inside.mean() < 0.98


def test_the_nearest_of_several_solids_wins_and_misses_are_told() -> None:
    ray = torch.tensor([0, 0, 0, 2, 2])
    which = torch.tensor([4, 7, 9, 4, 7])
    near = torch.tensor([5.0, 2.0, 3.0, 9.0, 1e9])
    far = torch.tensor([6.0, 2.5, 4.0, 9.5, -1e9])
    depth, winner = first_hits(3, ray, which, near, far)
    assert depth.tolist() == [2.0, math.inf, 9.0]
    assert winner.tolist() == [7, -1, 4]


@pytest.mark.parametrize("kind", KINDS)
def test_a_hard_shadow_is_where_the_ray_to_the_light_is_blocked(kind: str) -> None:
    solids = solid(kind, turn=rotation_about(np.array([0.0, 0.0, 1.0]), 0.5))
    light = torch.tensor([0.35, -0.45, 0.82])[:, None]
    light = light / light.norm()
    generator = torch.Generator().manual_seed(5)
    point = torch.cat([torch.rand(2, 6000, generator=generator) * 5.0 - 2.5, torch.zeros(1, 6000)])
    index = torch.zeros(6000, dtype=torch.long)
    near, far = spans(solids, index, point, light.expand_as(point).contiguous())
    apart = point - torch.tensor(CENTRE, dtype=torch.float32)[:, None]
    lit = sunlight(solids, index, apart, light, torch.zeros(1), torch.full((6000,), 1e-3))
    wrong = (lit > 0.5) == (near <= far)
    # Ellipsoids' and cones' outlines are exact in place but not in distance; on the line itself rounding decides.
    assert wrong.float().mean() < 0.002


@pytest.mark.parametrize("kind", KINDS)
def test_the_cheap_tests_pass_all_that_is_shaded(kind: str) -> None:
    solids = solid(kind)
    generator = torch.Generator().manual_seed(6)
    apart = torch.rand(3, 20000, generator=generator) * 4.0 - 2.0
    index = torch.zeros(20000, dtype=torch.long)
    light = torch.tensor([0.35, -0.45, 0.82])[:, None]
    light = light / light.norm()
    softness, blur = torch.full((1,), 0.1), torch.full((20000,), 0.02)
    radius = solids.radius_K[index]
    shaded = sunlight(solids, index, apart, light, softness, blur) < 0.99
    assert not (shaded & ~near_shadow(radius, apart, light, softness, blur)).any()
    touched = contact_shade(solids, index, apart, torch.tensor([[0.0], [0.0], [1.0]])) < 0.999
    assert touched.any()
    assert not (touched & ~near_contact(solids.contact_K[index], apart)).any()


def test_a_shadow_edge_widens_with_height() -> None:
    solids = solid("sphere", (0.5, 0.5, 0.5))
    up = torch.tensor([[0.0], [0.0], [1.0]])

    def width(below: float) -> float:
        x = torch.linspace(0.0, 2.0, 2001)
        apart = torch.stack([x, torch.zeros_like(x), torch.full_like(x, -below)])
        index = torch.zeros(2001, dtype=torch.long)
        lit = sunlight(solids, index, apart, up, torch.full((1,), 0.1), torch.full((2001,), 0.01))
        return float(((lit > 0.05) & (lit < 0.95)).sum()) / 1000

    assert width(3.0) > 2.5 * width(1.0)


def test_contact_is_darkest_under_the_solid() -> None:
    solids = solid("sphere", (0.5, 0.5, 0.5))
    apart = torch.tensor([[0.0, 0.3, 0.6, 3.0], [0.0] * 4, [-0.5] * 4])
    share = contact_shade(solids, torch.zeros(4, dtype=torch.long), apart, torch.tensor([[0.0], [0.0], [1.0]]))
    assert share[0] < 0.2
    assert (share[1:] > share[:-1]).all()
    assert share[3] == 1.0


def test_noise_is_normalised_and_repeats() -> None:
    at = torch.rand(2, 40000, generator=torch.Generator().manual_seed(8))
    bands = noise(at[0], at[1])
    assert bands.shape == (4, 40000)
    assert bands.mean(1).abs().max() < 0.1
    assert torch.allclose(bands.std(1)[:2], torch.ones(2), atol=0.15)
    assert torch.allclose(bands, noise(at[0] + 3.0, at[1] - 2.0), atol=2e-3)
