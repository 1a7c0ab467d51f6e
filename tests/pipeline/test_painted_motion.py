"""What a painter draws moves in every frame, not only from one latent frame to the next: the bundled model at work."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

import kinora
from kinora.core.blocking import KINDS, NOTHING, Blocking
from kinora.core.request import Request
from kinora.core.slots import COLOURS
from kinora.language.director import Director
from kinora.pipeline import Pipeline
from kinora.understanding.colour import read_by_colour

Array = npt.NDArray[np.float64]

FILM = Request(prompt="a red ball on the sand", seconds=2.0, quality="draft", seed=4)
FRAME_F = np.arange(33)


@pytest.fixture(scope="module")
def tiny() -> Pipeline:
    return kinora.load("tiny", device="cpu")


def way_of(tiny: Pipeline, monkeypatch: pytest.MonkeyPatch, box_TP4: Array) -> Array:
    """Where a red ball is seen in each frame (F, 2), in picture sides, that such boxes are said of."""
    said = Blocking(
        look_P3=np.array([[KINDS.index("sphere"), COLOURS.index("red"), NOTHING]]),
        box_TP4=box_TP4[:, None].astype(np.float32),
        position_T=np.arange(len(box_TP4), dtype=np.float32),
    )
    monkeypatch.setattr(Director, "direct", lambda _director, _text_1LD, _seed: said)
    reading = read_by_colour(tiny.generate(FILM))
    ball = next(body for body in reading.bodies if body.colour == "red")
    assert ball.seen_F[: len(FRAME_F)].all()
    return np.stack([ball.x_F, ball.y_F], axis=1)[: len(FRAME_F)]


def test_what_rolls_goes_on_in_every_frame(tiny: Pipeline, monkeypatch: pytest.MonkeyPatch):
    box_TP4 = np.array([[-0.6 + 0.14 * at, 0.1, 0.2, 0.2] for at in range(9)])
    x_F, y_F = way_of(tiny, monkeypatch, box_TP4).T
    # 0.14 half sides a latent frame, which is four frames; a pixel is 0.004 sides. The first two come twice as fast.
    step_F = np.diff(x_F)[2:29]
    assert step_F.min() > 0
    assert np.median(step_F) == pytest.approx(0.07 / 4, abs=0.003)
    assert np.ptp(y_F) < 0.03


def test_what_falls_gets_faster_from_frame_to_frame(tiny: Pipeline, monkeypatch: pytest.MonkeyPatch):
    frame_T = tiny.model.codec.config.compression.frame_of(np.arange(9, dtype=np.float32))
    down_T = np.minimum(-0.5 + 0.009 * frame_T**2, 0.4)
    _, y_F = way_of(tiny, monkeypatch, np.stack([np.full(9, -0.2), down_T, *np.full((2, 9), 0.15)], axis=1)).T
    falling_F = 0.5 * 0.009 * FRAME_F[:9] ** 2
    assert y_F[:9] - y_F[0] == pytest.approx(falling_F, abs=0.02)
    assert np.ptp(y_F[12:]) < 0.02
