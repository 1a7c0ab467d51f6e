"""LoRA (Hu et al. 2021): small files that change a large model, merged into its weights while these are loaded.

    W' = W + scale (alpha / rank) up down

The namings in use differ in words alone: kohya's and ComfyUI's `lora_down`, `lora_up`, `alpha`; PEFT's and diffusers'
`lora_A`, `lora_B`, with alpha in the file's header or beside it; and whole differences `diff` (weights), `diff_b`
(biases), `diff_m` (modulations), as distilled models are published.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kinora.core.errors import WeightsError
from kinora.weights.header import read_header
from kinora.weights.mapped import open_tensors
from kinora.weights.naming import Naming, Rename

__all__ = ["Delta", "Lora", "load_lora", "merge"]

ENDINGS: Mapping[str, tuple[str, str]] = {
    ".lora_down.weight": ("down", ".weight"),
    ".lora_up.weight": ("up", ".weight"),
    ".lora_A.weight": ("down", ".weight"),
    ".lora_B.weight": ("up", ".weight"),
    ".lora_A.default.weight": ("down", ".weight"),
    ".lora_B.default.weight": ("up", ".weight"),
    ".lora_B.bias": ("difference", ".bias"),
    ".alpha": ("alpha", ".weight"),
    ".diff": ("difference", ".weight"),
    ".diff_b": ("difference", ".bias"),
    ".diff_m": ("difference", ".modulation"),
}
"""The end of a name: what the tensor is, and the end of the name of the tensor that it changes."""

PREFIXES = ("base_model.model.", "model.diffusion_model.", "diffusion_model.", "transformer.", "lora_unet_")
"""What trainers put before the names of the model."""

PEFT_CONFIG = "adapter_config.json"


@dataclass(frozen=True, kw_only=True, eq=False)
class Delta:
    """What is added to one tensor: `factor up down` or a whole `difference`."""

    up: Tensor | None = None
    down: Tensor | None = None
    difference: Tensor | None = None
    factor: float = 1.0
    """alpha / rank."""

    def fits(self, shape: torch.Size) -> bool:
        if self.difference is not None:
            return self.difference.shape == shape
        assert self.up is not None
        assert self.down is not None
        out, rank = self.up.flatten(1).shape
        rank_too, into = self.down.flatten(1).shape
        return rank == rank_too and out == shape[0] and into == shape[1:].numel() and len(shape) > 1

    def added(self, tensor: Tensor, scale: float) -> Tensor:
        """`tensor`, float32, with `scale` of this delta; kernels of convolutions are matrices here."""
        if self.difference is not None:
            return tensor.add(self.difference.to(tensor), alpha=scale * self.factor)
        assert self.up is not None
        assert self.down is not None
        product = self.up.to(tensor).flatten(1) @ self.down.to(tensor).flatten(1)
        return tensor.add(product.view_as(tensor), alpha=scale * self.factor)


@dataclass(frozen=True, kw_only=True, eq=False)
class Lora:
    """Changes by the name of the tensor they change; several files add up."""

    name: str
    """The files, for messages."""
    deltas: Mapping[str, tuple[Delta, ...]]


def load_lora(paths: Iterable[Path | str], rename: Rename | None = None) -> Lora:
    """The LoRA in these safetensors files, under the model's own names; several files are several LoRAs, summed.

    `rename` is asked with the names of the tensors that would be changed, without their trainer's prefix. Raises
    `WeightsError` for files that are no LoRA, of a kind that cannot be merged, or incomplete.
    """
    files = [Path(path) for path in paths]
    deltas: dict[str, tuple[Delta, ...]] = {}
    for path in files:
        found = _deltas(path)
        naming: Naming = (lambda name: name) if rename is None else rename(list(found))
        for stored, delta in found.items():
            name = naming(stored)
            if name is not None:
                deltas[name] = (*deltas.get(name, ()), delta)
    return Lora(name=", ".join(path.name for path in files), deltas=deltas)


def merge(tensors: Mapping[str, Tensor], lora: Lora, scale: float = 1.0) -> Mapping[str, Tensor]:
    """`tensors` with `scale` times the LoRA, computed in float32 and returned in each tensor's own dtype.

    A changed tensor is computed when it is asked for, so a model can be filled one tensor at a time; the others are
    handed on as they are. Raises `WeightsError` when any part of the LoRA finds no tensor that it fits.
    """
    by_joined = {name.replace(".", "_"): name for name in tensors}
    placed: dict[str, tuple[Delta, ...]] = {}
    misfits: list[str] = []
    for stored, deltas in lora.deltas.items():
        name = _place(stored, tensors, by_joined)
        if name is None:
            misfits.append(f"there is no {stored}")
        elif not all(delta.fits(tensors[name].shape) for delta in deltas):
            misfits.append(f"{name} has shape {tuple(tensors[name].shape)}, to which it does not fit")
        else:
            placed[name] = (*placed.get(name, ()), *deltas)
    if misfits:
        raise WeightsError(
            f"{lora.name} was made for another model: {len(lora.deltas) - len(misfits)} of its {len(lora.deltas)} "
            f"changes fit, {len(misfits)} do not; {misfits[0]}. Use it with the model it names, or leave it out."
        )
    return _Merged(tensors, placed, scale)


class _Merged(Mapping[str, Tensor]):
    """Tensors of which some are computed when they are asked for, each time anew."""

    def __init__(self, tensors: Mapping[str, Tensor], deltas: Mapping[str, tuple[Delta, ...]], scale: float) -> None:
        self._tensors, self._deltas, self._scale = tensors, deltas, scale

    def __getitem__(self, name: str) -> Tensor:
        tensor = self._tensors[name]
        if name not in self._deltas:
            return tensor
        changed = tensor.float()
        for delta in self._deltas[name]:
            changed = delta.added(changed, self._scale)
        return changed.to(tensor.dtype)

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


def _place(stored: str, tensors: Mapping[str, Tensor], by_joined: Mapping[str, str]) -> str | None:
    """The model's tensor that a LoRA means: by its name; without `.weight`, for a parameter that has no module of its
    own; or with every dot an underscore, as kohya writes it.
    """
    for name in (stored, stored.removesuffix(".weight")):
        if name in tensors:
            return name
    return by_joined.get(stored.replace(".", "_"))


def _deltas(path: Path) -> dict[str, Delta]:
    """What one file adds, by the name of the tensor as the file's trainer knows it."""
    pieces: dict[str, dict[str, Tensor]] = {}
    strangers: list[str] = []
    for name, tensor in open_tensors([path]).items():
        ending = next((ending for ending in ENDINGS if name.endswith(ending)), None)
        if ending is None:
            strangers.append(name)
            continue
        kind, tail = ENDINGS[ending]
        target = _without_prefix(name.removesuffix(ending)) + tail
        pieces.setdefault(target, {})[kind] = tensor
    if strangers:
        raise WeightsError(
            f"{path.name} is no LoRA that can be merged: {len(strangers)} of its tensors are neither factors nor "
            f"differences, such as {strangers[0]}. Take a plain LoRA (no LoKr, LoHa or DoRA); add a whole model as one."
        )
    alpha = _peft_alpha(path)
    return {target: _delta(path, target, piece, alpha) for target, piece in pieces.items()}


def _delta(path: Path, target: str, piece: Mapping[str, Tensor], alpha: float | None) -> Delta:
    if "difference" in piece and not {"up", "down"} & piece.keys():
        return Delta(difference=piece["difference"])
    if not {"up", "down"} <= piece.keys() or "difference" in piece:
        raise WeightsError(
            f"{path.name} is incomplete: of {target} it has {' and '.join(sorted(piece))}, "
            "where it takes an up and a down, or a difference. Fetch it again."
        )
    if "alpha" in piece:
        alpha = float(piece["alpha"])
    factor = 1.0 if alpha is None else alpha / piece["down"].shape[0]
    return Delta(up=piece["up"], down=piece["down"], factor=factor)


def _without_prefix(name: str) -> str:
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _peft_alpha(path: Path) -> float | None:
    """The alpha of all tensors where the file's header (diffusers) or the file beside it (PEFT) tells it."""
    beside = path.with_name(PEFT_CONFIG)
    told = read_header(path).metadata.get("lora_adapter_metadata")
    if told is None and path.name.startswith("adapter_model") and beside.exists():
        told = beside.read_text(encoding="utf-8")
    if told is None:
        return None
    try:
        config: dict[str, Any] = {name.rpartition(".")[2]: value for name, value in json.loads(told).items()}
        special = [name for name in ("use_dora", "use_rslora", "alpha_pattern", "rank_pattern") if config.get(name)]
        alpha = config.get("lora_alpha")
        if not special:
            return None if alpha is None else float(alpha)
    except (ValueError, TypeError, AttributeError) as error:
        raise WeightsError(
            f"What {path.name} says of its own training cannot be read ({error}). Fetch it again."
        ) from error
    raise WeightsError(
        f"{path.name} was trained with {special[0]}, which cannot be merged as a plain LoRA. Take one without it."
    )
