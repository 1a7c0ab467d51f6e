"""Blocking: which things stand where in the picture, and when.

The word is the stage's: before anybody plays, a director says who stands where. A director
(`kinora.language.director`) writes a blocking from a sentence, the renderer knows the true one of every scene, and a
transformer that was taught it draws what it says.

Axes: P things, T latent frames, 3 looks (kind, colour, detail), 4 box or cues (action, direction, speed, size).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from kinora.core.camera import CameraMove, spoken_move
from kinora.core.errors import ShapeError
from kinora.core.inbetween import inbetween
from kinora.core.shapes import Compression
from kinora.core.slots import (
    ANIMAL_ACTIONS,
    BODY_ACTIONS,
    CAMERAS,
    COLOURS,
    CONTACTS,
    DIRECTIONS,
    FIGURE_ACTIONS,
    HAIR_COLOURS,
    MATERIALS,
    SHAPES,
    SIZES,
    SPEEDS,
    TETHERED,
)

__all__ = ["ACTIONS", "CUES", "DETAILS", "FILMED", "KINDS", "LOOKS", "MOST_THINGS", "NOTHING", "Blocking"]

KINDS = (*SHAPES, "figure", "animal", "rope", "panel")
"""What a thing can be. A string with its frame counts as a rope."""
DETAILS = (*MATERIALS, *(f"{hair} hair" for hair in HAIR_COLOURS))
"""A body's material or a figure's hair."""
LOOKS = (KINDS, COLOURS, DETAILS)
"""The values of each look; a body's colour, a figure's clothes, an animal's coat."""
ACTIONS = (*dict.fromkeys((*BODY_ACTIONS, *TETHERED, *FIGURE_ACTIONS, *CONTACTS, *ANIMAL_ACTIONS, "hang")),)
"""What a thing can do: a body, figure, animal or rope; of a body that a figure handles, what the figure does."""
CUES = (ACTIONS, DIRECTIONS, SPEEDS, SIZES)
"""The values of each cue: what a thing is told to do, and how large it is."""
FILMED = (CAMERAS, SPEEDS)
"""What the camera does, and how fast where it moves."""
NOTHING = -1
"""A look that a thing does not have; as a kind: no thing."""
MOST_THINGS = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class Blocking:
    """A blocking of one film.

    A box is its middle (right, down) and its half extents, in half lengths of the picture's shorter side from the
    picture's middle: (0, 0, 1, 1) fills a square picture. Half extents of zero mean that nothing is to be seen.
    """

    look_P3: npt.NDArray[np.int64]
    """Indices into `LOOKS`, or `NOTHING`."""
    box_TP4: npt.NDArray[np.float32]
    position_T: npt.NDArray[np.float32]
    """Time of each row of boxes, in latent frames, rising."""
    filmed: tuple[int, int] = (0, NOTHING)
    """Indices into `FILMED`: a camera that stands still, unless said otherwise. Boxes are what it sees."""
    cue_P4: npt.NDArray[np.int64] | None = None
    """Indices into `CUES`, or `NOTHING`, where it is known what the boxes come from."""

    def __post_init__(self) -> None:
        things, times = len(self.look_P3), len(self.position_T)
        if self.look_P3.shape != (things, len(LOOKS)) or self.box_TP4.shape != (times, things, 4):
            raise ShapeError(
                f"Looks of shape {self.look_P3.shape}, boxes of shape {self.box_TP4.shape} and {times} moments are no "
                f"blocking: each thing has {len(LOOKS)} looks and at each moment a box of 4 numbers."
            )

    def faceless(self) -> Blocking:
        """Without the clothes and hair of figures: for films whose portraits show them."""
        look_P3 = self.look_P3.copy()
        look_P3[look_P3[:, 0] == KINDS.index("figure"), 1:] = NOTHING
        return replace(self, look_P3=look_P3)

    @property
    def move(self) -> CameraMove:
        """The camera's."""
        kind, speed = self.filmed
        return spoken_move(CAMERAS[kind], SPEEDS[max(speed, 0)])

    def way(self, position_T: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """How far each thing's middle goes in a latent frame around some moments, right and down (T, P, 2)."""
        step_TP4 = self.at(position_T + np.float32(1)).box_TP4 - self.at(position_T - np.float32(1)).box_TP4
        return (step_TP4[..., :2] / 2).astype(np.float32)

    def at(self, position_T: npt.NDArray[np.float32]) -> Blocking:
        """Seen at other moments: on a straight line between those there are, still outside of them."""
        box_NT = self.box_TP4.reshape(len(self.position_T), -1).T
        between = [np.interp(position_T, self.position_T, row_T) for row_T in box_NT]
        box_TP4 = np.stack(between, axis=-1) if between else np.zeros((len(position_T), 0))
        shape = len(position_T), len(self.look_P3), 4
        return replace(self, box_TP4=box_TP4.reshape(shape).astype(np.float32), position_T=position_T)

    def in_frames(self, frame_F: npt.NDArray[np.integer], compression: Compression) -> Blocking:
        """Seen in pixel frames, at their `Compression.moment_of`; in between things move as things do."""
        key_T = compression.frame_of(self.position_T)
        box_TN = self.box_TP4.reshape(len(self.position_T), -1).astype(np.float64)
        box_FN = inbetween(key_T, box_TN, frame_F.astype(np.float64))
        box_FN.reshape(-1, 4)[:, 2:].clip(min=0, out=box_FN.reshape(-1, 4)[:, 2:])
        box_FP4 = box_FN.reshape(len(frame_F), len(self.look_P3), 4).astype(np.float32)
        return replace(self, box_TP4=box_FP4, position_T=compression.moment_of(frame_F))
