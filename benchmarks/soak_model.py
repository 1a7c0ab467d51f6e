"""The bundled model behind the service: every request is made, and the same seed gives the same frames after a restart.

    python benchmarks/soak_model.py --count 50

A real worker process with the model `tiny`: films of a second in draft quality and pictures, in turn. Every fifth
request was made before; half-way the worker is killed and another started. Frames are compared as the films hold
them: decoded, which leaves credentials and file names aside.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from kinora.media.film import read_film
from kinora.media.picture import read_picture
from kinora.service.settings import Settings
from kinora.service.tasks import Task

PROMPTS = (
    "a red ball rolls to the right on the grass",
    "一个蓝色的立方体在雪地上落下",
    "a person in green clothes walks on sand",
)


def fleet_in(folder: Path) -> Any:
    """Workers of a service in `folder`, as the tests start them."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
    fleet = importlib.import_module("fleet")
    fleet.WAIT = 600.0
    settings = Settings(data=folder / "data", secret="a secret of thirty-two characters!", serves="tiny", workers=0)
    return fleet.Fleet(settings, folder / "worker.log")


def frames_of(fleet: Any, task: Task, folder: Path) -> str:
    """A digest of what an output shows."""
    output = task.outputs[0]
    path = folder / f"{task.id}{'.mp4' if output.kind == 'video' else '.png'}"
    fleet.service.assets.fetch(output.digest, path)
    shown = read_film(path).frames_FHWC if output.kind == "video" else read_picture(path)
    return hashlib.sha256(shown.tobytes()).hexdigest()


def wish(index: int) -> dict[str, Any]:
    """The request of one turn; every fifth repeats the one four turns before it."""
    index = index - 4 if index % 5 == 4 else index
    values: dict[str, Any] = {
        "prompt": PROMPTS[index % 3],
        "seed": index,
        "model": "tiny",
        "quality": "draft",
        "seconds": 1.0,
    }
    return values | ({"kind": "text_to_image"} if index % 4 == 3 else {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=50)
    told = parser.parse_args()
    states, shown, differ, same = Counter[str](), {}, 0, 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fleet = fleet_in(folder)
        worker, started = fleet.start(), time.monotonic()
        try:
            for index in range(told.count):
                if index == told.count // 2:
                    worker.kill()
                    worker.wait()
                    worker = fleet.start()
                values = wish(index)
                task = fleet.ended(fleet.submit(values.pop("prompt"), **values))
                states[task.state] += 1
                if task.state != "succeed":
                    continue
                key, digest = str(sorted(wish(index).items())), frames_of(fleet, task, folder)
                same += key in shown and shown[key] == digest
                differ += key in shown and shown[key] != digest
                shown.setdefault(key, digest)
            # And the first ones again, behind the restart.
            for index in range(min(3, told.count)):
                values = wish(index)
                task = fleet.ended(fleet.submit(values.pop("prompt"), **values))
                match = shown.get(str(sorted(wish(index).items()))) == frames_of(fleet, task, folder)
                same, differ = same + match, differ + (not match)
        finally:
            fleet.close()
    print(
        f"{dict(states)} of {told.count}; repeated: {same} the same, {differ} not; {time.monotonic() - started:.0f} s"
    )
    sys.exit(bool(differ) or states["succeed"] != told.count)


if __name__ == "__main__":
    main()
