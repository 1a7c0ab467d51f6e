"""Optimisers, learning-rate schedule, moving average, and the guard against bad steps.

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/) moves a matrix by its momentum made orthogonal;
everything that is not a matrix inside a block goes to AdamW. PyTorch's own Muon orthogonalises in bfloat16, which a CPU
without bfloat16 instructions computes a thousand times slower than float32; this one keeps float32 there, and works on
all matrices of one shape at once.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["Average", "Guard", "Muon", "OptimiserConfig", "Optimisers", "learning_rate_factor", "orthogonalise"]

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Quintic coefficients: steep at zero, so that five iterations bring every singular value near one."""


@dataclass(frozen=True, kw_only=True)
class OptimiserConfig:
    """How weights move."""

    muon_rate: float = 0.02
    """Learning rate of matrices inside blocks."""
    momentum: float = 0.95
    adam_rate: float = 1e-3
    """Learning rate of everything else."""
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.01
    clip: float = 1.0
    """Largest norm of the whole gradient."""
    warm_up: float = 0.02
    """Share of all steps over which the rate rises from zero."""
    cool_down: float = 0.25
    """Share of all steps at the end over which it falls to zero."""
    average: float = 0.999
    """Decay of the moving average of weights; it starts warm."""


def learning_rate_factor(step: int, steps: int, config: OptimiserConfig) -> float:
    """Factor on the learning rate at `step` of `steps`: up, level, then straight down to zero."""
    up = max(1.0, config.warm_up * steps)
    down = max(1.0, config.cool_down * steps)
    return max(0.0, min(1.0, (step + 1) / up, (steps - step) / down))


def orthogonalise(matrices_NRC: Tensor, iterations: int = 5) -> Tensor:
    """The nearest semi-orthogonal matrices, roughly (most singular values within 0.7 to 1.2), by Newton and Schulz."""
    a, b, c = NEWTON_SCHULZ
    x_NRC = matrices_NRC.to(torch.bfloat16) if matrices_NRC.is_cuda else matrices_NRC
    tall = x_NRC.shape[-2] > x_NRC.shape[-1]
    if tall:
        x_NRC = x_NRC.mT
    x_NRC = x_NRC / x_NRC.norm(dim=(-2, -1), keepdim=True).clamp_min(1e-7)
    for _ in range(iterations):
        gram_NRR = x_NRC @ x_NRC.mT
        x_NRC = torch.baddbmm(x_NRC, torch.baddbmm(gram_NRR, gram_NRR, gram_NRR, beta=b, alpha=c), x_NRC, beta=a)
    return (x_NRC.mT if tall else x_NRC).to(matrices_NRC.dtype)


class Muon(torch.optim.Optimizer):
    """Momentum, made orthogonal. Only for matrices."""

    def __init__(self, params: Iterable[nn.Parameter], *, lr: float, momentum: float, weight_decay: float) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update; `closure` is not used."""
        for group in self.param_groups:
            shapes: dict[torch.Size, list[nn.Parameter]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    shapes[parameter.shape].append(parameter)
            for parameters in shapes.values():
                self._step_alike(parameters, group["lr"], group["momentum"], group["weight_decay"])

    def _step_alike(self, parameters: list[nn.Parameter], rate: float, momentum: float, decay: float) -> None:
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        buffers: list[Tensor] = []
        for parameter in parameters:
            state = self.state[parameter]
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(parameter)
            buffers.append(state["momentum"])
        torch._foreach_lerp_(buffers, gradients, 1.0 - momentum)
        nesterov = torch._foreach_lerp(gradients, buffers, momentum)
        rows, columns = parameters[0].shape
        # Taller matrices take longer steps, so that a step changes the output by as much whatever the shape.
        update_NRC = orthogonalise(torch.stack(list(nesterov))).mul_(-rate * math.sqrt(max(1.0, rows / columns)))
        weights: list[Tensor] = list(parameters)
        torch._foreach_mul_(weights, 1.0 - rate * decay)
        for weight, update_RC in zip(weights, update_NRC.unbind(), strict=True):
            weight.add_(update_RC)


class Optimisers:
    """Muon for matrices inside blocks, AdamW for the rest, driven as one."""

    def __init__(self, named: Iterable[tuple[str, nn.Parameter]], config: OptimiserConfig) -> None:
        self.config = config
        matrices: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for name, parameter in named:
            if parameter.requires_grad:
                (matrices if _is_block_matrix(name, parameter) else others).append(parameter)
        self.parameters: list[nn.Parameter] = [*matrices, *others]
        self._members: dict[str, torch.optim.Optimizer] = {}
        if matrices:
            self._members["muon"] = Muon(
                matrices, lr=config.muon_rate, momentum=config.momentum, weight_decay=config.weight_decay
            )
        if others:
            self._members["adam"] = torch.optim.AdamW(
                others, lr=config.adam_rate, betas=config.betas, weight_decay=0.0, fused=True
            )
        self._rates = {name: member.param_groups[0]["lr"] for name, member in self._members.items()}

    def clip(self) -> float:
        """Bring the whole gradient's norm down to the limit; returns the norm as it was."""
        return float(torch.nn.utils.clip_grad_norm_(self.parameters, self.config.clip))

    def step(self, factor: float) -> None:
        """One update at `factor` times the configured rates."""
        for name, member in self._members.items():
            member.param_groups[0]["lr"] = self._rates[name] * factor
            member.step()

    def zero_grad(self) -> None:
        for member in self._members.values():
            member.zero_grad(set_to_none=True)

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """All state by name, for a checkpoint."""
        for name, member in self._members.items():
            for index, state in member.state_dict()["state"].items():
                for key, value in state.items():
                    yield f"{name}.{index}.{key}", value

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of `tensors`."""
        for name, member in self._members.items():
            state: dict[int, dict[str, Tensor]] = defaultdict(dict)
            for full, value in tensors.items():
                owner, index, key = full.split(".")
                if owner == name:
                    state[int(index)][key] = value
            member.load_state_dict({"state": dict(state), "param_groups": member.state_dict()["param_groups"]})


class Average:
    """Exponential moving average of weights; it leans on the latest at first, so that a short run has a use for it."""

    def __init__(self, named: Iterable[tuple[str, nn.Parameter]], decay: float) -> None:
        named = list(named)
        self._decay = decay
        self._live = [parameter for _, parameter in named]
        self.tensors: dict[str, Tensor] = {name: parameter.detach().clone() for name, parameter in named}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Follow the weights as they are after `step`."""
        decay = min(self._decay, (1.0 + step) / (10.0 + step))
        torch._foreach_lerp_(list(self.tensors.values()), [parameter.detach() for parameter in self._live], 1.0 - decay)


class Guard:
    """Says which steps must not be taken: losses that are no number, and spikes.

    A level that stays is no spike: after `patience` refusals in a row it forgets what was usual.
    """

    def __init__(
        self, *, window: int = 64, loss_factor: float = 4.0, norm_factor: float = 20.0, patience: int = 8
    ) -> None:
        self._window = window
        self._loss_factor = loss_factor
        self._norm_factor = norm_factor
        self._patience = patience
        self.losses: list[float] = []
        self.norms: list[float] = []
        self.refused = 0

    def complaint(self, loss: float, norm: float) -> str | None:
        """Why a step is to be skipped, or None; good steps are remembered."""
        if not (math.isfinite(loss) and math.isfinite(norm)):
            return f"not a number: loss {loss:g}, gradient norm {norm:g}"
        spike = self._spike(loss, norm)
        if spike is not None and self.refused < self._patience:
            self.refused += 1
            return spike
        if spike is not None:
            self.losses, self.norms = [], []
        self.refused = 0
        self.losses = [*self.losses, loss][-self._window :]
        self.norms = [*self.norms, norm][-self._window :]
        return None

    def _spike(self, loss: float, norm: float) -> str | None:
        if len(self.losses) < self._window // 4:
            return None
        usual_loss, usual_norm = _median(self.losses), _median(self.norms)
        if loss > self._loss_factor * usual_loss:
            return f"spike: loss {loss:.4g}, usually {usual_loss:.4g}"
        if norm > self._norm_factor * usual_norm:
            return f"spike: gradient norm {norm:.4g}, usually {usual_norm:.4g}"
        return None


def _is_block_matrix(name: str, parameter: Tensor) -> bool:
    return parameter.ndim == 2 and min(parameter.shape) > 1 and ".blocks." in f".{name}" and "embedding" not in name


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
