"""How fast scenes become pixels: a fixed mix, after one clip to warm up.

python benchmarks/render.py --mix training --clips 16 --threads 2
python benchmarks/render.py --mix richest --size 128 --clips 16 --threads 2
python benchmarks/render.py --mix training --frames 81 --clips 64 --device cuda
"""

from __future__ import annotations

import argparse
import time

import torch

from kinora.world.mix import RICHEST_MIX, SIMPLE_MIX, TRAINING_MIX, WIDE_MIX
from kinora.world.render import render_states
from kinora.world.sampler import sample_scene
from kinora.world.simulate import simulate

MIXES = {"training": TRAINING_MIX, "simple": SIMPLE_MIX, "richest": RICHEST_MIX, "wide": WIDE_MIX}
FIRST_SEED = 1000


def main() -> None:
    """Render the mix once and print pixels and clips a second."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mix", choices=MIXES, default="training")
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--frames", type=int, default=17)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=1, help="scenes rendered in one call")
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)

    scenes = [sample_scene(FIRST_SEED + index, mix=MIXES[asked.mix]) for index in range(asked.clips)]
    states = []
    for scene in scenes:
        every = simulate(scene)
        step = (scene.frames - 1) // max(1, asked.frames - 1) if asked.frames < scene.frames else 1
        states.append(every.at(torch.arange(0, step * (asked.frames - 1) + 1, step).numpy()))
    render_states(scenes[:1], states[:1], height=asked.size, width=asked.size, device=asked.device)
    began = time.perf_counter()
    for first in range(0, asked.clips, asked.batch):
        part = slice(first, first + asked.batch)
        done = render_states(scenes[part], states[part], height=asked.size, width=asked.size, device=asked.device)
    int(done.rgb_BFHW3[0, 0, 0, 0, 0])  # a device works ahead of us: wait for its last pixel
    seconds = time.perf_counter() - began
    pixels = asked.clips * asked.frames * asked.size**2
    print(
        f"{asked.mix}: {asked.clips} clips of {asked.frames} frames at {asked.size}x{asked.size} in {seconds:.2f} s on "
        f"{asked.device}, {asked.threads} threads: {asked.clips / seconds:.2f} clips/s, "
        f"{pixels / seconds / 1e6:.2f} Mpixel/s"
    )


if __name__ == "__main__":
    main()
