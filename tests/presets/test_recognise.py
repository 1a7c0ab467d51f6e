"""Folders and files recognised as the models they are, in every layout; what cannot be told is told."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from kinora.core.errors import WeightsError
from kinora.presets.recognise import recognise
from kinora.presets.sizes import parameters_of
from kinora.presets.wan import OPEN_MODELS
from kinora.transformer.config import TransformerConfig

LAYOUTS = ("wan", "diffusers", "comfy")
PUBLISHED = {name: model.repositories["wan"].split("/")[1] for name, model in OPEN_MODELS.items()}
"""The folders' names as they are downloaded; only these tell 480p from 720p."""


@pytest.fixture(scope="session")
def downloads(write_wan, tmp_path_factory):
    """`downloads(name, layout)`: the files of a model, to be read and not changed."""
    made = {}

    def get(name, layout):
        if (name, layout) not in made:
            folder = tmp_path_factory.mktemp(layout) / PUBLISHED[name]
            made[name, layout] = write_wan(folder, name, layout, already_converted=True)
        return made[name, layout]

    return get


@pytest.fixture
def copied(downloads, tmp_path):
    """The same, to be changed."""

    def copy(name, layout):
        return shutil.copytree(downloads(name, layout), tmp_path / PUBLISHED[name])

    return copy


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", OPEN_MODELS)
def test_every_model_in_every_layout(downloads, wan_files, name, layout):
    folder, model = downloads(name, layout), OPEN_MODELS[name]
    found = recognise(folder)
    assert (found.preset, found.layout, found.home) == (name, layout, folder)
    assert TransformerConfig(**found.parts["transformer"]) == wan_files.reduced(model)
    assert found.parts["codec"]["kind"] == model.codec["kind"]
    assert found.parts["text"] == {
        "kind": "umt5", "width": 32, "layers": 2, "heads": 2, "ffn_width": 64, "vocabulary": 384, "length": 512,
    }  # fmt: skip
    image = {"width": 160, "layers": 3, "heads": 2, "ffn_width": 64, "patch": 14, "size": 224}
    assert found.parts.get("image") == (image if model.image else None)
    assert found.unconverted == ()
    parts = {file.part for file in found.files}
    expected = {"transformer", "codec", "text"}
    expected |= {"image"} if model.image else set()
    expected |= {"transformer_low"} if model.experts == 2 else set()
    assert parts - {"tokenizer"} == expected
    assert ("tokenizer" in parts) == (layout != "comfy")  # there it is inside the text encoder's file
    assert all((folder / file.name).stat().st_size == file.bytes for file in found.files)
    assert any("sizes are not those" in note for note in found.notes)


def test_the_first_expert_is_the_one_of_high_noise(downloads):
    for layout in LAYOUTS:
        found = recognise(downloads("wan2.2-t2v-a14b", layout))
        first = next(file.name for file in found.files if file.part == "transformer")
        second = next(file.name for file in found.files if file.part == "transformer_low")
        assert ("high" in first) or first.startswith("transformer/")
        assert ("low" in second) or second.startswith("transformer_2/")


def test_published_sizes_are_told_without_a_name(tmp_path):
    """Headers alone are read, so files of the true shapes can stand in for the real ones."""
    for name in ("wan2.1-t2v-1.3b", "wan2.1-t2v-14b"):
        folder = tmp_path / name.replace("wan2.1-t2v-", "size ").replace("1.3b", "small").replace("14b", "large")
        sparse_transformer(folder / "diffusion_pytorch_model.safetensors", OPEN_MODELS[name].transformer)
        with pytest.raises(WeightsError, match=f"autoencoder.*missing from {folder}"):
            recognise(folder)  # it goes on to the next part, so the model was told
        (folder / "Wan2.1_VAE.pth").touch()
        (folder / "models_t5_umt5-xxl-enc-bf16.pth").touch()
        (folder / "google" / "umt5-xxl").mkdir(parents=True)
        (folder / "google" / "umt5-xxl" / "spiece.model").touch()
        found = recognise(folder)
        assert found.preset == name
        assert found.notes == ()
        assert sorted(path.name for path in found.unconverted) == ["Wan2.1_VAE.pth", "models_t5_umt5-xxl-enc-bf16.pth"]
        assert found.parts["transformer"]["heads"] == OPEN_MODELS[name].transformer.heads
        assert found.parts["text"] == dict(OPEN_MODELS[name].text)


def sparse_transformer(path, config):
    """A file with the true header and no more than holes behind it."""
    from kinora.transformer.model import Transformer

    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in Transformer(config).state_dict().items()}
    header, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + 2 * torch.Size(shape).numel()
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    path.parent.mkdir()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)


def test_counts_of_parameters_are_the_published_ones():
    def count(name, part="transformer"):
        return round(parameters_of(OPEN_MODELS[name])[part] / 1e9, 3)

    assert count("wan2.1-t2v-1.3b") == 1.419
    assert count("wan2.1-t2v-14b") == 14.288
    assert count("wan2.1-i2v-14b-480p") == 16.395
    assert count("wan2.1-flf2v-14b") == 16.396
    assert count("wan2.2-ti2v-5b") == 5.000
    assert count("wan2.2-t2v-a14b", "transformer_low") == 14.288
    assert count("wan2.1-t2v-1.3b", "text") == 5.681


def test_what_is_counted_is_what_the_class_has():
    from kinora.presets.sizes import transformer_parameters
    from kinora.transformer.model import Transformer

    for name in ("wan2.1-t2v-1.3b", "wan2.1-flf2v-14b", "wan2.2-ti2v-5b", "wan2.2-i2v-a14b"):
        config = OPEN_MODELS[name].transformer
        with torch.device("meta"):
            built = sum(parameter.numel() for parameter in Transformer(config).parameters())
        assert transformer_parameters(config) == built, name


# ---- names decide where shapes cannot ----


def test_same_shapes_are_told_by_the_folder_s_name_or_the_caller(downloads, tmp_path):
    folder = tmp_path / "weights"
    shutil.copytree(downloads("wan2.1-i2v-14b-480p", "diffusers"), folder)
    with pytest.raises(WeightsError, match=r"wan2.1-i2v-14b-480p, wan2.1-i2v-14b-720p: .*--as NAME"):
        recognise(folder)
    assert recognise(folder, called="wan2.1-i2v-14b-720p").preset == "wan2.1-i2v-14b-720p"
    folder = folder.rename(tmp_path / "my_I2V_720P_weights")
    assert recognise(folder).preset == "wan2.1-i2v-14b-720p"


def test_a_name_that_the_shapes_contradict_is_refused(downloads):
    with pytest.raises(WeightsError, match=r"is not wan2.1-t2v-14b: it takes 48 \+ 0 channels"):
        recognise(downloads("wan2.2-ti2v-5b", "wan"), called="wan2.1-t2v-14b")
    with pytest.raises(WeightsError, match="no published model 'wan3'"):
        recognise(downloads("wan2.2-ti2v-5b", "wan"), called="wan3")


def test_one_of_two_experts_is_not_taken_for_a_whole_model(copied):
    folder = copied("wan2.2-t2v-a14b", "diffusers")
    shutil.rmtree(folder / "transformer_2")
    with pytest.raises(WeightsError, match=r"second transformer \(low noise\) is missing.*--part transformer_low=PATH"):
        recognise(folder)
    folder = copied("wan2.2-i2v-a14b", "comfy")
    next(folder.rglob("*low_noise*")).unlink()
    with pytest.raises(WeightsError, match="second transformer"):
        recognise(folder)


def test_experts_of_different_models_are_no_pair(copied, downloads):
    folder = copied("wan2.2-t2v-a14b", "wan")
    shutil.rmtree(folder / "low_noise_model")
    shutil.copytree(downloads("wan2.2-i2v-a14b", "wan") / "low_noise_model", folder / "low_noise_model")
    with pytest.raises(WeightsError, match="no pair"):
        recognise(folder)


# ---- ComfyUI's folders hold many models ----


@pytest.fixture(scope="session")
def comfy(write_wan, tmp_path_factory):
    """A ComfyUI folder with four models of three kinds, to be read."""
    home = tmp_path_factory.mktemp("many") / "ComfyUI"
    for name in ("wan2.1-i2v-14b-480p", "wan2.1-i2v-14b-720p", "wan2.2-t2v-a14b", "wan2.2-ti2v-5b"):
        write_wan(home / "models", name, "comfy")
    return home


def test_several_models_in_one_folder_are_listed(comfy):
    with pytest.raises(WeightsError, match=r"holds several models: .*ti2v_5B.*--part transformer=FILE") as told:
        recognise(comfy)
    assert str(told.value).count(".safetensors") == 4, "an expert and its partner are one model"


def test_one_of_several_is_chosen_by_name_by_file_or_by_part(comfy):
    assert recognise(comfy, called="wan2.2-ti2v-5b").parts["codec"]["kind"] == "wan22"
    assert recognise(comfy, called="wan2.2-t2v-a14b").parts["codec"]["kind"] == "wan21"
    chosen = recognise(comfy, called="wan2.1-i2v-14b-720p")
    assert any("720p" in file.name for file in chosen.files)
    files = comfy / "models" / "diffusion_models"
    low = recognise(files / "wan2.2_t2v_low_noise_14B_fp16.safetensors")
    assert [file.part for file in low.files][:2] == ["transformer", "transformer_low"]
    assert "high_noise" in low.files[0].name
    by_part = recognise(comfy, named={"transformer": files / "wan2.1_i2v_480p_14B_fp16.safetensors"})
    assert by_part.preset == "wan2.1-i2v-14b-480p"


def test_two_files_that_would_both_do_are_listed(comfy, tmp_path):
    comfy = shutil.copytree(comfy, tmp_path / "ComfyUI", copy_function=os.link)
    vae = comfy / "models" / "vae"
    shutil.copy(vae / "wan_2.1_vae.safetensors", vae / "another.safetensors")
    with pytest.raises(WeightsError, match=r"another\.safetensors, wan_2\.1_vae\.safetensors.*--part codec=FILE"):
        recognise(comfy, called="wan2.2-t2v-a14b")
    chosen = recognise(comfy, called="wan2.2-t2v-a14b", named={"codec": vae / "another.safetensors"})
    assert "vae/another.safetensors" in {file.name for file in chosen.files}


def test_other_people_s_files_among_them_do_not_matter(comfy, tmp_path):
    comfy = shutil.copytree(comfy, tmp_path / "ComfyUI", copy_function=os.link)
    models = comfy / "models"
    save_file({"double_blocks.0.weight": torch.ones(2)}, models / "diffusion_models" / "flux.safetensors")
    (models / "diffusion_models" / "half.safetensors").write_bytes(b"<html>")
    scaled = {"shared.weight": torch.ones(4, 32), "scaled_fp8": torch.zeros(2)}
    scaled |= {"encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight": torch.ones(32, 2)}
    save_file(scaled, models / "text_encoders" / "t5_fp8_scaled.safetensors")
    assert recognise(comfy, called="wan2.2-ti2v-5b").preset == "wan2.2-ti2v-5b"


def test_parts_may_lie_elsewhere(comfy, downloads, tmp_path):
    alone = tmp_path / "alone" / "wan2.2_ti2v_5B_fp16.safetensors"
    alone.parent.mkdir()
    shutil.copy(comfy / "models" / "diffusion_models" / alone.name, alone)
    with pytest.raises(WeightsError, match=r"autoencoder \(VAE\) is missing.*--part codec=PATH"):
        recognise(alone)
    whole = downloads("wan2.2-ti2v-5b", "wan")
    found = recognise(
        alone,
        named={
            "codec": whole / "Wan2.2_VAE.safetensors",
            "text": comfy / "models" / "text_encoders",
            "tokenizer": whole / "google" / "umt5-xxl",
        },
    )
    names = {file.part: file.name for file in found.files}
    assert names["transformer"] == alone.name
    assert names["codec"] == str(whole / "Wan2.2_VAE.safetensors"), "a file outside keeps its whole path"
    assert found.preset == "wan2.2-ti2v-5b"


def test_a_quantised_file_is_named_when_there_is_no_other(copied):
    folder = copied("wan2.2-ti2v-5b", "comfy")
    path = next((folder / "diffusion_models").iterdir())
    save_file({**load_file(path), "scaled_fp8": torch.zeros(2)}, path)
    with pytest.raises(WeightsError, match=r"is quantised.*Fetch the bf16 or fp16 file"):
        recognise(folder)


def test_fp8_is_read_of_the_text_encoder_alone(copied):
    folder = copied("wan2.2-ti2v-5b", "comfy")
    for part, accepted in (("text_encoders", True), ("diffusion_models", False)):
        path = next((folder / part).iterdir())
        tensors = load_file(path)
        name = next(name for name in tensors if tensors[name].ndim == 2 and tensors[name].is_floating_point())
        save_file({**tensors, name: tensors[name].to(torch.float8_e4m3fn)}, path)
        if accepted:
            assert recognise(folder).preset == "wan2.2-ti2v-5b"
        else:
            with pytest.raises(WeightsError, match=r"is quantised \(F8_E4M3\)"):
                recognise(folder)


def test_a_file_of_the_makers_folder_stands_for_the_folder(downloads):
    folder = downloads("wan2.2-ti2v-5b", "wan")
    shard = folder / "diffusion_pytorch_model-00002-of-00002.safetensors"
    assert recognise(shard) == recognise(folder)


# ---- pickles, and what is missing or broken ----


def test_pickles_are_named_until_they_are_converted(write_wan, tmp_path):
    folder = write_wan(tmp_path / PUBLISHED["wan2.1-i2v-14b-720p"], "wan2.1-i2v-14b-720p", "wan")
    found = recognise(folder)
    assert found.preset == "wan2.1-i2v-14b-720p"
    assert [path.suffix for path in found.unconverted] == [".pth"] * 3
    assert {file.part for file in found.files} == {"transformer", "tokenizer"}
    save_file(torch.load(folder / "Wan2.1_VAE.pth", weights_only=True), folder / "Wan2.1_VAE.safetensors")
    found = recognise(folder)
    assert [path.name[:9] for path in found.unconverted] == ["models_t5", "models_cl"]
    assert found.parts["codec"] == {"kind": "wan21", "width": 8, "channels": 16}


def test_a_missing_shard_is_named(copied):
    folder = copied("wan2.2-ti2v-5b", "wan")
    (folder / "diffusion_pytorch_model-00002-of-00002.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"diffusion_pytorch_model-00002-of-00002\.safetensors missing from"):
        recognise(folder)
    (folder / "diffusion_pytorch_model.safetensors.index.json").unlink()
    with pytest.raises(WeightsError, match=r"00002-of-00002\.safetensors missing"):
        recognise(folder)


def test_a_shard_cut_short_is_named(copied):
    folder = copied("wan2.2-ti2v-5b", "diffusers")
    path = min((folder / "transformer").glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match=rf"{path.name} is cut short"):
        recognise(folder)


def test_a_config_of_another_model_is_a_contradiction(copied):
    folder = copied("wan2.1-t2v-1.3b", "wan")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_layers": 30}))
    with pytest.raises(WeightsError, match="says num_layers 30, but the tensors say 2"):
        recognise(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(WeightsError, match=r"config\.json is no JSON"):
        recognise(folder)


def test_a_head_count_comes_from_the_config_alone(copied):
    folder = copied("wan2.1-t2v-1.3b", "wan")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_heads": 4}))
    assert recognise(folder).parts["transformer"]["heads"] == 4
    (folder / "config.json").unlink()
    assert recognise(folder).parts["transformer"]["heads"] == 2, "heads of 128"


def test_a_missing_tokenizer_is_named(copied):
    folder = copied("wan2.1-t2v-1.3b", "wan")
    shutil.rmtree(folder / "google")
    with pytest.raises(WeightsError, match=r"tokenizer.*google/umt5-xxl.*--part tokenizer=PATH"):
        recognise(folder)


def test_a_boundary_that_is_not_the_model_s_is_noted(copied):
    folder = copied("wan2.2-t2v-a14b", "diffusers")
    index = json.loads((folder / "model_index.json").read_text())
    assert index["boundary_ratio"] == 0.875, "as diffusers wrote it"
    (folder / "model_index.json").write_text(json.dumps({**index, "boundary_ratio": 0.8}))
    assert any("at 0.8; wan2.2-t2v-a14b is sampled with 0.875" in note for note in recognise(folder).notes)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"vace_blocks.0.before_proj.weight": torch.ones(1)}, "is Wan VACE"),
        ({"face_adapter.x": torch.ones(1)}, "is Wan Animate"),
    ],
)
def test_other_members_of_the_family_are_called_what_they_are(copied, extra, words):
    folder = copied("wan2.1-t2v-1.3b", "wan")
    path = folder / "diffusion_pytorch_model.safetensors"
    save_file({**load_file(path), **extra}, path)
    with pytest.raises(WeightsError, match=words):
        recognise(folder)


def test_channels_of_no_known_model_list_what_is_known(copied):
    folder = copied("wan2.1-t2v-1.3b", "wan")
    (folder / "config.json").unlink()
    path = folder / "diffusion_pytorch_model.safetensors"
    save_file({**load_file(path), "patch_embedding.weight": torch.ones(256, 52, 1, 2, 2)}, path)
    with pytest.raises(WeightsError, match=r"a kind Kinora does not run: it takes 16 \+ 36 channels.*wan2\.2-ti2v-5b"):
        recognise(folder)


def test_a_lora_is_no_model(tmp_path):
    save_file({"diffusion_model.blocks.0.self_attn.q.lora_A.weight": torch.ones(2, 4)}, tmp_path / "few.safetensors")
    with pytest.raises(WeightsError, match=r"is a LoRA, no model.*--base NAME"):
        recognise(tmp_path / "few.safetensors")


def test_folders_of_other_things_are_refused_with_what_would_do(tmp_path):
    with pytest.raises(WeightsError, match="nothing at"):
        recognise(tmp_path / "none")
    with pytest.raises(WeightsError, match=r"neither diffusion_pytorch_model.*nor model_index\.json"):
        recognise(tmp_path)
    (tmp_path / "diffusion_models").mkdir()
    with pytest.raises(WeightsError, match="no transformer of Wan"):
        recognise(tmp_path)
    with pytest.raises(WeightsError, match="no part 'vae'"):
        recognise(tmp_path, named={"vae": tmp_path})


def test_recognising_needs_no_torch(downloads):
    folder = downloads("wan2.2-ti2v-5b", "comfy")
    code = "import sys; sys.modules['torch'] = sys.modules['safetensors'] = None\n"
    code += f"from kinora.presets.recognise import recognise; print(recognise({str(folder)!r}).preset)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "wan2.2-ti2v-5b", done.stderr
