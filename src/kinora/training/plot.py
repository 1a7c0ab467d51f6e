"""A loss curve, drawn with nothing but Pillow."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw

__all__ = ["draw_losses"]

WIDTH, HEIGHT, MARGIN = 960, 480, 56
INKS = ("#2a6fdb", "#d1495b", "#2e933c", "#8e5572")
BINS = 240


def draw_losses(points: Sequence[tuple[int, str, float]]) -> Image.Image:
    """Loss over steps, logarithmic, each stage in a colour of its own: single steps pale, their running mean bold.

    `points` are (step, stage, loss); those that are not finite are left out.
    """
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw = ImageDraw.Draw(image)
    finite = [(step, stage, loss) for step, stage, loss in points if math.isfinite(loss) and loss > 0]
    if not finite:
        draw.text((MARGIN, HEIGHT // 2), "no steps yet", fill="black")
        return image
    last = max(step for step, _, _ in finite) or 1
    low, high = (math.log10(pick(loss for _, _, loss in finite)) for pick in (min, max))
    high = max(high, low + 0.1)

    def at(step: float, loss: float) -> tuple[float, float]:
        x = MARGIN + (WIDTH - 2 * MARGIN) * step / last
        y = HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * (math.log10(loss) - low) / (high - low)
        return x, y

    for n in range(5):
        level = 10 ** (low + (high - low) * n / 4)
        y = at(0, level)[1]
        draw.line([(MARGIN, y), (WIDTH - MARGIN, y)], fill="#dddddd")
        draw.text((6, y - 6), f"{level:.3g}", fill="black")
        draw.text((at(last * n / 4, 1.0)[0] - 12, HEIGHT - MARGIN + 10), str(round(last * n / 4)), fill="black")
    for n, stage in enumerate(dict.fromkeys(stage for _, stage, _ in finite)):
        ink = INKS[n % len(INKS)]
        own = [(step, loss) for step, name, loss in finite if name == stage]
        for step, loss in own:
            x, y = at(step, loss)
            draw.point((x, y), fill=ink)
        draw.line([at(step, loss) for step, loss in _means(own)], fill=ink, width=3)
        draw.text((WIDTH - MARGIN - 120, MARGIN + 14 * n - 40), stage, fill=ink)
    return image


def _means(points: list[tuple[int, float]]) -> list[tuple[float, float]]:
    """Means over consecutive points, at most `BINS` of them."""
    size = max(1, len(points) // BINS, min(10, len(points) // 4))
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [
        (sum(step for step, _ in group) / len(group), sum(loss for _, loss in group) / len(group)) for group in groups
    ]
