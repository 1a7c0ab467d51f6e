"""The codec's training objective: its decoder's learned correction. The encoder is closed-form and stays as it is.

    loss = absolute |e| + squared e^2 + gradient |grad e| + temporal |e_f - e_(f-1)|
    e = (decoded - true) / (RMS error of the linear decoder on that clip + floor)

PSNR is averaged over clips as a logarithm, so a clip that is nearly right already counts as much as a hard one: hence
the division: otherwise hard clips would be bettered at the easy ones' expense.

The gradient term is for edges (deblocking, sharpening), the temporal term against flicker. Latents are noised a little,
so that the decoder also tolerates what a transformer generates.

Axes: B batch, C colours or channels, F pixel frames, T latent frames, H W a picture or grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kinora.codec import Codec, psnr_of
from kinora.core.errors import ShapeError
from kinora.core.slots import PICTURES
from kinora.world.pictures import picture_rgb
from kinora.world.scene import Picture

__all__ = ["CodecFigures", "CodecObjective", "codec_step", "picture_clip"]


@dataclass(frozen=True, kw_only=True)
class CodecObjective:
    """What one step looks at and how much each fault weighs. Videos are in [-1, 1]."""

    frames: int = 9
    """Pixel frames of a crop, 4n + 1; fewer when the clip is shorter."""
    crop: int = 128
    """Side of the square crop in pixels; smaller when the picture is."""
    latent_noise: float = 0.1
    """Largest standard deviation of the noise on (unit-variance) latents; each clip draws its own, mostly small."""
    floor: float = 0.01
    """RMS error (46 dB) below which a clip is good enough to count less."""
    absolute: float = 0.5
    squared: float = 1.0
    gradient: float = 0.25
    temporal: float = 0.1


@dataclass(frozen=True, kw_only=True)
class CodecFigures:
    """One step in numbers. PSNR in dB, mean over the batch's crops, with their noise."""

    loss: float
    psnr: float
    linear_psnr: float
    """What the closed-form decoder alone makes of the same latents."""


def codec_step(
    codec: Codec, video_BCFHW: Tensor, generator: torch.Generator, objective: CodecObjective | None = None
) -> tuple[Tensor, CodecFigures]:
    """Loss (a scalar with a gradient) and figures on one random crop of each clip.

    `video_BCFHW` is in [-1, 1] and its frames follow one another without gaps: the decoder is causal, and a gap inside
    a crop would teach it to distrust the past. Every random choice comes from `generator`. Raises `ShapeError`
    for pictures smaller than one latent.
    """
    objective = objective or CodecObjective()
    crop_BCFHW = random_crop(video_BCFHW, objective, generator, codec.config.compression.space)
    with torch.no_grad():
        latent_BCTHW = codec.encode(crop_BCFHW)
        latent_BCTHW = latent_BCTHW + objective.latent_noise * _latent_noise(latent_BCTHW, generator)
        linear_BCFHW = codec.decode_linear(latent_BCTHW)
    decoded_BCFHW, _ = codec.reconstruct(latent_BCTHW)
    usual_B = (linear_BCFHW - crop_BCFHW).square().mean(dim=(1, 2, 3, 4)).sqrt() + objective.floor
    loss = fidelity_loss((decoded_BCFHW.float() - crop_BCFHW) / usual_B[:, None, None, None, None], objective)
    figures = CodecFigures(
        loss=loss.item(),
        psnr=psnr_of(decoded_BCFHW.detach().clamp(-1.0, 1.0), crop_BCFHW).mean().item(),
        linear_psnr=psnr_of(linear_BCFHW, crop_BCFHW).mean().item(),
    )
    return loss, figures


def picture_clip(
    seed: int, *, frames: int, height: int, width: int, frame_rate: float = 16.0, device: str = "cpu"
) -> Tensor:
    """A random procedural picture that a random camera pans, turns and zooms over: a video (1, 3, F, H, W) in [-1, 1].

    Mixed into the theatre's clips (about one in seven), it teaches codec and decoder to carry any texture.
    """
    rng = np.random.default_rng([seed, 0xC0DEC])
    still, drifting = rng.random() < 0.2, rng.random() < 0.5
    drift_u, drift_v = (float(speed) for speed in rng.normal(0.0, 0.08, 2) * drifting)
    picture = Picture(kind=str(rng.choice(PICTURES[1:])), seed=int(rng.integers(2**31)), drift=(drift_u, drift_v))
    time_F = torch.arange(frames, device=device) / frame_rate
    uv_FHW2, footprint_F = _flight(rng, time_F if not still else torch.zeros_like(time_F), height, width)
    footprint_P, time_P = (each_F.repeat_interleave(height * width) for each_F in (footprint_F, time_F))
    rgb_P3 = picture_rgb(picture, uv_FHW2.reshape(-1, 2), footprint_P, time_P)
    video_FHW3 = 2.0 * _srgb(rgb_P3).reshape(frames, height, width, 3) - 1.0
    return video_FHW3.permute(3, 0, 1, 2)[None]


def _flight(rng: np.random.Generator, time_F: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Where a flying camera's pixels look, (F, H, W, 2), and how wide each is, (F,), both in panel widths."""
    span, zoom = float(np.exp(rng.uniform(np.log(0.35), np.log(1.2)))), float(rng.normal(0.0, 0.15))
    tilt, turn = (float(angle) for angle in rng.normal(0.0, 0.15, 2))
    start_2, speed_2 = (torch.from_numpy(draw).to(time_F) for draw in (rng.random(2), rng.normal(0.0, 0.15, 2)))
    footprint_F = span * torch.exp(zoom * time_F) / min(height, width)
    angle_F11 = (tilt + turn * time_F)[:, None, None]
    up_H1 = (height / 2 - 0.5 - torch.arange(height, device=time_F.device))[:, None]
    right_W = torch.arange(width, device=time_F.device) + 0.5 - width / 2
    u_FHW = right_W * angle_F11.cos() - up_H1 * angle_F11.sin()
    v_FHW = right_W * angle_F11.sin() + up_H1 * angle_F11.cos()
    offset_FHW2 = torch.stack([u_FHW, v_FHW], dim=-1) * footprint_F[:, None, None, None]
    return offset_FHW2 + (start_2 + speed_2 * time_F[:, None])[:, None, None], footprint_F


def fidelity_loss(error_BCFHW: Tensor, objective: CodecObjective) -> Tensor:
    """The weighted sum at the top of this file, a scalar."""
    loss = objective.absolute * error_BCFHW.abs().mean() + objective.squared * error_BCFHW.square().mean()
    edges = error_BCFHW.diff(dim=-1).abs().mean() + error_BCFHW.diff(dim=-2).abs().mean()
    loss = loss + objective.gradient * edges
    if error_BCFHW.shape[2] > 1:
        loss = loss + objective.temporal * error_BCFHW.diff(dim=2).abs().mean()
    return loss


def random_crop(video_BCFHW: Tensor, objective: CodecObjective, generator: torch.Generator, space: int) -> Tensor:
    """One crop of each clip, at any frame and pixel, half of them mirrored; (B, 3, frames, crop, crop) at most."""
    batch, _, frames, height, width = video_BCFHW.shape
    length = min(objective.frames, 1 + 4 * ((frames - 1) // 4))
    rows, columns = (min(objective.crop, side // space * space) for side in (height, width))
    if min(rows, columns) < 1:
        raise ShapeError(f"A picture of {width} x {height} is smaller than the codec's stride of {space} pixels.")
    crops = []
    for index in range(batch):
        f, y, x = (_draw(room, generator) for room in (frames - length, height - rows, width - columns))
        crop_CFHW = video_BCFHW[index, :, f : f + length, y : y + rows, x : x + columns]
        crops.append(crop_CFHW.flip(-1) if _draw(1, generator) else crop_CFHW)
    return torch.stack(crops)


def _draw(largest: int, generator: torch.Generator) -> int:
    return int(torch.randint(largest + 1, (), generator=generator, device=generator.device))


def _latent_noise(latent_BCTHW: Tensor, generator: torch.Generator) -> Tensor:
    """Gaussian noise at a level of u^2 for each clip, u uniform, so that nearly clean latents are common."""
    shape = (latent_BCTHW.shape[0], 1, 1, 1, 1)
    level_B1111 = torch.rand(shape, generator=generator, device=generator.device).square()
    noise_BCTHW = torch.randn(latent_BCTHW.shape, generator=generator, device=generator.device)
    return (level_B1111 * noise_BCTHW).to(latent_BCTHW)


def _srgb(linear: Tensor) -> Tensor:
    """Linear light in [0, 1] as sRGB values in [0, 1] (IEC 61966-2-1)."""
    return torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clamp_min(0.0031308) ** (1 / 2.4) - 0.055)
