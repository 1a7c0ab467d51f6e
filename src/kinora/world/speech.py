"""Made-up speech: mouth shapes that open and close like syllables, without meaning any words."""

from __future__ import annotations

import math

import numpy as np

from kinora.core.visemes import VisemeTrack

__all__ = ["random_speech"]

# Openness, width, rounding, teeth.
VOWELS = np.array(
    [
        [0.95, 0.45, 0.00, 0.15],  # ah
        [0.60, 0.75, 0.00, 0.35],  # eh
        [0.32, 1.00, 0.00, 0.65],  # ee
        [0.70, 0.15, 0.75, 0.00],  # oh
        [0.35, 0.00, 1.00, 0.00],  # oo
        [0.50, 0.45, 0.15, 0.20],  # uh
    ]
)
CONSONANTS = np.array(
    [
        [0.00, 0.35, 0.05, 0.00],  # m, b, p
        [0.12, 0.55, 0.00, 1.00],  # s, z
        [0.08, 0.40, 0.00, 0.85],  # f, v
        [0.20, 0.50, 0.00, 0.45],  # t, d, n, l
        [0.15, 0.05, 0.85, 0.30],  # sh, ch
        [0.25, 0.40, 0.10, 0.05],  # k, g, h
    ]
)
SYLLABLE_RATE = (3.0, 5.0)
"""Syllables a second, as in unhurried talk."""


def random_speech(rng: np.random.Generator, frames: int, frame_rate: float) -> VisemeTrack:
    """Phrases of two to six syllables with short rests between them, `frames` long; deterministic in the state of
    `rng`.

    A syllable goes from a consonant to a vowel; shapes between them are eased, as lips move, so the track is
    continuous in time.
    """
    seconds = frames / frame_rate
    rate, strength = rng.uniform(*SYLLABLE_RATE), rng.uniform(0.8, 1.0)
    moments, shapes = [-1.0, 0.0], [np.zeros(4), np.zeros(4)]
    now = float(rng.uniform(0.05, 0.25))
    while now < seconds:
        for _ in range(int(rng.integers(2, 7))):
            length = float(rng.uniform(0.85, 1.15)) / rate
            moments += [now, now + 0.5 * length]
            shapes += [_varied(rng, CONSONANTS), strength * _varied(rng, VOWELS)]
            now += length
        moments += [now, now + 0.05]
        shapes += [np.zeros(4), np.zeros(4)]
        now += float(rng.uniform(0.15, 0.5))
    time_F = np.arange(frames) / frame_rate
    after_F = np.searchsorted(moments, time_F, side="right").clip(1, len(moments) - 1)
    start_F, end_F = np.array(moments)[after_F - 1], np.array(moments)[after_F]
    share_F = 0.5 - 0.5 * np.cos(math.pi * ((time_F - start_F) / (end_F - start_F)).clip(0.0, 1.0))
    shape_K4 = np.stack(shapes)
    mouth_F4 = shape_K4[after_F - 1] + share_F[:, None] * (shape_K4[after_F] - shape_K4[after_F - 1])
    return VisemeTrack(mouth_F4=mouth_F4.clip(0.0, 1.0).astype(np.float32), frame_rate=frame_rate)


def _varied(rng: np.random.Generator, sounds: np.ndarray) -> np.ndarray:
    """One of the sounds, as nobody says it twice the same."""
    shape_4: np.ndarray = (sounds[rng.integers(len(sounds))] + rng.normal(0, 0.05, 4)).clip(0.0, 1.0)
    return shape_4
