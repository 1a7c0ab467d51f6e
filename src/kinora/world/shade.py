"""Light on solids: how each material turns light into colour, with one bounce for mirrors and glass.

Axes in names: R rays of a list, H rays that hit a solid, P pairs, 3 vectors and colours.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kinora.core.slots import MATERIALS
from kinora.world.backdrop import backdrop
from kinora.world.boxes import Pairs
from kinora.world.lists import expand
from kinora.world.paint import surface_rgb
from kinora.world.parts import KINDS
from kinora.world.shadows import contact_shade, near_contact, near_shadow, sunlight
from kinora.world.solids import GLOW_REACH, PAINTS
from kinora.world.stage import Stage
from kinora.world.tracer import first_hits, spans, surface
from kinora.world.views import Rays, dot, normalised

__all__ = ["Received", "receive", "shade", "simple_rgb"]

SHINY, METAL, GLASS, GLOWING = (MATERIALS.index(name) for name in ("shiny", "metal", "glass", "glowing"))
GLOW = 0.9
"""Light that a glowing body sends to a white surface one radius away, over its own colour."""
REFRACTION = 1.0 / 1.35
THIN_REFRACTION = 1.0
"""Glass solids with edges are as if thin-walled: a cube that bent light would show its own insides."""
LEAVING = 2e-3
"""Metres that a bounced ray starts off its surface."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Received:
    """What reaches points from around: shares of the key light and of the light from all around, and glow."""

    key_R: Tensor
    around_R: Tensor
    glow_3R: Tensor | None


def receive(
    stage: Stage, pairs: Pairs, count: int, point_3R: Tensor, normal_3R: Tensor, view_R: Tensor, wide_R: Tensor
) -> Received:
    """Gather shadow, contact shade and glow at `count` points from the paired solids.

    Shares combine by their minimum, which does not depend on order; glow is summed one solid of a view at a time.
    """
    solids, ray_P, solid_P = stage.solids, pairs.ray_P, pairs.solid_P
    key_R = point_3R.new_ones(count)
    around_R = point_3R.new_ones(count)
    glow_3R = None
    if "glowing" in solids.materials:
        glow_3R = _glow(stage, pairs, point_3R, normal_3R)
        dull = solids.material_K.index_select(0, solid_P) != GLOWING
        kept = dull.nonzero().squeeze(1)
        ray_P, solid_P = ray_P.index_select(0, kept), solid_P.index_select(0, kept)
    apart_3P = point_3R.index_select(1, ray_P) - solids.centre_3K.index_select(1, solid_P)
    radius_P = solids.radius_K.index_select(0, solid_P)
    shaded = near_shadow(radius_P, apart_3P, *_light_of(stage, view_R, wide_R, ray_P)).nonzero().squeeze(1)
    if len(shaded):
        ray, solid = ray_P.index_select(0, shaded), solid_P.index_select(0, shaded)
        key = sunlight(solids, solid, apart_3P.index_select(1, shaded), *_light_of(stage, view_R, wide_R, ray))
        if "glass" in solids.materials:
            glass = solids.material_K.index_select(0, solid) == GLASS
            key = torch.where(glass, 0.45 + 0.55 * key, key)
        key_R.scatter_reduce_(0, ray, key, "amin")
    close = near_contact(solids.contact_K.index_select(0, solid_P), apart_3P).nonzero().squeeze(1)
    if len(close):
        ray, solid = ray_P.index_select(0, close), solid_P.index_select(0, close)
        normal = normal_3R if normal_3R.shape[1] == 1 else normal_3R.index_select(1, ray)
        around_R.scatter_reduce_(0, ray, contact_shade(solids, solid, apart_3P.index_select(1, close), normal), "amin")
    return Received(key_R=key_R, around_R=around_R, glow_3R=glow_3R)


def _light_of(stage: Stage, view_R: Tensor, wide_R: Tensor, ray_P: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Direction to the key light, its softness, and the least width of a shadow's edge, for some rays."""
    view_P = view_R.index_select(0, ray_P)
    toward_3P = stage.views.by_scene(stage.air.toward_3S, view_P)
    softness_P = stage.views.by_scene(stage.air.softness_S, view_P)
    return toward_3P, softness_P, wide_R.index_select(0, ray_P) * 0.7 + 0.012


def _glow(stage: Stage, pairs: Pairs, point_3R: Tensor, normal_3R: Tensor) -> Tensor:
    """Light (3, R) from glowing solids. Each pass adds one solid of each view, so no two pairs share a point."""
    solids = stage.solids
    glow_3R = torch.zeros_like(point_3R)
    glowing = pairs.kept(solids.material_K.index_select(0, pairs.solid_P) == GLOWING)
    if not len(glowing.ray_P):
        return glow_3R
    source_P = solids.source_K.index_select(0, glowing.solid_P)
    for source in solids.glowing:
        one = glowing.kept(source_P == source)
        apart_3P = solids.centre_3K.index_select(1, one.solid_P) - point_3R.index_select(1, one.ray_P)
        radius_P = solids.half_3K[0].index_select(0, one.solid_P)
        square_P = dot(apart_3P, apart_3P)
        normal_3P = normal_3R if normal_3R.shape[1] == 1 else normal_3R.index_select(1, one.ray_P)
        cosine_P = dot(normal_3P.expand_as(apart_3P), apart_3P) * square_P.clamp_min(1e-6).rsqrt()
        facing_P = (cosine_P * 0.8 + 0.2).clamp_min(0.0)
        window_P = (1.0 - square_P / GLOW_REACH**2).clamp_min(0.0) ** 2
        power_P = GLOW * 1.6 * radius_P * radius_P * facing_P * window_P / (square_P + 0.2 * radius_P * radius_P)
        glow_3R.index_add_(1, one.ray_P, solids.rgb_3K.index_select(1, one.solid_P) * power_P)
    return glow_3R


def _around(stage: Stage, normal_3H: Tensor, view_H: Tensor) -> Tensor:
    """Light from sky and ground on a surface, by where it faces."""
    up_H = 0.5 + 0.5 * normal_3H[2]
    below, above = stage.views.by_scene(stage.air.below_3S, view_H), stage.views.by_scene(stage.air.above_3S, view_H)
    return below + (above - below) * up_H


def simple_rgb(
    stage: Stage, solid_H: Tensor, point_3H: Tensor, normal_3H: Tensor, rgb_3H: Tensor, view_H: Tensor
) -> Tensor:
    """Colour of surfaces seen in a mirror or through glass: no shadows, no further bounce."""
    toward_3H = stage.views.by_scene(stage.air.toward_3S, view_H)
    facing_H = dot(normal_3H, toward_3H.expand_as(normal_3H)).clamp_min(0.0)
    light_3H = stage.views.by_scene(stage.air.key_3S, view_H) * facing_H + _around(stage, normal_3H, view_H)
    glowing_H = stage.solids.material_K.index_select(0, solid_H) == GLOWING
    return rgb_3H * torch.where(glowing_H, torch.full_like(light_3H, 1.15), light_3H)


def bounce_rgb(stage: Stage, rays: Rays, left_R: Tensor, blur: float, *, shaded: bool) -> Tensor:
    """Colour (3, R) that rays bring back after leaving solid `left_R`: other solids, else sky and ground (blurred).

    `shaded`: with the shade that the solid itself casts on the ground.
    """
    ray_P, solid_P = expand(stage.others, left_R)
    count = len(left_R)
    part = rays.at(ray_P)
    near_P, far_P = spans(stage.solids, solid_P, part.origin_3R, part.direction_3R)
    depth_R, solid_R = first_hits(count, ray_P, solid_P, near_P, far_P)
    rgb_3R = torch.empty_like(rays.direction_3R)
    hit = (solid_R >= 0).nonzero().squeeze(1)
    free = (solid_R < 0).nonzero().squeeze(1)
    if len(free):
        part, left = rays.at(free), left_R.index_select(0, free)
        found = _backdrop_shaded(stage, part, left, blur) if shaded else backdrop(stage, part, blur).rgb_3R
        rgb_3R.index_copy_(1, free, found)
    if len(hit):
        part, depth_H, solid_H = rays.at(hit), depth_R.index_select(0, hit), solid_R.index_select(0, hit)
        point_3H = part.point(depth_H)
        normal_3H, unit_3H, facet_H = surface(stage.solids, solid_H, point_3H)
        wide_H = 0.01 + 0.01 * depth_H
        paint_3H = surface_rgb(stage, solid_H, unit_3H, facet_H, wide_H)
        rgb_3R.index_copy_(1, hit, simple_rgb(stage, solid_H, point_3H, normal_3H, paint_3H, part.view_R))
    return rgb_3R


def _backdrop_shaded(stage: Stage, rays: Rays, left_R: Tensor, blur: float) -> Tensor:
    """The backdrop with the shade that the solid just left casts itself, which is what a ball sees under it."""
    behind = backdrop(stage, rays, blur)
    rgb_3R = behind.rgb_3R
    near = (behind.depth_R < 12.0).nonzero().squeeze(1)
    if not len(near):
        return rgb_3R
    part, solid_P = rays.at(near), left_R.index_select(0, near)
    point_3P = part.point(behind.depth_R.index_select(0, near))
    pairs = Pairs(ray_P=torch.arange(len(near), device=near.device), solid_P=solid_P)
    up_31 = point_3P.new_tensor([[0.0], [0.0], [1.0]])
    got = receive(stage, pairs, len(near), point_3P, up_31, part.view_R, torch.full_like(point_3P[0], 0.02))
    change = ground_change(stage, got, part.view_R, behind.earth_3R.index_select(1, near))
    rgb_3R.index_copy_(1, near, rgb_3R.index_select(1, near) + change)
    return rgb_3R


def ground_change(stage: Stage, got: Received, view_R: Tensor, earth_3R: Tensor) -> Tensor:
    """What shade and glow add to (or take from) the unshaded colour of ground with albedo share `earth_3R`."""
    views, air = stage.views, stage.air
    key_3R = views.by_scene(air.key_3S, view_R) * views.by_scene(air.toward_3S, view_R)[2]
    light_3R = key_3R * (got.key_R * (0.4 + 0.6 * got.around_R) - 1.0)
    light_3R = light_3R + views.by_scene(air.above_3S, view_R) * (got.around_R - 1.0)
    if got.glow_3R is not None:
        light_3R = light_3R + got.glow_3R
    return earth_3R * light_3R


def shade(stage: Stage, rays: Rays, depth_H: Tensor, solid_H: Tensor) -> tuple[Tensor, Tensor]:
    """Linear RGB (3, H) and facet number (H) of rays that hit solids."""
    solids, views, air = stage.solids, stage.views, stage.air
    point_3H = rays.point(depth_H)
    normal_3H, unit_3H, facet_H = surface(solids, solid_H, point_3H)
    wide_H = depth_H / views.columns(views.focal_V, rays.view_R)
    sight_3H = normalised(rays.direction_3R)
    paint_3H = surface_rgb(stage, solid_H, unit_3H, facet_H, wide_H)
    everyone = torch.arange(len(solid_H), device=solid_H.device)
    light = _light_of(stage, rays.view_R, wide_H, everyone)
    ray_P, caster_P = stage.crowds.pairs(solid_H, point_3H, *light)
    got = receive(stage, Pairs(ray_P=ray_P, solid_P=caster_P), len(solid_H), point_3H, normal_3H, rays.view_R, wide_H)
    toward_3H = views.by_scene(air.toward_3S, rays.view_R).expand_as(normal_3H)
    key_3H = views.by_scene(air.key_3S, rays.view_R) * got.key_R
    size_H = solids.half_3K.index_select(1, solid_H).mean(0)
    # Near the ground the light from all around is less, as if the ground were a neighbour.
    height_H = (point_3H[2] / size_H.clamp_max(0.5)).clamp(0.0, 1.0)
    grounded_H = (0.55 + 0.45 * height_H) + 0.45 * normal_3H[2].clamp_min(0.0)
    around_3H = _around(stage, normal_3H, rays.view_R) * (got.around_R * grounded_H.clamp_max(1.0))
    if got.glow_3R is not None:
        around_3H = around_3H + got.glow_3R
    facing_H = dot(normal_3H, toward_3H).clamp_min(0.0)
    rgb_3H = paint_3H * (key_3H * facing_H + around_3H)
    if solids.paints & {"panel"}:
        shown_H = solids.paint_K.index_select(0, solid_H) == PAINTS.index("panel")
        rgb_3H = torch.where(shown_H, paint_3H * (0.78 + 0.22 * got.key_R), rgb_3H)
    scene = _Surface(rays, solid_H, point_3H, normal_3H, sight_3H, paint_3H, key_3H, toward_3H)
    if solids.materials - {"matte"}:
        material_H = solids.material_K.index_select(0, solid_H)
        for number, look in _LOOKS.items():
            if MATERIALS[number] in solids.materials:
                chosen = (material_H == number).nonzero().squeeze(1)
                if len(chosen):
                    rgb_3H.index_copy_(1, chosen, look(stage, scene.at(chosen), rgb_3H.index_select(1, chosen)))
    if air.veiled:
        rgb_3H = _veiled(stage, rays, depth_H, rgb_3H)
    return rgb_3H, facet_H


def _veiled(stage: Stage, rays: Rays, depth_H: Tensor, rgb_3H: Tensor) -> Tensor:
    """What is left of colours through the air between, which adds its own."""
    density_H = stage.views.by_scene(stage.air.density_S, rays.view_R)
    distance_H = dot(rays.direction_3R, rays.direction_3R).sqrt() * depth_H
    haze_3H = stage.views.by_scene(stage.air.haze_3S, rays.view_R).expand_as(rgb_3H)
    return torch.lerp(haze_3H, rgb_3H, torch.exp(-density_H * distance_H))


@dataclass(frozen=True, eq=False)
class _Surface:
    """Points on solids and the light on them."""

    rays: Rays
    solid_H: Tensor
    point_3H: Tensor
    normal_3H: Tensor
    sight_3H: Tensor
    paint_3H: Tensor
    key_3H: Tensor
    toward_3H: Tensor

    def at(self, index: Tensor) -> _Surface:
        columns = (self.point_3H, self.normal_3H, self.sight_3H, self.paint_3H, self.key_3H, self.toward_3H)
        return _Surface(
            self.rays.at(index),
            self.solid_H.index_select(0, index),
            *(table.index_select(1, index) for table in columns),
        )

    @property
    def against_H(self) -> Tensor:
        """Cosine between the normal and the way back to the eye."""
        return (-dot(self.normal_3H, self.sight_3H)).clamp(0.0, 1.0)

    def mirror(self, stage: Stage, blur: float = 4.0) -> Tensor:
        """Colour that a mirror at each point shows."""
        away_3H = self.sight_3H - 2.0 * dot(self.normal_3H, self.sight_3H) * self.normal_3H
        start_3H = torch.addcmul(self.point_3H, self.normal_3H, self.point_3H.new_tensor(LEAVING))
        rays = Rays(origin_3R=start_3H, direction_3R=away_3H, view_R=self.rays.view_R)
        return bounce_rgb(stage, rays, self.solid_H, blur, shaded=True)

    def highlight(self, sharpness: float) -> Tensor:
        """Blinn's highlight of the key light, (H)."""
        half_3H = normalised(self.toward_3H - self.sight_3H)
        return dot(self.normal_3H, half_3H).clamp(0.0, 1.0) ** sharpness


def _shiny(stage: Stage, at: _Surface, lit_3H: Tensor) -> Tensor:
    share_H = 0.08 + 0.45 * (1.0 - at.against_H) ** 4
    shine_3H = at.key_3H.clamp_min(0.25) * (0.95 * at.highlight(90.0) + 0.12 * at.highlight(14.0))
    return torch.lerp(lit_3H, at.mirror(stage), share_H) + shine_3H


def _metal(stage: Stage, at: _Surface, lit_3H: Tensor) -> Tensor:
    rim_H = (1.0 - at.against_H) ** 5
    tint_3H = 0.12 + 0.88 * at.paint_3H
    tint_3H = tint_3H + (1.0 - tint_3H) * (0.5 * rim_H)
    return 0.30 * lit_3H + tint_3H * at.mirror(stage, 24.0) * 0.92 + tint_3H * at.key_3H * (0.8 * at.highlight(60.0))


def _glass(stage: Stage, at: _Surface, lit_3H: Tensor) -> Tensor:
    solids = stage.solids
    against_H = at.against_H
    # Snell into the glass, straight through to where the ray leaves the solid, Snell out again.
    round_H = solids.kind_K.index_select(0, at.solid_H) == KINDS.index("sphere")
    ratio_H = torch.where(round_H, REFRACTION, THIN_REFRACTION)
    bend_H = (1.0 - ratio_H**2 * (1.0 - against_H * against_H)).clamp_min(0.0).sqrt()
    inward_3H = normalised(ratio_H * at.sight_3H + (ratio_H * against_H - bend_H) * at.normal_3H)
    start_3H = at.point_3H - LEAVING * at.normal_3H
    _, far_H = spans(solids, at.solid_H, start_3H, inward_3H)
    length_H = far_H.clamp(0.0, 4.0)
    leaving_3H = torch.addcmul(start_3H, inward_3H, length_H)
    normal_3H, _, _ = surface(solids, at.solid_H, leaving_3H)
    cosine_H = dot(inward_3H, normal_3H).clamp(0.0, 1.0)
    index_H = 1.0 / ratio_H
    out_H = 1.0 - index_H**2 * (1.0 - cosine_H * cosine_H)
    # Where light would be trapped inside it leaves along the surface instead.
    outward_3H = normalised(index_H * inward_3H + (out_H.clamp_min(0.0).sqrt() - index_H * cosine_H) * normal_3H)
    start_3H = leaving_3H + LEAVING * normal_3H
    onward = Rays(origin_3R=start_3H, direction_3R=outward_3H, view_R=at.rays.view_R)
    through_3H = bounce_rgb(stage, onward, at.solid_H, 3.0, shaded=False)
    size_H = solids.half_3K.index_select(1, at.solid_H).mean(0)
    body_3H = solids.rgb_3K.index_select(1, at.solid_H)
    tint_3H = (0.06 + 0.94 * body_3H) ** (0.30 + 0.25 * length_H / size_H)
    share_H = 0.05 + 0.70 * (1.0 - against_H) ** 4
    # Half of what comes through loses its own hue, so that glass shows its colour before any ground.
    grey_H = through_3H.mean(0)
    seen_3H = (0.45 * through_3H + 0.55 * grey_H) * tint_3H + 0.26 * lit_3H
    # The second tone marks a solid's edges; in glass edges gather light.
    edge_H = ((body_3H - at.paint_3H).mean(0) / body_3H.mean(0).clamp_min(0.02)).clamp(0.0, 1.0)
    edge_H = edge_H.masked_fill(round_H, 0.0)
    seen_3H = seen_3H + edge_H * (0.25 + 0.75 * body_3H) * (0.30 * grey_H + 0.05)
    return torch.lerp(seen_3H, at.mirror(stage), share_H) + at.key_3H.clamp_min(0.3) * (1.1 * at.highlight(160.0))


def _glowing(stage: Stage, at: _Surface, lit_3H: Tensor) -> Tensor:
    body_3H = stage.solids.rgb_3K.index_select(1, at.solid_H)
    facing_H = at.against_H
    core_H = 0.30 * facing_H * facing_H
    return body_3H * (0.72 + 0.50 * facing_H) * (0.75 + 0.25 * at.paint_3H / body_3H.clamp_min(1e-3)) + core_H * (
        0.25 + 0.75 * body_3H
    )


_LOOKS = {SHINY: _shiny, METAL: _metal, GLASS: _glass, GLOWING: _glowing}
