"""Whose request it is on a path that Kling and OpenAI share.

On the bare `/v1` a request is Kling's when it carries a Kling token (a JWT) or any field that only Kling has; else it
is OpenAI's. `/kling/v1` and `/openai/v1` leave nothing to tell.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

__all__ = ["KLING_FIELDS", "is_jwt", "is_kling"]

KLING_FIELDS = frozenset({
    "aspect_ratio", "callback_url", "camera_control", "cfg_scale", "duration", "dynamic_masks", "element_list",
    "external_task_id", "human_fidelity", "image", "image_fidelity", "image_list", "image_reference", "image_tail",
    "mode", "model_name", "negative_prompt", "resolution", "shot_type", "sound", "static_mask", "video_id",
    "watermark_info",
})  # fmt: skip
"""Fields of Kling's creates that OpenAI's do not have. `model` and `n` are in both."""


def is_kling(headers: Mapping[str, str], body: object) -> bool:
    """Whether a request on a shared path is Kling's; `body` is its JSON, None where there is none that can be read."""
    kind, _, token = headers.get("authorization", "").strip().partition(" ")
    if kind.lower() == "bearer" and is_jwt(token.strip()):
        return True
    return isinstance(body, Mapping) and not KLING_FIELDS.isdisjoint(body)


def is_jwt(token: str) -> bool:
    """Whether a token has the form of a JWT: three parts, the first of them JSON that names an algorithm."""
    parts = token.split(".")
    if len(parts) != 3 or len(parts[0]) > 1000:
        return False
    try:
        header: Any = json.loads(base64.urlsafe_b64decode(parts[0] + "=" * (-len(parts[0]) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return False
    return isinstance(header, dict) and "alg" in header
