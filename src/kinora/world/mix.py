"""How often each thing happens in sampled scenes."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RICHEST_MIX", "SIMPLE_MIX", "TRAINING_MIX", "Mix"]


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
