"""Heads that are taught maps: where their numbers lie, that they learn, that they reach the early blocks alone."""

from __future__ import annotations

import torch

from kinora.training.auxiliary import MapHeads, Tap, map_block
from kinora.training.maps import KINDS, MapTargets
from kinora.transformer.config import TransformerConfig
from kinora.transformer.model import Conditions, Transformer

CONFIG = TransformerConfig(width=32, layers=3, heads=2, ffn_width=64, channels=4, text_width=16, text_length=8)
BATCH, FRAMES, SIDE = 2, 3, 4


def targets(seed: int = 0) -> MapTargets:
    generator = torch.Generator().manual_seed(seed)
    kind = torch.randint(len(KINDS), (BATCH, FRAMES, SIDE, SIDE), generator=generator)
    return MapTargets(
        share_BMTHW=torch.nn.functional.one_hot(kind, len(KINDS)).permute(0, 4, 1, 2, 3).float(),
        near_BTHW=torch.rand(BATCH, FRAMES, SIDE, SIDE, generator=generator),
        motion_B2THW=0.1 * torch.randn(BATCH, 2, FRAMES, SIDE, SIDE, generator=generator),
    )


def velocity(transformer: Transformer) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    latent = torch.randn(BATCH, 4, FRAMES, SIDE, SIDE, generator=generator)
    text = torch.randn(BATCH, 8, 16, generator=generator)
    sigma = torch.full((BATCH, FRAMES, SIDE, SIDE), 0.5)
    position = torch.arange(FRAMES).float().expand(BATCH, -1)
    return transformer(latent, sigma, position, Conditions(text_BLD=text))


def test_the_block_is_a_third_of_the_way_up() -> None:
    assert [map_block(layers) for layers in (1, 2, 4, 6, 12)] == [0, 0, 0, 1, 3]


def test_every_cell_s_numbers_lie_in_its_token() -> None:
    """A head that copies its token's number says where each cell comes from."""
    heads = MapHeads(32, 2)
    tokens = torch.arange(4.0)[None, None, :, None].expand(1, 1, 4, 32)
    with torch.no_grad():
        for parameter in heads.parameters():
            parameter.zero_()
        heads.out.bias.copy_(torch.arange(heads.out.out_features).float())
        told = heads(tokens, 4, 4)
    numbers = len(KINDS) + 3
    assert told.shape == (1, 1, numbers, 4, 4)
    assert told[0, 0, 2, 0, 1] == numbers + 2  # second cell across of the first token
    assert told[0, 0, 2, 1, 0] == 2 * numbers + 2  # second cell down
    assert told[0, 0, 2, 2, 2] == 2  # the first cell of the last token
    spread = MapHeads(32, 2)
    varied = torch.zeros(1, 1, 4, 32)
    varied[0, 0, 1, ::2] = 3.0  # only the token right of the first is told apart
    changed = (spread(varied, 4, 4) - spread(torch.zeros(1, 1, 4, 32), 4, 4)).abs().sum(dim=2)[0, 0] > 1e-6
    assert changed[:2, 2:].all()
    assert not changed[:, :2].any()
    assert not changed[2:].any()


def test_heads_learn_maps_and_pull_only_the_blocks_below() -> None:
    torch.manual_seed(0)
    transformer, heads = Transformer(CONFIG), MapHeads(32, CONFIG.patch)
    tap = Tap(transformer, map_block(3))
    velocity(transformer)
    heads.loss(tap.take(), targets()).backward()
    assert float(transformer.blocks[0].ffn[0].weight.grad.abs().max()) > 0
    assert transformer.blocks[1].ffn[0].weight.grad is None
    assert transformer.head.head.weight.grad is None
    optimiser = torch.optim.Adam([*transformer.parameters(), *heads.parameters()], lr=1e-2)
    losses = []
    for _ in range(60):
        velocity(transformer)
        loss = heads.loss(tap.take(), targets())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.4 * losses[0]


def test_references_after_the_clip_are_left_out() -> None:
    torch.manual_seed(0)
    heads = MapHeads(32, 2)
    features = torch.randn(BATCH, FRAMES + 1, 4, 32)
    other = features.clone()
    other[:, FRAMES:] += 5.0
    assert torch.equal(heads.loss(features, targets()), heads.loss(other, targets()))


def test_a_tap_gives_the_latest_features_once() -> None:
    transformer = Transformer(CONFIG)
    tap = Tap(transformer, 1)
    velocity(transformer)
    assert tap.take().shape == (BATCH, FRAMES, (SIDE // CONFIG.patch) ** 2, 32)
    assert tap._held is None
