"""How often each thing happens in sampled scenes."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ACTS", "RICHEST_MIX", "SIMPLE_MIX", "TRAINING_MIX", "WIDE_MIX", "Mix"]

ACTS = ("animal", "rope", "pendulum", "orbit", "carry", "push", "stroke", "eat", "talk", "close")
"""Scenes of world 2.0 that are staged as a whole (`kinora.world.acts`)."""


@dataclass(frozen=True, kw_only=True)
class Mix:
    """Probabilities, each in [0, 1]; lists of weights need not sum to one."""

    bodies: tuple[float, ...] = (0.5, 0.35, 0.12, 0.03)
    """Weights of 1, 2, 3, ... bodies in a scene without figures."""
    figures: float = 0.18
    """Scenes with a figure."""
    second_figure: float = 0.12
    """Of those, scenes with two."""
    body_beside_figure: float = 0.35
    """Of the scenes with a single figure, those that hold a body too."""
    most_beside: int = 1
    """Bodies there, at most; beside two figures one fewer."""
    backdrop: float = 0.08
    """Scenes with a picture wall behind."""
    moving_picture: float = 0.3
    """Of the walls, those whose picture drifts."""
    camera: float = 0.25
    """Scenes with a moving camera."""
    collision: float = 0.2
    """Of the scenes with two or more bodies on dry ground, those set up so that one runs into another."""
    water: float = 0.13
    """Scenes on water, where every body floats."""
    actions: tuple[float, ...] = (0.14, 0.3, 0.24, 0.1, 0.13, 0.09)
    """Weights of rest, roll, slide, fall, bounce, fly for a body on dry ground."""
    still_floats: float = 0.35
    """Of the floating bodies, those that only bob."""
    cards: float = 0.0
    """Of the scenes with a wall, those with a small picture card standing in front."""
    acts: tuple[float, ...] = ()
    """Shares of `ACTS` among all scenes; what they leave of 1 is the share of plain scenes, as everything above tells.
    """
    weather: float = 0.0
    """Scenes with rain, snow or fog, a third each."""
    waves: float = 0.0
    """Of the scenes on water, those with waves."""
    hats: float = 0.0
    """Of the figures, those with a hat."""
    glasses: float = 0.0
    expressions: float = 0.0
    """Of the figures that stand, nod or speak near the camera, those with another face than a neutral one."""

    @property
    def world(self) -> str:
        """The version of the world that has all that this mix can draw."""
        added = (*self.acts, self.weather, self.waves, self.hats, self.glasses, self.expressions)
        return "2.0" if any(added) else "1.0"


TRAINING_MIX = Mix()
SIMPLE_MIX = Mix(bodies=(0.65, 0.35), figures=0.15, second_figure=0.0, backdrop=0.0, camera=0.2)
RICHEST_MIX = Mix(
    bodies=(0.0, 0.0, 0.4, 0.6),
    figures=0.6,
    second_figure=0.5,
    body_beside_figure=1.0,
    most_beside=3,
    backdrop=0.5,
    camera=0.9,
    cards=0.4,
)
"""Much at once, for timing the renderer."""
WIDE_MIX = Mix(
    figures=0.28,
    water=0.2,
    acts=(0.085, 0.06, 0.045, 0.05, 0.04, 0.04, 0.04, 0.04, 0.055, 0.08),
    weather=0.21,
    waves=0.5,
    hats=0.45,
    glasses=0.35,
    expressions=0.75,
)
"""The training mix of world 2.0: each act and each weather in 4 to 8 of a hundred scenes."""
