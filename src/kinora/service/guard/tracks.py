"""In the child: a speech track, checked and written anew."""

from __future__ import annotations

import json
from pathlib import Path

from kinora.core.errors import InputError
from kinora.core.parsing import read_voice
from kinora.service.guard.job import Job, Plain, Unfit

__all__ = ["plain_track"]

MOST_BYTES = 4 * 2**20
"""Some ten minutes at 60 shapes a second, written out at length."""


def plain_track(job: Job) -> Plain:
    """Write the track as `core.parsing.read_voice` takes it, and nothing that stood beside it."""
    source = Path(job.source)
    if source.stat().st_size > MOST_BYTES:
        raise Unfit(f"The speech track has more than {MOST_BYTES >> 20} MB. Cut it, or give fewer shapes a second.")
    try:
        track = read_voice(json.loads(source.read_text("utf-8-sig")), "The speech track").track
    except (InputError, RecursionError, ValueError) as error:
        reason = str(error) if isinstance(error, InputError) else "it is no JSON"
        raise Unfit(f"The file is no speech track: {reason}") from error
    frames = [[round(float(value), 6) for value in row] for row in track.mouth_F4]
    Path(job.target).write_text(json.dumps({"frame_rate": track.frame_rate, "frames": frames}, separators=(",", ":")))
    return Plain(kind="file", frames=len(frames), frame_rate=track.frame_rate)
