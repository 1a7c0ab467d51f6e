"""Blocks that live elsewhere and come to the device one ahead of where they are used.

A model of many like blocks keeps two places for a block on the device. While one block is at work the next one comes
into the other place: from pinned host memory or from mapped files, in the dtype it is used in. A model that walks its
blocks by iteration (`for block in self.blocks`) notices nothing, and computes the same numbers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

__all__ = ["BlockLayout", "Keep", "StreamedBlocks", "place_module", "stream_blocks"]

PLACES = 2
"""Blocks on the device at once: the one at work and the next."""
ALIGNMENT = 256
"""Bytes at whose multiples tensors begin; what CUDA's own allocator gives its tensors."""

Keep = Callable[[str], bool]
"""Whether a tensor of that name stays in the dtype it is stored in."""


@dataclass(frozen=True, kw_only=True)
class Slice:
    """Where a tensor lies in a block's buffer."""

    name: str
    shape: torch.Size
    dtype: torch.dtype
    start: int
    bytes: int


@dataclass(frozen=True, kw_only=True)
class BlockLayout:
    """How one block's tensors lie in a single buffer, so that a block comes in a single copy."""

    slices: tuple[Slice, ...]
    bytes: int

    @classmethod
    def of(cls, block: nn.Module, dtype: torch.dtype, keep: Keep) -> BlockLayout:
        """The layout of `block` with its floating tensors in `dtype`, but for those that `keep` names."""
        slices, start = [], 0
        for name, tensor in block.state_dict().items():
            kept = keep(name) or not tensor.is_floating_point()
            own = tensor.dtype if kept else dtype
            size = tensor.numel() * own.itemsize
            slices.append(Slice(name=name, shape=tensor.shape, dtype=own, start=start, bytes=size))
            start += -(-size // ALIGNMENT) * ALIGNMENT
        return cls(slices=tuple(slices), bytes=start)

    def views(self, buffer: Tensor) -> dict[str, Tensor]:
        """The tensors that lie in a buffer of `bytes` bytes."""
        return {
            part.name: buffer[part.start : part.start + part.bytes].view(part.dtype).view(part.shape)
            for part in self.slices
        }

    def pack(self, views: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> None:
        """Copy a block's tensors to where `views` says, converting them on the way."""
        for name, view in views.items():
            view.copy_(tensors[name])


class Carrier(Protocol):
    """Brings blocks to places on the device."""

    def fetch(self, index: int, place: int) -> None:
        """Begin to bring block `index`; whoever computes goes on meanwhile."""

    def wait(self, place: int) -> None:
        """What is computed from now on finds the block that was fetched there."""

    def used(self, place: int) -> None:
        """What has been asked of the block there was the last."""

    def settle(self) -> None:
        """Nothing is under way any more."""


class StreamedBlocks(nn.Module):
    """In the place of a list of blocks: iterating brings them one after the other, and their weights with them."""

    def __init__(self, shells: Sequence[nn.Module], carrier: Carrier, count: int) -> None:
        super().__init__()
        # Behind a tuple: the shells' tensors are places, no weights of the model that somebody might save or move.
        self._shells = tuple(shells)
        self._carrier = carrier
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[nn.Module]:
        """Each block in turn; it is gone when the next one is asked for."""
        carrier = self._carrier
        carrier.settle()
        try:
            carrier.fetch(0, 0)
            for index in range(self._count):
                place = index % PLACES
                carrier.wait(place)
                if index + 1 < self._count:
                    carrier.fetch(index + 1, 1 - place)
                yield self._shells[place]
                carrier.used(place)
        finally:
            carrier.settle()


def stream_blocks(
    module: nn.Module,
    path: str,
    *,
    device: torch.device,
    dtype: torch.dtype,
    where: Literal["host", "file"],
    keep: Keep = lambda _name: False,
) -> None:
    """Take the blocks of `module` (the list at `path`) off it and let them come when they are used.

    All else is placed on `device`. The blocks' tensors stay where they are when they come from the file, and are
    packed into pinned memory when they come from the host.
    """
    parent_path, _, name = path.rpartition(".")
    parent = module.get_submodule(parent_path)
    blocks = list(getattr(parent, name))
    setattr(parent, name, nn.ModuleList())
    place_module(module, device=device, dtype=dtype, keep=keep)
    layout = BlockLayout.of(blocks[0], dtype, keep)
    tensors = [dict(block.state_dict()) for block in blocks]
    carrier: Carrier
    if device.type == "cpu":
        shells = [blocks[0]] * PLACES
        carrier = _ToCpu(blocks[0], layout, tensors)
    else:
        shells = [blocks[0], copy.deepcopy(blocks[0])]
        carrier = (_FromPinned if where == "host" else _FromFile)(shells, layout, tensors, device)
    setattr(parent, name, StreamedBlocks(shells, carrier, len(blocks)))


def place_module(
    module: nn.Module, *, device: torch.device, dtype: torch.dtype, keep: Keep = lambda _name: False
) -> None:
    """Bring all tensors of `module` to `device` and, but for those that `keep` names, floating ones to `dtype`.

    One tensor at a time, so that what is mapped or held is let go as its copy is made; a tensor that is as it should
    be is not copied.
    """
    moved: dict[int, Tensor] = {}
    for prefix, part in module.named_modules():
        for kind in (part._parameters, part._buffers):
            for name, tensor in kind.items():
                if tensor is None:
                    continue
                full = f"{prefix}.{name}" if prefix else name
                kept = keep(full) or not tensor.is_floating_point()
                if id(tensor) not in moved:
                    ready = tensor.detach().to(device=device, dtype=None if kept else dtype)
                    moved[id(tensor)] = (
                        nn.Parameter(ready, requires_grad=False) if isinstance(tensor, nn.Parameter) else ready
                    )
                kind[name] = moved[id(tensor)]


# How blocks come


class _ToCpu:
    """From mapped files to the same memory: converted where that is needed, else simply looked at.

    In the thread that computes: converting is memory traffic, of which a product on the same cores leaves none over
    (docs/design/decisions.md has the measurement).
    """

    def __init__(self, shell: nn.Module, layout: BlockLayout, tensors: Sequence[Mapping[str, Tensor]]) -> None:
        self._shell, self._layout, self._tensors = shell, layout, tensors
        as_stored = all(part.dtype == tensors[0][part.name].dtype for part in layout.slices)
        self._views = None if as_stored else layout.views(torch.empty(layout.bytes, dtype=torch.uint8))
        if self._views is not None:
            shell.load_state_dict(self._views, assign=True)
        self._due: dict[int, int] = {}

    def fetch(self, index: int, place: int) -> None:
        self._due[place] = index

    def wait(self, place: int) -> None:
        tensors = self._tensors[self._due.pop(place)]
        if self._views is None:
            self._shell.load_state_dict(tensors, assign=True)
        else:
            self._layout.pack(self._views, tensors)

    def used(self, place: int) -> None:
        pass

    def settle(self) -> None:
        self._due.clear()


class _ToGpu:
    """From host memory to a GPU; its kinds say how a block gets there."""

    def __init__(self, shells: Sequence[nn.Module], layout: BlockLayout, device: torch.device) -> None:
        self._places = _Places(shells, layout, device)

    def wait(self, place: int) -> None:
        self._places.wait(place)

    def used(self, place: int) -> None:
        self._places.used(place)

    def settle(self) -> None:
        self._places.settle()


class _FromPinned(_ToGpu):
    """From pinned host memory to a GPU, on a stream of its own."""

    def __init__(
        self,
        shells: Sequence[nn.Module],
        layout: BlockLayout,
        tensors: Sequence[Mapping[str, Tensor]],
        device: torch.device,
    ) -> None:
        super().__init__(shells, layout, device)
        self._hosts = []
        for block in tensors:
            host = torch.empty(layout.bytes, dtype=torch.uint8, pin_memory=True)
            layout.pack(layout.views(host), block)
            self._hosts.append(host)

    def fetch(self, index: int, place: int) -> None:
        self._places.send(self._hosts[index], place)


class _FromFile(_ToGpu):
    """From mapped files to a GPU: a thread reads and converts the next block into pinned memory and sends it on."""

    def __init__(
        self,
        shells: Sequence[nn.Module],
        layout: BlockLayout,
        tensors: Sequence[Mapping[str, Tensor]],
        device: torch.device,
    ) -> None:
        super().__init__(shells, layout, device)
        self._layout, self._tensors = layout, tensors
        self._hosts = [torch.empty(layout.bytes, dtype=torch.uint8, pin_memory=True) for _ in range(PLACES)]
        self._views = [layout.views(host) for host in self._hosts]
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="blocks")
        self._coming: dict[int, Future[None]] = {}

    def fetch(self, index: int, place: int) -> None:
        self._coming[place] = self._thread.submit(self._bring, index, place)

    def wait(self, place: int) -> None:
        self._coming.pop(place).result()
        super().wait(place)

    def settle(self) -> None:
        for coming in self._coming.values():
            coming.result()
        self._coming.clear()
        super().settle()

    def _bring(self, index: int, place: int) -> None:
        # The copy before last may still be reading this buffer.
        self._places.arrived(place)
        self._layout.pack(self._views[place], self._tensors[index])
        self._places.send(self._hosts[place], place)


class _Places:
    """Two places for a block on a GPU, and the events that keep copies and work apart."""

    def __init__(self, shells: Sequence[nn.Module], layout: BlockLayout, device: torch.device) -> None:
        self._device = device
        self._buffers = [torch.empty(layout.bytes, dtype=torch.uint8, device=device) for _ in shells]
        for shell, buffer in zip(shells, self._buffers, strict=True):
            shell.load_state_dict(layout.views(buffer), assign=True)
        self._copies = torch.cuda.Stream(device)
        # The buffers may lie where something freed a moment ago is still being read.
        self._copies.wait_stream(torch.cuda.current_stream(device))
        self._ready = [torch.cuda.Event() for _ in shells]
        self._free = [torch.cuda.Event() for _ in shells]

    def send(self, host: Tensor, place: int) -> None:
        """Copy as soon as the block that is there now has been used."""
        with torch.cuda.stream(self._copies):
            self._copies.wait_event(self._free[place])
            self._buffers[place].copy_(host, non_blocking=True)
            self._ready[place].record(self._copies)

    def arrived(self, place: int) -> None:
        """Hold this thread until the last copy to the place is done."""
        self._ready[place].synchronize()

    def wait(self, place: int) -> None:
        torch.cuda.current_stream(self._device).wait_event(self._ready[place])

    def used(self, place: int) -> None:
        self._free[place].record(torch.cuda.current_stream(self._device))

    def settle(self) -> None:
        """What is computed from now on may take the places' memory: no copy to them is under way."""
        torch.cuda.current_stream(self._device).wait_stream(self._copies)
