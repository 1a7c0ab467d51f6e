"""The twelve colours as linear RGB, chosen to stay apart under all four skies."""

from __future__ import annotations

__all__ = ["COLOUR_RGB", "linear"]

Rgb = tuple[float, float, float]


def linear(red: int, green: int, blue: int) -> Rgb:
    """sRGB bytes to linear RGB in [0, 1] (IEC 61966-2-1)."""

    def one(byte: int) -> float:
        value = byte / 255
        return value / 12.92 if value <= 0.04045 else float(((value + 0.055) / 1.055) ** 2.4)

    return one(red), one(green), one(blue)


COLOUR_RGB: dict[str, Rgb] = {
    "red": linear(222, 26, 30),
    "orange": linear(250, 128, 8),
    "yellow": linear(250, 222, 24),
    "green": linear(30, 158, 42),
    "cyan": linear(20, 206, 214),
    "blue": linear(28, 66, 222),
    "purple": linear(126, 38, 184),
    "pink": linear(252, 128, 184),
    "white": linear(244, 244, 244),
    "black": linear(24, 24, 28),
    "grey": linear(132, 134, 138),
    "brown": linear(112, 62, 26),
}
"""Linear RGB of every value of the slot `body.colour`."""
