"""From what a client wants to an accepted task, the one way for every wire format.

Content rules, model, plan, consent, price, then the queue: each may refuse, and nothing is charged before the last.
"""

from __future__ import annotations

import hashlib
import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from kinora.core.conditions import Condition, Reference, Region, Speech
from kinora.core.errors import InputError, ShapeError
from kinora.core.plan import Plan
from kinora.core.request import ASPECTS, SEED_LIMIT, Line, Request
from kinora.core.wording import refuse_what_it_cannot
from kinora.service.accounts import Caller
from kinora.service.assets import Assets
from kinora.service.catalogue import Card, Catalogue
from kinora.service.errors import Forbidden, Invalid, Missing, Unsupported
from kinora.service.outside import check
from kinora.service.plans import PLANS
from kinora.service.prices import price
from kinora.service.settings import Settings
from kinora.service.store import Database
from kinora.service.tasks import KINDS, Submission, Task, Tasks
from kinora.service.tasks.task import IMAGES

__all__ = ["MOST_PICTURES", "Priced", "Studio", "Wanted"]

MOST_PICTURES = 9
"""Of one task."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a client asks for, in the words of no wire format."""

    kind: str
    """A value of `kinora.service.tasks.KINDS`."""
    prompt: str
    negative: str = ""
    model: str = ""
    """As asked; the catalogue knows the names of other services, too."""
    seconds: float | None = None
    """Of the new part; None for five."""
    aspect: str | None = None
    """Width to height, such as 16:9; the model's nearest is taken."""
    size: tuple[int, int] | None = None
    """Width and height; of a model that draws its own sizes alone, the one of the nearest shape is taken."""
    quality: str = "standard"
    seed: int | None = None
    """None for one by chance."""
    count: int = 1
    """Pictures."""
    conditions: tuple[Condition, ...] = ()
    """Their materials name assets of the account (`kinora.service.materials`)."""
    script: tuple[Line, ...] = ()
    marked: bool = False
    """Whether a copy with the label throughout is made as well."""
    external_id: str | None = None
    callback_url: str | None = None
    wire: Mapping[str, Any] = field(default_factory=dict)
    parent_id: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    """What the maker is told beside (the stub's faults)."""


@dataclass(frozen=True, kw_only=True)
class Priced:
    """A wish, checked: what it costs and how it would be made."""

    units: int
    card: Card
    request: Request
    plan: Plan


class PromptRules(Protocol):
    """What creating needs of moderation."""

    def check_prompt(self, text: str) -> None: ...


class Agreed(Protocol):
    """What creating needs of the consents."""

    def covers(self, account_id: int, digest: str) -> bool: ...


class Studio:
    """Where wishes become tasks."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        *,
        catalogue: Catalogue,
        tasks: Tasks,
        assets: Assets,
        moderation: PromptRules,
        consents: Agreed,
    ) -> None:
        self._database = database
        self._settings = settings
        self._catalogue = catalogue
        self._tasks = tasks
        self._assets = assets
        self._moderation = moderation
        self._consents = consents

    def price(self, caller: Caller, wanted: Wanted) -> Priced:
        """What a wish costs. Raises `Refused`, `Invalid`, `Unsupported` or `Missing`."""
        if wanted.kind not in KINDS:
            raise Invalid(f"There is no kind of task {wanted.kind!r}; choose one of {', '.join(KINDS)}.", field="kind")
        pictures = wanted.kind in IMAGES
        if not 1 <= wanted.count <= (MOST_PICTURES if pictures else 1):
            most = f"1 to {MOST_PICTURES} pictures" if pictures else "one film"
            raise Invalid(f"A task makes {most}, not {wanted.count}.", field="count")
        # What is not to be shown may be named: "nudity, blood" is an ordinary negative prompt.
        for text in (wanted.prompt, *(line.prompt for line in wanted.script)):
            self._moderation.check_prompt(text)
        card = self._catalogue.resolve(wanted.model)
        request = _request(wanted, card)
        try:
            refuse_what_it_cannot(request, card.name, card.obeys, frozenset(card.needs))
        except InputError as error:
            raise Unsupported(str(error)) from error
        try:
            plan = self._catalogue.plan(request, card, images=wanted.count if pictures else 0)
        except InputError as error:
            raise Invalid(str(error)) from error
        units = price(wanted.kind, card, plan, request.quality, wanted.count)
        return Priced(units=units, card=card, request=request, plan=plan)

    def create(self, caller: Caller, wanted: Wanted, *, key: str | None = None, asked: bytes = b"") -> Task:
        """Accept a wish. With the same `key` (Idempotency-Key) and the same `asked` (what was sent) the same task comes
        back as it was when it was accepted.

        Raises what `price` raises, `Forbidden` without a needed consent, and `TooManyTasks`, `OutOfUnits`, `Clash`.
        """
        known = self._tasks.known(caller.account.id, key, _digest(asked)) if key is not None else None
        if known is not None:
            return known
        priced = self.price(caller, wanted)
        self._check_consent(caller.account.id, wanted.conditions)
        if wanted.callback_url is not None:
            check(wanted.callback_url, settings=self._settings, field="callback_url")
        plan = PLANS[caller.account.plan]
        count = wanted.count if wanted.kind in IMAGES else 1
        return self._tasks.submit(
            Submission(
                account=caller.account,
                kind=wanted.kind,
                model=priced.card.name,
                request=priced.request.to_record(),
                options=self._options(caller, wanted),
                wire=wanted.wire,
                external_id=wanted.external_id,
                callback_url=wanted.callback_url,
                parent_id=wanted.parent_id,
                units=priced.units,
                count=count,
                expected=priced.plan.seconds_expected * count,
                most_slots=plan.image_slots if wanted.kind in IMAGES else plan.video_slots,
                weight=plan.weight,
                key=key,
                asked=_digest(asked),
            )
        )

    def _options(self, caller: Caller, wanted: Wanted) -> dict[str, Any]:
        """What the maker is told beside the request."""
        return {
            "count": wanted.count,
            "label": self._settings.labels(caller.account.plan),
            "marked": wanted.marked,
            "language": caller.account.language,
            **({"maker": dict(wanted.options)} if wanted.options else {}),
        }

    def _check_consent(self, account_id: int, conditions: Sequence[Condition]) -> None:
        """Raise `Forbidden` unless whoever the conditions show has agreed, or was made by Kinora."""
        for digest in _likenesses(conditions):
            try:
                ours = self._assets.get(account_id, digest).ours
            except Missing as error:
                raise Invalid(f"There is no asset {digest} in this account; upload it first.") from error
            if not ours and not self._consents.covers(account_id, digest):
                raise Forbidden(
                    f"The asset {digest} may show a real person, and no consent is recorded for it. Record who agreed "
                    "with POST /api/consents, then send the request again."
                )


def _request(wanted: Wanted, card: Card) -> Request:
    """The wish in the pipeline's words, at a size that the model draws. Raises `Invalid`."""
    seconds = _seconds(wanted)
    seed = secrets.randbelow(SEED_LIMIT) if wanted.seed is None else wanted.seed
    aspect, size = _shape(wanted, card)
    try:
        request = Request(
            prompt=wanted.prompt, negative=wanted.negative, seconds=seconds, aspect=aspect, quality=wanted.quality,
            seed=seed, conditions=wanted.conditions, script=wanted.script,
        )  # fmt: skip
        return request if size is None else replace(request, size=size)
    except ShapeError as error:
        raise Invalid(str(error), field="seconds") from error
    except InputError as error:
        raise Invalid(str(error)) from error


def _seconds(wanted: Wanted) -> float:
    """As asked, else as long as the film that is worked on, else five."""
    if wanted.kind in IMAGES:
        return 1.0
    if wanted.seconds is not None:
        return wanted.seconds
    worked_on = [each.footage for each in wanted.conditions if isinstance(each, Region | Speech)]
    lengths = [footage.clip.seconds for footage in worked_on if footage is not None]
    return lengths[0] if lengths else 5.0


def _shape(wanted: Wanted, card: Card) -> tuple[str, tuple[int, int] | None]:
    """The nearest aspect that the model draws, and the size itself where it draws any."""
    if wanted.size is not None:
        width, height = wanted.size
        if width < 1 or height < 1:
            raise Invalid(f"A size is two whole numbers above 0, not {width}x{height}.", field="size")
        return _nearest(width / height, card), wanted.size if card.facts.most_pixels else None
    if wanted.aspect is None:
        return ("1:1" if "1:1" in card.sizes else next(iter(card.sizes))), None
    width_text, _, height_text = wanted.aspect.partition(":")
    if not (width_text.isdecimal() and height_text.isdecimal() and int(width_text) and int(height_text)):
        raise Invalid(f"An aspect is width:height, such as 16:9, not {wanted.aspect!r}.", field="aspect")
    return _nearest(int(width_text) / int(height_text), card), None


def _nearest(ratio: float, card: Card) -> str:
    drawn = [aspect for aspect in ASPECTS if aspect in card.sizes]

    def away(aspect: str) -> float:
        width, height = card.sizes[aspect]
        return abs(math.log(ratio * height / width))

    return min(drawn, key=away)


def _likenesses(conditions: Sequence[Condition]) -> list[str]:
    """Digests of what may show a person who must agree: references, and a film whose face is made to speak."""
    found = [condition.still.digest for condition in conditions if isinstance(condition, Reference)]
    speaking = [condition for condition in conditions if isinstance(condition, Speech)]
    return [*found, *(each.footage.digest for each in speaking if each.footage is not None)]


def _digest(asked: bytes) -> str:
    return hashlib.sha256(asked).hexdigest()
