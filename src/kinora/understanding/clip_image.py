"""CLIP's vision tower (Radford et al. 2021; ViT-H/14 as open_clip trained it), which gives Wan 2.1's image models the
meaning of the pictures they go on from, through transformers.

What is used is the input of its last layer, one vector for the picture and one for each square of it; the last layer is
therefore not built at all.

Axes: B batch, C colours, H W pixels, L tokens (1 + squares), D width.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from kinora.core.errors import InputError, WeightsError
from kinora.language.extras import extra_package
from kinora.weights.mapped import fill, open_tensors
from kinora.weights.naming import Naming, renamed

__all__ = ["ClipConfig", "Fit", "ImageTokens", "clip_pixels", "open_image_tokens", "rename"]

WHAT = "the image encoder (CLIP)"
PURPOSE = "Reading a picture as CLIP does"

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""Of the pictures that CLIP was trained on, per colour in [0, 1]."""

Fit = Literal["squeeze", "crop"]
"""How a picture becomes a square. Wan squeezes all of it into one, and its models were trained so; diffusers cuts the
middle out, as CLIP itself was trained.
"""


@dataclass(frozen=True, kw_only=True)
class ClipConfig:
    """Sizes of the tower; `kinora.presets.wan.CLIP_VIT_H` holds those of the published one."""

    width: int
    layers: int
    heads: int
    ffn_width: int
    patch: int
    """Side of a square, in pixels."""
    size: int
    """Side of the picture, in pixels."""

    def __post_init__(self) -> None:
        if self.width % self.heads or self.size % self.patch or self.layers < 2:
            raise InputError(
                f"No tower of {self.layers} layers, {self.heads} heads in a width of {self.width} and squares of "
                f"{self.patch} in {self.size} pixels: two layers at least, and no remainders."
            )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ClipConfig:
        """From a manifest's mapping; raises `WeightsError` when that is not one."""
        try:
            return cls(**{name: value for name, value in values.items() if name != "kind"})
        except (TypeError, InputError) as error:
            raise WeightsError(f"This manifest describes no image encoder ({error}). Add the model again.") from error

    @property
    def tokens(self) -> int:
        """Tokens of one picture: 257 of the published tower."""
        return 1 + (self.size // self.patch) ** 2


class ImageTokens(nn.Module):
    """Pictures as tokens for `Conditions.image_BLD`."""

    def __init__(self, config: ClipConfig, tower: nn.Module, *, fit: Fit = "squeeze") -> None:
        """`tower` is transformers' `CLIPVisionModel` but for its last layer; `open_image_tokens` makes one of files."""
        super().__init__()
        self.config = config
        self.fit = fit
        self.tower = tower
        self.eval()

    @property
    def width(self) -> int:
        return self.config.width

    @torch.no_grad()
    def encode(self, pictures: Sequence[npt.NDArray[np.uint8]]) -> Tensor:
        """Tokens (1, L per picture, D) of one uint8 picture (H, W, 3) or several, one after the other."""
        weight = next(self.tower.parameters())
        pixels_BCHW = torch.cat([clip_pixels(rgb_HW3, self.config.size, self.fit) for rgb_HW3 in pictures])
        image_BLD: Tensor = self.tower(pixel_values=pixels_BCHW.to(weight)).last_hidden_state
        return image_BLD.flatten(0, 1)[None]


def clip_pixels(rgb_HW3: npt.NDArray[np.uint8], size: int, fit: Fit) -> Tensor:
    """A picture as CLIP takes it, (1, 3, size, size) float32.

    "squeeze" interpolates as Wan does (`wan/modules/clip.py`: bicubic between the nearest pixels, over values that are
    not rounded); "crop" as CLIP's own processor (Pillow's bicubic, which averages what it shrinks, rounded to bytes).
    """
    if fit == "squeeze":
        signed_CHW = torch.from_numpy(rgb_HW3.copy()).permute(2, 0, 1).float() / 127.5 - 1
        square_BCHW = functional.interpolate(signed_CHW[None], size=(size, size), mode="bicubic", align_corners=False)
        return _normalised(square_BCHW * 0.5 + 0.5)
    height, width = rgb_HW3.shape[:2]
    short = min(height, width)
    scaled_WH = (size * width // short, size * height // short)
    scaled_HW3 = np.asarray(Image.fromarray(rgb_HW3).resize(scaled_WH, Image.Resampling.BICUBIC))
    top, left = (scaled_WH[1] - size) // 2, (scaled_WH[0] - size) // 2
    middle_HW3 = scaled_HW3[top : top + size, left : left + size]
    return _normalised(torch.from_numpy(middle_HW3.copy()).permute(2, 0, 1)[None].float() / 255)


def _normalised(rgb_BCHW: Tensor) -> Tensor:
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    return (rgb_BCHW - mean) / std


def open_image_tokens(
    values: Mapping[str, Any],
    paths: Iterable[Path | str],
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    fit: Fit = "squeeze",
) -> ImageTokens:
    """The tower from its safetensors files.

    `values` is the manifest's config; `paths` are one file or all its shards, under Wan's own names (the whole CLIP,
    whose text side is left out), transformers' (also ComfyUI's). Raises `WeightsError` when they do not fit.
    """
    config = ClipConfig.from_dict(values)
    tensors = renamed(open_tensors(paths), rename)
    last = f"encoder.layers.{config.layers - 1}."
    if not any(name.startswith(last) for name in tensors):
        raise WeightsError(f"{WHAT} of {config.layers} layers has no layer {config.layers - 1} in these files.")
    tower = _tower_on_meta(config)
    fill(
        tower,
        {name: tensor for name, tensor in _unfused(tensors).items() if not name.startswith(last)},
        WHAT,
        dtype=dtype,
        device=device,
    )
    if device is not None:
        tower.to(device)
    return ImageTokens(config, tower, fit=fit)


FROM_WAN: Mapping[str, str] = MappingProxyType({
    "norm1": "layer_norm1",
    "attn.to_qkv": "self_attn.qkv",
    "attn.proj": "self_attn.out_proj",
    "norm2": "layer_norm2",
    "mlp.0": "mlp.fc1",
    "mlp.2": "mlp.fc2",
})  # fmt: skip
"""Parts of a layer in Wan's own file and in transformers, but for `qkv`, which is three there."""

OUTSIDE: Mapping[str, str] = MappingProxyType({
    "cls_embedding": "embeddings.class_embedding",
    "pos_embedding": "embeddings.position_embedding.weight",
    "patch_embedding.weight": "embeddings.patch_embedding.weight",
    "pre_norm.weight": "pre_layrnorm.weight",
    "pre_norm.bias": "pre_layrnorm.bias",
    "post_norm.weight": "post_layernorm.weight",
    "post_norm.bias": "post_layernorm.bias",
})  # fmt: skip


def rename(names: Iterable[str]) -> Naming:
    """The renaming for a file of these names, Wan's own or transformers'; None leaves out what is not of the tower."""
    wan = any(name.startswith("visual.transformer.") for name in names)
    return _from_wan if wan else _from_hf


def _from_wan(name: str) -> str | None:
    if name.startswith("textual.") or name in ("log_scale", "visual.head"):
        return None
    name = name.removeprefix("visual.")
    found = re.fullmatch(r"transformer\.(\d+)\.(.+)\.(weight|bias)", name)
    if found is None or found[2] not in FROM_WAN:
        return OUTSIDE.get(name, name)
    return f"encoder.layers.{found[1]}.{FROM_WAN[found[2]]}.{found[3]}"


def _from_hf(name: str) -> str | None:
    if name.startswith("text_model.") or name in ("visual_projection.weight", "text_projection.weight", "logit_scale"):
        return None
    name = name.removeprefix("vision_model.")
    return None if name == "embeddings.position_ids" else name


def _unfused(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Wan's queries, keys and values apart, its embeddings without axes of length 1; others as they are."""
    apart: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if ".qkv." in name:
            for part, piece in zip("qkv", tensor.chunk(3), strict=True):
                apart[name.replace(".qkv.", f".{part}_proj.")] = piece
        elif name == "embeddings.class_embedding":
            apart[name] = tensor.flatten()
        else:
            apart[name] = tensor[0] if name == "embeddings.position_embedding.weight" and tensor.ndim == 3 else tensor
    return apart


def _tower_on_meta(config: ClipConfig) -> Any:
    """One layer short, its positions counted out; what is left to fill is the weights."""
    transformers = extra_package("transformers", PURPOSE)
    settings = transformers.CLIPVisionConfig(
        hidden_size=config.width,
        intermediate_size=config.ffn_width,
        num_hidden_layers=config.layers - 1,
        num_attention_heads=config.heads,
        image_size=config.size,
        patch_size=config.patch,
        hidden_act="gelu",
    )
    with torch.device("meta"):
        model = transformers.CLIPVisionModel(settings)
    # transformers 4 keeps the tower in an attribute, 5 is the tower.
    tower: Any = getattr(model, "vision_model", model)
    tower.embeddings.position_ids = torch.arange(config.tokens)[None]
    return tower
