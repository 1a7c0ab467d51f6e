"""The mixes of world 1.0 draw what they always drew: the bundled weights were taught that world.

The facts below were taken before world 2.0 was begun. Declarations are compared whole, to nine digits; pixels by their
means over blocks, because another processor may round the last bit of a pixel differently.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest

from kinora.world.mirror import mirror
from kinora.world.mix import ACTS, RICHEST_MIX, SIMPLE_MIX, TRAINING_MIX, WIDE_MIX
from kinora.world.render import render
from kinora.world.sampler import sample_scene
from kinora.world.scene import Scene

MIXES = {"training": TRAINING_MIX, "simple": SIMPLE_MIX, "richest": RICHEST_MIX}
NEW = {
    "Body": {"anchor", "rate"},
    "Identity": {"hat", "hat_colour", "glasses"},
    "Figure": {"expression", "gaze", "side"},
    "Place": {"weather", "waves", "wind"},
    "CameraPath": {"shot"},
    "Scene": {"animals", "ropes"},
}
"""Fields that world 2.0 added."""
CASES = (
    ("training", "train", 0), ("training", "train", 1), ("training", "train", 7), ("training", "train", 12),
    ("training", "held_out", 3), ("training", "out_of_range", 4), ("simple", "train", 5), ("simple", "held_out", 6),
    ("richest", "train", 2), ("richest", "held_out", 8), ("richest", "out_of_range", 9),
)  # fmt: skip
BLOCKS, SIZE = 5, 60

PINNED: dict[tuple[str, str, int], tuple[str, str]] = {
    ("training", "train", 0): (
        "fcbe04a3fffb57db",
        "QCM$%gOyiabU;U6H$PZWT6A1xeo$I;LQH5pM`JciW>jK&N<v>>Y+X`eTOUGTCP7|1GEq!tSVCc06F^`TL0}R-To6555I$W",
    ),
    ("training", "train", 1): (
        "fb40bd32e70c7d30",
        ")~KK0u%ha@ruE3H{M)$fvV!fkgzd0{_Q;I*)Rw({Pqbu1%RVyDhG)=+V!3ukvT;PVa6#LMg4Ba@xN}0gbwj&#L%MWBx^zP",
    ),
    ("training", "train", 7): (
        "0286152023505e5e",
        "ztrxw&h5d~?!eUUwax9%!@bbU%hA)=&e-J3+w8=ed&Qi7$ee<SgT<(qw8D{U#*=I3TTY*TowAON!;oXekz~n`V#1DPzm8@",
    ),
    ("training", "train", 12): (
        "98618b1a8d030372",
        "v%}Y}z}BU^)}guBtiahvM?YL%R#jI{OH4#YMm~0VcyxAkm5^nGf@*()fu^dms;;)5p`e?dp{A;{zQM?<t+tVtpq`?uzrx7",
    ),
    ("training", "held_out", 3): (
        "d87d8b8da798200b",
        "T48vChnY`SZ979-IY3%oXNYfjl4Wj*US@(?Vtz3|g_@(ko29{=rNNw~!HScwpQyv1sKlSB#Gt9fou<Q^rNW-5#Ga_cpQyw",
    ),
    ("training", "out_of_range", 4): (
        "2ec29ef05314abec",
        "Xn=WdntehzE;KeLZCN>pf;(?eHhV-bbv0OFMklD0ABJ{Amr@g#Zcwg~d7O7jqkC3xOf{l<SgU|ss(n_ed{wA>Q>uMctA17",
    ),
    ("simple", "train", 5): (
        "c80d6d2eff93eeaf",
        "w9W0e&+W_G@3zkEwax9@=kna=^4sU~-RSb$=koIP_`j^&$h_Xg$jkEe`0@1ju9DH6kh<#b^7Hlh^!E7n_xbhr`SJAl@$~l",
    ),
    ("simple", "held_out", 6): (
        "afee99df456e342e",
        "*{h@Dv!?C6s`kvW`OdHNy^!|Allsn={NSkl-J;BiSIvo6y?$fDf^O1|TEBWpx_3vZYfrOtS-yHnx^+ajbVIv!M7?)Kx^+Y",
    ),
    ("richest", "train", 2): (
        "021c783d09bfdd91",
        "#K+6X%g@Be%fiLU!o|syr+kv8e3+ejtFEe^qn&P!KU8o)Z%s&mk7#>~U~i2(Ylu5-h&^?aJ#>;ic$YqMkUMOPIB}0UagaL",
    ),
    ("richest", "held_out", 8): (
        "633ec47fc723823b",
        "rkKR4o5ro3$fuacv)J95bf24bqnB;Dop!2`rnbYDbF6+~r)jOXoRh<rbH9#dz>j6ak!Hb<Wx$VRzKmbIieA8tV8oDO!H!`",
    ),
    ("richest", "out_of_range", 9): (
        "b1f87706cdc6289c",
        "wa)Fv*zdN^?X=D9!PV~I>hs|0^Wf_9-|F+<>hr$9!>z8d^7Z)g_4xAj_=Jd#)z{kU?eX#3$MW^~(9_oQ_W1Pn`SbPn@%8u",
    ),
}  # fmt: skip
"""Of each case the first digits of the SHA-256 of what it declares, and frame 40 in 5 x 5 blocks."""


def declared(thing: object) -> object:
    """A scene as plain tuples of the fields that world 1.0 had, in a fixed order."""
    if is_dataclass(thing):
        name = type(thing).__name__
        kept = sorted(field.name for field in fields(thing) if field.name not in NEW.get(name, set()))
        return (name, *((field, declared(getattr(thing, field))) for field in kept))
    if isinstance(thing, np.ndarray):
        return tuple(declared(float(value)) for value in thing.ravel())
    if isinstance(thing, tuple):
        return tuple(map(declared, thing))
    return f"{thing:.9g}" if isinstance(thing, float) else thing


def scene_of(case: tuple[str, str, int]) -> Scene:
    mix, split, seed = case
    return sample_scene(seed, split=split, mix=MIXES[mix])


def digest(scene: Scene) -> str:
    return hashlib.sha256(repr(declared(scene)).encode()).hexdigest()[:16]


def blocks(scene: Scene) -> np.ndarray:
    """Means of blocks of frame 40, (BLOCKS, BLOCKS, 3)."""
    drawn = render([scene], height=SIZE, width=SIZE, frames=[[40]]).rgb_BFHW3[0, 0].numpy().astype(np.float64)
    side = SIZE // BLOCKS
    return drawn.reshape(BLOCKS, side, BLOCKS, side, 3).mean((1, 3))


def thumbnail(scene: Scene) -> str:
    return base64.b85encode(np.round(blocks(scene)).astype(np.uint8).tobytes()).decode()


@pytest.mark.parametrize("case", CASES)
def test_scenes_of_world_1_are_what_they_were(case: tuple[str, str, int]) -> None:
    scene = scene_of(case)
    pinned, thumbnails = PINNED[case]
    assert digest(scene) == pinned
    before = np.frombuffer(base64.b85decode(thumbnails), np.uint8).reshape(BLOCKS, BLOCKS, 3)
    assert np.abs(blocks(scene) - before).max() < 0.9


def test_the_pin_notices_a_change() -> None:
    scene = scene_of(CASES[0])
    assert digest(mirror(scene)) != PINNED[CASES[0]][0]
    before = np.frombuffer(base64.b85decode(PINNED[CASES[0]][1]), np.uint8).reshape(BLOCKS, BLOCKS, 3)
    assert np.abs(blocks(mirror(scene)) - before).max() > 3


def test_nothing_new_is_drawn_by_the_mixes_of_world_1() -> None:
    for mix in MIXES.values():
        assert mix.world == "1.0"
        for seed in range(3):
            scene = sample_scene(seed, mix=mix)
            assert not scene.animals
            assert not scene.ropes
            assert (scene.place.weather, scene.place.waves, scene.place.wind) == ("clear", "calm", 0.0)
            assert scene.camera.shot == "wide"
            for figure in scene.figures:
                assert (figure.identity.hat, figure.identity.glasses, figure.expression) == ("none", False, "neutral")


def test_a_mix_knows_its_world() -> None:
    assert WIDE_MIX.world == "2.0"
    assert all(replace(TRAINING_MIX, **{name: 0.1}).world == "2.0" for name in ("weather", "waves", "hats", "glasses"))
    assert replace(TRAINING_MIX, acts=(0.0,) * len(ACTS)).world == "1.0"
