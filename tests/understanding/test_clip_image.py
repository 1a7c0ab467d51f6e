"""CLIP's tower beside transformers, diffusers' preprocessing and, where a checkout is named, Wan's own tower."""

import importlib
import math
import os
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch.nn import functional

from kinora.core.errors import WeightsError
from kinora.presets.wan import CLIP_VIT_H
from kinora.understanding.clip_image import ClipConfig, clip_pixels, open_image_tokens, rename

SIZES = {"width": 32, "layers": 3, "heads": 4, "ffn_width": 64, "patch": 56, "size": 224}
WAN_REPOSITORY = os.environ.get("KINORA_WAN_REPOSITORY")
SHAPES = [(480, 832), (300, 200), (224, 224), (97, 61), (100, 333)]


@pytest.fixture(scope="module")
def theirs():
    """transformers' tower with random weights, every part having its say."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(0)
    model = CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4, image_size=224,
            patch_size=56, hidden_act="gelu", projection_dim=16,
        )
    )  # fmt: skip
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(1.0 if "norm" in name and "weight" in name else 0.0, 0.1)
    return model.eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, theirs) -> Path:
    """The download in every layout."""
    home = tmp_path_factory.mktemp("clip")
    comfy = {name: tensor.detach().clone() for name, tensor in theirs.state_dict().items()}
    save_file(comfy | {"vision_model.embeddings.position_ids": torch.arange(17)[None]}, home / "comfy.safetensors")
    hf = {name: tensor for name, tensor in comfy.items() if name != "visual_projection.weight"}
    save_file(hf, home / "hf.safetensors")
    bare = {name.removeprefix("vision_model."): tensor for name, tensor in hf.items()}
    save_file(bare, home / "bare.safetensors")
    save_file(wan_tensors(bare), home / "wan.safetensors")
    return home


def wan_tensors(hf) -> dict:
    """The same weights under the names of Wan's own file, the text side beside them."""
    wan = {
        "visual.cls_embedding": hf["embeddings.class_embedding"].view(1, 1, -1).clone(),
        "visual.pos_embedding": hf["embeddings.position_embedding.weight"][None].clone(),
        "visual.patch_embedding.weight": hf["embeddings.patch_embedding.weight"],
        "visual.head": torch.zeros(32, 16),
        "textual.token_embedding.weight": torch.zeros(5, 4),
        "textual.blocks.0.norm1.weight": torch.zeros(4),
        "log_scale": torch.zeros(()),
    }
    for kind in ("weight", "bias"):
        wan[f"visual.pre_norm.{kind}"] = hf[f"pre_layrnorm.{kind}"]
        wan[f"visual.post_norm.{kind}"] = hf[f"post_layernorm.{kind}"]
        for i in range(3):
            there, here = f"visual.transformer.{i}.", f"encoder.layers.{i}."
            qkv = [hf[f"{here}self_attn.{part}_proj.{kind}"] for part in "qkv"]
            wan |= {
                f"{there}attn.to_qkv.{kind}": torch.cat(qkv),
                f"{there}attn.proj.{kind}": hf[f"{here}self_attn.out_proj.{kind}"],
                f"{there}norm1.{kind}": hf[f"{here}layer_norm1.{kind}"],
                f"{there}norm2.{kind}": hf[f"{here}layer_norm2.{kind}"],
                f"{there}mlp.0.{kind}": hf[f"{here}mlp.fc1.{kind}"],
                f"{there}mlp.2.{kind}": hf[f"{here}mlp.fc2.{kind}"],
            }
    return wan


@pytest.fixture(scope="module")
def pictures():
    draw = np.random.default_rng(0)
    return [draw.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in SHAPES]


def opened(folder, name="hf", **asked):
    return open_image_tokens(SIZES, [folder / f"{name}.safetensors"], **asked)


def relative(value, wanted) -> float:
    return ((value - wanted).norm() / wanted.norm()).item()


def test_tokens_are_those_of_diffusers(folder, theirs, pictures):
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    model = opened(folder, fit="crop")
    for rgb_HW3 in pictures:
        pixels = CLIPImageProcessorPil()(images=Image.fromarray(rgb_HW3), return_tensors="pt").pixel_values
        with torch.no_grad():
            wanted_BLD = theirs(pixel_values=pixels, output_hidden_states=True).hidden_states[-2]
        image_BLD = model.encode([rgb_HW3])
        assert image_BLD.shape == (1, 17, 32)
        assert relative(image_BLD, wanted_BLD) < 1e-5


def test_pixels_are_those_of_diffusers_processor(pictures):
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    for rgb_HW3 in pictures:
        wanted = CLIPImageProcessorPil()(images=Image.fromarray(rgb_HW3), return_tensors="pt").pixel_values
        assert torch.allclose(clip_pixels(rgb_HW3, 224, "crop"), wanted, atol=1e-5)


def test_pixels_are_those_of_wan(pictures):
    """The arithmetic of `CLIPModel.visual`, whose pictures come in [-1, 1]."""
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)
    for rgb_HW3 in pictures:
        signed = torch.from_numpy(rgb_HW3).permute(2, 0, 1).float().div(255).sub(0.5).div(0.5)
        square = functional.interpolate(signed[None], size=(224, 224), mode="bicubic", align_corners=False)
        assert torch.allclose(clip_pixels(rgb_HW3, 224, "squeeze"), (square * 0.5 + 0.5 - mean) / std, atol=1e-5)


def test_squeezing_keeps_the_edges_that_cropping_loses():
    wide = np.zeros((100, 400, 3), np.uint8)
    wide[:, :40] = 255
    squeezed, cropped = clip_pixels(wide, 224, "squeeze"), clip_pixels(wide, 224, "crop")
    assert squeezed[..., 5].min() > 1.5
    assert (cropped[..., 5] < -1).all()


@pytest.mark.parametrize("name", ["wan", "comfy", "bare"])
def test_every_layout_gives_the_same(folder, pictures, name):
    assert torch.equal(opened(folder, name).encode(pictures[:1]), opened(folder).encode(pictures[:1]))


def test_two_pictures_stand_one_after_the_other(folder, pictures):
    model = opened(folder)
    both_BLD = model.encode(pictures[:2])
    assert both_BLD.shape == (1, 34, model.width)
    for i in range(2):
        assert relative(both_BLD[:, 17 * i : 17 * i + 17], model.encode([pictures[i]])) < 1e-5


def test_the_last_layer_is_not_built_and_half_weights_stay_half(folder, pictures):
    model = opened(folder, dtype=torch.bfloat16)
    assert not any("layers.2" in name for name, _ in model.named_parameters())
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    image_BLD = model.encode(pictures[:1])
    assert image_BLD.dtype == torch.bfloat16
    assert relative(image_BLD.float(), opened(folder).encode(pictures[:1])) < 0.02


def test_the_published_tower_gives_257_tokens():
    assert ClipConfig.from_dict(CLIP_VIT_H).tokens == 257


def test_loading_says_nothing(folder, pictures, capfd):
    opened(folder).encode(pictures[:1])
    assert capfd.readouterr() == ("", "")


def test_files_that_do_not_fit_are_refused(folder, theirs):
    hf = {name: tensor.detach().clone() for name, tensor in theirs.state_dict().items()}
    del hf["vision_model.encoder.layers.1.mlp.fc1.bias"]
    save_file(hf | {"vision_model.strange": torch.ones(2)}, folder / "odd.safetensors")
    with pytest.raises(WeightsError, match=r"missing: encoder\.layers\.1\.mlp\.fc1\.bias.*unknown: strange"):
        opened(folder, "odd")
    with pytest.raises(WeightsError, match="has no layer 4"):
        open_image_tokens(SIZES | {"layers": 5}, [folder / "hf.safetensors"])
    with pytest.raises(WeightsError, match=r"encoder\.layers\.2"):
        open_image_tokens(SIZES | {"layers": 2}, [folder / "hf.safetensors"])
    for wrong in ({"depth": 2}, {"heads": 5}, {"patch": 50}, {"layers": 1}):
        with pytest.raises(WeightsError, match="no image encoder"):
            open_image_tokens(SIZES | wrong, [folder / "hf.safetensors"])


def test_renaming_leaves_out_what_is_not_of_the_tower():
    wan, hf = rename(["visual.transformer.0.norm1.weight"]), rename(["vision_model.post_layernorm.weight"])
    assert [wan(name) for name in ("textual.norm.weight", "log_scale", "visual.head")] == [None] * 3
    assert [hf(name) for name in ("visual_projection.weight", "text_model.final_layer_norm.bias")] == [None] * 2
    assert wan("visual.transformer.3.strange") == "transformer.3.strange"


@pytest.mark.skipif(not WAN_REPOSITORY, reason="KINORA_WAN_REPOSITORY names no checkout of Wan-Video/Wan2.1")
def test_tokens_are_those_of_wan_s_own_tower(folder, pictures, monkeypatch):
    """`wan/modules/clip.py` with plain attention in the place of its CUDA kernel; torchvision stays out of it."""
    from safetensors.torch import load_file

    for name in ("torchvision", "torchvision.transforms"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    package = types.ModuleType("wan_clip_reference")
    package.__path__ = [str(Path(WAN_REPOSITORY) / "wan" / "modules")]
    monkeypatch.setitem(sys.modules, "wan_clip_reference", package)
    original = importlib.import_module("wan_clip_reference.clip")

    def attention(q, k, v, **_):
        weight = torch.softmax(torch.einsum("bqhc,bkhc->bhqk", q, k) / math.sqrt(q.shape[-1]), dim=-1)
        return torch.einsum("bhqk,bkhc->bqhc", weight, v)

    monkeypatch.setattr(original, "flash_attention", attention)
    tower = original.VisionTransformer(
        image_size=224, patch_size=56, dim=32, mlp_ratio=2, out_dim=16, num_heads=4, num_layers=3, activation="gelu"
    ).eval()
    stored = load_file(folder / "wan.safetensors")
    tower.load_state_dict({k.removeprefix("visual."): v for k, v in stored.items() if k.startswith("visual.")})
    with torch.no_grad():
        wanted_BLD = tower(clip_pixels(pictures[0], 224, "squeeze"), use_31_block=True)
    assert relative(opened(folder, "wan").encode(pictures[:1]), wanted_BLD) < 1e-5
