"""Procedural pictures: fixed by their seed, moved by their drift, filtered to the footprint. P pixels, N grid side."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kinora.core.errors import InputError
from kinora.core.slots import PICTURES
from kinora.world import glyphs, pictures
from kinora.world.lattice import ROWS, Lattice, coverage, random_colours
from kinora.world.pictures import picture_rgb
from kinora.world.scene import Picture

KINDS = [kind for kind in PICTURES if kind != "none"]
N = 64


def grid(size: int = N, extent: float = 1.0) -> torch.Tensor:
    """Points (size * size, 2) at the middles of a square's pixels."""
    middle = (torch.arange(size) + 0.5) / size * extent
    v, u = torch.meshgrid(middle, middle, indexing="ij")
    return torch.stack([u, v], -1).reshape(-1, 2)


def paint(
    kind: str,
    seed: int = 0,
    *,
    points: torch.Tensor | None = None,
    footprint: float = 1 / N,
    time: float = 0.0,
    drift: tuple[float, float] = (0.0, 0.0),
) -> torch.Tensor:
    points = grid() if points is None else points
    count = len(points)
    picture = Picture(kind=kind, seed=seed, drift=drift)
    return picture_rgb(picture, points, torch.full((count,), footprint), torch.full((count,), time))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_paints_finite_linear_colours_with_some_contrast(kind: str) -> None:
    contrasts = []
    for seed in range(6):
        rgb = paint(kind, seed)
        assert rgb.shape == (N * N, 3)
        assert rgb.dtype == torch.float32
        assert bool(torch.isfinite(rgb).all())
        assert float(rgb.min()) >= 0
        assert float(rgb.max()) <= 1
        contrasts.append(float(rgb.std(0).mean()))
    assert np.median(contrasts) > 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_alone_decides_a_picture(kind: str) -> None:
    torch.manual_seed(1)
    first = paint(kind, 7)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert torch.equal(first, paint(kind, 7))
    assert torch.equal(state, torch.get_rng_state()), "painting must not touch the global generator"
    assert not torch.allclose(first, paint(kind, 8), atol=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_drift_carries_the_texture_right_and_up(kind: str) -> None:
    seconds, drift = 0.75, (0.4, -0.2)
    moved = torch.tensor(drift) * seconds
    later = paint(kind, 3, points=grid() + moved, time=seconds, drift=drift)
    # Shifting and shifting back leaves rounding, which may move a pixel on a sharp edge a little.
    assert float((later - paint(kind, 3)).abs().mean()) < 1e-3
    assert float((paint(kind, 3, time=seconds, drift=drift) - paint(kind, 3)).abs().mean()) > 0.01


@pytest.mark.parametrize("kind", ["leaves", "noise", "stripes", "glyphs"])
def test_a_wide_footprint_shows_the_mean_of_what_it_covers(kind: str) -> None:
    """Against brute force: the mean of 16 x 16 sharp samples in each of 16 x 16 coarse pixels."""
    errors, contrasts = [], []
    for seed in range(4):
        sharp = paint(kind, seed, points=grid(256), footprint=1 / 512)
        mean = sharp.reshape(16, 16, 16, 16, 3).mean((1, 3)).reshape(-1, 3)
        coarse = paint(kind, seed, points=grid(16), footprint=1 / 16)
        point = paint(kind, seed, points=grid(16), footprint=1e-4)
        errors.append(float((coarse - mean).square().mean().sqrt()))
        contrasts.append(float((point - mean).square().mean().sqrt()))
    assert np.mean(errors) < 0.75 * np.mean(contrasts), "the filter must do better than a single sharp sample"


def test_stripes_are_filtered_exactly_along_their_normal() -> None:
    fine = torch.stack([torch.linspace(0, 3, 30001), torch.zeros(30001)], -1)
    mean = paint("stripes", 5, points=fine, footprint=1e-4).mean(0)
    # Over very many bands only their shares remain.
    far = paint("stripes", 5, points=torch.tensor([[0.3, 0.7]]), footprint=200.0)[0]
    assert torch.allclose(far, mean, atol=0.02)


def test_leaves_have_many_flat_places_and_few_edges() -> None:
    for seed in range(3):
        image = paint("leaves", seed, points=grid(256), footprint=1 / 256).reshape(256, 256, 3)
        step = (image[:, 1:] - image[:, :-1]).abs().sum(-1)
        assert float(step.median()) < 0.2 * float(step.mean()), "a step's size is heavy-tailed, as in photographs"


def test_glyphs_keep_to_rows_with_blank_lines_between() -> None:
    shares = []
    for seed in range(5):
        image = paint("glyphs", seed, points=grid(128), footprint=1 / 128).reshape(128, 128, 3)
        ground = image.reshape(-1, 3).median(0).values
        inked = (image - ground).abs().sum(-1) > 0.1
        shares.append(float(inked.float().mean()))
        per_row = inked.float().mean(1)
        assert float(per_row.min()) < 0.25 * float(per_row.max())
    assert 0.05 < np.mean(shares) < 0.5


def test_blocks_of_pixels_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = paint("leaves", 4)
    monkeypatch.setattr(pictures, "CPU_BLOCK", 1000)
    assert torch.equal(whole, paint("leaves", 4))


def test_each_pixel_has_its_own_time_and_footprint() -> None:
    points = torch.tensor([[0.3, 0.4], [0.3, 0.4], [0.3, 0.4]])
    picture = Picture(kind="noise", seed=1, drift=(0.5, 0.0))
    footprint, time = torch.tensor([0.001, 0.001, 0.3]), torch.tensor([0.0, 1.0, 0.0])
    together = picture_rgb(picture, points, footprint, time)
    for p in range(3):
        alone = picture_rgb(picture, points[p : p + 1], footprint[p : p + 1], time[p : p + 1])
        assert torch.allclose(together[p], alone[0], atol=1e-6)
    assert not torch.allclose(together[0], together[1])
    assert not torch.allclose(together[0], together[2])


def test_points_far_from_the_panel_and_no_points_are_fine() -> None:
    for kind in KINDS:
        assert bool(torch.isfinite(paint(kind, points=grid(8, 500.0) - 250.0, footprint=0.5)).all())
        assert paint(kind, points=torch.zeros(0, 2)).shape == (0, 3)


def test_an_unknown_kind_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"'tartan'.*leaves, noise"):
        paint("tartan")


def test_coverage_is_the_share_of_a_box_beyond_a_straight_edge() -> None:
    distance = torch.tensor([-1.0, -0.25, 0.0, 0.25, 1.0])
    assert torch.allclose(coverage(distance, torch.ones(5)), torch.tensor([1.0, 0.75, 0.5, 0.25, 0.0]))
    # A line a tenth as thick as the pixel that it crosses in the middle covers a tenth of it.
    assert float(coverage(torch.tensor([-0.05]), torch.ones(1), 0.1)) == pytest.approx(0.1)


def test_lattice_layers_are_independent_and_rows_evenly_used() -> None:
    lattice = Lattice.draw(np.random.default_rng(0), torch.device("cpu"))
    i, j = (
        axis.reshape(-1).float() for axis in torch.meshgrid(torch.arange(-64, 64), torch.arange(-64, 64), indexing="ij")
    )
    rows = lattice.rows(i, j)
    counts = torch.bincount(rows, minlength=ROWS)
    assert int(rows.min()) >= 0
    assert int(rows.max()) < ROWS
    assert int(counts.min()) > 0
    assert float((rows == lattice.rows(i, j, 1)).float().mean()) < 0.02


def test_random_colours_are_linear_rgb_of_many_moods() -> None:
    moods = np.stack([random_colours(np.random.default_rng(seed), 8) for seed in range(200)])
    assert moods.shape == (200, 8, 3)
    assert moods.min() >= 0
    assert moods.max() <= 1
    chroma = (moods.max(-1) - moods.min(-1)).mean(1)
    assert chroma.min() < 0.05
    assert chroma.max() > 0.4


def test_discs_and_slabs_never_leave_their_cells() -> None:
    """So that a pixel need ask each lattice for one leaf only."""
    for seed in range(5):
        leaf_RK = pictures._leaf_table(np.random.default_rng(seed))
        radius, x, y, length, breadth = (leaf_RK[:, k] for k in (0, 1, 2, 5, 6))
        assert (np.minimum.reduce([x, y, 1 - x, 1 - y]) >= radius - 1e-6).all()
        assert (np.hypot(length, breadth) <= radius).all()
        assert 0.1 < (length > 0).mean() < 0.9, "both discs and slabs occur"


def test_signs_keep_to_their_cells_and_differ() -> None:
    alphabet_GK = glyphs._alphabet(np.random.default_rng(2))[: glyphs.SIGNS]
    ends = alphabet_GK[:, : 4 * glyphs.STROKES].reshape(-1, 2)
    assert ends.min() > 0.1
    assert ends[:, 0].max() < 0.9
    assert ends[:, 1].max() < glyphs.ASPECT - 0.1
    distance = np.abs(alphabet_GK[:, None] - alphabet_GK[None]).max(-1) + 9.0 * np.eye(glyphs.SIGNS)
    assert distance.min() > 0.05


def test_gradients_are_smooth_and_reach_far_apart_colours() -> None:
    spans = []
    for seed in range(8):
        image = paint("gradient", seed).reshape(N, N, 3)
        steps = torch.cat([image.diff(dim=0).reshape(-1, 3), image.diff(dim=1).reshape(-1, 3)])
        assert float(steps.abs().max()) < 0.25
        spans.append(float((image.amax((0, 1)) - image.amin((0, 1))).max()))
    assert max(spans) > 0.4
