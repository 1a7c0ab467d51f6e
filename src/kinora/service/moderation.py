"""What may not be asked for and what may not go out: the rules for content, and the place for an operator's own.

The setting `moderation` chooses: `words` (the shipped lists, the default), `none`, or `module:name` of one's own: a
function `check(text, language)` that gives None or a sentence saying why not, `language` being that of the text, "zh"
or "en"; or an object with such a method `check` and, for outputs, a method `check_output(path)` of the same kind.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from pathlib import Path

from kinora.core.errors import InputError
from kinora.service.errors import Refused
from kinora.service.settings import Settings
from kinora.service.unmasking import CJK
from kinora.service.wordlists import shipped

__all__ = ["Moderation"]

CheckText = Callable[[str, str], str | None]
CheckFile = Callable[[Path], str | None]

_CHINESE = re.compile(f"[{CJK}]")

# What each category of the lists is called to a client. The word itself is not named: it would say how to go around it.
_TITLES = {
    "minors": ("sexual content with minors", "未成年人的性内容"),
    "sexual": ("explicit sexual content", "露骨的色情内容"),
    "gore": ("gore or extreme violence", "血腥或极端暴力内容"),
    "weapons": ("weapons or terror", "制造武器或恐怖活动的内容"),
    "selfharm": ("self-harm", "自残或自杀内容"),
    "hate": ("hatred of a group of people", "针对群体的仇恨内容"),
    "leaders": ("impersonation of state leaders", "冒充国家领导人的内容"),
    "deepfakes": ("nudity of real people", "伪造真人裸露的内容"),
}


class Moderation:
    """Checks prompts when a task is created and files when it is finished. Safe to use from several threads."""

    def __init__(self, text: CheckText | None, file: CheckFile | None = None) -> None:
        self._text = text
        self._file = file

    @classmethod
    def of(cls, settings: Settings) -> Moderation:
        """The one that the settings name. Raises `InputError` where there is none of that name."""
        if settings.moderation == "none":
            return cls(None)
        if settings.moderation == "words":
            return cls(_by_words)
        return _own(settings.moderation)

    def check_prompt(self, text: str) -> None:
        """Raise `Refused`, in the text's own language, for one that the rules do not allow."""
        language = "zh" if _CHINESE.search(text) else "en"
        reason = self._text(text, language) if self._text is not None and text else None
        if reason:
            raise Refused(reason)

    def check_output(self, path: Path) -> None:
        """Raise `Refused` for a picture or film that may not go out; without a hook of one's own all may."""
        reason = self._file(path) if self._file is not None else None
        if reason:
            raise Refused(reason)


def _by_words(text: str, language: str) -> str | None:
    category = shipped().found(text)
    if category is None:
        return None
    english, chinese = _TITLES[category]
    if language == "zh":
        return f"提示词涉及{chinese}，不符合内容规则；请删去这部分后重试。"
    return f"The prompt asks for {english}, which the content rules do not allow; describe the scene without it."


def _own(name: str) -> Moderation:
    module, _, attribute = name.partition(":")
    remedy = "set KINORA_MODERATION to words, none, or module:name of a function check(text, language)."
    try:
        own = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"The moderation {name!r} cannot be loaded ({error}); {remedy}") from error
    check = getattr(own, "check", own)
    if not callable(check):
        raise InputError(f"The moderation {name!r} has no function check(text, language); {remedy}")
    return Moderation(check, getattr(own, "check_output", None))
