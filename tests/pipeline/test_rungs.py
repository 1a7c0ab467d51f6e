"""When memory gives out: real allocators that refuse, films that go on, and peaks as they were foretold."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from kinora.core.errors import MemoryShortage
from kinora.pipeline.falling import chunks_with_fallback, is_memory_error, with_fallback
from kinora.pipeline.memory import Chunk
from kinora.pipeline.parts import transformer_bytes
from kinora.pipeline.residency import DRAW_FRAMES, Placing, Rung
from kinora.transformer.config import TransformerConfig
from kinora.transformer.model import Transformer

MIB = 2**20
READY_PLACE = Placing()


def rung(transformer: Placing = READY_PLACE, *, peak: int = 3 * 2**30, draw_frames: int = DRAW_FRAMES) -> Rung:
    return Rung(
        device="cpu",
        dtype="float32",
        placings={"transformer": transformer, "text": Placing(), "codec": Placing()},
        draw_frames=draw_frames,
        peak_bytes=peak,
        total_bytes=8 * 2**30,
        seconds=1.0,
    )


READY, SMALL_PIECES, STREAMED = rung(), rung(draw_frames=1), rung(Placing(where="file"))


def give_out() -> None:
    """A real refusal of torch's allocator."""
    torch.empty(2**61, dtype=torch.uint8)


# Which errors mean it


def test_what_torchs_allocator_raises_is_known() -> None:
    with pytest.raises(RuntimeError) as caught:
        give_out()
    assert is_memory_error(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("unable to mmap 7 bytes from file <x>: Cannot allocate memory (12)"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] data. DefaultCPUAllocator: not enough memory: you tried"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    ],
    ids=repr,
)
def test_every_way_of_saying_it_is_known(error: Exception) -> None:
    assert is_memory_error(error)


@pytest.mark.parametrize("error", [RuntimeError("The size of tensor a must match"), ValueError("out of memory")])
def test_other_errors_are_not_it(error: Exception) -> None:
    assert not is_memory_error(error)


# Falling


def test_the_first_rung_that_holds_is_the_last_one_tried() -> None:
    tried: list[Rung] = []
    said: list[str] = []

    def run(one: Rung) -> str:
        tried.append(one)
        if one is not STREAMED:
            give_out()
        return "made"

    assert with_fallback([READY, SMALL_PIECES, STREAMED, READY], run, said.append) == "made"
    assert tried == [READY, SMALL_PIECES, STREAMED]
    small, streamed = "pictures drawn one latent frame at a time", "blocks streamed from their files"
    assert said == [
        f"Memory gave out with all parts kept ready; going on with {small}.",
        f"Memory gave out with {small}; going on with {streamed}.",
    ]


def test_below_the_last_rung_there_is_a_sentence() -> None:
    with pytest.raises(MemoryShortage, match=r"even with blocks streamed from their files, for which about 3\.0 GiB"):
        with_fallback([READY, STREAMED], lambda _rung: give_out(), lambda _sentence: None)


def test_an_error_of_another_kind_passes() -> None:
    def run(_rung: Rung) -> None:
        raise RuntimeError("The size of tensor a (3) must match")

    with pytest.raises(RuntimeError, match="size of tensor"):
        with_fallback([READY, STREAMED], run, lambda _sentence: None)


def test_nothing_of_the_failed_work_is_left() -> None:
    big: list[weakref.ref[torch.Tensor]] = []

    def run(one: Rung) -> bool:
        if one is READY:
            held = torch.ones(4 * MIB)
            big.append(weakref.ref(held))
            give_out()
        return big[0]() is None

    assert with_fallback([READY, STREAMED], run, lambda _sentence: None)


def chunk(number: int) -> Chunk:
    return Chunk(frames_FHWC=np.full((1, 2, 2, 3), number, np.uint8), memory=bytes([number]))


def film(breaks: dict[int, Rung], seen: list[tuple[Rung, bytes | None]]) -> Iterator[Chunk]:
    """Four chunks; memory gives out before a chunk on the rung that `breaks` names for it."""

    def run(one: Rung, memory: bytes | None) -> Iterator[Chunk]:
        seen.append((one, memory))
        for number in range(memory[0] + 1 if memory else 0, 4):
            if breaks.get(number) is one:
                give_out()
            yield chunk(number)

    return chunks_with_fallback([READY, SMALL_PIECES, STREAMED], run, lambda _sentence: None)


def test_a_film_goes_on_behind_its_last_chunk() -> None:
    seen: list[tuple[Rung, bytes | None]] = []
    made = [one.memory[0] for one in film({2: READY, 3: SMALL_PIECES}, seen)]
    assert made == [0, 1, 2, 3]
    assert seen == [(READY, None), (SMALL_PIECES, b"\x01"), (STREAMED, b"\x02")]


def test_a_film_that_fits_nowhere_still_gives_what_was_made() -> None:
    made: list[int] = []
    with pytest.raises(MemoryShortage):
        for one in film({1: READY, 2: SMALL_PIECES, 3: STREAMED}, []):
            made.append(one.memory[0])  # noqa: PERF401
    assert made == [0, 1, 2]


def test_a_film_that_is_stopped_stops_its_run() -> None:
    stopped: list[bool] = []

    def run(_rung: Rung, _memory: bytes | None) -> Iterator[Chunk]:
        try:
            yield chunk(0)
        finally:
            stopped.append(True)

    made = chunks_with_fallback([READY], run, lambda _sentence: None)
    next(made)
    made.close()
    assert stopped == [True]


# In a process of its own

CONFIG = TransformerConfig(
    width=256, layers=24, heads=2, ffn_width=1024, channels=4, text_width=16, text_length=8, pose_width=0, mouth_width=0
)

CHILD = """
import re, resource, sys
from pathlib import Path
import numpy as np, torch
from kinora.codec.build import build_codec
from kinora.flow.schedule import schedule
from kinora.flow.solvers import sample
from kinora.flow.state import initial_state
from kinora.pipeline.falling import chunks_with_fallback
from kinora.pipeline.memory import Chunk
from kinora.pipeline.residency import DRAW_FRAMES, Placing, Rung
from kinora.pipeline.resident import Resident, Source, precise
from kinora.transformer.conditions import Conditions
from kinora.transformer.config import TransformerConfig
from kinora.transformer.model import Transformer
from kinora.weights.mapped import fill, open_tensors

weights, folder, spare = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(1)
CONFIG = TransformerConfig({config})
codec = build_codec({{"compression": {{"time": 4, "space": 8}}, "channels": 4, "trunk_blocks": 0, "picture_blocks": 0}})
codec.requires_grad_(False)

def opened():
    with torch.device("meta"):
        module = Transformer(CONFIG)
    fill(module, open_tensors([weights]), "the transformer")
    return module

def run(rung, memory):
    resident = Resident({{"transformer": Source(open=opened, blocks="blocks", keep=precise)}}, rung)
    for segment in range(memory[0] + 1 if memory else 0, 2):
        with resident.use("transformer") as transformer, torch.inference_mode():
            prepared = transformer.prepare(Conditions(text_BLD=torch.ones(1, 3, 16)))
            velocity = lambda x, sigma, position: transformer(x, sigma, position, prepared)
            latent = sample(velocity, initial_state((4, 3, 8, 8), seed=segment), schedule(2, 3.0), "euler")
            frames = ((codec.decode(latent) + 1) * 127.5).byte()[0].permute(1, 2, 3, 0).numpy()
        del transformer, velocity
        yield Chunk(frames_FHWC=frames, memory=bytes([segment]))

def rung(where):
    placings = {{"transformer": Placing(where=where), "text": Placing(), "codec": Placing()}}
    return Rung(device="cpu", dtype="float32", placings=placings, draw_frames=DRAW_FRAMES,
                peak_bytes=1, total_bytes=1, seconds=1.0)

def film(name, rungs):
    made = list(chunks_with_fallback(rungs, run, print))
    np.save(folder / name, np.concatenate([chunk.frames_FHWC for chunk in made]))

film("whole.npy", [rung("device")])
size = 1024 * int(re.search(r"VmSize:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
resource.setrlimit(resource.RLIMIT_AS, (size + spare, size + spare))
film("tight.npy", [rung("device"), rung("file")])
"""


def child(code: str, *arguments: object) -> str:
    """What a process of its own prints; its allocator gives freed memory back at once, as large tensors do anywhere."""
    settings = {"OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": str(128 * 1024)}
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's account of a process's memory")
def test_a_process_without_the_memory_falls_and_makes_the_same_frames(tmp_path: Path) -> None:
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in Transformer(CONFIG).state_dict().items()}
    generator = torch.Generator().manual_seed(5)
    tensors = {name: (0.05 * torch.randn(shape, generator=generator)).bfloat16() for name, shape in shapes.items()}
    stored = sum(tensor.nbytes for tensor in tensors.values())
    safetensors.torch.save_file(tensors, tmp_path / "weights.safetensors")
    code = CHILD.format(config=", ".join(f"{name}={value!r}" for name, value in vars(CONFIG).items()))

    # Enough to open the file (which maps it twice for a moment) and for a few blocks; all of them in float32 would take
    # two files' room beside the mapped one.
    said = child(code, tmp_path / "weights.safetensors", tmp_path, int(2.6 * stored))
    assert said == "Memory gave out with all parts kept ready; going on with blocks streamed from their files.\n"
    whole, tight = np.load(tmp_path / "whole.npy"), np.load(tmp_path / "tight.npy")
    assert whole.shape == (18, 64, 64, 3)
    assert whole.std() > 1
    assert np.array_equal(whole, tight)


ACTIVATIONS = textwrap.dedent(
    """
    import sys
    import torch
    from kinora.transformer.conditions import Conditions
    from kinora.transformer.config import TransformerConfig
    from kinora.transformer.model import Transformer
    torch.set_num_threads(1)
    held = []

    def peak():
        # Not ru_maxrss: that remembers the process this one was forked from.
        lines = open("/proc/self/status").read().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

    @torch.inference_mode()
    def ask(model, own, frames, side):
        sigma = torch.rand(1, frames, side, side) if own else torch.full((1, frames, side, side), 0.5)
        prepared = model.prepare(Conditions(text_BLD=torch.randn(1, 20, 64)))
        model(torch.randn(1, 16, frames, side, side), sigma, torch.arange(float(frames))[None], prepared)

    for case in sys.argv[1:]:
        width, heads, inner, own = map(int, case.split(","))
        config = TransformerConfig(width=width, layers=2, heads=heads, ffn_width=inner, channels=16, text_width=64,
                                   text_length=64, pose_width=0, mouth_width=0)
        model = Transformer(config).eval().requires_grad_(False)
        ask(model, own, 1, 8)
        # More than was ever held, so that what comes on top of it is a new peak.
        held.append(torch.ones(48 * 2**20))
        before = peak()
        ask(model, own, 2, 64)
        print(peak() - before)
    """
)


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are told in other units elsewhere")
def test_what_a_transformer_needs_at_work_was_foretold() -> None:
    cases = [(512, 4, 2988, 0), (512, 4, 1382, 0), (256, 2, 1024, 1)]
    measured = child(ACTIVATIONS, *(",".join(map(str, case)) for case in cases)).split()
    for (width, heads, inner, own), peak in zip(cases, map(int, measured), strict=True):
        config = TransformerConfig(
            width=width, layers=2, heads=heads, ffn_width=inner, channels=16, text_width=64, text_length=64
        )
        foretold = transformer_bytes(config, 2 * 32 * 32, 4, pieces=True, own_levels=bool(own))
        assert foretold == pytest.approx(peak, rel=0.25)
