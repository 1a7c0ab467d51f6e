"""Materials of known content."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from kinora.core.clip import Clip
from kinora.core.materials import Footage, Mask, Still, Voice
from kinora.core.visemes import VisemeTrack

HEIGHT, WIDTH = 40, 60


@pytest.fixture
def still() -> Still:
    rgb_HW3 = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    rgb_HW3[10:20, 10:20] = (200, 30, 30)
    return Still.of(rgb_HW3, "ball.png")


@pytest.fixture
def box() -> Callable[..., Mask]:
    """`box(top, bottom, left, right)`: a rectangle in a picture of 60 x 40."""

    def made(
        top: int, bottom: int, left: int, right: int, name: str = "mask.png", size: tuple[int, int] = (HEIGHT, WIDTH)
    ) -> Mask:
        inside_HW = np.zeros(size, dtype=np.bool_)
        inside_HW[top:bottom, left:right] = True
        return Mask.of(inside_HW, name)

    return made


@pytest.fixture
def footage() -> Footage:
    """Two seconds."""
    frames_FHWC = np.arange(32 * 8 * 8 * 3, dtype=np.uint32).astype(np.uint8).reshape(32, 8, 8, 3)
    return Footage.of(Clip(frames_FHWC=frames_FHWC, frame_rate=16.0), "film.mp4")


@pytest.fixture
def voice() -> Voice:
    return Voice.of(VisemeTrack(mouth_F4=np.full((32, 4), 0.5, dtype=np.float32), frame_rate=16.0), "hello.json")
