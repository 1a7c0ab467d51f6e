"""Wan's autoencoders here and in diffusers: seconds, exactness and memory, the same random weights on both sides.

    python benchmarks/wan_codec.py [--kind wan21] [--width 96] [--size 256x256] [--frames 17] [--threads 1]
    python benchmarks/wan_codec.py --size 480x832 --frames 81 --device cuda --dtype bfloat16 --out wan21.json
    python benchmarks/wan_codec.py --kind wan22 --size 704x1280 --frames 121 --device cuda --dtype bfloat16 --compiled

All ways are built in one process and take turns, each as often as `--repeats` says after one run that warms up. On a
CPU with one thread seconds are the processor's own, else they are the clock's. "diffusers" is its default,
"channels-last" the best that needs no more than a line for each layer, "compiled" that under `torch.compile`.

The limit is the work of the convolutions as written (multiplications and additions, counted by torch on diffusers'
model) over the best rate that a convolution or a matrix product reached in this run. Ours may be past it: in float32 on
a CPU it finds the same sums with fewer multiplications. Peak memory is measured in a child process for each way, once
for `--memory-frames` and once for a quarter of them; "loaded" is what the process held before.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from kinora.codec import Wan21Codec, Wan22Codec, build_codec
from kinora.codec.keys import rename

CHANNELS = {"wan21": 16, "wan22": 48}
SPACE = {"wan21": 8, "wan22": 16}
WIDTH = {"wan21": (96, 96), "wan22": (160, 256)}
WAYS = ("diffusers", "channels-last", "compiled", "ours")
JOBS = ("decode", "encode")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One way of doing one job."""

    job: str
    way: str
    seconds: float
    """Median of the repeats."""
    spread: float
    """Greatest less smallest."""
    ratio: float
    """How many times as long diffusers' default takes."""
    error: float
    """Of the result against diffusers' default, relative in the root mean square."""
    limit_share: float
    """Seconds that the convolutions as written would take at the best rate measured, over these."""
    memory_mib: dict[str, float]
    """Loaded and peak, and peak at a quarter of the frames; empty where not measured."""


def our_codec(options: argparse.Namespace) -> Wan21Codec | Wan22Codec:
    encoder, decoder = widths(options)
    sizes = {"width": encoder} if options.kind == "wan21" else {"encoder_width": encoder, "decoder_width": decoder}
    count = CHANNELS[options.kind]
    made = build_codec({"kind": options.kind, "channels": count, "mean": [0.0] * count, "std": [1.0] * count, **sizes})
    assert isinstance(made, (Wan21Codec, Wan22Codec))
    return made.requires_grad_(False).eval()


def diffusers_codec(options: argparse.Namespace) -> Any:
    from diffusers import AutoencoderKLWan

    encoder, decoder = widths(options)
    count = CHANNELS[options.kind]
    given: dict[str, Any] = {"base_dim": encoder, "z_dim": count, "latents_mean": [0.0] * count}
    if options.kind == "wan22":
        given |= {"decoder_base_dim": decoder, "is_residual": True, "patch_size": 2, "in_channels": 12}
        given |= {"out_channels": 12, "scale_factor_spatial": 16}
    made: Any = AutoencoderKLWan(**given, latents_std=[1.0] * count)
    return made.requires_grad_(False).eval()


def widths(options: argparse.Namespace) -> tuple[int, int]:
    full = WIDTH[options.kind]
    return (options.width, options.width * full[1] // full[0]) if options.width else full


def channels_last(module: nn.Module) -> None:
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if isinstance(layer, nn.Conv3d):
            layer.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]


def ways(options: argparse.Namespace, names: tuple[str, ...]) -> dict[str, dict[str, Callable[[Tensor], Tensor]]]:
    """For each way, how it decodes and encodes; all have the weights of the first."""
    made: dict[str, dict[str, Callable[[Tensor], Tensor]]] = {}
    weights: dict[str, Tensor] | None = None
    for name in names:
        torch.manual_seed(0)
        model = our_codec(options) if name == "ours" else diffusers_codec(options)
        if name == "ours" and weights is not None:
            to_ours = rename(weights)
            model.load_state_dict({to_ours(key) or key: value for key, value in weights.items()})
        elif weights is not None:
            model.load_state_dict(weights)
        elif name != "ours":
            weights = model.state_dict()
        model.to(device=options.device, dtype=options.dtype)
        if name in {"channels-last", "compiled"}:
            channels_last(model)
        if name == "ours":
            made[name] = {"decode": model.decode, "encode": model.encode}
            continue
        if name == "compiled":
            model.decoder, model.encoder = torch.compile(model.decoder), torch.compile(model.encoder)
        made[name] = {"decode": partial(decoded, model), "encode": partial(encoded, model)}
    return made


def decoded(model: Any, latent_BCTHW: Tensor) -> Tensor:
    result: Tensor = model.decode(latent_BCTHW).sample
    return result


def encoded(model: Any, video_BCFHW: Tensor) -> Tensor:
    result: Tensor = model.encode(video_BCFHW).latent_dist.mean
    return result


def given(options: argparse.Namespace, frames: int) -> dict[str, Tensor]:
    """What each job works on."""
    (height, width), space = options.size, SPACE[options.kind]
    generator = torch.Generator().manual_seed(1)
    latent = torch.randn(
        1, CHANNELS[options.kind], 1 + frames // 4, height // space, width // space, generator=generator
    )
    video = torch.rand(1, 3, frames, height, width, generator=generator) * 2 - 1
    place = {"device": options.device, "dtype": options.dtype}
    return {"decode": latent.to(**place) * 0.5, "encode": video.to(**place)}


def seconds_of(work: Callable[[], object], options: argparse.Namespace) -> float:
    clock = time.process_time if options.device == "cpu" and options.threads == 1 else time.perf_counter
    start = clock()
    work()
    if options.device != "cpu":
        torch.cuda.synchronize()
    return clock() - start


def work_of(options: argparse.Namespace) -> dict[str, float]:
    """Multiplications and additions of the convolutions of each job, as diffusers' model is written."""
    with torch.device("meta"):
        model = diffusers_codec(options)
        (height, width), space = options.size, SPACE[options.kind]
        latent = torch.empty(1, CHANNELS[options.kind], 1 + options.frames // 4, height // space, width // space)
        video = torch.empty(1, 3, options.frames, height, width)
    counted = {}
    for job, run in {"decode": partial(decoded, model, latent), "encode": partial(encoded, model, video)}.items():
        with FlopCounterMode(display=False) as counter:
            run()
        counted[job] = float(counter.get_total_flops())
    return counted


def best_rate(options: argparse.Namespace) -> float:
    """Operations a second of the fastest of a few convolutions and matrix products of the sizes that occur."""
    place = {"device": options.device, "dtype": options.dtype}
    rates = []
    (height, width), base = options.size, widths(options)[1]
    for multiple, part in ((1, 2), (2, 4), (4, 8)):
        channels = base * multiple
        x = torch.randn(1, channels, 6, height // part, width // part, **place)
        weight = torch.randn(channels, channels, 3, 3, 3, **place)
        for layout in (torch.contiguous_format, torch.channels_last_3d):
            laid, taps = x.contiguous(memory_format=layout), weight.contiguous(memory_format=layout)
            seconds = shortest(partial(F.conv3d, laid, taps, padding=(0, 1, 1)), options)
            rates.append(2 * 27 * channels**2 * 4 * x.shape[3] * x.shape[4] / seconds)
    side = 1024 if options.device == "cpu" else 8192
    a, b = torch.randn(side, side, **place), torch.randn(side, side, **place)
    rates.append(2 * side**3 / shortest(partial(torch.mm, a, b), options))
    return max(rates)


def shortest(work: Callable[[], object], options: argparse.Namespace) -> float:
    """Seconds of the best of five runs after one that warms up."""
    return min([seconds_of(work, options) for _ in range(6)][1:])


def peak_mib(device: str) -> float:
    """The most this process has held, in MiB."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated() / 2**20
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def in_child(options: argparse.Namespace) -> None:
    """Do one job one way and print what memory that took."""
    way, job, frames = options.child.split(",")
    run, x = ways(options, (way,))[way][job], given(options, int(frames))[job]
    loaded = peak_mib(options.device)
    run(x)
    print(json.dumps({"loaded": loaded, "peak": peak_mib(options.device)}))


def memory(options: argparse.Namespace, way: str, job: str) -> dict[str, float]:
    frames = options.memory_frames
    if not frames:
        return {}
    found = {}
    for count in (frames, 1 + frames // 16 * 4):
        command = [sys.executable, __file__, *options.arguments, "--child", f"{way},{job},{count}"]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found[count] = json.loads(said.splitlines()[-1])
    least, most = sorted(found)
    return {**found[most], f"peak at {least} frames": found[least]["peak"]}


def measure(options: argparse.Namespace) -> tuple[list[Row], dict[str, Any]]:
    names = tuple(way for way in WAYS if way != "compiled" or options.compiled)
    made, x = ways(options, names), given(options, options.frames)
    counted, rate = work_of(options), best_rate(options)
    rows = []
    for job in JOBS:
        results = {way: made[way][job](x[job]).float() for way in names}
        taken: dict[str, list[float]] = {way: [] for way in names}
        for _ in range(options.repeats):
            for way in names:
                taken[way].append(seconds_of(partial(made[way][job], x[job]), options))
        truth, default = results["diffusers"], statistics.median(taken["diffusers"])
        for way in names:
            seconds = statistics.median(taken[way])
            row = Row(
                job=job,
                way=way,
                seconds=seconds,
                spread=max(taken[way]) - min(taken[way]),
                ratio=default / seconds,
                error=float((results[way] - truth).norm() / truth.norm()),
                limit_share=counted[job] / rate / seconds,
                memory_mib=memory(options, way, job),
            )
            rows.append(row)
            print(line(row), flush=True)
    return rows, {"tera_operations": {job: count / 1e12 for job, count in counted.items()}, "giga_rate": rate / 1e9}


def line(row: Row) -> str:
    memory_text = ", ".join(f"{name} {value:.0f}" for name, value in row.memory_mib.items())
    return (
        f"| {row.job} | {row.way} | {row.seconds:.2f} ± {row.spread / 2:.2f} | {row.ratio:.2f} | {row.error:.1e} "
        f"| {row.limit_share:.0%} | {memory_text or '-'} |"
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=tuple(CHANNELS), default="wan21")
    parser.add_argument("--width", type=int, help="channels of the encoder's first stage; else the published ones")
    parser.add_argument("--size", type=lambda text: tuple(map(int, text.split("x"))), default=(256, 256), help="HxW")
    parser.add_argument("--frames", type=int, default=17)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", type=lambda name: getattr(torch, name), default=torch.float32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--memory-frames", type=int, default=0, help="frames for the peak of memory; 0 leaves it out")
    parser.add_argument("--out", type=Path, help="write all figures here as JSON")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.arguments = [argument for argument in sys.argv[1:] if argument]
    return options


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    torch.set_float32_matmul_precision("medium")
    with torch.inference_mode():
        if options.child:
            in_child(options)
            return
        device = torch.cuda.get_device_name() if options.device != "cpu" else platform.processor() or "CPU"
        print(f"{options.kind} {widths(options)}, {options.frames} frames of {options.size[0]} x {options.size[1]}, ")
        print(f"{device}, {options.threads} threads, {options.dtype}, torch {torch.__version__}\n")
        print("| job | way | seconds | x | error | of the limit | memory, MiB |\n|---|---|---|---|---|---|---|")
        rows, limit = measure(options)
    print(f"\nbest rate {limit['giga_rate']:.0f} GFLOP/s; TFLOP {limit['tera_operations']}")
    if options.out:
        setting = {"device": device, "torch": torch.__version__, "arguments": options.arguments, **limit}
        options.out.write_text(json.dumps({**setting, "rows": [asdict(row) for row in rows]}, indent=1) + "\n")


if __name__ == "__main__":
    main()
