"""How long a published model takes to load, against reading its file: Wan 2.1 1.3B in bfloat16, random tensors.

    python benchmarks/loading.py [--folder DIR] [--repeats 5] [--cold]

Writes the file (2.8 GB, removed afterwards), then measures in turns: reading it in blocks; mapping it into a module
with every page touched; the same with the module built first, on the meta device. `--cold` asks the system to drop the
file from its cache before each run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import struct
import tempfile
import time
from collections.abc import Callable
from math import prod
from pathlib import Path

import torch
from torch import nn

from kinora.presets.wan import OPEN_MODELS
from kinora.transformer.keys import wan_names
from kinora.transformer.model import Transformer
from kinora.weights.mapped import fill, open_tensors

BLOCK = 8 * 2**20


def built() -> nn.Module:
    with torch.device("meta"):
        return Transformer(OPEN_MODELS["wan2.1-t2v-1.3b"].transformer)


def write_model(path: Path) -> int:
    """A safetensors file of the true layout, written block by block; returns its bytes."""
    shapes = {name: list(tensor.shape) for name, tensor in built().state_dict().items()}
    assert sorted(shapes) == wan_names(30), "the module has other tensors than Wan's"
    entries, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + 2 * prod(shape)
        entries[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
    header = json.dumps(entries).encode()
    header += b" " * (-len(header) % 8)
    noise = torch.randn(BLOCK // 2).bfloat16().view(torch.uint8).numpy().tobytes()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        for start in range(0, end, BLOCK):
            file.write(noise[: min(BLOCK, end - start)])
        file.flush()
        os.fsync(file.fileno())
    return path.stat().st_size


def read_in_blocks(path: Path) -> None:
    block = bytearray(BLOCK)
    with path.open("rb", buffering=0) as file:
        while file.readinto(block):
            pass


def build_and_load(path: Path) -> None:
    load(path, built())


def load(path: Path, module: nn.Module) -> None:
    fill(module, open_tensors([path]), "the transformer")
    for tensor in module.state_dict().values():
        # One number of every page is enough for the system to bring the page in.
        tensor.flatten()[:: 4096 // tensor.element_size()].view(torch.int16).max()


def drop_cache(path: Path) -> None:
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def seconds(work: Callable[[Path], None], path: Path, *, cold: bool) -> float:
    if cold:
        drop_cache(path)
    start = time.perf_counter()
    work(path)
    return time.perf_counter() - start


def measure(path: Path, repeats: int, *, cold: bool) -> None:
    modules = [built() for _ in range(repeats + 1)]
    ways: dict[str, Callable[[Path], None]] = {
        "read in blocks": read_in_blocks,
        "mapped, filled, touched": lambda path: load(path, modules.pop()),
        "built, mapped, filled, touched": build_and_load,
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(repeats + 1):
        for name, work in ways.items():
            once = seconds(work, path, cold=cold)
            if turn:  # the first turn warms up
                taken[name].append(once)
    size = path.stat().st_size
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}, {size / 1e9:.2f} GB, cold {cold}")
    print("| what | median s | least to most | GB/s |\n|---|---|---|---|")
    for name, times in taken.items():
        median = statistics.median(times)
        print(f"| {name} | {median:.2f} | {min(times):.2f} to {max(times):.2f} | {size / median / 1e9:.1f} |")
    read, loaded, whole = (statistics.median(times) for times in taken.values())
    print(f"loading takes {loaded / read:.2f} times as long as reading, {whole / read:.2f} times with building")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="where the file is written for a while")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cold", action="store_true", help="drop the file from the system's cache before each run")
    options = parser.parse_args()
    if shutil.disk_usage(options.folder).free < 4e9:
        raise SystemExit(f"{options.folder} has less than 4 GB free; name another with --folder.")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "model.safetensors"
        write_model(path)
        measure(path, options.repeats, cold=options.cold)


if __name__ == "__main__":
    main()
