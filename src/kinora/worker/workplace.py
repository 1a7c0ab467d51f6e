"""A task's folders on the worker's disk, and their copy in the object store, so that another host can go on."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from kinora.service.assets import Assets
from kinora.service.errors import Missing
from kinora.service.objects import Objects
from kinora.service.tasks import Task

__all__ = ["Workplace", "clear_work"]

SAVE = "save"
"""Names the files of the newest save; written last, so that half a save is none."""


class Workplace:
    """`work` holds results and saves, `materials` a file for each asset that the request names."""

    def __init__(self, root: Path, task: Task, objects: Objects, assets: Assets) -> None:
        self._task, self._objects, self._assets = task, objects, assets
        self._root = root / str(task.id)
        self.work, self.materials = self._root / "work", self._root / "materials"
        self._shelf = f"work/{task.id}"
        self._kept: set[str] = set()

    def open(self) -> None:
        """Bring what is needed: the assets, and the newest save where this disk has none of its own."""
        self.materials.mkdir(parents=True, exist_ok=True)
        for digest in sorted(_digests(self._task.request)):
            if not (self.materials / digest).exists():
                # Half a file would be taken for the whole one by the next attempt.
                self._assets.fetch(digest, self._root / "coming-file")
                (self._root / "coming-file").rename(self.materials / digest)
        if not self.work.exists():
            self._bring_save()
            self.work.mkdir(exist_ok=True)

    def keep(self, files: Sequence[str]) -> None:
        """Copy a save to the object store; one that was replaced meanwhile is skipped, the next is on its way."""
        try:
            for name in files:
                if name not in self._kept:
                    self._objects.put(self._place(name), self.work / name)
                    self._kept.add(name)
        except (FileNotFoundError, Missing):
            return
        self._objects.put(self._place(SAVE), json.dumps(list(files)).encode())
        for name in self._kept - set(files):
            self._objects.delete(self._place(name))
        self._kept.intersection_update(files)

    def close(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self._root, ignore_errors=True)
        self._objects.delete_all(self._shelf + "/")

    def leave(self) -> None:
        """The task is somebody else's now: forget the copy on this disk."""
        shutil.rmtree(self._root, ignore_errors=True)

    def _bring_save(self) -> None:
        present = {found.path for found in self._objects.list(self._shelf + "/")}
        if self._place(SAVE) not in present:
            return
        coming = self._root / "coming"
        shutil.rmtree(coming, ignore_errors=True)
        coming.mkdir(parents=True)
        try:
            files: list[str] = json.loads(self._objects.read(self._place(SAVE)))
            for name in files:
                (coming / name).parent.mkdir(parents=True, exist_ok=True)
                self._objects.get(self._place(name), coming / name)
        except Missing:
            # A newer save was under way when its worker died; from the beginning is always right.
            shutil.rmtree(coming)
            return
        self._kept.update(files)
        coming.rename(self.work)

    def _place(self, name: str) -> str:
        """Where a file of the work folder lies in the store: its own name may be one that the store refuses."""
        return f"{self._shelf}/{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def _digests(value: Any) -> set[str]:
    """The digests that a request's record names."""
    if isinstance(value, dict):
        own = {str(value["digest"])} if set(value) == {"name", "digest"} else set()
        return own.union(*(_digests(each) for each in value.values()))
    if isinstance(value, list):
        return set().union(*(_digests(each) for each in value))
    return set()


def clear_work(root: Path, here: Collection[str]) -> None:
    """Delete what workers that are no more have left on this disk; the object store has their saves."""
    for folder in root.glob("*"):
        if folder.name not in here:
            shutil.rmtree(folder, ignore_errors=True)
