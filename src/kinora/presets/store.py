"""The model store: what is in it, putting models in and taking them out. Knows no torch.

A model of open weights is a folder with a manifest that says where its files lie and what their hashes are. The
manifest is written last and all at once: a folder without one is no model, whatever else is in it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from kinora.core.errors import InputError, OutputError, WeightsError
from kinora.presets.places import bundled_models, store_root
from kinora.presets.recognise import Recognised
from kinora.presets.wan import OPEN_MODELS
from kinora.weights.manifest import MANIFEST_NAME, Manifest, read_checked, read_manifest
from kinora.weights.placed import hash_file, placed_home, size_trouble

__all__ = [
    "NOTED", "Entry", "Hashing", "add_found", "check_free_name", "entries", "hashed", "manifest_of", "refuse_pickles",
    "remove_model", "standing_on",
    "stands_in_store", "verify_model", "write_entry",
]  # fmt: skip

Hashing = Callable[[Path, int, int], None]
"""Hears of a file being hashed, the bytes hashed and the bytes of all; may raise `Cancelled`."""

NOTED = ".cache/huggingface/download"
"""Where huggingface_hub notes what it fetched into a model's folder, one `.metadata` file a file: the proof that it was
fetched. Any program may keep a `.cache`.
"""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A model in the store."""

    folder: Path
    manifest: Manifest | None
    """None for one that was never finished, or cannot be read."""
    trouble: str = ""

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def fetched(self) -> bool:
        """Whether its files were fetched into its folder, so that they go when it goes."""
        return (self.folder / NOTED).is_dir()

    @property
    def linked(self) -> bool:
        """Whether it is a manifest alone, for files that lie elsewhere."""
        return self.manifest is not None and bool(self.manifest.home)


def entries() -> list[Entry]:
    """Every folder of the store, by name; one that is no model says why."""
    root = store_root()
    folders = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    return [entry_in(folder) for folder in folders if not folder.name.startswith(".")]


def entry_in(folder: Path) -> Entry:
    if not (folder / MANIFEST_NAME).exists():
        return Entry(folder=folder, manifest=None, trouble="not finished")
    try:
        return Entry(folder=folder, manifest=read_manifest(folder))
    except WeightsError as error:
        return Entry(folder=folder, manifest=None, trouble=str(error))


def manifest_of(found: Recognised, *, name: str, source: str, home: Path | str | None = None) -> Manifest:
    """The manifest of what was recognised, hashes still empty. `home` is the folder of its files, "" for the
    manifest's own.
    """
    model = OPEN_MODELS[found.preset]
    return Manifest(
        name=name,
        world="",
        frame_rate=model.frame_rate,
        sizes=dict(model.sizes),
        parts={part: dict(config) for part, config in found.parts.items()},
        family="wan",
        preset=found.preset,
        source=source,
        licence=model.licence,
        home=str(found.home if home is None else home),
        files=found.files,
    )


def add_found(found: Recognised, *, name: str, source: str = "", on_hash: Hashing | None = None) -> Path:
    """Put what was recognised into the store under `name`, its files staying where they are; the entry's folder.

    Every file is hashed, which takes minutes for large ones. Raises `WeightsError` while a part is a pickle still.
    """
    check_free_name(name)
    refuse_pickles(found)
    manifest = manifest_of(found, name=name, source=source or str(found.home))
    return write_entry(hashed(manifest, found.home, on_hash))


def refuse_pickles(found: Recognised) -> None:
    if found.unconverted:
        commands = "\n".join(f"  kinora models convert {path}" for path in found.unconverted)
        raise WeightsError(
            f"{found.preset} in {found.home} has parts that are pickles still, which are never loaded as they are. "
            f"Make safetensors files of them, then add it again:\n{commands}"
        )


def hashed(manifest: Manifest, folder: Path, on_hash: Hashing | None = None) -> Manifest:
    """The manifest with the hash of every file that has none; `folder` is its own."""
    home, done = placed_home(folder, manifest), 0
    total = sum(file.bytes for file in manifest.files if not file.sha256)
    files = []
    for file in manifest.files:
        if not file.sha256:
            path = home / file.name
            file = replace(file, sha256=hash_file(path, _report(on_hash, path, done, total)))
            done += file.bytes
        files.append(file)
    return replace(manifest, files=tuple(files))


def _report(on_hash: Hashing | None, path: Path, done: int, total: int) -> Callable[[int], None] | None:
    if on_hash is None:
        return None
    so_far = done

    def on_bytes(count: int) -> None:
        nonlocal so_far
        so_far += count
        on_hash(path, so_far, total)

    return on_bytes


def write_entry(manifest: Manifest) -> Path:
    """Write a manifest into the store, whole or not at all; the entry's folder."""
    folder = store_root() / manifest.name
    beside = folder / f".{MANIFEST_NAME}.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with beside.open("w", encoding="utf-8") as file:
            file.write(manifest.to_json())
            file.flush()
            os.fsync(file.fileno())
        beside.replace(folder / MANIFEST_NAME)
    except OSError as error:
        with suppress(OSError):  # where nothing could be written there is nothing to take away
            beside.unlink()
        raise OutputError(
            f"The model cannot be written into the store, {folder} ({error.strerror or error}). Make room, or let "
            "$KINORA_MODELS name another folder."
        ) from error
    return folder


def check_free_name(name: str) -> None:
    """Raise `InputError` unless a model may be called so."""
    if not name or name.startswith((".", "-")) or Path(name).name != name or name != name.strip():
        raise InputError(f"A model cannot be called {name!r}: it is the name of a folder. Take letters and digits.")
    if name in (folder.name for folder in bundled_models()):
        raise InputError(f"{name} is the name of a model that ships with Kinora. Call this one otherwise: --name NAME")
    if (store_root() / name / MANIFEST_NAME).exists():
        raise InputError(
            f"There is a model {name!r} in the store already. Remove it first (kinora models remove {name}) or call "
            "this one otherwise: --name NAME"
        )


def verify_model(folder: Path, on_hash: Hashing | None = None) -> list[str]:
    """Every file of a model compared with its hash; what is wrong, a sentence a file."""
    manifest = read_manifest(folder)
    troubles = []
    for own in (*manifest.shards, *manifest.texts):
        try:
            read_checked(folder, own)
        except WeightsError as error:
            troubles.append(str(error))
    home, done = placed_home(folder, manifest), 0
    total = sum(file.bytes for file in manifest.files)
    for file in manifest.files:
        path = home / file.name
        trouble = size_trouble(home, file)
        if not trouble and hash_file(path, _report(on_hash, path, done, total)) != file.sha256:
            trouble = f"{path} is damaged: its bytes are not those that were hashed when it was added"
        troubles += [trouble] if trouble else []
        done += file.bytes
    return troubles


def standing_on(folder: Path) -> list[str]:
    """Names of other models in the store that use files of the one in `folder`."""
    return [
        entry.name for entry in entries() if entry.manifest and Path(entry.manifest.home or "/").is_relative_to(folder)
    ]


def stands_in_store(folder: Path) -> bool:
    """Whether a folder is one of the store's own: directly in it, no link to elsewhere, and not hidden."""
    return (
        folder.is_dir()
        and not folder.is_symlink()
        and not folder.name.startswith(".")
        and folder.resolve().parent == store_root().resolve()
    )


def remove_model(entry: Entry) -> list[Path]:
    """Take a model out of the store; what is left in its folder because Kinora did not put it there.

    Files that were fetched, or made of those, go with it; files elsewhere, and what a user put beside, are not touched.
    Raises `InputError` for a model that was put into the store by hand.
    """
    folder, manifest = entry.folder, entry.manifest
    assert folder.name not in ("", ".", ".."), folder
    if not (entry.fetched or entry.linked):
        raise InputError(
            f"{folder} was neither fetched nor added by kinora models, so it is not for this command to remove. "
            "Delete the folder yourself."
        )
    own = {folder / MANIFEST_NAME}
    if entry.fetched:
        noted = folder / NOTED
        own |= {folder / path.relative_to(noted).with_suffix("") for path in noted.rglob("*.metadata")}
        own |= {folder / file.name for file in manifest.files} if manifest and not manifest.home else set()
    for path in own:
        if path.is_relative_to(folder):
            path.unlink(missing_ok=True)
    shutil.rmtree((folder / NOTED).parent, ignore_errors=True)
    for path in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
        _remove_empty(path)
    _remove_empty(folder)
    return sorted(path for path in folder.rglob("*") if path.is_file()) if folder.exists() else []


def _remove_empty(folder: Path) -> None:
    if not any(folder.iterdir()):
        folder.rmdir()
