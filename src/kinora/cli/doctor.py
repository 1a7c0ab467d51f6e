"""`kinora doctor`: is everything here that a film needs, and how fast will it go?"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kinora import __version__
from kinora.cli.options import add_model_option
from kinora.core.errors import KinoraError

__all__ = ["Finding", "examine", "register", "run"]

MEMORY_WANTED = 2 * 2**30
DISK_WANTED = 2**28


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing looked at."""

    what: str
    finding: str
    well: bool = True


def register(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser(
        "doctor", help="is this machine ready?", description="Look at everything a film needs and say what is missing."
    )
    add_model_option(parser)


def run(arguments: argparse.Namespace) -> int:
    findings = []
    for finding in examine(arguments.model):
        findings.append(finding)
        print(f"{'ok ' if finding.well else 'BAD'}  {finding.what:<10} {finding.finding}", flush=True)
    troubles = sum(not finding.well for finding in findings)
    print("ready" if not troubles else f"{troubles} to mend")
    return 1 if troubles else 0


def examine(model: str) -> Iterator[Finding]:
    """Everything, one by one; what fails is told and the next thing looked at."""
    yield Finding(what="kinora", finding=f"{__version__}, in {Path(__file__).parents[1]}")
    yield Finding(what="python", finding=f"{platform.python_version()} on {platform.platform(terse=True)}")
    yield from look("torch", torch_here)
    yield from look("video", encoder_here)
    yield from look("memory", memory_here)
    yield from look("disk", disk_here)
    yield from look("model", lambda: model_here(model))


def look(what: str, at: Callable[[], Finding]) -> Iterator[Finding]:
    """What a look finds, or why it could not be had."""
    try:
        yield at()
    except ImportError as error:
        yield Finding(what=what, finding=f"{error}; install it with: pip install 'kinora[film]'", well=False)
    except (KinoraError, OSError) as error:
        yield Finding(what=what, finding=str(error), well=False)


def torch_here() -> Finding:
    """The version, the device, the numbers it will run with."""
    import torch

    from kinora.pipeline.precision import best_device, compute_dtype

    device = best_device()
    numbers = str(compute_dtype(device)).removeprefix("torch.")
    threads = f"{torch.get_num_threads()} threads" if device == "cpu" else torch.cuda.get_device_name()
    return Finding(what="torch", finding=f"{torch.__version__}, {device}, {threads}, {numbers}")


def encoder_here() -> Finding:
    """Whether films can be written."""
    import av

    well = "libx264" in av.codecs_available
    missing = "no H.264 encoder; install the wheel from the package index: pip install --force-reinstall av"
    return Finding(what="video", finding=f"PyAV {av.__version__}, {'H.264' if well else missing}", well=well)


def memory_here() -> Finding:
    """Memory that could be had now."""
    if not hasattr(os, "sysconf") or "SC_AVPHYS_PAGES" not in os.sysconf_names:
        return Finding(what="memory", finding="unknown on this system")
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    enough = total >= MEMORY_WANTED
    advice = "" if enough else f"; the bundled model wants {MEMORY_WANTED / 2**30:.0f} GiB"
    return Finding(
        what="memory", finding=f"{total / 2**30:.1f} GiB, {free / 2**30:.1f} GiB of it idle{advice}", well=enough
    )


def disk_here() -> Finding:
    """Room where films go by default."""
    free = shutil.disk_usage(Path.cwd()).free
    enough = free >= DISK_WANTED
    return Finding(
        what="disk", finding=f"{free / 2**30:.1f} GiB free here{'' if enough else '; make room'}", well=enough
    )


def model_here(name: str) -> Finding:
    """Whether the model is there, whole, and of a world that can still be drawn."""
    from kinora.pipeline import load_pipeline
    from kinora.presets import find_model
    from kinora.world.mix import TRAINING_MIX, WIDE_MIX

    folder = find_model(name)
    model = load_pipeline(name).model
    parameters = sum(part.numel() for part in model.transformer.parameters())
    world = model.manifest.world
    worlds = (TRAINING_MIX.world, WIDE_MIX.world)
    well = world in worlds
    older = (
        f"; world {world}"
        if well
        else f"; it learnt world {world}, this draws {' and '.join(worlds)}: measure and captions may not fit it"
    )
    sizes = ", ".join(f"{width}x{height}" for width, height in model.facts.sizes.values())
    return Finding(
        what="model",
        finding=f"{name} in {folder}: whole, {parameters / 1e6:.1f} M parameters, {sizes} at "
        f"{model.manifest.frame_rate:g} a second{older}",
        well=well,
    )
