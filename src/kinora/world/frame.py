"""Drawing one chunk of views.

Axes in names: N pixels of all views, one view after another; R rays of a list; P pairs; E edge pixels; S samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kinora.world.backdrop import Backdrop, backdrop, glossy_sky, ground_depth, mirrored
from kinora.world.boxes import Pairs, halo_pairs, influence_pairs, mirror_pairs, solid_pairs
from kinora.world.ground import WATER, WOOD, footprint
from kinora.world.paint import surface_rgb
from kinora.world.shade import ground_change, receive, shade, simple_rgb
from kinora.world.solids import PAINTS
from kinora.world.stage import Stage
from kinora.world.stars import add_stars
from kinora.world.tracer import first_hits, spans, surface
from kinora.world.views import Rays, Views, dot, pixel_rays
from kinora.world.weather import FALLS, add_falling

__all__ = ["Picture", "draw"]

SAMPLES = ((0.375, 0.125), (0.875, 0.375), (0.625, 0.875), (0.125, 0.625))
"""A rotated square: four different rows and four different columns."""
RIPPLE_MARGIN = 0.09
"""Radians that the steepest ripples add to where a mirror image may lie."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """A drawn chunk, flat: `rgb_N3` uint8 sRGB, `ids_N` int16, `depth_N` metres."""

    rgb_N3: Tensor
    ids_N: Tensor | None
    depth_N: Tensor | None


@dataclass(frozen=True, kw_only=True, eq=False)
class _Candidates:
    """What may be seen where: solids, their shade and glow on the ground, their mirror images."""

    solids: Pairs
    influence: Pairs
    mirrors: Pairs | None

    def of(self, number_N: Tensor) -> _Candidates:
        """The same for the pixels that `number_N` numbers (others: -1), each repeated for every sample."""

        def chosen(pairs: Pairs) -> Pairs:
            number_P = number_N.index_select(0, pairs.ray_P)
            index = (number_P >= 0).nonzero().squeeze(1)
            first_P = number_P.index_select(0, index) * len(SAMPLES)
            sample = torch.arange(len(SAMPLES), device=first_P.device)
            return Pairs(
                ray_P=(first_P[:, None] + sample).reshape(-1),
                solid_P=pairs.solid_P.index_select(0, index).repeat_interleave(len(SAMPLES)),
            )

        return _Candidates(
            solids=chosen(self.solids),
            influence=chosen(self.influence),
            mirrors=None if self.mirrors is None else chosen(self.mirrors),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Dense:
    """The rays of every pixel and what is behind the solids there; of one view only where all views have the same."""

    rays: Rays
    behind: Backdrop
    drawn: int
    """Pixels these cover."""
    shared: bool

    def rays_at(self, pixel_R: Tensor) -> Rays:
        """The rays of pixels numbered through all views."""
        if not self.shared:
            return self.rays.at(pixel_R)
        view_R = pixel_R // self.drawn
        part = self.rays.at(pixel_R - view_R * self.drawn)
        return Rays(origin_3R=part.origin_3R, direction_3R=part.direction_3R, view_R=view_R)


def draw(stage: Stage, *, truth: bool) -> Picture:
    """All pixels of a chunk."""
    views = stage.views
    pixels = views.height * views.width
    total = views.count * pixels
    device = views.focal_V.device
    # Where nothing behind the solids moves, the backdrop of one view is that of all.
    still = views.standing and views.scenes == 1 and WATER not in stage.air.grounds
    drawn = pixels if still else total
    rays = _rays_through(views, torch.arange(drawn, device=device))
    behind = backdrop(stage, rays)
    add_stars(stage, drawn // pixels, behind.rgb_3R, behind.depth_R)
    candidates = _candidates(stage)

    dense = _Dense(rays=rays, behind=behind, drawn=drawn, shared=still)
    solid_rays = dense.rays_at(candidates.solids.ray_P)
    near_P, far_P = spans(stage.solids, candidates.solids.solid_P, solid_rays.origin_3R, solid_rays.direction_3R)
    depth_N, solid_N = first_hits(total, candidates.solids.ray_P, candidates.solids.solid_P, near_P, far_P)
    if stage.air.rough:
        # Waves hide what is under them; calm water lets it show.
        under_N = (stage.views.by_scene(stage.air.hand_S, rays.view_R) != 0.0) & (depth_N > behind.depth_R)
        depth_N, solid_N = depth_N.masked_fill(under_N, math.inf), solid_N.masked_fill(under_N, -1)

    picture_3N = encode(behind.rgb_3R)
    picture_3N = picture_3N.repeat(1, views.count) if still else picture_3N
    free_N = solid_N < 0
    _draw_ground(stage, dense, candidates, free_N, picture_3N)
    key_N = _draw_solids(stage, dense, depth_N, solid_N, picture_3N)
    _draw_edges(stage, candidates, key_N, picture_3N)
    _draw_halos(stage, depth_N, solid_N, picture_3N)
    if any(scene.place.weather in FALLS for scene in stage.scenes):
        add_falling(stage, torch.minimum(depth_N, behind.depth_R.repeat(total // drawn)), picture_3N)
    return _with_truth(stage, picture_3N, depth_N, solid_N, behind, drawn, truth)


def _rays_through(views: Views, pixel_R: Tensor) -> Rays:
    """Rays through the centres of numbered pixels."""
    row_R = pixel_R // views.width
    view_R = row_R // views.height
    x_R = (pixel_R - row_R * views.width).float() + 0.5
    y_R = (row_R - view_R * views.height).float() + 0.5
    return pixel_rays(views, view_R, x_R, y_R)


def _candidates(stage: Stage) -> _Candidates:
    mirrors = None
    if {WATER, WOOD} & set(stage.air.grounds):
        mirrors = mirror_pairs(stage.views, stage.solids, RIPPLE_MARGIN if WATER in stage.air.grounds else 0.0)
    return _Candidates(
        solids=solid_pairs(stage.views, stage.solids),
        influence=influence_pairs(stage.views, stage.air, stage.solids),
        mirrors=mirrors,
    )


def _part(behind: Backdrop, index_R: Tensor) -> Backdrop:
    """The backdrop of some rays."""
    return Backdrop(
        rgb_3R=behind.rgb_3R.index_select(1, index_R),
        earth_3R=behind.earth_3R.index_select(1, index_R),
        gloss_R=behind.gloss_R.index_select(0, index_R),
        depth_R=behind.depth_R.index_select(0, index_R),
    )


def _numbered(pixel_P: Tensor, total: int) -> tuple[Tensor, Tensor]:
    """The different pixels of a list in order, and the number of each (-1: not in the list)."""
    number_N = torch.full((total,), -1, dtype=torch.long, device=pixel_P.device)
    number_N.index_fill_(0, pixel_P, 0)
    pixel_R = (number_N >= 0).nonzero().squeeze(1)
    number_N.index_copy_(0, pixel_R, torch.arange(len(pixel_R), device=pixel_P.device))
    return pixel_R, number_N


def _draw_ground(stage: Stage, dense: _Dense, candidates: _Candidates, free_N: Tensor, picture_3N: Tensor) -> None:
    """Shade, glow and mirror images on the ground, written over the plain backdrop."""

    def on_ground(pairs: Pairs) -> Pairs:
        seen_P = free_N.index_select(0, pairs.ray_P)
        return pairs.kept(seen_P & torch.isfinite(dense.behind.depth_R).index_select(0, pairs.ray_P % dense.drawn))

    influence = on_ground(candidates.influence)
    mirrors = None if candidates.mirrors is None else on_ground(candidates.mirrors)
    touched = influence.ray_P if mirrors is None else torch.cat([influence.ray_P, mirrors.ray_P])
    if not len(touched):
        return
    pixel_R, number_N = _numbered(touched, len(free_N))

    def renumbered(pairs: Pairs) -> Pairs:
        return Pairs(ray_P=number_N.index_select(0, pairs.ray_P), solid_P=pairs.solid_P)

    rgb_3R = _lit_ground(
        stage,
        dense.rays_at(pixel_R),
        _part(dense.behind, pixel_R % dense.drawn),
        renumbered(influence),
        None if mirrors is None else renumbered(mirrors),
    )
    picture_3N.index_copy_(1, pixel_R, encode(rgb_3R))


def _lit_ground(stage: Stage, rays: Rays, behind: Backdrop, influence: Pairs, mirrors: Pairs | None) -> Tensor:
    """Colour (3, R) of backdrop rays with what the solids do to the ground."""
    point_3R = rays.point(behind.depth_R.clamp_max(1e4))
    up_31 = point_3R.new_tensor([[0.0], [0.0], [1.0]])
    focal_R = stage.views.columns(stage.views.focal_V, rays.view_R)
    wide_2R = footprint(rays.direction_3R, behind.depth_R.clamp_max(1e4), focal_R)
    got = receive(stage, influence, len(rays.view_R), point_3R, up_31, rays.view_R, 0.5 * (wide_2R[0] + wide_2R[1]))
    rgb_3R = behind.rgb_3R + ground_change(stage, got, rays.view_R, behind.earth_3R)
    if mirrors is not None and len(mirrors.ray_P):
        _add_images(stage, rays, behind, point_3R, wide_2R, mirrors, rgb_3R)
    return rgb_3R


def _add_images(
    stage: Stage, rays: Rays, behind: Backdrop, point_3R: Tensor, wide_2R: Tensor, mirrors: Pairs, rgb_3R: Tensor
) -> None:
    """Put mirror images of solids where the ground is glossy, in place of the sky's image that is there."""
    mirrors = mirrors.kept(behind.gloss_R.index_select(0, mirrors.ray_P) > 1e-3)
    if not len(mirrors.ray_P):
        return
    pixel_M, number_R = _numbered(mirrors.ray_P, len(rays.view_R))
    part, point_3M = rays.at(pixel_M), point_3R.index_select(1, pixel_M)
    toward_3M, _ = mirrored(stage, part, point_3M, wide_2R.index_select(1, pixel_M))
    image = Rays(origin_3R=point_3M, direction_3R=toward_3M, view_R=part.view_R)
    ray_P = number_R.index_select(0, mirrors.ray_P)
    from_P = image.at(ray_P)
    near_P, far_P = spans(stage.solids, mirrors.solid_P, from_P.origin_3R, from_P.direction_3R)
    depth_M, solid_M = first_hits(len(pixel_M), ray_P, mirrors.solid_P, near_P, far_P)
    hit = (solid_M >= 0).nonzero().squeeze(1)
    if not len(hit):
        return
    image, solid_H, pixel_H = image.at(hit), solid_M.index_select(0, hit), pixel_M.index_select(0, hit)
    met_3H = image.point(depth_M.index_select(0, hit))
    normal_3H, unit_3H, facet_H = surface(stage.solids, solid_H, met_3H)
    blur_H = 0.02 + wide_2R.index_select(1, pixel_H).mean(0)
    paint_3H = surface_rgb(stage, solid_H, unit_3H, facet_H, blur_H)
    seen_3H = simple_rgb(stage, solid_H, met_3H, normal_3H, paint_3H, image.view_R)
    sky_3H = glossy_sky(stage, image.view_R, image.direction_3R)
    gloss_H = behind.gloss_R.index_select(0, pixel_H)
    # On wood images lose themselves with distance, as on any surface that is smooth but not polished.
    wood_H = stage.views.by_scene(stage.air.ground_S, image.view_R) == WOOD
    gloss_H = torch.where(wood_H, gloss_H * torch.exp(-2.2 * depth_M.index_select(0, hit)), gloss_H)
    rgb_3R.index_copy_(1, pixel_H, rgb_3R.index_select(1, pixel_H) + gloss_H * (seen_3H - sky_3H))


def _draw_solids(stage: Stage, dense: _Dense, depth_N: Tensor, solid_N: Tensor, picture_3N: Tensor) -> Tensor:
    """Write the solids; returns for each pixel a number that differs between surfaces that meet in an edge."""
    key_N = solid_N * 8
    hit = (solid_N >= 0).nonzero().squeeze(1)
    if len(hit):
        solid_H = solid_N.index_select(0, hit)
        rgb_3H, facet_H = shade(stage, dense.rays_at(hit), depth_N.index_select(0, hit), solid_H)
        picture_3N.index_copy_(1, hit, encode(rgb_3H))
        if "face" in stage.solids.paints:
            # Eyes and mouths are finer than a pixel: a pixel's own number asks for samples all over a face.
            face_H = stage.solids.paint_K.index_select(0, solid_H) == PAINTS.index("face")
            facet_H = torch.where(face_H, hit % 2, facet_H)
        key_N.index_copy_(0, hit, solid_H * 8 + facet_H)
    return key_N


def _draw_edges(stage: Stage, candidates: _Candidates, key_N: Tensor, picture_3N: Tensor) -> None:
    """Trace pixels beside an edge again, four rays each, and write their mean."""
    views = stage.views
    key_VHW = key_N.reshape(views.count, views.height, views.width)
    edge_VHW = torch.zeros_like(key_VHW, dtype=torch.bool)
    beside = key_VHW[:, :, 1:] != key_VHW[:, :, :-1]
    below = key_VHW[:, 1:] != key_VHW[:, :-1]
    edge_VHW[:, :, 1:] |= beside
    edge_VHW[:, :, :-1] |= beside
    edge_VHW[:, 1:] |= below
    edge_VHW[:, :-1] |= below
    pixel_E = edge_VHW.reshape(-1).nonzero().squeeze(1)
    if not len(pixel_E):
        return
    number_N = torch.full_like(key_N, -1)
    number_N.index_copy_(0, pixel_E, torch.arange(len(pixel_E), device=key_N.device))
    row_E = pixel_E // views.width
    view_E = row_E // views.height
    spot_S2 = torch.tensor(SAMPLES, device=key_N.device)
    x_R = ((pixel_E - row_E * views.width).float()[:, None] + spot_S2[:, 0]).reshape(-1)
    y_R = ((row_E - view_E * views.height).float()[:, None] + spot_S2[:, 1]).reshape(-1)
    rays = pixel_rays(views, view_E.repeat_interleave(len(SAMPLES)), x_R, y_R)
    rgb_3R = toned(_trace(stage, rays, candidates.of(number_N)))
    picture_3N.index_copy_(1, pixel_E, display(rgb_3R.reshape(3, -1, len(SAMPLES)).mean(2)))


def _trace(stage: Stage, rays: Rays, candidates: _Candidates) -> Tensor:
    """Linear RGB (3, R) of any rays, given what each may meet."""
    count = len(rays.view_R)
    pairs = candidates.solids
    part = rays.at(pairs.ray_P)
    near_P, far_P = spans(stage.solids, pairs.solid_P, part.origin_3R, part.direction_3R)
    depth_R, solid_R = first_hits(count, pairs.ray_P, pairs.solid_P, near_P, far_P)
    if stage.air.rough:
        waves_R = stage.views.by_scene(stage.air.hand_S, rays.view_R) != 0.0
        solid_R = solid_R.masked_fill(waves_R & (depth_R > ground_depth(stage, rays)), -1)
    rgb_3R = torch.empty_like(rays.direction_3R)
    hit, free = (solid_R >= 0).nonzero().squeeze(1), (solid_R < 0).nonzero().squeeze(1)
    if len(hit):
        rgb_3H, _ = shade(stage, rays.at(hit), depth_R.index_select(0, hit), solid_R.index_select(0, hit))
        rgb_3R.index_copy_(1, hit, rgb_3H)
    if len(free):
        number_R = torch.full_like(solid_R, -1)
        number_R.index_copy_(0, free, torch.arange(len(free), device=free.device))
        behind = backdrop(stage, rays.at(free))

        def chosen(pairs: Pairs) -> Pairs:
            number_P = number_R.index_select(0, pairs.ray_P)
            return Pairs(ray_P=number_P, solid_P=pairs.solid_P).kept(number_P >= 0)

        mirrors = None if candidates.mirrors is None else chosen(candidates.mirrors)
        rgb_3R.index_copy_(1, free, _lit_ground(stage, rays.at(free), behind, chosen(candidates.influence), mirrors))
    return rgb_3R


HALO = 2.1
"""Radii from its middle at which a glowing body's halo in the air ends."""


def _draw_halos(stage: Stage, depth_N: Tensor, solid_N: Tensor, picture_3N: Tensor) -> None:
    """Brighten the air around glowing solids, as a lens would, except where something stands before them."""
    if "glowing" not in stage.solids.materials:
        return
    pairs = halo_pairs(stage.views, stage.solids, HALO)
    source_P = stage.solids.source_K.index_select(0, pairs.solid_P)
    for source in stage.solids.glowing:
        one = pairs.kept((source_P == source) & (solid_N.index_select(0, pairs.ray_P) != pairs.solid_P))
        rays = _rays_through(stage.views, one.ray_P)
        centre_3P = stage.solids.centre_3K.index_select(1, one.solid_P) - rays.origin_3R
        square_P = dot(rays.direction_3R, rays.direction_3R)
        nearest_P = dot(centre_3P, rays.direction_3R) / square_P
        apart_3P = centre_3P - rays.direction_3R * nearest_P
        size_P = stage.solids.half_3K.index_select(1, one.solid_P).mean(0)
        reach_P = (dot(apart_3P, apart_3P).sqrt() / size_P - 0.9) * (1.0 / (HALO - 0.9))
        clear_P = ((depth_N.index_select(0, one.ray_P) - nearest_P) / size_P + 1.0).clamp(0.0, 1.0)
        share_P = 0.55 * (1.0 - reach_P).clamp(0.0, 1.0) ** 2.5 * clear_P
        glow_3P = display(stage.solids.rgb_3K.index_select(1, one.solid_P).clone()).float()
        seen_3P = picture_3N.index_select(1, one.ray_P).float()
        lit_3P = torch.lerp(seen_3P, torch.maximum(seen_3P, glow_3P), share_P)
        picture_3N.index_copy_(1, one.ray_P, lit_3P.add_(0.5).clamp_(0.0, 255.0).to(torch.uint8))


def _with_truth(
    stage: Stage, picture_3N: Tensor, depth_N: Tensor, solid_N: Tensor, behind: Backdrop, drawn: int, truth: bool
) -> Picture:
    """The finished picture; ids and depth of the ground come from the backdrop."""
    rgb_N3 = picture_3N.T.contiguous()
    if not truth:
        return Picture(rgb_N3=rgb_N3, ids_N=None, depth_N=None)
    ground_N = behind.depth_R.repeat(len(depth_N) // drawn)
    free_N = solid_N < 0
    owner_N = torch.where(torch.isfinite(ground_N), 1, 0).to(torch.int16)
    if stage.solids.count:
        owners = stage.solids.owner_K.to(torch.int16).index_select(0, solid_N.clamp_min(0))
        owner_N = torch.where(free_N, owner_N, owners)
    return Picture(rgb_N3=rgb_N3, ids_N=owner_N, depth_N=torch.where(free_N, ground_N, depth_N))


KNEE = 0.78
"""Display value above which highlights are rolled off instead of cut."""


def toned(rgb_3R: Tensor) -> Tensor:
    """Scene light to display light in [0, 1]: straight below the knee, then an exponential shoulder."""
    over_3R = (rgb_3R - KNEE).clamp_min(0.0)
    shoulder_3R = (1.0 - KNEE) * (1.0 - torch.exp(over_3R * (-1.0 / (1.0 - KNEE))))
    return rgb_3R.clamp(0.0, KNEE) + shoulder_3R


def display(toned_3R: Tensor) -> Tensor:
    """Display light to sRGB bytes (IEC 61966-2-1)."""
    curve_3R = 1.055 * toned_3R.clamp_min(0.0031308) ** (1.0 / 2.4) - 0.055
    srgb_3R = torch.where(toned_3R <= 0.0031308, toned_3R * 12.92, curve_3R)
    return srgb_3R.mul_(255.0).add_(0.5).clamp_(0.0, 255.0).to(torch.uint8)


def encode(rgb_3R: Tensor) -> Tensor:
    """Scene light to sRGB bytes."""
    return display(toned(rgb_3R))
