"""Other names for the same weights.

Kinora keeps Wan's own parameter names. diffusers renames them (scripts/convert_wan_to_diffusers.py), ComfyUI and others
put a prefix before them; a checkpoint in any naming is read by renaming its keys, never by a second class.
"""

from __future__ import annotations

from collections.abc import Iterable

from kinora.weights.naming import Naming

__all__ = ["COMFY_PREFIX", "DIFFUSERS", "PREFIXES", "from_diffusers", "rename", "to_diffusers", "wan_names"]

COMFY_PREFIX = "model.diffusion_model."

PREFIXES = (COMFY_PREFIX, "diffusion_model.", "transformer.", "model.", "module.")
"""What is found before the names of a transformer: ComfyUI's checkpoints with several models in one file, its files of
one model, diffusers' pipelines, and what training wrappers leave behind.
"""

LANDMARK = "patch_embedding.weight"
"""A tensor that every naming calls the same: what stands before it is the prefix."""

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

UNUSED = "attn2.norm_added_q"
"""A norm that some converted image models carry in every block, and that nothing is multiplied by."""


def rename(names: Iterable[str]) -> Naming:
    """The way from the naming that `names` (all those of a checkpoint) have to Wan's.

    It gives None for what is no part of the transformer: another model in the same file, a tensor nothing uses. A name
    that no table knows comes back as it is, for the loader to list.
    """
    known = set(names)
    prefix = next((prefix for prefix in PREFIXES if prefix + LANDMARK in known and LANDMARK not in known), "")
    # A LoRA has none of the names outside the blocks.
    foreign = any(
        name.startswith(prefix + "condition_embedder.") or ".attn1." in name or ".attn2." in name for name in known
    )

    def renamed(name: str) -> str | None:
        if not name.startswith(prefix):
            return None
        name = name.removeprefix(prefix)
        if not foreign:
            return name
        return None if UNUSED in name else from_diffusers(name)

    return renamed


def from_diffusers(name: str) -> str:
    """Wan's name for diffusers' name of a tensor."""
    return _renamed(name, [(b, a) for a, b in DIFFUSERS], [(b, a) for a, b in DIFFUSERS_IN_BLOCK])


def to_diffusers(name: str) -> str:
    """diffusers' name for Wan's name of a tensor."""
    return _renamed(name, DIFFUSERS, DIFFUSERS_IN_BLOCK)


def wan_names(layers: int, *, image: bool = False, positions: bool = False) -> list[str]:
    """Every name that Wan's transformers give their tensors, sorted: of those that take text alone, or image tokens
    too, or image tokens that are told their places.
    """
    linears = ["text_embedding.0", "text_embedding.2", "time_embedding.0", "time_embedding.2", "time_projection.1"]
    linears += ["patch_embedding", "head.head"]
    linears += [f"img_emb.proj.{n}" for n in (0, 1, 3, 4) if image]
    plain = ["head.modulation"] + ["img_emb.emb_pos"] * positions
    for n in range(layers):
        block = f"blocks.{n}."
        plain.append(block + "modulation")
        linears += [block + name for name in ("norm3", "ffn.0", "ffn.2")]
        for attention in ("self_attn.", "cross_attn."):
            linears += [block + attention + name for name in "qkvo"]
            plain += [block + attention + name for name in ("norm_q.weight", "norm_k.weight")]
        if image:
            linears += [block + "cross_attn.k_img", block + "cross_attn.v_img"]
            plain.append(block + "cross_attn.norm_k_img.weight")
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
