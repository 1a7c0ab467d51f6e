"""From seconds to latent frames: where keyframes and later prompts fall on a film's grid."""

from __future__ import annotations

from collections.abc import Sequence

from kinora.core.conditions import Keyframe
from kinora.core.errors import InputError
from kinora.core.request import Line, Request

__all__ = ["keyframe_places", "prompt_cuts"]


def keyframe_places(
    request: Request, *, latent_frames: int, rate: float, time: int, alone: bool
) -> dict[int, Keyframe]:
    """Keyframes by the latent frame of the new part that shows them; `rate` is frames a second, `time` pixel frames a
    latent frame, `alone` whether the film starts from nothing (its first latent frame then holds one pixel frame).

    Raises `InputError` for two in one latent frame.
    """
    found: dict[int, Keyframe] = {}
    for keyframe in (condition for condition in request.conditions if isinstance(condition, Keyframe)):
        index = latent_frames - 1
        if keyframe.at is not None:
            frame = round(keyframe.at * rate)
            index = min(index, -(-frame // time) if alone else frame // time)
        if index in found:
            first, second = (_moment(one) for one in (found[index], keyframe))
            raise InputError(
                f"The keyframes at {first} and at {second} fall into one step of {time / rate:g} s; a step shows one "
                "picture. Move them apart, or make the film longer."
            )
        found[index] = keyframe
    return found


def prompt_cuts(script: Sequence[Line], *, latent_frames: int, rate: float, time: int) -> list[int]:
    """The latent frames at which another prompt begins.

    Raises `InputError` where two would begin together, or one with the film itself or after its last step.
    """
    cuts: list[int] = []
    for line in script:
        cut = round(line.at * rate / time)
        if not (cuts[-1] if cuts else 0) < cut < latent_frames:
            raise InputError(
                f"The prompt at {line.at:g} s has no time of its own: prompts change in steps of {time / rate:g} s, "
                f"one step apart at least, within {latent_frames * time / rate:g} s. Move it."
            )
        cuts.append(cut)
    return cuts


def _moment(keyframe: Keyframe) -> str:
    return "the end" if keyframe.at is None else f"{keyframe.at:g} s"
