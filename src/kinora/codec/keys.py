"""Names of the Wan autoencoders' parameters in the files that go around, and those they have here: Wan's own.

Wan's own names are also ComfyUI's, there perhaps behind a prefix. Those of diffusers (`AutoencoderKLWan`; the pairs are
in its scripts/convert_wan_to_diffusers.py) stand for the same tensors in the same shapes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from kinora.core.errors import WeightsError
from kinora.weights.naming import Naming

__all__ = ["rename"]

PREFIXES = ("", "vae.", "first_stage_model.")
"""What may stand before every name, in a file of the autoencoder alone or together with other networks."""

RESIDUAL = {
    "norm1": "residual.0", "conv1": "residual.2", "norm2": "residual.3", "conv2": "residual.6",
    "conv_shortcut": "shortcut",
}  # fmt: skip
ENDS = {
    "conv_in": "conv1", "norm_out": "head.0", "conv_out": "head.2",
    "mid_block.resnets.0": "middle.0", "mid_block.attentions.0": "middle.1", "mid_block.resnets.1": "middle.2",
}  # fmt: skip
BETWEEN = {"quant_conv": "conv1", "post_quant_conv": "conv2"}
ROWS = {"down_blocks": "downsamples", "up_blocks": "upsamples"}

HALF = re.compile(r"(encoder|decoder)\.(conv_in|norm_out|conv_out|mid_block\.\w+\.\d+)\.(.+)")
STAGE = re.compile(r"(encoder|decoder)\.(down_blocks|up_blocks)\.(\d+)\.(.+)")
LAYER = re.compile(r"(?:resnets\.(\d+)|(upsamplers\.0|upsampler|downsampler))\.(.+)")


def rename(names: Iterable[str]) -> Naming:
    """How to turn `names` into those of `Wan21Codec` or `Wan22Codec`; a name of another network becomes None.

    Raises `WeightsError` when they are neither Wan's nor diffusers'.
    """
    known = frozenset(names)
    for prefix in PREFIXES:
        own = frozenset(name.removeprefix(prefix) for name in known if name.startswith(prefix))
        if own & {"encoder.conv1.weight", "decoder.conv1.weight"}:
            return _behind(prefix, lambda name: name)
        if own & {"encoder.conv_in.weight", "decoder.conv_in.weight"}:
            return _behind(prefix, _from_diffusers(own))
    seen = ", ".join(sorted(known)[:3]) or "nothing"
    raise WeightsError(
        f"These are no weights of a Wan autoencoder, in Wan's own names or diffusers' ({len(known)} tensors: {seen}, "
        "...). Name the file of the autoencoder, such as Wan2.1_VAE.safetensors or vae/ of a diffusers folder."
    )


def _behind(prefix: str, inner: Callable[[str], str]) -> Naming:
    return lambda name: inner(name.removeprefix(prefix)) if name.startswith(prefix) else None


def _from_diffusers(names: frozenset[str]) -> Callable[[str], str]:
    """From diffusers' names; which model it is shows in how `names` nest. What is unknown keeps its name."""
    nested = any(".upsampler." in name or ".downsampler." in name for name in names)
    lengths = {row: _residual_blocks(names, row) for row in ROWS}

    def to_wan(name: str) -> str:
        first, _, rest = name.partition(".")
        if first in BETWEEN:
            return f"{BETWEEN[first]}.{rest}"
        if end := HALF.fullmatch(name):
            half, layer, rest = end.groups()
            return f"{half}.{ENDS.get(layer, layer)}.{_inner(rest)}"
        if stage := STAGE.fullmatch(name):
            half, row, number, rest = stage.groups()
            return f"{half}.{ROWS[row]}.{_in_row(int(number), rest, ROWS[row], lengths[row], nested)}"
        return name

    return to_wan


def _in_row(stage: int, rest: str, row: str, blocks: int, nested: bool) -> str:
    """Place in a row of stages: two numbers where stages nest, one where all layers stand in one row."""
    layer = LAYER.fullmatch(rest)
    if layer is None:  # the encoder of Wan 2.1: one row there too
        return f"{stage}.{_inner(rest)}"
    number, _, rest = layer.groups()
    place = blocks if number is None else int(number)
    return f"{stage}.{row}.{place}.{_inner(rest)}" if nested else f"{stage * (blocks + 1) + place}.{_inner(rest)}"


def _inner(rest: str) -> str:
    """The part of a residual block; other layers have the same names in both."""
    part, _, kind = rest.partition(".")
    return f"{RESIDUAL[part]}.{kind}" if part in RESIDUAL else rest


def _residual_blocks(names: frozenset[str], row: str) -> int:
    """Residual blocks of a stage, counted in its first."""
    return len({name.split(".")[4] for name in names if f".{row}.0.resnets." in name})
