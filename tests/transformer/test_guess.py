"""The linear guess of the velocity against least squares, and what a transformer makes of it.

Axes: B batch, C channels, T latent frames, H W latent grid, N drawn numbers.
"""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from kinora.core.errors import InputError
from kinora.transformer.config import TransformerConfig
from kinora.transformer.guess import add_linear_guess
from kinora.transformer.model import Conditions, Transformer

SPREAD = (3.0, 0.5, 0.05, 1.0)
CONFIG = TransformerConfig(width=32, layers=2, heads=2, ffn_width=64, channels=4, text_width=8, text_length=6)


@pytest.mark.parametrize("level", [0.05, 0.4, 0.9, 1.0])
def test_no_line_is_nearer_and_what_is_left_is_as_large_as_told(level):
    torch.manual_seed(0)
    spread_C1 = torch.tensor(SPREAD)[:, None]
    clean_CN, noise_CN = spread_C1 * torch.randn(4, 200_000), torch.randn(4, 200_000)
    x_CN, v_CN = (1 - level) * clean_CN + level * noise_CN, noise_CN - clean_CN
    slope_C = (x_CN * v_CN).sum(dim=1) / x_CN.square().sum(dim=1)

    one_BCTHW, level_BTHW = torch.ones(1, 4, 1, 1, 1), torch.full((1, 1, 1, 1), level)
    factor_C = add_linear_guess(0 * one_BCTHW, one_BCTHW, level_BTHW, SPREAD).flatten()
    torch.testing.assert_close(factor_C, slope_C, atol=0.02, rtol=0.02)
    usual_C = add_linear_guess(one_BCTHW, one_BCTHW, level_BTHW, SPREAD).flatten() - factor_C
    torch.testing.assert_close((v_CN - factor_C[:, None] * x_CN).std(dim=1), usual_C, atol=1e-3, rtol=0.01)


def test_every_cell_has_its_own_level_and_every_text_its_own_rest():
    torch.manual_seed(1)
    x_BCTHW, rest_BCTHW, sigma_BTHW = torch.randn(1, 4, 2, 2, 2), torch.randn(2, 4, 2, 2, 2), torch.rand(1, 2, 2, 2)
    whole_BCTHW = add_linear_guess(rest_BCTHW, x_BCTHW, sigma_BTHW, SPREAD)
    cell = (..., slice(1, 2), slice(0, 1), slice(1, 2))
    for text in range(2):
        alone = add_linear_guess(rest_BCTHW[text : text + 1][cell], x_BCTHW[cell], sigma_BTHW[cell], SPREAD)
        torch.testing.assert_close(whole_BCTHW[text : text + 1][cell], alone)
    known = add_linear_guess(torch.zeros(1, 4, 1, 1, 1), torch.ones(1, 4, 1, 1, 1), torch.zeros(1, 1, 1, 1), SPREAD)
    assert known.isfinite().all()


def test_an_untrained_transformer_makes_the_linear_guess():
    torch.manual_seed(2)
    x_BCTHW, sigma_BTHW = torch.randn(2, 4, 3, 4, 4), torch.rand(2, 3, 4, 4)
    arguments = (x_BCTHW, sigma_BTHW, torch.arange(3.0).expand(2, 3), Conditions(text_BLD=torch.randn(2, 6, 8)))
    told = Transformer(dataclasses.replace(CONFIG, spread=SPREAD))(*arguments)
    torch.testing.assert_close(told, add_linear_guess(torch.zeros_like(x_BCTHW), x_BCTHW, sigma_BTHW, SPREAD))
    assert not Transformer(CONFIG)(*arguments).any()


def test_a_config_survives_json_and_refuses_what_cannot_be():
    config = dataclasses.replace(CONFIG, spread=SPREAD)
    assert TransformerConfig(**json.loads(json.dumps(dataclasses.asdict(config)))) == config
    for spread in (SPREAD[:3], (*SPREAD[:3], 0.0)):
        with pytest.raises(InputError, match="one above zero is wanted for each of 4 channels"):
            dataclasses.replace(CONFIG, spread=spread)
