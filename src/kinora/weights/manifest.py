"""What a model on disk says of itself. Knows no torch, so that a service can plan and price without loading a model.

A model is a folder: `manifest.json`, shards of tensors, and small text files such as the vocabulary. The manifest
names every other file with its sha256; whatever is read is checked against it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kinora.core.errors import WeightsError

__all__ = [
    "FORMAT", "MANIFEST_NAME", "Manifest", "PlacedFile", "StoredFile", "read_checked", "read_manifest", "read_text",
    "stored", "weights_hash",
]  # fmt: skip

FORMAT = 1
"""Version of the folder's layout; another version is refused."""

MANIFEST_NAME = "manifest.json"


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """A file of the model's folder."""

    name: str
    sha256: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class PlacedFile:
    """A file of published weights, left where it lies and as it came."""

    part: str
    """What it is a piece of: transformer, transformer_low, codec, text, tokenizer, image, lora or lora_low."""
    name: str
    """Path from `Manifest.home`, or from the manifest's own folder where that is empty."""
    sha256: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything about a model but its tensors. Holds what JSON can hold; lists come back as lists."""

    name: str
    world: str
    """Version of the world it was trained on; captions and figures of another version are not its own."""
    frame_rate: float
    """Frames a second of its clips."""
    sizes: Mapping[str, tuple[int, int]]
    """Picture (height, width) for each aspect, such as "16:9": (192, 320)."""
    parts: Mapping[str, Mapping[str, Any]]
    """Config of each part (codec, transformer, text, reader), as keyword arguments of its config class."""
    latent: Mapping[str, Any] = field(default_factory=dict)
    """Statistics of the latents."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """How it came to be: recipe, seed, steps, hours, device, measures."""
    sampling: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """How it wants to be sampled, by quality, where that is not as its preset says (a distilled model): fields of
    `kinora.presets.Sampling`. Empty in models from before there were any.
    """
    shards: tuple[StoredFile, ...] = ()
    """Filled in when the model is saved."""
    texts: tuple[StoredFile, ...] = ()
    """Text files beside the shards; filled in when the model is saved."""
    family: str = ""
    """Empty for a model of Kinora's own; "wan" for published weights, whose `files` are read in place."""
    preset: str = ""
    """Which published model it is (a key of `kinora.presets.wan.OPEN_MODELS`)."""
    source: str = ""
    """Where it was fetched from, or where it was found."""
    licence: str = ""
    home: str = ""
    """Folder that the names of `files` start from; empty for the manifest's own."""
    files: tuple[PlacedFile, ...] = ()
    """Published weights, in the layout they came in."""

    def to_json(self) -> str:
        return json.dumps({"format": FORMAT, **dataclasses.asdict(self)}, ensure_ascii=False, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """The manifest that `to_json` wrote; raises `WeightsError` for another format or what is no manifest at all."""
        try:
            stored = json.loads(text)
            if stored.pop("format") != FORMAT:
                raise WeightsError(
                    f"This model has another format than {FORMAT}, which this Kinora reads. Update Kinora."
                )
            stored["sizes"] = {aspect: (height, width) for aspect, (height, width) in stored["sizes"].items()}
            for kind in ("shards", "texts"):
                stored[kind] = tuple(StoredFile(**entry) for entry in stored[kind])
            stored["files"] = tuple(PlacedFile(**entry) for entry in stored.get("files", ()))
            return cls(**stored)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise WeightsError(
                f"This manifest is not one that Kinora wrote ({error}). Fetch the model again."
            ) from error


def read_manifest(folder: Path | str) -> Manifest:
    """The manifest of the model in `folder`."""
    path = Path(folder) / MANIFEST_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(f"No model in {folder}: it has no {MANIFEST_NAME} to read.") from error
    return Manifest.from_json(text)


def read_text(folder: Path | str, name: str) -> str:
    """A text file of the model, checked against its hash."""
    for entry in read_manifest(folder).texts:
        if entry.name == name:
            return read_checked(Path(folder), entry).decode("utf-8")
    raise WeightsError(f"The model in {folder} has no file {name}; it belongs to another version. Fetch it again.")


def read_checked(folder: Path, entry: StoredFile) -> bytes:
    """The bytes of one file, if they are the ones that were saved."""
    try:
        content = (folder / entry.name).read_bytes()
    except OSError as error:
        raise WeightsError(f"{entry.name} is missing from the model in {folder}. Fetch the model again.") from error
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        raise WeightsError(
            f"{entry.name} of the model in {folder} is damaged: its {len(content)} bytes are not the {entry.bytes} "
            "that were saved (sha256 differs). Fetch the model again."
        )
    return content


def weights_hash(manifest: Manifest) -> str:
    """One sha256 for all files of a model, from the hashes its manifest lists; a sampling table of the model's own
    counts too, because the same weights make other films under another one.
    """
    own, placed = (*manifest.shards, *manifest.texts), manifest.files
    listed = sorted([*(file.sha256 for file in own), *(file.sha256 for file in placed)])
    if manifest.sampling:
        listed.append(json.dumps(manifest.sampling, sort_keys=True))
    return hashlib.sha256("\n".join(listed).encode()).hexdigest()


def stored(name: str, content: bytes) -> StoredFile:
    """The manifest's entry for a file of this content."""
    return StoredFile(name=name, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
