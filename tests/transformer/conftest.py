"""Small models with the inputs and the parameter names of every published one, and random weights that say much."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from kinora.presets.wan import OPEN_MODELS
from kinora.transformer.config import TransformerConfig
from kinora.transformer.model import Conditions, Transformer

CLIP_TOKENS = 257
TEXT_ENDS = (17, 40)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model and something to run it on: two clips with texts of different lengths."""

    model: Transformer
    latent_BCTHW: Tensor
    sigma_BTHW: Tensor
    position_BT: Tensor
    conditions: Conditions

    @property
    def inputs(self) -> tuple[Tensor, Tensor, Tensor, Conditions]:
        return self.latent_BCTHW, self.sigma_BTHW, self.position_BT, self.conditions


def draw_weights(model: Transformer) -> None:
    """Weights far from any initial state: every bias, norm and modulation has a say."""
    for name, parameter in model.named_parameters():
        std = 0.15 if parameter.dim() < 2 else 1.2 * parameter[0].numel() ** -0.5
        torch.nn.init.normal_(parameter, std=std)
        if "norm" in name and name.endswith("weight"):
            parameter.data += 1.0


@pytest.fixture
def small_wan() -> Callable[..., Case]:
    """Builds a reduced model of a published name; `levels` are one a clip, one a frame or one a token."""

    def build(name: str, *, head_width: int = 64, levels: str = "clip") -> Case:
        config: TransformerConfig = replace(
            OPEN_MODELS[name].transformer, width=2 * head_width, heads=2, layers=2, ffn_width=200, text_width=24
        )
        with torch.random.fork_rng():
            torch.manual_seed(5)
            model = Transformer(config).eval().requires_grad_(requires_grad=False)
            draw_weights(model)
            grid = (2, 3, 6, 8)
            sigma_BTHW = {
                "clip": torch.tensor([0.937, 0.6125]).view(2, 1, 1, 1).expand(grid),
                "frame": torch.tensor([0.0, 0.937, 0.937]).view(1, 3, 1, 1).expand(grid),
                "token": torch.rand(2, 3, 3, 4).repeat_interleave(2, 2).repeat_interleave(2, 3),
            }[levels]
            text_BLD = torch.randn(2, max(TEXT_ENDS), 24)
            text_BLD[0, TEXT_ENDS[0] :] = 0
            tokens = config.image_positions or CLIP_TOKENS
            conditions = Conditions(
                text_BLD=text_BLD,
                extra_BCTHW=torch.randn(2, config.extra_channels, *grid[1:]) if config.extra_channels else None,
                image_BLD=torch.randn(2, tokens, config.image_width) if config.image_width else None,
            )
            return Case(
                model=model,
                latent_BCTHW=torch.randn(2, config.channels, *grid[1:]),
                sigma_BTHW=sigma_BTHW,
                position_BT=torch.arange(3.0).expand(2, -1),
                conditions=conditions,
            )

    return build
