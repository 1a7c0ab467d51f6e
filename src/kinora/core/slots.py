"""The scene vocabulary: what can be said of a scene, and what a scene says.

A slot is a question with a closed list of answers ("what colour is it?"), in names that code uses. `SceneSlots` holds
the answers for a whole scene. `None` means "not said": a caption states some slots and leaves the others open.
The words people use for each value, in Chinese and English, are in `kinora.core.words`.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BODY_SLOTS", "FIGURE_SLOTS", "SCENE_SLOTS", "SLOTS", "BodySlots", "FigureSlots", "SceneSlots"]

COLOURS = (
    "red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink", "white", "black", "grey", "brown",
)  # fmt: skip
SHAPES = ("sphere", "cube", "cylinder", "cone")
SIZES = ("small", "medium", "large")
MATERIALS = ("matte", "shiny", "metal", "glass", "glowing")
BODY_ACTIONS = ("rest", "roll", "slide", "fall", "bounce", "fly", "float")
DIRECTIONS = ("none", "left", "right", "toward", "away")
SPEEDS = ("slow", "fast")
FIGURE_ACTIONS = ("stand", "walk", "jump", "turn", "nod", "smile", "speak")
GROUNDS = ("checker", "sand", "grass", "snow", "water", "wood")
SKIES = ("day", "sunset", "night", "overcast")
CAMERAS = (
    "still", "pan_left", "pan_right", "tilt_up", "tilt_down", "roll_clockwise", "roll_counterclockwise",
    "zoom_in", "zoom_out", "dolly_in", "dolly_out", "orbit_left", "orbit_right",
)  # fmt: skip
PICTURES = ("none", "leaves", "noise", "gradient", "stripes", "glyphs")
EVENTS = ("none", "collision")
HAIR_COLOURS = ("black", "brown", "yellow", "red", "white")

BODY_SLOTS: dict[str, tuple[str, ...]] = {
    "colour": COLOURS,
    "shape": SHAPES,
    "size": SIZES,
    "material": MATERIALS,
    "action": BODY_ACTIONS,
    "direction": DIRECTIONS,
    "speed": SPEEDS,
}
FIGURE_SLOTS: dict[str, tuple[str, ...]] = {
    "hair": HAIR_COLOURS,
    "clothes": COLOURS,
    "action": FIGURE_ACTIONS,
    "direction": DIRECTIONS,
}
SCENE_SLOTS: dict[str, tuple[str, ...]] = {
    "ground": GROUNDS,
    "sky": SKIES,
    "camera": CAMERAS,
    "camera_speed": SPEEDS,
    "backdrop": PICTURES,
    "event": EVENTS,
}
SLOTS: dict[str, tuple[str, ...]] = {
    **{f"body.{name}": values for name, values in BODY_SLOTS.items()},
    **{f"figure.{name}": values for name, values in FIGURE_SLOTS.items()},
    **SCENE_SLOTS,
}
"""Every slot by its full name, with its values in a fixed order (their index is their class for the reader)."""


@dataclass(frozen=True, kw_only=True)
class BodySlots:
    """One body: what it is and what it does, seen from the camera as it stands at the start."""

    colour: str | None = None
    shape: str | None = None
    size: str | None = None
    material: str | None = None
    action: str | None = None
    direction: str | None = None
    speed: str | None = None


@dataclass(frozen=True, kw_only=True)
class FigureSlots:
    """One figure: how it is told from others and what it does."""

    hair: str | None = None
    clothes: str | None = None
    action: str | None = None
    direction: str | None = None


@dataclass(frozen=True, kw_only=True)
class SceneSlots:
    """A whole scene in slots. `bodies` and `figures` are complete: captions always tell how many there are."""

    bodies: tuple[BodySlots, ...] = ()
    figures: tuple[FigureSlots, ...] = ()
    ground: str | None = None
    sky: str | None = None
    camera: str | None = None
    camera_speed: str | None = None
    backdrop: str | None = None
    event: str | None = None
