"""Other names for the same weights.

Kinora keeps Wan's own parameter names. diffusers renames them (scripts/convert_wan_to_diffusers.py) and ComfyUI puts a
prefix before them; a checkpoint in either naming is read by renaming its keys, never by a second class.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

__all__ = ["COMFY_PREFIX", "DIFFUSERS", "from_diffusers", "to_diffusers", "wan_keys", "wan_names"]

COMFY_PREFIX = "model.diffusion_model."

DIFFUSERS: tuple[tuple[str, str], ...] = (
    ("time_embedding.0", "condition_embedder.time_embedder.linear_1"),
    ("time_embedding.2", "condition_embedder.time_embedder.linear_2"),
    ("text_embedding.0", "condition_embedder.text_embedder.linear_1"),
    ("text_embedding.2", "condition_embedder.text_embedder.linear_2"),
    ("time_projection.1", "condition_embedder.time_proj"),
    ("img_emb.proj.0", "condition_embedder.image_embedder.norm1"),
    ("img_emb.proj.1", "condition_embedder.image_embedder.ff.net.0.proj"),
    ("img_emb.proj.3", "condition_embedder.image_embedder.ff.net.2"),
    ("img_emb.proj.4", "condition_embedder.image_embedder.norm2"),
    ("img_emb.emb_pos", "condition_embedder.image_embedder.pos_embed"),
    ("head.modulation", "scale_shift_table"),
    ("head.head", "proj_out"),
)
"""Wan's name and diffusers' name of what stands outside the blocks; each may go on (".weight", ".bias")."""

DIFFUSERS_IN_BLOCK: tuple[tuple[str, str], ...] = (
    ("modulation", "scale_shift_table"),
    ("self_attn.q", "attn1.to_q"),
    ("self_attn.k", "attn1.to_k"),
    ("self_attn.v", "attn1.to_v"),
    ("self_attn.o", "attn1.to_out.0"),
    ("self_attn.norm_q", "attn1.norm_q"),
    ("self_attn.norm_k", "attn1.norm_k"),
    ("cross_attn.q", "attn2.to_q"),
    ("cross_attn.k", "attn2.to_k"),
    ("cross_attn.v", "attn2.to_v"),
    ("cross_attn.o", "attn2.to_out.0"),
    ("cross_attn.norm_q", "attn2.norm_q"),
    ("cross_attn.norm_k", "attn2.norm_k"),
    ("cross_attn.k_img", "attn2.add_k_proj"),
    ("cross_attn.v_img", "attn2.add_v_proj"),
    ("cross_attn.norm_k_img", "attn2.norm_added_k"),
    ("norm3", "norm2"),  # diffusers counts the norms by where they stand; Wan's third is applied second
    ("norm2", "norm3"),
    ("ffn.0", "ffn.net.0.proj"),
    ("ffn.2", "ffn.net.2"),
)
"""The same inside `blocks.N.`."""

Value = TypeVar("Value")


def wan_keys(stored: Mapping[str, Value]) -> dict[str, Value]:
    """The same values under Wan's names, whichever of the three namings `stored` has."""
    plain = {name.removeprefix(COMFY_PREFIX): value for name, value in stored.items()}
    if any(name.startswith("condition_embedder.") for name in plain):
        return {from_diffusers(name): value for name, value in plain.items()}
    return plain


def from_diffusers(name: str) -> str:
    """Wan's name for diffusers' name of a tensor."""
    return _renamed(name, [(b, a) for a, b in DIFFUSERS], [(b, a) for a, b in DIFFUSERS_IN_BLOCK])


def to_diffusers(name: str) -> str:
    """diffusers' name for Wan's name of a tensor."""
    return _renamed(name, DIFFUSERS, DIFFUSERS_IN_BLOCK)


def wan_names(layers: int) -> list[str]:
    """Every name that Wan's text-to-video transformers give their tensors, sorted."""
    linears = ["text_embedding.0", "text_embedding.2", "time_embedding.0", "time_embedding.2", "time_projection.1"]
    linears += ["patch_embedding", "head.head"]
    plain = ["head.modulation"]
    for n in range(layers):
        block = f"blocks.{n}."
        plain.append(block + "modulation")
        linears += [block + name for name in ("norm3", "ffn.0", "ffn.2")]
        for attention in ("self_attn.", "cross_attn."):
            linears += [block + attention + name for name in "qkvo"]
            plain += [block + attention + name for name in ("norm_q.weight", "norm_k.weight")]
    return sorted([*plain, *(f"{name}.{kind}" for name in linears for kind in ("weight", "bias"))])


def _renamed(name: str, outside: Iterable[tuple[str, str]], inside: Iterable[tuple[str, str]]) -> str:
    """`name` by the first pair whose left side is the name or its beginning up to a dot."""
    head, pairs = "", outside
    if name.startswith("blocks."):
        _, number, name = name.split(".", 2)
        head, pairs = f"blocks.{number}.", inside
    for old, new in pairs:
        if name == old or name.startswith(old + "."):
            return head + new + name[len(old) :]
    return head + name
