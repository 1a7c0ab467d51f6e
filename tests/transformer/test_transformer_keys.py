"""Foreign names are a table that can be walked both ways."""

import pytest

from kinora.transformer.keys import PREFIXES, from_diffusers, rename, to_diffusers, wan_names
from kinora.weights.naming import renamed


@pytest.mark.parametrize(
    ("wan", "diffusers"),
    [
        ("blocks.7.self_attn.o.weight", "blocks.7.attn1.to_out.0.weight"),
        ("blocks.7.cross_attn.norm_k.weight", "blocks.7.attn2.norm_k.weight"),
        ("blocks.7.cross_attn.norm_k_img.weight", "blocks.7.attn2.norm_added_k.weight"),
        ("blocks.11.norm3.bias", "blocks.11.norm2.bias"),
        ("blocks.0.modulation", "blocks.0.scale_shift_table"),
        ("blocks.0.ffn.0.weight", "blocks.0.ffn.net.0.proj.weight"),
        ("head.modulation", "scale_shift_table"),
        ("head.head.bias", "proj_out.bias"),
        ("time_projection.1.weight", "condition_embedder.time_proj.weight"),
        ("img_emb.emb_pos", "condition_embedder.image_embedder.pos_embed"),
        ("patch_embedding.weight", "patch_embedding.weight"),
    ],
)
def test_known_names(wan, diffusers):
    assert to_diffusers(wan) == diffusers
    assert from_diffusers(diffusers) == wan


def test_every_name_comes_back():
    names = wan_names(layers=12)
    foreign = [to_diffusers(name) for name in names]
    assert len(set(foreign)) == len(names)
    assert [from_diffusers(name) for name in foreign] == names


def test_wan_2_1_text_to_video_1_3b_has_825_tensors():
    assert len(wan_names(layers=30)) == 825


def names(kind):
    return wan_names(2, image=kind != "text", positions=kind == "positions")


@pytest.mark.parametrize("kind", ["text", "image", "positions"])
@pytest.mark.parametrize("prefix", ["", *PREFIXES])
@pytest.mark.parametrize("foreign", [False, True])
def test_any_naming_is_understood(kind, prefix, foreign):
    stored = {prefix + (to_diffusers(name) if foreign else name): name for name in names(kind)}
    naming = rename(stored)
    assert {name: naming(name) for name in stored} == stored
    assert renamed(stored, rename) == {name: name for name in names(kind)}


def test_image_models_have_the_tensors_they_are_published_with():
    """Wan 2.1 image to video: 5 for each of 40 blocks and 8 more than text to video, and 1 more with positions."""
    assert len(wan_names(40, image=True)) - len(wan_names(40)) == 5 * 40 + 8
    assert len(wan_names(40, image=True, positions=True)) - len(wan_names(40, image=True)) == 1


def test_other_models_in_the_same_file_are_left_out():
    stored = [f"model.diffusion_model.{name}" for name in names("text")]
    naming = rename([*stored, "first_stage_model.decoder.conv1.weight", "cond_stage_model.norm.weight"])
    assert naming("first_stage_model.decoder.conv1.weight") is None
    assert naming("model.diffusion_model.head.head.bias") == "head.head.bias"


def test_a_norm_that_nothing_uses_is_left_out_of_diffusers_models_only():
    foreign = [to_diffusers(name) for name in names("image")]
    assert rename(foreign)("blocks.1.attn2.norm_added_q.weight") is None
    assert rename(foreign)("blocks.1.attn2.norm_added_k.weight") == "blocks.1.cross_attn.norm_k_img.weight"
    assert rename(names("image"))("blocks.1.attn2.norm_added_q.weight") == "blocks.1.attn2.norm_added_q.weight"


def test_unknown_names_come_back_for_the_loader_to_list():
    assert rename(names("text"))("vace_blocks.0.before_proj.weight") == "vace_blocks.0.before_proj.weight"
    assert rename(["some.other.thing"])("some.other.thing") == "some.other.thing"
