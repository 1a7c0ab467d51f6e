"""The scene vocabulary: what can be said of a scene, and what a scene says.

A slot is a question with a closed list of answers ("what colour is it?"), in names that code uses. `SceneSlots` holds
the answers for a whole scene. `None` means "not said": a caption states some slots and leaves the others open.
The words people use for each value, in Chinese and English, are in `kinora.core.words`.

Two worlds: 1.0, and 2.0, which adds slots, values at the end of lists, and animals. Tables of both are kept, because a
reader answers the questions of the world it was taught.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "ANIMAL_SLOTS", "BODY_SLOTS", "FIGURE_SLOTS", "SCENE_SLOTS", "SLOTS", "SLOTS_1", "UNSPOKEN",
    "AnimalSlots", "BodySlots", "FigureSlots", "SceneSlots",
]  # fmt: skip

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

# World 2.0. The tuples above stay as they are: the mixes of world 1.0 draw from them.
TETHERED = ("swing", "orbit")
"""What bodies do on a string, or around another body."""
CONTACTS = ("carry", "push", "stroke", "eat")
"""What a figure does to the only body, or (stroke) to the only animal."""
HATS = ("none", "cap", "top_hat", "party_hat")
GLASSES = ("no", "yes")
EXPRESSIONS = ("neutral", "smile", "frown", "surprised")
ANIMAL_ACTIONS = ("walk", "sit", "wag")
WEATHERS = ("clear", "rain", "snow", "fog")
WAVES = ("calm", "waves")
ROPES = ("none", "hang", "swing")
SHOTS = ("wide", "close")

UNSPOKEN = frozenset({"none", "no", "clear", "calm", "wide", "neutral"})
"""Values that go without saying: captions never tell them."""

BODY_SLOTS: dict[str, tuple[str, ...]] = {
    "colour": COLOURS,
    "shape": SHAPES,
    "size": SIZES,
    "material": MATERIALS,
    "action": (*BODY_ACTIONS, *TETHERED),
    "direction": DIRECTIONS,
    "speed": SPEEDS,
}
FIGURE_SLOTS: dict[str, tuple[str, ...]] = {
    "hair": HAIR_COLOURS,
    "clothes": COLOURS,
    "action": (*FIGURE_ACTIONS, *CONTACTS),
    "direction": DIRECTIONS,
    "hat": HATS,
    "glasses": GLASSES,
    "expression": EXPRESSIONS,
}
ANIMAL_SLOTS: dict[str, tuple[str, ...]] = {
    "colour": COLOURS,
    "action": ANIMAL_ACTIONS,
    "direction": DIRECTIONS,
}
SCENE_SLOTS: dict[str, tuple[str, ...]] = {
    "ground": GROUNDS,
    "sky": SKIES,
    "camera": CAMERAS,
    "camera_speed": SPEEDS,
    "backdrop": PICTURES,
    "event": EVENTS,
    "weather": WEATHERS,
    "waves": WAVES,
    "rope": ROPES,
    "shot": SHOTS,
}
SLOTS: dict[str, tuple[str, ...]] = {
    **{f"body.{name}": values for name, values in BODY_SLOTS.items()},
    **{f"figure.{name}": values for name, values in FIGURE_SLOTS.items()},
    **{f"animal.{name}": values for name, values in ANIMAL_SLOTS.items()},
    **SCENE_SLOTS,
}
"""Every slot by its full name, with its values in a fixed order (their index is their class for the reader)."""

SLOTS_1: dict[str, tuple[str, ...]] = {
    **{f"body.{name}": values for name, values in (BODY_SLOTS | {"action": BODY_ACTIONS}).items()},
    "figure.hair": HAIR_COLOURS,
    "figure.clothes": COLOURS,
    "figure.action": FIGURE_ACTIONS,
    "figure.direction": DIRECTIONS,
    **{name: SCENE_SLOTS[name] for name in ("ground", "sky", "camera", "camera_speed", "backdrop", "event")},
}
"""The table of world 1.0, which the first readers answer."""


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
    hat: str | None = None
    glasses: str | None = None
    expression: str | None = None


@dataclass(frozen=True, kw_only=True)
class AnimalSlots:
    """One animal, a toy dog."""

    colour: str | None = None
    action: str | None = None
    direction: str | None = None


@dataclass(frozen=True, kw_only=True)
class SceneSlots:
    """A whole scene in slots.

    `bodies`, `figures` and `animals` are complete: captions always tell how many there are.
    """

    bodies: tuple[BodySlots, ...] = ()
    figures: tuple[FigureSlots, ...] = ()
    animals: tuple[AnimalSlots, ...] = ()
    ground: str | None = None
    sky: str | None = None
    camera: str | None = None
    camera_speed: str | None = None
    backdrop: str | None = None
    event: str | None = None
    weather: str | None = None
    waves: str | None = None
    rope: str | None = None
    shot: str | None = None
