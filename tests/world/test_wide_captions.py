"""What world 2.0 adds to captions: said only where true, with its words, and never what goes without saying."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import fields

import numpy as np
import pytest

from kinora.core.slots import (
    ANIMAL_SLOTS,
    BODY_SLOTS,
    CONTACTS,
    FIGURE_SLOTS,
    SCENE_SLOTS,
    TETHERED,
    UNSPOKEN,
    AnimalSlots,
    BodySlots,
    FigureSlots,
    SceneSlots,
)
from kinora.core.words import LANGUAGES, WORDS, plural, wordings
from kinora.world.captions import LENGTHS, Caption, describe_slots
from kinora.world.mix import WIDE_MIX
from kinora.world.sampler import sample_scene
from kinora.world.slots_of import scene_slots

NEW = ("weather", "waves", "rope", "shot")


def one(rng: np.random.Generator, values: tuple[str, ...]) -> str:
    return values[int(rng.integers(len(values)))]


def scene(seed: int) -> SceneSlots:
    """A scene's slots as the wide world may have them, drawn without staging anything."""
    rng = np.random.default_rng([seed, 0xCA9])
    ground = one(rng, SCENE_SLOTS["ground"])
    act = one(rng, (*CONTACTS, "swing", "orbit", "rope", "talk", "dog"))
    colours = [BODY_SLOTS["colour"][i] for i in rng.permutation(12)]
    looks = {name: one(rng, BODY_SLOTS[name]) for name in ("shape", "size", "material")}
    bodies: list[BodySlots] = []
    if act in ("carry", "push", "eat"):
        bodies = [BodySlots(colour=colours[0], **looks)]
    elif act in TETHERED:
        moves = BodySlots(colour=colours[0], action=act, direction="none", **looks)
        rests = BodySlots(colour=colours[1], action="rest", direction="none", **looks)
        bodies = [moves] if act == "swing" else [rests, moves]
    figures = [figure(rng, colours[k], act) for k in range({"talk": 3}.get(act, int(act in CONTACTS)))]
    way = one(rng, ("left", "right", "toward", "away"))
    walks = one(rng, ANIMAL_SLOTS["action"])
    dog = AnimalSlots(colour=colours[5], action=walks, direction=way if walks == "walk" else "none")
    return SceneSlots(
        bodies=tuple(bodies), figures=tuple(figures), animals=(dog,) if act in ("stroke", "dog") else (),
        ground=ground, sky=one(rng, SCENE_SLOTS["sky"]), camera="still", backdrop="none", event="none",
        weather=one(rng, SCENE_SLOTS["weather"]),
        waves=one(rng, SCENE_SLOTS["waves"]) if ground == "water" else None,
        rope=one(rng, ("hang", "swing")) if act == "rope" else "none",
        shot=one(rng, SCENE_SLOTS["shot"]) if act == "talk" else "wide",
    )  # fmt: skip


def figure(rng: np.random.Generator, colour: str, act: str) -> FigureSlots:
    contact = act in CONTACTS
    return FigureSlots(
        hair=one(rng, FIGURE_SLOTS["hair"]), clothes=colour, action=act if contact else "speak",
        direction=one(rng, ("left", "away", "toward")) if act in ("carry", "push") else "none",
        hat=one(rng, FIGURE_SLOTS["hat"]), glasses=one(rng, FIGURE_SLOTS["glasses"]),
        expression="neutral" if contact else one(rng, FIGURE_SLOTS["expression"]),
    )  # fmt: skip


Told = list[tuple[SceneSlots, Caption]]


@pytest.fixture(scope="module")
def told() -> Told:
    return [
        (truth, describe_slots(truth, language=language, seed=seed, length=length))
        for truth in map(scene, range(140))
        for language in LANGUAGES
        for length in LENGTHS
        for seed in range(3)
    ]


def claims(slots: SceneSlots) -> list[tuple[str, str, str]]:
    """Every stated slot: whose, its name, its value."""
    owners = [("", slots), *(("body.", body) for body in slots.bodies)]
    owners += [("figure.", one) for one in slots.figures] + [("animal.", one) for one in slots.animals]
    return [
        (prefix, field.name, value)
        for prefix, owner in owners
        for field in fields(owner)
        if isinstance(value := getattr(owner, field.name), str)
    ]


def spoken(text: str, wording: str, language: str) -> bool:
    if language == "zh":
        return wording in text
    return re.search(rf"(?<![a-z]){re.escape(wording)}(?![a-z])", text.lower()) is not None


def test_what_is_stated_is_true(told: Told) -> None:
    for truth, caption in told:
        stated = caption.stated
        pairs = [(stated, truth), *zip(stated.bodies, truth.bodies, strict=True)]
        pairs += [*zip(stated.figures, truth.figures, strict=True), *zip(stated.animals, truth.animals, strict=True)]
        for claim, fact in pairs:
            for field in fields(claim):
                value = getattr(claim, field.name)
                assert not isinstance(value, str) or value == getattr(fact, field.name), caption.text


def test_every_stated_slot_has_its_words_in_the_text(told: Told) -> None:
    for _, caption in told:
        for prefix, name, value in claims(caption.stated):
            found = any(
                spoken(caption.text, w, caption.language) for w in wordings(prefix + name, value, caption.language)
            )
            assert found, f"{prefix}{name}={value} is not in {caption.text!r}"


def test_what_goes_without_saying_is_never_said(told: Told) -> None:
    for _, caption in told:
        assert not UNSPOKEN & {value for _, _, value in claims(caption.stated)}


def test_nothing_new_is_said_that_is_not_stated(told: Told) -> None:
    """No word for weather, waves, hats or glasses without the slot."""
    for _, caption in told:
        stated = {(prefix + name, value) for prefix, name, value in claims(caption.stated)}
        for slot in ("weather", "waves", "figure.hat", "figure.glasses", "figure.expression"):
            for value, words in WORDS[caption.language][slot].items():
                if (slot, value) not in stated:
                    said = [word for word in words if spoken(caption.text, word, caption.language)]
                    assert not said, f"{said} in {caption.text!r}"


def test_nobody_speaks_of_a_clear_sky_in_the_rain(told: Told) -> None:
    clear = (
        "clear sky",
        "blue sky",
        "sunny",
        "stars",
        "starry",
        "moonlight",
        "晴",
        "蓝天",
        "星空",
        "月光",
        "阳光",
        "夕阳",
    )
    for truth, caption in told:
        if truth.weather != "clear":
            assert not any(word in caption.text.lower() for word in clear), caption.text


def test_everything_new_is_said_now_and_then(told: Told) -> None:
    said = Counter(
        (caption.language, prefix + name, value)
        for _, caption in told
        for prefix, name, value in claims(caption.stated)
    )
    new = [(slot, value) for slot in NEW for value in SCENE_SLOTS[slot]]
    new += [(f"figure.{slot}", value) for slot in ("hat", "glasses", "expression") for value in FIGURE_SLOTS[slot]]
    new += [("figure.action", value) for value in CONTACTS] + [("body.action", value) for value in TETHERED]
    new += [("animal.action", value) for value in ANIMAL_SLOTS["action"]]
    for language in LANGUAGES:
        for slot, value in new:
            assert (said[language, slot, value] > 0) == (value not in UNSPOKEN), (language, slot, value)


def test_sampled_scenes_of_the_wide_mix_are_told_truly_and_wholly() -> None:
    seen: Counter[tuple[str, str]] = Counter()
    for seed in range(80):
        truth = scene_slots(sample_scene(seed, mix=WIDE_MIX))
        for language in LANGUAGES:
            caption = describe_slots(truth, language=language, seed=seed, length="long")
            facts = claims(truth)
            for claim in claims(caption.stated):
                assert claim in facts, caption.text
                seen["".join(claim[:2]), claim[2]] += 1
                words = wordings("".join(claim[:2]), claim[2], language)
                if claim[:2] == ("body.", "shape") and language == "en":
                    words = (*words, *(f"{word}s" for word in words), "boxes")  # twins
                assert any(spoken(caption.text, word, language) for word in words), (claim, caption.text)
    assert {slot for slot, _ in seen} >= {"weather", "rope", "shot", "figure.hat", "animal.action", "figure.expression"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_a_figure_does_is_done_to_its_object(language: str) -> None:
    push = SceneSlots(
        bodies=(BodySlots(colour="blue", shape="cube", size="small", material="matte"),),
        figures=(FigureSlots(hair="black", clothes="red", action="push", direction="left"),),
    )
    for seed in range(40):
        caption = describe_slots(push, language=language, seed=seed, length="long")
        if caption.stated.figures[0].action is None:
            continue
        verbs = "|".join(wordings("figure.action", "push", language))
        shapes = "|".join(wordings("body.shape", "cube", language))
        assert re.search(f"({verbs}).*({shapes})", caption.text.lower()), caption.text
        assert len(re.findall(f"({shapes})", caption.text.lower())) == 1, caption.text


def test_verbs_have_all_their_forms() -> None:
    for slot in ("body.action", "figure.action", "animal.action", "rope"):
        for value in WORDS["en"][slot].values():
            assert all(plural(verb) for verb in value)
