"""The models that ship with Kinora."""

from __future__ import annotations

from kinora.presets.preset import Preset, Sampling

__all__ = ["PRESETS", "preset_for", "tiny"]


def tiny() -> Preset:
    """The bundled model: 5 s at 16 frames a second are its 21 latent frames."""
    return Preset(
        name="tiny",
        sampling={
            "draft": Sampling(steps=8, guidance=6.0),
            "standard": Sampling(steps=16, guidance=6.0),
            "pro": Sampling(steps=40, guidance=6.0),
        },
        window=21,
        history=5,
        history_cap=0.02,
        hold=0.9,
        obeys=frozenset({"keyframes", "continuation", "regions", "camera moves", "brushes", "references", "speech"}),
    )


PRESETS = {"tiny": tiny}
"""By the name of the family a model's manifest states."""


def preset_for(name: str) -> Preset:
    """The preset of a model by the name in its manifest; a model of one's own training samples as `tiny` does."""
    return PRESETS.get(name, tiny)()
