"""Who a figure is: sampling identities, telling held-out ones from training ones, and identities as vectors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kinora.core.errors import InputError
from kinora.core.slots import COLOURS, HAIR_COLOURS
from kinora.world.lattice import linear_rgb
from kinora.world.scene import Identity, Rgb

__all__ = ["IDENTITY_WIDTH", "identity_from_vector", "identity_vector", "is_held_out", "sample_identity"]

STYLES = 5
IDENTITY_WIDTH = len(HAIR_COLOURS) + STYLES + len(COLOURS) + 9 + 3
"""Length of an identity's vector: one-hot hair colour, hair style and clothes; skin, eyes, trousers; height, head,
girth."""

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


def identity_vector(identity: Identity) -> npt.NDArray[np.float32]:
    """The identity as float32 (IDENTITY_WIDTH,), every entry in [0, 1]; `identity_from_vector` undoes it."""
    hair = np.eye(len(HAIR_COLOURS))[HAIR_COLOURS.index(identity.hair)]
    clothes = np.eye(len(COLOURS))[COLOURS.index(identity.clothes)]
    sizes = [(getattr(identity, name) - low) / (high - low) for name, (low, high) in RANGES.items()]
    colours = [*identity.skin, *identity.eyes, *identity.trousers]
    return np.concatenate([hair, np.eye(STYLES)[identity.hair_style], clothes, colours, sizes]).astype(np.float32)


def identity_from_vector(vector_D: npt.NDArray[np.float32]) -> Identity:
    """The identity nearest to a vector, which may be a model's guess; raises `InputError` for a wrong length."""
    if vector_D.shape != (IDENTITY_WIDTH,):
        raise InputError(f"An identity vector has shape ({IDENTITY_WIDTH},), not {vector_D.shape}.")
    widths = [len(HAIR_COLOURS), STYLES, len(COLOURS), 3, 3, 3]
    hair, style, clothes, skin, eyes, trousers, sizes = np.split(vector_D.astype(np.float64), np.cumsum(widths))
    height, head, girth = (
        round(low + float(np.clip(size, 0, 1)) * (high - low), 3)
        for size, (low, high) in zip(sizes, RANGES.values(), strict=True)
    )
    return Identity(
        skin=_rounded(skin),
        hair=HAIR_COLOURS[int(hair.argmax())],
        hair_style=int(style.argmax()),
        eyes=_rounded(eyes),
        clothes=COLOURS[int(clothes.argmax())],
        trousers=_rounded(trousers),
        height=height,
        head=head,
        girth=girth,
    )


def _rounded(rgb_3: npt.NDArray[np.float64]) -> Rgb:
    red, green, blue = (round(float(value), 4) for value in np.clip(rgb_3, 0.0, 1.0))
    return red, green, blue
