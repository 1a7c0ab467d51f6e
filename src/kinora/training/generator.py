"""The joint run: transformer and text encoder, on latents and captions.

Axes: B batch, C channels, T latent frames, H W latent grid, L text positions, D text width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torch.func import functional_call

from kinora.codec.model import Codec
from kinora.flow.guidance import guided
from kinora.flow.schedule import schedule
from kinora.flow.solvers import Velocity, sample
from kinora.flow.state import initial_state
from kinora.language.encoder import TextEncoder, token_ids
from kinora.language.tokenizer import Tokenizer
from kinora.training.auxiliary import MapHeads, Tap, map_block
from kinora.training.batches import Batch, Batches, step_rng
from kinora.training.files import write_atomically
from kinora.training.objective import ObjectiveConfig, draw_step, generator_loss
from kinora.training.plan import Stage
from kinora.transformer.model import Conditions, Transformer

__all__ = ["Generator", "GeneratorJob", "GeneratorStage", "stage_batch"]


class Generator(nn.Module):
    """What is trained together: words to text vectors, these with noise to velocity, and heads that do not ship."""

    def __init__(self, transformer: Transformer, text: TextEncoder, *, maps: bool = False) -> None:
        super().__init__()
        self.transformer = transformer
        self.text = text
        config = transformer.config
        self.maps = MapHeads(config.width, config.patch) if maps else None

    def forward(self, ids_BL: Tensor, x_BCTHW: Tensor, sigma_BTHW: Tensor, position_BT: Tensor) -> Tensor:
        """Velocity for captions alone; empty ids (all padding) ask for anything."""
        velocity: Tensor = self.transformer(x_BCTHW, sigma_BTHW, position_BT, Conditions(text_BLD=self.text(ids_BL)))
        return velocity


@dataclass(frozen=True, kw_only=True)
class GeneratorStage:
    """A stage and how it is fed."""

    stage: Stage
    batches: Batches
    latent_frames: int
    """Latent frames of each clip that a step shows; 1 trains on still pictures."""
    image_share: float = 0.0
    """Share of steps that show single latent frames of as many more clips instead."""
    pictures: Batches | None = None
    """Where these single frames come from; without it they are first frames of the clips."""


def stage_batch(entry: GeneratorStage, seed: int, step: int, *, references: float) -> Batch:
    """What a stage shows in one step: clips, single pictures, or clips beside portraits; (seed, step) decides.

    `references` is the share of steps with portraits, where there are any.
    """
    size, latent_frames, batches = entry.stage.size, entry.latent_frames, entry.batches
    rng = step_rng(seed, step, 2)
    if latent_frames > 1 and rng.random() < entry.image_share:
        size, latent_frames = size * latent_frames, 1
        batches = batches if entry.pictures is None else entry.pictures
    beside = batches.has_portraits and rng.random() < references
    return batches.batch(seed, step, size=size, latent_frames=latent_frames, references=beside)


class GeneratorJob:
    """Feeds the joint run; see `kinora.training.run.Job`."""

    name = "transformer"

    def __init__(
        self,
        model: Generator,
        stages: Sequence[GeneratorStage],
        *,
        objective: ObjectiveConfig,
        tokenizer: Tokenizer,
        codec: Codec,
        prompts: Sequence[str],
        device: str = "cpu",
        compile_blocks: bool = False,
    ) -> None:
        self.model = model.to(device)
        self.stages = tuple(entry.stage for entry in stages)
        self._stages = {entry.stage.name: entry for entry in stages}
        self._objective = objective
        self._tokenizer = tokenizer
        self._codec = codec.to(device)
        self._prompts = tuple(prompts)
        self._device = device
        blocks = model.transformer.blocks
        tapped = map_block(len(blocks))
        self._tap = None if model.maps is None else Tap(model.transformer, tapped)
        if compile_blocks:
            for number, block in enumerate(blocks):
                if self._tap is not None and number == tapped:
                    # The tap is a hook, and stays outside of what is compiled.
                    block.forward = torch.compile(block.forward)
                else:
                    block.compile()

    def loss(self, stage: str, seed: int, step: int) -> Tensor:
        """The loss of one step."""
        batch = stage_batch(self._stages[stage], seed, step, references=self._objective.references)
        draw = draw_step(seed, step, tuple(batch.clean_BCTHW.shape), self._objective, self._device)
        with torch.autocast("cuda", torch.bfloat16, enabled=self._device.startswith("cuda")):
            text_BLD = self.model.text(batch.ids_BL)
            loss = generator_loss(self.model.transformer, text_BLD, batch, draw)
            if self._tap is None or self.model.maps is None:
                return loss
            features_BTSD = self._tap.take()
            if batch.maps is None:
                return loss
            return loss + self._objective.maps * self.model.maps.loss(features_BTSD, batch.maps)

    @torch.no_grad()
    def sheet(self, tensors: Mapping[str, Tensor], path: Path) -> None:
        """One row a prompt: the last pixel frame of latent frames spread over the clip."""
        entry = self._stages[self.stages[-1].name]
        _, channels, height, width = entry.batches.latent_shape
        frames = max(entry.latent_frames, 1)
        position_T = torch.linspace(0, 20, frames).round() if frames > 1 else torch.zeros(1)
        state = initial_state((channels, frames, height, width), seed=1, batch=len(self._prompts), device=self._device)
        state = replace(state, position_BT=position_T.to(self._device).expand(len(self._prompts), -1))
        velocity = self._velocity(dict(tensors))
        shift = self._objective.video_shift if frames > 1 else self._objective.image_shift
        latent_BCTHW = sample(velocity, state, schedule(16, shift), solver="euler")
        write_atomically(path, lambda file: _sheet(self._codec, latent_BCTHW).save(file, format="PNG"))

    def _velocity(self, weights: dict[str, Tensor]) -> Velocity:
        length = self.model.text.config.length
        ids_BL = token_ids(self._tokenizer, self._prompts, length, self._device)

        def run(ids: Tensor) -> Velocity:
            def velocity(x_BCTHW: Tensor, sigma_BTHW: Tensor, position_BT: Tensor) -> Tensor:
                result: Tensor = functional_call(self.model, weights, (ids, x_BCTHW, sigma_BTHW, position_BT))
                return result

            return velocity

        return guided(run(ids_BL), run(torch.zeros_like(ids_BL)), 3.0)


def _sheet(codec: Codec, latent_BCTHW: Tensor) -> Image.Image:
    """Latent frames side by side, clips below one another, without the learned correction, which wants neighbours."""
    rows = []
    for latent_CTHW in latent_BCTHW:
        # Latent frame 0 holds one pixel frame, the others four: the last one of each stands for it.
        video_CFHW = codec.decode_linear(latent_CTHW[None].float())[0]
        frames_THWC = video_CFHW[:, ::4].permute(1, 2, 3, 0)
        rows.append(torch.cat(list(frames_THWC), dim=1))
    picture_HWC = torch.cat(rows, dim=0)
    values = ((picture_HWC + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
    return Image.fromarray(values)
