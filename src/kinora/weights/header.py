"""What a safetensors file holds, read from its first bytes. Knows no torch.

A file is known by its content, not by its name: what a download leaves behind (an error page, a pointer to the real
file, half a file) often bears the right one. The format: eight bytes that tell the header's length, the header as JSON
(name -> dtype, shape, where its bytes begin and end), then the bytes of all tensors and nothing after them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kinora.core.errors import WeightsError

__all__ = ["DTYPE_BITS", "Content", "Header", "TensorEntry", "content_of", "read_header"]

Content = Literal["safetensors", "pickle", "gguf", "lfs pointer", "page", "json", "empty", "unknown"]

DTYPE_BITS: Mapping[str, int] = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
"""Bits of one number, by the format's own names."""

LONGEST_HEADER = 100_000_000
"""Bytes; the format allows no longer one."""


@dataclass(frozen=True, kw_only=True)
class TensorEntry:
    """One tensor of a file."""

    dtype: str
    """One of `DTYPE_BITS`."""
    shape: tuple[int, ...]
    bytes: int
    offset: int
    """Where in the file its bytes begin."""


@dataclass(frozen=True, kw_only=True)
class Header:
    """All tensors of a file, and what its writer said of them."""

    tensors: Mapping[str, TensorEntry]
    metadata: Mapping[str, str]


def content_of(path: Path | str) -> Content:
    """What a file is, from its first bytes; raises `WeightsError` when it cannot be read."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror or error}). Name a file that is there.") from error
    return _content(start)


def _content(start: bytes) -> Content:
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    kinds: tuple[tuple[bool, Content], ...] = (
        (not start, "empty"),
        # torch.save makes a zip of a pickle and raw bytes; before that it made a bare pickle, protocol 2 to 5.
        (start.startswith(b"PK\x03\x04") or (start[:1] == b"\x80" and start[1:2] in b"\x02\x03\x04\x05"), "pickle"),
        (start.startswith(b"GGUF"), "gguf"),
        (start.startswith(b"version https://git-lfs"), "lfs pointer"),
        (text.startswith((b"<!doctype", b"<html", b"<?xml", b"<error")), "page"),
        (start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= LONGEST_HEADER, "safetensors"),
        (text.startswith((b"{", b"[")), "json"),
    )
    return next((kind for holds, kind in kinds if holds), "unknown")


def read_header(path: Path | str) -> Header:
    """The header of a safetensors file, checked against the file's length.

    Raises `WeightsError` for what is no such file, naming what it is instead, and for one that is cut short.
    """
    path = Path(path)
    content = content_of(path)
    if content != "safetensors":
        raise WeightsError(f"{path} {_OTHERWISE[content].format(path=path)}")
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if 8 + length > size:
                raise _cut_short(path, size, 8 + length)
            stored = json.loads(file.read(length))
        metadata = stored.pop("__metadata__", {})
        tensors = {name: _entry(name, values, 8 + length) for name, values in stored.items()}
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror or error}). Check the disk.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(
            f"{path} begins like a safetensors file, but its header is damaged ({error}). Fetch it again."
        ) from error
    _check_span(path, tensors, 8 + length, size)
    return Header(tensors=tensors, metadata=metadata)


def _entry(name: str, values: Mapping[str, Any], start: int) -> TensorEntry:
    first, last = values["data_offsets"]
    shape = tuple(int(side) for side in values["shape"])
    entry = TensorEntry(dtype=values["dtype"], shape=shape, bytes=last - first, offset=start + first)
    wanted = math.prod(shape) * DTYPE_BITS[entry.dtype]
    if first < 0 or min(shape, default=0) < 0 or 8 * entry.bytes != wanted:
        raise ValueError(f"{name} of shape {shape} in {entry.dtype} cannot take {entry.bytes} bytes")
    return entry


def _check_span(path: Path, tensors: Mapping[str, TensorEntry], start: int, size: int) -> None:
    """Tensors lie side by side from the header's end to the file's."""
    end = start
    for entry in sorted(tensors.values(), key=lambda entry: (entry.offset, entry.bytes)):
        if entry.offset != end:
            raise WeightsError(f"{path} is damaged: its tensors overlap or leave gaps. Fetch it again.")
        end += entry.bytes
    if size < end:
        raise _cut_short(path, size, end)
    if size > end:
        raise WeightsError(f"{path} is damaged: {size - end} bytes follow its last tensor. Fetch it again.")


def _cut_short(path: Path, size: int, whole: int) -> WeightsError:
    return WeightsError(
        f"{path} is cut short: it has {size} bytes of {whole}, so its download never ended. Fetch it again, or go on "
        "with that download."
    )


_OTHERWISE: Mapping[Content, str] = {
    "pickle": "is a pickle of torch.save, and loading a stranger's pickle may run what it likes. Make a safetensors "
    "file of it, in a process of its own: kinora models convert {path}",
    "gguf": "is a GGUF file, which holds quantised weights for other programs. Fetch the safetensors files of the same "
    "model.",
    "lfs pointer": "is a pointer of git-lfs and not the file itself. Fetch what it stands for: git lfs pull, in its "
    "folder.",
    "page": "is a web page, not weights: whoever served it sent an error or a sign-in form. Delete it and fetch the "
    "file again.",
    "json": "is a JSON text, not weights: an index of shards, a config, or an error that a server sent. Name the "
    "safetensors file itself, or fetch it again.",
    "empty": "is empty. Fetch it again.",
    "unknown": "is no safetensors file, nor anything Kinora knows. Fetch the safetensors files of the model.",
}
"""What to say of a file that is something else; follows its path."""
