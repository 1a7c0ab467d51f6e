"""The Chinese grammar of captions."""

from __future__ import annotations

import numpy as np

from kinora.core.slots import CONTACTS, AnimalSlots, BodySlots, FigureSlots, SceneSlots
from kinora.core.words import WORDS

__all__ = ["chinese"]

Rng = np.random.Generator

MEASURES = {"sphere": ("个", "颗", "只"), "cube": ("个", "块"), "cylinder": ("个", "根"), "cone": ("个",)}
PEOPLE = ("人", "小人", "玩具人", "人物")
BARE = ("滚", "滑", "漂", "浮", "飞", "走")
"""Verbs of one syllable: they want a particle or a complement of direction after them."""
LASTING = ("滚动", "滑动", "滑行", "漂浮", "浮动", "弹跳", "蹦跳", "跳跃", "行走")
"""Verbs of two syllables that may take the particle of what goes on."""

DOGS = ("小狗", "玩具狗", "狗")
ROPES = ("一根绳子", "一条绳子", "一根绳索")
DRY_SKIES = {"day": ("白天",), "sunset": ("日落时分", "黄昏", "傍晚"), "night": ("夜晚", "夜里")}
"""What can be said of a sky that rain, snow or fog hides."""


def chinese(rng: Rng, stated: SceneSlots, truth: SceneSlots) -> str:
    """Says exactly what is stated; of `truth` only the weather counts: nobody speaks of a clear sky in the rain."""
    members = [*_bodies(rng, stated), *(_figure(rng, figure, stated) for figure in stated.figures)]
    if not _held(stated, "stroke"):
        members += [_animal(rng, animal) for animal in stated.animals]
    if stated.rope:
        members.append((_pick(rng, ROPES), _word(rng, "rope", stated.rope)))
    if rng.random() < 0.5:
        members.reverse()
    sentences = [_staged(rng, members, stated, truth)]
    if stated.waves:
        sentences.append(_pick(rng, ("水面上", "水上")) + _word(rng, "waves", stated.waves))
    if stated.event:
        sentences.append(_meeting(rng, stated))
    if stated.backdrop:
        wall = _word(rng, "backdrop", stated.backdrop)
        sentences.append(
            _pick(rng, (f"后面是{wall}", f"背景是{wall}", f"身后有{wall}" if stated.figures else f"背后有{wall}"))
        )
    if stated.camera:
        camera = _camera(rng, stated)
        sentences = [camera, *sentences] if rng.random() < 0.2 else [*sentences, camera]
    joint = _pick(rng, ("，", "。", "。"))
    text = joint.join(sentences)
    return text if rng.random() < 0.25 else text + "。"


def _pick(rng: Rng, choices: tuple[str, ...] | list[str]) -> str:
    return choices[int(rng.integers(len(choices)))]


def _word(rng: Rng, slot: str, value: str) -> str:
    """A wording; the plainest comes up most."""
    words = WORDS["zh"][slot][value]
    return words[0] if rng.random() < 0.35 else _pick(rng, words)


def _held(stated: SceneSlots, *actions: str) -> bool:
    """Whether a figure is told to do one of these to something: that is then told in the figure's clause."""
    return any(figure.action in actions for figure in stated.figures)


def _bodies(rng: Rng, stated: SceneSlots) -> list[tuple[str, str]]:
    """Each body, or each set of twins, as (noun phrase, verb phrase)."""
    members: list[tuple[str, str]] = []
    if _held(stated, "carry", "push", "eat"):
        return members
    for index, body in enumerate(stated.bodies):
        if body not in stated.bodies[:index]:
            around = _around(rng, stated, index) if body.action == "orbit" else ""
            members.append((_body_noun(rng, body, stated.bodies.count(body)), around + _acting(rng, body)))
    return members


def _around(rng: Rng, stated: SceneSlots, index: int) -> str:
    """Around what the body of this index circles: the only other one."""
    body = stated.bodies[1 - index] if len(stated.bodies) == 2 else None
    there = "另一个"
    if body is not None and body.colour is not None and body.shape is not None and rng.random() < 0.7:
        colour = _word(rng, "body.colour", body.colour)
        there = colour + ("的" if len(colour) > 1 else "") + _word(rng, "body.shape", body.shape)
    return _pick(rng, ("绕着", "围着")) + there


def _body_noun(rng: Rng, body: BodySlots, count: int) -> str:
    assert body.colour is not None
    assert body.shape is not None
    number = {1: "一", 2: "两", 3: "三", 4: "四"}.get(count, str(count)) + _pick(rng, MEASURES[body.shape])
    shape = _word(rng, "body.shape", body.shape)
    size = _word(rng, "body.size", body.size) if body.size else ""
    colour = _word(rng, "body.colour", body.colour)
    material = _word(rng, "body.material", body.material) if body.material else ""
    before, close = (size, "") if size.endswith("的") else ("", size)
    if material and len(colour) == 1:
        colour += "色"
    if material and not material.endswith("的") and rng.random() < 0.25:
        # "Of metal, the red one" is said as well as "the red one of metal".
        return f"{number}{before}{material}的{colour}{close}{shape}"
    link = "的" if len(colour) > 1 and (close or material or rng.random() < 0.5) else ""
    return f"{number}{before}{colour}{link}{close}{material}{shape}"


def _acting(rng: Rng, body: BodySlots) -> str:
    if not body.action:
        return ""
    verb = _word(rng, "body.action", body.action)
    adverb = _word(rng, "body.speed", body.speed) if body.speed else ""
    way = _word(rng, "body.direction", body.direction) if body.direction else ""
    return _phrase(rng, verb, adverb, way, body.direction)


def _phrase(rng: Rng, verb: str, adverb: str, way: str, direction: str | None) -> str:
    """Adverb and direction before the verb; a short verb takes what it needs after it."""
    if verb in BARE:
        verb += _complement(verb, way, direction)
    elif verb in LASTING and not way and rng.random() < 0.3:
        verb += "着"
    return f"{adverb}{way}{verb}" if rng.random() < 0.6 else f"{way}{adverb}{verb}"


def _complement(verb: str, way: str, direction: str | None) -> str:
    if not way:
        return "过空中" if verb == "飞" else "着"
    if direction == "toward":
        return "来"
    if way.startswith("从"):
        return "过" if verb in ("飞", "走") else "动"
    return "去"


def _figure(rng: Rng, figure: FigureSlots, stated: SceneSlots) -> tuple[str, str]:
    assert figure.clothes is not None
    clothes = _word(rng, "figure.clothes", figure.clothes)
    garment = _pick(rng, ("衣服", "上衣"))
    worn = (
        f"穿{clothes}{garment}"
        if len(clothes) == 1
        else _pick(rng, (f"穿{clothes}{garment}", f"穿着{clothes}的{garment}", f"身穿{clothes}{garment}"))
    )
    person = _pick(rng, PEOPLE)
    if figure.hair is None:
        noun = f"一个{worn}的{person}"
    else:
        hair = _word(rng, "figure.hair", figure.hair)
        noun = _pick(
            rng,
            (
                f"一个{hair}头发、{worn}的{person}",
                f"一个留着{hair}头发、{worn}的{person}",
                f"一个{worn}、{hair}头发的{person}",
            ),
        )
    look = _word(rng, "figure.expression", figure.expression) if figure.expression else ""
    noun = _adorned(rng, noun, figure, "" if figure.action else look)
    if not figure.action:
        return noun, ""
    verb = look + ("地" if look and not look.startswith(("面带", "皱着")) else "") + _doing(rng, figure, stated)
    return noun, verb


def _adorned(rng: Rng, noun: str, figure: FigureSlots, look: str) -> str:
    """The noun with hat, glasses and look in front of what it says already."""
    worn = [_word(rng, f"figure.{name}", value) for name in ("hat", "glasses") if (value := getattr(figure, name))]
    said = ([f"戴着{'和'.join(worn)}"] if worn else []) + ([look] if look else [])
    return "一个" + "".join(f"{one}、" for one in said) + noun.removeprefix("一个")


def _doing(rng: Rng, figure: FigureSlots, stated: SceneSlots) -> str:
    """A figure's verb with its object and direction."""
    assert figure.action is not None
    verb = _word(rng, "figure.action", figure.action)
    way = _word(rng, "figure.direction", figure.direction) if figure.direction else ""
    if way and verb in ("散步", "走路"):
        verb = "走"
    if figure.action not in CONTACTS:
        return _phrase(rng, verb, "", way, figure.direction)
    touched = _animal(rng, stated.animals[0])[0] if figure.action == "stroke" else _body_noun(rng, stated.bodies[0], 1)
    return verb + touched + (_phrase(rng, "走", "", way, figure.direction) if way else "")


def _animal(rng: Rng, animal: AnimalSlots) -> tuple[str, str]:
    assert animal.colour is not None
    colour = _word(rng, "animal.colour", animal.colour)
    noun = f"一只{colour}{'的' if len(colour) > 1 else ''}{_pick(rng, DOGS)}"
    if not animal.action:
        return noun, ""
    verb = _word(rng, "animal.action", animal.action)
    way = _word(rng, "animal.direction", animal.direction) if animal.direction else ""
    if way and verb == "走路":
        verb = "走"
    return noun, _phrase(rng, verb, "", way, animal.direction)


def _staged(rng: Rng, members: list[tuple[str, str]], stated: SceneSlots, truth: SceneSlots) -> str:
    """Everyone and what they do, with time and place in front or, for one alone, between subject and verb."""
    ground = _word(rng, "ground", stated.ground) if stated.ground else ""
    front = _front(rng, stated, truth)
    if len(members) == 1 and members[0][1] and rng.random() < 0.6:
        noun, verb = members[0]
        return f"{front}{noun}{'在' + ground if ground else ''}{verb}"
    whole = _told(rng, members)
    if not ground:
        return front + whole
    if whole.startswith("有"):
        return f"{front}{_pick(rng, ('', '在'))}{ground}{whole}"
    return f"{front}{_pick(rng, ('', '在'))}{ground}，{whole}"


def _front(rng: Rng, stated: SceneSlots, truth: SceneSlots) -> str:
    """Distance, time and weather, each followed by a comma."""
    front = f"{_word(rng, 'shot', stated.shot)}，" if stated.shot else ""
    if stated.sky and truth.weather not in (None, "clear") and stated.sky in DRY_SKIES:
        front += f"{_pick(rng, DRY_SKIES[stated.sky])}，"
    elif stated.sky:
        front += f"{_word(rng, 'sky', stated.sky)}，"
    return front + (f"{_word(rng, 'weather', stated.weather)}，" if stated.weather else "")


def _told(rng: Rng, members: list[tuple[str, str]]) -> str:
    if not any(verb for _, verb in members):
        nouns = [noun for noun, _ in members]
        listed = "、".join(nouns[:-1]) + "和" + nouns[-1] if len(nouns) > 1 else nouns[0]
        return _pick(rng, (listed, f"有{listed}", f"画面里有{listed}"))
    if rng.random() < 0.15:
        things = [f"{noun}{'正在' + verb if verb else ''}" for noun, verb in members]
        return "，".join(things)
    clauses = [f"{noun}{verb}" if verb else f"有{noun}" for noun, verb in members]
    joint = _pick(rng, ("，", "，同时", "，"))
    return joint.join(clauses) if len(clauses) < 3 else "，".join(clauses)


def _meeting(rng: Rng, stated: SceneSlots) -> str:
    assert stated.event is not None
    word = _word(rng, "event", stated.event)
    if len(stated.bodies) == 2 and not (stated.figures or stated.animals):
        return _pick(rng, (f"它们{word}", f"两者{word}", f"随后它们{word}", f"然后它们{word}"))
    return f"其中两个{word}"


def _camera(rng: Rng, stated: SceneSlots) -> str:
    assert stated.camera is not None
    verb = _word(rng, "camera", stated.camera)
    adverb = _word(rng, "camera_speed", stated.camera_speed) if stated.camera_speed else ""
    return f"镜头{adverb}{verb}"
