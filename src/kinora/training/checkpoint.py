"""A run's memory: weights, their average, optimiser state, and the few numbers the loop carries, in one file.

There is no random state in it: a step's randomness comes from (seed, step).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from kinora.core.errors import WeightsError
from kinora.training.files import write_atomically

__all__ = ["Checkpoint", "load_checkpoint", "save_checkpoint"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Checkpoint:
    """Everything needed to go on with `step` as the next step to take."""

    step: int
    carried: Mapping[str, Any]
    """Plain numbers the loop carries from step to step."""
    model: Mapping[str, Tensor]
    average: Mapping[str, Tensor]
    optimiser: Mapping[str, Tensor]


_GROUPS = ("model", "average", "optimiser")


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write it atomically: after a crash there is the old one or the new one."""
    tensors = {
        f"{group}/{name}": tensor.detach().cpu().contiguous()
        for group in _GROUPS
        for name, tensor in getattr(checkpoint, group).items()
    }
    # One entry: safetensors writes several in any order, and equal checkpoints are to be equal files.
    header = {"run": json.dumps({"step": checkpoint.step, "carried": dict(checkpoint.carried)})}
    content = save(tensors, metadata=header)
    write_atomically(path, lambda file: file.write(content))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read one; raises `WeightsError` when the file is damaged."""
    groups: dict[str, dict[str, Tensor]] = {group: {} for group in _GROUPS}
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads(file.metadata()["run"])
            for full in file.keys():  # noqa: SIM118 - no mapping, only a reader
                group, name = full.split("/", 1)
                groups[group][name] = file.get_tensor(full)
        return Checkpoint(step=header["step"], carried=header["carried"], **groups)
    except Exception as error:
        raise WeightsError(f"The checkpoint {path} cannot be read ({error}); remove it to start again.") from error
