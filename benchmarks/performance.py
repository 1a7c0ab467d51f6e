"""Every comparison with peers, one after the other, and their tables as docs/performance.md.

    OMP_NUM_THREADS=1 python benchmarks/performance.py [--only transformer codec film loading] [--device cpu]

Needs an idle machine and, on two CPU cores, about an hour. What stands in the page above the line of `MARK` is written
by hand (what the figures mean, why a target was missed) and kept.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "performance.md"
MARK = "<!-- below: written by benchmarks/performance.py -->"

CPU = {
    "transformer": (
        ["transformer.py", "--shape", "small", "--rounds", "3", "--compiled"],
        ["transformer.py", "--shape", "clip", "--rounds", "3", "--precisions", "medium"],
    ),
    "codec": (
        ["wan_codec.py", "--kind", "wan21", "--width", "32", "--frames", "17", "--memory-frames", "81"],
        ["wan_codec.py", "--kind", "wan21", "--width", "96", "--frames", "5", "--repeats", "2"],
        ["wan_codec.py", "--kind", "wan22", "--width", "40", "--frames", "17"],
    ),
    "film": (["film.py", "--repeats", "3"],),
    "loading": (["loading.py"], ["loading.py", "--cold"]),
}
GPU = {
    "transformer": tuple(
        ["transformer.py", "--device", "cuda", "--dtype", "bfloat16", "--shape", shape, "--rounds", "3", "--compiled"]
        for shape in ("1.3b", "5b")
    ),
    "codec": (
        ["wan_codec.py", "--kind", "wan21", "--size", "480x832", "--frames", "81", "--device", "cuda", "--dtype",
         "bfloat16", "--compiled"],
        ["wan_codec.py", "--kind", "wan22", "--size", "704x1280", "--frames", "121", "--device", "cuda", "--dtype",
         "bfloat16", "--compiled"],
    ),
    "film": (
        ["film.py", "--device", "cuda", "--width", "1536", "--layers", "30", "--codec-width", "96", "--size", "832x480",
         "--frames", "81", "--steps", "10", "--repeats", "2"],
    ),
    "loading": (["loading.py"],),
}  # fmt: skip
TITLES = {
    "transformer": "A guided denoising step",
    "codec": "Encoding and decoding",
    "film": "A whole film, from sentence to frames",
    "loading": "Loading",
}


def section(command: list[str], environment: dict[str, str]) -> str:
    """What one benchmark prints, under its command."""
    print(" ".join(command), flush=True)
    whole = [sys.executable, *command]
    done = subprocess.run(whole, cwd=HERE, env=environment, capture_output=True, text=True, check=False)
    shown = f"```\npython benchmarks/{' '.join(command)}\n```\n\n"
    if done.returncode:
        return f"{shown}Failed: `{done.stderr.strip().splitlines()[-1]}`\n"
    return shown + done.stdout.strip() + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=TITLES, default=list(TITLES))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    chosen = GPU if options.device == "cuda" else CPU
    git = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, cwd=HERE, capture_output=True, text=True, check=False).stdout.strip()
    where = f"{options.device}, {os.cpu_count()} cores, {platform.machine()}, commit {commit}"
    parts = [f"## Measured: {where}\n"]
    for name in options.only:
        parts.append(f"### {TITLES[name]}\n")
        parts += [section(command, dict(os.environ)) for command in chosen[name]]
    kept = PAGE.read_text(encoding="utf-8").split(MARK)[0] if PAGE.exists() else "# Performance\n\n"
    PAGE.write_text(kept.rstrip() + f"\n\n{MARK}\n\n" + "\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
