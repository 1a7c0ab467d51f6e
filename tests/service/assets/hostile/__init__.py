"""Pictures and films made to do harm, the same ones every time: number `index` of a corpus depends on nothing else."""

from __future__ import annotations

import numpy as np

from .acts import ACTS, BOX_ACTS, edges
from .bombs import FILM_BOMBS, PICTURE_BOMBS
from .good import SEED, film, films, pictures
from .tally import Tally, take_all

__all__ = [
    "FILM_BOMBS",
    "PICTURE_BOMBS",
    "Tally",
    "film",
    "film_mutant",
    "films",
    "image_mutant",
    "pictures",
    "take_all",
]


def image_mutant(index: int) -> tuple[str, bytes]:
    """A name that says what was done, and the file."""
    bombs = list(PICTURE_BOMBS)
    if index < len(bombs):
        return bombs[index], PICTURE_BOMBS[bombs[index]]()
    rng = np.random.default_rng((SEED, 1, index))
    names = sorted(pictures())
    name = names[index % len(names)]
    data = pictures()[name]
    done = []
    for _ in range(int(rng.integers(1, 4))):
        act = ACTS[int(rng.integers(len(ACTS)))]
        data = act(data, rng, edges(data))
        done.append(act.__name__)
    return f"{index} {name}: {', '.join(done)}", data


def film_mutant(index: int) -> tuple[str, bytes]:
    """Likewise, of films and sound."""
    made = list(FILM_BOMBS)
    if index < len(made):
        return made[index], FILM_BOMBS[made[index]]()
    rng = np.random.default_rng((SEED, 2, index))
    names = sorted(films())
    name = names[index % len(names)]
    data = films()[name]
    done = []
    acts = ACTS + BOX_ACTS if name.startswith(("mp4", "mov", "m4a")) else ACTS
    for _ in range(int(rng.integers(1, 4))):
        act = acts[int(rng.integers(len(acts)))]
        data = act(data, rng, edges(data))
        done.append(act.__name__)
    return f"{index} {name}: {', '.join(done)}", data
