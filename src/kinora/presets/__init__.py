"""Named complete models and their sampling defaults."""

from __future__ import annotations

from kinora.presets.bundled import PRESETS, preset_for, tiny
from kinora.presets.places import find_model
from kinora.presets.preset import Preset, Sampling, WalkKind

__all__ = ["PRESETS", "Preset", "Sampling", "WalkKind", "find_model", "preset_for", "tiny"]
