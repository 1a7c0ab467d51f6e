"""Where models lie on disk."""

from __future__ import annotations

import os
from pathlib import Path

from kinora.core.errors import WeightsError
from kinora.presets.wan import OPEN_MODELS

__all__ = ["MANIFEST", "MODELS_VARIABLE", "bundled_models", "find_model", "store_root"]

MANIFEST = "manifest.json"
MODELS_VARIABLE = "KINORA_MODELS"
"""Environment variable: a folder of model folders, looked into before the bundled models."""


def store_root() -> Path:
    """The folder of added and fetched models: `$KINORA_MODELS`, else among the user's data as XDG has it."""
    own = os.environ.get(MODELS_VARIABLE)
    if own:
        return Path(own).expanduser().absolute()
    data = os.environ.get("XDG_DATA_HOME", "")
    # The XDG rules: a relative path there is to be passed over.
    home = Path(data) if Path(data).is_absolute() else Path.home() / ".local" / "share"
    return home / "kinora" / "models"


def bundled_models() -> list[Path]:
    """Folders of the models that ship with Kinora."""
    return sorted(path.parent for path in Path(__file__).parent.glob(f"*/{MANIFEST}"))


def find_model(name: str) -> Path:
    """The folder of the model called `name`, or at the path `name`; raises `WeightsError` when there is none."""
    tried = [Path(name)] if os.sep in name or name in (".", "..") else named_places(name)
    for folder in tried:
        if (folder / MANIFEST).is_file():
            return folder
    places = " or ".join(str(folder) for folder in tried)
    fetch = f" Fetch it: kinora models pull {name}" if name in OPEN_MODELS else ""
    raise WeightsError(
        f"There is no model {name!r}: no {MANIFEST} in {places}. Name a model's folder (with a / in it), or put it "
        f"into the folder that ${MODELS_VARIABLE} names; `kinora models list` shows what there is.{fetch}"
    )


def named_places(name: str) -> list[Path]:
    """Where a bare name may lie, best first."""
    return [store_root() / name, Path(__file__).parent / name]
