"""Parts that come and go, blocks that come one by one: the numbers are the same, the memory is not."""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from kinora.pipeline.residency import DRAW_FRAMES, Placing, Rung
from kinora.pipeline.resident import Resident, Source, precise
from kinora.pipeline.streaming import BlockLayout, StreamedBlocks, place_module, stream_blocks
from kinora.transformer.conditions import Conditions
from kinora.transformer.config import TransformerConfig
from kinora.transformer.model import Transformer
from kinora.weights.mapped import fill, open_tensors

CPU = torch.device("cpu")
CONFIG = TransformerConfig(
    width=32, layers=5, heads=2, ffn_width=64, channels=4, text_width=16, text_length=8, pose_width=0, mouth_width=0
)
LATENT_BCTHW = torch.randn(1, 4, 3, 4, 4, generator=torch.Generator().manual_seed(1))
TEXT_BLD = torch.randn(1, 5, 16, generator=torch.Generator().manual_seed(2))


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def weights(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transformer's file, stored in one type or another."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        module = Transformer(CONFIG)
        nn.init.normal_(module.head.head.weight, std=0.2)
    path = tmp_path_factory.mktemp("weights") / f"{request.param}.safetensors"
    dtype = getattr(torch, request.param)
    safetensors.torch.save_file({name: tensor.to(dtype) for name, tensor in module.state_dict().items()}, path)
    return path


def opened(path: Path) -> Transformer:
    """As the pipeline opens one: on meta, filled with tensors mapped from the file."""
    with torch.device("meta"):
        module = Transformer(CONFIG)
    fill(module, open_tensors([path]), "the transformer")
    return module


def source(path: Path) -> Source:
    return Source(open=lambda: opened(path), blocks="blocks", keep=precise)


def rung(device: str = "cpu", dtype: str = "float32", **placings: Placing) -> Rung:
    return Rung(
        device=device, dtype=dtype, placings=placings, draw_frames=DRAW_FRAMES, peak_bytes=1, total_bytes=1, seconds=1.0
    )


def velocity(transformer: Transformer, device: torch.device = CPU) -> Tensor:
    """Prepared and asked, as a film asks it."""
    conditions = Conditions(text_BLD=TEXT_BLD.to(device))
    position_BT = torch.arange(3.0, device=device)[None]
    with torch.inference_mode():
        prepared = transformer.prepare(conditions)
        return transformer(LATENT_BCTHW.to(device), torch.full((1, 3, 4, 4), 0.5, device=device), position_BT, prepared)


def resident_velocity(path: Path, placing: Placing, device: str = "cpu", *, times: int = 1) -> list[Tensor]:
    resident = Resident({"transformer": source(path)}, rung(device, transformer=placing))
    found = []
    for _ in range(times):
        with resident.use("transformer") as transformer:
            found.append(velocity(transformer, torch.device(device)))
    return found


# The same numbers


@pytest.mark.parametrize("stays", ["always", "turn", "use"])
def test_streamed_blocks_give_the_same_numbers_to_the_bit(weights: Path, stays: str) -> None:
    whole = resident_velocity(weights, Placing())[0]
    assert whole.abs().max() > 0.01
    for streamed in resident_velocity(weights, Placing(where="file", stays=stays), times=2):
        assert torch.equal(streamed, whole)


def test_it_works_inside_inference_mode_too(weights: Path) -> None:
    with torch.inference_mode():
        streamed = resident_velocity(weights, Placing(where="file", stays="use"), times=2)
    assert torch.equal(streamed[1], resident_velocity(weights, Placing())[0])


def test_a_walk_that_broke_off_leaves_the_next_one_whole(weights: Path) -> None:
    module = opened(weights)
    stream_blocks(module, "blocks", device=CPU, dtype=torch.float32, where="file")
    whole = velocity(module)
    for number, _ in enumerate(module.blocks):
        if number == 2:
            break
    assert torch.equal(velocity(module), whole)


def test_blocks_inside_another_module_are_found_by_their_path(weights: Path) -> None:
    outer = nn.Module()
    outer.inner = opened(weights)
    stream_blocks(outer, "inner.blocks", device=CPU, dtype=torch.float32, where="file")
    assert isinstance(outer.inner.blocks, StreamedBlocks)
    assert len(outer.inner.blocks) == CONFIG.layers
    assert torch.equal(velocity(outer.inner), resident_velocity(weights, Placing())[0])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("where", ["host", "file"])
def test_blocks_streamed_to_a_gpu_give_the_same_numbers_to_the_bit(weights: Path, where: str) -> None:
    whole = resident_velocity(weights, Placing(), "cuda")[0]
    for streamed in resident_velocity(weights, Placing(where=where), "cuda", times=3):
        assert torch.equal(streamed, whole)


# Where and in what


def test_weights_come_in_the_rungs_type_but_for_those_that_work_in_float32(tmp_path: Path) -> None:
    module = Transformer(CONFIG)
    resident = Resident(
        {"transformer": Source(open=lambda: copy.deepcopy(module), blocks="blocks", keep=precise)},
        rung(dtype="bfloat16", transformer=Placing(where="file")),
    )
    with resident.use("transformer") as streamed:
        assert streamed.patch_embedding.weight.dtype == torch.bfloat16
        assert streamed.time_embedding[0].weight.dtype == torch.float32
        for block, original in zip(streamed.blocks, module.blocks, strict=True):
            assert block.ffn[0].weight.dtype == torch.bfloat16
            assert block.modulation.dtype == block.self_attn.norm_q.weight.dtype == torch.float32
            assert torch.equal(block.ffn[0].weight, original.ffn[0].weight.to(torch.bfloat16))
            assert torch.equal(block.modulation, original.modulation)


def test_what_is_as_it_should_be_is_not_copied(weights: Path) -> None:
    module = opened(weights)
    stored = getattr(torch, weights.stem)
    places = {name: tensor.data_ptr() for name, tensor in module.state_dict().items()}
    place_module(module, device=CPU, dtype=stored)
    assert {name: tensor.data_ptr() for name, tensor in module.state_dict().items()} == places
    stream_blocks(module, "blocks", device=CPU, dtype=stored, where="file")
    for number, block in enumerate(module.blocks):
        assert block.ffn[0].weight.data_ptr() == places[f"blocks.{number}.ffn.0.weight"]


def test_converted_blocks_share_one_place(weights: Path) -> None:
    module = opened(weights)
    other = torch.float64
    stream_blocks(module, "blocks", device=CPU, dtype=other, where="file")
    assert len({block.ffn[0].weight.data_ptr() for block in module.blocks}) == 1
    assert {block.ffn[0].weight.dtype for block in module.blocks} == {other}


def test_tensors_that_two_modules_share_stay_shared() -> None:
    module = nn.ModuleDict({"one": nn.Linear(3, 3), "two": nn.Linear(3, 3)})
    module["two"].weight = module["one"].weight
    place_module(module, device=CPU, dtype=torch.float64)
    assert module["two"].weight is module["one"].weight
    assert module["one"].weight.dtype == torch.float64


def test_a_layout_begins_tensors_at_round_places_and_leaves_whole_numbers_alone() -> None:
    block = nn.Module()
    block.weight = nn.Parameter(torch.arange(6.0).view(2, 3))
    block.register_buffer("index", torch.arange(5))
    layout = BlockLayout.of(block, torch.bfloat16, lambda _name: False)
    views = layout.views(torch.zeros(layout.bytes, dtype=torch.uint8))
    layout.pack(views, block.state_dict())
    assert [part.start % 256 for part in layout.slices] == [0, 0]
    assert torch.equal(views["weight"], block.weight.to(torch.bfloat16))
    assert torch.equal(views["index"], block.index)


# Coming and going


class Counted(nn.Linear):
    """A part that knows whether it is still there."""

    def __init__(self, alive: list[weakref.ref[nn.Module]]) -> None:
        super().__init__(4, 4)
        alive.append(weakref.ref(self))


@pytest.fixture
def alive() -> dict[str, list[weakref.ref[nn.Module]]]:
    return {"transformer": [], "transformer_low": [], "text": []}


def living(references: list[weakref.ref[nn.Module]]) -> int:
    gc.collect()
    return sum(reference() is not None for reference in references)


def resident_of(alive: dict[str, list[weakref.ref[nn.Module]]], **placings: Placing) -> Resident:
    def opener(name: str) -> Callable[[], nn.Module]:
        return lambda: Counted(alive[name])

    return Resident({name: Source(open=opener(name)) for name in alive}, rung(**placings))


def test_a_part_kept_ready_is_opened_once(alive: dict[str, list[weakref.ref[nn.Module]]]) -> None:
    resident = resident_of(alive)
    for _ in range(3):
        with resident.use("text") as text:
            assert text.weight.shape == (4, 4)
    assert len(alive["text"]) == 1
    assert resident.held == ("text",)
    del text
    resident.close()
    assert living(alive["text"]) == 0


def test_a_part_of_one_use_is_gone_afterwards_and_comes_anew(alive: dict[str, list[weakref.ref[nn.Module]]]) -> None:
    resident = resident_of(alive, text=Placing(stays="use"))
    for times in (1, 2):
        with resident.use("text"), resident.use("text"):
            assert living(alive["text"]) == 1
        assert living(alive["text"]) == 0
        assert len(alive["text"]) == times


def test_a_part_of_one_use_is_gone_after_an_error_too(alive: dict[str, list[weakref.ref[nn.Module]]]) -> None:
    resident = resident_of(alive, text=Placing(stays="use"))
    with pytest.raises(ZeroDivisionError), resident.use("text"):
        raise ZeroDivisionError
    assert resident.held == ()
    assert living(alive["text"]) == 0


def test_experts_take_turns(alive: dict[str, list[weakref.ref[nn.Module]]]) -> None:
    turn = Placing(stays="turn")
    resident = resident_of(alive, transformer=turn, transformer_low=turn)
    for _ in range(2):
        with resident.use("transformer"):
            pass
        assert resident.held == ("transformer",)
    with resident.use("transformer_low"):
        assert resident.held == ("transformer_low",)
        assert living(alive["transformer"]) == 0
    assert len(alive["transformer"]) == 1


def test_a_part_in_use_is_not_taken_away(alive: dict[str, list[weakref.ref[nn.Module]]]) -> None:
    turn = Placing(stays="turn")
    resident = resident_of(alive, transformer=turn, transformer_low=turn)
    with resident.use("transformer") as first, resident.use("transformer_low"):
        assert resident.held == ("transformer", "transformer_low")
        assert first.weight is not None


def test_a_part_that_fetches_its_own_weights_is_left_as_it_comes(weights: Path) -> None:
    own = opened(weights)
    resident = Resident({"text": Source(open=lambda: own, fetches=True)}, rung(dtype="float64", text=Placing()))
    with resident.use("text") as text:
        assert text is own
        assert text.head.head.weight.dtype == getattr(torch, weights.stem)


def test_a_part_is_finished_once_it_lies_where_it_should() -> None:
    seen: list[torch.dtype] = []

    def finish(part: nn.Linear) -> nn.Linear:
        seen.append(part.weight.dtype)
        return part

    resident = Resident({"codec": Source(open=lambda: nn.Linear(2, 2), finish=finish)}, rung(dtype="float64"))
    with resident.use("codec"), resident.use("codec"):
        pass
    assert seen == [torch.float64]
    assert "codec" in resident
    assert "image" not in resident
