"""How long the codec takes: encoding and decoding clips of a given size, streamed, on this machine.

    python benchmarks/codec.py [--size 256] [--frames 81] [--device cpu] [--repeats 3]

Prints a table for the README: milliseconds (best of the repeats), frames a second and peak memory.
"""

from __future__ import annotations

import argparse
import platform
import resource
import time
from collections.abc import Callable

import torch

from kinora.codec import Codec, CodecConfig


def best_seconds(work: Callable[[], object], repeats: int, device: str) -> float:
    """Shortest of `repeats` runs after one that warms up."""
    work()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        if device != "cpu":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256, help="side of the picture in pixels")
    parser.add_argument("--frames", type=int, default=81)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    codec = Codec(CodecConfig()).to(options.device).eval()
    video_BCFHW = torch.rand(1, 3, options.frames, options.size, options.size, device=options.device) * 2 - 1
    with torch.inference_mode():
        latent_BCTHW = codec.encode(video_BCFHW)
        rows: dict[str, Callable[[], object]] = {
            "encode": lambda: codec.encode(video_BCFHW),
            "decode": lambda: sum(chunk.shape[2] for chunk in codec.decode_stream([latent_BCTHW])),
            "decode, linear only": lambda: codec.decode_linear(latent_BCTHW),
        }
        device = torch.cuda.get_device_name() if options.device != "cpu" else platform.processor() or "CPU"
        print(f"{device}, {torch.get_num_threads()} threads, torch {torch.__version__}, {tuple(video_BCFHW.shape)}")
        print("| what | ms | frames/s |\n|---|---|---|")
        for name, work in rows.items():
            seconds = best_seconds(work, options.repeats, options.device)
            print(f"| {name} | {1000 * seconds:.0f} | {options.frames / seconds:.0f} |")
    print(f"peak resident memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
