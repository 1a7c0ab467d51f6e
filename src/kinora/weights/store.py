"""Saving models and loading them: all or nothing, and checked to the bit."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import safetensors.torch
from torch import Tensor, nn

from kinora.core.errors import OutputError, WeightsError
from kinora.weights.manifest import MANIFEST_NAME, Manifest, read_checked, read_manifest, stored
from kinora.weights.quantise import Storage, pack, unpack

__all__ = ["SHARD_BYTES", "load_module", "load_tensors", "save_model"]

SHARD_BYTES = 15 * 2**20
"""Most bytes of tensors in a shard: with its header it stays under 16 MiB, which code hosts and letter boxes still
take.
"""


def save_model(
    folder: Path | str,
    tensors: Mapping[str, Tensor],
    manifest: Manifest,
    *,
    storage: Storage | Mapping[str, Storage] = "float32",
    texts: Mapping[str, str] | None = None,
) -> Manifest:
    """Write a model to `folder`, replacing what was there, and return its manifest with all files named.

    `storage` is one for all tensors, or one for each part (the name up to its first dot). Everything is written beside
    the folder and put in its place at the end, so a reader meets the old model or the new one, never half of one.
    Raises `OutputError` when the disk does not take it; then nothing is left behind.
    """
    folder = Path(folder)
    beside = folder.with_name(f".{folder.name}.new-{os.getpid()}")
    try:
        beside.mkdir(parents=True)
        complete = _write_all(beside, tensors, manifest, storage, texts or {})
        _put_in_place(beside, folder)
    except OSError as error:
        raise OutputError(
            f"The model cannot be written to {folder}: {error.strerror or error}. Choose another place."
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return complete


def load_tensors(folder: Path | str, prefix: str = "") -> dict[str, Tensor]:
    """The tensors whose names start with `prefix`, under the rest of their names, floating ones in float32.

    Every shard is checked against its hash; `WeightsError` names the one that is missing or damaged.
    """
    tensors: dict[str, Tensor] = {}
    for entry in read_manifest(folder).shards:
        shard = safetensors.torch.load(read_checked(Path(folder), entry))
        tensors.update(unpack({name: tensor for name, tensor in shard.items() if name.startswith(prefix)}))
    if not tensors:
        raise WeightsError(f"The model in {folder} has no part {prefix.rstrip('.')!r}; it belongs to another version.")
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}


def load_module(module: nn.Module, folder: Path | str, prefix: str) -> None:
    """Fill `module` with the tensors under `prefix`; raises `WeightsError` unless names and shapes agree exactly."""
    tensors, own = load_tensors(folder, prefix), module.state_dict()
    wrong = [
        *(f"{name} is missing" for name in own.keys() - tensors.keys()),
        *(f"{name} is not known" for name in tensors.keys() - own.keys()),
        *(
            f"{name} has shape {tuple(tensors[name].shape)}, not {tuple(own[name].shape)}"
            for name in own.keys() & tensors.keys()
            if own[name].shape != tensors[name].shape
        ),
    ]
    if wrong:
        raise WeightsError(
            f"The part {prefix.rstrip('.')!r} of the model in {folder} belongs to another version "
            f"({len(wrong)} differences, such as: {min(wrong)}). Fetch the model again."
        )
    module.load_state_dict(tensors)


def _write_all(
    folder: Path,
    tensors: Mapping[str, Tensor],
    manifest: Manifest,
    storage: Storage | Mapping[str, Storage],
    texts: Mapping[str, str],
) -> Manifest:
    contents = {name: text.encode("utf-8") for name, text in texts.items()}
    text_files = tuple(stored(name, content) for name, content in contents.items())
    shards = []
    for i, shard in enumerate(_shards(tensors, storage)):
        content = safetensors.torch.save(shard)
        entry = stored(f"shard-{i:03d}.safetensors", content)
        _write(folder / entry.name, content)
        shards.append(entry)
    for name, content in contents.items():
        _write(folder / name, content)
    complete = replace(manifest, shards=tuple(shards), texts=text_files)
    _write(folder / MANIFEST_NAME, complete.to_json().encode("utf-8"))
    return complete


def _shards(tensors: Mapping[str, Tensor], storage: Storage | Mapping[str, Storage]) -> Iterator[dict[str, Tensor]]:
    """Packed tensors by name, in shards of at most `SHARD_BYTES` (a larger tensor has a shard of its own)."""
    shard: dict[str, Tensor] = {}
    size = 0
    for name in sorted(tensors):
        kind = storage if isinstance(storage, str) else storage.get(name.split(".")[0], "float32")
        packed = pack(name, tensors[name], kind)
        extra = sum(tensor.nbytes for tensor in packed.values())
        if shard and size + extra > SHARD_BYTES:
            yield shard
            shard, size = {}, 0
        shard.update(packed)
        size += extra
    if shard:
        yield shard


def _write(path: Path, content: bytes) -> None:
    """Write and wait until the disk has it: a rename must never overtake the bytes it stands for."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _put_in_place(new: Path, folder: Path) -> None:
    old = folder.with_name(f".{folder.name}.old-{os.getpid()}")
    if folder.exists():
        folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
