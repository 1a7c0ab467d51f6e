"""The gallery: what a model makes of sentences that were fixed before it was trained, good and bad alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from kinora.core.request import Request
from kinora.measure.clips import ClipCache
from kinora.measure.model import OnCase, Subject
from kinora.measure.prompts import GalleryPrompt
from kinora.measure.sheet import strip

__all__ = ["draw_gallery"]


def draw_gallery(
    subject: Subject,
    prompts: Sequence[GalleryPrompt],
    folder: Path,
    *,
    unknown: Callable[[str], Sequence[str]],
    on_case: OnCase | None = None,
) -> Path:
    """A strip of moments per prompt and `gallery.md` with the prompts beside them; returns its path.

    `unknown` tells which words of a prompt the model has not learnt. A line is left for the verdict of whoever looks.
    """
    cache = ClipCache(folder / "clips")
    lines = [f"# What {subject.name} makes of {len(prompts)} sentences", ""]
    for done, prompt in enumerate(prompts):
        if on_case is not None:
            on_case(done, len(prompts), None)
        request = Request(prompt=prompt.text, seconds=subject.seconds, quality=subject.quality, seed=prompt.seed)
        picture = f"{prompt.seed}.jpg"
        strip(cache.generated(request, subject.weights, subject.maker)).save(folder / picture, quality=88)
        lines += _entry(prompt, picture, unknown(prompt.text))
    path = folder / "gallery.md"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _entry(prompt: GalleryPrompt, picture: str, unknown: Sequence[str]) -> list[str]:
    words = f"; not learnt: {', '.join(unknown)}" if unknown else ""
    return [f"**{prompt.text}** (seed {prompt.seed}{words})", "", f"![{prompt.text}]({picture})", "", "Verdict: ", ""]
