"""LoRA in every naming, merged into weights whose result is known."""

import json

import pytest
import torch
from safetensors.torch import save_file

from kinora.core.errors import WeightsError
from kinora.transformer.keys import from_diffusers
from kinora.weights.lora import load_lora, merge
from kinora.weights.mapped import fill

Q, BIAS, FFN = "blocks.0.self_attn.q.weight", "blocks.0.self_attn.q.bias", "blocks.0.ffn.0.weight"
PATCH, NORM, MODULATION = "patch_embedding.weight", "blocks.0.self_attn.norm_q.weight", "blocks.0.modulation"
RANK = 2


@pytest.fixture
def model():
    torch.manual_seed(0)
    return {
        Q: torch.randn(6, 6),
        BIAS: torch.randn(6),
        FFN: torch.randn(8, 6),
        PATCH: torch.randn(6, 3, 1, 2, 2),
        NORM: torch.randn(6),
        MODULATION: torch.randn(1, 6, 6),
    }


@pytest.fixture
def down():
    return torch.randn(RANK, 6, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def up():
    return torch.randn(6, RANK, generator=torch.Generator().manual_seed(2))


def saved(folder, tensors, name="lora.safetensors", **metadata):
    save_file({key: value.clone() for key, value in tensors.items()}, folder / name, metadata=metadata or None)
    return folder / name


NAMINGS = {
    "comfy": ("diffusion_model.blocks.0.self_attn.q", "lora_down.weight", "lora_up.weight"),
    "whole checkpoint": ("model.diffusion_model.blocks.0.self_attn.q", "lora_down.weight", "lora_up.weight"),
    "kohya": ("lora_unet_blocks_0_self_attn_q", "lora_down.weight", "lora_up.weight"),
    "lightx2v": ("diffusion_model.blocks.0.self_attn.q", "lora_A.weight", "lora_B.weight"),
    "peft": ("base_model.model.blocks.0.self_attn.q", "lora_A.default.weight", "lora_B.default.weight"),
    "plain": ("blocks.0.self_attn.q", "lora_A.weight", "lora_B.weight"),
    "diffusers": ("transformer.blocks.0.attn1.to_q", "lora_A.weight", "lora_B.weight"),
}


@pytest.mark.parametrize("naming", NAMINGS)
def test_every_naming_gives_the_same_weight(tmp_path, model, down, up, naming):
    stem, down_word, up_word = NAMINGS[naming]
    path = saved(tmp_path, {f"{stem}.{down_word}": down, f"{stem}.{up_word}": up})
    rename = (lambda names: from_diffusers) if naming == "diffusers" else None
    merged = merge(model, load_lora([path], rename))
    assert torch.allclose(merged[Q], model[Q] + up @ down, atol=1e-6)
    assert list(merged) == list(model)
    assert all(merged[name] is model[name] for name in model if name != Q)


def test_rename_is_asked_with_every_name_that_would_be_changed(tmp_path, model, down, up):
    asked = []

    def rename(names):
        asked.extend(names)
        return lambda name: name.replace("attention", "self_attn") if "attention" in name else None

    pair = {"lora_A.weight": down, "lora_B.weight": up}
    tensors = {f"transformer.blocks.0.attention.q.{word}": tensor for word, tensor in pair.items()}
    tensors |= {f"transformer.other.{word}": tensor for word, tensor in pair.items()}
    lora = load_lora([saved(tmp_path, tensors)], rename)
    assert sorted(asked) == ["blocks.0.attention.q.weight", "other.weight"]
    assert list(lora.deltas) == [Q]


@pytest.mark.parametrize(("alpha", "factor"), [(None, 1.0), (2.0, 1.0), (1.0, 0.5), (8.0, 4.0)])
@pytest.mark.parametrize("scale", [1.0, 0.25, -1.0, 0.0])
def test_alpha_counts_by_rank_and_scale_as_it_is(tmp_path, model, down, up, alpha, factor, scale):
    stem = "diffusion_model.blocks.0.self_attn.q"
    tensors = {f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up}
    if alpha is not None:
        tensors[f"{stem}.alpha"] = torch.tensor(alpha)
    merged = merge(model, load_lora([saved(tmp_path, tensors)]), scale)
    assert torch.allclose(merged[Q], model[Q] + scale * factor * (up @ down), atol=1e-5)


def test_alpha_of_diffusers_stands_in_the_header(tmp_path, model, down, up):
    stem = "transformer.blocks.0.self_attn.q"
    told = json.dumps({"transformer.lora_alpha": 6, "transformer.r": RANK, "transformer.use_dora": False})
    tensors = {f"{stem}.lora_A.weight": down, f"{stem}.lora_B.weight": up}
    path = saved(tmp_path, tensors, lora_adapter_metadata=told)
    assert torch.allclose(merge(model, load_lora([path]))[Q], model[Q] + 3.0 * (up @ down), atol=1e-5)


def test_alpha_of_peft_stands_in_the_file_beside(tmp_path, model, down, up):
    stem = "base_model.model.blocks.0.self_attn.q"
    tensors = {f"{stem}.lora_A.weight": down, f"{stem}.lora_B.weight": up}
    path = saved(tmp_path, tensors, "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(json.dumps({"lora_alpha": 1, "r": RANK}))
    assert torch.allclose(merge(model, load_lora([path]))[Q], model[Q] + 0.5 * (up @ down), atol=1e-5)


@pytest.mark.parametrize("told", [{"use_dora": True}, {"rank_pattern": {"q": 4}}, {"use_rslora": True}])
def test_training_that_cannot_be_merged_plainly_is_refused_by_name(tmp_path, down, up, told):
    tensors = {"blocks.0.q.lora_A.weight": down, "blocks.0.q.lora_B.weight": up}
    path = saved(tmp_path, tensors, lora_adapter_metadata=json.dumps(told))
    with pytest.raises(WeightsError, match=next(iter(told))):
        load_lora([path])


def test_a_header_that_is_no_json_is_an_error(tmp_path, down, up):
    tensors = {"blocks.0.q.lora_A.weight": down, "blocks.0.q.lora_B.weight": up}
    with pytest.raises(WeightsError, match="cannot be read"):
        load_lora([saved(tmp_path, tensors, lora_adapter_metadata="[1, 2")])


def test_whole_differences_are_added_to_weights_biases_norms_and_modulation(tmp_path, model):
    difference = {name: torch.randn(tensor.shape) for name, tensor in model.items()}
    tensors = {
        "diffusion_model.blocks.0.self_attn.q.diff": difference[Q],
        "diffusion_model.blocks.0.self_attn.q.diff_b": difference[BIAS],
        "diffusion_model.blocks.0.self_attn.norm_q.diff": difference[NORM],
        "diffusion_model.blocks.0.diff_m": difference[MODULATION],
        "diffusion_model.patch_embedding.diff": difference[PATCH],
        "diffusion_model.blocks.0.ffn.0.diff": difference[FFN],
    }
    merged = merge(model, load_lora([saved(tmp_path, tensors)]), 0.5)
    for name, tensor in model.items():
        assert torch.allclose(merged[name], tensor + 0.5 * difference[name], atol=1e-6), name


def test_a_difference_and_factors_of_one_layer_stand_together(tmp_path, model, down, up):
    """As distilled models come: factors for the weight, a whole difference for its bias."""
    stem = "diffusion_model.blocks.0.self_attn.q"
    tensors = {f"{stem}.lora_A.weight": down, f"{stem}.lora_B.weight": up, f"{stem}.diff_b": torch.ones(6)}
    merged = merge(model, load_lora([saved(tmp_path, tensors)]))
    assert torch.allclose(merged[Q], model[Q] + up @ down, atol=1e-6)
    assert torch.allclose(merged[BIAS], model[BIAS] + 1.0)


def test_a_parameter_without_a_module_is_found(tmp_path, model):
    path = saved(tmp_path, {"diffusion_model.blocks.0.modulation.diff": torch.ones(1, 6, 6)})
    assert torch.allclose(merge(model, load_lora([path]))[MODULATION], model[MODULATION] + 1.0)


def test_kernels_are_matrices_here(tmp_path, model, up):
    down = torch.randn(RANK, 3, 1, 2, 2)
    kernel = {"patch_embedding.lora_down.weight": down, "patch_embedding.lora_up.weight": up[:, :, None, None, None]}
    merged = merge(model, load_lora([saved(tmp_path, kernel)]))
    expected = model[PATCH] + torch.einsum("or,rcthw->octhw", up, down)
    assert torch.allclose(merged[PATCH], expected, atol=1e-6)


def test_several_files_add_up(tmp_path, model, down, up):
    stem = "diffusion_model.blocks.0.self_attn.q"
    first = saved(tmp_path, {f"{stem}.lora_A.weight": down, f"{stem}.lora_B.weight": up}, "a.safetensors")
    second = saved(tmp_path, {f"{stem}.diff": torch.ones(6, 6)}, "b.safetensors")
    merged = merge(model, load_lora([first, second]), 2.0)
    assert torch.allclose(merged[Q], model[Q] + 2 * (up @ down + 1), atol=1e-5)


def test_merging_is_done_in_float32_and_given_back_in_the_weights_dtype(tmp_path, model, down, up):
    """A change of half a unit in the last place, made twice, is lost when each is rounded by itself."""
    half = {name: torch.ones_like(tensor).bfloat16() for name, tensor in model.items()}
    step = 2.0**-8  # half of bfloat16's spacing just above 1
    stem = "diffusion_model.blocks.0.self_attn.q"
    paths = [saved(tmp_path, {f"{stem}.diff": torch.full((6, 6), step)}, f"{i}.safetensors") for i in range(2)]
    merged = merge(half, load_lora(paths))
    assert merged[Q].dtype == torch.bfloat16
    assert (merged[Q] == 1 + 2 * step).all()


def test_merged_tensors_fill_a_module_and_leave_the_weights_alone(tmp_path, down, up):
    with torch.device("meta"):
        module = torch.nn.Linear(6, 6)
    weights = {"weight": torch.randn(6, 6), "bias": torch.randn(6)}
    before = weights["weight"].clone()
    path = saved(tmp_path, {"diffusion_model.lora_A.weight": down, "diffusion_model.lora_B.weight": up})
    lora = load_lora([path], lambda names: lambda name: "weight")
    fill(module, merge(weights, lora), "it")
    assert torch.allclose(module.weight, before + up @ down, atol=1e-6)
    assert torch.equal(weights["weight"], before)
    assert module.bias.data_ptr() == weights["bias"].data_ptr()


def test_a_lora_for_another_model_says_how_much_of_it_fits(tmp_path, model, down, up):
    stem = "diffusion_model.blocks.{}.self_attn.q"
    tensors = {}
    for block in (0, 30, 31):
        tensors |= {f"{stem.format(block)}.lora_A.weight": down, f"{stem.format(block)}.lora_B.weight": up}
    lora = load_lora([saved(tmp_path, tensors, "anime.safetensors")])
    with pytest.raises(WeightsError, match=r"anime\.safetensors was made for another model: 1 of its 3 .* blocks\.3"):
        merge(model, lora)


@pytest.mark.parametrize(
    ("key", "down_shape", "up_shape"),
    [("blocks.0.self_attn.q", (2, 5), (6, 2)), ("blocks.0.self_attn.q", (2, 6), (7, 2)),
     ("blocks.0.self_attn.q", (2, 6), (6, 3)), ("blocks.0.self_attn.norm_q", (2, 1), (6, 2))],
)  # fmt: skip
def test_factors_of_another_shape_do_not_fit(tmp_path, model, key, down_shape, up_shape):
    tensors = {f"{key}.lora_A.weight": torch.ones(down_shape), f"{key}.lora_B.weight": torch.ones(up_shape)}
    with pytest.raises(WeightsError, match=r"0 of its 1 .* does not fit"):
        merge(model, load_lora([saved(tmp_path, tensors)]))


def test_a_difference_of_another_shape_does_not_fit(tmp_path, model):
    with pytest.raises(WeightsError, match="does not fit"):
        merge(model, load_lora([saved(tmp_path, {"blocks.0.self_attn.q.diff": torch.ones(6, 1)})]))


def test_half_a_pair_is_incomplete(tmp_path, down):
    with pytest.raises(WeightsError, match=r"incomplete: of blocks\.0\.self_attn\.q\.weight it has alpha and down"):
        load_lora([saved(tmp_path, {"blocks.0.self_attn.q.lora_A.weight": down, "blocks.0.self_attn.q.alpha": down})])


@pytest.mark.parametrize("stranger", [Q, "blocks.0.self_attn.q.hada_w1_a", "blocks.0.self_attn.q.dora_scale"])
def test_what_is_no_lora_is_refused_with_an_example(tmp_path, down, stranger):
    path = saved(tmp_path, {stranger: down})
    with pytest.raises(WeightsError, match=stranger):
        load_lora([path])
