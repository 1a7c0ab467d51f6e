"""The models that a service offers, from their manifests alone: what each makes, obeys and costs. Knows no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from kinora.core.errors import WeightsError
from kinora.core.plan import Plan
from kinora.core.request import ASPECTS, QUALITIES, SECONDS_RANGE, Request
from kinora.core.shapes import Compression
from kinora.core.wording import OBEYED
from kinora.pipeline.facts import facts_of
from kinora.pipeline.planning import ModelFacts, plan_film, plan_image
from kinora.presets import Preset, Sampling, find_model, preset_for
from kinora.service.errors import Missing
from kinora.weights.manifest import read_manifest, weights_hash

__all__ = ["STUB", "VENDOR_WORDS", "Card", "Catalogue"]

VENDOR_WORDS = ("kling", "kolors", "sora", "gpt-image", "dall-e", "veo", "wan")
"""How the names of models begin that clients ask for because they know no others; the default model stands in."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a service knows and says of a model."""

    name: str
    title: str
    version: str
    """Hash of its weights."""
    sizes: Mapping[str, tuple[int, int]]
    """Width and height by aspect."""
    frame_rate: float
    qualities: tuple[str, ...]
    obeys: tuple[str, ...]
    """Conditions that it follows, in the words of `kinora.core.wording.OBEYED`."""
    needs: tuple[str, ...]
    """Conditions that it cannot do without."""
    window_seconds: float
    """The longest film in one piece."""
    most_seconds: float
    """The longest film; the same where it cannot go on from one."""
    facts: ModelFacts
    preset: Preset


class Catalogue:
    """The models served. Nothing but their manifests is read, once."""

    def __init__(self, names: Iterable[str], device: str = "cpu") -> None:
        """`device` is where the workers run them, for what plans expect.

        Raises `WeightsError` when one is not there, or when no model is named.
        """
        self._cards = MappingProxyType({name: _card(name, device or "cpu") for name in dict.fromkeys(names)})
        if not self._cards:
            raise WeightsError("A service needs a model to serve; name one, such as tiny.")

    @property
    def cards(self) -> tuple[Card, ...]:
        """The default first."""
        return tuple(self._cards.values())

    @property
    def default(self) -> Card:
        return self.cards[0]

    def card(self, name: str) -> Card:
        """The model of exactly that name; raises `Missing` when it is not served."""
        if name not in self._cards:
            raise Missing(f"There is no model {name!r} here; this service has {', '.join(self._cards)}.")
        return self._cards[name]

    def resolve(self, asked: str) -> Card:
        """The model for what a client asks: one that is served; else, for a name of the vendors whose clients people
        use, or none, the default. Raises `Missing` naming the served ones.
        """
        asked = asked.strip()
        if asked not in self._cards and (not asked or asked.lower().startswith(VENDOR_WORDS)):
            return self.default
        return self.card(asked)

    def plan(self, request: Request, card: Card, *, images: int = 0) -> Plan:
        """What a film takes, or each of `images` pictures. Raises `InputError` for what the model cannot do."""
        if images:
            return plan_image(request, card.facts, card.preset)
        return plan_film(request, card.facts, card.preset)


def _card(name: str, device: str) -> Card:
    if name == STUB.name:
        return STUB
    manifest = read_manifest(find_model(name))
    preset = preset_for(manifest.preset if manifest.family else manifest.name, manifest.sampling)
    return _told(name, manifest.name, weights_hash(manifest), facts_of(manifest, device), preset)


def _told(name: str, title: str, version: str, facts: ModelFacts, preset: Preset) -> Card:
    window = (1 + facts.compression.time * (preset.window - 1)) / facts.frame_rate
    return Card(
        name=name,
        title=title,
        version=version,
        sizes={aspect: facts.sizes[aspect] for aspect in ASPECTS if aspect in facts.sizes},
        frame_rate=facts.frame_rate,
        qualities=tuple(quality for quality in QUALITIES if quality in preset.sampling),
        obeys=tuple(sorted(preset.obeys)),
        needs=tuple(sorted(preset.needs)),
        window_seconds=window,
        most_seconds=SECONDS_RANGE[1] if "continuation" in preset.obeys else window,
        facts=facts,
        preset=preset,
    )


def _stub() -> Card:
    """The card of `kinora.worker.stub`: any length in one piece, a frame a second, so that films cost milliseconds."""
    name = "stub"
    facts = ModelFacts(
        name=name,
        sizes={"1:1": (64, 64), "16:9": (96, 64), "9:16": (64, 96)},
        frame_rate=1.0,
        compression=Compression(time=1, space=16),
        patch=1,
        width=1,
        layers=1,
        ffn_width=1,
    )
    preset = Preset(
        name=name,
        sampling={
            quality: Sampling(steps=steps, guidance=2.0)
            for quality, steps in (("draft", 4), ("standard", 8), ("pro", 16))
        },
        window=int(SECONDS_RANGE[1]) + 2,
        history=1,
        history_cap=0.0,
        obeys=frozenset(OBEYED.values()),
    )
    return _told(name, "Stub", "stub", facts, preset)


STUB = _stub()
"""The model that is none: served where it is named, for tests and trials."""
