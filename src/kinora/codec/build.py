"""A codec from the numbers in a manifest, whichever kind it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kinora.codec.config import CodecConfig
from kinora.codec.model import Codec
from kinora.codec.wan21 import Wan21Codec, Wan21Config
from kinora.codec.wan22 import Wan22Codec, Wan22Config
from kinora.core.errors import WeightsError

__all__ = ["build_codec"]


def build_codec(values: Mapping[str, Any]) -> Codec | Wan21Codec | Wan22Codec:
    """The codec that a manifest's part `codec` describes, with the weights it starts from.

    `kind` says which: "kinora" (also where there is none), "wan21" or "wan22"; the rest are fields of its config.
    Raises `WeightsError` for another kind, `InputError` for impossible numbers and `TypeError` for unknown names.
    """
    kind = values.get("kind", "kinora")
    fields = {name: value for name, value in values.items() if name != "kind"}
    if kind == "kinora":
        return Codec(CodecConfig.from_dict(fields))
    if kind == "wan21":
        return Wan21Codec(Wan21Config.from_dict(fields))
    if kind == "wan22":
        return Wan22Codec(Wan22Config.from_dict(fields))
    raise WeightsError(f"This Kinora knows the codecs kinora, wan21 and wan22, not {kind!r}. Update Kinora.")
