"""Files that people bring, and a film of the small model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kinora.core.clip import Clip
from kinora.media.film import write_film

Bring = Callable[..., Path]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def picture(here: Path) -> Bring:
    """`picture(name, width, height)`: a red square on grey."""

    def made(name: str = "ball.png", width: int = 128, height: int = 128, red: int = 220) -> Path:
        rgb_HW3 = np.full((height, width, 3), 120, dtype=np.uint8)
        rgb_HW3[height // 4 : height // 2, width // 4 : width // 2] = (red, 40, 40)
        (here / name).parent.mkdir(exist_ok=True)
        Image.fromarray(rgb_HW3).save(here / name)
        return here / name

    return made


@pytest.fixture
def painted(here: Path) -> Bring:
    """`painted(name, width, height, box)`: a mask, white in a box (left, top, right, bottom)."""

    def made(name: str, width: int, height: int, box: tuple[int, int, int, int]) -> Path:
        inside_HW = np.zeros((height, width), dtype=np.uint8)
        inside_HW[box[1] : box[3], box[0] : box[2]] = 255
        Image.fromarray(inside_HW).save(here / name)
        return here / name

    return made


@pytest.fixture
def written(here: Path) -> Callable[[str, Any], Path]:
    """`written(name, value)`: a JSON file."""

    def made(name: str, value: Any) -> Path:
        (here / name).write_text(json.dumps(value), encoding="utf-8")
        return here / name

    return made


@pytest.fixture
def film(here: Path) -> Bring:
    """`film(name, frames, height, width)`: a bright bar that goes to the right, and no recipe."""

    def made(name: str = "bar.mp4", frames: int = 17, height: int = 64, width: int = 64, rate: float = 16.0) -> Path:
        frames_FHWC = np.full((frames, height, width, 3), 60, dtype=np.uint8)
        for index in range(frames):
            frames_FHWC[index, :, 2 * index % width : 2 * index % width + 8] = 200
        write_film(here / name, Clip(frames_FHWC=frames_FHWC, frame_rate=rate))
        return here / name

    return made


@pytest.fixture
def quick(model_folder: Path) -> list[str]:
    return ["--model", str(model_folder), "--quality", "draft"]
