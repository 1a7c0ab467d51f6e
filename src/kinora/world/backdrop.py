"""What lies behind the solids: the sky, the ground under it, and haze between.

Axes in names: R rays, G those of them that meet the ground.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kinora.world.ground import WATER, WOOD, footprint, ground_rgb, ripples
from kinora.world.sky import horizon_rgb, sky_rgb, smoothstep
from kinora.world.stage import Stage
from kinora.world.swell import HIGHEST, swell
from kinora.world.views import Rays, dot, normalised

__all__ = ["Backdrop", "backdrop", "glossy_sky", "ground_depth", "mirrored"]

HAZE = 55.0
"""Metres at which the haze has taken 63% of the ground's light."""
FURTHEST = 250.0
"""Metres beyond which the ground is all haze and counts as sky for its colour."""


NEAR_WAVES = 40.0
"""Metres of depth beyond which waves are too flat in the picture to displace anything."""
ABOVE = 1e-3
"""Metres above the ground where a ray from below it (out of a glass body that stands there) is taken to start."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Backdrop:
    """Colours of rays that meet no solid."""

    rgb_3R: Tensor
    """As lit where nothing casts a shadow."""
    earth_3R: Tensor
    """The ground's albedo times the share that haze and gloss leave; 0 in the sky. Light on it adds in proportion."""
    gloss_R: Tensor
    """Share of the ground's colour that is a mirror image; 0 where it is dull."""
    depth_R: Tensor
    """Depth of the ground; infinite in the sky."""


def ground_depth(stage: Stage, rays: Rays) -> Tensor:
    """Depth (R) where each ray meets the ground, z = 0 or the face of the waves; infinite where it does not."""
    depth_R = rays.origin_3R[2].clamp_min(ABOVE) / (-rays.direction_3R[2]).clamp_min(1e-7)
    depth_R = depth_R.masked_fill(rays.direction_3R[2] > -1e-7, math.inf)
    return _relief(stage, rays, depth_R) if stage.air.rough else depth_R


def _relief(stage: Stage, rays: Rays, depth_R: Tensor) -> Tensor:
    """Two steps from the level ground towards where each ray meets the waves; far off these are lower than a pixel."""
    near = (depth_R < NEAR_WAVES).nonzero().squeeze(1)
    part = rays.at(near)
    down_G = (-part.direction_3R[2]).clamp_min(1e-7)
    depth_G = depth_R.index_select(0, near)
    focal_G = stage.views.columns(stage.views.focal_V, part.view_R)
    for _ in range(2):
        wide_2G = footprint(part.direction_3R, depth_G, focal_G)
        height_G, _ = _waves(stage, part.view_R, part.point(depth_G)[:2], wide_2G)
        depth_G = (part.origin_3R[2] - height_G).clamp_min(ABOVE) / down_G
    return depth_R.index_copy(0, near, depth_G)


def _waves(stage: Stage, view_R: Tensor, point_2R: Tensor, wide_2R: Tensor) -> tuple[Tensor, Tensor]:
    """Height (R) and slope (2, R) of the waves at points of the water."""
    hand_R = stage.views.by_scene(stage.air.hand_S, view_R)
    return swell(point_2R, wide_2R, stage.views.time_V.index_select(0, view_R), hand_R)


def backdrop(stage: Stage, rays: Rays, blur: float = 1.0) -> Backdrop:
    """Trace rays against ground and sky alone; `blur` widens the footprint, for images in brushed metal."""
    depth_R = ground_depth(stage, rays)
    rgb_3R = torch.empty_like(rays.direction_3R)
    earth_3R = torch.zeros_like(rgb_3R)
    gloss_R = torch.zeros_like(depth_R)
    above = (depth_R > FURTHEST).nonzero().squeeze(1)
    below = (depth_R <= FURTHEST).nonzero().squeeze(1)
    if len(above):
        toward = normalised(rays.direction_3R.index_select(1, above))
        rgb_3R.index_copy_(1, above, sky_rgb(stage.views, stage.air, rays.view_R.index_select(0, above), toward))
    if len(below):
        rgb, earth, gloss = _ground(stage, rays.at(below), depth_R.index_select(0, below), blur)
        rgb_3R.index_copy_(1, below, rgb)
        earth_3R.index_copy_(1, below, earth)
        gloss_R.index_copy_(0, below, gloss)
    return Backdrop(rgb_3R=rgb_3R, earth_3R=earth_3R, gloss_R=gloss_R, depth_R=depth_R)


def _ground(stage: Stage, rays: Rays, depth_G: Tensor, blur: float) -> tuple[Tensor, Tensor, Tensor]:
    """Colour, earth and gloss of rays that all meet the ground at `depth_G`."""
    views, air = stage.views, stage.air
    point_3G = rays.point(depth_G)
    wide_2G = footprint(rays.direction_3R, depth_G, views.columns(views.focal_V, rays.view_R) * (1.0 / blur))
    square_G = dot(rays.direction_3R, rays.direction_3R) * depth_G * depth_G
    clear_G = torch.exp(square_G * (-1.0 / HAZE**2))
    if air.veiled:
        clear_G = clear_G * torch.exp(square_G.sqrt() * -views.by_scene(air.density_S, rays.view_R))
    toward_3G = views.by_scene(air.toward_3S, rays.view_R)
    light_3G = views.by_scene(air.key_3S, rays.view_R) * toward_3G[2] + views.by_scene(air.above_3S, rays.view_R)
    haze_3G = horizon_rgb(views, air, rays.view_R, rays.direction_3R)
    albedo_3G = ground_rgb(views, air, rays.view_R, point_3G[:2], wide_2G)
    if air.rough:
        albedo_3G = _crests(stage, rays.view_R, point_3G, wide_2G, albedo_3G)
    gloss_G = torch.zeros_like(depth_G)
    rgb_3G = albedo_3G * light_3G
    if {WATER, WOOD} & set(air.grounds):
        ground_G = views.by_scene(air.ground_S, rays.view_R).expand_as(depth_G)
        shiny = ((ground_G == WATER) | (ground_G == WOOD)).nonzero().squeeze(1)
        if len(shiny):
            part = rays.at(shiny)
            toward, gloss = mirrored(stage, part, point_3G.index_select(1, shiny), wide_2G.index_select(1, shiny))
            image = glossy_sky(stage, part.view_R, toward)
            gloss_G.index_copy_(0, shiny, gloss)
            rgb_3G.index_copy_(1, shiny, torch.lerp(rgb_3G.index_select(1, shiny), image, gloss))
    gloss_clear_G = gloss_G * clear_G
    return torch.lerp(haze_3G, rgb_3G, clear_G), albedo_3G * (clear_G - gloss_clear_G), gloss_clear_G


def _crests(stage: Stage, view_G: Tensor, point_3G: Tensor, wide_2G: Tensor, albedo_3G: Tensor) -> Tensor:
    """Water that rises is lighter, as light comes through it; troughs are dark, and a little foam lies on crests."""
    height_G, _ = _waves(stage, view_G, point_3G[:2], wide_2G)
    share_G = height_G * (1.0 / HIGHEST)
    foam_G = 0.30 * smoothstep(0.35, 1.0, share_G)
    return (albedo_3G * (1.0 + 0.85 * share_G)) * (1.0 - foam_G) + 0.80 * foam_G


def glossy_sky(stage: Stage, view_R: Tensor, toward_3R: Tensor) -> Tensor:
    """Sky (3, R) as water shows it; wood is too dull to show a sun or a cloud and takes the horizon's colour."""
    if WOOD not in stage.air.grounds:
        return sky_rgb(stage.views, stage.air, view_R, toward_3R)
    dull_3R = stage.views.by_scene(stage.air.haze_3S, view_R).expand_as(toward_3R)
    if WATER not in stage.air.grounds:
        return dull_3R
    wet_R = stage.views.by_scene(stage.air.ground_S, view_R) == WATER
    return torch.where(wet_R, sky_rgb(stage.views, stage.air, view_R, toward_3R), dull_3R)


def mirrored(stage: Stage, rays: Rays, point_3G: Tensor, wide_2G: Tensor) -> tuple[Tensor, Tensor]:
    """Where rays go from water or wood (unit directions, (3, G)), and the share of light that goes there (Schlick)."""
    views, air = stage.views, stage.air
    toward_3G = normalised(rays.direction_3R)
    ground_G = views.by_scene(air.ground_S, rays.view_R).expand_as(toward_3G[0])
    wet_G = ground_G == WATER
    slope_2G = torch.zeros_like(wide_2G)
    if WATER in air.grounds:
        time_G, shift_2G = views.time_V.index_select(0, rays.view_R), views.by_scene(air.shift_2S, rays.view_R)
        slope_2G = ripples(point_3G[:2], wide_2G, time_G, shift_2G) * wet_G
        if air.rough:
            slope_2G = slope_2G + _waves(stage, rays.view_R, point_3G[:2], wide_2G)[1]
    normal_3G = normalised(torch.stack([-slope_2G[0], -slope_2G[1], torch.ones_like(slope_2G[0])]))
    against_G = dot(toward_3G, normal_3G)
    away_3G = toward_3G - 2.0 * against_G * normal_3G
    away_3G = torch.stack([away_3G[0], away_3G[1], away_3G[2].abs().clamp_min(0.01)])
    grazing_G = (1.0 + against_G).clamp(0.0, 1.0) ** 5
    share_G = torch.where(wet_G, 0.06 + 0.80 * grazing_G, 0.03 + 0.22 * grazing_G)
    return normalised(away_3G), share_G
