"""Captions say only what is true, all that they claim to say, and count everyone."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import fields, replace

import pytest

from kinora.core.errors import InputError
from kinora.core.slots import BodySlots, FigureSlots, SceneSlots
from kinora.core.words import LANGUAGES, wordings
from kinora.world.captions import LENGTHS, Caption, describe, describe_slots
from kinora.world.mirror import MIRRORED, mirror
from kinora.world.mix import TRAINING_MIX
from kinora.world.sampler import sample_scene
from kinora.world.slots_of import scene_slots

SCENE_NAMES = ("ground", "sky", "camera", "camera_speed", "backdrop", "event")
MIX = replace(TRAINING_MIX, figures=0.3, backdrop=0.3, camera=0.5)


@pytest.fixture(scope="module")
def truths() -> list[SceneSlots]:
    return [scene_slots(sample_scene(seed, mix=MIX)) for seed in range(90)]


@pytest.fixture(scope="module")
def told(truths: list[SceneSlots]) -> list[tuple[SceneSlots, Caption]]:
    """Thousands of captions beside the truth."""
    return [
        (truth, describe_slots(truth, language=language, seed=seed, length=length))
        for truth in truths
        for language in LANGUAGES
        for length in LENGTHS
        for seed in range(8)
    ]


def said(one: BodySlots | FigureSlots | SceneSlots) -> dict[str, str]:
    """The stated slots of a body, a figure, or the scene around them."""
    names = SCENE_NAMES if isinstance(one, SceneSlots) else [field.name for field in fields(one)]
    return {name: getattr(one, name) for name in names if getattr(one, name) is not None}


def spoken(text: str, wording: str, language: str) -> bool:
    """Whether a wording is in the text, in English as whole words."""
    if language == "zh":
        return wording in text
    return re.search(rf"(?<![a-z]){re.escape(wording)}(?![a-z])", text.lower()) is not None


def test_what_is_stated_is_true_and_nothing_is_left_out_that_counts(told: list[tuple[SceneSlots, Caption]]) -> None:
    assert len(told) > 4000
    for truth, caption in told:
        stated = caption.stated
        assert len(stated.bodies) == len(truth.bodies)
        assert len(stated.figures) == len(truth.figures)
        pairs = [(stated, truth), *zip(stated.bodies, truth.bodies, strict=True)]
        pairs += zip(stated.figures, truth.figures, strict=True)
        for claim, fact in pairs:
            for name, value in said(claim).items():
                assert getattr(fact, name) == value, (caption.text, name)
        assert all(body.colour and body.shape for body in stated.bodies)
        assert all(figure.clothes for figure in stated.figures)


def test_every_stated_slot_has_its_words_in_the_text(told: list[tuple[SceneSlots, Caption]]) -> None:
    for _, caption in told:
        claims = [("", caption.stated), *(("body.", one) for one in caption.stated.bodies)]
        claims += [("figure.", one) for one in caption.stated.figures]
        for prefix, claim in claims:
            for name, value in said(claim).items():
                options = list(wordings(prefix + name, value, caption.language))
                if caption.language == "en" and (prefix, name) == ("body.", "shape"):
                    options += [option + "s" for option in options] + ["boxes"]
                found = any(spoken(caption.text, option, caption.language) for option in options)
                assert found, f"{prefix}{name}={value} is not in {caption.text!r}"


def test_what_is_not_stated_is_not_said(told: list[tuple[SceneSlots, Caption]]) -> None:
    """Nothing of the setting slips in: their words occur only when they are stated."""
    for truth, caption in told:
        for name in ("ground", "sky", "backdrop"):
            if getattr(caption.stated, name) is None:
                for value in {getattr(truth, name)} - {"none"}:
                    words = wordings(name, value, caption.language)
                    assert not any(spoken(caption.text, word, caption.language) for word in words)
        if caption.stated.camera is None:
            assert "camera pans" not in caption.text
            assert not caption.text.startswith("镜头")


def test_everyone_is_mentioned(told: list[tuple[SceneSlots, Caption]]) -> None:
    """As many noun phrases as there are things, twins counted by their number."""
    numbers = {"a": 1, "an": 1, "two": 2, "three": 3, "four": 4}
    for truth, caption in told:
        if caption.language != "en":
            continue
        text = re.sub(r"(in|wearing) (a|an) \S+ (shirt|top|sweater)", "", caption.text.lower())
        for value in ("ground", "sky", "backdrop"):
            if getattr(caption.stated, value):
                for word in sorted(wordings(value, getattr(caption.stated, value), "en"), key=len, reverse=True):
                    text = text.replace(word, "")
        text = re.sub(r"at a slow pace|in an arc|in a circle|^a (film|video) of", "", text)
        text = re.sub(r"(, |\. )a (film|video) of|(the two|two of them)", "", text)
        count = sum(numbers[word] for word in re.findall(r"[a-z-]+", text) if word in numbers)
        assert count == len(truth.bodies) + len(truth.figures), caption.text


def test_text_is_tidy(told: list[tuple[SceneSlots, Caption]]) -> None:
    for _, caption in told:
        assert caption.text == caption.text.strip()
        assert not re.search(r"  |, ,|\.\.|,\.|，，|。。|，。| ,| \.", caption.text), caption.text
        assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", caption.text), caption.text
        assert "\u2019" not in caption.text
        assert caption.text.isascii() == (caption.language == "en")
        if caption.language == "zh":
            assert not any(letter.isascii() for letter in caption.text)


def test_long_says_more_than_short(truths: list[SceneSlots]) -> None:
    def slots_told(length: str) -> float:
        total = 0
        for truth in truths:
            stated = describe_slots(truth, language="en", seed=1, length=length).stated
            total += sum(len(said(one)) for one in (stated, *stated.bodies, *stated.figures))
        return total / len(truths)

    assert slots_told("long") > 1.6 * slots_told("short")
    assert slots_told("short") < slots_told("any") < slots_told("long")


def test_twins_are_told_at_once() -> None:
    cube = BodySlots(colour="red", shape="cube", size="small", material="matte", action="rest", direction="none")
    slots = SceneSlots(bodies=(cube, cube), ground="sand", sky="day", camera="still", backdrop="none", event="none")
    for seed in range(20):
        assert re.search(r"(?i)\btwo\b.*(cubes|boxes|blocks)", describe_slots(slots, language="en", seed=seed).text)
        assert re.search("两[个块]", describe_slots(slots, language="zh", seed=seed).text)


def test_wordings_are_many(told: list[tuple[SceneSlots, Caption]]) -> None:
    for language in LANGUAGES:
        texts = [caption.text for _, caption in told if caption.language == language]
        assert len(set(texts)) > 0.85 * len(texts)
        openings = Counter(text[:6].lower() for text in texts)
        assert openings.most_common(1)[0][1] < 0.2 * len(texts)


def test_a_caption_is_fixed_by_its_seed() -> None:
    scene = sample_scene(3)
    first = describe(scene, language="en", seed=5)
    assert first == describe(scene, language="en", seed=5)
    assert first.text != describe(scene, language="en", seed=6).text
    assert first.text == describe_slots(scene_slots(scene), language="en", seed=5).text


def test_the_mirrored_scene_is_described_the_other_way_round() -> None:
    swapped = 0
    for seed in range(60):
        scene = sample_scene(seed, mix=MIX)
        truth, other = scene_slots(scene), scene_slots(mirror(scene))
        assert other.camera == MIRRORED.get(truth.camera, truth.camera)
        for body, mirrored in zip(truth.bodies + truth.figures, other.bodies + other.figures, strict=True):
            turned = MIRRORED.get(body.direction, body.direction)
            assert mirrored == replace(body, direction=turned)
            swapped += turned != body.direction
        assert replace(other, bodies=(), figures=(), camera=None) == replace(truth, bodies=(), figures=(), camera=None)
    assert swapped > 20


@pytest.mark.parametrize(("language", "length", "wrong"), [("fr", "any", "fr"), ("en", "epic", "epic")])
def test_unknown_languages_and_lengths_are_refused(language: str, length: str, wrong: str) -> None:
    with pytest.raises(InputError, match=wrong):
        describe(sample_scene(0), language=language, seed=0, length=length)
