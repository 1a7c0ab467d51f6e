"""Batches by (seed, step), captions with what they state, and the text lesson."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from kinora.core.errors import InputError
from kinora.language.encoder import TextEncoder, TextEncoderConfig
from kinora.language.tokenizer import EOS, PAD, Tokenizer, build_vocabulary
from kinora.training.batches import ClipBatches, token_table
from kinora.training.latents import LatentSet
from kinora.training.library import CAPTIONS, Library
from kinora.training.texts import CaptionPool, TextJob, TextLesson, reading_accuracy, sample_captions


@pytest.fixture(scope="module")
def batches(library: Library, latents: LatentSet, tokenizer: Tokenizer) -> ClipBatches:
    return ClipBatches(library, latents, tokenizer, text_length=64, device="cpu")


@pytest.fixture(scope="module")
def pool() -> CaptionPool:
    return sample_captions(range(20))


def test_a_batch_is_decided_by_seed_and_step(batches: ClipBatches) -> None:
    one, same, other = (batches.batch(1, step, size=5, latent_frames=3) for step in (4, 4, 5))
    for name in ("clean_BCTHW", "position_BT", "ids_BL", "pose_BT12", "mouth_BTS", "face_BTHW"):
        assert torch.equal(getattr(one, name), getattr(same, name))
    assert not torch.equal(one.clean_BCTHW, other.clean_BCTHW)


def test_everything_in_a_batch_belongs_to_the_same_moments(
    batches: ClipBatches, library: Library, latents: LatentSet
) -> None:
    batch = batches.batch(0, 0, size=40, latent_frames=2)
    assert batch.clean_BCTHW.shape == (40, 8, 2, 2, 2)
    every = np.array([[0, 1, 2]])
    for b in range(40):
        found = [
            i for i in range(len(library))
            if torch.equal(latents.take(np.array([i]), every, "cpu")[0, :, 0], batch.clean_BCTHW[b, :, 0])
        ]  # fmt: skip
        positions = [float(value) for value in library.positions_NT[found[0]]]
        first, second = batch.position_BT[b].tolist()
        assert first == 0.0
        row = positions.index(second)
        kept_CHW = latents.take(np.array(found[:1]), np.array([[row]]), "cpu")[0, :, 0]
        assert torch.equal(kept_CHW, batch.clean_BCTHW[b, :, 1])
        assert np.array_equal(batch.pose_BT12[b, 1].numpy(), library.pose_NT12[found[0], row])


def test_still_pictures_are_first_frames(batches: ClipBatches) -> None:
    batch = batches.batch(0, 0, size=7, latent_frames=1)
    assert batch.clean_BCTHW.shape == (7, 8, 1, 2, 2)
    assert batch.position_BT.unique().tolist() == [0.0]


def test_all_captions_of_a_clip_are_drawn(batches: ClipBatches, library: Library, tokenizer: Tokenizer) -> None:
    table = token_table(library.captions(), tokenizer, 64)
    known = {tuple(token for token in row if token != PAD) for row in table.reshape(-1, 64).tolist()}
    drawn = [batches.batch(0, step, size=12, latent_frames=1).ids_BL for step in range(40)]
    seen = {tuple(token for token in row if token != PAD) for ids_BL in drawn for row in ids_BL.tolist()}
    assert seen <= known
    assert len(seen) > 0.9 * len(known)


def test_no_column_of_a_batch_is_padding_throughout(batches: ClipBatches) -> None:
    for step in range(10):
        assert (batches.batch(0, step, size=2, latent_frames=1).ids_BL != PAD).any(dim=0).all()


def test_the_spread_is_that_of_the_latents(batches: ClipBatches, latents: LatentSet, library: Library) -> None:
    every = latents.take(np.arange(len(library)), np.tile(np.arange(3), (len(library), 1)), "cpu")
    assert batches.spread() == pytest.approx(every.std(dim=(0, 2, 3, 4)).tolist(), abs=1e-3)


def test_long_captions_are_cut_and_still_end(library: Library, tokenizer: Tokenizer) -> None:
    table = token_table(library.captions(), tokenizer, 6)
    assert table.shape == (12, len(CAPTIONS), 6)
    assert (table == EOS).any(axis=-1).all()


def test_an_empty_library_feeds_nobody(library: Library, latents: LatentSet, tokenizer: Tokenizer) -> None:
    with pytest.raises(InputError, match="no whole shard yet"):
        ClipBatches(Library(library.folder, shards=0), latents, tokenizer, text_length=8, device="cpu")


def test_captions_are_kept_with_what_they_state(pool: CaptionPool, tmp_path: Path) -> None:
    assert len(pool) == 20 * len(CAPTIONS)
    pool.write(tmp_path / "pool.json")
    assert CaptionPool.read(tmp_path / "pool.json") == pool
    assert all(stated.bodies or stated.figures for stated in pool.stated)


def test_the_text_lesson_is_learnt(pool: CaptionPool) -> None:
    tokenizer = build_vocabulary(pool.texts)
    torch.manual_seed(0)
    model = TextLesson(
        TextEncoder(TextEncoderConfig(vocabulary=len(tokenizer), width=32, layers=1, heads=2, ffn_width=64, length=96))
    )
    job = TextJob(model, pool, tokenizer, size=16, device="cpu")
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for step in range(40):
        loss = job.loss("slots", 0, step)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        optimiser.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * losses[0]
    assert 0.0 <= reading_accuracy(model, pool, tokenizer, "cpu") <= 1.0
