"""What the steps of `kinora models` do."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from kinora.cli.model_table import HashLine, giga, lines_of_bundled, lines_of_offers, lines_of_store, need_line
from kinora.core.errors import Cancelled, InputError
from kinora.presets.fetch import fetch, install, offer
from kinora.presets.lora import add_lora, few_steps
from kinora.presets.places import bundled_models, find_model, store_root
from kinora.presets.recognise import PARTS, recognise
from kinora.presets.store import (
    add_found,
    check_free_name,
    entries,
    entry_in,
    refuse_pickles,
    remove_model,
    standing_on,
    stands_in_store,
    verify_model,
)
from kinora.presets.wan import OPEN_MODELS
from kinora.weights.convert import convert
from kinora.weights.manifest import read_manifest

__all__ = ["STEPS"]


def list_models(arguments: argparse.Namespace) -> int:
    for line in (*lines_of_bundled(), "", *lines_of_store(), "", *lines_of_offers()):
        print(line)
    return 0


def pull(arguments: argparse.Namespace) -> int:
    chosen = offer(arguments.name, layout=arguments.layout, revision=arguments.revision)
    print(f"{chosen.model.title}, from {chosen.repository}@{chosen.commit[:12]}")
    print(f"  size     {giga(chosen.bytes)} in {len(chosen.files)} files, {giga(chosen.missing_bytes)} to fetch")
    print(f"  licence  {chosen.licence}")
    print(f"  memory   {need_line(chosen.files)}")
    print(f"  goes to  {chosen.folder}")
    ask("Fetch it?", arguments)
    fetch(chosen)
    folder = install(chosen, convert_pickles=arguments.convert, on_hash=HashLine())
    print(f"{chosen.model.name} is ready: kinora generate --model {folder.name} ...")
    return 0


def add(arguments: argparse.Namespace) -> int:
    if arguments.base:
        return add_lora_entry(arguments)
    named = dict(_part(text) for text in arguments.part)
    found = recognise(arguments.path, called=arguments.called, named=named)
    refuse_pickles(found)
    name = arguments.name or found.preset
    check_free_name(name)
    model = OPEN_MODELS[found.preset]
    print(f"{model.title}, layout {found.layout}, in {found.home}")
    print(f"  size     {giga(sum(file.bytes for file in found.files))} in {len(found.files)} files, which stay there")
    print(f"  licence  {model.licence} as published; what you have may differ")
    print(f"  memory   {need_line(found.files)}")
    for note in found.notes:
        print(f"  note     {note}")
    add_found(found, name=name, on_hash=HashLine())
    print(f"{name} is ready: kinora generate --model {name} ...")
    return 0


def add_lora_entry(arguments: argparse.Namespace) -> int:
    preset = read_manifest(find_model(arguments.base)).preset
    sampling: dict[str, Any] = {}
    if arguments.steps is not None:
        sampling = few_steps(preset, steps=arguments.steps, guidance=arguments.guidance, shift=arguments.shift)
    name = arguments.name or f"{arguments.base}-{arguments.path.stem}"
    add_lora(arguments.path, arguments.base, name=name, sampling=sampling, low=arguments.low, on_hash=HashLine())
    print(f"{name} is {arguments.base} with {arguments.path.name}: kinora generate --model {name} ...")
    return 0


def _part(text: str) -> tuple[str, Path]:
    part, given, place = text.partition("=")
    if not given or part not in PARTS:
        raise InputError(f"--part takes PART=PATH with a part out of {', '.join(PARTS)}, not {text!r}.")
    return part, Path(place)


def convert_file(arguments: argparse.Namespace) -> int:
    line = HashLine("converted")
    made = convert(arguments.file, arguments.output, on_bytes=lambda done, total: line(arguments.file, done, total))
    print(f"{made.path}: {made.tensors} tensors, {giga(made.bytes)}")
    print(f"  the process that read the pickle had: {'; '.join(made.confined) or 'nothing taken from it'}")
    if made.unconfined:
        print(f"  this system did not grant: {'; '.join(made.unconfined)}")
    print("  it could read files, as you can")
    return 0


def verify(arguments: argparse.Namespace) -> int:
    folders = (
        [find_model(arguments.name)] if arguments.name else [entry.folder for entry in entries() if entry.manifest]
    )
    wrong = 0
    for folder in folders:
        troubles = verify_model(folder, HashLine("checked"))
        print(f"{'BAD' if troubles else 'ok '}  {folder.name}")
        for trouble in troubles:
            print(f"     {trouble}")
        wrong += bool(troubles)
    if not folders:
        print(f"The store, {store_root()}, has no models.")
    return 1 if wrong else 0


def remove(arguments: argparse.Namespace) -> int:
    folder = store_root() / arguments.name
    if not stands_in_store(folder):
        shipped = arguments.name in (path.name for path in bundled_models())
        why = "ships with Kinora and stays" if shipped else f"is not in the store, {store_root()}"
        raise InputError(f"{arguments.name} {why}. kinora models list shows what can be removed.")
    entry = entry_in(folder)
    if entry.fetched:
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        print(f"{entry.name} was fetched; its files, {giga(size)} in {folder}, go with it.")
    elif entry.manifest is not None and entry.linked:
        print(f"The entry {entry.name} goes; its files in {entry.manifest.home} stay.")
    for other in standing_on(folder):
        print(f"{other} uses its files and will not load any more.")
    ask("Remove it?", arguments)
    for left in remove_model(entry):
        print(f"left, because it was not fetched: {left}")
    return 0


def ask(question: str, arguments: argparse.Namespace) -> None:
    """Go on if the user says yes; raise `Cancelled` if not, `InputError` where nobody can be asked."""
    if arguments.yes:
        return
    if not sys.stdin.isatty():
        raise InputError(f"{question} Nobody is there to say so; add --yes.")
    if input(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
        raise Cancelled("left as it is")


STEPS: Mapping[str, Callable[[argparse.Namespace], int]] = MappingProxyType({
    "list": list_models,
    "pull": pull,
    "add": add,
    "convert": convert_file,
    "verify": verify,
    "remove": remove,
})  # fmt: skip
"""By the word on the command line."""
