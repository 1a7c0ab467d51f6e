"""What a step shows: clips, pictures between, maps for the heads; what these add, and that they stay behind."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from kinora.codec import Codec
from kinora.core.errors import InputError
from kinora.language.encoder import TextEncoder, TextEncoderConfig
from kinora.language.tokenizer import Tokenizer
from kinora.recipes.transformer import text_beside, write_generator
from kinora.training.batches import ClipBatches, ManyBatches
from kinora.training.generator import Generator, GeneratorJob, GeneratorStage, stage_batch
from kinora.training.latents import FrameEncoder, LatentSet, encode_library
from kinora.training.library import Library, LibraryConfig
from kinora.training.maps import MapSet, maps_path
from kinora.training.objective import ObjectiveConfig
from kinora.training.parts import load_part
from kinora.training.plan import Stage
from kinora.training.rendering import render_library
from kinora.training.run import Run, RunConfig
from kinora.transformer.config import TransformerConfig
from kinora.transformer.model import Transformer


def fed(
    folder: Path, config: LibraryConfig, encoder: FrameEncoder, tokenizer: Tokenizer, *, maps: bool = True
) -> tuple[Library, ClipBatches]:
    library = render_library(folder, config)
    encode_library(folder, library.shards, encoder)
    kept = MapSet([maps_path(library.stem(at)) for at in range(len(library.shards))], "cpu") if maps else None
    latents = LatentSet(folder, library.shards, encoder.key)
    return library, ClipBatches(library, latents, tokenizer, text_length=24, device="cpu", maps=kept)


@pytest.fixture(scope="module")
def clips(
    tmp_path_factory: pytest.TempPathFactory, encoder: FrameEncoder, tokenizer: Tokenizer
) -> tuple[Library, ClipBatches]:
    config = LibraryConfig(count=6, height=32, width=32, latent_frames=3, map_cell=16)
    return fed(tmp_path_factory.mktemp("clips"), config, encoder, tokenizer)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory, encoder: FrameEncoder, tokenizer: Tokenizer) -> ClipBatches:
    config = LibraryConfig(count=10, height=32, width=32, latent_frames=1, first_seed=500, map_cell=16)
    return fed(tmp_path_factory.mktemp("pictures"), config, encoder, tokenizer)[1]


@pytest.fixture
def stage(clips: tuple[Library, ClipBatches], pictures: ClipBatches) -> GeneratorStage:
    return GeneratorStage(
        stage=Stage(name="video", share=1.0, size=4), batches=clips[1], latent_frames=3, image_share=0.4,
        pictures=pictures,
    )  # fmt: skip


def job(stage: GeneratorStage, codec: Codec, tokenizer: Tokenizer, *, weight: float, maps: bool = True) -> GeneratorJob:
    torch.manual_seed(0)
    config = TransformerConfig(
        width=16, layers=3, heads=2, ffn_width=32, channels=8, text_width=16, text_length=24, patch=2,
        pose_width=12, mouth_width=48,
    )  # fmt: skip
    text = TextEncoder(
        TextEncoderConfig(vocabulary=len(tokenizer), width=16, layers=1, heads=2, ffn_width=32, length=24)
    )
    return GeneratorJob(
        Generator(Transformer(config), text, maps=maps), [stage], objective=ObjectiveConfig(maps=weight),
        tokenizer=tokenizer, codec=codec, prompts=("a red ball",),
    )  # fmt: skip


def test_pictures_come_between_clips_at_their_share_and_from_their_own_library(
    stage: GeneratorStage, pictures: ClipBatches
) -> None:
    shown = [stage_batch(stage, 0, step, references=0.2) for step in range(200)]
    still = [batch for batch in shown if batch.clean_BCTHW.shape[2] == 1]
    assert len(still) / len(shown) == pytest.approx(0.4, abs=0.1)
    assert {tuple(batch.clean_BCTHW.shape[:3]) for batch in shown} == {(4, 8, 3), (12, 8, 1)}
    held = pictures._latents.take(torch.arange(10).numpy(), torch.zeros(10, 1, dtype=torch.long).numpy(), "cpu")
    one = still[0].clean_BCTHW[0]
    assert any(torch.equal(one, picture) for picture in held)


def test_without_a_library_of_pictures_they_are_the_clips_first_frames(stage: GeneratorStage) -> None:
    alone = dataclasses.replace(stage, pictures=None, image_share=1.0)
    batch = stage_batch(alone, 0, 0, references=0.0)
    assert batch.clean_BCTHW.shape[:3] == (12, 8, 1)
    assert (batch.position_BT == 0).all()


def test_maps_belong_to_the_moments_that_are_shown(clips: tuple[Library, ClipBatches], stage: GeneratorStage) -> None:
    batch = clips[1].batch(3, 1, size=5, latent_frames=2)
    assert batch.maps is not None
    assert batch.maps.near_BTHW.shape == (5, 2, 2, 2)
    again = clips[1].batch(3, 1, size=5, latent_frames=2)
    assert again.maps is not None
    assert torch.equal(batch.maps.share_BMTHW, again.maps.share_BMTHW)
    assert batch.clean_BCTHW.shape[-2:] == batch.maps.near_BTHW.shape[-2:]


def test_the_heads_add_their_weighted_loss_and_nothing_else(
    stage: GeneratorStage, codec: Codec, tokenizer: Tokenizer
) -> None:
    plain = job(stage, codec, tokenizer, weight=0.5, maps=False)
    none, some, more = (job(stage, codec, tokenizer, weight=weight) for weight in (0.0, 0.5, 1.0))
    losses = [one.loss("video", 0, 5).item() for one in (plain, none, some, more)]
    assert losses[0] == losses[1]
    assert losses[2] > losses[1]
    assert losses[3] - losses[1] == pytest.approx(2 * (losses[2] - losses[1]), rel=1e-4)


def test_heads_are_trained_and_checkpointed_but_not_written(
    clips: tuple[Library, ClipBatches], stage: GeneratorStage, codec: Codec, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    taught = job(stage, codec, tokenizer, weight=0.5)
    assert taught.model.maps is not None
    before = taught.model.maps.out.weight.detach().clone()
    run = Run(tmp_path / "run", taught, RunConfig(steps=3, log_steps=1), lambda _: None)
    assert run.go()
    assert not torch.equal(before, taught.model.maps.out.weight)
    assert any(name.startswith("maps.") for name in run.average.tensors)
    out = tmp_path / "transformer.safetensors"
    write_generator(out, run, taught.model, tokenizer.to_json(), [clips[0].folder], maps_weight=0.5)
    part = load_part(out, "transformer")
    assert part.tensors.keys() == taught.model.transformer.state_dict().keys()
    assert part.record["auxiliary"] == {"maps": 0.5}
    assert part.record["world"] == "1.0"
    assert part.record["optimiser"]["adam_rate"] > 0
    assert part.record["threads"] == torch.get_num_threads()
    assert set(part.record["throughput"]) == {"video"}
    assert not any("maps" in name for name in load_part(text_beside(out), "text").tensors)


def test_of_several_libraries_each_step_shows_one_and_the_larger_more_often(
    clips: tuple[Library, ClipBatches],
    pictures: ClipBatches,
    encoder: FrameEncoder,
    tokenizer: Tokenizer,
    tmp_path: Path,
) -> None:
    config = LibraryConfig(count=24, height=32, width=32, latent_frames=3, first_seed=900)
    larger = fed(tmp_path, config, encoder, tokenizer, maps=False)[1]
    both = ManyBatches([clips[1], larger])
    assert (both.kept, both.latent_shape, both.has_maps, both.has_portraits) == (3, (3, 8, 2, 2), True, False)
    assert both.spread() == larger.spread()
    shown = [both.batch(0, step, size=2, latent_frames=3) for step in range(200)]
    assert torch.equal(shown[7].clean_BCTHW, both.batch(0, 7, size=2, latent_frames=3).clean_BCTHW)
    of_smaller = [batch.maps is not None for batch in shown]
    assert 20 <= sum(of_smaller) <= 60, "6 clips of 30"
    for step, smaller in enumerate(of_smaller):
        alone = (clips[1] if smaller else larger).batch(0, step, size=2, latent_frames=3)
        assert torch.equal(shown[step].clean_BCTHW, alone.clean_BCTHW)
    with pytest.raises(InputError, match="one shape"):
        ManyBatches([clips[1], pictures])
