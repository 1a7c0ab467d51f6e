"""The reader of a model on disk."""

from __future__ import annotations

from pathlib import Path

from kinora.core.errors import WeightsError
from kinora.understanding.config import ReaderConfig
from kinora.understanding.model import Reader
from kinora.weights.manifest import read_manifest
from kinora.weights.store import load_module

__all__ = ["READER_PART", "load_reader"]

READER_PART = "reader"


def load_reader(folder: Path | str) -> Reader:
    """The reader that belongs to the model in `folder`; raises `WeightsError` when it has none or is damaged."""
    parts = read_manifest(folder).parts
    if READER_PART not in parts:
        raise WeightsError(f"The model in {folder} has no reader; train one with `kinora train reader` and bundle it.")
    try:
        reader = Reader(ReaderConfig(**parts[READER_PART]))
    except TypeError as error:
        raise WeightsError(
            f"The reader of the model in {folder} belongs to another version ({error}). Train one with `kinora train "
            "reader` and bundle it with the other parts of that folder."
        ) from error
    load_module(reader, folder, f"{READER_PART}.")
    return reader.eval()
