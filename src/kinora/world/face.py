"""The face of a toy person, drawn on its head: eyes, lids, brows, nose, cheeks and a mouth that speaks.

Points are given on the unit sphere of the head part, in the head's own axes: x its own left, y its back, z up; the
face looks along -y. Features are laid out in two angles over that sphere, radians: `across` (azimuth, own left
positive) and `up` (elevation). Axes in names: P pixels, F pixel frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kinora.world.figures import HAIR_RGB
from kinora.world.lattice import coverage
from kinora.world.scene import Figure, Rgb, States

__all__ = ["MOUTH_CENTRE", "MOUTH_REACH", "paint_face"]

EYE_ACROSS, EYE_UP = 0.41, 0.12
EYE_WIDE, EYE_TALL = 0.20, 0.245
IRIS, PUPIL, GLINT = 0.148, 0.080, 0.048
BROW_UP, BROW_REACH, BROW_THICK = 0.52, 0.20, 0.042
RIM, RIM_THICK = 0.315, 0.030
"""Radius and half the thickness of the rims of glasses."""
RIM_RGB: Rgb = (0.016, 0.014, 0.022)
CHEEK_ACROSS, CHEEK_UP = 0.68, -0.28
MOUTH_CENTRE = (0.0, -0.47)
"""The mouth's middle: across and up."""
MOUTH_REACH = (0.62, 0.42)
"""No mouth shape reaches further than this from its middle, across and up, radians."""

WHITE: Rgb = (0.86, 0.86, 0.86)
DARK: Rgb = (0.012, 0.008, 0.010)
THROAT: Rgb = (0.075, 0.008, 0.010)
TONGUE: Rgb = (0.52, 0.085, 0.09)
TOOTH: Rgb = (0.84, 0.82, 0.76)


@dataclass(frozen=True, kw_only=True, eq=False)
class Expression:
    """What a face does at each pixel's moment."""

    smile_P: Tensor
    blink_P: Tensor
    mouth_P4: Tensor
    brow_P3: Tensor | None
    """Brows raised, brows drawn together, eyes opened wide; None where no frame has any of it."""


def paint_face(
    local_P3: Tensor, figure: Figure, frame_P: Tensor, states: States, m: int, footprint_P: Tensor
) -> Tensor:
    """Linear RGB (P, 3) of the head of figure `m` before lighting.

    `local_P3`: points on the unit sphere, float32, axes as above (-y is the nose); `frame_P`: int64 indices into
    `states`; `footprint_P`: the pixel's width on the same unit sphere (its width in metres over the head's half
    extent).
    """
    across_P = torch.atan2(local_P3[:, 0], -local_P3[:, 1])
    up_P = torch.asin(local_P3[:, 2].clamp(-1.0, 1.0))
    # An azimuth spans less of the sphere higher up; undo that near the face, so that round things stay round.
    across_P = across_P * torch.cos(0.8 * up_P)
    footprint_P = footprint_P.clamp(min=1e-4)
    face_F2 = torch.as_tensor(states.figure_face_FM2[:, m], dtype=torch.float32, device=local_P3.device)
    mouth_F4 = torch.as_tensor(states.figure_mouth_FM4[:, m], dtype=torch.float32, device=local_P3.device)
    smile_P, blink_P = face_F2[frame_P].unbind(-1)
    brow_F3 = torch.as_tensor(states.figure_brow_FM3[:, m], dtype=torch.float32, device=local_P3.device)
    moved = bool(states.figure_brow_FM3[:, m].any())
    expression = Expression(
        smile_P=smile_P, blink_P=blink_P, mouth_P4=mouth_F4[frame_P], brow_P3=brow_F3[frame_P] if moved else None
    )
    skin_3 = local_P3.new_tensor(figure.identity.skin)
    rgb_P3 = skin_3.expand(len(local_P3), 3)
    rgb_P3 = _cheeks_and_nose(rgb_P3, across_P, up_P, expression, skin_3, footprint_P)
    rgb_P3 = _eyes(rgb_P3, across_P, up_P, expression, figure, footprint_P)
    rgb_P3 = _brows(rgb_P3, across_P, up_P, expression, figure, footprint_P)
    if figure.identity.glasses:
        rgb_P3 = _glasses(rgb_P3, across_P, up_P, footprint_P)
    return _mouth(rgb_P3, across_P - MOUTH_CENTRE[0], up_P - MOUTH_CENTRE[1], expression, skin_3, footprint_P)


def _over(rgb_P3: Tensor, colour: Rgb | Tensor, share_P: Tensor) -> Tensor:
    """One colour laid over another."""
    colour_3 = colour if isinstance(colour, Tensor) else rgb_P3.new_tensor(colour)
    return torch.lerp(rgb_P3, colour_3, share_P[:, None])


def _ellipse(x_P: Tensor, y_P: Tensor, wide: Tensor | float, tall: Tensor | float) -> Tensor:
    """Signed distance to an ellipse, to first order near its edge."""
    size_P = torch.sqrt((x_P / wide) ** 2 + (y_P / tall) ** 2 + 1e-8)
    slope_P = torch.sqrt((x_P / wide**2) ** 2 + (y_P / tall**2) ** 2 + 1e-8)
    # That order fails near the middle, where no point is deeper than the narrower half.
    depth = torch.minimum(torch.as_tensor(wide), torch.as_tensor(tall))
    return torch.maximum(size_P * (size_P - 1.0) / slope_P, -depth)


def _cheeks_and_nose(
    rgb_P3: Tensor, across_P: Tensor, up_P: Tensor, expression: Expression, skin_3: Tensor, footprint_P: Tensor
) -> Tensor:
    x_P = across_P.abs() - CHEEK_ACROSS
    blush_P = torch.exp(-(x_P**2 + (up_P - CHEEK_UP) ** 2) / 0.03) * (0.32 + 0.35 * expression.smile_P)
    rgb_P3 = _over(rgb_P3, skin_3 * rgb_P3.new_tensor((1.0, 0.52, 0.50)), blush_P)
    nose_P = coverage(_ellipse(across_P, up_P + 0.135, 0.085, 0.062), footprint_P + 0.03)
    return _over(rgb_P3, skin_3 * rgb_P3.new_tensor((0.80, 0.64, 0.60)), nose_P)


def _eyes(
    rgb_P3: Tensor, across_P: Tensor, up_P: Tensor, expression: Expression, figure: Figure, footprint_P: Tensor
) -> Tensor:
    """Both eyes; the upper lid comes down to a lash line near the lower rim."""
    x_P, y_P = across_P.abs() - EYE_ACROSS, up_P - EYE_UP
    tall: Tensor | float = EYE_TALL
    if expression.brow_P3 is not None:
        tall = EYE_TALL * (1.0 + 0.20 * expression.brow_P3[:, 2])
    eye_P = _ellipse(x_P, y_P, EYE_WIDE, tall)
    # The lid's edge sags as it falls, so that a closed eye is a downward arc. Pupils look slightly inward.
    lid_P = tall * (1.25 - 2.22 * expression.blink_P) + 3.0 * x_P**2 * (1.6 * expression.blink_P - 0.6)
    if expression.brow_P3 is not None:
        # Drawn brows press the lid down, most towards the nose.
        lid_P = lid_P - expression.brow_P3[:, 1] * (0.13 - 0.30 * x_P) * (1.0 - expression.blink_P)
    below_P = coverage(y_P - lid_P, footprint_P)
    inside_P = coverage(eye_P, footprint_P)
    rgb_P3 = _over(rgb_P3, DARK, coverage(eye_P - 0.022, footprint_P) * below_P)
    rgb_P3 = _over(rgb_P3, WHITE, inside_P * below_P)
    inward_P = x_P + 0.025
    for radius, colour in ((IRIS, figure.identity.eyes), (PUPIL, DARK)):
        disc_P = coverage(torch.sqrt(inward_P**2 + (y_P + 0.01) ** 2) - radius, footprint_P)
        rgb_P3 = _over(rgb_P3, colour, disc_P * inside_P * below_P)
    # The light is reflected on the same side in both eyes.
    glint_x_P = across_P - torch.sign(across_P) * (EYE_ACROSS - 0.025) + 0.045
    glint_P = coverage(torch.sqrt(glint_x_P**2 + (y_P - 0.055) ** 2) - GLINT, footprint_P, 2 * GLINT)
    rgb_P3 = _over(rgb_P3, WHITE, glint_P * below_P)
    lash_P = coverage((y_P - lid_P).abs() - 0.024, footprint_P, 0.048) * coverage(eye_P - 0.03, footprint_P)
    return _over(rgb_P3, DARK, lash_P)


def _brows(
    rgb_P3: Tensor, across_P: Tensor, up_P: Tensor, expression: Expression, figure: Figure, footprint_P: Tensor
) -> Tensor:
    """An arch over each eye, raised a little by a smile."""
    x_P = across_P.abs() - EYE_ACROSS - 0.02
    y_P = up_P - BROW_UP - 0.03 * expression.smile_P + 1.5 * x_P**2
    if expression.brow_P3 is not None:
        raised_P, knit_P, _ = expression.brow_P3.unbind(-1)
        # Raised they arch; drawn together they lie straight and slope down towards the nose.
        y_P = y_P - 0.15 * raised_P + 0.8 * raised_P * x_P**2 + knit_P * (0.10 - 0.55 * x_P - 1.3 * x_P**2)
    gap_P = torch.sqrt((x_P.abs() - BROW_REACH).clamp(min=0.0) ** 2 + y_P**2) - BROW_THICK
    colour_3 = rgb_P3.new_tensor(HAIR_RGB[figure.identity.hair]) * 0.7
    return _over(rgb_P3, colour_3, coverage(gap_P, footprint_P, 2 * BROW_THICK))


def _glasses(rgb_P3: Tensor, across_P: Tensor, up_P: Tensor, footprint_P: Tensor) -> Tensor:
    """Round rims drawn about the eyes, a bridge over the nose, and the bows back to the ears."""
    x_P, y_P = across_P.abs() - EYE_ACROSS, up_P - EYE_UP
    rim_P = (torch.sqrt((x_P / 1.06) ** 2 + y_P**2) - RIM).abs() - RIM_THICK
    bridge_P = torch.maximum((y_P - 0.03 + 0.8 * across_P**2).abs() - RIM_THICK, x_P + RIM)
    bow_P = torch.maximum((y_P - 0.04).abs() - RIM_THICK, RIM - x_P)
    shape_P = torch.minimum(rim_P, torch.minimum(bridge_P, bow_P))
    return _over(rgb_P3, RIM_RGB, coverage(shape_P, footprint_P, 2 * RIM_THICK))


def _mouth(
    rgb_P3: Tensor, x_P: Tensor, y_P: Tensor, expression: Expression, skin_3: Tensor, footprint_P: Tensor
) -> Tensor:
    """Lips around a dark opening with teeth above and a tongue below; a smile widens the mouth and lifts its
    corners.
    """
    openness_P, width_P, rounding_P, teeth_P = expression.mouth_P4.unbind(-1)
    smile_P = expression.smile_P
    wide_P = (0.27 + 0.17 * width_P + 0.10 * smile_P.abs()) * (1.0 - 0.46 * rounding_P)
    tall_P = 0.006 + 0.215 * openness_P + 0.040 * teeth_P + 0.030 * rounding_P * (openness_P * 4).clamp(max=1.0)
    lip_P = 0.050 + 0.032 * rounding_P
    bend_P = (0.03 + 0.21 * smile_P) * (1.0 - rounding_P)
    y_P = y_P - bend_P * ((x_P / wide_P) ** 2).clamp(max=1.6) + 0.5 * bend_P
    lips_P = coverage(_ellipse(x_P, y_P, wide_P + lip_P, tall_P + lip_P), footprint_P, 2 * (tall_P + lip_P))
    # Closed lips meet in a dark line.
    open_P = coverage(_ellipse(x_P, y_P, wide_P, tall_P + 0.014), footprint_P, 2 * tall_P + 0.028)
    # Lips are redder than the skin; on dark skin also lighter, or they would be lost at night.
    lip_3 = skin_3 * rgb_P3.new_tensor((0.60, 0.26, 0.26)) + rgb_P3.new_tensor((0.13, 0.02, 0.025))
    rgb_P3 = _over(rgb_P3, lip_3, lips_P)
    rgb_P3 = _over(rgb_P3, THROAT, open_P)
    tongue_P = coverage(_ellipse(x_P, y_P + 0.95 * tall_P, 0.62 * wide_P, 0.62 * tall_P), footprint_P)
    rgb_P3 = _over(rgb_P3, TONGUE, tongue_P * open_P * ((openness_P - 0.25) * 4).clamp(0.0, 1.0))
    # Teeth hang from the upper lip: at 1 they fill a mouth that is barely open.
    tooth_P = 0.105 * teeth_P
    tooth_edge_P = coverage(tall_P - tooth_P - y_P, footprint_P) * (teeth_P * 5).clamp(max=1.0)
    tooth_inside_P = coverage(_ellipse(x_P, y_P, wide_P * 0.94, tall_P), footprint_P, 2 * tall_P)
    return _over(rgb_P3, TOOTH, tooth_edge_P * tooth_inside_P)
