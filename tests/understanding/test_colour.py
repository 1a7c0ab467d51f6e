"""The judge of colours, on films drawn by hand."""

import numpy as np
import pytest

from kinora.core.clip import Clip
from kinora.understanding.colour import HUES, classify_hues, read_by_colour

FRAMES, SIDE = 41, 128
GREY = (120, 122, 125)
COLOURS = {
    "red": (222, 26, 30),
    "orange": (250, 128, 8),
    "yellow": (250, 222, 24),
    "green": (30, 158, 42),
    "cyan": (20, 206, 214),
    "blue": (28, 66, 222),
    "purple": (126, 38, 184),
    "pink": (252, 128, 184),
}


def film(*discs, ground=GREY, frames=FRAMES) -> Clip:
    """Discs (colour, x(t), y(t), radius(t)) with t from 0 to 1, in pixels, later ones in front."""
    pixels = np.full((frames, SIDE, SIDE, 3), ground, dtype=np.uint8)
    y_HW, x_HW = np.mgrid[:SIDE, :SIDE] + 0.5
    for frame in range(frames):
        t = frame / (frames - 1)
        for colour, x, y, radius in discs:
            pixels[frame][np.hypot(x_HW - x(t), y_HW - y(t)) < radius(t)] = COLOURS[colour]
    return Clip(frames_FHWC=pixels, frame_rate=16.0)


def at(value: float):
    return lambda _: value


def towards(start: float, end: float):
    return lambda t: start + (end - start) * t


@pytest.mark.parametrize("colour", list(HUES))
@pytest.mark.parametrize("light", [0.5, 1.0])
def test_every_saturated_colour_has_its_name_in_light_and_shade(colour, light):
    rgb = np.array(COLOURS[colour]) / 255 * light
    assert list(HUES)[classify_hues(rgb[None, None])[0, 0]] == colour


def test_greys_and_pale_colours_have_none():
    pale = np.array([[(0.9, 0.9, 0.9), (0.1, 0.1, 0.12), (0.8, 0.85, 0.9), (0.5, 0.5, 0.5)]])
    assert (classify_hues(pale) == -1).all()


def test_count_and_colours():
    reading = read_by_colour(film(("red", at(30), at(60), at(10)), ("blue", at(90), at(60), at(12))))
    assert sorted(body.colour for body in reading.bodies) == ["blue", "red"]
    assert reading.camera_still
    assert reading.permanence == 1.0


@pytest.mark.parametrize(
    ("x", "radius", "direction"),
    [
        (at(64), at(10), "none"),
        (towards(30, 90), at(10), "right"),
        (towards(90, 30), at(10), "left"),
        (towards(60, 66), towards(8, 16), "toward"),
        (towards(66, 62), towards(16, 8), "away"),
    ],
)
def test_directions(x, radius, direction):
    (body,) = read_by_colour(film(("green", x, at(64), radius))).bodies
    assert body.direction == direction


def test_a_path_is_followed_to_the_pixel():
    (body,) = read_by_colour(film(("red", towards(20, 100), at(40), at(9)))).bodies
    expected = (20 + 80 * np.arange(FRAMES) / (FRAMES - 1)) / SIDE
    assert np.abs(body.x_F - expected).max() < 0.5 / SIDE
    assert np.abs(body.y_F - 40 / SIDE).max() < 0.5 / SIDE
    assert np.median(body.width_F) == pytest.approx(18 / SIDE, abs=1.5 / SIDE)


def test_one_that_passes_behind_another_is_found_again():
    reading = read_by_colour(film(("red", towards(20, 108), at(64), at(8)), ("blue", at(64), at(64), at(14))))
    red = next(body for body in reading.bodies if body.colour == "red")
    assert 0.5 < red.seen_F.mean() < 1.0
    assert red.seen_F[-1]
    assert red.direction == "right"
    assert 0.7 < reading.permanence < 1.0


def test_one_that_vanishes_breaks_permanence_and_one_that_leaves_does_not():
    vanishing = film(("red", at(64), at(64), lambda t: 10 if t < 0.4 else 0))
    leaving = film(("red", towards(90, 180), at(64), at(10)))
    assert read_by_colour(vanishing).permanence < 0.5
    assert read_by_colour(leaving).bodies[0].left_the_picture
    assert read_by_colour(leaving).permanence > 0.95


def test_colourful_ground_is_no_body():
    """Grass with stronger tufts: a large faint patch around small strong ones."""
    clip = film(ground=(120, 150, 100))
    tufts = clip.frames_FHWC
    tufts[:, 80:92, 30:44] = (70, 150, 40)
    assert read_by_colour(clip).bodies == ()


def test_moving_camera_tells_no_direction():
    clip = film(("red", towards(40, 90), at(64), at(10)))
    stripes = np.where(np.arange(SIDE) // 8 % 2, 60, 200).astype(np.uint8)
    for frame in range(FRAMES):
        grey = (clip.frames_FHWC[frame] == GREY).all(-1)
        clip.frames_FHWC[frame][grey] = np.roll(np.tile(stripes, (SIDE, 1)), frame, axis=1)[grey][:, None]
    reading = read_by_colour(clip)
    assert not reading.camera_still
    assert [body.direction for body in reading.bodies] == [None]


def test_nothing_there():
    reading = read_by_colour(film())
    assert reading.bodies == ()
    assert reading.permanence == 1.0
