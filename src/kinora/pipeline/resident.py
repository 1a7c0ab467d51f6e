"""Who holds a model's parts while a film is made: one owner, who brings them, keeps them and lets them go by a rung."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from kinora.pipeline.residency import Placing, Rung
from kinora.pipeline.streaming import Keep, place_module, stream_blocks

__all__ = ["Resident", "Source", "free_memory", "precise"]


def precise(name: str) -> bool:
    """Whether a transformer's tensor keeps the dtype it is stored in: those that work in float32 anyway, and are small
    (diffusers keeps the same ones, `WanTransformer3DModel._keep_in_fp32_modules`).
    """
    return "modulation" in name or "norm" in name or name.startswith("time_embedding")


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a part comes from, again and again."""

    open: Callable[[], Any]
    """The part on the CPU with its tensors as stored: mapped from their files (`kinora.weights.mapped.fill`), so that
    opening costs next to nothing.
    """
    module: Callable[[Any], nn.Module] = lambda part: part
    """The torch module inside what `open` gives, where it is not that itself."""
    blocks: str = ""
    """Path to its list of blocks, such as "blocks"; empty for a part that only comes whole."""
    fetches: bool = False
    """Whether the part brings its own weights to the device when it uses them; it is then left as it comes."""
    keep: Keep = lambda _name: False
    """Tensors that stay in the dtype they are stored in; for transformers `precise`."""
    finish: Callable[[Any], Any] = lambda part: part
    """What is done to the part once it lies where it should, such as laying its weights out for the device."""


class Resident:
    """The parts of one model under one rung."""

    def __init__(self, sources: Mapping[str, Source], rung: Rung) -> None:
        self.rung = rung
        self._sources = sources
        self._parts: dict[str, Any] = {}
        self._users: dict[str, int] = {}

    @contextmanager
    def use(self, name: str) -> Iterator[Any]:
        """The part, ready on the device; freed afterwards if the rung says so. May be nested.

        Do not keep it: a name that outlives the block keeps its memory too.
        """
        part = self._bring(name)
        self._users[name] = self._users.get(name, 0) + 1
        try:
            yield part
        finally:
            # Before the memory is asked to go, nobody may hold the part; this frame is the last.
            del part
            self._users[name] -= 1
            if not self._users[name] and self._placing(name).stays == "use":
                self._free(name)

    def close(self) -> None:
        """Let all parts go."""
        self._parts.clear()
        free_memory()

    def __contains__(self, name: str) -> bool:
        """Whether the model has such a part."""
        return name in self._sources

    @property
    def held(self) -> tuple[str, ...]:
        """Parts that are there now."""
        return tuple(self._parts)

    # Inside

    def _placing(self, name: str) -> Placing:
        return self.rung.placings.get(name, Placing())

    def _bring(self, name: str) -> Any:
        if name not in self._parts:
            if self._placing(name).stays == "turn":
                self._make_room()
            self._parts[name] = self._loaded(name)
        return self._parts[name]

    def _make_room(self) -> None:
        """The part whose turn is over goes before the next one comes."""
        for other in [other for other in self._parts if self._placing(other).stays == "turn"]:
            if not self._users.get(other):
                self._free(other)

    def _loaded(self, name: str) -> Any:
        source, placing = self._sources[name], self._placing(name)
        device, dtype = torch.device(self.rung.device), getattr(torch, self.rung.dtype)
        # Tensors made in inference mode could not be written by the thread that brings blocks.
        with torch.inference_mode(mode=False):
            part = source.open()
            module = source.module(part).eval().requires_grad_(requires_grad=False)
            if source.fetches:
                pass
            elif placing.where == "device" or not source.blocks:
                place_module(module, device=device, dtype=dtype, keep=source.keep)
            else:
                stream_blocks(module, source.blocks, device=device, dtype=dtype, where=placing.where, keep=source.keep)
            return source.finish(part)

    def _free(self, name: str) -> None:
        del self._parts[name]
        free_memory()


def free_memory() -> None:
    """Hand back what nobody holds any more: cycles first, then what torch keeps of the GPU's memory.

    The only place where that is done: when a part goes, and between two rungs.
    """
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
