"""The options of `generate` as conditions, and what verbs that take a film share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from kinora.cli.main import say
from kinora.cli.materials import (
    drawn_mask,
    mask_file,
    read_json,
    reference_file,
    still_file,
    voice_file,
)
from kinora.core.conditions import Brush, Condition, Keyframe, Moves, Speech
from kinora.core.errors import InputError, MediaError
from kinora.core.materials import Footage, Mask, Still
from kinora.core.parsing import parse_camera, parse_keyframe, read_brush, read_face, read_path
from kinora.core.request import ASPECTS
from kinora.core.wording import plain_prompt
from kinora.media.film import read_film_recipe
from kinora.presets.places import find_model
from kinora.weights.manifest import Manifest, read_manifest

__all__ = ["conditions_of", "manifest_of", "nearest_aspect", "prompt_in", "said_aspect", "speech_of"]


def conditions_of(arguments: argparse.Namespace) -> tuple[Condition, ...]:
    """Everything that `generate`'s options ask for beyond the prompt, files read."""
    if arguments.consent and not arguments.reference:
        raise InputError("--consent is about the pictures of --reference, and there are none; leave it out.")
    found: list[Condition] = [*keyframes_of(arguments)]
    found += moves_of(arguments)
    if arguments.brush is not None:
        found.append(brush_of(arguments.brush, found))
    found += [reference_file(text, consent=arguments.consent) for text in arguments.reference]
    if arguments.speech is not None or arguments.face is not None:
        found.append(speech_of(arguments, seconds=arguments.seconds))
    return tuple(found)


def keyframes_of(arguments: argparse.Namespace) -> list[Keyframe]:
    """Pictures of the film's start, end, and moments between."""
    told: list[tuple[float | None, str]] = [] if arguments.image is None else [(0.0, arguments.image)]
    told += [parse_keyframe(text) for text in arguments.keyframe]
    if arguments.end_image is not None:
        told.append((None, arguments.end_image))
    return [Keyframe(still=still_file(path), at=at, fit=arguments.fit) for at, path in told]


def moves_of(arguments: argparse.Namespace) -> list[Moves]:
    if arguments.camera is not None and arguments.camera_path is not None:
        raise InputError("The camera has a move and a path; give either --camera or --camera-path.")
    if arguments.camera is not None:
        return [Moves(move=parse_camera(arguments.camera))]
    if arguments.camera_path is not None:
        return [Moves(move=read_path(read_json(arguments.camera_path)))]
    return []


def brush_of(path: str, conditions: list[Condition]) -> Brush:
    """A brush file; its masks are files beside it, of the size of the film's first picture, or polygons."""
    first = next((one.still for one in conditions if isinstance(one, Keyframe) and one.at == 0), None)
    if first is None:
        raise InputError("A brush paints on a picture, and the film has no first one: give it with --image.")
    height, width, _ = first.rgb_HW3.shape

    def mask(value: Any) -> Mask:
        if isinstance(value, str):
            return mask_file(Path(path).parent / value, (height, width))
        return drawn_mask(value["polygon"], (height, width))

    return read_brush(read_json(path), mask, (height, width))


def speech_of(arguments: argparse.Namespace, *, seconds: float, footage: Footage | None = None) -> Speech:
    """A voice and a face; says when the voice goes on beyond the film."""
    if arguments.speech is None or arguments.face is None:
        raise InputError("Speech needs a voice and a face: give both --speech and --face.")
    voice = voice_file(arguments.speech)
    spoken = len(voice.track.mouth_F4) / voice.track.frame_rate
    if spoken > seconds + 1 / voice.track.frame_rate:
        say(f"note: the speech lasts {spoken:.1f} s and the film {seconds:.1f} s; the rest is not spoken")
    face = arguments.face
    told = read_json(face) if face.lower().endswith(".json") else face
    return Speech(voice=voice, face=read_face(told), footage=footage)


def manifest_of(model: str) -> Manifest:
    """What a model says of itself, without loading it."""
    return read_manifest(find_model(model))


def nearest_aspect(height: int, width: int) -> str:
    """The aspect whose shape is most like a picture's."""

    def difference(aspect: str) -> float:
        across, down = map(int, aspect.split(":"))
        return max(across * height / (down * width), down * width / (across * height))

    return min(ASPECTS, key=difference)


def said_aspect(conditions: tuple[Condition, ...]) -> str | None:
    """The aspect of the first keyframe's picture, told to the person; None without a keyframe."""
    stills: list[Still] = [one.still for one in conditions if isinstance(one, Keyframe)]
    if not stills:
        return None
    height, width, _ = stills[0].rgb_HW3.shape
    aspect = nearest_aspect(height, width)
    say(f"aspect {aspect}, the nearest to {stills[0].name} ({width} x {height})")
    return aspect


def prompt_in(path: str, *, last: bool = False) -> str | None:
    """What a film's recipe says it shows (at its end, with `last`); None when it carries no recipe."""
    try:
        request = read_film_recipe(Path(path)).request
    except MediaError:
        return None
    text = request.script[-1].prompt if last and request.script else request.prompt
    return plain_prompt(text, request)
