"""How scenes look: light and shade, materials, colours, filtered textures, soft edges."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from kinora.core.poses import rotation_about
from kinora.core.slots import COLOURS, GROUNDS, MATERIALS, SKIES
from kinora.world.palette import COLOUR_RGB, linear
from kinora.world.render import render_states
from kinora.world.scene import Body, Panel, Picture, Place, Scene, States
from kinora.world.simulate import simulate

SIZE = 96


def body(shape: str, x: float, y: float, *, colour: str = "red", z: float = 0.5, material: str = "matte") -> Body:
    return Body(shape=shape, colour=colour, size="medium", material=material, position=(x, y, z))


def scene(*bodies: Body, ground: str = "checker", sky: str = "day", panels: tuple[Panel, ...] = ()) -> Scene:
    return Scene(place=Place(ground=ground, sky=sky), bodies=bodies, panels=panels, seconds=0.25)


def states_of(one: Scene) -> States:
    """The first frame."""
    return simulate(one).at(np.array([0]))


def picture(one: Scene, states: States | None = None, size: int = SIZE) -> np.ndarray:
    """The first frame, float (size, size, 3) in [0, 255]."""
    drawn = render_states([one], [states or states_of(one)], height=size, width=size)
    return drawn.rgb_BFHW3[0, 0].numpy().astype(np.float64)


def only(one: Scene, owner: int, size: int = SIZE) -> np.ndarray:
    """The pixels of one owner in the first frame, (P, 3)."""
    drawn = render_states([one], [states_of(one)], height=size, width=size, truth=True)
    assert drawn.ids_BFHW is not None
    mask = drawn.ids_BFHW[0, 0].numpy() == owner
    return drawn.rgb_BFHW3[0, 0].numpy()[mask].astype(np.float64)


def test_linear_colours_follow_the_standard() -> None:
    assert linear(0, 255, 128) == pytest.approx((0.0, 1.0, 0.21586), abs=1e-4)
    assert set(COLOUR_RGB) == set(COLOURS)


@pytest.mark.parametrize("sky", SKIES)
def test_matte_colours_stay_apart_under_every_sky(sky: str) -> None:
    seen = {
        colour: np.median(only(scene(body("sphere", 0.0, 0.0, colour=colour), sky=sky), 2, 64), axis=0)
        for colour in COLOURS
    }
    for one, other in itertools.combinations(COLOURS, 2):
        assert np.abs(seen[one] - seen[other]).max() > 14, (one, other)


def test_materials_look_different() -> None:
    seen = {
        material: picture(scene(body("sphere", 0.0, 0.0, colour="green", material=material)), size=128)
        for material in MATERIALS
    }
    for one, other in itertools.combinations(MATERIALS, 2):
        middle = np.s_[50:80, 50:78]
        assert np.abs(seen[one][middle] - seen[other][middle]).mean() > 6, (one, other)


def test_a_shiny_ball_has_a_highlight_and_a_matte_one_has_none() -> None:
    inside = np.s_[65:80, 56:71]
    shiny = picture(scene(body("sphere", 0.0, 0.0, colour="blue", material="shiny")), size=128)[inside]
    matte = picture(scene(body("sphere", 0.0, 0.0, colour="blue")), size=128)[inside]
    assert shiny.min(2).max() > 180
    assert matte.min(2).max() < 60


def test_glass_shows_what_is_behind_it_and_metal_what_is_before() -> None:
    behind = body("cube", 0.0, 2.0, colour="red", z=0.6)
    glass = body("cube", 0.0, 0.0, colour="white", material="glass", z=0.6)
    plain, beyond = picture(scene(glass)), picture(scene(glass, behind))
    redder = (beyond - plain)[40:56, 40:56]
    assert (redder[..., 0] - redder[..., 2]).mean() > 8
    matte = body("cube", 0.0, 0.0, colour="white", z=0.6)
    assert np.abs(picture(scene(matte)) - picture(scene(matte, behind)))[46:54, 40:56].max() <= 1
    ball = body("sphere", 0.0, 0.0, colour="white", material="metal")
    beside = body("cube", -1.0, -1.2, colour="red")
    alone, mirrored = picture(scene(ball)), picture(scene(ball, beside))
    left_half = np.s_[46:64, 39:47]
    assert np.abs(alone[left_half] - mirrored[left_half]).max() > 25


def test_a_glowing_body_lights_the_ground_at_night() -> None:
    def near(material: str) -> float:
        one = scene(body("sphere", 0.0, 0.0, colour="orange", material=material), ground="snow", sky="night")
        return float(picture(one)[70:76, 44:52, 0].mean())

    assert near("glowing") > near("matte") + 12


def test_a_body_casts_a_soft_shadow_away_from_the_light() -> None:
    plain = picture(scene(ground="snow", sky="sunset"))
    shaded = picture(scene(body("sphere", 0.0, 0.0), ground="snow", sky="sunset"))
    darker = (plain - shaded).mean(2)
    below = darker[62:72]
    left, right = below[:, :36].sum(), below[:, 60:].sum()
    assert max(left, right) > 20 * max(1.0, min(left, right))
    strip = np.sort(darker[60:68].reshape(-1))
    assert ((strip > 3) & (strip < 12)).sum() > 10


def test_the_ground_is_dark_where_a_body_stands() -> None:
    for shape in ("sphere", "cube", "cylinder", "cone"):
        darker = (
            picture(scene(ground="sand", sky="overcast"))
            - picture(scene(body(shape, 0, 0), ground="sand", sky="overcast"))
        ).mean(2)
        assert darker[62:66, 44:52].max() > 10, shape


def test_grounds_and_skies_are_told_apart() -> None:
    grounds = {ground: picture(scene(ground=ground))[60:].reshape(-1, 3).mean(0) for ground in GROUNDS}
    skies = {sky: picture(scene(sky=sky))[:22].reshape(-1, 3).mean(0) for sky in SKIES}
    for table in (grounds, skies):
        for one, other in itertools.combinations(table, 2):
            assert np.abs(table[one] - table[other]).max() > 12, (one, other)


@pytest.mark.parametrize("ground", ["checker", "wood", "grass"])
def test_textures_do_not_alias_toward_the_horizon(ground: str) -> None:
    """A picture drawn small is the large one's mean: what is finer than a pixel is averaged, not sampled."""
    large = picture(scene(ground=ground), size=384)
    small = picture(scene(ground=ground), size=96)
    mean = large.reshape(96, 4, 96, 4, 3).mean((1, 3))
    apart = np.abs(small - mean)[30:]
    assert apart.mean() < 4.5
    far = np.abs(small - mean)[29:36]
    assert far.max() < 40


def test_silhouettes_are_smooth() -> None:
    large = picture(scene(body("sphere", 0.0, 0.0, colour="black"), ground="snow", sky="overcast"), size=384)
    small = picture(scene(body("sphere", 0.0, 0.0, colour="black"), ground="snow", sky="overcast"), size=96)
    mean = large.reshape(96, 4, 96, 4, 3).mean((1, 3))
    assert np.abs(small - mean)[34:64, 34:62].mean() < 5
    assert np.abs(small - mean)[34:60, 34:62].max() < 75


def test_rolling_shows() -> None:
    one = scene(body("sphere", 0.0, 0.0))
    still = states_of(one)
    turned = States(
        **{**still.__dict__, "body_rotation_FN33": rotation_about(np.array([0.0, 1.0, 0.0]), 0.8)[None, None]}
    )
    assert np.abs(picture(one) - picture(one, turned))[46:62, 40:56].mean() > 8


def test_water_moves_and_mirrors() -> None:
    one = scene(ground="water")
    states = states_of(one)
    later = States(**{**states.__dict__, "time_F": np.array([1.0])})
    assert np.abs(picture(one) - picture(one, later))[50:].mean() > 0.5
    red = scene(body("sphere", 0.0, 6.0, z=1.0), ground="water", sky="overcast")
    bare = scene(ground="water", sky="overcast")
    image = (picture(red) - picture(bare))[52:63, 42:54]
    assert (image[..., 0] - image[..., 2]).max() > 12


def test_a_still_camera_leaves_a_dry_backdrop_untouched() -> None:
    one = scene(body("sphere", -1.5, 0.0), ground="grass")
    states = simulate(one).at(np.zeros(6, np.int64))
    states.body_position_FN3[:, 0, 0] = np.linspace(-1.5, 1.5, 6)
    drawn = render_states([one], [states], height=64, width=64).rgb_BFHW3[0]
    assert torch.equal(drawn[:, :16], drawn[:1, :16].expand(6, -1, -1, -1))
    assert not torch.equal(drawn[0], drawn[5])


def test_the_night_has_stars_and_a_moon() -> None:
    sky = picture(scene(sky="night"), size=192)[:44].max(2)
    assert sky.max() > 230
    median = np.median(sky)
    assert 0.001 < (sky > median + 40).mean() < 0.06


def test_a_panel_shows_its_picture_upright() -> None:
    one = scene(
        panels=(Panel(picture=Picture(kind="gradient", seed=2), centre=(0.0, 0.0, 1.0), width=2.4, height=1.6),)
    )
    other = scene(
        panels=(Panel(picture=Picture(kind="gradient", seed=9), centre=(0.0, 0.0, 1.0), width=2.4, height=1.6),)
    )
    shown, differs = picture(one)[34:56, 30:66], picture(other)[34:56, 30:66]
    assert np.abs(shown - differs).mean() > 10
    assert np.abs(np.diff(shown, axis=0)).max() < 40
