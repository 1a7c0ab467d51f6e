"""Who a figure is: sampling identities, and telling held-out ones from training ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kinora.core.slots import COLOURS, HAIR_COLOURS
from kinora.world.lattice import linear_rgb
from kinora.world.scene import Identity, Rgb

__all__ = ["is_held_out", "sample_identity"]

STYLES = 5

RANGES = {"height": (1.2, 1.8), "head": (0.85, 1.2), "girth": (0.85, 1.2)}
SKINS = np.array([[255, 224, 196], [246, 202, 160], [228, 172, 122], [190, 128, 82], [140, 88, 56], [92, 58, 40]]) / 255
"""sRGB tones from light to dark; a skin lies between two neighbours."""
EYES = np.array([[58, 116, 196], [60, 146, 84], [128, 78, 36], [92, 100, 112], [40, 28, 22], [176, 120, 32]]) / 255


def is_held_out(identity: Identity) -> bool:
    """Whether this identity is kept from training.

    The rule is a lattice over the three parameters that words or eyes tell first, by their indices in the slots:
    (hair + 2 hair_style + 3 clothes) mod 7 = 4. One in seven identities is held out; every value, and every pair of
    values, still occurs in training, only never all three together.
    """
    return _on_lattice(HAIR_COLOURS.index(identity.hair), identity.hair_style, COLOURS.index(identity.clothes))


def _on_lattice(hair: int, style: int, clothes: int) -> bool:
    return (hair + 2 * style + 3 * clothes) % 7 == 4


def sample_identity(rng: np.random.Generator, *, held_out: bool) -> Identity:
    """An identity of one split: held out from training (see `is_held_out`) or not.

    Deterministic in the state of `rng`.
    """
    tone = rng.uniform(0, len(SKINS) - 1)
    lower = min(int(tone), len(SKINS) - 2)
    skin = SKINS[lower] + (tone - lower) * (SKINS[lower + 1] - SKINS[lower])
    height, head, girth = (round(float(rng.uniform(*RANGES[name])), 3) for name in RANGES)
    hair, style, clothes = rng.integers((len(HAIR_COLOURS), STYLES, len(COLOURS)))
    while _on_lattice(hair, style, clothes) != held_out:
        hair, style, clothes = rng.integers((len(HAIR_COLOURS), STYLES, len(COLOURS)))
    return Identity(
        skin=_rgb(skin),
        hair=HAIR_COLOURS[hair],
        hair_style=int(style),
        eyes=_rgb(EYES[rng.integers(len(EYES))] * rng.uniform(0.8, 1.2)),
        clothes=COLOURS[clothes],
        trousers=_rgb(rng.uniform(0.1, 0.65) * (0.45 + 0.55 * rng.uniform(size=3))),
        height=height,
        head=head,
        girth=girth,
    )


def _rgb(srgb_3: npt.NDArray[np.float64]) -> Rgb:
    """Linear RGB, rounded so that a printed identity is the identity."""
    red, green, blue = (round(float(value), 4) for value in linear_rgb(np.clip(srgb_3, 0.0, 1.0)))
    return red, green, blue
