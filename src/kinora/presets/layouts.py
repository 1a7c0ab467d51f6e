"""Which files of a folder may be which part, by the three layouts that Wan is handed on in. Knows no torch.

    wan        as its makers published it: shards at the top (or high_noise_model, low_noise_model), the rest beside
    diffusers  model_index.json and a folder a part
    comfy      diffusion_models, vae, text_encoders, clip_vision: folders of many models' files

A *set* is the files that together are one module: one file, or shards that are numbered or listed in an index.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from kinora.core.errors import WeightsError
from kinora.weights.header import content_of

__all__ = ["Layout", "LayoutName", "file_sets", "half_of", "lay_out", "named_set", "read_json", "tokenizer_files"]

LayoutName = Literal["wan", "diffusers", "comfy"]
Set = tuple[Path, ...]

INDEX = ".safetensors.index.json"
SHARD = re.compile(r"-(\d{5})-of-(\d{5})$")
HALF = re.compile(r"(?<![a-zA-Z])(high|low)(?![a-zA-Z])", re.IGNORECASE)
COMFY: Mapping[str, tuple[str, ...]] = {
    "transformer": ("diffusion_models", "unet"),
    "codec": ("vae",),
    "text": ("text_encoders", "clip"),
    "image": ("clip_vision",),
}
"""ComfyUI's folders by part, the newer name first."""
DIFFUSERS = {
    "transformer": "transformer",
    "transformer_low": "transformer_2",
    "codec": "vae",
    "text": "text_encoder",
    "image": "image_encoder",
}
WAN_FILES = {"codec": "Wan2.*_VAE", "text": "models_t5_*", "image": "models_clip_*"}
"""Stems of what lies beside the transformer; published as .pth, used once there is a .safetensors."""
TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "spiece.model", "added_tokens.json",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What a folder offers for each part; nothing is chosen yet."""

    name: LayoutName
    home: Path
    sets: Mapping[str, Sequence[Set]]
    """By part; several where the folder holds several models. `transformer` may hold both experts."""
    tokenizer: Set = ()
    pickles: Mapping[str, Path] = field(default_factory=dict)
    """Parts that are there as pickles alone."""
    index: Mapping[str, Any] = field(default_factory=dict)
    """model_index.json of the diffusers layout."""
    two: bool = False
    """Whether it says that there are two experts, even where one is missing."""


def lay_out(path: Path) -> Layout:
    """The layout of a folder, or of the folder that a file belongs to; raises `WeightsError` for any other folder."""
    if not path.exists():
        raise WeightsError(f"There is nothing at {path}. Name a folder of weights, or a .safetensors file.")
    if path.is_file():
        return _file_layout(path)
    if (path / "model_index.json").is_file():
        return _diffusers_layout(path)
    if (path / "high_noise_model").is_dir() or file_sets(path, "diffusion_pytorch_model*"):
        return _wan_layout(path)
    for home in (path, path / "models"):
        if any((home / folder).is_dir() for folder in COMFY["transformer"]):
            return _comfy_layout(home)
    raise WeightsError(
        f"{path} is not laid out as any download of Wan: it has neither diffusion_pytorch_model*.safetensors, nor "
        "high_noise_model/, nor model_index.json, nor diffusion_models/. Name the folder that holds one of these, or "
        "the transformer's .safetensors file itself."
    )


def _file_layout(path: Path) -> Layout:
    """One file: the transformer, or a shard of it. What else it needs is looked for around it, as ComfyUI has it."""
    home = path.parent
    if path.name.startswith("diffusion_pytorch_model") and (home / "google").is_dir():
        return _wan_layout(home)
    for folder in (home, *home.parents[:3]):
        if folder.name in COMFY["transformer"]:
            home = folder.parent
    around = _comfy_layout(home)
    neighbours = file_sets(path.parent, "*")
    mine = next((files for files in neighbours if path in files), (path,))
    other = [files for files in neighbours if files != mine and half_of(files[0].stem)[0] == half_of(mine[0].stem)[0]]
    return Layout(name="comfy", home=home, sets={**around.sets, "transformer": [mine, *other]})


def half_of(stem: str) -> tuple[str, str]:
    """A file's name without the word that says which expert it is, and that word: high, low or nothing."""
    match = HALF.search(stem)
    return (HALF.sub("*", stem), match[1].lower()) if match else (stem, "")


def _diffusers_layout(home: Path) -> Layout:
    sets, index = {}, read_json(home / "model_index.json")
    for part, folder in DIFFUSERS.items():
        found = file_sets(home / folder, "*")
        # A plain name goes before a variant such as diffusion_pytorch_model.fp16.safetensors.
        plain = [files for files in found if "." not in SHARD.sub("", files[0].stem)]
        sets[part] = (plain or found)[:1]
    return Layout(
        name="diffusers",
        home=home,
        sets=sets,
        tokenizer=tokenizer_files(home / "tokenizer"),
        index=index,
        two=bool((index.get("transformer_2") or [None])[0]) or index.get("boundary_ratio") is not None,
    )


def _wan_layout(home: Path) -> Layout:
    sets: dict[str, Sequence[Set]] = {}
    if (home / "high_noise_model").is_dir():
        sets["transformer"] = file_sets(home / "high_noise_model", "*")[:1]
        sets["transformer_low"] = file_sets(home / "low_noise_model", "*")[:1]
    else:
        sets["transformer"] = file_sets(home, "diffusion_pytorch_model*")[:1]
    pickles = {}
    for part, stem in WAN_FILES.items():
        sets[part], pickled = file_sets(home, stem), sorted(home.glob(stem + ".pth"))
        if pickled and not sets[part]:
            pickles[part] = pickled[0]
    return Layout(
        name="wan",
        home=home,
        sets=sets,
        pickles=pickles,
        tokenizer=tokenizer_files(home / "google" / "umt5-xxl"),
        two="transformer_low" in sets,
    )


def _comfy_layout(home: Path) -> Layout:
    sets = {
        part: [files for folder in folders for files in file_sets(home / folder, "**/*")]
        for part, folders in COMFY.items()
    }
    return Layout(name="comfy", home=home, sets=sets)


def tokenizer_files(folder: Path) -> Set:
    """The files of a tokenizer in `folder`; none when there is no vocabulary among them."""
    found = tuple(folder / name for name in TOKENIZER_FILES if (folder / name).is_file())
    return found if {"tokenizer.json", "spiece.model"} & {path.name for path in found} else ()


def file_sets(folder: Path, stem: str) -> list[Set]:
    """The safetensors sets in `folder` whose names begin as the pattern `stem` says, sorted; shards are put together.

    Raises `WeightsError` when a shard is missing, naming it.
    """
    groups: dict[Path, list[Path]] = {}
    for path in sorted(folder.glob(f"{stem}.safetensors")):
        groups.setdefault(path.with_name(SHARD.sub("", path.stem)), []).append(path)
    return [_whole(name, paths) for name, paths in groups.items()]


def _whole(name: Path, paths: Sequence[Path]) -> Set:
    """The set, if all of it is there: as its index lists it, else as the shards count themselves."""
    wanted: Iterable[str] = {path.name for path in paths}
    index = name.with_name(name.name + INDEX)
    counted = SHARD.search(paths[0].stem)
    if counted and index.is_file():
        wanted = set(read_json(index).get("weight_map", {}).values())
    elif counted:
        count = int(counted[2])
        wanted = {f"{name.name}-{number:05d}-of-{count:05d}.safetensors" for number in range(1, count + 1)}
    missing = sorted(set(wanted) - {path.name for path in paths})
    if missing:
        raise WeightsError(
            f"{', '.join(missing)} missing from {name.parent}, so its weights are not whole. Fetch the folder again; "
            "what is there is kept."
        )
    return tuple(path for path in paths if path.name in set(wanted))


def named_set(path: Path) -> Set:
    """The set that a path the caller names stands for: a file with its shards, or the one set in a folder."""
    if path.is_dir():
        found = file_sets(path, "*")
        if len(found) != 1:
            raise WeightsError(f"{path} holds {len(found)} models' files, not those of one. Name a file of it.")
        return found[0]
    if content_of(path) == "safetensors":
        return next((files for files in file_sets(path.parent, "*") if path in files), (path,))
    return (path,)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object beside weights; raises `WeightsError` when the file is none, {} when there is no such file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} is no JSON to read ({error}). Fetch it again.") from error
    if not isinstance(found, dict):
        raise WeightsError(f"{path} holds no JSON object. Fetch it again.")
    return found
