"""What a client may wish for: the body of `POST /api/tasks` and `POST /api/price`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from kinora.core.camera import FARTHEST, LIMIT
from kinora.core.composition import MOST_KEYFRAMES, MOST_REFERENCES
from kinora.core.conditions import MOST_STROKES, STROKE_POINTS
from kinora.core.request import PROMPT_LIMIT, SECONDS_RANGE, SEED_LIMIT
from kinora.service.api.native.shapes import Digest, Id, Shape, Url

__all__ = [
    "Brush", "Camera", "CameraKey", "Edit", "Extend", "FacePlace", "Keyframe", "Reference", "ScriptLine", "Speak",
    "Stroke", "Track", "Wish",
]  # fmt: skip

Kind = Literal["text_to_video", "image_to_video", "extend", "edit", "speak", "text_to_image"]
Fit = Literal["crop", "pad"]
Prompt = Annotated[str, StringConstraints(max_length=PROMPT_LIMIT)]
Amount = Annotated[float, Field(ge=-LIMIT, le=LIMIT)]
ClientId = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
Share = Annotated[float, Field(ge=0, le=1)]
Moment = Annotated[float, Field(ge=0, le=SECONDS_RANGE[1])]
MOST_LINES = 200
MOST_KEYS = 1000
MOST_SHAPES = 240 * 600


class Keyframe(Shape):
    """A picture that the film passes through."""

    asset: Digest = Field(description="The picture.")
    at: Moment | None = Field(default=0.0, description="Seconds from the film's start; null for its last frame.")
    fit: Fit = Field(default="crop", description="How it fills a film of another shape: cut edges off, or lay out.")


class CameraKey(Shape):
    """The camera at one moment of a path; between keys every number changes evenly."""

    seconds: Moment = Field(description="When; the first key is at 0.")
    x: float = Field(default=0, ge=-FARTHEST["x"], le=FARTHEST["x"], description="To the right, in distances.")
    y: float = Field(default=0, ge=-FARTHEST["y"], le=FARTHEST["y"], description="Down, in distances.")
    z: float = Field(default=0, ge=-FARTHEST["z"], le=FARTHEST["z"], description="Forward, in distances.")
    pan: float = Field(default=0, ge=-FARTHEST["pan"], le=FARTHEST["pan"], description="Turned right, degrees.")
    tilt: float = Field(default=0, ge=-FARTHEST["tilt"], le=FARTHEST["tilt"], description="Turned up, degrees.")
    roll: float = Field(default=0, ge=-FARTHEST["roll"], le=FARTHEST["roll"], description="Turned clockwise, degrees.")
    orbit: float = Field(default=0, ge=-FARTHEST["orbit"], le=FARTHEST["orbit"], description="Gone round, degrees.")
    zoom: float = Field(default=0, ge=-FARTHEST["zoom"], le=FARTHEST["zoom"], description="Logarithm of the nearing.")


class Camera(Shape):
    """A camera move: steady amounts, of which 10 is fast, or a path; all zero is a camera that stands still."""

    horizontal: Amount = Field(default=0, description="Left (-) and right (+).")
    vertical: Amount = Field(default=0, description="Down (-) and up (+).")
    pan: Amount = Field(default=0, description="Turning left (-) and right (+).")
    tilt: Amount = Field(default=0, description="Turning down (-) and up (+).")
    roll: Amount = Field(default=0, description="Turning counter-clockwise (-) and clockwise (+).")
    zoom: Amount = Field(default=0, description="To a longer (-) and a shorter (+) focal length.")
    orbit: Amount = Field(default=0, description="Round the subject to the left (-) and to the right (+).")
    forward: Amount = Field(default=0, description="Backward (-) and forward (+).")
    path: list[CameraKey] = Field(default=[], max_length=MOST_KEYS, description="A free path instead of amounts.")


class Stroke(Shape):
    """A painted area and the way it goes."""

    mask: Digest = Field(description="A picture of the first frame's size: what is white moves.")
    points: list[tuple[Share, Share]] = Field(
        min_length=STROKE_POINTS[0],
        max_length=STROKE_POINTS[1],
        description="Its way as [x, y] in shares of width and height from the top left corner, evenly spaced in time.",
    )


class Brush(Shape):
    """Motion painted on the first picture."""

    strokes: list[Stroke] = Field(default=[], max_length=MOST_STROKES, description="What moves, and where to.")
    static: Digest | None = Field(default=None, description="A picture of the same size: what is white stays.")


class Consent(Shape):
    """The statement that a person shown agreed to it; it is kept."""

    person: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")] = Field(
        description="Who agreed."
    )
    statement: Annotated[str, StringConstraints(min_length=1, max_length=PROMPT_LIMIT, pattern=r"^[^\x00]+$")] = Field(
        description="What the person agreed to, in the account holder's words."
    )


class Reference(Shape):
    """Someone or something to appear in the film."""

    asset: Digest | None = Field(default=None, description="The picture; leave it out with `element`.")
    element: Id | None = Field(default=None, description="An element of the account; leave it out with `asset`.")
    name: Annotated[str, StringConstraints(max_length=100)] = Field(
        default="", description="How the prompt calls it, @name; empty where it need not be named."
    )
    consent: Consent | None = Field(
        default=None, description="For a real person's likeness that no consent is recorded of yet: who agreed to what."
    )

    @model_validator(mode="after")
    def _one(self) -> Reference:
        if (self.asset is None) == (self.element is None):
            raise ValueError("a reference is either an asset or an element; give one of them")
        return self


class Film(Shape):
    """An existing film: an uploaded asset, or an output of an earlier task."""

    asset: Digest | None = Field(default=None, description="The film's asset; leave it out with `output`.")
    output: Id | None = Field(default=None, description="An output of an earlier task; leave it out with `asset`.")

    @model_validator(mode="after")
    def _one(self) -> Film:
        if (self.asset is None) == (self.output is None):
            raise ValueError("a film is told either by its asset or by an output; give one of them")
        return self


class Extend(Shape):
    """A film to go on from."""

    film: Film = Field(description="The film.")
    before: bool = Field(default=False, description="Whether the new part comes before it instead of after.")


class Edit(Shape):
    """A film of which a part is made anew."""

    film: Film = Field(description="The film.")
    mask: Digest = Field(description="A picture of the film's size: what is white is made anew.")


class FacePlace(Shape):
    """Where a face is at one moment."""

    seconds: Moment = Field(default=0, description="When; between moments the face moves evenly.")
    x: Share = Field(description="Share of the width from the left.")
    y: Share = Field(description="Share of the height from the top.")
    radius: float = Field(gt=0, le=1, description="Share of the shorter side.")


class Track(Shape):
    """A speech track: the shape of a mouth, frame by frame."""

    frame_rate: float = Field(default=16, ge=1, le=240, description="Mouth shapes a second.")
    frames: list[tuple[Share, Share, Share, Share]] = Field(
        min_length=1, max_length=MOST_SHAPES, description="Openness, width, rounding and teeth, each from 0 to 1."
    )


class Speak(Shape):
    """A face that speaks, in a new film or in an existing one."""

    track: Track = Field(description="What the mouth does.")
    face: list[FacePlace] = Field(min_length=1, max_length=MOST_KEYS, description="Where the face is.")
    film: Film | None = Field(default=None, description="The film whose mouth is changed; null for a new film.")
    consent: Consent | None = Field(
        default=None, description="For a film of a real person: who agreed to what, where that is not recorded yet."
    )


class ScriptLine(Shape):
    """From a moment on, the film shows something else."""

    at: float = Field(gt=0, le=SECONDS_RANGE[1], description="Seconds from the film's start.")
    prompt: Prompt = Field(description="What it shows from then on.")


class Wish(Shape):
    """What is to be made. A condition that the loaded model cannot follow is refused by name, never ignored."""

    kind: Kind = Field(description="What is made of what.")
    prompt: Prompt = Field(description="What the film or picture shows, Chinese or English.")
    negative: Prompt = Field(default="", description="What it should not show.")
    model: Annotated[str, StringConstraints(max_length=100)] = Field(
        default="", description="A name of `GET /api/models`; empty for the default."
    )
    seconds: float | None = Field(
        default=None, ge=SECONDS_RANGE[0], le=SECONDS_RANGE[1], description="How much is made; null for five seconds."
    )
    aspect: Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]?:[1-9][0-9]?$")] | None = Field(
        default=None, description="Width to height, such as 16:9; the model's nearest is taken."
    )
    size: tuple[Annotated[int, Field(ge=1, le=8192)], Annotated[int, Field(ge=1, le=8192)]] | None = Field(
        default=None, description="Width and height in pixels, for models that draw any; others take the nearest."
    )
    quality: Literal["draft", "standard", "pro"] = Field(default="standard", description="How many steps are taken.")
    seed: int | None = Field(
        default=None, ge=0, lt=SEED_LIMIT, description="The same seed gives the same frames; null for one by chance."
    )
    count: int = Field(default=1, ge=1, le=9, description="How many pictures are made; films are made singly.")
    image: Digest | None = Field(default=None, description="The film's first frame.")
    end_image: Digest | None = Field(default=None, description="The film's last frame.")
    fit: Fit = Field(default="crop", description="How first and last frame fill a film of another shape.")
    keyframes: list[Keyframe] = Field(default=[], max_length=MOST_KEYFRAMES, description="Pictures on the way.")
    camera: Camera | None = Field(default=None, description="How the camera moves.")
    brush: Brush | None = Field(default=None, description="Motion painted on the first frame.")
    references: list[Reference] = Field(default=[], max_length=MOST_REFERENCES, description="Who or what appears.")
    extend: Extend | None = Field(default=None, description="For the kind extend: the film to go on from.")
    edit: Edit | None = Field(default=None, description="For the kind edit: the film, and what of it is made anew.")
    speak: Speak | None = Field(default=None, description="For the kind speak: what is said, and by whom.")
    script: list[ScriptLine] = Field(
        default=[], max_length=MOST_LINES, description="Other prompts from some moments on."
    )
    marked: bool = Field(default=False, description="Whether a copy with the visible label throughout is made as well.")
    callback_url: Url | None = Field(
        default=None, description="Told of every change of state, signed with the account's webhook secret."
    )
    external_id: ClientId | None = Field(
        default=None, description="The client's own id of the task, unique in the account."
    )

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Wish:
        for kind in ("extend", "edit", "speak"):
            told = getattr(self, kind) is not None
            if told != (self.kind == kind):
                what = f"a task of the kind {kind} needs `{kind}`" if not told else f"`{kind}` is for the kind {kind}"
                raise ValueError(f"{what}; this one is of the kind {self.kind}")
        pictures = self.image is not None or self.end_image is not None or self.keyframes
        if self.kind == "image_to_video" and not pictures:
            raise ValueError("a film from pictures needs `image`, `end_image` or `keyframes`; give one of them")
        if self.kind in ("text_to_video", "text_to_image") and pictures:
            raise ValueError(f"`image`, `end_image` and `keyframes` are for films from pictures, not {self.kind}")
        return self
