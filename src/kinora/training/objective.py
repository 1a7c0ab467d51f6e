"""One flow-matching objective for every way of making a clip.

A task is told by which latent frames are known, and how well: nothing (text to video), the first (image to video), the
first few, noised (continuation), the first and last, or every frame at a level of its own.
`x = (1 - sigma) x_0 + sigma noise`, the model predicts `v = noise - x_0` (Lipman et al. 2023, arXiv:2210.02747); only
cells that are not known count in the loss.

Levels: logit-normal, shifted towards noise (Esser et al. 2024, arXiv:2403.03206), one tenth uniform. Levels of its own
per frame: diffusion forcing (Chen et al. 2024, arXiv:2407.01392).

Axes: B batch, C channels, T latent frames, H W latent grid, L text positions, D text width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kinora.flow.objective import flow_loss, training_pair
from kinora.training.batches import Batch, step_rng
from kinora.transformer.model import Conditions, Transformer

__all__ = ["Draw", "ObjectiveConfig", "TaskMix", "draw_levels", "draw_step", "generator_loss"]

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class TaskMix:
    """How often each task is drawn; the shares add up to one."""

    text: float = 0.35
    first: float = 0.20
    continuation: float = 0.20
    ends: float = 0.10
    independent: float = 0.15

    def shares(self) -> npt.NDArray[np.float64]:
        """In the order of `TASKS`, made to add up to one."""
        values = np.array([self.text, self.first, self.continuation, self.ends, self.independent])
        shares: npt.NDArray[np.float64] = values / values.sum()
        return shares


TASKS = ("text", "first", "continuation", "ends", "independent")


@dataclass(frozen=True, kw_only=True)
class ObjectiveConfig:
    """What a step draws at random beside its clips."""

    mix: TaskMix = TaskMix()
    video_shift: float = 3.0
    """Moves levels towards noise; more tokens that agree need more."""
    image_shift: float = 1.5
    uniform: float = 0.1
    """Share of levels drawn evenly over [0, 1]."""
    history_noise: float = 1.0 / 3.0
    """Highest level of known frames in continuation: what a model makes itself is never quite clean."""
    first_noised: float = 0.2
    """Share of known first frames that carry a little noise."""
    drop_text: float = 0.10
    drop_pose: float = 0.50
    drop_mouth: float = 0.30


@dataclass(frozen=True, kw_only=True, eq=False)
class Draw:
    """Everything random about one step, on the training device."""

    noise_BCTHW: Tensor
    sigma_BT: Tensor
    unknown_BT: Tensor
    """1 where a latent frame is to be predicted, 0 where it is known."""
    keep_text_B: Tensor
    keep_pose_B: Tensor
    keep_mouth_B: Tensor


def draw_levels(rng: np.random.Generator, count: int, config: ObjectiveConfig, *, shift: float) -> Array:
    """`count` noise levels in (0, 1): logit-normal with `shift`, mixed with a uniform share."""
    normal = 1.0 / (1.0 + np.exp(-rng.standard_normal(count)))
    shifted = shift * normal / (1.0 + (shift - 1.0) * normal)
    levels = np.where(rng.random(count) < config.uniform, rng.random(count), shifted)
    return np.clip(levels, 1e-3, 1.0).astype(np.float32)


def draw_step(seed: int, step: int, shape: tuple[int, ...], config: ObjectiveConfig, device: str) -> Draw:
    """The draw of one step for latents of `shape` (B, C, T, H, W); (seed, step) decides it."""
    rng = step_rng(seed, step, 1)
    batch, frames = shape[0], shape[2]
    sigma_BT, unknown_BT = _draw_tasks(rng, batch, frames, config)
    keep = [rng.random(batch) >= share for share in (config.drop_text, config.drop_pose, config.drop_mouth)]
    generator = torch.Generator(device=device).manual_seed(int(rng.integers(2**62)))
    noise_BCTHW = torch.randn(shape, generator=generator, device=device)
    text_B, pose_B, mouth_B = (torch.from_numpy(kept).to(device) for kept in keep)
    return Draw(
        noise_BCTHW=noise_BCTHW,
        sigma_BT=torch.from_numpy(sigma_BT).to(device),
        unknown_BT=torch.from_numpy(unknown_BT).to(device),
        keep_text_B=text_B,
        keep_pose_B=pose_B,
        keep_mouth_B=mouth_B,
    )


def _draw_tasks(rng: np.random.Generator, batch: int, frames: int, config: ObjectiveConfig) -> tuple[Array, Array]:
    """Noise level and whether it is to be predicted, (B, T) each."""
    shift = config.image_shift if frames == 1 else config.video_shift
    sigma_BT = np.repeat(draw_levels(rng, batch, config, shift=shift)[:, None], frames, axis=1)
    unknown_BT = np.ones((batch, frames), dtype=np.float32)
    if frames == 1:
        return sigma_BT, unknown_BT
    for b, task in enumerate(rng.choice(len(TASKS), size=batch, p=config.mix.shares())):
        name = TASKS[task]
        if name == "independent":
            sigma_BT[b] = draw_levels(rng, frames, config, shift=shift)
        elif name != "text":
            cap_T = _caps(rng, name, frames, config)
            unknown_BT[b] = cap_T >= 1.0
            sigma_BT[b] = np.minimum(sigma_BT[b], cap_T)
    return sigma_BT, unknown_BT


def _caps(rng: np.random.Generator, task: str, frames: int, config: ObjectiveConfig) -> Array:
    """The highest level each latent frame (T,) may have: 1 where it is free."""
    cap_T = np.ones(frames, dtype=np.float32)
    if task == "continuation":
        cap_T[: int(rng.integers(1, frames))] = rng.random() * config.history_noise
        return cap_T
    noised = rng.random() < config.first_noised
    cap_T[0] = np.exp(rng.normal(-3.5, 0.5)) if noised else 0.0
    if task == "ends":
        cap_T[-1] = cap_T[0]
        if frames == 2:
            cap_T[-1] = 1.0
    return np.minimum(cap_T, 1.0)


def generator_loss(
    transformer: Transformer,
    text_BLD: Tensor,
    batch: Batch,
    draw: Draw,
) -> Tensor:
    """Mean squared error of the velocity over the cells that are to be predicted."""
    clean = batch.clean_BCTHW
    sigma_BTHW = draw.sigma_BT[:, :, None, None].expand(-1, -1, *clean.shape[-2:])
    x_BCTHW, v_BCTHW = training_pair(clean, draw.noise_BCTHW, sigma_BTHW)
    conditions = Conditions(
        text_BLD=text_BLD * draw.keep_text_B[:, None, None],
        pose_BT12=batch.pose_BT12 * draw.keep_pose_B[:, None, None],
        mouth_BTS=batch.mouth_BTS,
        face_BTHW=batch.face_BTHW * draw.keep_mouth_B[:, None, None, None],
    )
    predicted = transformer(x_BCTHW, sigma_BTHW, batch.position_BT, conditions)
    asked_BTHW = draw.unknown_BT[:, :, None, None].expand_as(sigma_BTHW)
    return flow_loss(predicted.float(), v_BCTHW, sigma_BTHW, asked_BTHW)
