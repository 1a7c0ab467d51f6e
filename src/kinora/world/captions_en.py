"""The English grammar of captions."""

from __future__ import annotations

import numpy as np

from kinora.core.slots import CONTACTS, AnimalSlots, BodySlots, FigureSlots, SceneSlots
from kinora.core.words import WORDS, participle, plural

__all__ = ["english"]

Rng = np.random.Generator

PEOPLE = ("person", "toy person", "figure", "little person")
GARMENTS = ("clothes", "a {} shirt", "a {} top", "a {} sweater")
PLURALS = {"box": "boxes"}
BEFORE_NOUN = ("metal", "steel", "glass")
WITHOUT_WAY = ("bobs",)
ONLY_ON_THE_WAY = ("drifts", "slides along", "rolls along", "walks along", "trots along")
"""Verbs that need a direction to be true, or to sound right."""
DOGS = ("toy dog", "dog", "puppy", "little dog")
ROPES = ("a rope", "a cord", "a piece of rope")
DRY_SKIES = {"day": ("in the daytime",), "sunset": ("at sunset", "at dusk"), "night": ("at night",)}
"""What can be said of a sky that rain, snow or fog hides."""


def english(rng: Rng, stated: SceneSlots, truth: SceneSlots) -> str:
    """Says exactly what is stated; `truth` decides only which of several verbs is fitting."""
    members = [*_bodies(rng, stated, truth), *(_figure(rng, figure, stated) for figure in stated.figures)]
    if not _held(stated, "stroke"):
        members += [_animal(rng, animal) for animal in stated.animals]
    if stated.rope:
        members.append((_pick(rng, ROPES), _word(rng, "rope", stated.rope), False))
    if rng.random() < 0.5:
        members.reverse()
    setting = _setting(rng, stated, truth)
    wall = _word(rng, "backdrop", stated.backdrop) if stated.backdrop else ""
    if wall and rng.random() < 0.4 and len(members) == 1:
        setting.append(f"in front of {wall}")
        wall = ""
    sentences = [_staged(rng, members, setting)]
    if stated.event:
        sentences.append(_meeting(rng, stated))
    if wall:
        sentences.append(_pick(rng, (f"Behind is {wall}", f"In the background is {wall}", f"There is {wall} behind")))
    if stated.camera:
        sentences = _filmed(rng, sentences, _camera(rng, stated))
    text = ". ".join(_capital(sentence) for sentence in sentences) + "."
    return text.lower().rstrip(".") if rng.random() < 0.2 else text


def _pick(rng: Rng, choices: tuple[str, ...] | list[str]) -> str:
    return choices[int(rng.integers(len(choices)))]


def _word(rng: Rng, slot: str, value: str) -> str:
    """A wording; the plainest comes up most."""
    words = WORDS["en"][slot][value]
    return words[0] if rng.random() < 0.35 else _pick(rng, words)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _setting(rng: Rng, stated: SceneSlots, truth: SceneSlots) -> list[str]:
    """Place, time, weather and distance, as phrases."""
    setting = []
    if stated.ground:
        setting.append(_word(rng, "ground", stated.ground))
    if stated.waves:
        setting.append(_word(rng, "waves", stated.waves))
    if stated.sky and truth.weather not in (None, "clear") and stated.sky in DRY_SKIES:
        setting.append(_pick(rng, DRY_SKIES[stated.sky]))
    elif stated.sky:
        setting.append(_word(rng, "sky", stated.sky))
    if stated.weather:
        setting.append(_word(rng, "weather", stated.weather))
    if stated.shot:
        setting.append(_word(rng, "shot", stated.shot))
    return setting


def _held(stated: SceneSlots, *actions: str) -> bool:
    """Whether a figure is told to do one of these to something: that is then told in the figure's clause."""
    return any(figure.action in actions for figure in stated.figures)


def _article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def _listed(rng: Rng, parts: list[str]) -> str:
    if len(parts) < 3:
        return " and ".join(parts)
    return ", ".join(parts[:-1]) + _pick(rng, (" and ", ", and ")) + parts[-1]


def _bodies(rng: Rng, stated: SceneSlots, truth: SceneSlots) -> list[tuple[str, str, bool]]:
    """Each body, or each set of twins, as (noun phrase, verb phrase in the third person, several)."""
    members: list[tuple[str, str, bool]] = []
    if _held(stated, "carry", "push", "eat"):
        return members
    for index, body in enumerate(stated.bodies):
        if body in stated.bodies[:index]:
            continue
        count = stated.bodies.count(body)
        verb = _acting(rng, body, goes=_all_go(stated, truth, body)) if body.action else ""
        if body.action == "orbit":
            verb += " " + _other(rng, stated, index)
        members.append((_body_noun(rng, body, count), verb, count > 1))
    return members


def _body_noun(rng: Rng, body: BodySlots, count: int) -> str:
    assert body.colour is not None
    assert body.shape is not None
    noun = _word(rng, "body.shape", body.shape)
    size = [_word(rng, "body.size", body.size)] if body.size else []
    colour, made, after = [_word(rng, "body.colour", body.colour)], [], ""
    if body.material:
        material = _word(rng, "body.material", body.material)
        if material in BEFORE_NOUN and rng.random() < 0.2:
            after = f" made of {material}"
        elif material in BEFORE_NOUN or rng.random() < 0.25:
            colour.append(material)
        else:
            made = [material]
    words = [*size, *made, *colour]
    if count == 1:
        return _article(" ".join([*words, noun])) + after
    number = {2: "two", 3: "three", 4: "four"}.get(count, str(count))
    return " ".join([number, *words, PLURALS.get(noun, noun + "s")]) + after


def _all_go(stated: SceneSlots, truth: SceneSlots, body: BodySlots) -> bool:
    """Whether every body that is told like this one goes somewhere."""
    twins = [real for told, real in zip(stated.bodies, truth.bodies, strict=True) if told == body]
    return all(real.direction not in (None, "none") for real in twins)


def _other(rng: Rng, stated: SceneSlots, index: int) -> str:
    """What the body of this index circles: the only other one."""
    body = stated.bodies[1 - index] if len(stated.bodies) == 2 else None
    if body is None or body.colour is None or body.shape is None or rng.random() < 0.3:
        return "the other one"
    return f"the {_word(rng, 'body.colour', body.colour)} {_word(rng, 'body.shape', body.shape)}"


def _acting(rng: Rng, body: BodySlots, *, goes: bool) -> str:
    """The verb of a body with its adverb and direction, in one of the usual orders."""
    assert body.action is not None
    verb = _fitting(rng, "body.action", body.action, goes=goes)
    adverb = _word(rng, "body.speed", body.speed) if body.speed else ""
    way = _word(rng, "body.direction", body.direction) if body.direction else ""
    return _phrase(rng, verb, adverb, way)


def _fitting(rng: Rng, slot: str, action: str, *, goes: bool) -> str:
    """A verb for the action of something that goes somewhere, or does not."""
    verbs = list(WORDS["en"][slot][action])
    if goes:
        verbs = [verb for verb in verbs if verb not in WITHOUT_WAY]
    else:
        verbs = [verb for verb in verbs if verb not in ONLY_ON_THE_WAY]
    return verbs[0] if rng.random() < 0.3 else _pick(rng, verbs)


def _phrase(rng: Rng, verb: str, adverb: str, way: str) -> str:
    if adverb.endswith("ly") and verb.split(maxsplit=1)[0] not in ("is", "does", "keeps") and rng.random() < 0.4:
        return f"{adverb} {verb} {way}".strip()
    order = [verb, adverb, way] if rng.random() < 0.6 else [verb, way, adverb]
    return " ".join(part for part in order if part)


def _figure(rng: Rng, figure: FigureSlots, stated: SceneSlots) -> tuple[str, str, bool]:
    assert figure.clothes is not None
    clothes = _word(rng, "body.colour", figure.clothes)
    garment = _pick(rng, GARMENTS)
    worn = f"{clothes} {garment}" if "{}" not in garment else _article(garment.format(clothes)[2:])
    person = _pick(rng, PEOPLE)
    dressed = _pick(rng, ("in", "wearing", "dressed in"))
    if figure.hair is None:
        noun = f"a {person} {dressed} {worn}"
    else:
        hair = _word(rng, "figure.hair", figure.hair)
        if hair != "brunette" and rng.random() < 0.3:
            noun = f"{_article(hair)}-haired {person} {dressed} {worn}"
        else:
            noun = _pick(
                rng, (f"a {person} with {hair} hair {dressed} {worn}", f"a {person} {dressed} {worn} with {hair} hair")
            )
    worn_too = [_article(_word(rng, "figure.hat", figure.hat))] if figure.hat else []
    worn_too += [_word(rng, "figure.glasses", figure.glasses)] if figure.glasses else []
    if worn_too:
        noun += f" {'and' if ' hair' in noun else 'with'} {' and '.join(worn_too)}"
    look = " " + _word(rng, "figure.expression", figure.expression) if figure.expression else ""
    if not figure.action:
        return noun + look, "", False
    verb = _fitting(rng, "figure.action", figure.action, goes=figure.action == "walk")
    if figure.action in CONTACTS:
        verb += " " + _touched(rng, figure.action, stated)
    way = _word(rng, "figure.direction", figure.direction) if figure.direction else ""
    return noun, f"{verb} {way}".strip() + look, False


def _touched(rng: Rng, action: str, stated: SceneSlots) -> str:
    """What a figure carries, pushes, eats or strokes."""
    if action == "stroke":
        return _animal(rng, stated.animals[0])[0]
    return _body_noun(rng, stated.bodies[0], 1)


def _animal(rng: Rng, animal: AnimalSlots) -> tuple[str, str, bool]:
    assert animal.colour is not None
    noun = _article(f"{_word(rng, 'animal.colour', animal.colour)} {_pick(rng, DOGS)}")
    if not animal.action:
        return noun, "", False
    verb = _fitting(rng, "animal.action", animal.action, goes=animal.direction is not None)
    way = _word(rng, "animal.direction", animal.direction) if animal.direction else ""
    return noun, f"{verb} {way}".strip(), False


def _staged(rng: Rng, members: list[tuple[str, str, bool]], setting: list[str]) -> str:
    """Everyone and what they do, with the place before, after, or in a sentence of its own."""
    place = " ".join(setting) if rng.random() < 0.7 else ", ".join(setting)
    whole = _told(rng, members)
    if not place:
        return whole
    style = rng.random()
    if whole.startswith(("a film", "a video")):
        return f"{whole}, {place}"
    if style < 0.35:
        return f"{place}, {whole}"
    if style < 0.5:
        return f"{whole}. {_capital(_pick(rng, ('it all happens', 'this takes place', 'this happens')))} {place}"
    return f"{whole} {place}" if len(members) == 1 else f"{whole}, all {place}"


def _told(rng: Rng, members: list[tuple[str, str, bool]]) -> str:
    """The members in full sentences, or as a list of things with what they are doing."""
    if rng.random() < 0.3:
        things = [f"{noun} {_doing(verb)}".strip() for noun, verb, _ in members]
        opening = _pick(rng, ("", "there is ", "we see ", "a film of ", "a video of "))
        if opening == "there is " and members[0][2]:
            opening = "there are "
        return opening + _listed(rng, things)
    clauses = []
    for noun, verb, several in members:
        if not verb:
            clauses.append(f"there {'are' if several else 'is'} {noun}")
            continue
        words = verb.split()
        adverb = words[0] if words[0].endswith("ly") else ""
        core = " ".join(words[1:]) if adverb else verb
        clauses.append(" ".join(part for part in (noun, adverb, plural(core) if several else core) if part))
    joint = _pick(rng, (", and ", " while ", ", while ", ". ", "; "))
    if joint == ". ":
        return joint.join([clauses[0], *(_capital(clause) for clause in clauses[1:])])
    return ", ".join(clauses[:-2]) + (", " if len(clauses) > 2 else "") + joint.join(clauses[-2:])


def _doing(verb: str) -> str:
    if not verb:
        return ""
    words = verb.split()
    if words[0].endswith("ly"):
        return f"{words[0]} {participle(' '.join(words[1:]))}"
    return participle(verb) if verb != "does not move" else "not moving"


def _meeting(rng: Rng, stated: SceneSlots) -> str:
    assert stated.event is not None
    word = _word(rng, "event", stated.event)
    if len(stated.bodies) == 2 and not (stated.figures or stated.animals):
        return _pick(rng, (f"they {word}", f"the two {word}", f"then they {word}", f"both {word}"))
    return f"two of them {word}"


def _camera(rng: Rng, stated: SceneSlots) -> str:
    assert stated.camera is not None
    verb = _word(rng, "camera", stated.camera)
    if not stated.camera_speed:
        return f"the camera {verb}"
    adverb = _word(rng, "camera_speed", stated.camera_speed)
    if adverb != "fast" and not verb.startswith("is ") and rng.random() < 0.5:
        return f"the camera {adverb} {verb}"
    return f"the camera {verb} {adverb}"


def _filmed(rng: Rng, sentences: list[str], camera: str) -> list[str]:
    """Puts the camera in a sentence of its own, first or last, or hangs it on the last."""
    style = rng.random()
    if style < 0.15:
        return [camera, *sentences]
    if style < 0.45:
        return [*sentences[:-1], f"{sentences[-1]}{_pick(rng, (', and ', ' while ', ' as ', '; '))}{camera}"]
    return [*sentences, camera]
