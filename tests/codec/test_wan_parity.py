"""Wan's autoencoders against diffusers', and against Wan's own code where a checkout of it is at hand."""

from __future__ import annotations

import importlib.util
import os
import sys
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kinora.codec import START, Wan21Codec, Wan22Codec, build_codec
from kinora.codec.keys import rename

REPOSITORY = "KINORA_WAN_REPOSITORY"
"""Names the folder of a checkout of Wan-Video/Wan2.1 or Wan-Video/Wan2.2; Wan 2.2's holds both autoencoders."""

CHANNELS = 4
MEAN, STD = [0.25, -0.5, 0.0, 1.0], [1.5, 0.5, 1.0, 2.0]


def our_codec(kind: str, width: int) -> Wan21Codec | Wan22Codec:
    sizes = {"width": width} if kind == "wan21" else {"encoder_width": width, "decoder_width": width + 4}
    made = build_codec({"kind": kind, "channels": CHANNELS, "mean": MEAN, "std": STD, **sizes})
    assert isinstance(made, (Wan21Codec, Wan22Codec))
    return made.requires_grad_(False).eval()


@pytest.fixture(scope="module")
def diffusers_codec() -> Callable[[str, int], Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # diffusers and what it imports warn of one another
        from diffusers import AutoencoderKLWan

    def make(kind: str, width: int) -> Any:
        given: dict[str, Any] = {"base_dim": width, "z_dim": CHANNELS, "latents_mean": MEAN, "latents_std": STD}
        if kind == "wan22":
            given |= {"decoder_base_dim": width + 4, "is_residual": True, "patch_size": 2, "in_channels": 12}
            given |= {"out_channels": 12, "scale_factor_spatial": 16}
        return AutoencoderKLWan(**given)

    return make


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).norm() / theirs.norm())


def normalised(raw_BCTHW: Tensor) -> Tensor:
    shape = (1, CHANNELS, 1, 1, 1)
    return (raw_BCTHW - torch.tensor(MEAN).view(shape)) / torch.tensor(STD).view(shape)


def raw(latent_BCTHW: Tensor) -> Tensor:
    shape = (1, CHANNELS, 1, 1, 1)
    return latent_BCTHW * torch.tensor(STD).view(shape) + torch.tensor(MEAN).view(shape)


def check(
    codec: Wan21Codec | Wan22Codec,
    encode: Callable[[Tensor], Tensor],
    decode: Callable[[Tensor], Tensor],
    frames: int,
    *,
    height: int = 32,
    width: int = 48,
) -> None:
    """Whole, in unequal chunks and by single latent frames."""
    generator = torch.Generator().manual_seed(frames)
    video_BCFHW = torch.rand(1, 3, frames, height, width, generator=generator) * 2 - 1
    count = 1 + (frames - 1) // 4
    with torch.no_grad():
        latent_BCTHW = normalised(encode(video_BCFHW))
        assert relative_error(codec.encode(video_BCFHW), latent_BCTHW) < 1e-5
        by_one = torch.cat(list(codec.encode_stream([video_BCFHW], at_once=1)), dim=2)
        assert relative_error(by_one, latent_BCTHW) < 1e-5
        given_BCTHW = 0.5 * torch.randn(latent_BCTHW.shape, generator=generator)
        truth_BCFHW = decode(raw(given_BCTHW))
        assert truth_BCFHW.std() > 0.05  # clamping has not taken all of it
        assert (truth_BCFHW.abs() < 1).float().mean() > 0.5
        assert relative_error(codec.decode(given_BCTHW), truth_BCFHW) < 1e-5
        state, pieces = START, []
        for piece in given_BCTHW.split([1, count - 1] if count > 1 else [1], dim=2):
            video_BCFHW, state = codec.decode_chunk(piece, state)
            pieces.append(video_BCFHW)
        assert relative_error(torch.cat(pieces, dim=2), truth_BCFHW) < 1e-5
        by_one = torch.cat(list(codec.decode_stream([given_BCTHW], at_once=1)), dim=2)
        assert relative_error(by_one, truth_BCFHW) < 1e-5


@pytest.mark.parametrize("kind", ["wan21", "wan22"])
@pytest.mark.parametrize(("frames", "width"), [(1, 6), (5, 6), (17, 6), (5, 48)])
def test_parity_with_diffusers(
    diffusers_codec: Callable[[str, int], Any],
    randomise: Callable[[nn.Module], None],
    kind: str,
    frames: int,
    width: int,
) -> None:
    """48 channels and more go through tiles."""
    theirs, ours = diffusers_codec(kind, width), our_codec(kind, width)
    randomise(theirs)
    tensors = theirs.state_dict()
    to_ours = rename(tensors)
    ours.load_state_dict({to_ours(name): tensor for name, tensor in tensors.items()})
    check(ours, lambda x: theirs.encode(x).latent_dist.mean, lambda z: theirs.decode(z).sample, frames)


def original(folder: Path, kind: str) -> nn.Module:
    """The autoencoder of Wan's own code, without the packages around it."""
    places = {"wan21": ("wan/modules/vae2_1.py", "wan/modules/vae.py"), "wan22": ("wan/modules/vae2_2.py",)}
    path = next((folder / place for place in places[kind] if (folder / place).is_file()), None)
    if path is None:
        pytest.skip(f"{folder} has no {' or '.join(places[kind])}")
    spec = importlib.util.spec_from_file_location(f"wan_original_{kind}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sizes: dict[str, Any] = {"z_dim": CHANNELS, "temperal_downsample": [False, True, True], "dim": 48}
    made: nn.Module = module.WanVAE_(**sizes, **({"dec_dim": 52} if kind == "wan22" else {}))
    return made


@pytest.mark.skipif(REPOSITORY not in os.environ, reason=f"{REPOSITORY} names no checkout of Wan's repository")
@pytest.mark.parametrize("kind", ["wan21", "wan22"])
def test_parity_with_wans_own_code(
    randomise: Callable[[nn.Module], None], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    if importlib.util.find_spec("einops") is None:
        monkeypatch.setitem(sys.modules, "einops", stand_in_for_einops())
    theirs, ours = original(Path(os.environ[REPOSITORY]), kind).eval(), our_codec(kind, 48)
    randomise(theirs)
    ours.load_state_dict(theirs.state_dict())
    scale = [torch.zeros(CHANNELS), torch.ones(CHANNELS)]
    for frames in (1, 5, 17):
        check(ours, lambda x: theirs.encode(x, scale), lambda z: theirs.decode(z, scale).clamp(-1, 1), frames)


def stand_in_for_einops() -> types.ModuleType:
    """The rearrangements that Wan's autoencoders ask of einops, where that is not installed."""

    def squares_to_channels(x: Tensor, q: int, r: int) -> Tensor:
        return x.unflatten(-1, (-1, r)).unflatten(-3, (-1, q)).permute(0, 1, 6, 4, 2, 3, 5).flatten(1, 3)

    def channels_to_squares(x: Tensor, q: int, r: int) -> Tensor:
        return x.unflatten(1, (-1, r, q)).permute(0, 1, 4, 5, 3, 6, 2).flatten(5, 6).flatten(3, 4)

    ways: dict[str, Callable[..., Tensor]] = {
        "bcthw->(bt)chw": lambda x: x.transpose(1, 2).flatten(0, 1),
        "(bt)chw->bcthw": lambda x, t: x.unflatten(0, (-1, t)).transpose(1, 2),
        "bcf(hq)(wr)->b(crq)fhw": squares_to_channels,
        "b(crq)fhw->bcf(hq)(wr)": channels_to_squares,
    }
    module = types.ModuleType("einops")
    module.rearrange = lambda x, way, **sizes: ways["".join(way.split())](x, **sizes)  # type: ignore[attr-defined]
    return module
