"""A mouth, drawn into the face of a film.

The theatre's people have painted faces on round heads, so that a mouth can be drawn where the renderer would have put
it: features are laid out in two angles over the head, `across` and `up`, and the shapes below are those of
`kinora.world.face` (which this package does not know), without a smile. The head is taken to face the camera.

Axes: F frames, H W pixels, h w a box of pixels around the mouth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kinora.control.fill import fill_holes
from kinora.control.guide import Guide
from kinora.core.errors import ShapeError

__all__ = ["MouthLevels", "mouth_guide"]

MOUTH_UP = -0.47
"""The mouth's middle on the head, radians over its equator."""
NOSE_END = -0.21
"""Up to here the old mouth is wiped; above it stands the nose."""
WIPED = (0.60, 0.37)
"""Half axes of what is wiped, radians: what the widest open mouth covers."""
HEAD_TALL, HEAD_DEEP = 0.978, 0.910
"""A head's height and depth over its width."""
FOCAL = 1.33
"""Focal length in shares of the shorter side: with it a face's size tells its distance."""
REACH = 0.72
"""Half the box around a mouth, in shares of the face's radius."""

TONES = {"throat": (0.075, 0.008, 0.010), "tongue": (0.52, 0.085, 0.09), "tooth": (0.84, 0.82, 0.76)}
"""Linear RGB in full light."""
LIP_OF_SKIN, LIP_OWN = (0.60, 0.26, 0.26), (0.13, 0.02, 0.025)
"""A lip's colour: shares of the skin's, and its own in full light."""
EYE_WHITE, SHADE = 0.86, 0.7
"""The brightest thing in a face: what it comes to in the picture tells the light. A mouth stands in less of it, as it
looks a little down."""
SKIN_REACH = 0.9
"""Up to where the disc of a head is surely head, in its radii."""


@dataclass(frozen=True, kw_only=True)
class MouthLevels:
    """How noisy the pixels around a mouth may get; all others are exact."""

    drawn: float = 0.1
    """Enough to soften a drawn mouth into its face; too little to open or close it."""
    feather: float = 16.0
    """Pixels around the box over which the level falls to 0: one cell."""


def mouth_guide(
    frames_FHW3: npt.NDArray[np.uint8],
    mouth_F4: npt.NDArray[np.floating],
    face_F3: npt.NDArray[np.floating],
    *,
    levels: MouthLevels | None = None,
) -> Guide:
    """The film with another mouth in one face. Outside that mouth's box every pixel is its own, at cap 0.

    `mouth_F4` as in `kinora.core.visemes`; `face_F3` is the face's middle in shares of width and height and its radius
    (half its width) in shares of the shorter side. Where the radius is 0 there is no face and nothing changes.
    """
    if not len(frames_FHW3) == len(mouth_F4) == len(face_F3):
        raise ShapeError(
            f"{len(frames_FHW3)} frames need as many mouth shapes and face places; "
            f"{len(mouth_F4)} and {len(face_F3)} were given."
        )
    levels = levels or MouthLevels()
    height, width = frames_FHW3.shape[1:3]
    guide = Guide(frames_FHW3=frames_FHW3.copy(), cap_FHW=np.zeros(frames_FHW3.shape[:3], dtype=np.float32))
    seen = np.flatnonzero(np.asarray(face_F3)[:, 2] > 0)
    if seen.size:
        size_3 = np.array([width, height, min(height, width)])
        box = _Box.around((np.asarray(face_F3)[seen] * size_3).astype(np.float32), height, width)
        box.write(guide.frames_FHW3, seen, _drawn(box.read(frames_FHW3, seen), box, np.asarray(mouth_F4)[seen]))
        guide.cap_FHW[seen] = box.cap(levels, height, width)
    return guide


@dataclass(frozen=True, kw_only=True, eq=False)
class _Box:
    """The pixels around a mouth, in every frame as many."""

    face_F3: npt.NDArray[np.float32]
    """Middle and radius of the face in pixels."""
    nearness_F: npt.NDArray[np.float32]
    """The face's radius over its distance."""
    rows_Fh: npt.NDArray[np.int64]
    columns_Fw: npt.NDArray[np.int64]

    @classmethod
    def around(cls, face_F3: npt.NDArray[np.float32], height: int, width: int) -> _Box:
        reach = int(np.ceil(REACH * face_F3[:, 2].max())) + 2
        middle_F2 = np.floor(_mouth_middle(face_F3)).astype(np.int64)
        steps = np.arange(-reach, reach + 1)
        return cls(
            face_F3=face_F3,
            nearness_F=face_F3[:, 2] / (FOCAL * min(height, width)),
            rows_Fh=middle_F2[:, 1:] + steps,
            columns_Fw=middle_F2[:, :1] + steps,
        )

    def read(self, frames_FHW3: npt.NDArray[np.uint8], seen: npt.NDArray[np.int64]) -> Tensor:
        """Linear RGB (F, 3, h, w); beyond the picture's edge its outermost pixels."""
        _, height, width, _ = frames_FHW3.shape
        rows_Fh1 = self.rows_Fh.clip(0, height - 1)[:, :, None]
        srgb_Fhw3 = frames_FHW3[seen[:, None, None], rows_Fh1, self.columns_Fw.clip(0, width - 1)[:, None, :]]
        return _linear(torch.from_numpy(srgb_Fhw3).permute(0, 3, 1, 2).float() / 255.0)

    def write(
        self, frames_FHW3: npt.NDArray[np.uint8], seen: npt.NDArray[np.int64], drawn: tuple[Tensor, Tensor]
    ) -> None:
        """Put linear colours (F, 3, h, w) where something was drawn (F, h, w) and the picture reaches."""
        rgb_F3hw, changed_Fhw = drawn
        _, height, width, _ = frames_FHW3.shape
        rows_ok = (self.rows_Fh >= 0) & (self.rows_Fh < height)
        columns_ok = (self.columns_Fw >= 0) & (self.columns_Fw < width)
        f, h, w = np.nonzero(changed_Fhw.numpy() & rows_ok[:, :, None] & columns_ok[:, None, :])
        srgb_Fhw3 = (255.0 * _srgb(rgb_F3hw)).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        frames_FHW3[seen[f], self.rows_Fh[f, h], self.columns_Fw[f, w]] = srgb_Fhw3[f, h, w]

    def inside(self) -> Tensor:
        """Which pixels (F, h, w) are surely of the head."""
        x_F, y_F, radius_F = (torch.from_numpy(part)[:, None, None] for part in self.face_F3.T)
        right_Fhw = torch.from_numpy(self.columns_Fw)[:, None, :] + 0.5 - x_F
        down_Fhw = torch.from_numpy(self.rows_Fh)[:, :, None] + 0.5 - y_F
        return torch.hypot(right_Fhw, down_Fhw) < SKIN_REACH * radius_F

    def angles(self) -> tuple[Tensor, Tensor, Tensor]:
        """Across and up (F, h, w) of each pixel on a head that faces the camera, and a pixel's width, all radians."""
        x_F, y_F, radius_F = (torch.from_numpy(part)[:, None, None] for part in self.face_F3.T)
        right_Fhw = (torch.from_numpy(self.columns_Fw)[:, None, :] + 0.5 - x_F) / radius_F
        down_Fhw = (torch.from_numpy(self.rows_Fh)[:, :, None] + 0.5 - y_F) / radius_F
        # What is nearer than the head's middle looks larger; how much nearer, a first look at the sphere tells.
        nearer_Fhw = HEAD_DEEP * (1.0 - right_Fhw**2 - down_Fhw**2).clamp(min=0.0).sqrt()
        shrink_Fhw = 1.0 - torch.from_numpy(self.nearness_F)[:, None, None] * nearer_Fhw
        right_Fhw, up_Fhw = right_Fhw * shrink_Fhw, -down_Fhw * shrink_Fhw / HEAD_TALL
        ahead_Fhw = (1.0 - right_Fhw**2 - up_Fhw**2).clamp(min=1e-4).sqrt()
        elevation_Fhw = torch.asin(up_Fhw.clamp(-1.0, 1.0))
        across_Fhw = torch.atan2(right_Fhw, ahead_Fhw) * torch.cos(0.8 * elevation_Fhw)
        return across_Fhw, elevation_Fhw, 1.0 / radius_F

    def cap(self, levels: MouthLevels, height: int, width: int) -> npt.NDArray[np.float32]:
        """Caps (F, H, W) around each frame's own box."""
        middle_F2, reach_F = _mouth_middle(self.face_F3), REACH * self.face_F3[:, 2]
        x_W, y_H = np.arange(width, dtype=np.float32) + 0.5, np.arange(height, dtype=np.float32) + 0.5
        beyond_FW = (np.abs(x_W - middle_F2[:, :1]) - reach_F[:, None])[:, None, :]
        beyond_FH = (np.abs(y_H - middle_F2[:, 1:]) - reach_F[:, None])[:, :, None]
        share_FHW = 1.0 - np.maximum(beyond_FW, beyond_FH) / max(levels.feather, 1e-3)
        return np.asarray(levels.drawn * share_FHW.clip(0.0, 1.0), dtype=np.float32)


def _mouth_middle(face_F3: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The mouth's middle in pixels (F, 2)."""
    middle_F2 = face_F3[:, :2].copy()
    middle_F2[:, 1] -= np.float32(np.sin(MOUTH_UP) * HEAD_TALL) * face_F3[:, 2]
    return middle_F2


def _drawn(face_F3hw: Tensor, box: _Box, mouth_F4: npt.NDArray[np.floating]) -> tuple[Tensor, Tensor]:
    """A face without its old mouth and with the new one (F, 3, h, w), and where it differs from what it was."""
    across_Fhw, up_Fhw, pixel_F11 = box.angles()
    wiped_Fhw = _coverage(_ellipse(across_Fhw, up_Fhw - MOUTH_UP, *WIPED), 2.0 * pixel_F11)
    wiped_Fhw = wiped_Fhw * _coverage(up_Fhw - NOSE_END, 2.0 * pixel_F11)
    # Skin is what lies around the old mouth on the head.
    head_Fhw = box.inside()
    skin_F3hw = fill_holes(face_F3hw, ((wiped_Fhw == 0.0) & head_Fhw).float()[:, None])
    light_311 = _light(face_F3hw, head_Fhw)
    rgb_F3hw = torch.lerp(face_F3hw, skin_F3hw, wiped_Fhw[:, None])
    rgb_F3hw, lips_Fhw = _painted(rgb_F3hw, skin_F3hw, light_311, (across_Fhw, up_Fhw - MOUTH_UP), mouth_F4, pixel_F11)
    return rgb_F3hw, (wiped_Fhw > 0.0) | (lips_Fhw > 0.0)


def _painted(
    rgb_F3hw: Tensor,
    skin_F3hw: Tensor,
    light_311: Tensor,
    place: tuple[Tensor, Tensor],
    mouth_F4: npt.NDArray[np.floating],
    pixel_F11: Tensor,
) -> tuple[Tensor, Tensor]:
    """Lips around a dark opening with teeth above and a tongue below; also how far the lips cover each pixel."""
    openness, width, rounding, teeth = (
        torch.from_numpy(np.ascontiguousarray(part, dtype=np.float32))[:, None, None] for part in mouth_F4.T
    )
    wide = (0.27 + 0.17 * width) * (1.0 - 0.46 * rounding)
    tall = 0.006 + 0.215 * openness + 0.040 * teeth + 0.030 * rounding * (openness * 4).clamp(max=1.0)
    lip = 0.050 + 0.032 * rounding
    bend = 0.03 * (1.0 - rounding)
    x = place[0]
    y = place[1] - bend * ((x / wide) ** 2).clamp(max=1.6) + 0.5 * bend
    lips = _coverage(_ellipse(x, y, wide + lip, tall + lip), pixel_F11, 2 * (tall + lip))
    opening = _coverage(_ellipse(x, y, wide, tall + 0.014), pixel_F11, 2 * tall + 0.028)
    tongue = _coverage(_ellipse(x, y + 0.95 * tall, 0.62 * wide, 0.62 * tall), pixel_F11)
    tooth = _coverage(_ellipse(x, y, wide * 0.94, tall), pixel_F11, 2 * tall)
    tooth_edge = _coverage(tall - 0.105 * teeth - y, pixel_F11) * (teeth * 5).clamp(max=1.0)
    lip_F3hw = skin_F3hw * _colour(LIP_OF_SKIN) + light_311 * _colour(LIP_OWN)
    layers = (
        (lip_F3hw, lips),
        (light_311 * _colour(TONES["throat"]), opening),
        (light_311 * _colour(TONES["tongue"]), tongue * opening * ((openness - 0.25) * 4).clamp(0.0, 1.0)),
        (light_311 * _colour(TONES["tooth"]), tooth * tooth_edge),
    )
    for colour, share_Fhw in layers:
        rgb_F3hw = rgb_F3hw + share_Fhw[:, None] * (colour - rgb_F3hw)
    return rgb_F3hw, torch.maximum(lips, opening)


def _coverage(distance: Tensor, pixel: Tensor, thickness: Tensor | None = None) -> Tensor:
    """Share of a pixel inside a shape, from the signed distance to its edge; a thin shape also ends on its far side."""
    near = (0.5 - distance / pixel).clamp(0.0, 1.0)
    return near if thickness is None else near - (0.5 - (distance + thickness) / pixel).clamp(0.0, 1.0)


def _ellipse(x: Tensor, y: Tensor, wide: Tensor | float, tall: Tensor | float) -> Tensor:
    """Signed distance to an ellipse, to first order near its edge; never deeper than its narrower half axis."""
    size = torch.sqrt((x / wide) ** 2 + (y / tall) ** 2 + 1e-8)
    slope = torch.sqrt((x / wide**2) ** 2 + (y / tall**2) ** 2 + 1e-8)
    return torch.maximum(size * (size - 1.0) / slope, -torch.minimum(torch.as_tensor(wide), torch.as_tensor(tall)))


def _light(face_F3hw: Tensor, head_Fhw: Tensor) -> Tensor:
    """Colour (3, 1, 1) of the light a mouth stands in, from what is brightest on its head. One for the whole film, or
    it would flicker with every blink.
    """
    dark_F3hw = torch.where(head_Fhw[:, None], face_F3hw, 0.0)
    bright_F3 = dark_F3hw.flatten(2).quantile(0.98, dim=2)
    return (SHADE / EYE_WHITE * bright_F3.median(dim=0).values).clamp(0.05, 1.0)[:, None, None]


def _colour(rgb: tuple[float, float, float]) -> Tensor:
    return torch.tensor(rgb)[:, None, None]


def _linear(srgb: Tensor) -> Tensor:
    """IEC 61966-2-1."""
    return torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def _srgb(linear: Tensor) -> Tensor:
    linear = linear.clamp(0.0, 1.0)
    return torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clamp(min=1e-6) ** (1 / 2.4) - 0.055)
