"""Procedural pictures for walls, backdrops and cards: five kinds, endless in both directions, filtered to the
pixel's footprint.

They stand in for everything the theatre does not hold, so that codec and motion learn to carry any texture. Lengths
are in panel widths. Axes in names: P pixels, Q those of them still open, K colours or columns, R table rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kinora.core.errors import InputError
from kinora.world.glyphs import glyphs
from kinora.world.lattice import ROWS, Lattice, coverage, random_colours
from kinora.world.scene import Picture

__all__ = ["picture_rgb"]

Texture = Callable[[Tensor, Tensor], Tensor]
"""Points (P, 2) and footprints (P,) to linear RGB (P, 3)."""

CPU_BLOCK = 32768
"""Pixels painted at once on a CPU: their intermediate values then stay in its cache, which is worth a factor of two."""


def picture_rgb(picture: Picture, uv_P2: Tensor, footprint_P: Tensor, time_P: Tensor) -> Tensor:
    """Linear RGB (P, 3), float32 in [0, 1], of a picture at points of its panel.

    `uv_P2`: right and up in panel widths; `footprint_P`: width of the pixel on the panel, panel widths; `time_P`:
    seconds, which move the texture by `picture.drift`. Fixed by `picture.kind` and `picture.seed`; the device
    decides only rounding. Raises `InputError` for an unknown kind.
    """
    if picture.kind not in TEXTURES:
        raise InputError(f"There is no picture of kind {picture.kind!r}; choose one of {', '.join(TEXTURES)}.")
    rng = np.random.default_rng([picture.seed, list(TEXTURES).index(picture.kind)])
    texture = TEXTURES[picture.kind](rng, uv_P2.device)
    drift_2 = torch.tensor(picture.drift, dtype=torch.float32, device=uv_P2.device)
    point_P2 = uv_P2.float() - drift_2 * time_P.float()[:, None]
    footprint_P = footprint_P.float().clamp(min=1e-5)
    if uv_P2.device.type != "cpu" or len(uv_P2) <= CPU_BLOCK:
        return texture(point_P2, footprint_P).clamp(0.0, 1.0)
    blocks = zip(torch.split(point_P2, CPU_BLOCK), torch.split(footprint_P, CPU_BLOCK), strict=True)
    return torch.cat([texture(point, footprint) for point, footprint in blocks]).clamp(0.0, 1.0)


def _turned(point_P2: Tensor, angle: float) -> tuple[Tensor, Tensor]:
    """The two coordinates of points in axes turned by `angle`."""
    u_P, v_P = point_P2.unbind(-1)
    cosine, sine = math.cos(angle), math.sin(angle)
    return u_P * cosine + v_P * sine, v_P * cosine - u_P * sine


def leaves(rng: np.random.Generator, device: torch.device) -> Texture:
    """Dead leaves: discs and slabs that cover one another, many small and few large, as the surfaces of photographs
    do.

    Each of many layers is a turned lattice with one leaf inside every cell, so that a pixel asks each layer for one
    leaf only. Sizes fall off as a power law (A. Lee, D. Mumford, J. Huang, "Occlusion models for natural images",
    2001).
    """
    ground_3 = torch.as_tensor(random_colours(rng, 1)[0], device=device)
    lattice = Lattice.draw(rng, device)
    leaf_RK = torch.as_tensor(_leaf_table(rng), device=device)
    small, large = rng.uniform(0.06, 0.12), rng.uniform(0.5, 1.2)
    power = rng.uniform(0.3, 1.3)
    cells = (small**-power + rng.uniform(size=24) * (large**-power - small**-power)) ** (-1 / power)
    cells[-4:] = large * rng.uniform(0.6, 1.0, 4)
    layers = [(float(cell), *map(float, rng.uniform(0, 1, 3))) for cell in cells]

    def paint(point_P2: Tensor, footprint_P: Tensor) -> Tensor:
        rgb_P3 = torch.zeros(len(point_P2), 3, device=device)
        # From front to back, keeping only the pixels that still let light through: most are done after three layers.
        open_Q, through_Q = torch.arange(len(point_P2), device=device), torch.ones(len(point_P2), device=device)
        for layer, (cell, turn, shift_x, shift_y) in enumerate(layers):
            x_Q, y_Q = _turned(point_P2[open_Q] / cell, math.tau * turn)
            x_Q, y_Q = x_Q + shift_x, y_Q + shift_y
            i_Q, j_Q = x_Q.floor(), y_Q.floor()
            leaf_QK = leaf_RK[lattice.rows(i_Q, j_Q, layer)]
            distance_Q, thickness_Q, leaf_Q3 = _leaf(x_Q - i_Q, y_Q - j_Q, leaf_QK)
            cover_Q = coverage(distance_Q, footprint_P[open_Q] / cell, thickness_Q)
            rgb_P3[open_Q] += (through_Q * cover_Q)[:, None] * leaf_Q3
            through_Q = through_Q * (1 - cover_Q)
            still = through_Q > 1 / 512
            open_Q, through_Q = open_Q[still], through_Q[still]
        rgb_P3[open_Q] += through_Q[:, None] * ground_3
        return rgb_P3

    return paint


def _leaf_table(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """ROWS leaves: radius, centre x, y in the unit cell, cosine and sine of its turn, half sides (0, 0 for a disc),
    shading, RGB.
    """
    radius = rng.uniform(0.24, 0.49, ROWS)
    centre = radius[:, None] + rng.uniform(size=(ROWS, 2)) * (1 - 2 * radius[:, None])
    turn = rng.uniform(0, math.tau, ROWS)
    # A slab's corner must stay within the radius.
    half = np.stack([np.full(ROWS, 0.85), rng.uniform(0.2, 0.52, ROWS)], 1) * radius[:, None]
    half *= rng.uniform(size=(ROWS, 1)) < rng.uniform(0.2, 0.8)
    shading = rng.uniform(-0.5, 0.5, ROWS) / radius
    columns = [radius, centre, np.cos(turn), np.sin(turn), half, shading, random_colours(rng, ROWS)]
    return np.column_stack(columns).astype(np.float32)


def _leaf(x_P: Tensor, y_P: Tensor, leaf_PK: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Signed distance to a leaf's edge, its thickness, and its shaded colour, inside the unit cell, which it never
    leaves.
    """
    radius_P, centre_x_P, centre_y_P, cosine_P, sine_P, length_P, breadth_P, shading_P = leaf_PK[:, :8].unbind(-1)
    x_P, y_P = x_P - centre_x_P, y_P - centre_y_P
    along_P, across_P = x_P * cosine_P + y_P * sine_P, y_P * cosine_P - x_P * sine_P
    disc_P = torch.sqrt(x_P * x_P + y_P * y_P) - radius_P
    slab_P = torch.maximum(along_P.abs() - length_P, across_P.abs() - breadth_P)
    is_slab_P = length_P > 0
    distance_P = torch.where(is_slab_P, slab_P, disc_P)
    thickness_P = 2 * torch.where(is_slab_P, breadth_P, radius_P)
    return distance_P, thickness_P, leaf_PK[:, 8:] * (1.0 + shading_P * along_P)[:, None]


def noise(rng: np.random.Generator, device: torch.device) -> Texture:
    """Fractal noise in colour: octaves of smooth random values, each turned, finer and fainter than the one before."""
    lattice = Lattice.draw(rng, device)
    # Brightness varies more than hue, and by factors, as light does.
    light_R1 = rng.uniform(0.4, 1.2) * rng.uniform(-1, 1, (ROWS, 1))
    hue_R3 = rng.uniform(0.0, 0.8) * rng.uniform(-1, 1, (ROWS, 3))
    value_R3 = torch.as_tensor((light_R1 + hue_R3).astype(np.float32), device=device)
    mean_3 = torch.as_tensor(random_colours(rng, 3).mean(0) * 0.8 + 0.08, device=device)
    frequency, persistence, warp = rng.uniform(1.5, 4.0), rng.uniform(0.42, 0.7), rng.uniform(0.0, 0.5)
    start = rng.uniform(0, math.tau)

    def paint(point_P2: Tensor, footprint_P: Tensor) -> Tensor:
        total_P3 = torch.zeros(len(point_P2), 3, device=device)
        bent_P2 = point_P2
        for octave in range(7):
            scale = frequency * 2.03**octave
            # What a box filter leaves of an octave: nothing once it is as wide as the waves, two cells.
            weight_P = persistence**octave * (1.25 - 0.6 * footprint_P * scale).clamp(0.0, 1.0)
            x_P, y_P = _turned(bent_P2 * scale, start + 0.9 * octave)
            wave_P3 = _smooth_value(lattice, value_R3, x_P, y_P, octave)
            total_P3 = total_P3 + weight_P[:, None] * wave_P3
            if octave == 0:
                bent_P2 = point_P2 + (warp / scale) * wave_P3[:, :2]
        return mean_3 * torch.exp(total_P3)

    return paint


def _smooth_value(lattice: Lattice, value_R3: Tensor, x_P: Tensor, y_P: Tensor, layer: int) -> Tensor:
    """Random colours at a lattice's corners, blended smoothly between them: (P, 3)."""
    i_P, j_P = x_P.floor(), y_P.floor()
    x_P, y_P = x_P - i_P, y_P - j_P
    x_P1 = (x_P * x_P * (3 - 2 * x_P))[:, None]
    y_P1 = (y_P * y_P * (3 - 2 * y_P))[:, None]
    near_P3, far_P3 = (
        torch.lerp(value_R3[lattice.rows(i_P, j, layer)], value_R3[lattice.rows(i_P + 1, j, layer)], x_P1)
        for j in (j_P, j_P + 1)
    )
    return torch.lerp(near_P3, far_P3, y_P1)


def gradient(rng: np.random.Generator, device: torch.device) -> Texture:
    """Two to five colours flowing into one another, along a line or around a centre, there and back again."""
    count = int(rng.integers(2, 6))
    colour_K3 = torch.as_tensor(random_colours(rng, count), device=device)
    stops = np.concatenate([[0.0], np.cumsum(rng.uniform(0.3, 1.0, count - 1))])
    stops = stops / stops[-1]
    radial, angle, reach = rng.uniform() < 0.4, rng.uniform(0, math.tau), rng.uniform(0.5, 1.4)
    centre_x, centre_y, squash = rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.9), rng.uniform(0.6, 1.0)

    def paint(point_P2: Tensor, footprint_P: Tensor) -> Tensor:
        x_P, y_P = _turned(point_P2 - point_P2.new_tensor([centre_x, centre_y]), angle)
        way_P = torch.sqrt(x_P * x_P + (squash * y_P) ** 2) if radial else x_P
        way_P = (way_P / reach + 4.0) % 2.0
        way_P = torch.minimum(way_P, 2.0 - way_P)
        rgb_P3 = colour_K3[0].expand(len(way_P), 3)
        for k in range(count - 1):
            share_P = ((way_P - stops[k]) / (stops[k + 1] - stops[k])).clamp(0.0, 1.0)
            rgb_P3 = rgb_P3 + share_P[:, None] * (colour_K3[k + 1] - colour_K3[k])
        return rgb_P3

    return paint


def stripes(rng: np.random.Generator, device: torch.device) -> Texture:
    """Bands of two to four colours at any angle and any share, box-filtered exactly over the footprint."""
    count = int(rng.integers(2, 5))
    colour_K3 = torch.as_tensor(random_colours(rng, count), device=device)
    edges = np.concatenate([[0.0], np.cumsum(rng.uniform(0.35, 1.0, count))])
    edges = edges / edges[-1]
    angle, period = rng.uniform(0, math.pi), count * np.exp(rng.uniform(math.log(0.02), math.log(0.14)))

    def covered(t_P: Tensor, k: int) -> Tensor:
        """How much of band k lies in [0, t]."""
        whole_P = t_P.floor()
        width = float(edges[k + 1] - edges[k])
        covered_P: Tensor = whole_P * width + (t_P - whole_P - float(edges[k])).clamp(0.0, width)
        return covered_P

    def paint(point_P2: Tensor, footprint_P: Tensor) -> Tensor:
        t_P, half_P = _turned(point_P2, angle)[0] / period, footprint_P / (2 * period)
        rgb_P3 = torch.zeros(len(t_P), 3, device=device)
        for k in range(count):
            share_P = (covered(t_P + half_P, k) - covered(t_P - half_P, k)) / (2 * half_P)
            rgb_P3 = rgb_P3 + share_P[:, None] * colour_K3[k]
        return rgb_P3

    return paint


TEXTURES: dict[str, Callable[[np.random.Generator, torch.device], Texture]] = {
    "leaves": leaves,
    "noise": noise,
    "gradient": gradient,
    "stripes": stripes,
    "glyphs": glyphs,
}
