"""One flow-matching objective for every way of making a clip.

A task (`kinora.training.tasks`) says which cells are known, and how well; references stand beside the clip, known.
`x = (1 - sigma) x_0 + sigma noise`, the model predicts `v = noise - x_0` (Lipman et al. 2023, arXiv:2210.02747); only
cells that are not known count in the loss.

Levels: logit-normal, shifted towards noise (Esser et al. 2024, arXiv:2403.03206), one tenth uniform, and a share close
to pure noise. Levels of its own per frame: diffusion forcing (Chen et al. 2024, arXiv:2407.01392).

Axes: B batch, C channels, T latent frames, H W latent grid, L text positions, D text width.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kinora.flow.objective import flow_loss, training_pair
from kinora.training.batches import Batch, step_rng
from kinora.training.tasks import TASKS, Canvas, TaskMix, draw_known
from kinora.training.velocity import velocity_of
from kinora.transformer.model import Conditions, Transformer

__all__ = ["Draw", "ObjectiveConfig", "draw_levels", "draw_step", "generator_loss", "told_of"]

Array = npt.NDArray[np.float32]

TOP = (0.001, 0.1)
"""What is left of the clean latent, `1 - sigma`, at levels near pure noise: drawn evenly in its logarithm. A clip's
widest channels agree over hundreds of cells, so that at 0.97 its sky shows through the noise: only above can words
decide it.
"""


@dataclass(frozen=True, kw_only=True)
class ObjectiveConfig:
    """What a step draws at random beside its clips."""

    mix: TaskMix = field(default_factory=TaskMix)
    video_shift: float = 3.0
    """Moves levels towards noise; more tokens that agree need more."""
    image_shift: float = 3.0
    uniform: float = 0.1
    """Share of levels drawn evenly over [0, 1]."""
    top: float = 0.2
    """Share of levels drawn near pure noise (`TOP`), where a sampler begins and only the conditions tell anything."""
    history_noise: float = 1.0 / 3.0
    """Highest level of history: what a model makes itself is never quite clean."""
    first_noised: float = 0.2
    """Share of known first frames that carry a little noise."""
    references: float = 0.2
    """Share of the steps that show references, where a library has portraits: about as often as a film has one."""
    maps: float = 0.25
    """Weight of the auxiliary heads' loss (`kinora.training.auxiliary`), where a library has truth maps; 0 trains
    without them.
    """
    drop_text: float = 0.10
    drop_pose: float = 0.50
    drop_mouth: float = 0.30
    drop_blocking: float = 0.35
    """Films from pictures and windows that go on have none."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Draw:
    """Everything random about one step, on the training device."""

    noise_BCTHW: Tensor
    sigma_BTHW: Tensor
    asked_BTHW: Tensor
    """1 where a cell is to be predicted, 0 where it is known."""
    keep_text_B: Tensor
    keep_pose_B: Tensor
    keep_mouth_B: Tensor
    keep_blocking_B: Tensor


def draw_levels(rng: np.random.Generator, count: int, config: ObjectiveConfig, *, shift: float) -> Array:
    """`count` noise levels in (0, 1): logit-normal with `shift`, mixed with a uniform share and one near pure noise."""
    normal = 1.0 / (1.0 + np.exp(-rng.standard_normal(count)))
    shifted = shift * normal / (1.0 + (shift - 1.0) * normal)
    even, kind = rng.random(count), rng.random(count)
    top = 1.0 - TOP[0] * (TOP[1] / TOP[0]) ** even
    levels = np.select([kind < config.uniform, kind < config.uniform + config.top], [even, top], shifted)
    return np.clip(levels, 1e-3, 1.0).astype(np.float32)


def draw_step(seed: int, step: int, shape: tuple[int, ...], config: ObjectiveConfig, device: str) -> Draw:
    """The draw of one step for latents of `shape` (B, C, T, H, W); (seed, step) decides it."""
    rng = step_rng(seed, step, 1)
    sigma_BTHW, asked_BTHW = _draw_tasks(rng, (shape[0], *shape[2:]), config)
    shares = config.drop_text, config.drop_pose, config.drop_mouth, config.drop_blocking
    keep = [rng.random(shape[0]) >= share for share in shares]
    generator = torch.Generator(device=device).manual_seed(int(rng.integers(2**62)))
    noise_BCTHW = torch.randn(shape, generator=generator, device=device)
    text_B, pose_B, mouth_B, blocking_B = (torch.from_numpy(kept).to(device) for kept in keep)
    return Draw(
        noise_BCTHW=noise_BCTHW,
        sigma_BTHW=torch.from_numpy(sigma_BTHW).to(device),
        asked_BTHW=torch.from_numpy(asked_BTHW).to(device),
        keep_text_B=text_B,
        keep_pose_B=pose_B,
        keep_mouth_B=mouth_B,
        keep_blocking_B=blocking_B,
    )


def _draw_tasks(rng: np.random.Generator, shape: tuple[int, ...], config: ObjectiveConfig) -> tuple[Array, Array]:
    """Noise level and whether it is to be predicted, of every cell: `shape` (B, T, H, W) each."""
    batch, frames, height, width = shape
    shift = config.image_shift if frames == 1 else config.video_shift
    level_B = draw_levels(rng, batch, config, shift=shift)
    sigma_BTHW = np.broadcast_to(level_B[:, None, None, None], shape).copy()
    asked_BTHW = np.ones(shape, dtype=np.float32)
    task_B = rng.choice(len(TASKS), size=batch, p=config.mix.shares(frames))
    for number, task in enumerate(TASKS):
        rows_N = np.flatnonzero(task_B == number)
        if task == "text" or not rows_N.size:
            continue
        if task == "independent":
            level_NT = draw_levels(rng, rows_N.size * frames, config, shift=shift).reshape(-1, frames)
            sigma_BTHW[rows_N] = level_NT[:, :, None, None]
        known = draw_known(
            task,
            Canvas(
                rng=rng, clips=rows_N.size, frames=frames, height=height, width=width,
                history_noise=config.history_noise, first_noised=config.first_noised,
            ),
        )  # fmt: skip
        sigma_BTHW[rows_N] = np.minimum(sigma_BTHW[rows_N], known.cap_NTHW)
        asked_BTHW[rows_N] = known.asked_NTHW
    return sigma_BTHW, asked_BTHW


def told_of(text_BLD: Tensor, batch: Batch, draw: Draw) -> Conditions:
    """The conditions of a batch, as the draw leaves them."""
    control_BCTHW = batch.control_BCTHW
    if control_BCTHW is not None:
        control_BCTHW = control_BCTHW * draw.keep_blocking_B[:, None, None, None, None]
    return Conditions(
        text_BLD=text_BLD * draw.keep_text_B[:, None, None],
        control_BCTHW=control_BCTHW,
        pose_BT12=batch.pose_BT12 * draw.keep_pose_B[:, None, None],
        mouth_BTS=batch.mouth_BTS,
        face_BTHW=batch.face_BTHW * draw.keep_mouth_B[:, None, None, None],
    )


def generator_loss(
    transformer: Transformer,
    text_BLD: Tensor,
    batch: Batch,
    draw: Draw,
) -> Tensor:
    """Mean squared error of the velocity over the cells that are to be predicted."""
    x_BCTHW, v_BCTHW = training_pair(batch.clean_BCTHW, draw.noise_BCTHW, draw.sigma_BTHW)
    velocity = velocity_of(transformer, told_of(text_BLD, batch, draw), batch)
    predicted = velocity(x_BCTHW, draw.sigma_BTHW, batch.position_BT)
    return flow_loss(predicted, v_BCTHW, draw.sigma_BTHW, draw.asked_BTHW)
