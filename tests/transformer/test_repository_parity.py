"""The same velocities as the model code of Wan-Video/Wan2.1 or Wan2.2, where there is a checkout to run.

KINORA_WAN_REPOSITORY=<folder of a checkout of either> pytest tests/transformer/test_repository_parity.py
The code runs as it stands but for its attention, which wants a GPU: torch's takes its place.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import types
import warnings
from pathlib import Path

import pytest
import torch
from torch.nn import functional

CHECKOUT = os.environ.get("KINORA_WAN_REPOSITORY", "")
pytestmark = [
    pytest.mark.skipif(not CHECKOUT, reason="KINORA_WAN_REPOSITORY names no checkout of Wan-Video/Wan2.1 or Wan2.2"),
    pytest.mark.filterwarnings("ignore:.*torch.cuda.amp.autocast:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*CUDA is not available:UserWarning"),
]

KINDS = {
    "wan2.1-t2v-14b": "t2v",
    "wan2.1-i2v-14b-480p": "i2v",
    "wan2.1-flf2v-14b": "flf2v",
    "wan2.2-ti2v-5b": "ti2v",
    "wan2.2-t2v-a14b": "t2v",
    "wan2.2-i2v-a14b": "i2v",
}


def plain_attention(q, k, v, k_lens=None, window_size=(-1, -1)):
    """What their `flash_attention` computes where nothing is padded and no window is set."""
    assert window_size == (-1, -1)
    assert k_lens is None or bool((k_lens == k.shape[1]).all())
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return functional.scaled_dot_product_attention(q, k, v).transpose(1, 2)


@pytest.fixture(scope="module")
def code():
    """Their `wan/modules/model.py`, imported without the package around it, which wants much that is not needed."""
    package = types.ModuleType("wan_reference")
    package.__path__ = [str(Path(CHECKOUT) / "wan" / "modules")]
    sys.modules["wan_reference"] = package
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = importlib.import_module("wan_reference.model")
    module.flash_attention = plain_attention
    return module


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("levels", ["clip", "frame"])
def test_every_kind_gives_what_the_original_gives(small_wan, code, name, levels):
    of_2_1 = "clip_fea" in inspect.signature(code.WanModel.forward).parameters
    if of_2_1 != name.startswith("wan2.1"):
        pytest.skip(f"{name} belongs to the other repository")
    if of_2_1 and levels == "frame":
        pytest.skip("Wan 2.1 knows one level a clip")
    case = small_wan(name, head_width=128, levels=levels)
    config = case.model.config
    original = code.WanModel(
        KINDS[name], in_dim=config.channels + config.extra_channels, out_dim=config.channels, dim=config.width,
        ffn_dim=config.ffn_width, text_dim=config.text_width, num_heads=config.heads, num_layers=config.layers,
    ).eval()  # fmt: skip
    original.load_state_dict(case.model.state_dict(), strict=True)
    time = 1000 * case.sigma_BTHW[:, :, ::2, ::2].flatten(1)
    beside = {"y": None if case.conditions.extra_BCTHW is None else list(case.conditions.extra_BCTHW)}
    image = case.conditions.image_BLD
    if image is not None:
        beside["clip_fea"] = image if not config.image_positions else image.unflatten(1, (2, -1)).flatten(0, 1)
    text = [row[row.ne(0).any(dim=1)] for row in case.conditions.text_BLD]
    with torch.no_grad():
        time = time[:, 0] if of_2_1 else time
        wanted = torch.stack(original(list(case.latent_BCTHW), time, text, 36, **beside))
    for given in (case.conditions, case.model.prepare(case.conditions)):
        with torch.inference_mode():
            got = case.model(*case.inputs[:3], given)
        assert float((got - wanted).norm() / wanted.norm()) < 2e-6
