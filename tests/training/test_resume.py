"""A run that is killed and resumed ends in the same weights, to the bit, as one that is not. Real SIGKILL."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kinora.training.checkpoint import load_checkpoint
from kinora.training.latents import LatentSet
from kinora.training.library import Library

PROGRAM = """
import sys
from pathlib import Path

import torch

from kinora.codec import Codec, CodecConfig
from kinora.language.encoder import TextEncoder, TextEncoderConfig
from kinora.language.tokenizer import build_vocabulary
from kinora.training.batches import ClipBatches
from kinora.training.generator import Generator, GeneratorJob, GeneratorStage
from kinora.training.latents import FrameEncoder, LatentSet
from kinora.training.library import Library
from kinora.training.objective import ObjectiveConfig
from kinora.training.plan import Stage
from kinora.training.run import Run, RunConfig
from kinora.transformer.config import TransformerConfig
from kinora.transformer.model import Transformer

torch.set_num_threads(1)
library, folder, steps = Library(Path(sys.argv[1])), Path(sys.argv[2]), int(sys.argv[3])
torch.manual_seed(0)
codec = Codec(CodecConfig(channels=8, trunk_blocks=0, picture_blocks=0))
tokenizer = build_vocabulary(text for texts in library.captions() for text in texts)
torch.manual_seed(0)
model = Generator(
    Transformer(
        TransformerConfig(
            width=32, layers=2, heads=2, ffn_width=64, channels=8, text_width=32, text_length=64, pose_width=12,
            mouth_width=48,
        )
    ),
    TextEncoder(TextEncoderConfig(vocabulary=len(tokenizer), width=32, layers=1, heads=2, ffn_width=64, length=64)),
)
batches = ClipBatches(
    library, LatentSet(library.folder, library.shards, FrameEncoder(codec).key), tokenizer, text_length=64, device="cpu"
)
stages = [
    GeneratorStage(stage=Stage(name="image", share=0.3, size=6), batches=batches, latent_frames=1),
    GeneratorStage(stage=Stage(name="video", share=0.7, size=4), batches=batches, latent_frames=3, image_share=0.2),
]
job = GeneratorJob(
    model, stages, objective=ObjectiveConfig(), tokenizer=tokenizer, codec=codec, prompts=("a ball",), device="cpu"
)
config = RunConfig(steps=steps, seed=3, checkpoint_seconds=0.05, log_steps=1, sheet_seconds=1e9)
sys.exit(0 if Run(folder, job, config).go() else 3)
"""
STEPS = 40


def start(program: Path, library: Library, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(program), str(library.folder), str(folder), str(STEPS)]
    return subprocess.Popen(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def finish(process: subprocess.Popen[bytes]) -> None:
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors.decode()


def send_after(process: subprocess.Popen[bytes], metrics: Path, step: int, number: int, code: int) -> None:
    """A signal once the run has logged `step`, wherever it is by then: in a step, or half-way through a checkpoint."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if metrics.exists() and len(metrics.read_bytes().splitlines()) > step:
            process.send_signal(number)
            process.communicate(timeout=60)
            assert process.returncode == code
            return
        time.sleep(0.002)
    pytest.fail(f"the run was over before step {step}: {process.communicate()[1].decode()}")


def digest(folder: Path) -> str:
    return hashlib.sha256((folder / "checkpoint.safetensors").read_bytes()).hexdigest()


def test_killed_and_resumed_ends_in_the_same_bits(library: Library, latents: LatentSet, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    unbroken = start(program, library, tmp_path / "unbroken")
    killed = start(program, library, tmp_path / "killed")
    send_after(killed, tmp_path / "killed" / "metrics.jsonl", 15, signal.SIGKILL, -signal.SIGKILL)
    finish(unbroken)
    finish(start(program, library, tmp_path / "killed"))

    assert digest(tmp_path / "killed") == digest(tmp_path / "unbroken")
    lines = [(tmp_path / name / "metrics.jsonl").read_text().splitlines() for name in ("unbroken", "killed")]
    logged = [[(line["step"], line["loss"]) for line in map(json.loads, those)] for those in lines]
    assert [step for step, _ in logged[1]] == list(range(STEPS))
    assert logged[0] == logged[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_it_loses_no_step(number: int, library: Library, latents: LatentSet, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    # Only the checkpoint written at the end could hold what was learnt.
    program.write_text(PROGRAM.replace("checkpoint_seconds=0.05", "checkpoint_seconds=1e9"), encoding="utf-8")
    metrics = tmp_path / "stopped" / "metrics.jsonl"
    send_after(start(program, library, tmp_path / "stopped"), metrics, 5, number, 3)
    logged = len(metrics.read_text().splitlines())
    assert load_checkpoint(tmp_path / "stopped" / "checkpoint.safetensors").step == logged < STEPS
    unbroken = start(program, library, tmp_path / "unbroken")
    finish(start(program, library, tmp_path / "stopped"))
    finish(unbroken)
    assert digest(tmp_path / "stopped") == digest(tmp_path / "unbroken")
