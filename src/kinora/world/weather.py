"""What falls: rain as short streaks and snow as soft flakes, each a point of the world that the camera may pass.

They are splatted over the finished picture with the share of each pixel they cover, where they are nearer than what
stands there, and they have no id and no depth. Axes in names: K drops or flakes, V views of a scene, Q drops that are
seen in a view, P pairs of a pixel and one of them, N pixels of a chunk.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kinora.world.cameras import start_pose
from kinora.world.lights import sky_colour
from kinora.world.scene import Scene
from kinora.world.stage import Stage
from kinora.world.views import Views

__all__ = ["FALLS", "Fall", "add_falling"]

Array = npt.NDArray[np.float64]

SPREAD = 1.35
"""Drops fall within this angle to each side of the starting view, radians: a turning camera still has some."""
REACH = (1.6, 9.5)
"""From how near to how far from the starting camera they fall, metres."""
NEAREST = 0.7
"""Nearer than this to the camera none is drawn, metres of depth."""


@dataclass(frozen=True, kw_only=True)
class Fall:
    """What falls and how it looks. It is slower than in nature, so that one can be followed from frame to frame."""

    count: int
    speed: float
    """Metres a second."""
    length: float
    """Of the streak it draws, metres; 0 is round."""
    radius: float
    """Half its width, metres."""
    opacity: float
    light: tuple[float, float]
    """Its colour: this factor on the cloudy sky's colour, plus this much white."""
    sway: float
    """Metres it drifts to and fro."""
    slant: float
    """Metres a second aside for a wind of 1."""


FALLS: dict[str, Fall] = {
    "rain": Fall(count=560, speed=4.4, length=0.32, radius=0.012, opacity=0.55, light=(1.1, 0.16), sway=0.0, slant=0.7),
    "snow": Fall(
        count=420, speed=0.75, length=0.0, radius=0.042, opacity=0.85, light=(0.9, 0.35), sway=0.10, slant=0.25
    ),
}
"""By the value of the slot `weather`."""


def add_falling(stage: Stage, depth_N: Tensor, picture_3N: Tensor) -> None:
    """Splat rain and snow over the picture, bytes (3, N); `depth_N` is what stands in each pixel, metres."""
    for number, scene in enumerate(stage.scenes):
        if scene.place.weather not in FALLS:
            continue
        fall = FALLS[scene.place.weather]
        share_N = _coverage(stage, number, fall, depth_N)
        hit = (share_N > 0.0).nonzero().squeeze(1)
        light = np.array(sky_colour(scene.place)) * fall.light[0] + fall.light[1]
        colour_31 = torch.tensor(_bytes(light), dtype=torch.float32, device=depth_N.device)[:, None]
        seen_3 = picture_3N.index_select(1, hit).float()
        drawn_3 = torch.lerp(seen_3, colour_31.expand_as(seen_3), share_N.index_select(0, hit))
        picture_3N.index_copy_(1, hit, drawn_3.add_(0.5).clamp_(0.0, 255.0).to(torch.uint8))


def _bytes(linear_3: Array) -> Array:
    """sRGB bytes of linear light (IEC 61966-2-1)."""
    cut_3 = np.clip(linear_3, 0.0031308, 1.0)
    return np.asarray(255.0 * (1.055 * cut_3 ** (1.0 / 2.4) - 0.055))


def _coverage(stage: Stage, number: int, fall: Fall, depth_N: Tensor) -> Tensor:
    """Share (N) that drops or flakes of one scene cover of each pixel: the largest of any, whatever their order."""
    views = stage.views
    view_V = np.flatnonzero(views.host_scene_V == number)
    scene, time_V = stage.scenes[number], stage.states[number].time_F
    head_VK3, tail_VK3 = falling(scene, fall, time_V)
    boxes = _on_screen(views, view_V, head_VK3, tail_VK3, fall)
    share_N = torch.zeros_like(depth_N)
    if not len(boxes.view_Q):
        return share_N
    pixel_P, share_P, depth_P = _splat(views, boxes, depth_N.device)
    seen_P = share_P * (depth_P < depth_N.index_select(0, pixel_P))
    return share_N.scatter_reduce_(0, pixel_P, seen_P, "amax")


def falling(scene: Scene, fall: Fall, time_V: Array) -> tuple[Array, Array]:
    """Lower and upper ends (V, K, 3) of every streak, world metres; flakes have one place."""
    draw = np.random.default_rng([scene.place.seed & 0xFFFFFFFF, 78])
    hand = -1.0 if scene.place.wind < 0.0 else 1.0
    pose_34 = start_pose(scene.camera)
    azimuth_K = hand * draw.uniform(-SPREAD, SPREAD, fall.count)
    # Even in distance, so that near and far ones are as many in the picture.
    away_K = draw.uniform(*REACH, fall.count)
    offset_K, phase_K = draw.uniform(0.0, 1.0, fall.count), draw.uniform(0.0, 2.0 * math.pi, fall.count)
    ahead = math.atan2(pose_34[1, 2], pose_34[0, 2])
    # They start from just over the picture's upper edge there.
    top_K = np.maximum(2.2, pose_34[2, 3] + away_K * (math.tan(0.5 * scene.camera.fov) * 1.2 + pose_34[2, 2])) + 0.4
    fallen_VK = np.mod(offset_K * top_K + fall.speed * time_V[:, None], top_K)
    aside_VK = fall.slant * scene.place.wind / fall.speed * fallen_VK
    aside_VK = aside_VK + hand * fall.sway * np.sin(1.9 * time_V[:, None] + phase_K)
    x_K, y_K = pose_34[0, 3] + away_K * np.cos(ahead - azimuth_K), pose_34[1, 3] + away_K * np.sin(ahead - azimuth_K)
    head_VK3 = np.stack([x_K + aside_VK, y_K + 0.0 * aside_VK, top_K - fallen_VK], axis=2)
    trail_3 = np.array([-fall.slant * scene.place.wind, 0.0, fall.speed])
    return head_VK3, head_VK3 + fall.length * trail_3 / np.linalg.norm(trail_3)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Boxes:
    """Streaks in the picture: their ends and half width in pixels, depth, opacity, and the pixels around them."""

    view_Q: npt.NDArray[np.int64]
    ends_Q4: Array
    half_Q: Array
    depth_Q: Array
    opacity_Q: Array
    box_Q4: npt.NDArray[np.int64]


def _on_screen(views: Views, view_V: npt.NDArray[np.int64], head_VK3: Array, tail_VK3: Array, fall: Fall) -> _Boxes:
    pose_V34, focal_V1 = views.host_pose_V34[view_V], views.host_focal_V[view_V][:, None]
    middle = (0.5 * views.width, 0.5 * views.height)

    def seen(point_VK3: Array) -> tuple[Array, Array, Array]:
        camera_VK3 = np.einsum("vki,vij->vkj", point_VK3 - pose_V34[:, None, :, 3], pose_V34[:, :, :3])
        depth_VK = np.maximum(camera_VK3[..., 2], 1e-3)
        x_VK, y_VK = (camera_VK3[..., axis] / depth_VK * focal_V1 + middle[axis] for axis in (0, 1))
        return x_VK, y_VK, camera_VK3[..., 2]

    x0, y0, depth_VK = seen(head_VK3)
    x1, y1, _ = seen(tail_VK3)
    true_VK = fall.radius * focal_V1 / np.maximum(depth_VK, NEAREST)
    # Never thinner than a pixel can show: what is lost in width is taken from the opacity.
    least = 0.55 * max(1.0, min(views.height, views.width) / 256.0)
    half_VK = np.maximum(true_VK, least)
    thin_VK = true_VK / half_VK if fall.length else (true_VK / half_VK) ** 2
    fade_VK = np.clip((depth_VK - NEAREST) / 0.8, 0.0, 1.0)
    reach_VK = half_VK + np.maximum(1.0, 0.55 * half_VK)
    low_x, high_x = np.minimum(x0, x1) - reach_VK, np.maximum(x0, x1) + reach_VK
    low_y, high_y = np.minimum(y0, y1) - reach_VK, np.maximum(y0, y1) + reach_VK
    inside = (high_x > 0) & (low_x < views.width) & (high_y > 0) & (low_y < views.height) & (depth_VK > NEAREST)
    limits = np.array([views.width, views.height, views.width, views.height])
    box = np.stack([np.floor(low_x), np.floor(low_y), np.ceil(high_x), np.ceil(high_y)], 2)[inside]
    return _Boxes(
        view_Q=np.broadcast_to(view_V[:, None], inside.shape)[inside],
        ends_Q4=np.stack([x0, y0, x1, y1], 2)[inside],
        half_Q=half_VK[inside],
        depth_Q=depth_VK[inside],
        opacity_Q=(fall.opacity * thin_VK * fade_VK)[inside],
        box_Q4=np.clip(box, 0, limits).astype(np.int64),
    )


def _splat(views: Views, boxes: _Boxes, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Pixel, share and depth of every pair of a box's pixel and its streak."""
    x0, y0, x1, y1 = boxes.box_Q4.T
    wide_Q, count_Q = x1 - x0, (x1 - x0) * (y1 - y0)
    total = int(count_Q.sum())
    start_Q = (boxes.view_Q * views.height + y0) * views.width + x0
    whole = torch.from_numpy(np.stack([wide_Q, np.cumsum(count_Q) - count_Q, start_Q, x0, y0])).to(device)
    numbers_Q7 = np.column_stack([boxes.ends_Q4, boxes.half_Q, boxes.depth_Q, boxes.opacity_Q])
    table_7Q = torch.from_numpy(np.ascontiguousarray(numbers_Q7.T, dtype=np.float32)).to(device)
    which_P = torch.repeat_interleave(torch.from_numpy(count_Q).to(device), output_size=total)
    wide_P, first_P, start_P, left_P, top_P = whole.index_select(1, which_P)
    within_P = torch.arange(total, device=device) - first_P
    row_P = within_P // wide_P
    column_P = within_P - row_P * wide_P
    ax, ay, bx, by, half_P, depth_P, opacity_P = table_7Q.index_select(1, which_P)
    x_P, y_P = (left_P + column_P).float() + 0.5 - ax, (top_P + row_P).float() + 0.5 - ay
    along_x, along_y = bx - ax, by - ay
    length2 = (along_x * along_x + along_y * along_y).clamp_min(1e-6)
    share = ((x_P * along_x + y_P * along_y) / length2).clamp(0.0, 1.0)
    apart_P = ((x_P - share * along_x) ** 2 + (y_P - share * along_y) ** 2).sqrt()
    # A soft edge, at least two pixels wide: hard round spots are what a codec carries worst.
    edge_P = (0.5 - (apart_P - half_P) / (1.1 * half_P).clamp_min(2.0)).clamp(0.0, 1.0)
    edge_P = edge_P * edge_P * (3.0 - 2.0 * edge_P)
    return start_P + row_P * views.width + column_P, edge_P * opacity_P, depth_P
