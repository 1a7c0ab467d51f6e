"""Portraits: whose they are, what their captions keep to themselves, and how batches show them."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kinora.codec import Codec
from kinora.control.references import REFERENCE_POSITIONS
from kinora.core.errors import InputError
from kinora.core.words import wordings
from kinora.language.tokenizer import Tokenizer
from kinora.training.batches import ClipBatches
from kinora.training.latents import FrameEncoder, LatentSet, encode_library
from kinora.training.library import CAPTIONS, Library, LibraryConfig
from kinora.training.objective import ObjectiveConfig, draw_step, generator_loss
from kinora.training.parts import Part, save_part
from kinora.training.portrait_library import Portraits, encode_portraits, portrait_shards, render_portraits
from kinora.training.portraits import chosen_figure, faceless_captions, portrait_scene
from kinora.training.rendering import render_library
from kinora.training.scenes import clip_scene
from kinora.transformer.model import Conditions
from kinora.world.render import render
from kinora.world.scene import Scene
from kinora.world.slots_of import scene_slots


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    """Scenes with figures; two of them have two."""
    scenes = [clip_scene(seed) for seed in (17, 25, 31, 43, 46, 60)]
    assert [len(scene.figures) for scene in scenes] == [1, 1, 1, 2, 1, 2]  # or the seeds must change
    return scenes


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory, encoder: FrameEncoder) -> Library:
    """Eight clips in two shards, and the portraits of those in which somebody is."""
    folder = tmp_path_factory.mktemp("gallery")
    config = LibraryConfig(count=8, height=32, width=32, latent_frames=3, shard_clips=4, first_seed=40)
    gallery = render_library(folder, config)
    encode_library(folder, gallery.shards, encoder)
    assert portrait_shards(gallery) == 0
    return render_portraits(folder)


@pytest.fixture(scope="module")
def portraits(gallery: Library, encoder: FrameEncoder) -> Portraits:
    encode_portraits(gallery, encoder, shards=2)
    found = Portraits.read(gallery, encoder.key, shards=2)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def batches(gallery: Library, encoder: FrameEncoder, tokenizer: Tokenizer, portraits: Portraits) -> ClipBatches:
    latents = LatentSet(gallery.folder, gallery.shards, encoder.key)
    return ClipBatches(gallery, latents, tokenizer, text_length=64, device="cpu", portraits=portraits)


def test_a_portrait_is_of_the_same_figure_and_nothing_else_is_the_same(scenes: list[Scene]) -> None:
    for scene in scenes:
        m = chosen_figure(scene)
        assert m is not None
        portrait = portrait_scene(scene, m, scene.seed)
        assert portrait == portrait_scene(scene, m, scene.seed)
        assert [figure.identity for figure in portrait.figures] == [scene.figures[m].identity]
        seen, meant = scene_slots(portrait).figures[0], scene_slots(scene).figures[m]
        assert (seen.hair, seen.clothes, seen.action) == (meant.hair, meant.clothes, "stand")
        assert not portrait.bodies
        assert portrait.place.ground != scene.place.ground
        assert portrait.place.sky != scene.place.sky
        assert portrait != portrait_scene(scene, m, scene.seed + 1)


def test_nobody_has_no_portrait_and_of_two_either_may(scenes: list[Scene]) -> None:
    for figures, expected in (((), {None}), (scenes[0].figures, {0}), (scenes[3].figures, {0, 1})):
        several = [dataclasses.replace(scenes[3], figures=figures, seed=seed) for seed in range(40)]
        assert {chosen_figure(scene) for scene in several} == expected


def test_the_figure_is_large_and_in_the_middle(scenes: list[Scene]) -> None:
    portraits = [portrait_scene(scene, 0, scene.seed) for scene in scenes]
    ids_BHW = render(portraits, height=48, width=48, frames=[[0]] * len(scenes), truth=True).ids_BFHW
    assert ids_BHW is not None
    there_BHW = (ids_BHW[:, 0] == 32).numpy()
    for there_HW in there_BHW:
        assert 0.08 < there_HW.mean() < 0.7
        across = np.flatnonzero(there_HW.any(axis=0))
        assert 0.3 * 48 < 0.5 * (across[0] + across[-1]) < 0.7 * 48
        assert np.flatnonzero(there_HW.any(axis=1))[0] < 0.4 * 48


def test_captions_leave_out_what_the_portrait_shows(scenes: list[Scene]) -> None:
    for scene in scenes:
        slots, m = scene_slots(scene), chosen_figure(scene)
        assert m is not None
        figure = slots.figures[m]
        others = [other for n, other in enumerate(slots.figures) if n != m]
        captions = faceless_captions(slots, m, scene.seed)
        assert captions == faceless_captions(slots, m, scene.seed)
        assert len(captions) == len(CAPTIONS)
        for (language, _), text in zip(CAPTIONS, captions, strict=True):
            dressed = ("in ", "wearing ", "dressed in ") if language == "en" else ("穿", "穿着")
            for word in wordings("figure.clothes", str(figure.clothes), language):
                assert not any(f"{verb}{article}{word}" in text for verb in dressed for article in ("", "a ", "an "))
            garments = sum(text.count(word) for word in ("clothes", "shirt", " top", "sweater", "衣服", "上衣"))
            assert garments == len(others)  # what somebody else wears is still told
            if not others:
                assert "hair" not in text
                assert "头发" not in text


def test_portraits_of_a_library_are_whole_and_resume(gallery: Library, portraits: Portraits) -> None:
    assert portrait_shards(gallery) == 2
    with_figures = [i for i in range(8) if gallery.scene(i).figures]
    assert with_figures == [3, 6]  # or the seeds of the fixture must change
    assert portraits.clips_P.tolist() == with_figures
    assert portraits.figures_P.tolist() == [chosen_figure(gallery.scene(i)) for i in with_figures]
    assert len(portraits.captions) == len(portraits) == 2
    assert portraits.latent_PChw.shape == (2, 8, 2, 2)
    told = gallery.folder / "shard-00000.portraits.json"
    frames = told.with_suffix(".npy")
    before = (told.read_bytes(), frames.read_bytes())
    told.unlink()
    assert portrait_shards(gallery) == 0
    progress: list[tuple[int, int]] = []
    render_portraits(gallery.folder, on_progress=lambda done, total: progress.append((done, total)))
    assert progress == [(8, 8)]  # one shard was missing
    assert (told.read_bytes(), frames.read_bytes()) == before


def test_a_library_without_figures_or_portraits(library: Library, gallery: Library, encoder: FrameEncoder) -> None:
    assert portrait_shards(library) == 0
    assert Portraits.read(library, encoder.key, shards=0) is None
    with pytest.raises(InputError, match="--portraits"):
        Portraits.read(gallery, "00000000", shards=2)
    with pytest.raises(InputError, match="nothing would be kept"):
        render_portraits(library.folder, keep_frames=False)


def test_a_batch_with_references_shows_each_clip_with_its_own_portrait(
    batches: ClipBatches, portraits: Portraits, gallery: Library, encoder: FrameEncoder
) -> None:
    assert batches.has_portraits
    batch = batches.batch(0, 3, size=60, latent_frames=2, references=True)
    again = batches.batch(0, 3, size=60, latent_frames=2, references=True)
    assert batch.reference_BCRHW is not None
    assert batch.reference_position_BR is not None
    assert again.reference_BCRHW is not None
    assert torch.equal(batch.reference_BCRHW, again.reference_BCRHW)
    assert batch.reference_BCRHW.shape == (60, 8, 1, 2, 2)
    latents = LatentSet(gallery.folder, gallery.shards, encoder.key)
    for b in range(60):
        own = next(
            p for p in range(len(portraits))
            if torch.equal(torch.from_numpy(portraits.latent_PChw[p]).float(), batch.reference_BCRHW[b, :, 0])
        )  # fmt: skip
        first = latents.take(portraits.clips_P[own : own + 1], np.array([[0]]), "cpu")[0, :, 0]
        assert torch.equal(batch.clean_BCTHW[b, :, 0], first)
    places = batch.reference_position_BR[:, 0].tolist()
    assert set(places) <= set(REFERENCE_POSITIONS)
    assert 0.5 < np.mean(np.array(places) == REFERENCE_POSITIONS[0]) < 0.9


def test_steps_without_references_are_as_they_were(
    batches: ClipBatches, gallery: Library, encoder: FrameEncoder, tokenizer: Tokenizer
) -> None:
    latents = LatentSet(gallery.folder, gallery.shards, encoder.key)
    plain = ClipBatches(gallery, latents, tokenizer, text_length=64, device="cpu")
    one, other = (each.batch(2, 5, size=6, latent_frames=3) for each in (batches, plain))
    assert torch.equal(one.clean_BCTHW, other.clean_BCTHW)
    assert torch.equal(one.ids_BL, other.ids_BL)
    assert one.reference_BCRHW is None
    assert not plain.has_portraits
    with pytest.raises(InputError, match="has no portraits"):
        plain.batch(0, 0, size=2, latent_frames=3, references=True)


class Witness(nn.Module):
    """Notes what it is shown, and answers wrongly about the references alone."""

    def __init__(self, answer_BCTHW: Tensor) -> None:
        super().__init__()
        self.answer = answer_BCTHW
        self.seen: dict[str, Tensor] = {}

    def forward(self, x: Tensor, sigma: Tensor, position: Tensor, conditions: Conditions) -> Tensor:
        assert conditions.pose_BT12 is not None
        assert conditions.mouth_BTS is not None
        assert conditions.face_BTHW is not None
        self.seen = {
            "x": x, "sigma": sigma, "position": position, "pose": conditions.pose_BT12, "mouth": conditions.mouth_BTS,
            "face": conditions.face_BTHW,
        }  # fmt: skip
        return torch.cat([self.answer, torch.full_like(x[:, :, self.answer.shape[2] :], 99.0)], dim=2)


def test_references_are_known_and_never_predicted(batches: ClipBatches) -> None:
    batch = batches.batch(0, 1, size=5, latent_frames=3, references=True)
    assert batch.reference_BCRHW is not None
    draw = draw_step(0, 1, tuple(batch.clean_BCTHW.shape), ObjectiveConfig(drop_pose=0.0), "cpu")
    witness = Witness(draw.noise_BCTHW - batch.clean_BCTHW)
    loss = generator_loss(witness, torch.ones(5, 4, 8), batch, draw)  # type: ignore[arg-type]
    assert float(loss) == pytest.approx(0.0, abs=1e-10)
    seen = witness.seen
    assert seen["x"].shape == (5, 8, 4, 2, 2)
    assert torch.equal(seen["x"][:, :, 3:], batch.reference_BCRHW)
    assert (seen["sigma"][:, 3] == 0).all()
    assert torch.equal(seen["sigma"][:, :3], draw.sigma_BTHW)
    assert (seen["position"][:, 3] <= -8).all()
    assert torch.equal(seen["pose"][:, :3], batch.pose_BT12)
    for name in ("pose", "mouth", "face"):
        assert seen[name].shape[1] == 4
        assert (seen[name][:, 3] == 0).all()  # no camera, no mouth, no face is told of a portrait


def test_portraits_that_keep_latents_only(gallery: Library, portraits: Portraits, codec: Codec, tmp_path: Path) -> None:
    path, folder = tmp_path / "codec.safetensors", tmp_path / "library"
    save_part(path, Part(kind="codec", config=codec.config.to_dict(), tensors=codec.state_dict(), record={}))
    shutil.copytree(gallery.folder, folder, ignore=shutil.ignore_patterns("*.portraits.*"))
    made = render_portraits(folder, codec=path, keep_frames=False)
    assert not list(folder.glob("*.portraits.npy"))
    found = Portraits.read(made, FrameEncoder(codec).key, shards=2)
    assert found is not None
    assert found.captions == portraits.captions
    assert np.array_equal(found.latent_PChw, portraits.latent_PChw)
    for latents in folder.glob("*.portraits.latents-*.npy"):
        latents.unlink()
    render_portraits(folder, codec=path, keep_frames=False)  # neither pixels nor latents: rendered again
    again = Portraits.read(made, FrameEncoder(codec).key, shards=2)
    assert again is not None
    assert np.array_equal(again.latent_PChw, portraits.latent_PChw)
