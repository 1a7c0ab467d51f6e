"""What a reader should say of clips, as arrays: the reader's teacher.

Axes: B batch, S scene slots, O kinds of objects, P objects (bodies first, then figures, then animals), A attributes, K
moments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kinora.core.slots import ANIMAL_SLOTS, BODY_SLOTS, FIGURE_SLOTS
from kinora.understanding.config import ReaderConfig

__all__ = ["ATTRIBUTES", "UNSAID", "Asked", "ReaderTruth", "beside", "mirrored"]

ATTRIBUTES = max(len(BODY_SLOTS), len(FIGURE_SLOTS), len(ANIMAL_SLOTS))
UNSAID = -1
"""The index for a slot that has no value here, and the cell of an object that is not there."""
MOTION_SLOTS = ("camera", "camera_speed", "event", "rope", "action", "direction", "speed")
"""Names of the slots that take time to be seen."""
LEFT_RIGHT = {
    "left": "right",
    "pan_left": "pan_right",
    "orbit_left": "orbit_right",
    "roll_clockwise": "roll_counterclockwise",
}
LEFT_RIGHT |= {right: left for left, right in LEFT_RIGHT.items()}
BOX_MOVED, BOX_STRETCHED = 0.1, 0.1
"""How far the boxes of a search are off, as standard deviations: in half extents, and as a natural logarithm."""
CAMERA_MIRROR = (1.0, -1.0, -1.0, -1.0, 1.0, 1.0, 1.0)
"""A mirrored path: rotation about the axes down and forward turns round, and so does the way to the right."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ReaderTruth:
    """Exact truth about a batch of clips at their moments."""

    scene_BS: Tensor
    """Value of each of the reader's questions about the scene, in their order."""
    count_BO: Tensor
    """How many there are of each kind that the reader knows."""
    cell_BP: Tensor
    """Fine cell that holds the object's centre at the first moment; `UNSAID` where there is no object."""
    box_BP4: Tensor
    """Box around it at the first moment: middle (right, down) and half extents, in half picture sides from the
    picture's middle; zero where there is no object.
    """
    value_BPA: Tensor
    """Values of the object's slots, in the order of its kind's questions."""
    track_BPK3: Tensor
    """Where its centre is seen, and how far: see `model.TRACK_NUMBERS`."""
    tracked_BPK: Tensor
    """1 where the track means something (the object is in front of the camera and not far outside the picture), else
    0.
    """
    camera_BK7: Tensor
    """The camera's path: see `model.CAMERA_NUMBERS`."""

    @classmethod
    def stack(cls, clips: Sequence[Mapping[str, npt.NDArray[np.generic]]]) -> Self:
        """A batch from the arrays of single clips, named like the fields but for their axes: scene, count, cell, ..."""
        return cls.from_arrays({name: np.stack([clip[name] for clip in clips]) for name in clips[0]})

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[np.generic]]) -> Self:
        """A batch from arrays that have B already, named like the fields but for their axes."""
        return cls(**{f.name: torch.from_numpy(arrays[f.name.rpartition("_")[0]]) for f in fields(cls)})

    @classmethod
    def join(cls, batches: Sequence[Self]) -> Self:
        """One long batch."""
        return cls(**{f.name: torch.cat([getattr(batch, f.name) for batch in batches]) for f in fields(cls)})

    def to(self, device: torch.device | str) -> Self:
        return type(self)(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    def take(self, index: Tensor) -> Self:
        """The clips at `index`."""
        return type(self)(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def at(self, shown: Tensor) -> Self:
        """The same clips at some of their moments only."""
        return replace(
            self,
            track_BPK3=self.track_BPK3[:, :, shown],
            tracked_BPK=self.tracked_BPK[:, :, shown],
            camera_BK7=self.camera_BK7[:, shown],
        )

    def without_motion(self, config: ReaderConfig) -> Self:
        """The same truth with every slot that a single picture cannot tell left unsaid."""
        scene_BS, value_BPA = self.scene_BS.clone(), self.value_BPA.clone()
        scene_BS[:, [index for index, name in enumerate(config.scene_slots) if name in MOTION_SLOTS]] = UNSAID
        for kind in config.kinds:
            for index, name in enumerate(kind.slots):
                if name in MOTION_SLOTS:
                    value_BPA[:, kind.places, index] = UNSAID
        return replace(self, scene_BS=scene_BS, value_BPA=value_BPA)


@dataclass(frozen=True, kw_only=True, eq=False)
class Asked:
    """Where objects are asked about."""

    cell_BP: Tensor
    box_BP4: Tensor


def beside(truth: ReaderTruth, side: int, share: float, generator: torch.Generator) -> Asked:
    """The objects' own cells and boxes, a little wrong, as a search errs: `share` of the cells lie up to one further
    down and across, none outside the picture; boxes are moved by `BOX_MOVED` of their size and stretched by
    `BOX_STRETCHED`.
    """
    there = truth.cell_BP.device
    step_2BP = torch.randint(-1, 2, (2, *truth.cell_BP.shape), generator=generator, device=generator.device).to(there)
    drawn_BP = torch.rand(truth.cell_BP.shape, generator=generator, device=generator.device).to(there)
    row_BP = (truth.cell_BP // side + step_2BP[0]).clamp(0, side - 1)
    column_BP = (truth.cell_BP % side + step_2BP[1]).clamp(0, side - 1)
    moved_BP = (drawn_BP < share) & (truth.cell_BP != UNSAID)
    error_BP4 = torch.randn(truth.box_BP4.shape, generator=generator, device=generator.device).to(there)
    middle_BP2, half_BP2 = truth.box_BP4.split(2, dim=-1)
    middle_BP2 = middle_BP2 + BOX_MOVED * error_BP4[..., :2] * half_BP2
    half_BP2 = half_BP2 * (BOX_STRETCHED * error_BP4[..., 2:]).exp()
    return Asked(
        cell_BP=torch.where(moved_BP, row_BP * side + column_BP, truth.cell_BP),
        box_BP4=torch.cat([middle_BP2, half_BP2], dim=-1),
    )


def _swap(values: tuple[str, ...]) -> list[int]:
    """Index of every value's mirror image; the last entry, which index -1 meets, is `UNSAID`."""
    return [values.index(LEFT_RIGHT.get(value, value)) for value in values] + [UNSAID]


def mirrored(moments_BKCSS: Tensor, truth: ReaderTruth, config: ReaderConfig) -> tuple[Tensor, ReaderTruth]:
    """Clips with left and right swapped, and their truth: twice the data for nothing."""
    device = truth.cell_BP.device
    scene_BS, value_BPA = truth.scene_BS.clone(), truth.value_BPA.clone()
    for index, values in enumerate(config.scene_slots.values()):
        scene_BS[:, index] = torch.tensor(_swap(values), device=device)[scene_BS[:, index]]
    for kind in config.kinds:
        for index, values in enumerate(kind.slots.values()):
            said_BP = value_BPA[:, kind.places, index]
            value_BPA[:, kind.places, index] = torch.tensor(_swap(values), device=device)[said_BP]
    row, column = truth.cell_BP // config.fine_grid, truth.cell_BP % config.fine_grid
    cell_BP = row * config.fine_grid + config.fine_grid - 1 - column
    return moments_BKCSS.flip(-1), ReaderTruth(
        scene_BS=scene_BS,
        count_BO=truth.count_BO,
        cell_BP=torch.where(truth.cell_BP >= 0, cell_BP, truth.cell_BP),
        box_BP4=truth.box_BP4 * torch.tensor([-1.0, 1.0, 1.0, 1.0], device=device),
        value_BPA=value_BPA,
        track_BPK3=truth.track_BPK3 * torch.tensor([-1.0, 1.0, 1.0], device=device),
        tracked_BPK=truth.tracked_BPK,
        camera_BK7=truth.camera_BK7 * torch.tensor(CAMERA_MIRROR, device=device),
    )
