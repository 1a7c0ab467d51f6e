"""Foreign names are a table that can be walked both ways."""

import pytest

from kinora.transformer.keys import COMFY_PREFIX, from_diffusers, to_diffusers, wan_keys, wan_names


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


def test_any_naming_is_understood():
    plain = {name: i for i, name in enumerate(wan_names(layers=2))}
    assert wan_keys(plain) == plain
    assert wan_keys({COMFY_PREFIX + name: value for name, value in plain.items()}) == plain
    assert wan_keys({to_diffusers(name): value for name, value in plain.items()}) == plain
