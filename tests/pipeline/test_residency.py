"""The memory plan: what parts weigh, what a card has, and which ways of placing the one on the other are kept."""

from __future__ import annotations

import resource
from collections.abc import Mapping
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from kinora.codec.build import build_codec
from kinora.core.errors import MemoryShortage, WeightsError
from kinora.core.plan import Plan
from kinora.core.request import Request
from kinora.core.shapes import Compression
from kinora.language.encoder import TextEncoder, TextEncoderConfig
from kinora.pipeline.card import Card, card_of
from kinora.pipeline.parts import Part, Parts
from kinora.pipeline.planning import ModelFacts, plan_film
from kinora.pipeline.residency import DRAW_FRAMES, Placing, held_bytes, ladder
from kinora.presets.wan import CLIP_VIT_H, OPEN_MODELS, UMT5_XXL
from kinora.transformer.config import TransformerConfig
from kinora.transformer.model import Transformer
from kinora.weights.manifest import Manifest, PlacedFile

GIB = 2**30


def manifest_of(name: str, **changes: Any) -> Manifest:
    """What the store would write of a published model."""
    model = OPEN_MODELS[name]
    parts: dict[str, Mapping[str, Any]] = {
        "transformer": asdict(model.transformer), "codec": dict(model.codec), "text": dict(model.text),
    }  # fmt: skip
    if model.image:
        parts["image"] = dict(model.image)
    names = ["transformer", *(["transformer_low"] if model.experts == 2 else [])]
    files = tuple(PlacedFile(part=part, name=part, sha256="", bytes=4 * 14_288_491_584) for part in names)
    manifest = Manifest(
        name=name, world="", frame_rate=model.frame_rate, sizes=model.sizes, parts=parts, family="wan", files=files
    )
    return replace(manifest, **changes)


def plan_of(name: str, *, seconds: float = 5.0, device: str = "cuda") -> Plan:
    model = OPEN_MODELS[name]
    space = 16 if model.codec["kind"] == "wan22" else 8
    facts = ModelFacts(
        name=name,
        sizes={aspect: (width, height) for aspect, (height, width) in model.sizes.items()},
        frame_rate=model.frame_rate,
        compression=Compression(time=4, space=space),
        patch=2,
        width=model.transformer.width,
        layers=model.transformer.layers,
        ffn_width=model.transformer.ffn_width,
        device=device,
    )
    return plan_film(Request(prompt="a cat", seconds=seconds, aspect="16:9"), facts, model.preset)


def gpu(gib: float, *, host: float = 64.0) -> Card:
    return Card(
        device="cuda",
        name="A GPU",
        total=int(gib * GIB),
        free=int(gib * GIB),
        dtype="bfloat16",
        host_free=int(host * GIB),
    )


def cpu(gib: float) -> Card:
    return Card(
        device="cpu", name="This machine", total=int(gib * GIB), free=int(gib * GIB), dtype="float32",
        host_free=int(gib * GIB),
    )  # fmt: skip


# Parts


def counted(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("name", ["wan2.1-t2v-1.3b", "wan2.2-ti2v-5b", "wan2.1-i2v-14b-480p", "wan2.1-flf2v-14b"])
def test_transformers_weigh_what_their_classes_do(name: str) -> None:
    with torch.device("meta"):
        module = Transformer(OPEN_MODELS[name].transformer)
    part = Parts.of(manifest_of(name)).by_name["transformer"]
    assert part.parameters == counted(module)
    assert part.block_parameters == counted(module.blocks[0])
    assert part.blocks == len(module.blocks)


def test_kinoras_own_additions_are_counted() -> None:
    config = TransformerConfig(
        width=48, layers=2, heads=2, ffn_width=80, channels=8, text_width=16, patch=1, control_channels=5
    )
    manifest = replace(
        manifest_of("wan2.1-t2v-1.3b"),
        family="",
        parts={"transformer": asdict(config), "codec": {}, "text": asdict(TextEncoderConfig(vocabulary=90))},
    )
    parts = Parts.of(manifest)
    assert parts.by_name["transformer"].parameters == counted(Transformer(config))
    assert parts.by_name["text"].parameters == counted(TextEncoder(TextEncoderConfig(vocabulary=90)))
    assert not parts.mapped


@pytest.mark.parametrize("name", ["wan2.1-t2v-1.3b", "wan2.2-ti2v-5b"])
def test_codecs_and_text_encoders_weigh_what_was_published(name: str) -> None:
    parts = Parts.of(manifest_of(name)).by_name
    with torch.device("meta"):
        codec = build_codec(OPEN_MODELS[name].codec)
    assert parts["codec"].parameters == pytest.approx(counted(codec), rel=0.01)
    assert parts["text"].parameters == pytest.approx(5.68e9, rel=0.001)
    assert UMT5_XXL["layers"] == parts["text"].blocks


def test_the_image_encoder_is_clip_vit_h() -> None:
    parts = Parts.of(manifest_of("wan2.1-i2v-14b-480p")).by_name
    assert parts["image"].parameters == pytest.approx(632e6, rel=0.01)
    assert CLIP_VIT_H["layers"] == 32


def test_bytes_in_files_are_the_files() -> None:
    part = Parts.of(manifest_of("wan2.1-t2v-14b")).by_name["transformer"]
    assert part.stored_bytes == 4 * 14_288_491_584
    assert part.stored_item == 4.0
    assert part.outside_bytes(2) + part.blocks * part.block_parameters * 2 == part.bytes(2)


def test_a_manifest_without_a_part_is_refused_by_name() -> None:
    with pytest.raises(WeightsError, match="'text'"):
        Parts.of(manifest_of("wan2.1-t2v-1.3b", parts={"transformer": {}, "codec": {}} | {
            "transformer": asdict(OPEN_MODELS["wan2.1-t2v-1.3b"].transformer)
        }))  # fmt: skip


# Cards


def machine(root: Path, *, available: int, limit: str | None = None, used: int = 0, cached: int = 0) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text(f"MemTotal: 1000 kB\nMemFree: 5 kB\nMemAvailable: {available} kB\nHuge: 0\n")
    (root / "proc/self/status").write_text("Name:\tx\nVmSize:\t   300 kB\nVmData:\t 100 kB\n")
    if limit is not None:
        group = root / "sys/fs/cgroup"
        group.mkdir(parents=True)
        (group / "memory.max").write_text(f"{limit}\n")
        (group / "memory.current").write_text(f"{used}\n")
        (group / "memory.stat").write_text(f"anon 7\ninactive_file {cached}\n")
    return root


def test_a_cpu_has_what_is_available(tmp_path: Path) -> None:
    card = card_of("cpu", "float32", root=machine(tmp_path, available=600))
    assert (card.total, card.free, card.host_free, card.kind) == (1000 * 1024, 600 * 1024, 600 * 1024, "cpu")


def test_what_the_model_holds_already_counts_as_free(tmp_path: Path) -> None:
    assert card_of("cpu", "float32", held=1024, root=machine(tmp_path, available=600)).free == 601 * 1024


@pytest.mark.parametrize(("limit", "free"), [("max", 600 * 1024), (str(500 * 1024), (500 - 200 + 50) * 1024)])
def test_a_container_has_what_its_limit_leaves(tmp_path: Path, limit: str, free: int) -> None:
    root = machine(tmp_path, available=600, limit=limit, used=200 * 1024, cached=50 * 1024)
    assert card_of("cpu", "float32", root=root).free == free


def test_a_limit_on_the_process_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {resource.RLIMIT_AS: 450 * 1024, resource.RLIMIT_DATA: resource.RLIM_INFINITY}
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (limits[kind], resource.RLIM_INFINITY))
    assert card_of("cpu", "float32", root=machine(tmp_path, available=600)).free == 150 * 1024


def test_a_system_that_tells_nothing_still_has_memory(tmp_path: Path) -> None:
    assert card_of("cpu", "float32", root=tmp_path).free > 0


# Ladders


def test_a_large_card_keeps_everything_ready() -> None:
    first = ladder(Parts.of(manifest_of("wan2.1-t2v-1.3b")), plan_of("wan2.1-t2v-1.3b"), gpu(80))[0]
    assert str(first).startswith("memory    all parts kept ready: about ")
    assert str(first).endswith(" of 80.0 GiB")
    assert first.placings["transformer"] == Placing()
    assert first.draw_frames == DRAW_FRAMES


@pytest.mark.parametrize("name", ["wan2.1-t2v-1.3b", "wan2.2-ti2v-5b", "wan2.2-t2v-a14b"])
@pytest.mark.parametrize("card", [gpu(80), gpu(24), gpu(24, host=256), cpu(128)], ids=str)
def test_every_rung_fits_takes_longer_and_needs_less(name: str, card: Card) -> None:
    rungs = ladder(Parts.of(manifest_of(name)), plan_of(name), card)
    assert all(rung.peak_bytes < card.free for rung in rungs)
    for above, below in pairwise(rungs):
        assert below.peak_bytes < 0.95 * above.peak_bytes
        assert below.seconds >= above.seconds
    assert all(rung.seconds >= plan_of(name).seconds_expected for rung in rungs)


def test_two_experts_that_do_not_fit_together_take_turns() -> None:
    rungs = ladder(Parts.of(manifest_of("wan2.2-t2v-a14b")), plan_of("wan2.2-t2v-a14b"), gpu(48))
    assert rungs[0].placings["transformer"] == rungs[0].placings["transformer_low"] == Placing(stays="turn")
    assert "one expert at a time" in str(rungs[0])


def test_blocks_come_from_pinned_memory_where_that_has_room_and_from_their_files_where_not() -> None:
    parts, plan = Parts.of(manifest_of("wan2.1-t2v-14b")), plan_of("wan2.1-t2v-14b")
    hosted, mapped = (ladder(parts, plan, gpu(20, host=host))[0] for host in (128, 16))
    assert hosted.placings["transformer"] == Placing(where="host")
    assert "streamed from the machine's memory" in hosted.words
    assert mapped.placings["transformer"] == Placing(where="file")
    assert "streamed from their files" in mapped.words


def test_what_is_used_once_makes_room_first() -> None:
    name = "wan2.1-i2v-14b-480p"
    parts, card = Parts.of(manifest_of(name)), gpu(80)
    rungs = ladder(parts, replace(plan_of("wan2.1-t2v-14b"), model=name), card)
    streamed = [rung for rung in rungs if rung.placings["transformer"].where != "device"]
    assert streamed
    assert all(rung.placings["image"].stays == "use" for rung in streamed)
    assert all("image encoder freed after reading" in rung.words for rung in streamed)


def test_a_text_encoder_that_fetches_its_blocks_weighs_one_of_them() -> None:
    parts, plan = Parts.of(manifest_of("wan2.1-t2v-1.3b")), plan_of("wan2.1-t2v-1.3b")
    whole = replace(parts, by_name={**parts.by_name, "text": replace(parts.by_name["text"], fetches=False)})
    one_by_one, at_once = (max(rung.peak_bytes for rung in ladder(each, plan, gpu(80))) for each in (parts, whole))
    # At once, its place is free again after reading: it weighs only while nothing else does.
    assert at_once > one_by_one
    assert parts.by_name["text"].fetches


def test_a_model_of_kinoras_own_stays_and_only_draws_in_smaller_pieces() -> None:
    text = asdict(TextEncoderConfig(vocabulary=90))
    manifest = manifest_of("wan2.1-t2v-1.3b", family="")
    manifest = replace(manifest, parts={**manifest.parts, "text": text, "codec": {}})
    rungs = ladder(Parts.of(manifest), plan_of("wan2.1-t2v-1.3b"), cpu(64))
    assert {placing for rung in rungs for placing in rung.placings.values()} == {Placing()}
    assert rungs[0].draw_frames == DRAW_FRAMES


def test_what_is_held_is_what_its_placing_takes() -> None:
    parts, plan = Parts.of(manifest_of("wan2.1-t2v-14b")), plan_of("wan2.1-t2v-14b")
    ready, streamed = ladder(parts, plan, gpu(80))[0], ladder(parts, plan, gpu(20))[0]
    part = parts.by_name["transformer"]
    assert held_bytes(parts, ready, ["transformer"]) == 2 * part.parameters
    assert held_bytes(parts, streamed, ["transformer"]) == part.outside_bytes(2) + 4 * part.block_parameters
    assert held_bytes(parts, ready, []) == 0
    # Stored in float32 and used in it on a CPU: it stays mapped, and takes nothing from anybody.
    assert held_bytes(parts, ladder(parts, plan, cpu(256))[0], ["transformer"]) == 0


def test_no_room_at_all_names_need_supply_and_remedy() -> None:
    with pytest.raises(MemoryShortage) as caught:
        ladder(Parts.of(manifest_of("wan2.2-t2v-a14b")), plan_of("wan2.2-t2v-a14b"), gpu(4))
    message = str(caught.value)
    assert "wan2.2-t2v-a14b needs about" in message
    assert "81 frames of 1280 x 720" in message
    assert "A GPU has 4.0 GiB free" in message
    assert "shorter film" in message


def test_more_tokens_need_more_and_pairs_need_double() -> None:
    parts = Parts.of(manifest_of("wan2.1-t2v-1.3b"))
    few, many = (parts.imagine_bytes(tokens, 2, sides=1) for tokens in (10_000, 20_000))
    assert many - few == pytest.approx(few, rel=0.25)
    one, both = (parts.imagine_bytes(2000, 2, sides=sides) for sides in (1, 2))
    assert both == 2 * one
    assert parts.imagine_bytes(2000, 2, sides=1, own_levels=True) > one


def test_a_streamed_part_takes_all_but_its_blocks_and_two_of_these() -> None:
    part = Part(parameters=100, stored_bytes=400, blocks=8, block_parameters=10)
    assert part.outside_bytes(2) == 40
