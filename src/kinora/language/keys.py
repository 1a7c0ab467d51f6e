"""The names under which umT5's encoder is published, and the one its class in transformers has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from kinora.weights.naming import Naming

__all__ = ["SPIECE", "rename"]

SPIECE = "spiece_model"
"""The tokenizer that ComfyUI's files carry, as bytes in a tensor."""

FROM_T5: Mapping[str, str] = MappingProxyType({
    "norm1": "layer.0.layer_norm",
    "attn.q": "layer.0.SelfAttention.q",
    "attn.k": "layer.0.SelfAttention.k",
    "attn.v": "layer.0.SelfAttention.v",
    "attn.o": "layer.0.SelfAttention.o",
    "pos_embedding.embedding": "layer.0.SelfAttention.relative_attention_bias",
    "norm2": "layer.1.layer_norm",
    "ffn.gate.0": "layer.1.DenseReluDense.wi_0",
    "ffn.fc1": "layer.1.DenseReluDense.wi_1",
    "ffn.fc2": "layer.1.DenseReluDense.wo",
})  # fmt: skip
"""Parts of a block in Wan's own file (`wan/modules/t5.py`) and in transformers."""


def rename(names: Iterable[str]) -> Naming:
    """The renaming for a file (or all shards) of these names: Wan's own, transformers', or ComfyUI's, which are
    transformers' too. None leaves out what is no weight of the encoder, and the second name of tied embeddings.
    """
    present = frozenset(names)
    return _from_t5 if "token_embedding.weight" in present else lambda name: _from_hf(name, present)


def _from_t5(name: str) -> str:
    outside = {"token_embedding.weight": "embed_tokens.weight", "norm.weight": "final_layer_norm.weight"}
    found = re.fullmatch(r"blocks\.(\d+)\.(.+)\.weight", name)
    if found is None or found[2] not in FROM_T5:
        return outside.get(name, name)
    return f"block.{found[1]}.{FROM_T5[found[2]]}.weight"


def _from_hf(name: str, present: frozenset[str]) -> str | None:
    if name == SPIECE or (name == "encoder.embed_tokens.weight" and "shared.weight" in present):
        return None
    return "embed_tokens.weight" if name == "shared.weight" else name.removeprefix("encoder.")
