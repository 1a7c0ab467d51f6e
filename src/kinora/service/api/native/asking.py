"""From a wish in the native format to one in the service's words: assets found, conditions made of them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kinora.core.camera import CameraKey, CameraMove
from kinora.core.conditions import Brush, Condition, Continue, Face, Keyframe, Moves, Reference, Region, Speech, Stroke
from kinora.core.materials import Footage, Mask, Still, Voice
from kinora.core.parsing import read_voice
from kinora.core.request import Line
from kinora.service.accounts import Caller
from kinora.service.api.native import wishes
from kinora.service.assets import Asset
from kinora.service.creating import Wanted
from kinora.service.errors import Invalid, Missing
from kinora.service.materials import footage_of, mask_of, still_of
from kinora.service.service import Service
from kinora.service.tasks import Output

__all__ = ["keep_consents", "wanted_of"]

TRACK_TYPE = "application/json"


class _Asking:
    """One wish of one account, for its price alone or to be made."""

    def __init__(self, service: Service, caller: Caller, *, keep: bool, frame_rate: float) -> None:
        """`keep`: whether a speech track is stored, a price needs only its name; `frame_rate` is the model's."""
        self._frame_rate = frame_rate
        self._service = service
        self._account = caller.account.id
        self._keep = keep
        self.parent: Output | None = None
        self._prompts: tuple[str, ...] = ("",)

    def conditions(self, wish: wishes.Wish) -> Iterator[Condition]:
        """What is known or wanted beyond the prompt. Raises `Invalid` naming the field."""
        for name, digest, at in (("image", wish.image, 0.0), ("end_image", wish.end_image, None)):
            if digest is not None:
                yield Keyframe(still=self._still(digest, name), at=at, fit=wish.fit)
        for index, key in enumerate(wish.keyframes):
            yield Keyframe(still=self._still(key.asset, f"keyframes[{index}].asset"), at=key.at, fit=key.fit)
        if wish.camera is not None:
            yield Moves(move=_move(wish.camera))
        if wish.brush is not None:
            yield self._brush(wish.brush)
        for index, told in enumerate(wish.references):
            yield self._reference(told, f"references[{index}]")
        if wish.extend is not None:
            footage = self._footage(wish.extend.film, "extend.film")
            before = wish.extend.before
            yield Continue(footage=footage, before=before, told=self._prompts[0 if before else -1])
        if wish.edit is not None:
            footage = self._footage(wish.edit.film, "edit.film")
            yield Region(footage=footage, mask=self._mask(wish.edit.mask, "edit.mask"))
        if wish.speak is not None:
            yield self._speech(wish.speak)

    def _brush(self, brush: wishes.Brush) -> Brush:
        strokes = tuple(
            Stroke(mask=self._mask(stroke.mask, f"brush.strokes[{index}].mask"), points=tuple(stroke.points))
            for index, stroke in enumerate(brush.strokes)
        )
        static = None if brush.static is None else self._mask(brush.static, "brush.static")
        return Brush(strokes=strokes, static=static)

    def _reference(self, told: wishes.Reference, field: str) -> Reference:
        digest, where = told.asset, f"{field}.asset"
        if told.element is not None:
            where = f"{field}.element"
            try:
                digest = self._service.elements.get(self._account, int(told.element)).frontal
            except Missing as error:
                raise Invalid(error.message, field=where) from error
        if digest is None:
            raise Invalid("This element is made of a film; a reference needs one of pictures.", field=where)
        agreed = told.consent is not None or self._service.consents.covers(self._account, digest)
        return Reference(still=self._still(digest, where), name=told.name, consent=agreed)

    def _speech(self, speak: wishes.Speak) -> Speech:
        face = Face(track=tuple((place.seconds, place.x, place.y, place.radius) for place in speak.face))
        footage = None if speak.film is None else self._footage(speak.film, "speak.film")
        return Speech(voice=self._voice(speak.track), face=face, footage=footage)

    def _voice(self, track: wishes.Track) -> Voice:
        """The track, under the digest of the file that the worker will read it from."""
        voice = read_voice(track.model_dump(mode="json"))
        if not self._keep:
            return voice
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "speech.json"
            file.write_text(track.model_dump_json(), encoding="utf-8")
            asset = self._service.assets.store(
                self._account, file, TRACK_TYPE, origin="upload", name="speech.json", ours=False
            )
        return Voice(name=asset.name, digest=asset.digest, track=voice.track)

    def _still(self, digest: str, field: str) -> Still:
        return still_of(self._asset(digest, "image", field))

    def _mask(self, digest: str, field: str) -> Mask:
        """With its pixels: an empty mask, or one that overlaps another, is refused at once."""
        return mask_of(self._service.assets, self._asset(digest, "image", field), field)

    def _footage(self, film: wishes.Film, field: str) -> Footage:
        """The film, and where it is an output what it was made from."""
        digest = film.asset
        if film.output is not None:
            try:
                self.parent = self._service.tasks.output(self._account, int(film.output))
            except Missing as error:
                raise Invalid(error.message, field=f"{field}.output") from error
            request = self._service.tasks.get(self._account, self.parent.task_id).request
            self._prompts = (request["prompt"], *(line["prompt"] for line in request.get("script", ())))
            digest = self.parent.digest
        assert digest is not None
        return footage_of(self._asset(digest, "video", field), self._frame_rate)

    def _asset(self, digest: str, kind: str, field: str) -> Asset:
        try:
            asset = self._service.assets.get(self._account, digest)
        except Missing as error:
            raise Invalid(f"There is no asset {digest} in this account; upload the file first.", field=field) from error
        if asset.kind != kind:
            raise Invalid(f"The asset {digest} is of the kind {asset.kind}; here goes one of {kind}.", field=field)
        return asset


def wanted_of(service: Service, caller: Caller, wish: wishes.Wish, *, base: str = "", keep: bool = True) -> Wanted:
    """The wish for the studio. `base` is where the client reaches us, `keep` False asks for a price alone.

    Raises `Invalid` where an asset is missing or of the wrong kind, `InputError` for conditions that cannot be.
    """
    asking = _Asking(service, caller, keep=keep, frame_rate=service.catalogue.resolve(wish.model).frame_rate)
    conditions = tuple(asking.conditions(wish))
    return Wanted(
        kind=wish.kind,
        prompt=wish.prompt,
        negative=wish.negative,
        model=wish.model,
        seconds=wish.seconds,
        aspect=wish.aspect,
        size=wish.size,
        quality=wish.quality,
        seed=wish.seed,
        count=wish.count,
        conditions=conditions,
        script=tuple(Line(at=line.at, prompt=line.prompt) for line in wish.script),
        marked=wish.marked,
        external_id=wish.external_id,
        callback_url=wish.callback_url,
        wire={"family": "native", "base": base},
        parent_id=None if asking.parent is None else asking.parent.id,
    )


def keep_consents(service: Service, caller: Caller, wish: wishes.Wish, wanted: Wanted) -> None:
    """Record the consents that come with a wish; one that is recorded already is not doubled."""
    shown = [one.still.digest for one in wanted.conditions if isinstance(one, Reference)]
    given = list(zip(shown, [told.consent for told in wish.references], strict=True))
    speaking = [one.footage.digest for one in wanted.conditions if isinstance(one, Speech) and one.footage is not None]
    given += [(digest, wish.speak.consent) for digest in speaking if wish.speak is not None]
    for digest, consent in given:
        if consent is not None and not service.consents.covers(caller.account.id, digest):
            service.consents.give(caller.account.id, digest, consent.person, consent.statement)


def _move(camera: wishes.Camera) -> CameraMove:
    told: dict[str, Any] = camera.model_dump(exclude={"path"})
    return CameraMove(**told, path=tuple(CameraKey(**key.model_dump()) for key in camera.path))
