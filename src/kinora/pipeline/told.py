"""What the transformer is told of a window beside its noise: poses, mouths, and the pictures of image models.

Axes: B batch, C channels, F pixel frames, T latent frames, H W grid, L text positions or image tokens, D width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kinora.control.beside import lay_beside, pictures_on_grey
from kinora.control.blocking import maps_of
from kinora.control.frames import face_mask, mouth_windows, pose_of_track
from kinora.core.blocking import DETAILS, KINDS, Blocking
from kinora.core.camera import CameraMove
from kinora.core.clip import Clip
from kinora.core.conditions import Moves, Speech
from kinora.core.plan import Plan, Segment
from kinora.core.slots import COLOURS
from kinora.core.wording import condition_of
from kinora.pipeline.drawing import Drawing
from kinora.pipeline.given import Given, Span
from kinora.pipeline.model import Model
from kinora.pipeline.resident import Resident
from kinora.transformer.conditions import Conditions

__all__ = ["Told"]

Pixels = npt.NDArray[np.uint8]


class Told:
    """The conditions of one film's windows; the text is filled in where the model is asked."""

    def __init__(self, model: Model, resident: Resident, plan: Plan, given: Given, drawing: Drawing) -> None:
        self._model = model
        self._resident = resident
        self._plan = plan
        self._given = given
        self._drawing = drawing
        self._time = model.codec.config.compression.time
        self._directed: Blocking | None = None

    def conditions(self, text_BLD: Tensor, segment: Segment, span: Span, *, extra: int) -> Conditions:
        """A prompt and what is told of a segment's window; `extra` frames stand beside it."""
        conditions = Conditions(text_BLD=text_BLD)
        before = 0 if segment.alone else segment.known + segment.anchors - 1
        frames_T = span.base + self._time * np.arange(-before, segment.frames + segment.anchors - before)
        moves, speech = condition_of(self._plan.request, Moves), condition_of(self._plan.request, Speech)
        directed = self._plan.directed and not self._plan.picture_first and segment is self._plan.segments[0]
        if directed and (move := self.blocking(text_BLD).move) != CameraMove():
            moves = Moves(move=move)
        if moves is not None and self._model.transformer.config.pose_width and not self._plan.backward:
            track = self._given.track(moves, np.arange(int(frames_T[0]), int(frames_T[-1]) + 1))
            pose_T12 = pose_of_track(track, np.arange(len(frames_T)))
            conditions = replace(conditions, pose_BT12=self._rows(pose_T12, extra))
        if speech is not None and self._model.transformer.config.mouth_width:
            mouth_TS = self._mouths(speech, frames_T)
            face_BT3 = self._rows(self._given.faces(speech.face, frames_T), extra)
            height, width = self._plan.latent.height, self._plan.latent.width
            conditions = replace(
                conditions, mouth_BTS=self._rows(mouth_TS, extra), face_BTHW=face_mask(face_BT3, height, width)
            )
        if directed:
            conditions = replace(conditions, control_BCTHW=self._blocking(text_BLD, len(frames_T), extra))
        return conditions

    def of_picture(self, text_BLD: Tensor, *, extra: int) -> Conditions:
        """The prompt and what is told of a picture that comes before the film; `extra` frames stand beside it."""
        control_BCTHW = self._blocking(text_BLD, 1, extra) if self._plan.directed else None
        return Conditions(text_BLD=text_BLD, control_BCTHW=control_BCTHW)

    def blocking(self, text_BLD: Tensor) -> Blocking:
        """What the director says of the film's beginning under its first prompt; it is asked once."""
        if self._directed is None:
            director = self._model.director
            assert director is not None
            blocking = director.direct(text_BLD.float().cpu(), self._plan.request.seed)
            portraits = self._given.references
            self._directed = self._as_portrayed(blocking, portraits) if portraits else blocking
        return self._directed

    def _as_portrayed(self, blocking: Blocking, portraits: Sequence[Pixels]) -> Blocking:
        """The blocking with its figures as the portraits show them, in the order of both. What is not told of them is
        for the transformer to see: everything where there is no painter, or whoever the model's reader does not find.
        """
        blocking = blocking.faceless()
        reader = self._model.reader if self._model.painter is not None else None
        if reader is None:
            return blocking
        look_P3 = blocking.look_P3.copy()
        rows = np.flatnonzero(look_P3[:, 0] == KINDS.index("figure"))
        for row, rgb_HW3 in zip(rows, portraits, strict=False):
            seen = reader.read(Clip(frames_FHWC=rgb_HW3[None], frame_rate=self._plan.frame_rate)).figures
            if seen:
                look_P3[row, 1:] = COLOURS.index(seen[0].clothes), DETAILS.index(f"{seen[0].hair} hair")
        return replace(blocking, look_P3=look_P3)

    def _blocking(self, text_BLD: Tensor, frames: int, extra: int) -> Tensor:
        """What the director says of the film's first latent frames, as control maps (1, C, T, H, W)."""
        latent = self._plan.latent
        blocking = self.blocking(text_BLD).at(np.arange(frames, dtype=np.float32))
        maps_BCTHW = maps_of(blocking, latent.height, latent.width)
        return torch.nn.functional.pad(maps_BCTHW, (0, 0, 0, 0, 0, extra)).to(self._model.device)

    def with_pictures(self, conditions: Conditions, pictures: Mapping[int, Pixels], frames: int) -> Conditions:
        """The conditions with pictures as image models take them: beside the noise of a window of `frames` latent
        frames, by their places there, and as image tokens where the model wants them.
        """
        video_BCFHW, given_F = pictures_on_grey(pictures, frames=frames, time=self._time)
        latent_BCTHW = self._drawing.encode_video(video_BCFHW.to(self._model.device))
        conditions = replace(conditions, extra_BCTHW=lay_beside(latent_BCTHW, given_F, self._time))
        if self._model.preset.first_frame == "channels+clip":
            with self._resident.use("image") as image:
                tokens_BLD = image.encode([pictures[place] for place in sorted(pictures)])
            conditions = replace(conditions, image_BLD=tokens_BLD.to(latent_BCTHW))
        return conditions

    def _mouths(self, speech: Speech, frames_T: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
        """Mouth shapes around each latent frame of a window."""
        window_F = np.arange(int(frames_T[0]) - 2 * self._time, int(frames_T[-1]) + 2 * self._time + 1)
        mouth_F4 = self._given.mouths(speech, window_F)
        return mouth_windows(mouth_F4, 2 + np.arange(len(frames_T)))

    def _rows(self, rows_TK: npt.NDArray[np.floating], extra: int) -> Tensor:
        """Numbers of each latent frame as a tensor (1, T, K); frames that stand beside have none."""
        told_TK = torch.from_numpy(np.asarray(rows_TK, dtype=np.float32)).to(self._model.device)
        return torch.nn.functional.pad(told_TK, (0, 0, 0, extra))[None]
