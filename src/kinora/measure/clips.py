"""Clips that took long to make, kept on disk so that a measurement that was cut off goes on where it stopped."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from kinora.core.clip import Clip
from kinora.core.errors import OutputError
from kinora.core.request import Request
from kinora.world.render import render
from kinora.world.scene import WORLD_VERSION, Scene

__all__ = ["ClipCache", "Filmmaker", "true_clip"]


class Filmmaker(Protocol):
    """Whatever makes clips from requests; a pipeline is one."""

    def generate(self, request: Request) -> Clip:
        """The clip of a request, the same every time."""


class ClipCache:
    """A folder of clips by what they were made from."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{folder} cannot hold clips ({error}); choose another folder with --out.") from error

    def generated(self, request: Request, weights: str, maker: Filmmaker) -> Clip:
        """The clip of `request` by the model with the hash `weights`."""
        record = sorted(request.to_record().items())
        return self._get(f"generated {weights} {record}", lambda: maker.generate(request))

    def true(self, scene: Scene, size: int) -> Clip:
        """The square render of a scene, all frames."""
        return self._get(f"true {WORLD_VERSION} {scene} {size}", lambda: true_clip(scene, size))

    def made(self, key: str, make: Callable[[], Clip]) -> Clip:
        """A clip by any other key, which must name everything it depends on."""
        return self._get(f"made {WORLD_VERSION} {key}", make)

    def _get(self, key: str, make: Callable[[], Clip]) -> Clip:
        path = self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:20]}.npz"
        if path.exists():
            try:
                with path.open("rb") as file, np.load(file) as held:
                    return Clip(frames_FHWC=held["frames"], frame_rate=float(held["frame_rate"]))
            except (OSError, ValueError, KeyError, zipfile.BadZipFile):
                path.unlink()  # half a file from a full disk: made again below
        clip = make()
        beside = path.with_suffix(f".{os.getpid()}.part")
        with beside.open("wb") as written:
            np.savez_compressed(written, frames=clip.frames_FHWC, frame_rate=clip.frame_rate)
        beside.replace(path)
        return clip


def true_clip(scene: Scene, size: int) -> Clip:
    """What the scene truly looks like, `size` x `size`."""
    with torch.inference_mode():
        rendered = render([scene], height=size, width=size)
    return Clip(frames_FHWC=torch.as_tensor(rendered.rgb_BFHW3[0]).cpu().numpy(), frame_rate=scene.frame_rate)
