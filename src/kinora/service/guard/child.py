"""One file in a process of its own: locked in, made plain, reported. Nothing of it outlives the file."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import av

from kinora.core.errors import KinoraError
from kinora.media.h264 import plain
from kinora.service.guard.cage import allow_only, limit
from kinora.service.guard.films import plain_film, plain_sound
from kinora.service.guard.job import Job, Plain, Unfit
from kinora.service.guard.pictures import plain_picture
from kinora.service.guard.tracks import plain_track
from kinora.weights.confine import forbid_network

__all__ = ["MAKERS", "confined", "run"]

MAKERS: dict[str, Callable[[Job], Plain]] = {
    "picture": plain_picture,
    "film": plain_film,
    "sound": plain_sound,
    "track": plain_track,
}
FULL = (errno.ENOSPC, errno.EDQUOT)


def run(job: Job, report: int) -> None:
    """Make one file plain and write what came of it to the descriptor `report`, as JSON: {"plain": ...},
    {"unfit": sentence}, or {"trouble": sentence} where it is not the file's fault.
    """
    limit(seconds=job.seconds, memory=job.memory, size=job.most_bytes)
    granted = confined(job)
    said = attempt(job)
    os.write(report, json.dumps({**said, "confined": granted}).encode())


def confined(job: Job) -> list[tuple[bool, str]]:
    """Take away the network and every file but two."""
    return [forbid_network(), allow_only(Path(job.source), Path(job.target))]


def attempt(job: Job) -> dict[str, Any]:
    """What came of a file. Whatever a decoder raises is the file's fault, unless the disk is full."""
    try:
        return {"plain": asdict(MAKERS[job.family](job))}
    except (Unfit, KinoraError) as refused:
        return {"unfit": str(refused)}
    except MemoryError:
        return {"unfit": "The file needs more memory than a film or picture of its size does; it is damaged."}
    except (OSError, av.FFmpegError) as error:
        if error.errno in FULL:
            return {"trouble": "There is no room to work on the file. Try again later."}
        return {"unfit": f"The file cannot be read as what it begins like ({plain(error)}). Save or copy it again."}
    except Exception as error:  # noqa: BLE001 - decoders raise whatever they stumble over
        return {"unfit": f"The file is damaged ({type(error).__name__}). Save or copy it again."}
