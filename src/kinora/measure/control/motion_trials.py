"""Trials of camera and brush, on the theatre's first pictures and on photographs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from kinora.control.guide import Guide
from kinora.control.warp import camera_guide
from kinora.core.camera import NAMED_MOVES, CameraMove, CameraTrack, camera_track
from kinora.core.clip import Clip
from kinora.core.conditions import Brush, Keyframe, Moves, Stroke
from kinora.core.materials import Mask, Still
from kinora.core.request import Request
from kinora.measure.codec import photographs
from kinora.measure.control.brush import asked_places, measure_brush
from kinora.measure.control.camera import View, fit_amount, flow_of_guide, measure_camera
from kinora.measure.control.drawn import with_arrows, with_path
from kinora.measure.control.stages import (
    FIRST_SEED,
    STILL_MIX,
    Opening,
    along_path,
    draw_clip,
    opening,
    resting_scenes,
    with_camera,
)
from kinora.measure.control.tracking import corners, follow
from kinora.measure.control.trials import Figures, Setting, Trial
from kinora.world.captions import describe_slots
from kinora.world.mix import Mix
from kinora.world.scene import Scene
from kinora.world.slots_of import scene_slots

__all__ = [
    "MOVES",
    "brush_trials",
    "brushable",
    "camera_trials",
    "photographed_brush",
    "photographed_camera",
    "smooth_path",
]

Array = npt.NDArray[np.float64]

SIX = ("pan", "tilt", "roll", "zoom", "horizontal", "vertical")


def _steady(name: str, amount: float) -> CameraMove:
    amounts: dict[str, Any] = {name: amount}
    return CameraMove(**amounts)


MOVES: dict[str, CameraMove] = {
    **{f"{name}={amount:+g}": _steady(name, amount) for amount in (5.0, -5.0) for name in SIX},
    **{name: move for name, move in NAMED_MOVES.items() if name != "still"},
    "orbit=+5": CameraMove(orbit=5.0),
    "orbit=-5": CameraMove(orbit=-5.0),
}
"""What is asked of the camera, in this order; more trials than moves begin again on other scenes."""
POINTS = 120
BRUSH_MIX = replace(STILL_MIX, bodies=(0.6, 0.4), figures=0.15)
LEAST_HELD = 12
"""Corners that a picture must have for a camera to be told from it."""
BRUSH_AREA = (0.008, 0.12)
"""Share of the picture that a brushed body covers."""
PHOTOGRAPH_PROMPT = "A picture hangs on a wall."


def camera_trials(setting: Setting, count: int) -> Iterator[Trial]:
    """Every move on a scene of its own, in which nothing else moves."""
    stages = _openings(setting, 10_000, lambda one: len(corners(one.rgb_HW3)) >= LEAST_HELD)
    named = list(MOVES.items())
    for index, one in enumerate(islice(stages, count)):
        name, move = named[index % len(named)]
        track = _track(setting, move)
        points_P2 = corners(one.rgb_HW3, count=POINTS)
        view = View(
            points_P2=points_P2, depth_P=one.depth_at(points_P2), fov=one.scene.camera.fov,
            height=setting.side, width=setting.side,
        )  # fmt: skip
        yield Trial(
            name=name,
            request=_request(setting, one.scene, index, (_first(one), Moves(move=move)), camera=_word_for(move)),
            asked_HW3=with_arrows(one.rgb_HW3, points_P2, view.seen(track)[-1]),
            measure=_camera_measure(points_P2, view, track),
            truth=_true_camera(setting, one.scene, track),
            truth_key=f"camera {one.scene} {move} {setting.seconds} {setting.side}",
        )


def photographed_camera(setting: Setting, count: int) -> Iterator[Trial]:
    """Moves over photographs; depth is unknown, so the guide's flow is what is asked."""
    pictures = _photographs(setting)
    for index, (name, move) in enumerate(islice(MOVES.items(), count)):
        picture_HW3, track = pictures[index % len(pictures)], _track(setting, move)
        points_P2 = corners(picture_HW3, count=POINTS)
        guide_FHW3 = camera_guide(Guide.still(picture_HW3), track).frames_FHW3
        guided = follow(guide_FHW3, points_P2)

        yield Trial(
            name=f"photo {index % len(pictures) + 1} {name}",
            request=_photo_request(setting, picture_HW3, index, Moves(move=move)),
            asked_HW3=with_arrows(picture_HW3, points_P2, guided.pixels_FP2[-1]),
            measure=_guided_measure(points_P2, flow_of_guide(guided)),
        )


def brush_trials(setting: Setting, count: int) -> Iterator[Trial]:
    """One body of a scene dragged along a smooth path inside the picture; everything else rests."""
    for index, one in enumerate(islice(_openings(setting, 20_000, _has_body, BRUSH_MIX), count)):
        body = next(i for i in range(len(one.scene.bodies)) if brushable(one, i))
        mask_HW = one.ids_HW == 2 + body
        points_K2 = smooth_path(np.random.default_rng([FIRST_SEED, index]), mask_HW)
        brush = Brush(strokes=(_stroke(mask_HW, points_K2),))
        frames = one.scene.frames
        yield Trial(
            name=f"{one.scene.bodies[body].colour} {one.scene.bodies[body].shape}",
            request=_request(setting, one.scene, index, (_first(one), brush), moving=(body, points_K2)),
            asked_HW3=with_path(one.rgb_HW3, mask_HW, points_K2),
            measure=_brush_measure(mask_HW, asked_places(points_K2, frames)),
            truth=_true_brush(setting, one.scene, body, asked_places(points_K2, frames)),
            truth_key=f"brush {one.scene} {body} {points_K2.tolist()} {setting.side}",
        )


def photographed_brush(setting: Setting, count: int) -> Iterator[Trial]:
    """A disc of a photograph, where it has most to hold, dragged along a smooth path."""
    pictures = _photographs(setting)
    row_H1, column_W = np.mgrid[: setting.side, : setting.side]
    for index in range(count):
        picture_HW3 = pictures[index % len(pictures)]
        x, y = corners(picture_HW3[:, :], count=1 + index // len(pictures))[-1]
        mask_HW = np.hypot(column_W + 0.5 - x, row_H1 + 0.5 - y) < 0.1 * setting.side
        points_K2 = smooth_path(np.random.default_rng([FIRST_SEED, 1000 + index]), mask_HW)
        measure = _brush_measure(mask_HW, asked_places(points_K2, 1 + 4 * round(setting.seconds * 4)))
        yield Trial(
            name=f"photo {index % len(pictures) + 1}",
            request=_photo_request(setting, picture_HW3, index, Brush(strokes=(_stroke(mask_HW, points_K2),))),
            asked_HW3=with_path(picture_HW3, mask_HW, points_K2),
            measure=partial(_of_photograph, measure),
        )


# Inside


def _of_photograph(measure: Callable[[Clip], Figures], clip: Clip) -> Figures:
    return {f"photograph_{name}": value for name, value in measure(clip).items()}


def _openings(setting: Setting, first: int, good: Callable[[Opening], bool], mix: Mix = STILL_MIX) -> Iterator[Opening]:
    scenes = resting_scenes(first, mix=mix, seconds=setting.seconds)
    return (one for scene in scenes if good(one := opening(scene, setting.side, setting.side)))


def _track(setting: Setting, move: CameraMove) -> CameraTrack:
    frames = 1 + 4 * round(setting.seconds * 4)
    return camera_track(move, np.arange(frames) / 16.0)


def _first(one: Opening) -> Keyframe:
    return Keyframe(still=Still.of(one.rgb_HW3, f"scene {one.scene.seed}"))


def _stroke(mask_HW: npt.NDArray[np.bool_], points_K2: Array) -> Stroke:
    return Stroke(mask=Mask.of(mask_HW), points=tuple((float(x), float(y)) for x, y in points_K2))


def _request(
    setting: Setting,
    scene: Scene,
    seed: int,
    conditions: tuple[Keyframe | Moves | Brush, ...],
    *,
    camera: str | None = "still",
    moving: tuple[int, Array] | None = None,
) -> Request:
    """A long caption of the scene, which says of the camera and of the body that moves what will be asked of them."""
    slots = replace(scene_slots(scene), camera=camera, camera_speed=None)
    if moving is not None:
        index, points_K2 = moving
        action = "roll" if scene.bodies[index].shape == "sphere" else "slide"
        direction = "right" if points_K2[-1, 0] > points_K2[0, 0] else "left"
        body = replace(slots.bodies[index], action=action, direction=direction, speed=None)
        slots = replace(slots, bodies=(*slots.bodies[:index], body, *slots.bodies[index + 1 :]))
    prompt = describe_slots(slots, language="en", seed=scene.seed, length="long").text
    return Request(
        prompt=prompt, seconds=setting.seconds, quality=setting.quality, seed=FIRST_SEED + seed, conditions=conditions
    )


def _photo_request(setting: Setting, picture_HW3: npt.NDArray[np.uint8], seed: int, asked: Moves | Brush) -> Request:
    first = Keyframe(still=Still.of(picture_HW3, "photograph"))
    return Request(
        prompt=PHOTOGRAPH_PROMPT, seconds=setting.seconds, quality=setting.quality, seed=FIRST_SEED + seed,
        conditions=(first, asked),
    )  # fmt: skip


def _word_for(move: CameraMove) -> str | None:
    """The prompt's word for a move; None for moves it has no word for."""
    words = {
        "pan": ("pan_left", "pan_right"), "tilt": ("tilt_down", "tilt_up"),
        "roll": ("roll_counterclockwise", "roll_clockwise"), "zoom": ("zoom_in", "zoom_out"),
        "orbit": ("orbit_left", "orbit_right"),
    }  # fmt: skip
    asked = {name: amount for name, amount in asdict(move).items() if name != "path" and amount}
    if len(asked) != 1 or (name := next(iter(asked))) not in words:
        return None
    return words[name][asked[name] > 0]


def _camera_measure(points_P2: Array, view: View, track: CameraTrack) -> Callable[[Clip], Figures]:
    def measure(clip: Clip) -> Figures:
        found = measure_camera(follow(clip.frames_FHWC, points_P2), view, track)
        sign = None if found.sign_right is None else float(found.sign_right)
        return {"error": found.error, "sign": sign, "amount": found.amount, "lasting": found.lasting}

    return measure


def _guided_measure(points_P2: Array, predict: Callable[[float], Array]) -> Callable[[Clip], Figures]:
    def measure(clip: Clip) -> Figures:
        amount = fit_amount(follow(clip.frames_FHWC, points_P2), predict)
        if amount is None:
            return {"photograph_error": None, "photograph_sign": None}
        return {"photograph_error": abs(amount - 1.0), "photograph_sign": float(amount > 0.0)}

    return measure


def _brush_measure(mask_HW: npt.NDArray[np.bool_], path_F2: Array) -> Callable[[Clip], Figures]:
    return lambda clip: asdict(measure_brush(clip.frames_FHWC, [mask_HW], [path_F2]))


def _true_camera(setting: Setting, scene: Scene, track: CameraTrack) -> Callable[[], Clip]:
    return lambda: draw_clip(scene, with_camera(scene, track), setting.side, setting.side)


def _true_brush(setting: Setting, scene: Scene, body: int, path_F2: Array) -> Callable[[], Clip]:
    return lambda: draw_clip(scene, along_path(scene, body, path_F2), setting.side, setting.side)


def _has_body(one: Opening) -> bool:
    return any(brushable(one, body) for body in range(len(one.scene.bodies)))


def brushable(one: Opening, body: int) -> bool:
    """Whether a body is neither tiny nor huge, nor cut off by the rim, nor see-through, and the nearest
    thing there is: led along its path it is never hidden.
    """
    mask_HW = one.ids_HW == 2 + body
    rim = mask_HW[0].any() or mask_HW[-1].any() or mask_HW[:, 0].any() or mask_HW[:, -1].any()
    low, high = BRUSH_AREA
    if rim or not low < mask_HW.mean() < high or one.scene.bodies[body].material == "glass":
        return False
    others_HW = (one.ids_HW >= 2) & ~mask_HW
    return bool(np.median(one.depth_HW[mask_HW]) < one.depth_HW[others_HW].min(initial=np.inf))


def smooth_path(rng: np.random.Generator, mask_HW: npt.NDArray[np.bool_]) -> Array:
    """A gently bent path (8 points, shares) that keeps the whole mask inside the picture."""
    height, width = mask_HW.shape
    row_N, column_N = np.nonzero(mask_HW)
    low_2 = np.array([column_N.min() / width, row_N.min() / height])
    high_2 = np.array([(column_N.max() + 1) / width, (row_N.max() + 1) / height])
    middle_2, room_22 = 0.5 * (low_2 + high_2), np.array([-low_2, 1.0 - high_2])
    side = 1 if room_22[1, 0] > -room_22[0, 0] else 0
    way_2 = np.array([room_22[side, 0] * rng.uniform(0.5, 0.9), rng.uniform(*(0.5 * room_22[:, 1]))])
    way_2 = way_2.clip(-0.4, 0.4) * [1.0, 0.6]
    share_K1 = np.linspace(0.0, 1.0, 8)[:, None]
    bend_K1 = np.sin(np.pi * share_K1) * rng.uniform(-0.05, 0.05)
    path_K2 = middle_2 + share_K1 * way_2 + np.concatenate([np.zeros_like(bend_K1), bend_K1], axis=1)
    return np.asarray(np.clip(path_K2, 0.0, 1.0))


def _photographs(setting: Setting) -> list[npt.NDArray[np.uint8]]:
    """Central squares of the first three."""
    squares = []
    for photograph in photographs()[:3]:
        side = min(photograph.size)
        left, top = (photograph.width - side) / 2, (photograph.height - side) / 2
        square = photograph.resize((setting.side,) * 2, Image.Resampling.LANCZOS, (left, top, left + side, top + side))
        squares.append(np.array(square))
    return squares
