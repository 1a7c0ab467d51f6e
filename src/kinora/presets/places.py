"""Where models lie on disk."""

from __future__ import annotations

import os
from pathlib import Path

from kinora.core.errors import WeightsError

__all__ = ["MANIFEST", "MODELS_VARIABLE", "find_model"]

MANIFEST = "manifest.json"
MODELS_VARIABLE = "KINORA_MODELS"
"""Environment variable: a folder of model folders, looked into before the bundled models."""


def find_model(name: str) -> Path:
    """The folder of the model called `name`, or at the path `name`; raises `WeightsError` when there is none."""
    tried = [Path(name)] if os.sep in name or name in (".", "..") else named_places(name)
    for folder in tried:
        if (folder / MANIFEST).is_file():
            return folder
    places = " or ".join(str(folder) for folder in tried)
    raise WeightsError(
        f"There is no model {name!r}: no {MANIFEST} in {places}. Name a model's folder (with a / in it), or put it "
        f"into the folder that ${MODELS_VARIABLE} names."
    )


def named_places(name: str) -> list[Path]:
    """Where a bare name may lie, best first."""
    own = os.environ.get(MODELS_VARIABLE)
    bundled = Path(__file__).parent / name
    return [Path(own) / name, bundled] if own else [bundled]
