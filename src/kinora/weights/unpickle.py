"""The child process of `kinora.weights.convert`: reads one pickle of tensors and writes them as safetensors.

    python -I -m kinora.weights.unpickle FILE DESCRIPTOR

It locks itself in, then loads FILE with torch's `weights_only` reader, which builds tensors and containers and calls
nothing else, and writes to the open DESCRIPTOR, the only thing it can write to. It reports on standard output, a JSON
object a line: {"confined": [[done, what], ...]}, {"done": bytes, "total": bytes}, and at the end {"tensors": count} or
{"error": why}.
"""

from __future__ import annotations

import json
import os
import pickle
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinora.weights.confine import forbid_files, forbid_network, limit

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["main"]

ZIP = b"PK\x03\x04"
FOREIGN = re.compile(r"(?:GLOBAL|class|function) [`']?([\w.]+)")


class Refused(Exception):
    """The file is not what it should be; the message says how, to follow the file's name."""


def main(path: Path, descriptor: int) -> None:
    """Convert one file and report; never raises for what is in it."""
    size = path.stat().st_size
    confined = [forbid_network()]
    # torch is ours, and it needs threads and files of its own while it is imported.
    import torch

    torch.set_num_threads(1)
    confined += [forbid_files(), limit(size)]
    report(confined=confined)
    try:
        tensors = tensors_in(load(path))
        write(descriptor, tensors)
        report(tensors=len(tensors))
    except Refused as refused:
        report(error=str(refused))
    except MemoryError:
        report(error="needs more memory than its size explains. It is damaged, or made to do harm")
    except OSError as error:
        report(error=f"could not be written ({error.strerror or error}). Make room on the disk")


def report(**said: Any) -> None:
    print(json.dumps(said), flush=True)


def load(path: Path) -> Any:
    """What the pickle holds, tensors mapped from the file where its format allows it."""
    import torch

    with path.open("rb") as file:
        mapped = file.read(4) == ZIP
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        found = FOREIGN.search(str(error))
        asks = f"asks for {found[1]}, which tensors do not need" if found else "asks for more than tensors"
        raise Refused(
            f"is refused: it {asks}. Nothing of it was run. Get the weights from whom you trust, as safetensors"
        ) from error
    except (RuntimeError, OSError, ValueError, EOFError, KeyError, AttributeError, TypeError) as error:
        first = re.split(r"\. |\n", str(error), maxsplit=1)[0] or type(error).__name__
        raise Refused(
            f"cannot be read as a pickle of torch ({first}). It is cut short or damaged: fetch it again"
        ) from error


def tensors_in(loaded: Any) -> dict[str, Tensor]:
    """The dictionary of tensors that was saved, or the only one inside what was saved."""
    if is_tensors(loaded):
        return dict(loaded)
    inside = {key: value for key, value in loaded.items() if is_tensors(value)} if isinstance(loaded, Mapping) else {}
    if len(inside) == 1:
        return dict(next(iter(inside.values())))
    what = f"a {type(loaded).__name__}"
    if isinstance(loaded, Mapping):
        kinds = [f"{key!r}: {type(value).__name__}" for key, value in list(loaded.items())[:5]]
        what = f"a dictionary of {', '.join(kinds) or 'nothing'}"
    raise Refused(f"holds no dictionary of names and tensors, but {what}. It is not the weights of a model")


def is_tensors(value: Any) -> bool:
    from torch import Tensor

    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in value.items())
    )


def write(descriptor: int, tensors: Mapping[str, Tensor]) -> None:
    """The safetensors format, a tensor at a time: memory holds one of them. Tensors that share their numbers are
    written each for itself. Wide numbers come first, so that all lie at multiples of their own width.
    """
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header, end = {}, 0
    for name in order:
        tensor = tensors[name]
        start, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": dtype_name(name, tensor), "shape": list(tensor.shape), "data_offsets": [start, end]}
    encoded = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    done = 0
    with os.fdopen(descriptor, "wb") as file:
        file.write(len(encoded).to_bytes(8, "little") + encoded)
        for name in order:
            for piece in pieces(tensors[name]):
                file.write(piece)
                done += len(piece)
                report(done=done, total=end)


def dtype_name(name: str, tensor: Tensor) -> str:
    import torch

    names = {
        torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64", torch.int64: "I64",
        torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
        torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2", torch.complex64: "C64",
    }  # fmt: skip
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.dtype not in names or tensor.is_meta:
        raise Refused(f"has {name} as {tensor.dtype}, {tensor.layout}, which safetensors cannot hold")
    return names[tensor.dtype]


PIECE = 2**26
"""Bytes between two reports."""


def pieces(tensor: Tensor) -> Iterator[memoryview]:
    """The bytes of a tensor, row after row whatever its strides; a stretched one would be no larger in memory than one
    of its size.
    """
    import torch

    flat = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
    for start in range(0, flat.numel(), PIECE):
        yield flat[start : start + PIECE].numpy().data


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
