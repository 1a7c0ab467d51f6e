"""Blockings beside a library, and what a director is fed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from kinora.control.blocking import BLOCKING_CHANNELS, maps_of
from kinora.core.blocking import ACTIONS, KINDS, MOST_THINGS, NOTHING
from kinora.core.errors import Cancelled
from kinora.core.slots import CAMERAS
from kinora.language.director import Director, DirectorConfig
from kinora.language.encoder import TextEncoder, TextEncoderConfig
from kinora.language.tokenizer import Tokenizer
from kinora.training import blockings
from kinora.training.blockings import BlockingSet, clip_blocking
from kinora.training.direction import DirectorJob, read_scripts, script_tasks
from kinora.training.library import CAPTIONS, Library
from kinora.training.scenes import clip_scene
from kinora.world.simulate import simulate

POSITIONS = (0, 10, 20)


def test_a_rendered_library_has_its_blockings_and_an_older_one_gets_them(library: Library):
    paths = [library.stem(at).with_name(f"{library.stem(at).name}.blocking.npz") for at in range(2)]
    written = [path.read_bytes() for path in paths]
    paths[0].unlink()
    BlockingSet(library)
    assert [path.read_bytes() for path in paths] == written


def test_maps_are_those_of_the_clips_scene_a_little_off(library: Library, monkeypatch: pytest.MonkeyPatch):
    held = BlockingSet(library)
    clips_B, frames_BT = np.array([9, 2]), np.array([[0, 2], [0, 1]])

    def maps(seed: int) -> torch.Tensor:
        return held.take(clips_B, frames_BT, (4, 4), np.random.default_rng(seed), "cpu")

    assert torch.equal(maps(1), maps(1))
    assert not torch.equal(maps(1), maps(2))
    monkeypatch.setattr(blockings, "PLACE_ERROR", 0.0)
    monkeypatch.setattr(blockings, "SIZE_ERROR", 0.0)
    monkeypatch.setattr(blockings, "UNSAID", 0.0)
    exact = maps(1)
    assert exact.shape == (2, BLOCKING_CHANNELS, 2, 4, 4)
    for row, (clip, frames) in enumerate(zip(clips_B, frames_BT, strict=True)):
        scene = library.scene(int(clip))
        blocking = clip_blocking(scene, simulate(scene), library.positions_NT[clip][frames])
        assert torch.allclose(exact[row], maps_of(blocking, 4, 4)[0], atol=0.03)  # kept as float16


def test_looks_are_left_out_now_and_then_and_those_of_figures_beside_portraits(
    library: Library, monkeypatch: pytest.MonkeyPatch
):
    held = BlockingSet(library)
    held.look_NP3[:6, 0, 0] = KINDS.index("figure")
    every_B, first_BT = np.arange(12), np.zeros((12, 1), dtype=np.int64)
    kinds, looks = slice(0, len(KINDS)), slice(len(KINDS), BLOCKING_CHANNELS - 2)

    def weights(*, faceless: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
        maps = held.take(every_B, first_BT, (16, 16), np.random.default_rng(0), "cpu", faceless=faceless)
        return maps[:, kinds].sum(dim=(2, 3, 4)), maps[:, looks].sum()

    monkeypatch.setattr(blockings, "UNSAID", 0.0)
    all_said = weights()
    monkeypatch.setattr(blockings, "UNSAID", 1.0)
    unsaid = weights()
    assert torch.equal(all_said[0], unsaid[0])
    assert all_said[1] > 0
    assert unsaid[1] == 0
    monkeypatch.setattr(blockings, "UNSAID", 0.0)
    assert 0 < weights(faceless=True)[1] < all_said[1]


def test_scripts_are_sampled_once_and_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tasks = script_tasks(tmp_path / "scripts", ["training", "wide"], 3, POSITIONS, first_seed=50, split="train")
    assert [(task.mix, task.seeds) for task in tasks] == [("training", range(50, 53)), ("wide", range(50, 53))]
    heard: list[tuple[int, int]] = []
    pool = read_scripts(tasks, on_progress=lambda done, total: heard.append((done, total)))
    assert heard == [(1, 2), (2, 2)]
    assert len(pool) == 6
    assert {len(texts) for texts in pool.texts} == {len(CAPTIONS)}
    assert pool.look_NP3.shape == (6, MOST_THINGS, 3)
    assert pool.box_NTP4.shape == (6, len(POSITIONS), MOST_THINGS, 4)
    assert (pool.look_NP3[:, 0, 0] != NOTHING).all()
    filmed = [clip_scene(seed, mix=task.mix).camera for task in tasks for seed in task.seeds]
    assert [CAMERAS[kind] for kind, _ in pool.filmed_N2] == [camera.kind for camera in filmed]
    firsts = [clip_scene(seed, mix=task.mix).bodies[:1] for task in tasks for seed in task.seeds]
    told = [(body.action, ACTIONS[cue_4[0]]) for bodies, cue_4 in zip(firsts, pool.cue_NP4[:, 0], strict=True)
            for body in bodies]  # fmt: skip
    assert told
    assert all(done == cued for done, cued in told)
    assert (pool.cue_NP4[pool.look_NP3[..., 0] == NOTHING] == NOTHING).all()

    def refuse(*_: object) -> None:
        raise Cancelled("sampled again")

    monkeypatch.setattr("kinora.training.direction.clip_scene", refuse)
    again = read_scripts(tasks)
    assert again.texts == pool.texts
    assert np.array_equal(again.box_NTP4, pool.box_NTP4)


@pytest.mark.parametrize("says_more", [False, True])
def test_a_director_job_learns_and_leaves_the_text_encoder_alone(
    tmp_path: Path, tokenizer: Tokenizer, *, says_more: bool
):
    tasks = script_tasks(tmp_path, ["training"], 12, POSITIONS, first_seed=80, split="train")
    torch.manual_seed(0)
    config = TextEncoderConfig(vocabulary=len(tokenizer), width=16, layers=1, heads=2, ffn_width=16, length=64)
    text = TextEncoder(config)
    sizes = {"text_width": 16, "width": 16, "layers": 1, "heads": 2, "ffn_width": 16}
    model = Director(DirectorConfig(**sizes, positions=POSITIONS, films=says_more, cues=says_more))
    job = DirectorJob(model, text, read_scripts(tasks), tokenizer, size=8, device="cpu")
    assert job.loss("blocking", 1, 2).item() == job.loss("blocking", 1, 2).item()
    assert job.loss("blocking", 1, 2).item() != job.loss("blocking", 1, 3).item()
    before = text.embedding.weight.detach().clone()
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3)
    losses = []
    for step in range(40):
        loss = job.loss("blocking", 0, step)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])
    assert torch.equal(text.embedding.weight, before)
