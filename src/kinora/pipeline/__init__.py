"""One pipeline: request, plan, latents, clip. It knows no files but the model's.

What it offers is imported when it is first asked for: planning needs no torch, and a service plans without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kinora.pipeline.model import Model, load_model
    from kinora.pipeline.pipeline import Pipeline, load_pipeline
    from kinora.pipeline.progress import OnProgress, Progress

__all__ = ["Model", "OnProgress", "Pipeline", "Progress", "load_model", "load_pipeline"]

_HOMES = {
    "Model": "model",
    "OnProgress": "progress",
    "Pipeline": "pipeline",
    "Progress": "progress",
    "load_model": "model",
    "load_pipeline": "pipeline",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
