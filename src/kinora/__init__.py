"""Kinora: from a sentence to a film, on your own machine.

    import kinora

    clip = kinora.load("tiny").generate("a red ball rolls to the right on the grass")

Nothing heavy is imported before it is used: `import kinora` and `kinora --help` start without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinora.core.request import Request

if TYPE_CHECKING:
    from kinora.core.clip import Clip
    from kinora.pipeline import Pipeline

__all__ = ["Clip", "Pipeline", "Request", "__version__", "load"]

__version__ = "0.1.0"


def load(model: str = "tiny", *, device: str | None = None) -> Pipeline:
    """The pipeline of a model: `tiny`, another name in `$KINORA_MODELS`, or the path of a model's folder.

    `device` is a torch device; left out, a GPU is taken if there is one. Raises `WeightsError` when the model is
    missing or damaged.
    """
    from kinora.pipeline import load_pipeline

    return load_pipeline(model, device=device)


def __getattr__(name: str) -> object:
    """`kinora.Clip` and `kinora.Pipeline`, imported when first asked for."""
    if name == "Clip":
        from kinora.core.clip import Clip

        return Clip
    if name == "Pipeline":
        from kinora.pipeline import Pipeline

        return Pipeline
    raise AttributeError(f"module 'kinora' has no attribute {name!r}")
