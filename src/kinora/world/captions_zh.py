"""The Chinese grammar of captions."""

from __future__ import annotations

import numpy as np

from kinora.core.slots import BodySlots, FigureSlots, SceneSlots
from kinora.core.words import WORDS

__all__ = ["chinese"]

Rng = np.random.Generator

MEASURES = {"sphere": ("个", "颗", "只"), "cube": ("个", "块"), "cylinder": ("个", "根"), "cone": ("个",)}
PEOPLE = ("人", "小人", "玩具人", "人物")
BARE = ("滚", "滑", "漂", "浮", "飞", "走")
"""Verbs of one syllable: they want a particle or a complement of direction after them."""
LASTING = ("滚动", "滑动", "滑行", "漂浮", "浮动", "弹跳", "蹦跳", "跳跃", "行走")
"""Verbs of two syllables that may take the particle of what goes on."""


def chinese(rng: Rng, stated: SceneSlots, truth: SceneSlots) -> str:
    """Says exactly what is stated; `truth` is not needed, since no Chinese verb here implies a direction."""
    members = [*_bodies(rng, stated), *(_figure(rng, figure) for figure in stated.figures)]
    if rng.random() < 0.5:
        members.reverse()
    sentences = [_staged(rng, members, stated)]
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


def _bodies(rng: Rng, stated: SceneSlots) -> list[tuple[str, str]]:
    """Each body, or each set of twins, as (noun phrase, verb phrase)."""
    members = []
    for index, body in enumerate(stated.bodies):
        if body not in stated.bodies[:index]:
            members.append((_body_noun(rng, body, stated.bodies.count(body)), _acting(rng, body)))
    return members


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


def _figure(rng: Rng, figure: FigureSlots) -> tuple[str, str]:
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
    if not figure.action:
        return noun, ""
    verb = _word(rng, "figure.action", figure.action)
    way = _word(rng, "figure.direction", figure.direction) if figure.direction else ""
    if way and verb in ("散步", "走路"):
        verb = "走"
    return noun, _phrase(rng, verb, "", way, figure.direction)


def _staged(rng: Rng, members: list[tuple[str, str]], stated: SceneSlots) -> str:
    """Everyone and what they do, with time and place in front or, for one alone, between subject and verb."""
    ground = _word(rng, "ground", stated.ground) if stated.ground else ""
    front = f"{_word(rng, 'sky', stated.sky)}，" if stated.sky else ""
    if len(members) == 1 and members[0][1] and rng.random() < 0.6:
        noun, verb = members[0]
        return f"{front}{noun}{'在' + ground if ground else ''}{verb}"
    whole = _told(rng, members)
    if not ground:
        return front + whole
    if whole.startswith("有"):
        return f"{front}{_pick(rng, ('', '在'))}{ground}{whole}"
    return f"{front}{_pick(rng, ('', '在'))}{ground}，{whole}"


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
    if len(stated.bodies) == 2 and not stated.figures:
        return _pick(rng, (f"它们{word}", f"两者{word}", f"随后它们{word}", f"然后它们{word}"))
    return f"其中两个{word}"


def _camera(rng: Rng, stated: SceneSlots) -> str:
    assert stated.camera is not None
    verb = _word(rng, "camera", stated.camera)
    adverb = _word(rng, "camera_speed", stated.camera_speed) if stated.camera_speed else ""
    return f"镜头{adverb}{verb}"
