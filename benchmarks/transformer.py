"""A guided denoising step beside diffusers: same random weights, same inputs, one process, in turns.

    OMP_NUM_THREADS=1 python benchmarks/transformer.py [--shape small|clip|1.3b|5b] [--rounds 5] [--compiled] [--out F]
    python benchmarks/transformer.py --device cuda --dtype bfloat16 --shape 1.3b --compiled --out F

A step is what guidance needs: the velocity under a prompt and under what it pushes away from. diffusers' pipeline asks
for one after the other. Every round runs each way once; figures are medians of CPU seconds (of wall seconds on a GPU),
with the smallest and largest beside them. The limit is what the step's products and attention would take at the rates
that a single linear layer and a single attention of the same shapes reach in the same run.
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
import statistics
import subprocess
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from kinora.presets.wan import OPEN_MODELS
from kinora.transformer.config import TransformerConfig
from kinora.transformer.keys import to_diffusers
from kinora.transformer.model import Conditions, Transformer, compile_blocks

SMALL = TransformerConfig(
    width=384, layers=12, heads=6, ffn_width=1536, channels=16, text_width=256, pose_width=0, mouth_width=0
)
SHAPES = {
    "small": (SMALL, (5, 32, 32)),  # 1,280 tokens
    "clip": (SMALL, (21, 16, 16)),  # 1,344 tokens: the bundled model's grid
    "1.3b": (OPEN_MODELS["wan2.1-t2v-1.3b"].transformer, (21, 60, 104)),  # 480p, 81 frames: 32,760 tokens
    "5b": (OPEN_MODELS["wan2.2-ti2v-5b"].transformer, (31, 44, 80)),  # 704p, 121 frames: 27,280 tokens
}
PROMPT, NEGATIVE = 40, 126
"""Text positions of an ordinary prompt and, about, of the family's own negative one."""

Way = Callable[[], Tensor]


@dataclass(frozen=True, kw_only=True)
class Work:
    """Multiplications and additions of one forward, those of products and those of attention."""

    linear: float
    attention: float

    @classmethod
    def of(cls, config: TransformerConfig, tokens: int, text: int, *, text_anew: bool) -> Work:
        """`text` keys in each cross-attention; `text_anew` where their embedding, keys and values count too."""
        d, f, n = config.width, config.ffn_width, config.layers
        linear = n * 2 * tokens * (4 * d * d + 2 * d * d + 2 * d * f)
        if text_anew:
            linear += 2 * text * (config.text_width * d + d * d) + n * 2 * text * 2 * d * d
        return cls(linear=linear, attention=n * 4 * tokens * (tokens + text) * d)


class Bench:
    """The two models on the same weights, and the inputs they share."""

    def __init__(self, shape: str, device: str, dtype: torch.dtype) -> None:
        self.config, self.grid = SHAPES[shape]
        self.device, self.dtype = device, dtype
        torch.manual_seed(0)
        with torch.device(device):
            self.ours = Transformer(self.config).to(dtype).eval().requires_grad_(requires_grad=False)
            torch.nn.init.normal_(self.ours.head.head.weight, std=0.05)
            self.latent = torch.randn(1, self.config.channels, *self.grid)
            self.text = torch.zeros(2, NEGATIVE, self.config.text_width)
            self.text[0, :PROMPT].normal_()
            self.text[1].normal_()
            self.sigma = torch.full((1, *self.grid), 0.7)
            self.position = torch.arange(float(self.grid[0]))[None]
        self.theirs = diffusers_model(self.ours)
        self.tokens = self.grid[0] * self.grid[1] * self.grid[2] // self.config.patch**2

    def diffusers_step(self, model: torch.nn.Module) -> Way:
        """Prompt and negative one after the other, texts filled up to 512 as its pipeline does."""
        filled = functional.pad(self.text, (0, 0, 0, self.config.text_length - NEGATIVE)).to(self.dtype)
        latent, sigma = self.latent.to(self.dtype), torch.tensor([700.0], device=self.device)
        return lambda: torch.cat([model(latent, sigma, text[None], return_dict=False)[0] for text in filled])

    def our_step(self, *, pair: bool) -> Way:
        """Two forwards, or both texts in one."""
        texts = [self.text[:1], self.text[1:]] if not pair else [self.text]
        prepared = [self.ours.prepare(Conditions(text_BLD=text)) for text in texts]
        inputs = (self.latent, self.sigma, self.position)
        return lambda: torch.cat([self.ours(*inputs, one) for one in prepared])

    def limits(self) -> dict[str, tuple[Way, float]]:
        """A layer and an attention of the model's shapes, and the operations of each."""
        d, f, n = self.config.width, self.config.ffn_width, self.tokens
        x, weight = (torch.randn(size, device=self.device, dtype=self.dtype) for size in ((n, d), (f, d)))
        qkv = torch.randn(3, 1, self.config.heads, n, self.config.head_width, device=self.device, dtype=self.dtype)
        return {
            "a linear layer": (lambda: functional.linear(x, weight), 2 * n * d * f),
            "an attention": (lambda: functional.scaled_dot_product_attention(*qkv), 4 * n * n * d),
        }


def diffusers_model(ours: Transformer) -> torch.nn.Module:
    """diffusers' model holding the very same tensors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from diffusers import WanTransformer3DModel
    config = ours.config
    with torch.device("meta"):
        model = WanTransformer3DModel(
            num_attention_heads=config.heads, attention_head_dim=config.head_width, in_channels=config.channels,
            out_channels=config.channels, text_dim=config.text_width, ffn_dim=config.ffn_width,
            num_layers=config.layers,
        )  # fmt: skip
    model.rope = type(model.rope)(config.head_width, (1, 2, 2), 1024)
    model.load_state_dict({to_diffusers(name): t for name, t in ours.state_dict().items()}, assign=True)
    return model.to(next(ours.parameters()).device).eval()


def fused(model: torch.nn.Module) -> torch.nn.Module:
    """A copy with queries, keys and values in one product."""
    model = copy.deepcopy(model)
    model.fuse_qkv_projections()
    return model


def ways_of(bench: Bench, *, compiled: bool) -> tuple[dict[str, Way], dict[str, float]]:
    """Every way to make a step, and seconds of compiling where there was any."""
    ways = {
        "diffusers": bench.diffusers_step(bench.theirs),
        "diffusers, fused": bench.diffusers_step(fused(bench.theirs)),
        "kinora": bench.our_step(pair=False),
        "kinora, both at once": bench.our_step(pair=True),
    }
    seconds = {}
    if compiled:
        ways["diffusers, compiled"] = bench.diffusers_step(torch.compile(copy.deepcopy(bench.theirs)))
        other = copy.copy(bench)
        other.ours = copy.deepcopy(bench.ours)
        compile_blocks(other.ours)
        ways["kinora, compiled"] = other.our_step(pair=False)
        for name in ("diffusers, compiled", "kinora, compiled"):
            begin = time.perf_counter()
            ways[name]()
            seconds[name] = time.perf_counter() - begin
    return ways, seconds


def clock(device: str) -> float:
    """CPU seconds of this process, or wall seconds once the GPU has done what it was asked."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def in_turns(ways: dict[str, Way], rounds: int, device: str) -> dict[str, list[float]]:
    """Seconds of each way in each round."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            begin = clock(device)
            way()
            seconds[name].append(clock(device) - begin)
    return seconds


def measure(bench: Bench, precision: str, options: argparse.Namespace) -> dict[str, object]:
    """All ways at one precision of float32 products."""
    torch.set_float32_matmul_precision(precision)
    ways, compiling = ways_of(bench, compiled=options.compiled)
    limits = bench.limits()
    errors = {name: way().float() for name, way in ways.items()}  # and warmed up
    wanted = errors["diffusers"]
    seconds = in_turns(ways | {name: way for name, (way, _) in limits.items()}, options.rounds, options.device)
    rate = {name: work / min(seconds[name]) for name, (_, work) in limits.items()}
    table = {}
    for name in ways:
        theirs = name.startswith("diffusers")
        texts = (bench.config.text_length,) * 2 if theirs else (PROMPT + 1, NEGATIVE + 1)
        works = [Work.of(bench.config, bench.tokens, text, text_anew=theirs) for text in texts]
        limit = sum(w.linear / rate["a linear layer"] + w.attention / rate["an attention"] for w in works)
        middle = statistics.median(seconds[name])
        table[name] = {
            "seconds": middle,
            "least": min(seconds[name]),
            "most": max(seconds[name]),
            "ratio": statistics.median(a / b for a, b in zip(seconds["diffusers"], seconds[name], strict=True)),
            "of_limit": limit / middle,
            "operations": sum(w.linear + w.attention for w in works),
            "error": float((errors[name] - wanted).norm() / wanted.norm()),
            "compile_seconds": compiling.get(name),
        }
    return {"rates": rate, "ways": table}


def show(precision: str, result: dict) -> None:
    rates = ", ".join(f"{name} {rate / 1e9:,.0f} GFLOP/s" for name, rate in result["rates"].items())
    print(f"\nfloat32 products {precision!r}; {rates}")
    print("| way | seconds a step (least to most) | times diffusers | of its limit | difference | compiling |")
    print("|---|---|---|---|---|---|")
    for name, row in result["ways"].items():
        compiling = f"{row['compile_seconds']:.0f} s" if row["compile_seconds"] else ""
        print(
            f"| {name} | {row['seconds']:.3f} ({row['least']:.3f} to {row['most']:.3f}) | {row['ratio']:.2f} | "
            f"{100 * row['of_limit']:.0f}% | {row['error']:.1e} | {compiling} |"
        )


def surroundings(options: argparse.Namespace) -> dict[str, object]:
    """What a reader must know to compare."""
    import diffusers

    git = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent, check=False
    )
    name = torch.cuda.get_device_name() if options.device != "cpu" else platform.processor() or platform.machine()
    return {
        "device": name, "capability": torch.backends.cpu.get_cpu_capability(), "threads": torch.get_num_threads(),
        "torch": torch.__version__, "diffusers": diffusers.__version__, "commit": git.stdout.strip(),
        "shape": options.shape, "dtype": options.dtype, "rounds": options.rounds,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--precisions", nargs="+", default=["medium", "highest"], help="of float32 products")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compiled", action="store_true", help="both compiled too; a minute or more each")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    record = surroundings(options)
    print(", ".join(f"{name} {value}" for name, value in record.items()))
    with torch.inference_mode():
        bench = Bench(options.shape, options.device, getattr(torch, options.dtype))
        results = {precision: measure(bench, precision, options) for precision in options.precisions}
    for precision, result in results.items():
        show(precision, result)
    if options.out:
        options.out.write_text(json.dumps(record | {"results": results}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
