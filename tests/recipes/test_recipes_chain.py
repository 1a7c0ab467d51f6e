"""Every recipe, one after another, at the smallest size: from nothing to a model folder that makes a clip."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from kinora.codec import CodecConfig
from kinora.control.painter import Painter, PainterConfig
from kinora.core.blocking import CUES, LOOKS
from kinora.core.errors import InputError, WeightsError
from kinora.core.request import Request
from kinora.language.director import Director, DirectorConfig
from kinora.pipeline import load_pipeline
from kinora.recipes.bundle import bundle_recipe
from kinora.recipes.codec import codec_recipe
from kinora.recipes.director import director_recipe
from kinora.recipes.library import codec_library, transformer_library
from kinora.recipes.painter import painter_recipe
from kinora.recipes.sizes import SIZES, Size, size_named
from kinora.recipes.text import text_recipe
from kinora.recipes.transformer import text_beside, transformer_recipe
from kinora.training.library import Library
from kinora.training.objective import ObjectiveConfig
from kinora.training.optimise import OptimiserConfig
from kinora.training.parts import Part, load_codec, load_part, load_text, save_part
from kinora.training.portrait_library import render_portraits
from kinora.training.run import RunConfig
from kinora.weights.manifest import read_manifest
from kinora.weights.store import load_tensors
from kinora.world.scene import WORLD_VERSION

TINY = dataclasses.replace(
    size_named("smoke"), height=32, width=32, codec=CodecConfig(channels=8, trunk_blocks=0, picture_blocks=0),
    transformer_width=32, transformer_layers=2, transformer_heads=2, ffn_width=64, text_width=32, text_layers=1,
    image_batch=4, video_batch=4, latent_frames=3, objective=ObjectiveConfig(references=0.5),
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Work:
    folder: Path
    said: list[str]

    def __truediv__(self, name: str) -> Path:
        return self.folder / name


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    """A folder where the whole chain was run."""
    work = Work(tmp_path_factory.mktemp("chain"), [])
    neighbours = codec_library(work / "codec-library", TINY, clips=4)
    say = work.said.append
    assert codec_recipe(work / "codec.safetensors", work / "codec-run", neighbours, TINY.codec, None, say=say)
    transformer_library(work / "library", TINY, clips=8, first_seed=40, codec=work / "codec.safetensors")
    render_portraits(work / "library", codec=work / "codec.safetensors", keep_frames=False)
    steps = RunConfig(steps=6, log_steps=2)
    assert text_recipe(work / "text.safetensors", work / "text-run", TINY, steps, scenes=12, say=say)
    assert train(work, steps)
    return work


def train(work: Work, config: RunConfig, size: Size = TINY) -> bool:
    return transformer_recipe(
        work / "transformer.safetensors", work / "run", size, config, library_folders=[work / "library"],
        codec_path=work / "codec.safetensors", text_path=work / "text.safetensors",
        say=work.said.append,
    )  # fmt: skip


def test_the_chain_leaves_every_part(work: Work) -> None:
    assert load_codec(work / "codec.safetensors").config == TINY.codec
    encoder, tokenizer = load_text(work / "text.safetensors")
    assert encoder.config.vocabulary == len(tokenizer)
    assert not tokenizer.unknown("一个红色的球在沙地上滚动")
    record = load_part(work / "transformer.safetensors", "transformer").record
    assert record["steps"] == 6
    assert record["auxiliary"] == {"maps": TINY.objective.maps}
    assert {"optimiser", "threads", "seconds", "device", "throughput", "rendering"} <= record.keys()
    assert record["rendering"]["clips_a_second"] > 0
    assert any("read back" in sentence for sentence in work.said)
    assert any("linear PSNR" in sentence for sentence in work.said)


def test_a_run_leaves_curve_and_sheet(work: Work) -> None:
    names = {path.name for path in (work / "run").iterdir()}
    assert {"run.json", "recipe.json", "libraries.json", "metrics.jsonl", "loss.png", "checkpoint.safetensors"} <= names
    assert "sheet-000006.png" in names


def test_a_run_notes_its_portraits(work: Work) -> None:
    noted = json.loads((work / "run" / "libraries.json").read_text(encoding="utf-8"))
    assert noted == {"library": 1, "library portraits": 1}
    told = json.loads((work / "library" / "shard-00000.portraits.json").read_text(encoding="utf-8"))
    assert told["rows"] == [3, 6]


def test_training_moves_text_encoder_and_transformer(work: Work) -> None:
    before, _ = load_text(work / "text.safetensors")
    after, _ = load_text(text_beside(work / "transformer.safetensors"))
    assert not np.allclose(before.embedding.weight.detach(), after.embedding.weight.detach())


def test_a_finished_run_goes_no_further_and_stays_as_it_is(work: Work) -> None:
    weights = (work / "transformer.safetensors").read_bytes()
    assert train(work, RunConfig(steps=500))  # the plan was made when the run began
    assert (work / "transformer.safetensors").read_bytes() == weights


def test_another_size_in_the_same_folder_is_refused(work: Work) -> None:
    with pytest.raises(InputError, match="began with another transformer_layers"):
        train(work, RunConfig(steps=6), dataclasses.replace(TINY, transformer_layers=3))


def test_the_bundle_is_a_model_that_loads(work: Work) -> None:
    manifest = bundle_recipe(
        work / "model", name="chain", codec=work / "codec.safetensors",
        text=text_beside(work / "transformer.safetensors"), transformer=work / "transformer.safetensors",
    )  # fmt: skip
    assert read_manifest(work / "model") == manifest
    assert manifest.sizes == {"1:1": (32, 32), "16:9": (32, 32), "9:16": (32, 32)}
    from kinora.pipeline.model import load_model

    model = load_model(work / "model")
    part = load_part(work / "transformer.safetensors", "transformer").tensors
    stored = model.transformer.state_dict()
    assert stored.keys() == part.keys()
    assert all(np.allclose(stored[name], part[name], rtol=0.01, atol=1e-3) for name in part)  # bfloat16 on disk
    exact = load_tensors(work / "model", "codec.")
    assert np.array_equal(exact["basis_PC"], load_codec(work / "codec.safetensors").basis_PC)


def test_the_bundle_carries_the_world_that_its_transformer_learnt(work: Work) -> None:
    part = load_part(work / "transformer.safetensors", "transformer")
    assert part.record["world"] == WORLD_VERSION
    save_part(work / "older.safetensors", dataclasses.replace(part, record={**part.record, "world": "0.9"}))
    manifest = bundle_recipe(
        work / "older", name="older", codec=work / "codec.safetensors",
        text=text_beside(work / "transformer.safetensors"), transformer=work / "older.safetensors",
    )  # fmt: skip
    assert manifest.world == "0.9"


def test_a_model_s_folder_stands_for_its_parts(work: Work) -> None:
    """One part is exchanged and the others stay as they are stored, also where the folder replaces itself."""
    made = work / "model"
    first = read_manifest(made)
    again = bundle_recipe(work / "again", name="chain", codec=made, text=made, transformer=made)
    assert again.shards == first.shards
    assert again.texts == first.texts
    assert again.sampling == first.sampling
    assert {**again.training, "bundle": None} == {**first.training, "bundle": None}
    encoder, words = load_text(made)
    assert words.to_json() == load_text(text_beside(work / "transformer.safetensors"))[1].to_json()
    assert encoder.config.vocabulary == len(words)
    longer = load_part(work / "text.safetensors", "text")
    bundle_recipe(work / "again", name="chain", codec=made, text=work / "text.safetensors", transformer=work / "again")
    assert load_part(work / "again", "text").record["vocabulary"] == longer.record["vocabulary"]
    stored, kept = (load_part(folder, "transformer").tensors for folder in (made, work / "again"))
    assert all(torch.equal(stored[name], kept[name]) for name in stored)
    with pytest.raises(WeightsError, match="has no reader, only codec, text, transformer"):
        load_part(made, "reader")


def test_parts_that_do_not_belong_together_are_refused(work: Work) -> None:
    with pytest.raises(WeightsError, match="holds a text, not a codec"):
        bundle_recipe(
            work / "wrong", name="x", codec=work / "text.safetensors", text=work / "text.safetensors",
            transformer=work / "transformer.safetensors",
        )  # fmt: skip
    with pytest.raises(WeightsError, match="does not exist"):
        load_part(work / "nothing.safetensors", "codec")
    assert not (work / "wrong").exists()


def test_a_wider_world_keeps_the_words_that_were_known(work: Work) -> None:
    out = work / "words.safetensors"
    assert text_recipe(out, work / "words-run", TINY, None, scenes=12, mix="wide", start=work / "text.safetensors")
    known, words = load_text(work / "text.safetensors")
    grown, more = load_text(out)
    assert words.tokens != more.tokens
    assert grown.layers.state_dict().keys() == known.layers.state_dict().keys()
    sentence = "a red ball rolls. 一个蓝色的方块"
    vectors = [
        encoder(torch.tensor(tokenizer.batch([sentence], 24))) for encoder, tokenizer in ((known, words), (grown, more))
    ]
    assert torch.equal(*vectors)
    record = load_part(out, "text").record
    assert (record["world"], record["start"]["world"], "vocabulary" in record["start"]) == ("2.0", "1.0", False)
    again = RunConfig(steps=2)
    assert text_recipe(out, work / "words-run", TINY, again, scenes=12, mix="wide", start=work / "text.safetensors")
    assert not torch.equal(load_text(out)[0].embedding.weight, grown.embedding.weight)


def test_an_encoder_that_neither_learns_nor_goes_on_is_refused(work: Work) -> None:
    with pytest.raises(InputError, match="time above zero or a start"):
        text_recipe(work / "none.safetensors", work / "none", TINY, None, scenes=12)
    assert not (work / "none").exists()


def test_a_run_goes_on_from_trained_weights_with_its_head_or_a_new_one(work: Work) -> None:
    begun = load_part(work / "transformer.safetensors", "transformer")
    assert len(begun.config["spread"]) == 8
    plain = {**begun.config, "spread": []}
    save_part(work / "plain.safetensors", dataclasses.replace(begun, config=plain))

    still = RunConfig(steps=1, optimiser=OptimiserConfig(muon_rate=0.0, adam_rate=0.0))

    def go_on(name: str, start: str, **options: bool) -> Part:
        transformer_recipe(
            work / f"{name}.safetensors", work / name, TINY, still, library_folders=[work / "library"],
            codec_path=work / "codec.safetensors", text_path=work / "text.safetensors", start=work / start,
            say=work.said.append, **options,
        )  # fmt: skip
        return load_part(work / f"{name}.safetensors", "transformer")

    same, unguessed = go_on("same", "transformer.safetensors"), go_on("unguessed", "plain.safetensors")
    assert (same.config, unguessed.config) == (begun.config, plain)
    new = go_on("new", "plain.safetensors", new_head=True)
    assert new.config == begun.config
    assert same.record["start"]["steps"] == begun.record["steps"]
    for name, tensor in begun.tensors.items():
        assert torch.equal(same.tensors[name], tensor)
        assert torch.equal(unguessed.tensors[name], tensor)
        assert torch.equal(new.tensors[name], 0 * tensor if name.startswith("head.head.") else tensor)


def test_libraries_of_one_name_are_refused(work: Work) -> None:
    with pytest.raises(InputError, match="have one name"):
        transformer_recipe(
            work / "x.safetensors", work / "x", TINY, RunConfig(steps=1),
            library_folders=[work / "library", work / "elsewhere" / "library"], codec_path=work / "codec.safetensors",
            text_path=work / "text.safetensors",
        )  # fmt: skip


def test_the_decoder_trains_on_an_encoder_that_stays(work: Work) -> None:
    from kinora.training.latents import encoder_key

    config = dataclasses.replace(
        TINY.codec, trunk_blocks=1, trunk_width=16, picture_blocks=1, picture_width=16, picture_features=4
    )
    assert codec_recipe(
        work / "decoder.safetensors", work / "decoder-run", Library(work / "codec-library"), config,
        RunConfig(steps=3, log_steps=1), start=work / "codec.safetensors", batch=2, say=work.said.append,
    )  # fmt: skip
    before, after = load_codec(work / "codec.safetensors"), load_codec(work / "decoder.safetensors")
    assert encoder_key(before) == encoder_key(after)
    assert after.config == config
    record = load_part(work / "decoder.safetensors", "codec").record
    assert (record["steps"], record["device"], record["world"]) == (3, "cpu", "1.0")
    assert record["optimiser"]["adam_rate"] > 0
    assert record["linear_psnr"] == load_part(work / "codec.safetensors", "codec").record["linear_psnr"]
    assert set(record["psnr"]) == {"theatre", "pictures"}


def test_a_codec_does_not_learn_from_scattered_frames(work: Work) -> None:

    with pytest.raises(InputError, match="for codec"):
        codec_recipe(work / "x.safetensors", work / "x", Library(work / "library"), TINY.codec, None)


@pytest.mark.parametrize("name", SIZES)
def test_presets_of_size_are_whole(name: str) -> None:
    size = size_named(name)
    transformer = size.transformer()
    cell = size.codec.compression.space * transformer.patch
    assert size.height % cell == size.width % cell == 0
    assert transformer.text_width == size.text(1000).width
    with pytest.raises(InputError, match="smoke, small, gpu"):
        size_named("huge")


def test_weights_that_were_never_told_where_things_stand_can_learn_it(work: Work) -> None:
    begun = load_part(work / "transformer.safetensors", "transformer")
    name = "control_embedding.weight"
    few = begun.tensors[name].flatten()[: begun.tensors[name].numel() // 32 * 8].reshape(32, -1)
    config = {**begun.config, "control_channels": 8}
    save_part(
        work / "untold.safetensors", dataclasses.replace(begun, config=config, tensors={**begun.tensors, name: few})
    )
    transformer_recipe(
        work / "told.safetensors", work / "told", TINY, RunConfig(steps=2), library_folders=[work / "library"],
        codec_path=work / "codec.safetensors", text_path=text_beside(work / "transformer.safetensors"),
        start=work / "untold.safetensors", say=work.said.append,
    )  # fmt: skip
    told = load_part(work / "told.safetensors", "transformer")
    assert told.config == begun.config
    assert told.tensors[name].shape == begun.tensors[name].shape
    assert told.tensors[name].abs().max() > 0


def test_a_director_joins_the_bundle_and_says_what_stands_where(work: Work) -> None:
    text = text_beside(work / "transformer.safetensors")

    def train_director(name: str, config: RunConfig | None = None, **options: Path) -> Part:
        assert director_recipe(
            work / f"{name}.safetensors", work / f"{name}-run", config or RunConfig(steps=3), text_path=text,
            mixes=["training"], scenes=10, scripts=work / "scripts", say=work.said.append, **options,
        )  # fmt: skip
        return load_part(work / f"{name}.safetensors", "director")

    first = train_director("director")
    assert [(told["mix"], told["count"], told["world"]) for told in first.record["libraries"]] == [
        ("training", 10, "1.0")
    ]
    assert first.record["seconds"] == 0
    assert first.record["held_out"] > 0
    assert train_director("director-2", start=work / "director.safetensors").record["start"]["steps"] == 3
    # One of before, which says no cues and every second box, learns them and keeps what it knows of looks and boxes.
    keys = first.config["positions"][:: first.config["together"]]
    config = DirectorConfig(**{**first.config, "cues": False, "positions": keys, "together": 1})
    silent = dataclasses.replace(
        first, config=dataclasses.asdict(config), tensors=dict(Director(config).state_dict())
    )  # fmt: skip
    save_part(work / "silent.safetensors", silent)
    still = RunConfig(steps=1, optimiser=OptimiserConfig(muon_rate=0.0, adam_rate=0.0))
    grown = train_director("grown", still, start=work / "silent.safetensors")
    assert grown.config == first.config
    before, after = silent.tensors["moment"], grown.tensors["moment"]
    assert torch.equal(torch.cat([after[: len(LOOKS)], after[len(LOOKS) + len(CUES) :]]), before)
    assert torch.equal(grown.tensors["box.name.0.weight"], silent.tensors["box.name.0.weight"])
    parts = {"codec": work / "codec.safetensors", "transformer": work / "transformer.safetensors"}
    bundle_recipe(work / "directed", name="directed", text=text, director=work / "director.safetensors", **parts)
    pipeline = load_pipeline(str(work / "directed"))
    assert pipeline.plan(Request(prompt="a red ball", seconds=1.0)).directed
    assert first.config["films"]
    with pytest.raises(InputError, match="reads text of width 32, the text encoder gives 16"):
        narrow = dataclasses.replace(load_part(text, "text"), config={**load_part(text, "text").config, "width": 16})
        save_part(work / "narrow.safetensors", narrow)
        config = {**load_part(parts["transformer"], "transformer").config, "text_width": 16}
        thin = dataclasses.replace(load_part(parts["transformer"], "transformer"), config=config)
        save_part(work / "thin.safetensors", thin)
        bundle_recipe(
            work / "wrong", name="x", codec=parts["codec"], text=work / "narrow.safetensors",
            transformer=work / "thin.safetensors", director=work / "director.safetensors",
        )  # fmt: skip
    with pytest.raises(InputError, match="takes 8 control channels, a blocking has"):
        bundle_recipe(
            work / "wrong", name="x", codec=parts["codec"], text=text, transformer=work / "untold.safetensors",
            director=work / "director.safetensors",
        )  # fmt: skip


def test_a_painter_joins_the_bundle_and_draws_what_the_director_places(work: Work) -> None:
    libraries = [Library(work / "library")] * 2

    def train_painter(name: str, config: RunConfig | None = None, **options: Path) -> Part:
        assert painter_recipe(
            work / f"{name}.safetensors", work / f"{name}-run", config or RunConfig(steps=2), libraries=libraries,
            codec_path=work / "codec.safetensors", batch=4, say=work.said.append, **options,
        )  # fmt: skip
        return load_part(work / f"{name}.safetensors", "painter")

    first = train_painter("painter")
    assert len(first.record["libraries"]) == 2
    assert train_painter("painter-2", start=work / "painter.safetensors").record["start"]["steps"] == 2
    # One of before, which is told nothing of edges, is told, and at first paints as it did.
    blind = Painter(PainterConfig(**{**first.config, "edges": False}))
    blind_part = dataclasses.replace(
        first, config=dataclasses.asdict(blind.config), tensors=dict(blind.state_dict())
    )  # fmt: skip
    save_part(work / "blind.safetensors", blind_part)
    still = RunConfig(steps=1, optimiser=OptimiserConfig(muon_rate=0.0, adam_rate=0.0))
    grown_part = train_painter("grown-painter", still, start=work / "blind.safetensors")
    assert grown_part.config == first.config
    grown = Painter(PainterConfig(**grown_part.config))
    grown.load_state_dict(grown_part.tensors)
    torch.manual_seed(4)
    moment = torch.randn(1, 8, 4, 4), torch.tensor([[[0, 1, 2]]]), torch.tensor([[[0.1, 0.0, 0.4, 0.5]]])
    way = torch.zeros(1, 1, 2), torch.ones(1, dtype=torch.bool)
    with torch.no_grad():
        assert torch.allclose(grown(*moment, *way)[0], blind(*moment, *way)[0], atol=1e-5)
    parts = {name: work / f"{name}.safetensors" for name in ("codec", "transformer", "director", "painter")}
    bundle_recipe(work / "painted", name="painted", text=text_beside(parts["transformer"]), sketch=2, **parts)
    pipeline = load_pipeline(str(work / "painted"))
    plan = pipeline.plan(Request(prompt="a red ball", seconds=1.0))
    assert plan.directed
    assert plan.sketch
    assert pipeline.model.painter is not None
    other = dataclasses.replace(first, config={**first.config, "channels": 7})
    save_part(work / "other.safetensors", other)
    with pytest.raises(InputError, match="draws latents of 7 channels, the codec reads"):
        bundle_recipe(
            work / "wrong", name="x", text=text_beside(parts["transformer"]),
            **{**parts, "painter": work / "other.safetensors"},
        )  # fmt: skip
    with pytest.raises(InputError, match="paints latents of 7 channels"):
        train_painter("painter-3", start=work / "other.safetensors")
