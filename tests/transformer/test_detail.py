"""Convolutions over single cells that correct what tokens say.

Axes: B batch, C channels, T latent frames, H W latent grid.
"""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from kinora.core.errors import InputError
from kinora.transformer.config import TransformerConfig
from kinora.transformer.model import Conditions, Transformer

PLAIN = TransformerConfig(
    width=32, layers=2, heads=2, ffn_width=64, channels=4, text_width=8, text_length=6, spread=(3.0, 0.5, 0.05, 1.0)
)
FINE = dataclasses.replace(PLAIN, detail_width=12)


def arguments(batch: int, texts: int, frames: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, Conditions]:
    """Latents, levels, positions and texts."""
    return (
        torch.randn(batch, 4, frames, 8, 6),
        torch.rand(batch, frames, 8, 6),
        torch.arange(float(frames)).expand(batch, -1),
        Conditions(text_BLD=torch.randn(texts, 6, 8)),
    )


@pytest.fixture
def fine() -> Transformer:
    """A transformer whose every weight has its say."""
    torch.manual_seed(3)
    transformer = Transformer(FINE)
    for parameter in transformer.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return transformer.eval()


def test_before_training_it_changes_nothing():
    torch.manual_seed(1)
    plain = Transformer(PLAIN)
    torch.nn.init.normal_(plain.head.head.weight, std=0.1)
    with_detail = Transformer(FINE)
    missing, unexpected = with_detail.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected
    assert all(name.startswith("detail.") for name in missing)
    given = arguments(2, 2)
    torch.testing.assert_close(with_detail(*given), plain(*given))


@torch.no_grad()
def test_cells_see_beyond_their_token_but_not_other_frames_or_clips(fine):
    """A token is 2 x 2 cells; what a change of one cell does is looked for without the blocks between."""
    detail, latent_BCTHW = fine.detail, torch.randn(2, 4, 3, 8, 6)
    seen_BTSD = torch.randn(2, 3, 12, 32)
    before = detail(seen_BTSD, latent_BCTHW)
    latent_BCTHW[0, 1, 1, 3, 1] += 1.0
    moved_BTHW = (detail(seen_BTSD, latent_BCTHW) - before).abs().sum(1) > 1e-6
    assert before.shape == latent_BCTHW.shape
    assert bool(moved_BTHW[0, 1, 2:5, :4].all())
    assert not moved_BTHW[1].any()
    assert not moved_BTHW[0, [0, 2]].any()


@torch.no_grad()
def test_one_clip_with_several_texts_is_each_text_alone(fine):
    latent, sigma, position, conditions = arguments(1, 2)
    both = fine(latent, sigma, position, conditions)
    for text in range(2):
        alone = fine(latent, sigma, position, Conditions(text_BLD=conditions.text_BLD[text : text + 1]))
        torch.testing.assert_close(both[text : text + 1], alone, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_bfloat16_weights_give_nearly_the_same(fine):
    given = arguments(2, 2)
    exact = fine(*given)
    told = fine.to(torch.bfloat16)(*given)
    assert told.dtype == torch.float32
    assert float((told - exact).norm() / exact.norm()) < 0.05


def test_a_config_survives_json_and_wants_a_spread():
    assert TransformerConfig(**json.loads(json.dumps(dataclasses.asdict(FINE)))) == FINE
    with pytest.raises(InputError, match="give the latents' spread too"):
        dataclasses.replace(FINE, spread=())
