"""Films of published models from the command line: files as they are downloaded, random weights of reduced width."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kinora.cli.main import main
from kinora.media.film import read_film, read_film_recipe

WriteWan = Callable[..., Path]
ASKED = ["a red ball rolls 红色的球", "--size", "64x64", "--seconds", "0.5", "--quality", "draft", "--force"]


@pytest.fixture(autouse=True)
def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty store, an empty folder to work in, two pictures; diffusers and transformers warn of their futures."""
    monkeypatch.setenv("KINORA_MODELS", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("first.png", "last.png")):
        rgb_HW3 = np.random.default_rng(seed).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(rgb_HW3).save(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize(
    ("name", "layout", "pictures", "shape"),
    [
        ("wan2.1-t2v-1.3b", "comfy", [], (9, 16.0)),
        ("wan2.1-i2v-14b-480p", "diffusers", ["--image", "first.png"], (9, 16.0)),
        ("wan2.1-flf2v-14b", "wan", ["--image", "first.png", "--end-image", "last.png"], (9, 16.0)),
        ("wan2.2-ti2v-5b", "wan", [], (13, 24.0)),
        ("wan2.2-ti2v-5b", "diffusers", ["--image", "first.png"], (13, 24.0)),
        ("wan2.2-t2v-a14b", "comfy", [], (9, 16.0)),
        ("wan2.2-i2v-a14b", "wan", ["--image", "first.png"], (9, 16.0)),
    ],
)
def test_a_film_of_every_kind(
    name: str, layout: str, pictures: list[str], shape: tuple[int, float], write_wan: WriteWan, tmp_path: Path
) -> None:
    where = write_wan(tmp_path / "download", name, layout, **({"already_converted": True} if layout == "wan" else {}))
    assert main(["models", "add", str(where), "--as", name]) == 0
    assert main(["generate", *ASKED, "--model", name, *pictures, "-o", "film.mp4"]) == 0
    clip = read_film(Path("film.mp4"))
    assert (clip.shape.frames, clip.frame_rate) == shape
    assert (clip.shape.height, clip.shape.width) == (64, 64)
    assert clip.frames_FHWC.std() > 5, "something is drawn"
    recipe = read_film_recipe(Path("film.mp4"))
    assert (recipe.model, recipe.request.size) == (name, (64, 64))


def test_a_film_goes_on_from_its_last_picture(write_wan: WriteWan, tmp_path: Path) -> None:
    where = write_wan(tmp_path / "download", "wan2.2-ti2v-5b", "diffusers")
    main(["models", "add", str(where), "--as", "wan2.2-ti2v-5b"])
    options = ["--model", "wan2.2-ti2v-5b", "--quality", "draft", "--size", "64x64"]
    assert main(["generate", "a red ball", *options, "--seconds", "6", "--image", "first.png", "-o", "long.mp4"]) == 0
    clip = read_film(Path("long.mp4"))
    assert clip.shape.frames == 145, "a window of 31 latent frames, and one more segment"


def test_a_lora_makes_a_model_of_its_own(write_wan: WriteWan, tmp_path: Path, capsys: object) -> None:
    import safetensors.torch
    import torch

    where = write_wan(tmp_path / "download", "wan2.1-t2v-1.3b", "wan", already_converted=True)
    main(["models", "add", str(where), "--as", "wan2.1-t2v-1.3b"])
    shape = 256, 256
    torch.manual_seed(0)
    lora = {
        f"diffusion_model.blocks.{n}.self_attn.{part}.lora_{side}.weight": torch.randn(
            *((4, shape[1]) if side == "down" else (shape[0], 4))
        )
        for n in range(2)
        for part in "qkvo"
        for side in ("down", "up")
    }
    safetensors.torch.save_file(lora, tmp_path / "quick.safetensors")
    base = "wan2.1-t2v-1.3b"
    assert main(["models", "add", "quick.safetensors", "--base", base, "--steps", "4", "--name", "quick"]) == 0
    manifest = json.loads((tmp_path / "store" / "quick" / "manifest.json").read_text())
    assert {values["steps"] for values in manifest["sampling"].values()} == {4}
    assert main(["generate", *ASKED, "--model", base, "-o", "plain.mp4"]) == 0
    assert main(["generate", *ASKED, "--model", "quick", "-o", "quick.mp4"]) == 0
    plain, quick = (read_film(Path(f"{name}.mp4")).frames_FHWC.astype(int) for name in ("plain", "quick"))
    assert np.abs(plain - quick).mean() > 1


def test_steps_are_reused_only_when_asked_and_the_price_is_told(
    write_wan: WriteWan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = write_wan(tmp_path / "download", "wan2.2-t2v-a14b", "diffusers")
    main(["models", "add", str(where), "--as", "wan2.2-t2v-a14b"])
    capsys.readouterr()
    assert main(["generate", *ASKED, "--model", "wan2.2-t2v-a14b"]) == 0
    assert "reused" not in capsys.readouterr().err
    assert main(["generate", *ASKED, "--model", "wan2.2-t2v-a14b", "--reuse", "0.3"]) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "reused" in line]
    assert len(said) == 2, "a sentence for each expert"
    assert all("estimated error" in line for line in said)
    assert read_film_recipe(Path("film.mp4")).request.reuse == 0.3
