"""Several shots in one film: Kling's lists and its syntax in a prompt, as a script."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from kinora.core.request import Line
from kinora.service.errors import Invalid

__all__ = ["MOST_SHOTS", "Shot", "shots_in", "told_in_order"]

MOST_SHOTS = 6
MOST_WORDS = 512
"""Characters of a shot."""
NEXT = r"(?:\bshot|镜头)\s*\d+\s*[,，]"
SHOT = re.compile(
    r"(?:\bshot|镜头)\s*(?P<index>\d{1,3})\s*[,，]\s*(?P<seconds>\d{1,4}(?:\.\d{1,3})?)\s*(?:s|秒)?\s*[,，]\s*"
    rf"(?P<words>.+?)\s*[;；]?\s*(?={NEXT}|$)",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One of a film's shots."""

    index: int
    seconds: float
    words: str


def shots_in(prompt: str) -> list[Shot]:
    """The shots of `shot 1, 3, words; shot 2, 2, words;` or `镜头 1, 3, words;`; none in a plain prompt."""
    found: list[Shot] = []
    place = 0
    while (match := SHOT.match(prompt, place)) is not None:
        found.append(Shot(index=int(match["index"]), seconds=float(match["seconds"]), words=match["words"]))
        place = match.end()
    return found if place == len(prompt) else []


def told_in_order(shots: Sequence[Shot], seconds: float | None) -> tuple[str, tuple[Line, ...], float]:
    """First prompt, script and length of a film of shots; `seconds` is its length as it was asked for, if it was.

    Raises `Invalid` for too many shots, out of order, shorter than a second, or of another length together.
    """
    if not 1 <= len(shots) <= MOST_SHOTS:
        raise Invalid(f"A film has 1 to {MOST_SHOTS} shots, not {len(shots)}; leave some out.")
    for place, shot in enumerate(shots, start=1):
        if shot.index != place:
            raise Invalid(f"Shot {shot.index} stands at place {place}; number the shots 1, 2, 3 and so on.")
        if shot.seconds < 1:
            raise Invalid(f"Shot {shot.index} lasts {shot.seconds:g} s; a shot lasts at least 1 s.")
        if len(shot.words) > MOST_WORDS:
            raise Invalid(
                f"Shot {shot.index} has {len(shot.words)} characters; at most {MOST_WORDS} are read. Shorten it."
            )
    total = sum(shot.seconds for shot in shots)
    if seconds is not None and abs(total - seconds) > 1e-6:
        raise Invalid(f"The shots last {total:g} s together and the film {seconds:g} s; make both the same.")
    starts = [sum(shot.seconds for shot in shots[:place]) for place in range(len(shots))]
    script = tuple(Line(at=at, prompt=shot.words) for at, shot in zip(starts, shots, strict=True) if at)
    return shots[0].words, script, total
