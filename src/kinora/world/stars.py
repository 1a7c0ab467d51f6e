"""The stars of the night: small round spots, splatted so that they neither flicker nor vanish between pixels."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from kinora.core.slots import SKIES
from kinora.world.stage import Stage

__all__ = ["add_stars"]

COUNT = 260
NIGHT = SKIES.index("night")


def star_directions() -> tuple[np.ndarray, np.ndarray]:
    """Unit directions (COUNT, 3), all around and up to 60 degrees high, and their brightness."""
    draw = np.random.default_rng(9)
    azimuth = draw.uniform(0.0, 2.0 * math.pi, COUNT)
    up = np.sin(draw.uniform(0.03, 1.05, COUNT) ** 1.3)
    level = np.sqrt(1.0 - up * up)
    direction = np.stack([level * np.sin(azimuth), level * np.cos(azimuth), up], 1)
    return direction, draw.uniform(0.12, 0.85, COUNT) ** 1.5


def add_stars(stage: Stage, views: int, rgb_3R: Tensor, depth_R: Tensor) -> None:
    """Brighten the sky of the first `views` views of a dense backdrop where a night has stars."""
    if NIGHT not in stage.air.skies:
        return
    one = stage.views
    direction_N3, bright_N = star_directions()
    dark_S = stage.air.sky_S.cpu().numpy() == NIGHT
    dark_S = dark_S & np.array([scene.place.weather == "clear" for scene in stage.scenes])
    dark_V = dark_S[one.host_scene_V[:views]]
    camera_VN3 = np.einsum("ni,vij->vnj", direction_N3, one.host_pose_V34[:views, :, :3])
    ahead_VN = (camera_VN3[..., 2] > 0.2) & dark_V[:, None]
    scale = one.host_focal_V[:views, None] / np.maximum(camera_VN3[..., 2], 0.2)
    x_VN, y_VN = camera_VN3[..., 0] * scale + 0.5 * one.width, camera_VN3[..., 1] * scale + 0.5 * one.height
    spread = 0.55 * max(1.0, min(one.width, one.height) / 256)
    reach = math.ceil(2.0 * spread)
    offset = np.arange(-reach, reach + 1)
    column = np.floor(x_VN)[..., None, None] + offset[None, None, None, :] + 0 * offset[None, None, :, None]
    row = np.floor(y_VN)[..., None, None] + offset[None, None, :, None] + 0 * offset[None, None, None, :]
    apart2 = (column + 0.5 - x_VN[..., None, None]) ** 2 + (row + 0.5 - y_VN[..., None, None]) ** 2
    value = bright_N[None, :, None, None] * np.exp(-0.5 * apart2 / spread**2)
    inside = ahead_VN[..., None, None] & (column >= 0) & (column < one.width) & (row >= 0) & (row < one.height)
    pixel = (np.arange(views)[:, None, None, None] * one.height + row) * one.width + column
    pixel_P = torch.from_numpy(pixel[inside].astype(np.int64)).to(rgb_3R.device)
    value_P = torch.from_numpy(value[inside].astype(np.float32)).to(rgb_3R.device)
    star_R = torch.zeros_like(depth_R).scatter_reduce_(0, pixel_P, value_P, "amax")
    rgb_3R.add_(star_R * torch.isinf(depth_R))
