"""Trials of references and of speech: figures that no other scene shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice

import numpy as np
import numpy.typing as npt

from kinora.core.clip import Clip
from kinora.core.conditions import Condition, Face, Keyframe, Reference, Speech
from kinora.core.materials import Footage, Still, Voice
from kinora.core.request import Request
from kinora.core.slots import GROUNDS, SKIES
from kinora.core.visemes import VisemeTrack
from kinora.core.words import wordings
from kinora.measure.control.pictures import psnr_between
from kinora.measure.control.reference import measure_reference
from kinora.measure.control.speech import measure_speech
from kinora.measure.control.stages import FIRST_SEED, STILL_MIX, draw_clip, opening, resting_scenes
from kinora.measure.control.trials import Figures, Setting, Trial
from kinora.world.captions import describe_slots
from kinora.world.figures import HEAD_HALF, head_centre
from kinora.world.identity import sample_identity
from kinora.world.projection import focal_length, project
from kinora.world.scene import CameraPath, Figure, Identity, Place, Scene, States
from kinora.world.simulate import simulate
from kinora.world.slots_of import scene_slots
from kinora.world.speech import random_speech

__all__ = ["SpeakingScene", "reference_trials", "speaking_scene", "speech_trials"]

Array = npt.NDArray[np.float64]

OTHERS = 7
"""Identities that stand in the line-up beside the right one."""
NAME = "somebody"
PORTRAIT = CameraPath(position=(0.0, -4.2, 1.2), target=(0.0, 0.0, 0.8))


def reference_trials(setting: Setting, count: int) -> Iterator[Trial]:
    """A figure pictured alone in one place, asked for in another, its looks never told in words."""
    mix = replace(STILL_MIX, figures=1.0, second_figure=0.0, body_beside_figure=0.0)
    for index, scene in enumerate(islice(resting_scenes(60_000, mix=mix, seconds=setting.seconds), count)):
        identity, *others = [_identity(600 + (OTHERS + 1) * index + i) for i in range(OTHERS + 1)]
        figure = replace(scene.figures[0], identity=identity)
        scene = replace(scene, figures=(figure,))
        portrait = Scene(
            place=_another_place(scene.place, index), figures=(Figure(identity=identity),), camera=PORTRAIT, seed=index
        )
        picture_HW3 = opening(portrait, setting.side, setting.side).rgb_HW3
        yield Trial(
            name=f"{identity.hair} hair, {identity.clothes}",
            request=Request(
                prompt=_about_someone(scene), seconds=setting.seconds, quality=setting.quality, seed=FIRST_SEED + index,
                conditions=(Reference(still=Still.of(picture_HW3, "portrait"), name=NAME),),
            ),
            asked_HW3=picture_HW3,
            measure=_reference_measure(setting, identity, others),
            truth=_film_of(setting, scene),
            truth_key=f"reference {scene} {setting.side}",
        )  # fmt: skip


def speech_trials(setting: Setting, count: int) -> Iterator[Trial]:
    """A large face that looks at the camera, and a track of made-up talk: in turn for a new film, whose first picture
    shows the mouth shut, and for an existing silent one.
    """
    for index in range(count):
        said = speaking_scene(index, setting.seconds)
        silent = replace(said.scene, figures=(replace(said.scene.figures[0], speech=None, action="stand"),))
        first_HW3 = opening(silent, setting.side, setting.side).rgb_HW3
        face_F3 = said.faces()
        speech = Speech(voice=Voice.of(said.track), face=Face(track=_keys(face_F3)))
        measure = _speech_measure(said.track, face_F3)
        conditions: tuple[Condition, ...] = (Keyframe(still=Still.of(first_HW3, "face")), speech)
        if index % 2:
            footage = setting.cache.made(f"silent {silent} {setting.side}", _film_of(setting, silent))
            conditions = (replace(speech, footage=Footage.of(footage, "silent film")),)
            measure = partial(_in_existing, measure, footage, face_F3)
        prompt = describe_slots(scene_slots(said.scene), language="en", seed=index, length="long").text
        yield Trial(
            name=f"speech {index + 1}{', existing film' if index % 2 else ''}",
            request=Request(
                prompt=prompt, seconds=setting.seconds, quality=setting.quality, seed=FIRST_SEED + index,
                conditions=conditions,
            ),
            asked_HW3=first_HW3,
            measure=measure,
            truth=_film_of(setting, said.scene),
            truth_key=f"speech {said.scene} {index} {setting.side}",
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class SpeakingScene:
    """A scene with one figure that speaks near the camera."""

    scene: Scene
    track: VisemeTrack

    def states(self) -> States:
        return simulate(self.scene)

    def faces(self) -> Array:
        """Where the face is at every frame (F, 3): middle in shares of width and height, half its width in shares of
        the shorter side.
        """
        figure, states = self.scene.figures[0], self.states()
        centre_F3 = head_centre(figure, states, 0)
        half = HEAD_HALF[0] * figure.identity.head * figure.identity.height
        found = []
        for frame, pose_34 in enumerate(states.camera_pose_F34):
            fov = float(states.camera_fov_F[frame])
            place_12, depth_1 = project(centre_F3[frame : frame + 1], pose_34, fov, 1, 1)
            found.append([*place_12[0], half / depth_1[0] * float(focal_length(fov, 1, 1))])
        return np.array(found)


def speaking_scene(index: int, seconds: float) -> SpeakingScene:
    """A figure of a held-out identity, its head a third of the picture high, that speaks from beginning to end."""
    rng = np.random.default_rng([FIRST_SEED, 70_000, index])
    identity = sample_identity(rng, held_out=True)
    scene = Scene(
        place=Place(ground=GROUNDS[index % len(GROUNDS)], sky=SKIES[index % len(SKIES)], seed=index),
        camera=CameraPath(position=(0.0, -2.2, 0.8 * identity.height), target=(0.0, 0.0, 0.8 * identity.height)),
        seconds=seconds,
        seed=FIRST_SEED + 70_000 + index,
        split="held_out",
    )
    track = random_speech(rng, scene.frames, scene.frame_rate)
    figure = Figure(
        identity=identity, position=(float(rng.uniform(-0.25, 0.25)), 0.0, 0.0),
        heading=float(rng.uniform(-0.2, 0.2)), action="speak", speech=track,
    )  # fmt: skip
    return SpeakingScene(scene=replace(scene, figures=(figure,)), track=track)


# Inside


def _identity(number: int) -> Identity:
    return sample_identity(np.random.default_rng([FIRST_SEED, 60_000, number]), held_out=True)


def _about_someone(scene: Scene) -> str:
    """Where the one on the reference stands, and nothing of what they look like."""
    ground, sky = (wordings(slot, getattr(scene.place, slot), "en")[0] for slot in ("ground", "sky"))
    return f"@{NAME} stands {ground} {sky}."


def _another_place(place: Place, index: int) -> Place:
    """Where the portrait was taken: by day, on another ground."""
    grounds = [ground for ground in GROUNDS if ground not in (place.ground, "water")]
    return Place(ground=grounds[index % len(grounds)], sky="day", seed=index)


def _film_of(setting: Setting, scene: Scene) -> Callable[[], Clip]:
    return lambda: draw_clip(scene, simulate(scene), setting.side, setting.side)


def _reference_measure(setting: Setting, identity: Identity, others: list[Identity]) -> Callable[[Clip], Figures]:
    judge = setting.judge()
    return lambda clip: asdict(measure_reference(clip, identity, others, judge))


def _keys(face_F3: Array) -> tuple[tuple[float, float, float, float], ...]:
    """A face's places twice a second."""
    return tuple((f / 16.0, float(x), float(y), float(radius)) for f, (x, y, radius) in list(enumerate(face_F3))[::8])


def _in_existing(measure: Callable[[Clip], Figures], footage: Clip, face_F3: Array, clip: Clip) -> Figures:
    """The same figures under names of their own, and how far all but the face is the footage's own."""
    figures = {f"existing_{name}": value for name, value in measure(clip).items()}
    frames, height, width = clip.frames_FHWC.shape[:3]
    row_H1, column_W = np.mgrid[:height, :width] + 0.5
    x, y, radius = face_F3.mean(axis=0) * [width, height, min(height, width)]
    outside_HW = np.hypot(column_W - x, row_H1 - y) > 1.1 * radius
    kept = psnr_between(clip.frames_FHWC[:, outside_HW], footage.frames_FHWC[:frames, outside_HW])
    return {**figures, "existing_outside": kept}


def _speech_measure(track: VisemeTrack, face_F3: Array) -> Callable[[Clip], Figures]:
    def measure(clip: Clip) -> Figures:
        found = measure_speech(clip, track.mouth_F4[:, 0], face_F3)
        return {"correlation": found.correlation, "best": found.best, "lag": float(abs(found.lag))}

    return measure
