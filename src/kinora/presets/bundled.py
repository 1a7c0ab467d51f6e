"""The models that ship with Kinora."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from kinora.core.errors import WeightsError
from kinora.presets.preset import Preset, Sampling
from kinora.presets.wan import OPEN_MODELS

__all__ = ["PRESETS", "preset_for", "tiny"]


def tiny() -> Preset:
    """The bundled model: 5 s at 16 frames a second are its 21 latent frames."""
    return Preset(
        name="tiny",
        sampling={
            quality: Sampling(
                steps=steps,
                guidance=4.0,
                guidance_floor=0.92,
                image_shift=3.0,
                solver="euler",
                renewal=1.0,
                sketch_shift=6.0,
                sketch_steps=2 * steps,
            )
            for quality, steps in (("draft", 8), ("standard", 16), ("pro", 40))
        },
        window=21,
        history=5,
        history_cap=0.02,
        hold=0.5,
        obeys=frozenset({"keyframes", "continuation", "regions", "camera moves", "brushes", "references", "speech"}),
    )


PRESETS: Mapping[str, Callable[[], Preset]] = MappingProxyType({"tiny": tiny})
"""The bundled ones by name."""


def preset_for(name: str, sampling: Mapping[str, Mapping[str, Any]] | None = None) -> Preset:
    """The preset of a model by the name in its manifest, or of a published model; a model of one's own training samples
    as `tiny` does.

    `sampling` is the manifest's own table, by quality; it goes before the preset's. Raises `WeightsError` when that is
    no such table.
    """
    preset = OPEN_MODELS[name].preset if name in OPEN_MODELS else PRESETS.get(name, tiny)()
    try:
        own = {quality: Sampling(**values) for quality, values in (sampling or {}).items()}
    except TypeError as error:
        raise WeightsError(
            f"The manifest of {name} says of its sampling what this Kinora does not know ({error}). Update Kinora."
        ) from error
    return replace(preset, sampling={**preset.sampling, **own})
