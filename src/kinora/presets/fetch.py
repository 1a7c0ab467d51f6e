"""Fetching published models from Hugging Face, through huggingface_hub. Knows no torch.

Files come into the model's own folder of the store. A connection that breaks is taken up where it broke; whole files
are kept when something else goes wrong, and the same command goes on with the others. The manifest is written last, so
that there is no model before there is all of it.
"""

from __future__ import annotations

import errno
import fnmatch
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from kinora.core.errors import Cancelled, InputError, KinoraError, OutputError, WeightsError
from kinora.presets.layouts import DIFFUSERS
from kinora.presets.places import store_root
from kinora.presets.recognise import recognise
from kinora.presets.store import NOTED, Hashing, check_free_name, hashed, manifest_of, refuse_pickles, write_entry
from kinora.presets.wan import OPEN_MODELS, OpenModel
from kinora.weights.convert import convert, converted_name
from kinora.weights.manifest import Manifest, PlacedFile

__all__ = ["Offer", "Source", "fetch", "install", "offer"]

Source = Literal["diffusers", "wan"]
"""diffusers: safetensors throughout, ready when fetched. wan: as its makers published it, with parts to convert."""

ROOM = 2**28
"""Bytes of the disk left free."""

WANTED: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "diffusers": ("model_index.json", *(f"{part}/*" for part in (*DIFFUSERS.values(), "tokenizer"))),
    "wan": (
        "config.json", "diffusion_pytorch_model*", "high_noise_model/*", "low_noise_model/*", "Wan2.*_VAE.*",
        "models_t5_*", "models_clip_*", "google/umt5-xxl/*",
    ),
})  # fmt: skip
"""Files that a model is made of; the rest of a repository is pictures and talk."""
ENDINGS = (".json", ".safetensors", ".model", ".pth")


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What would be fetched."""

    model: OpenModel
    layout: Source
    repository: str
    commit: str
    """The revision, as the hash it has now."""
    files: tuple[PlacedFile, ...]
    """With the hashes that the repository tells, for large files."""
    licence: str

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    @property
    def folder(self) -> Path:
        return store_root() / self.model.name

    @property
    def missing_bytes(self) -> int:
        """What is not in the folder yet, as far as lengths tell."""
        return sum(file.bytes for file in self.files if not _is_there(self.folder / file.name, file.bytes))


def offer(name: str, *, layout: Source = "diffusers", revision: str = "main") -> Offer:
    """Ask the hub what a model is made of; nothing is fetched. Raises `InputError` for a name that is not published,
    `WeightsError` when the hub cannot be asked.
    """
    if name not in OPEN_MODELS:
        raise InputError(f"There is nothing to fetch called {name!r}; there is {', '.join(OPEN_MODELS)}.")
    check_free_name(name)
    model = OPEN_MODELS[name]
    repository = model.repositories[layout]
    hub = _hub()
    with explained(repository, revision):
        found = hub.HfApi().model_info(repository, revision=revision, files_metadata=True)
    files = [
        PlacedFile(
            part=part_of(file.rfilename),
            name=file.rfilename,
            sha256=(file.lfs.sha256 if file.lfs else "") or "",
            bytes=file.size or 0,
        )
        for file in found.siblings or ()
        if is_wanted(file.rfilename, layout)
    ]
    if not any(file.part == "transformer" for file in files):
        raise WeightsError(
            f"{repository} at {revision} has no transformer; another --layout or --revision may have it."
        )
    told = found.card_data.get("license") if found.card_data else None
    return Offer(
        model=model,
        layout=layout,
        repository=repository,
        commit=found.sha or revision,
        files=tuple(files),
        licence=str(told or model.licence),
    )


def is_wanted(name: str, layout: Source) -> bool:
    plain = ".." not in name.split("/") and not name.startswith("/")
    return plain and name.endswith(ENDINGS) and any(fnmatch.fnmatchcase(name, pattern) for pattern in WANTED[layout])


def part_of(name: str) -> str:
    """The part that a file of a repository belongs to, by its path."""
    folder, _, rest = name.rpartition("/")
    by_folder = {own: part for part, own in DIFFUSERS.items()} | {"low_noise_model": "transformer_low"}
    by_start = {"Wan2": "codec", "models_t5": "text", "models_clip": "image"}
    if folder.startswith(("tokenizer", "google")):
        return "tokenizer"
    return by_folder.get(
        folder, next((part for start, part in by_start.items() if rest.startswith(start)), "transformer")
    )


def fetch(chosen: Offer) -> Path:
    """Fetch every file of an offer that is not there yet; the folder. Progress goes to standard error.

    Raises `OutputError` when the disk has no room, `WeightsError` when the hub cannot be reached, `Cancelled` on
    Ctrl-C. Whole files are kept.
    """
    check_room(chosen)
    hub = _hub()
    again = f"Whole files that came are kept; go on with: kinora models pull {chosen.model.name}"
    try:
        with alone(chosen), explained(chosen.repository, chosen.commit, again):
            hub.snapshot_download(
                chosen.repository,
                revision=chosen.commit,
                local_dir=chosen.folder,
                allow_patterns=[file.name for file in chosen.files],
            )
    except KeyboardInterrupt as stop:
        raise Cancelled(f"stopped. {again}") from stop
    # The hub's library returns a folder as it is when it loses its connection.
    missing = [file.name for file in chosen.files if not _is_there(chosen.folder / file.name, file.bytes)]
    if missing:
        raise WeightsError(f"{len(missing)} files of {chosen.repository} did not come, such as {missing[0]}. {again}")
    return chosen.folder


@contextmanager
def alone(chosen: Offer) -> Iterator[None]:
    """Fetch as the only process that does, and without what one that was killed left half-way."""
    import fcntl

    notes = chosen.folder / NOTED
    try:
        notes.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{chosen.folder} cannot be made ({error.strerror}). Let $KINORA_MODELS name another."
        ) from error
    with (notes / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(f"Another process is fetching {chosen.model.name} already. Let it end.") from error
        # The library begins a file anew that it did not finish, and never looks at these again.
        for half in notes.rglob("*.incomplete"):
            half.unlink(missing_ok=True)
        yield


def install(chosen: Offer, *, convert_pickles: bool = False, on_hash: Hashing | None = None) -> Path:
    """Make a model of what `fetch` brought: look at it, hash it, write its manifest; the folder.

    With `convert_pickles` parts that are pickles are converted (in a confined process) and the pickles deleted at the
    end; without it they are named in a `WeightsError`. Raises `WeightsError` too where a file is not the one that the
    repository told of.
    """
    folder, name = chosen.folder, chosen.model.name
    found = recognise(folder, called=name)
    if convert_pickles and found.unconverted:
        for path in found.unconverted:
            convert(path)
        found = recognise(folder, called=name)
    refuse_pickles(found)
    manifest = manifest_of(found, name=name, source=f"{chosen.repository}@{chosen.commit}", home="")
    manifest = hashed(replace(manifest, licence=chosen.licence), folder, on_hash)
    check_hashes(chosen, manifest)
    write_entry(manifest)
    for file in chosen.files:
        if file.name.endswith(".pth") and converted_name(folder / file.name).exists():
            (folder / file.name).unlink(missing_ok=True)
    return folder


def check_hashes(chosen: Offer, manifest: Manifest) -> None:
    """Raise `WeightsError` where a file is not what the repository says it is; it is then removed."""
    told = {file.name: file.sha256 for file in chosen.files if file.sha256}
    wrong = [file.name for file in manifest.files if told.get(file.name, file.sha256) != file.sha256]
    for name in wrong:
        (chosen.folder / name).unlink()
    if wrong:
        raise WeightsError(
            f"{', '.join(wrong)} came damaged (sha256 differs from the repository's) and was removed. Fetch it again: "
            f"kinora models pull {chosen.model.name}"
        )


def check_room(chosen: Offer) -> None:
    """Raise `OutputError` unless the disk has room for what is still to come."""
    need = chosen.missing_bytes
    if chosen.layout == "wan":  # parts that are converted stand twice for a while
        need += sum(file.bytes for file in chosen.files if file.name.endswith(".pth"))
    free = shutil.disk_usage(next(path for path in chosen.folder.parents if path.exists())).free
    if free < need + ROOM:
        raise OutputError(
            f"{chosen.model.name} needs {need / 2**30:.1f} GiB more on the disk of {chosen.folder}, which has "
            f"{free / 2**30:.1f} free. Make room, or let $KINORA_MODELS name a folder on another disk."
        )


@contextmanager
def explained(repository: str, revision: str, again: str = "Nothing was fetched.") -> Iterator[None]:
    """Errors of the hub's library as Kinora's: what happened, and what to do."""
    hub = _hub()
    errors, page = hub.errors, f"{hub.constants.ENDPOINT}/{repository}"
    try:
        yield
    except errors.GatedRepoError as error:
        why = f"asks for your consent first: sign in and agree at {page}, then: hf auth login"
        raise WeightsError(f"{repository} {why}") from error
    except errors.RevisionNotFoundError as error:
        raise WeightsError(
            f"{repository} has no revision {revision!r}. Leave --revision out for the newest."
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise WeightsError(
            f"{page} is not there, or not for you. Sign in (hf auth login), or try another --layout."
        ) from error
    except errors.OfflineModeIsEnabled as error:
        raise WeightsError(f"$HF_HUB_OFFLINE forbids the network. Unset it to fetch {repository}. {again}") from error
    except (OSError, errors.HTTPError, RuntimeError) as error:
        raise _unreached(error, page, again) from error


def _unreached(error: Exception, page: str, again: str) -> KinoraError:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(f"The disk is full. Make room, or let $KINORA_MODELS name another folder. {again}")
    told = getattr(getattr(error, "response", None), "status_code", None)
    if told is not None:
        return WeightsError(f"{page} answered with the error {told}; try later. {again}")
    first = (str(error).splitlines() or [type(error).__name__])[0]
    return WeightsError(
        f"{page} cannot be reached ({first}). Check the network and the proxy; $HF_ENDPOINT may name a mirror. {again}"
    )


def _is_there(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _hub() -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.constants
        import huggingface_hub.errors
    except ModuleNotFoundError as error:
        raise WeightsError(
            "Fetching models needs the package huggingface_hub. Install it: pip install 'kinora[wan]'. Or fetch the "
            "files yourself and tell Kinora where they are: kinora models add PATH"
        ) from error
    return huggingface_hub
