"""A toy world for the reader's tests: one coloured square on grey that stands or goes right, drawn with numpy."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from kinora.core.slots import BODY_SLOTS
from kinora.understanding.config import ReaderConfig
from kinora.understanding.moments import moments_of, times_of
from kinora.understanding.truth import ATTRIBUTES, UNSAID, ReaderTruth

SMALL = ReaderConfig(
    size=64, close=64, eye_widths=(16, 32), width=48, layers=2, decoder_layers=1, heads=4, max_bodies=2, max_figures=1
)
COLOURS = {"red": (230, 30, 30), "green": (30, 160, 40), "blue": (30, 60, 220)}
MOMENTS = 3


@pytest.fixture(scope="session")
def toys() -> SimpleNamespace:
    """The toy world: `config` of a small reader, `frames(rng)` and `batch(seed, clips)`."""
    return SimpleNamespace(config=SMALL, frames=toy_frames, batch=toy_batch)


def toy_frames(rng: np.random.Generator, size: int = 64) -> tuple[np.ndarray, str, bool, tuple[int, int]]:
    """Frames (9, S, S, 3), the colour, whether it moves, and where its middle starts (x, y)."""
    colour = list(COLOURS)[rng.integers(3)]
    moves = bool(rng.integers(2))
    x, y = int(rng.integers(8, size - 28)), int(rng.integers(8, size - 8))
    frames = np.full((1 + 4 * (MOMENTS - 1), size, size, 3), 128, dtype=np.uint8)
    for index, frame in enumerate(frames):
        across = x + 2 * index * moves
        frame[y - 5 : y + 5, across - 5 : across + 5] = COLOURS[colour]
    return frames, colour, moves, (x, y)


def toy_batch(seed: int, batch: int, config: ReaderConfig = SMALL) -> tuple[torch.Tensor, torch.Tensor, ReaderTruth]:
    """Moments, times and truth of `batch` toy clips."""
    rng = np.random.default_rng(seed)
    clips, truths = [], []
    for _ in range(batch):
        frames, colour, moves, (x, y) = toy_frames(rng, config.size)
        clips.append(frames)
        truths.append(_truth(config, colour, moves, x, y))
    positions = torch.arange(MOMENTS).expand(batch, -1)
    return (
        moments_of(torch.from_numpy(np.stack(clips)), config.size),
        times_of(positions, 16.0),
        ReaderTruth.stack(truths),
    )


def _truth(config: ReaderConfig, colour: str, moves: bool, x: int, y: int) -> dict[str, np.ndarray]:
    value_PA = np.full((config.objects, ATTRIBUTES), UNSAID)
    slots = {"colour": colour, "action": "slide" if moves else "rest", "direction": "right" if moves else "none"}
    for index, (name, values) in enumerate(BODY_SLOTS.items()):
        value_PA[0, index] = values.index(slots[name]) if name in slots else UNSAID
    cell_P = np.full(config.objects, UNSAID)
    cell_P[0] = (y // 8) * config.fine_grid + x // 8
    box_P4 = np.zeros((config.objects, 4), dtype=np.float32)
    box_P4[0] = 2 * x / config.size - 1, 2 * y / config.size - 1, 10 / config.size, 10 / config.size
    track_PK3 = np.zeros((config.objects, MOMENTS, 3), dtype=np.float32)
    across = x + 2 * 4 * np.arange(MOMENTS) * moves
    track_PK3[0, :, 0], track_PK3[0, :, 1] = 2 * across / config.size - 1, 2 * y / config.size - 1
    tracked_PK = np.zeros((config.objects, MOMENTS), dtype=np.float32)
    tracked_PK[0] = 1
    return {
        "scene": np.array([0 if name == "camera" else UNSAID for name in config.scene_slots]),
        "count": np.array([1, 0]),
        "cell": cell_P,
        "box": box_P4,
        "value": value_PA,
        "track": track_PK3,
        "tracked": tracked_PK,
        "camera": np.zeros((MOMENTS, 7), dtype=np.float32),
    }
