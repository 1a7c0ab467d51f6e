"""The miniatures other tests stand on are what they say: every part builds, fills and runs, in every layout."""

import pytest
import torch

from kinora.codec.build import build_codec
from kinora.codec.keys import rename as codec_names
from kinora.language.umt5 import open_umt5
from kinora.presets.wan import OPEN_MODELS
from kinora.transformer.config import TransformerConfig
from kinora.transformer.keys import rename as transformer_names
from kinora.transformer.model import Transformer
from kinora.weights.manifest import read_manifest
from kinora.weights.mapped import fill, open_tensors
from kinora.weights.naming import renamed
from kinora.weights.placed import check_sizes, placed_paths

LAYOUTS = ("wan", "diffusers", "comfy")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["wan2.1-flf2v-14b", "wan2.2-ti2v-5b", "wan2.2-t2v-a14b"])
def test_every_part_takes_its_tensors(wan_model, wan_files, name, layout):
    folder = wan_model(name, layout)
    manifest = read_manifest(folder)
    check_sizes(folder, manifest)
    experts = ["transformer", "transformer_low"][: OPEN_MODELS[name].experts]
    for number, part in enumerate(experts):
        with torch.device("meta"):
            module = Transformer(TransformerConfig(**manifest.parts["transformer"]))
        tensors = renamed(open_tensors(placed_paths(folder, manifest, part)), transformer_names)
        fill(module, tensors, part)
        for key, tensor in wan_files.transformer_weights(name, number).items():
            torch.testing.assert_close(tensors[key], tensor, rtol=0, atol=0)
    codec = build_codec(manifest.parts["codec"])
    stored = open_tensors(placed_paths(folder, manifest, "codec"))
    fill(codec, renamed(stored, codec_names), "codec")
    reader = open_umt5(
        manifest.parts["text"],
        placed_paths(folder, manifest, "text"),
        placed_paths(folder, manifest, "tokenizer"),
        dtype=torch.float32,
    )
    text_BLD = reader.encode(["a red ball rolls"])
    assert text_BLD.shape[2] == manifest.parts["transformer"]["text_width"]
    torch.testing.assert_close(text_BLD, text_of(wan_files, "a red ball rolls"), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_image_encoder_takes_its_tensors(wan_model, layout):
    from kinora.understanding.clip_image import open_image_tokens

    folder = wan_model("wan2.1-i2v-14b-480p", layout)
    manifest = read_manifest(folder)
    tokens = open_image_tokens(manifest.parts["image"], placed_paths(folder, manifest, "image"))
    picture_HW3 = torch.randint(0, 255, (40, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    image_BLD = tokens.encode([picture_HW3.numpy()])
    assert image_BLD.shape == (1, 257, manifest.parts["transformer"]["image_width"])


def text_of(wan_files, text):
    ids = torch.tensor([[*wan_files.tokenizer().encode(text, add_special_tokens=False).ids, 1]])
    with torch.no_grad():
        return wan_files.text_encoder()(ids).last_hidden_state
