"""The memory plan: which parts of a model lie where while a film is made. Knows no torch.

Every way of placing the parts that fits the card is priced in bytes and seconds; the ladder is those that no other one
beats in both. A run starts on its first rung and takes the next one when memory gives out all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Literal

from kinora.core.errors import MemoryShortage
from kinora.core.plan import Plan
from kinora.pipeline.card import Card
from kinora.pipeline.parts import ITEM_BYTES, Part, Parts

__all__ = ["DRAW_FRAMES", "REMEDY", "Placing", "Rung", "gibibytes", "held_bytes", "ladder"]

Where = Literal["device", "host", "file"]
Stays = Literal["always", "turn", "use"]

DRAW_FRAMES = 4
"""Latent frames decoded at once: enough to keep convolutions busy, few enough to keep memory flat."""

USABLE = {"cuda": 0.92, "cpu": 0.9}
"""Share of the free memory that a plan may fill: allocators leave gaps, and the estimates are good to a quarter."""
PINNED = 0.5
"""Share of the machine's free memory that may be pinned for copies to a GPU; the rest of the system wants to live."""
STEP = 0.93
"""A rung that needs more than this of the one above it is not worth falling to."""

PINNED_RATE = 2.0e10
"""Bytes a second from pinned memory to a GPU: 16 lanes of PCIe 4 carry about 2.5e10 (not measured here)."""
FILE_RATE = 1.5e9
"""Bytes a second from mapped files: a good disk, or the system's cache of it and a change of type on the way."""
SHOWS = 0.05
"""Share of a block's coming that is waited for even where the block before it takes longer."""
SINGLE_DRAW = 1.15
"""How much longer decoding takes a latent frame at a time."""


REMEDY = "Make a shorter film, choose an aspect with fewer pixels or a smaller model, or close what else takes memory."


@dataclass(frozen=True, kw_only=True)
class Placing:
    """Where one part lies."""

    where: Where = "device"
    """Its blocks: on the device; in the machine's memory, or in the mapped files, and on the device one at a time."""
    stays: Stays = "always"
    """On the device: for good; until another part that takes turns is used; only while it is used."""


@dataclass(frozen=True, kw_only=True)
class Rung:
    """One way of placing all parts, and what it costs."""

    device: str
    dtype: str
    """What weights and matrix products are in, as torch names it."""
    placings: Mapping[str, Placing]
    draw_frames: int
    """Latent frames decoded at once."""
    peak_bytes: int
    """Expected peak on the device."""
    total_bytes: int
    """What the device has."""
    seconds: float
    """Expected time of the whole film."""

    def __str__(self) -> str:
        return f"memory    {self.words}: about {gibibytes(self.peak_bytes)} of {gibibytes(self.total_bytes)}"

    @property
    def words(self) -> str:
        """What is not simply there all the time."""
        said = [*_said_of_transformers(self.placings), *_said_of_others(self.placings)]
        if self.draw_frames < DRAW_FRAMES:
            said.append("pictures drawn one latent frame at a time")
        return ", ".join(said) or "all parts kept ready"


def ladder(parts: Parts, plan: Plan, card: Card) -> tuple[Rung, ...]:
    """The rungs that fit, fastest first, each with less memory than the one before.

    Raises `MemoryShortage` when none does.
    """
    rungs = sorted(_rungs(parts, plan, card), key=lambda rung: (rung.seconds, rung.peak_bytes))
    usable = card.free * USABLE.get(card.kind, USABLE["cpu"])
    least = min(rungs, key=lambda rung: rung.peak_bytes)
    if least.peak_bytes > usable:
        raise MemoryShortage(_shortage(least, plan, card))
    chosen: list[Rung] = []
    for rung in rungs:
        if rung.peak_bytes <= usable and (not chosen or rung.peak_bytes < STEP * chosen[-1].peak_bytes):
            chosen.append(rung)
    return tuple(chosen)


def held_bytes(parts: Parts, rung: Rung, names: Iterable[str]) -> int:
    """What parts that are there under `rung` take already: what a new plan may count as free.

    What a CPU uses as it is stored stays mapped, and the system counts it as free all the while.
    """
    item = parts.item(rung.dtype)
    held = 0
    for name in names:
        part, placing = parts.by_name[name], rung.placings.get(name, Placing())
        if rung.device != "cpu" or not parts.mapped or abs(part.stored_item - item) > 0.05 * item:
            held += _at_rest(part, placing, item)
    return held


def gibibytes(count: float) -> str:
    """As people say it: MiB below one GiB."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


# Every way of placing


def _rungs(parts: Parts, plan: Plan, card: Card) -> Iterator[Rung]:
    for placings, frames in product(_placings(parts, card), (DRAW_FRAMES, 1)):
        yield Rung(
            device=card.device,
            dtype=card.dtype,
            placings=placings,
            draw_frames=frames,
            peak_bytes=_peak(parts, plan, card, placings, frames),
            total_bytes=card.total,
            seconds=_seconds(parts, plan, card, placings, frames),
        )


def _placings(parts: Parts, card: Card) -> Iterator[Mapping[str, Placing]]:
    """All combinations worth pricing."""
    always, turn, use = Placing(), Placing(stays="turn"), Placing(stays="use")
    if not parts.mapped:
        yield dict.fromkeys(parts.by_name, always)
        return
    blocks = sum(part.blocks * part.block_parameters for name, part in parts.by_name.items() if name in parts.experts)
    movers = [always, *([turn] if len(parts.experts) > 1 else [])]
    if card.kind != "cpu" and blocks * ITEM_BYTES[card.dtype] <= PINNED * card.host_free:
        movers.append(Placing(where="host"))
    movers.append(Placing(where="file"))
    reader = Placing(where="file") if parts.by_name["text"].fetches else use
    for mover, looker, drawer in product(movers, (always, use), (always, use)):
        if looker is always and mover is not always:
            # What is used once makes room before what is used at every step.
            continue
        image = {"image": looker} if "image" in parts.by_name else {}
        yield {**dict.fromkeys(parts.experts, mover), "text": reader, "codec": drawer, **image}


# What a placing costs


def _peak(parts: Parts, plan: Plan, card: Card, placings: Mapping[str, Placing], frames: int) -> int:
    """The widest of a film's moments: reading, imagining, drawing."""
    item, sides = parts.item(card.dtype), 1 if plan.guidance == 1.0 else 2
    kept = sum(_at_rest(parts.by_name[name], placing, item) for name, placing in placings.items() if _stays(placing))
    reading = max(_coming(parts, placings, name, item) for name in ("text", "image"))
    turning = max(_coming(parts, placings, name, item) for name in parts.experts)
    levels, pieces = bool(plan.request.conditions), card.kind == "cpu"
    imagining = turning + parts.imagine_bytes(plan.tokens, item, sides=sides, pieces=pieces, own_levels=levels)
    pixels, per = plan.pixels.height * plan.pixels.width, -(-plan.pixels.frames // plan.latent.frames)
    film = pixels * per * max(segment.new for segment in plan.segments)
    drawing = turning + _coming(parts, placings, "codec", item) + parts.draw_bytes(pixels, per * frames, item)
    if card.kind == "cpu":
        drawing += 2 * 3 * film
    if parts.transformer.extra_channels:
        # A first picture is encoded at the head of a whole film, grey behind it, and that is float32.
        drawing += 3 * 4 * film
    return kept + max(reading + parts.read_bytes(item), imagining, drawing)


def _stays(placing: Placing) -> bool:
    return placing.stays == "always"


def _coming(parts: Parts, placings: Mapping[str, Placing], name: str, item: int) -> int:
    """What a part brings with it that is not there all the time."""
    if name not in placings or _stays(placings[name]):
        return 0
    return _at_rest(parts.by_name[name], placings[name], item)


def _at_rest(part: Part, placing: Placing, item: int) -> int:
    """What a part takes on the device while it is there: whole, or all but its blocks and two of these; the one block
    at work of a part that fetches them.
    """
    if placing.where == "device":
        return part.bytes(item)
    if part.fetches:
        return part.block_parameters * item
    return part.outside_bytes(item) + 2 * part.block_parameters * item


def _seconds(parts: Parts, plan: Plan, card: Card, placings: Mapping[str, Placing], frames: int) -> float:
    """The plan's own time, and what is waited for: parts that come again, blocks that come more slowly than they are
    used.
    """
    films = plan.passes
    visits = {"text": 1, "image": 1, "codec": 2 * films, **dict.fromkeys(parts.experts, films)}
    seconds = plan.imagine_seconds + plan.draw_seconds * (1.0 if frames == DRAW_FRAMES else SINGLE_DRAW)
    for name, placing in placings.items():
        part = parts.by_name[name]
        if placing.stays != "always":
            # Loading it for the first film is everybody's; from the second one on it is waited for.
            seconds += visits[name] * part.stored_bytes / FILE_RATE
    placing, part = placings["transformer"], parts.by_name["transformer"]
    if placing.where == "device":
        return seconds
    rate = PINNED_RATE if placing.where == "host" else FILE_RATE
    item = ITEM_BYTES[card.dtype] if placing.where == "host" else part.stored_item
    bytes_moved = part.blocks * part.block_parameters * item
    moved, computed = bytes_moved / rate, plan.imagine_seconds / plan.forwards
    hidden = computed if card.kind != "cpu" else 0.0
    return seconds + plan.forwards * max(moved - hidden, SHOWS * moved)


# In words


def _said_of_transformers(placings: Mapping[str, Placing]) -> Iterator[str]:
    placing = placings["transformer"]
    if placing.where == "host":
        yield "blocks streamed from the machine's memory"
    elif placing.where == "file":
        yield "blocks streamed from their files"
    elif placing.stays == "turn":
        yield "one expert at a time"


def _said_of_others(placings: Mapping[str, Placing]) -> Iterator[str]:
    freed = [f"{name} encoder" for name in ("text", "image") if name in placings and placings[name].stays == "use"]
    if freed:
        yield f"{' and '.join(freed)} freed after reading"
    if placings["codec"].stays == "use":
        yield "codec only while it is used"


def _shortage(least: Rung, plan: Plan, card: Card) -> str:
    pixels = plan.pixels
    return (
        f"{plan.model} needs about {gibibytes(least.peak_bytes)} for {pixels.frames} frames of {pixels.width} x "
        f"{pixels.height} at the least ({least.words}). {card.name} has {gibibytes(card.free)} free, of which "
        f"{USABLE.get(card.kind, USABLE['cpu']):.0%} may be filled. {REMEDY}"
    )
