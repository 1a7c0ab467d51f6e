"""Tokens are told where they lie, the same in the central square of every aspect."""

from __future__ import annotations

import torch

from kinora.transformer.config import TransformerConfig
from kinora.transformer.model import Conditions, Transformer
from kinora.transformer.place import PLACE_FEATURES, place_features


def _grid(height: int, width: int, positions: tuple[float, ...] = (0.0, 3.0)) -> torch.Tensor:
    features = place_features(torch.tensor([positions]), height, width)
    assert features.shape == (1, len(positions), height * width, PLACE_FEATURES)
    return features[0].reshape(len(positions), height, width, PLACE_FEATURES)


def test_rows_run_down_and_columns_run_right() -> None:
    grid = _grid(4, 4)
    assert torch.allclose(grid[0, :, 0, 0], torch.tensor([-0.75, -0.25, 0.25, 0.75]))
    assert torch.allclose(grid[0, 0, :, 9], torch.tensor([-0.75, -0.25, 0.25, 0.75]))


def test_central_square_is_the_same_in_every_aspect() -> None:
    assert torch.allclose(_grid(6, 10)[:, :, 2:8], _grid(6, 6))
    assert torch.allclose(_grid(10, 6)[:, 2:8], _grid(6, 6))


def test_only_the_first_latent_frame_is_marked() -> None:
    grid = _grid(2, 2, (0.0, 1.0, 20.0))
    assert grid[..., -1].amax(dim=(1, 2)).tolist() == [1.0, 0.0, 0.0]


def _transformer(place: bool) -> Transformer:
    torch.manual_seed(0)
    model = Transformer(
        TransformerConfig(
            width=24, layers=1, heads=2, ffn_width=48, channels=2, text_width=8, text_length=4, place=place
        )
    )
    torch.nn.init.normal_(model.head.head.weight, std=0.1)
    return model


def test_equal_tokens_differ_only_once_place_is_learnt() -> None:
    """With relative positions alone equal tokens of a frame stay equal; the place embedding breaks the tie."""
    model = _transformer(True)
    latent, sigma = torch.ones(1, 2, 1, 4, 4), torch.full((1, 1, 4, 4), 0.9)
    conditions = Conditions(text_BLD=torch.zeros(1, 4, 8))
    with torch.no_grad():
        before = model(latent, sigma, torch.zeros(1, 1), conditions)
        assert torch.allclose(before[..., :2, :2], before[..., 2:, 2:], atol=1e-5)
        torch.nn.init.normal_(model.place_embedding.projection.weight)
        after = model(latent, sigma, torch.zeros(1, 1), conditions)
    assert not torch.allclose(after[..., :2, :2], after[..., 2:, 2:], atol=1e-3)


def test_absent_from_models_without_it() -> None:
    assert not [name for name in _transformer(False).state_dict() if "place" in name]
