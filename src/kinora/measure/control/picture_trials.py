"""Trials of given pictures, of continuations and of regions made anew, all on true films of held-out scenes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from kinora.core.clip import Clip
from kinora.core.conditions import Continue, Keyframe, Region
from kinora.core.materials import Footage, Mask, Still
from kinora.core.request import Request
from kinora.core.slots import COLOURS, BodySlots
from kinora.measure.control.drawn import with_mask
from kinora.measure.control.pictures import measure_picture, through_codec
from kinora.measure.control.region import measure_region
from kinora.measure.control.seams import measure_seams
from kinora.measure.control.stages import FIRST_SEED, draw_clip, opening, resting_scenes
from kinora.measure.control.trials import Figures, Setting, Trial
from kinora.world.captions import describe, describe_slots
from kinora.world.sampler import sample_scene
from kinora.world.scene import Scene
from kinora.world.simulate import simulate
from kinora.world.slots_of import scene_slots

__all__ = ["picture_trials", "region_trials", "seam_trials"]


def picture_trials(setting: Setting, count: int) -> Iterator[Trial]:
    """Films between a scene's true first and last picture, every other one through its middle picture as well."""
    for index in range(count):
        scene = _scene(setting, 30_000 + index)
        true = _true(setting, scene)
        frames = true.frames_FHWC
        middle = 4 * (len(frames) // 8)
        given: dict[str, tuple[float | None, int]] = {"first": (0.0, 0), "last": (None, len(frames) - 1)}
        if index % 2:
            given["middle"] = (middle / true.frame_rate, middle)
        keyframes = tuple(Keyframe(still=Still.of(frames[at], name), at=when) for name, (when, at) in given.items())
        yield Trial(
            name=f"scene {scene.seed}",
            request=_request(setting, scene, index, keyframes),
            asked_HW3=np.concatenate([frames[at] for _, at in given.values()], axis=1),
            measure=_picture_measure(setting, {name: frames[at] for name, (_, at) in given.items()}),
        )


def seam_trials(setting: Setting, count: int) -> Iterator[Trial]:
    """True films that are continued, for as long again."""
    for index in range(count):
        scene = _scene(setting, 40_000 + index)
        true = _true(setting, scene)
        cut = 1 + 4 * (len(true.frames_FHWC) // 8)
        # What is continued has gone through the codec before, as any film of the model's own has.
        start = replace(true, frames_FHWC=through_codec(true.frames_FHWC[:cut], setting.codec))
        rest = (len(true.frames_FHWC) - cut) / true.frame_rate
        onward = Continue(footage=Footage.of(start, f"scene {scene.seed}"))
        request = replace(_request(setting, scene, index, ()), seconds=rest, conditions=(onward,))
        yield Trial(
            name=f"scene {scene.seed}",
            request=request,
            asked_HW3=start.frames_FHWC[-1],
            measure=_seam_measure(setting, start),
            truth=partial(_rest_of, setting, true, cut),
            truth_key=f"seams {scene} {setting.side} {setting.weights}",
        )


def region_trials(setting: Setting, count: int) -> Iterator[Trial]:
    """A body's box, made anew with a body of another colour."""
    scenes = (s for s in resting_scenes(50_000, seconds=setting.seconds) if s.bodies)
    for index in range(count):
        scene = next(scenes)
        true, other = _true(setting, scene), _other_colour(scene, index)
        mask_HW = _box(opening(scene, setting.side, setting.side).ids_HW == 2)
        region = Region(footage=Footage.of(true, f"scene {scene.seed}"), mask=Mask.of(mask_HW))
        body = other.bodies[0]
        wanted = BodySlots(colour=body.colour, shape=body.shape)
        yield Trial(
            name=f"{scene.bodies[0].colour} to {body.colour} {body.shape}",
            request=_request(setting, other, index, (region,)),
            asked_HW3=with_mask(true.frames_FHWC[0], mask_HW),
            measure=_region_measure(setting, true, mask_HW, wanted),
            truth=partial(_pasted, setting, true, other, mask_HW),
            truth_key=f"region {scene} {body.colour} {setting.side}",
        )


# Inside


def _scene(setting: Setting, number: int) -> Scene:
    return replace(sample_scene(FIRST_SEED + number, split="held_out"), seconds=setting.seconds)


def _true(setting: Setting, scene: Scene) -> Clip:
    return setting.cache.made(
        f"scene {scene} {setting.side}", lambda: draw_clip(scene, simulate(scene), setting.side, setting.side)
    )


def _request(setting: Setting, scene: Scene, seed: int, conditions: tuple[Keyframe | Region, ...]) -> Request:
    slots = scene_slots(scene)
    still = all(figure.action == "stand" for figure in slots.figures) and all(b.action == "rest" for b in slots.bodies)
    caption = (
        describe_slots(slots, language="en", seed=scene.seed, length="long")
        if still
        else describe(scene, language="en", seed=scene.seed)
    )
    return Request(
        prompt=caption.text, seconds=setting.seconds, quality=setting.quality, seed=FIRST_SEED + seed,
        conditions=conditions,
    )  # fmt: skip


def _picture_measure(setting: Setting, given: dict[str, npt.NDArray[np.uint8]]) -> Callable[[Clip], Figures]:
    def measure(clip: Clip) -> Figures:
        frames = clip.frames_FHWC
        place = {"first": 0, "middle": 4 * (len(frames) // 8), "last": len(frames) - 1}
        figures: dict[str, float | None] = {}
        for name, picture_HW3 in given.items():
            found = measure_picture(frames[place[name]], picture_HW3, setting.codec)
            figures |= {f"{name}_gap": found.gap, f"{name}_psnr": found.psnr}
        return figures

    return measure


def _seam_measure(setting: Setting, start: Clip) -> Callable[[Clip], Figures]:
    judge = setting.judge()
    cut = start.shape.frames
    return lambda clip: asdict(
        measure_seams(replace(clip, frames_FHWC=np.concatenate([start.frames_FHWC, clip.frames_FHWC])), [cut], judge)
    )


def _region_measure(
    setting: Setting, true: Clip, mask_HW: npt.NDArray[np.bool_], wanted: BodySlots
) -> Callable[[Clip], Figures]:
    judge = setting.judge()
    return lambda clip: asdict(measure_region(clip, true, mask_HW, wanted, judge))


def _other_colour(scene: Scene, index: int) -> Scene:
    """The scene with its first body in a colour that no body has."""
    taken = {body.colour for body in scene.bodies}
    free = [colour for colour in COLOURS if colour not in taken and colour not in ("black", "grey", "brown")]
    body = replace(scene.bodies[0], colour=free[index * 5 % len(free)])
    return replace(scene, bodies=(body, *scene.bodies[1:]))


def _box(mask_HW: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The box around a mask, a twentieth of the picture wider on each side."""
    margin = mask_HW.shape[0] // 20
    row_N, column_N = np.nonzero(mask_HW)
    box_HW = np.zeros_like(mask_HW)
    top, left = max(0, row_N.min() - margin), max(0, column_N.min() - margin)
    box_HW[top : row_N.max() + 1 + margin, left : column_N.max() + 1 + margin] = True
    return box_HW


def _pasted(setting: Setting, true: Clip, scene: Scene, mask_HW: npt.NDArray[np.bool_]) -> Clip:
    """The film of `scene` inside a mask, another film outside it."""
    inside_FHW3 = _true(setting, scene).frames_FHWC
    return replace(true, frames_FHWC=np.where(mask_HW[None, :, :, None], inside_FHW3, true.frames_FHWC))


def _rest_of(setting: Setting, true: Clip, cut: int) -> Clip:
    return replace(true, frames_FHWC=through_codec(true.frames_FHWC, setting.codec)[cut:])
