"""Recipe: three minutes that decide how a run is spent.

Renderer, codec and transformer are timed on the device at hand, each against what the device makes of one large matrix
product in the same minutes; from the figures follow the model's size, its batch and its steps. What was chosen, from
what, and why goes into a JSON file, and from there into the model's manifest and card.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kinora.codec import Codec, CodecConfig
from kinora.control.frames import face_mask
from kinora.core.errors import InputError
from kinora.core.visemes import MOUTH_AXES
from kinora.language.encoder import TextEncoder
from kinora.recipes.sizes import Size, neighbours
from kinora.training.batches import Batch
from kinora.training.codec import CodecObjective, codec_step
from kinora.training.files import write_json
from kinora.training.generator import Generator
from kinora.training.library import LibraryConfig
from kinora.training.objective import draw_step, generator_loss
from kinora.training.optimise import Optimisers
from kinora.training.rendering import render_library
from kinora.training.throughput import count_flops, matmul_peak, synchronise
from kinora.transformer.model import Transformer

__all__ = ["Candidate", "Question", "choose", "chosen_size", "probe_recipe"]

VIEWS_A_MILLION = 10_000
"""Clips that a model should see for every million of its parameters: a Pong model of 16 M learnt from 160,000
(github.com/wendlerc/toy-wm), and 30 M do well in a closed world with 300,000 to 1,500,000.
"""
CLOSE = 0.95
"""A smaller batch is taken when it is at least so fast: the same clips make more steps."""
VIEWS_A_CLIP = 100.0
"""Views of each clip from which on rendering is what binds: a library twice as large would teach more than the same
time spent on looking again.
"""
WORDS = 2048
"""Size of the vocabulary that the probe makes up."""
PACKAGE_MIB = 30.0
"""What the transformer may weigh in the package: 36 MiB, less codec, text and reader."""
_REPEATS = 5


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is to be decided."""

    size: Size
    minutes: float
    """For the transformer's training."""
    render_minutes: float
    device: str = "cpu"
    processes: int = 1
    mix: str = "wide"
    compile_blocks: bool = False
    limit: float = 180.0
    """Seconds after which no further candidate is tried."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A transformer at one batch, timed."""

    width: int
    layers: int
    heads: int
    ffn_width: int
    parameters: int
    batch: int
    seconds_a_step: float
    clips_a_second: float
    gflops: float
    share_of_limit: float


def probe_recipe(out: Path, question: Question, *, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure and choose; writes `out` and returns what it holds."""
    began = time.monotonic()
    peak = matmul_peak(question.device)
    say(f"probe: matrix product {peak / 1e9:.0f} GFLOP/s on {question.device}")
    rendered = _renderer(question)
    say(f"probe: renderer {rendered['clips_a_second']:.1f} clips a second, {question.processes} processes")
    codec = _codec(question, peak)
    say(f"probe: codec encodes {codec['encode_clips_a_second']:.1f} clips a second")
    candidates = _candidates(question, peak, began, say)
    record: dict[str, Any] = {
        "device": _device_name(question.device), "threads": torch.get_num_threads(), "torch": str(torch.__version__),
        "peak_gflops": peak / 1e9, "renderer": rendered, "codec": codec,
        "candidates": [dataclasses.asdict(candidate) for candidate in candidates],
        "choice": choose(candidates, question, rendered["clips_a_second"]),
        "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip
    say(f"probe: {record['choice']['reason']}")
    out.parent.mkdir(parents=True, exist_ok=True)
    write_json(out, record)
    return record


def _candidates(question: Question, peak: float, began: float, say: Callable[[str], None]) -> list[Candidate]:
    """Every neighbour of the size at every batch, as far as time and memory go; the size itself comes first."""
    found: list[Candidate] = []
    for size in neighbours(question.size):
        for batch in _batches(size):
            if found and time.monotonic() - began > question.limit:
                return found
            candidate = _transformer(size, batch, question, peak)
            if candidate is not None:
                found.append(candidate)
                say(
                    f"probe: width {candidate.width}, layers {candidate.layers}, batch {batch}: "
                    f"{candidate.clips_a_second:.1f} clips a second, {100 * candidate.share_of_limit:.0f}% of the limit"
                )
    return found


def choose(candidates: Sequence[Candidate], question: Question, rendered: float) -> dict[str, Any]:
    """The largest model that still sees enough clips in its time, at its fastest batch; else the smallest one.

    `rendered` are the clips a second that the renderer makes.
    """
    if not candidates:
        raise InputError(
            f"No transformer near size {question.size.name} fits on {question.device}; take a smaller --size."
        )
    seconds = 60.0 * question.minutes
    best = [_fastest(alike) for alike in _by_model(candidates)]
    best.sort(key=lambda candidate: candidate.parameters)
    fed = [c for c in best if c.clips_a_second * seconds >= VIEWS_A_MILLION * c.parameters / 1e6]
    chosen = (fed or best[:1])[-1]
    views, clips = chosen.clips_a_second * seconds, max(1.0, 60.0 * question.render_minutes * rendered)
    binds = views / clips > VIEWS_A_CLIP
    reason = (
        f"{chosen.parameters / 1e6:.1f} M parameters at batch {chosen.batch}: {views:,.0f} views in "
        f"{question.minutes:.0f} minutes, {VIEWS_A_MILLION:,} wanted for each million"
        + ("" if fed else " and reached by no candidate, so the smallest")
        + f"; {clips:,.0f} clips rendered in {question.render_minutes:.0f} minutes, each seen {views / clips:.1f} times"
        + (" (rendering binds: give it more of the time)" if binds else "")
    )
    return {
        "width": chosen.width, "layers": chosen.layers, "heads": chosen.heads, "ffn_width": chosen.ffn_width,
        "batch": chosen.batch, "steps": int(seconds / chosen.seconds_a_step), "clips": int(clips),
        "rendering_binds": binds, "storage": "bfloat16" if chosen.parameters / 2**19 <= PACKAGE_MIB else "int8",
        "reason": reason,
    }  # fmt: skip


def chosen_size(path: Path, size: Size) -> Size:
    """`size` with the transformer and the batch that a probe chose; raises `InputError` for what is no probe's file."""
    try:
        choice = json.loads(path.read_text(encoding="utf-8"))["choice"]
        batch = int(choice["batch"])
        return dataclasses.replace(
            size, transformer_width=choice["width"], transformer_layers=choice["layers"],
            transformer_heads=choice["heads"], ffn_width=choice["ffn_width"], video_batch=batch,
            image_batch=max(1, size.image_batch * batch // size.video_batch),
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} holds no choice of a probe ({error}); `kinora train probe` writes one.") from error


def _by_model(candidates: Sequence[Candidate]) -> list[list[Candidate]]:
    found: dict[tuple[int, int], list[Candidate]] = {}
    for candidate in candidates:
        found.setdefault((candidate.width, candidate.layers), []).append(candidate)
    return list(found.values())


def _fastest(alike: Sequence[Candidate]) -> Candidate:
    """The smallest batch that is about as fast as the fastest."""
    limit = CLOSE * max(candidate.clips_a_second for candidate in alike)
    return min((c for c in alike if c.clips_a_second >= limit), key=lambda candidate: candidate.batch)


def _batches(size: Size) -> list[int]:
    return sorted({max(1, size.video_batch // 2), size.video_batch, size.video_batch * 4 // 3})


def _renderer(question: Question) -> dict[str, Any]:
    """Clips a second with truth, captions and maps, from the first finished shard on: starting is paid once."""
    size, shard = question.size, 4 if question.device == "cpu" else 16
    config = LibraryConfig(
        count=3 * shard * question.processes, height=size.height, width=size.width, latent_frames=size.latent_frames,
        first_seed=950_000_000, mix=question.mix, shard_clips=shard, map_cell=size.codec.compression.space,
    )  # fmt: skip
    marks = [(time.monotonic(), 0)]

    def mark(done: int, _: int) -> None:
        marks.append((time.monotonic(), done))

    with tempfile.TemporaryDirectory() as folder:
        render_library(
            Path(folder) / "library", config, device=question.device, processes=question.processes, on_progress=mark
        )
    (start, before), (end, after) = marks[1], marks[-1]
    return {
        "clips_a_second": (after - before) / (end - start), "frames_a_clip": 1 + 4 * (size.latent_frames - 1),
        "height": size.height, "width": size.width, "mix": question.mix, "processes": question.processes,
    }  # fmt: skip


def _codec(question: Question, peak: float) -> dict[str, Any]:
    """How fast clips become latents, and what share of the limit a step of the decoder's training reaches."""
    size, device = question.size, question.device
    codec = Codec(_with_decoder(size.codec)).to(device)
    frames, batch = 1 + 4 * (size.latent_frames - 1), 4
    video_BCFHW = torch.rand(batch, 3, frames, size.height, size.width, device=device) * 2 - 1
    with torch.inference_mode():
        encode = _seconds(lambda: codec.encode(video_BCFHW), device)
    generator = torch.Generator().manual_seed(0)
    objective = CodecObjective()

    def loss() -> Tensor:
        with torch.autocast("cuda", torch.bfloat16, enabled=device.startswith("cuda")):
            return codec_step(codec, video_BCFHW, generator, objective)[0]

    flops = count_flops(loss)
    taken = _seconds(lambda: loss().backward(), device)
    return {
        "encode_clips_a_second": batch / encode, "training_clips_a_second": batch / taken,
        "gflops": flops / taken / 1e9, "share_of_limit": flops / taken / peak,
    }  # fmt: skip


def _with_decoder(config: CodecConfig) -> CodecConfig:
    """A configuration whose decoder has something to learn."""
    return config if config.trunk_blocks else dataclasses.replace(config, trunk_blocks=1, picture_blocks=1)


def _transformer(size: Size, batch: int, question: Question, peak: float) -> Candidate | None:
    """A whole training step timed; None where the device has no room for it."""
    try:
        return _timed(size, batch, question, peak)
    except torch.cuda.OutOfMemoryError:
        return None


def _timed(size: Size, batch: int, question: Question, peak: float) -> Candidate:
    device = question.device
    torch.manual_seed(0)
    model = Generator(Transformer(size.transformer()), TextEncoder(size.text(WORDS))).to(device)
    optimisers = Optimisers(model.named_parameters(), size.optimiser)
    shown = _made_up(size, batch, device)
    draw = draw_step(0, 0, tuple(shown.clean_BCTHW.shape), size.objective, device)

    def loss() -> Tensor:
        with torch.autocast("cuda", torch.bfloat16, enabled=device.startswith("cuda")):
            return generator_loss(model.transformer, model.text(shown.ids_BL), shown, draw)

    def step() -> None:
        loss().backward()
        optimisers.clip()
        optimisers.step(1e-3)
        optimisers.zero_grad()

    flops = count_flops(loss)
    optimisers.zero_grad()
    if question.compile_blocks:
        for block in model.transformer.blocks:
            block.compile()
    taken = _seconds(step, device)
    return Candidate(
        width=size.transformer_width, layers=size.transformer_layers, heads=size.transformer_heads,
        ffn_width=size.ffn_width, parameters=sum(p.numel() for p in model.transformer.parameters()), batch=batch,
        seconds_a_step=taken, clips_a_second=batch / taken, gflops=flops / taken / 1e9,
        share_of_limit=flops / taken / peak,
    )  # fmt: skip


def _made_up(size: Size, batch: int, device: str) -> Batch:
    """A batch of the shapes of training: how long a step takes does not depend on what is in it."""
    cells, frames = size.codec.compression.space, size.latent_frames
    height, width = size.height // cells, size.width // cells
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(device)

    ids_BL = torch.randint(3, WORDS, (batch, size.text_length), generator=generator)
    return Batch(
        clean_BCTHW=normal(batch, size.codec.channels, frames, height, width),
        position_BT=(4.0 * torch.arange(frames)).expand(batch, -1).to(device),
        ids_BL=ids_BL.to(device),
        pose_BT12=normal(batch, frames, 12),
        mouth_BTS=normal(batch, frames, 12 * len(MOUTH_AXES)),
        face_BTHW=face_mask(torch.full((batch, frames, 3), 0.5, device=device), height, width),
    )


def _seconds(work: Callable[[], object], device: str) -> float:
    """Median time of some work, after two goes that warm up."""
    taken = []
    for _ in range(2 + _REPEATS):
        synchronise(device)
        start = time.perf_counter()
        work()
        synchronise(device)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[2:])


def _device_name(device: str) -> str:
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device
