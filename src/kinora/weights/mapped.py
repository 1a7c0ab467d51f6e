"""Published weights, read in place: tensors mapped from their files into memory, and modules made of them.

Nothing is copied: a tensor is a window on its file, whose pages are read when they are first touched and belong to the
system's cache, so that two processes with the same model share them. A converted tensor (another dtype or device) is
the only copy there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from kinora.core.errors import WeightsError
from kinora.weights.header import read_header

__all__ = ["fill", "open_tensors"]

SCALED = ("scale_weight", "scale_input", "scaled_fp8")
"""Last words of the names that ComfyUI's scaled fp8 files put beside their tensors."""

SHOWN = 4
"""Names of each kind that a message lists; the rest are counted."""


def open_tensors(paths: Iterable[Path | str]) -> dict[str, Tensor]:
    """The tensors of safetensors files (one file or all its shards) under the names they have there.

    Tensors are read-only by agreement: writing to one makes a private copy of its pages and never reaches the file.
    Raises `WeightsError` for a file that is no safetensors, for a name that comes twice, and for fp8 files that need
    their scales.
    """
    tensors: dict[str, Tensor] = {}
    origin: dict[str, str] = {}
    for path in map(Path, paths):
        for name, tensor in _mapped(path):
            if name in tensors:
                raise WeightsError(
                    f"{name} comes twice: in {origin[name]} and in {path.name}. "
                    "These files are not shards of one model; name those of one model only."
                )
            tensors[name], origin[name] = tensor, path.name
    if not tensors:
        raise WeightsError(
            "These files hold no tensor of the part that was asked for. Name the files of the model itself."
        )
    return tensors


def fill(
    module_on_meta: nn.Module,
    tensors: Mapping[str, Tensor],
    what: str,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> None:
    """Give a module built on the meta device its tensors, as they are: mapped ones stay mapped.

    Only where `dtype` or `device` asks for it is a floating tensor converted, one at a time (fp8 is cast as it
    stands). Parameters come out with `requires_grad` false. `what` names the part in the `WeightsError` that lists
    missing, unknown and misshapen names.
    """
    own = module_on_meta.state_dict()
    missing, unknown = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    misshapen: list[str] = []
    ready: dict[str, Tensor] = {}
    for name in sorted(own.keys() & tensors.keys()):
        tensor = tensors[name]
        if tensor.shape != own[name].shape:
            misshapen.append(f"{name} {tuple(tensor.shape)} instead of {tuple(own[name].shape)}")
        elif not (missing or unknown or misshapen):
            ready[name] = _converted(name, tensor, dtype, device)
    _refuse_misfits(what, {"missing": missing, "unknown": unknown, "of another shape": misshapen})
    module_on_meta.requires_grad_(False)
    module_on_meta.load_state_dict(ready, strict=True, assign=True)
    left = [name for name, tensor in module_on_meta.named_buffers() if tensor.is_meta]
    assert not left, f"{what} has buffers that no file fills: {left}. They must be computed when they are needed."


def _mapped(path: Path) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of one file with the name it has there."""
    names = list(read_header(path).tensors)
    _refuse_scaled(path, names)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            for name in names:
                yield name, file.get_tensor(name)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} cannot be read as safetensors ({error}). Fetch it again.") from error


def _converted(name: str, tensor: Tensor, dtype: torch.dtype | None, device: torch.device | str | None) -> Tensor:
    if dtype is None and tensor.is_floating_point() and tensor.element_size() == 1:
        raise WeightsError(
            f"{name} is stored in {str(tensor.dtype).removeprefix('torch.')}, in which nothing is computed here. "
            "Ask for a dtype to convert to, such as bfloat16."
        )
    return tensor.to(device=device, dtype=dtype if tensor.is_floating_point() else None)


def _refuse_scaled(path: Path, names: Sequence[str]) -> None:
    scaled = [name for name in names if name.rpartition(".")[2] in SCALED]
    if scaled:
        raise WeightsError(
            f"{path.name} holds fp8 tensors with scales of their own ({len(scaled)} of them, such as {scaled[0]}), "
            "which Kinora does not read. Take the bf16 or fp16 file of the same model."
        )


def _refuse_misfits(what: str, misfits: Mapping[str, Sequence[str]]) -> None:
    """One error that lists the first few names of each kind."""
    listed = []
    for kind, names in misfits.items():
        if names:
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            listed.append(f"{len(names)} {kind}: {', '.join(names[:SHOWN])}{more}")
    if listed:
        raise WeightsError(
            f"The tensors do not fit {what}: {'; '.join(listed)}. "
            "The files belong to another model, or some of them are missing: check which model they are."
        )
