"""What conditions come to on one film: pictures in its size, guides and numbers for the frames of each segment.

A segment's *base* is the picture its new frames go on from: a film's own first frame, or the last frame before the
segment. Guides cover the base and the new frames, 1 + time * n of them, so that the codec can encode them as a clip.
Axes: F pixel frames, T latent frames, H W pixels, K keys of a track.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from kinora.control.drag import DrawnBrush, brush_guide
from kinora.control.guide import Guide
from kinora.control.mouth import mouth_guide
from kinora.control.warp import camera_guide
from kinora.core.camera import CameraTrack, camera_track
from kinora.core.conditions import Brush, Continue, Face, Keyframe, Moves, Reference, Region, Speech
from kinora.core.plan import Plan, Segment
from kinora.core.poses import relative_poses
from kinora.core.timing import keyframe_places
from kinora.core.wording import condition_of, footage_of
from kinora.media.fit import fit_frames, fit_mask, fit_places

__all__ = ["Given", "Span"]

Array = npt.NDArray[np.float64]
Frames = npt.NDArray[np.uint8]
"""Pictures in a row, (F, H, W, 3)."""
Pixels = npt.NDArray[np.uint8]
"""One picture, (H, W, 3)."""

MAY_MOVE = 0.4
"""Highest noise level of what a moving camera sees: it lies where the camera puts it, and may still move there."""
LET_GO = 1.0
"""Seconds over which a held picture is let go: what the model makes differs from it, and at once it would jump."""
FACE_HELD = 0.6
"""Highest noise level around a face that is to speak in a new film: it may move and change, but stays where it is."""
FACE_REACH = 1.4
"""How far that reaches, in radii of the face."""
FEATHER = 4
"""Pixels over which what was made anew fades into footage that stays."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """Pixel frames of the film's new part that a segment's guide covers: the base and what is new."""

    base: int
    """Index of the base; -1 where the new part goes on from footage."""
    frames: int

    @classmethod
    def of(cls, segment: Segment, plan: Plan, time: int) -> Span:
        """The span of one of a plan's segments, on a grid of `time` pixel frames a latent frame."""
        if segment.alone:
            return cls(base=0, frames=1 + time * (segment.new - 1))
        # A film's own first latent frame holds one pixel frame; footage has given that one.
        base = time * (segment.first - 1) if plan.segments[0].alone else time * segment.first - 1
        return cls(base=base, frames=1 + time * segment.new)


class Given:
    """A plan's conditions in its film's size."""

    def __init__(self, plan: Plan, time: int, *, hold: float = 1.0) -> None:
        self._plan = plan
        self._time = time
        self._hold = hold
        self._request = plan.request
        self._size = plan.pixels.height, plan.pixels.width

    def fitted(self, frames_FHW3: Frames, how: str = "crop") -> Frames:
        """Pictures in the film's size."""
        return fit_frames(frames_FHW3, *self._size, how)

    @cached_property
    def pictures(self) -> dict[int, Pixels]:
        """Pictures (H, W, 3) the film passes through, by latent frame."""
        places = keyframe_places(
            self._request,
            latent_frames=self._plan.latent.frames,
            rate=self._plan.frame_rate,
            time=self._time,
            alone=self._plan.segments[0].alone,
        )
        return {index: self.fitted(one.still.rgb_HW3[None], one.fit)[0] for index, one in places.items()}

    @cached_property
    def references(self) -> list[Pixels]:
        """Pictures (H, W, 3) of who or what is to appear."""
        stills = [c.still for c in self._request.conditions if isinstance(c, Reference)]
        return [self.fitted(still.rgb_HW3[None], "pad")[0] for still in stills]

    @cached_property
    def footage(self) -> Frames | None:
        """Existing frames (F, H, W, 3) that the film goes on from or works over."""
        footage = footage_of(self._request)
        if footage is None:
            return None
        frames_FHW3 = footage.clip.frames_FHWC
        # A mask of the film's size over footage of another: the footage is laid whole into a new shape.
        region = condition_of(self._request, Region)
        whole = region is not None and region.mask.inside_HW.shape != frames_FHW3.shape[1:3]
        onward = condition_of(self._request, Continue)
        if onward is not None:
            # Only what borders on the new part is looked at: an hour of footage takes no more memory than a minute.
            near = 1 + self._time * max(segment.known for segment in self._plan.segments)
            frames_FHW3 = frames_FHW3[:near] if onward.before else frames_FHW3[-near:]
        return self.fitted(frames_FHW3, "pad" if whole else "crop")

    @cached_property
    def region(self) -> npt.NDArray[np.bool_] | None:
        """Pixels (H, W) that are made anew."""
        region = condition_of(self._request, Region)
        return None if region is None else fit_mask(region.mask.inside_HW, *self._size, "crop")

    @property
    def reworks(self) -> bool:
        """Whether footage is worked over, frame by frame."""
        return self.footage is not None and condition_of(self._request, Continue) is None

    def original(self, span: Span) -> Frames:
        """Frames of the footage that a span covers; the last is held where the footage has ended."""
        assert self.footage is not None
        indices = np.clip(np.arange(span.base, span.base + span.frames), 0, len(self.footage) - 1)
        return self.footage[indices]

    def changes(self, index: int) -> bool:
        """Whether a segment begins to show something else than what it goes on from."""
        if index > 0:
            return self._plan.segments[index].prompt != self._plan.segments[index - 1].prompt
        onward = condition_of(self._request, Continue)
        return onward is not None and onward.told not in ("", self._request.prompt)

    def guide(self, span: Span, base_HW3: Pixels | None, *, changes: bool = False) -> Guide | None:
        """What is roughly known of the frames of a span; None where nothing is drawn. Where the film `changes`, frames
        are not held to the picture they go on from.
        """
        speech = condition_of(self._request, Speech)
        if speech is not None and speech.footage is not None:
            original_FHW3 = self.original(span)
            known_FHW = np.zeros(original_FHW3.shape[:3], dtype=np.float32)
            return self._with_mouth(speech, span, Guide(frames_FHW3=original_FHW3, cap_FHW=known_FHW))
        moves, brush = condition_of(self._request, Moves), condition_of(self._request, Brush)
        hold = 1.0 if changes else self._hold
        if base_HW3 is None or not (moves or brush or speech or hold < 1.0):
            return None
        guide = self._held(base_HW3, span, MAY_MOVE if moves else hold)
        if brush is not None:
            guide = brush_guide(base_HW3, self._drawn(brush), span.frames)
        if moves is not None:
            guide = camera_guide(guide, self._seen_from_base(moves, span))
        return guide if speech is None else self._with_mouth(speech, span, guide)

    def _held(self, base_HW3: Pixels, span: Span, cap: float) -> Guide:
        """The base, dissolving into the pictures that come after it, with a level up to which it may change."""
        guide = Guide.still(base_HW3, frames=span.frames, cap=cap)
        moments = {span.base: base_HW3}
        for index, rgb_HW3 in self.pictures.items():
            moments[self.frame_of(index)] = rgb_HW3
        places = sorted(at for at in moments if span.base <= at < span.base + span.frames)
        for start, end in pairwise(places):
            first_HW3, last_HW3 = moments[start].astype(np.float32), moments[end].astype(np.float32)
            for at in range(start, end + 1):
                share = (at - start) / (end - start)
                guide.frames_FHW3[at - span.base] = np.rint(first_HW3 + share * (last_HW3 - first_HW3))
        guide.frames_FHW3[places[-1] - span.base :] = moments[places[-1]]
        frame_F = span.base + np.arange(span.frames)
        away_F = np.abs(frame_F[:, None] - np.array(places)).min(axis=1) / self._plan.frame_rate
        share_F11 = np.minimum(away_F / LET_GO, 1.0).astype(np.float32)[:, None, None]
        return Guide(frames_FHW3=guide.frames_FHW3, cap_FHW=guide.cap_FHW * share_F11)

    def frame_of(self, index: int) -> int:
        """The last pixel frame that a latent frame of the new part stands for."""
        return self._time * index if self._plan.segments[0].alone else self._time * (index + 1) - 1

    def _drawn(self, brush: Brush) -> DrawnBrush:
        """A brush in the film's pixels."""
        height, width = self._size
        keyframe = next(c for c in self._request.conditions if isinstance(c, Keyframe) and c.at == 0.0)
        how, shape = keyframe.fit, keyframe.still.rgb_HW3.shape[:2]
        strokes = []
        for stroke in brush.strokes:
            path_P2 = np.array(fit_places(stroke.points, (shape[0], shape[1]), (height, width), how)) * (width, height)
            strokes.append((fit_mask(stroke.mask.inside_HW, height, width, how), path_P2))
        static = None if brush.static is None else fit_mask(brush.static.inside_HW, height, width, how)
        return DrawnBrush(strokes=tuple(strokes), static_HW=static)

    def _seen_from_base(self, moves: Moves, span: Span) -> CameraTrack:
        """The camera's track over a span, told from where it is at the base."""
        track = self.track(moves, span.base + np.arange(span.frames))
        return CameraTrack(pose_F34=relative_poses(track.pose_F34), zoom_F=track.zoom_F / track.zoom_F[0])

    def track(self, moves: Moves, frames_F: npt.NDArray[np.integer]) -> CameraTrack:
        """Where the camera is at some pixel frames."""
        return camera_track(moves.move, self._seconds(frames_F))

    def _with_mouth(self, speech: Speech, span: Span, guide: Guide) -> Guide:
        """The guide with a mouth drawn into the face, which is held where it is."""
        frames = span.base + np.arange(span.frames)
        face_F3 = self.faces(speech.face, frames)
        drawn = mouth_guide(guide.frames_FHW3, self.mouths(speech, frames), face_F3)
        mouth_FHW = drawn.cap_FHW > 0
        if speech.footage is not None:
            return drawn
        cap_FHW = np.where(self._near_face(face_F3), np.minimum(guide.cap_FHW, FACE_HELD), guide.cap_FHW)
        cap_FHW = np.where(mouth_FHW, np.minimum(cap_FHW, drawn.cap_FHW), cap_FHW)
        return Guide(frames_FHW3=drawn.frames_FHW3, cap_FHW=cap_FHW.astype(np.float32))

    def _near_face(self, face_F3: Array) -> npt.NDArray[np.bool_]:
        height, width = self._size
        y_HW, x_HW = np.mgrid[:height, :width] + 0.5
        x_F, y_F, radius_F = (face_F3[:, axis, None, None] for axis in range(3))
        distance_FHW = np.hypot(x_HW - x_F * width, y_HW - y_F * height)
        near_FHW: npt.NDArray[np.bool_] = distance_FHW <= FACE_REACH * radius_F * min(height, width)
        return near_FHW

    def faces(self, face: Face, frames_F: npt.NDArray[np.integer]) -> Array:
        """Where a face is (F, 3) at some pixel frames, x and y in shares of width and height, the radius in shares of
        the shorter side.
        """
        key_K4 = np.array(face.track)
        seconds_F = self._seconds(frames_F)
        return np.stack([np.interp(seconds_F, key_K4[:, 0], key_K4[:, axis]) for axis in (1, 2, 3)], axis=1)

    def mouths(self, speech: Speech, frames_F: npt.NDArray[np.integer]) -> Array:
        """Mouth shapes (F, 4) at some pixel frames; closed after the track's end."""
        track = speech.voice.track
        at_F = np.round(self._seconds(frames_F) * track.frame_rate).astype(int)
        mouth_F4 = track.mouth_F4[np.clip(at_F, 0, len(track.mouth_F4) - 1)]
        return np.where((at_F < len(track.mouth_F4))[:, None], mouth_F4, 0.0)

    def _seconds(self, frames_F: npt.NDArray[np.integer]) -> Array:
        """When pixel frames of the new part are shown; what lies before it counts as its beginning."""
        seconds_F: Array = np.maximum(frames_F, 0) / self._plan.frame_rate
        return seconds_F
