"""One pipeline: request, plan, latents, clip. It knows no files but the model's."""

from __future__ import annotations

from kinora.pipeline.model import Model, load_model
from kinora.pipeline.pipeline import Pipeline, load_pipeline
from kinora.pipeline.progress import OnProgress, Progress

__all__ = ["Model", "OnProgress", "Pipeline", "Progress", "load_model", "load_pipeline"]
