"""What a painter is fed: moments with things in them, of the training split alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from kinora.control.painter import Painter, PainterConfig
from kinora.core.blocking import NOTHING
from kinora.core.errors import InputError
from kinora.training.blockings import clip_blocking
from kinora.training.latents import FrameEncoder, LatentSet, encode_library
from kinora.training.library import Library, LibraryConfig
from kinora.training.painting import Moments, PainterJob
from kinora.training.reader_truth import reader_split
from kinora.training.rendering import render_library
from kinora.world.simulate import simulate

SMALL = PainterConfig(channels=8, spread=(1.0,) * 8, widths=(16, 16, 16), depths=(1, 1, 1))


def test_moments_are_those_of_their_clips(library: Library, latents: LatentSet, encoder: FrameEncoder):
    moments = Moments(library, encoder.key)
    assert 0 < len(moments) <= 3 * len(library)
    chosen = np.arange(len(moments))
    shown = moments.take(chosen, "cpu")
    for row, (clip, frame) in enumerate(moments.place_M2):
        scene = library.scene(int(clip))
        states = simulate(scene)
        position = library.positions_NT[clip, frame : frame + 1]
        blocking = clip_blocking(scene, states, position)
        things = len(blocking.look_P3)
        assert shown.look_NP3[row, :things].tolist() == blocking.look_P3.tolist()
        assert (shown.look_NP3[row, things:] == NOTHING).all()
        assert shown.box_NP4[row, :things].numpy() == pytest.approx(blocking.box_TP4[0], abs=2e-3)
        assert bool(shown.first_N[row]) == (position[0] == 0)
        near = np.clip([position[0] - 1, position[0] + 1], 0, 20)
        before, after = (clip_blocking(scene, states, near[at : at + 1]).box_TP4[0, :, :2] for at in (0, 1))
        assert shown.way_NP2[row, :things].numpy() == pytest.approx((after - before) / 2, abs=2e-3)
        one = latents.take(np.array([clip]), np.array([[frame]]), "cpu")
        assert torch.equal(shown.clean_NCHW[row], one[0, :, 0])
    again = Moments(library, encoder.key)
    assert torch.equal(again.take(chosen, "cpu").way_NP2, shown.way_NP2)


def test_pairs_that_are_held_out_are_not_shown(tmp_path: Path, encoder: FrameEncoder):
    config = LibraryConfig(count=8, height=32, width=32, latent_frames=1, mix="reader", first_seed=30)
    library = render_library(tmp_path / "reader", config)
    encode_library(library.folder, library.shards, encoder)
    splits = [reader_split(int(seed)) for seed in library.seeds]
    assert len(set(splits)) > 1
    moments = Moments(library, encoder.key)
    assert {splits[clip] for clip in moments.place_M2[:, 0]} == {"train"}
    with pytest.raises(InputError, match="shows no thing in any clip of the split 'nowhere'"):
        Moments(library, encoder.key, split="nowhere")


def test_a_step_is_decided_by_seed_and_number_and_steps_teach(
    library: Library, latents: LatentSet, encoder: FrameEncoder
):
    torch.manual_seed(0)
    painter = Painter(SMALL)
    moments = Moments(library, encoder.key)
    job = PainterJob(painter, [moments, moments], size=8, device="cpu")
    first = job.loss("things", 1, 5)
    assert torch.equal(first, job.loss("things", 1, 5))
    assert not torch.equal(first, job.loss("things", 1, 6))
    optimiser = torch.optim.AdamW(painter.parameters(), lr=2e-3)
    losses = []
    for step in range(60):
        loss = job.loss("things", 0, step)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:5])
