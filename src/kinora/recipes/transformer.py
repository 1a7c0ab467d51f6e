"""Recipe: the joint run of transformer and text encoder."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from kinora.control.blocking import BLOCKING_CHANNELS
from kinora.core.errors import InputError
from kinora.language.tokenizer import Tokenizer
from kinora.recipes.sizes import Size
from kinora.training.batches import Batches, ClipBatches, ManyBatches
from kinora.training.blockings import BlockingSet
from kinora.training.files import write_json
from kinora.training.generator import Generator, GeneratorJob, GeneratorStage
from kinora.training.latents import FrameEncoder, LatentSet, encode_library
from kinora.training.library import Library, widest
from kinora.training.maps import MapSet, maps_path
from kinora.training.parts import Part, load_codec, load_part, load_text, save_part, without_vocabulary
from kinora.training.plan import Stage
from kinora.training.portrait_library import Portraits, encode_portraits, portrait_shards
from kinora.training.run import Run, RunConfig
from kinora.transformer.model import Transformer

__all__ = ["PROMPTS", "transformer_recipe", "write_generator"]

NOTED = "libraries.json"
"""In a run's folder: how many shards of each library there were when it began."""
PROMPTS = (
    "a red ball rolls to the right on sand",
    "一个蓝色的大方块在草地上向左滑动",
    "a small yellow ball falls and bounces on a checkered floor at sunset",
    "一个绿色的圆锥静静地立在雪地上，夜晚",
    "a person in purple clothes walks to the left",
    "a shiny pink cylinder and a grey cube on a wooden floor, the camera orbits left",
)
"""What sample sheets show, a row each."""


def transformer_recipe(
    out: Path,
    folder: Path,
    size: Size,
    config: RunConfig,
    *,
    library_folders: Sequence[Path],
    codec_path: Path,
    text_path: Path,
    image_library_folders: Sequence[Path] = (),
    long_library_folder: Path | None = None,
    start: Path | None = None,
    new_head: bool = False,
    compile_blocks: bool = False,
    say: Callable[[str], None] = print,
) -> bool:
    """Train on a library; writes `out` (transformer) and `out` with "-text" (text encoder). True when finished.

    Each step shows one of the libraries, the larger ones more often. `image_library_folders` hold single pictures that
    are mixed into the steps (many scenes for the cost of a few clips; without them they are the clips' own first
    frames); `long_library_folder` holds clips of every latent frame for a last stage at full length; `start` is a
    trained transformer to go on from, with its text encoder as `text_path`, on another machine or with another library;
    `new_head` with it learns the head anew, as weights need that predicted the velocity itself and are to predict what
    the linear guess leaves.
    """
    codec = load_codec(codec_path)
    text, tokenizer = load_text(text_path)
    size = dataclasses.replace(size, codec=codec.config, text_width=text.config.width, text_length=text.config.length)
    _keep_recipe(folder, size)
    long_folders = [] if long_library_folder is None else [long_library_folder]
    clips, pictures, long = (
        feed(folder, paths, codec_path, tokenizer, size, config) if paths else None
        for paths in (library_folders, image_library_folders, long_folders)
    )
    assert clips is not None
    begun = None if start is None else load_part(start, "transformer")
    spread = clips.spread() if begun is None or new_head else begun.config.get("spread", ())
    torch.manual_seed(config.seed)
    transformer = Transformer(dataclasses.replace(size.transformer(), spread=spread))
    if begun is not None:
        _take_weights(transformer, begun, start, new_head=new_head)
    model = Generator(transformer, text, maps=clips.has_maps)
    stages = _stages(clips, pictures, long, size)
    job = GeneratorJob(
        model, stages, objective=size.objective, tokenizer=tokenizer, codec=codec, prompts=PROMPTS,
        device=config.device, compile_blocks=compile_blocks,
    )  # fmt: skip
    run = Run(folder, job, config, say)
    finished = run.go()
    write_generator(
        out, run, model, tokenizer.to_json(), library_folders,
        beside=[*image_library_folders, *long_folders],
        maps_weight=size.objective.maps, start=None if begun is None else begun.record,
    )  # fmt: skip
    return finished


def _take_weights(transformer: Transformer, part: Part, path: Path | None, *, new_head: bool) -> None:
    """Take the weights of a trained transformer of the same configuration, with `new_head` all but its head's."""
    wanted = json.loads(json.dumps(dataclasses.asdict(transformer.config)))
    if new_head:
        del wanted["spread"]
    told = wanted.pop("control_channels") == part.config.get("control_channels")
    changed = sorted(name for name in wanted if wanted[name] != part.config.get(name, wanted[name]))
    if changed:
        raise InputError(
            f"{path} is a transformer of another {', '.join(changed)}; give the options it was trained with."
        )
    tensors = dict(part.tensors)
    if new_head:
        tensors |= {name: tensor for name, tensor in transformer.state_dict().items() if name.startswith("head.head.")}
    if not told:
        # Weights that were never told where things stand learn it from nothing.
        tensors |= {k: v for k, v in transformer.state_dict().items() if k.startswith("control_embedding.")}
    transformer.load_state_dict(tensors)


def write_generator(
    out: Path,
    run: Run,
    model: Generator,
    vocabulary: str,
    library_folders: Sequence[Path],
    *,
    beside: Sequence[Path] = (),
    maps_weight: float = 0.0,
    start: Mapping[str, Any] | None = None,
) -> None:
    """Write the averaged weights of a joint run as two parts, whatever step it has reached; heads are left behind.

    `beside` are libraries that were shown too, `start` the record of the weights it went on from.
    """
    library = widest(map(Library, library_folders))
    record = {
        **run.record(),
        **({} if start is None else {"start": without_vocabulary(start)}),
        "world": library.config.world,
        "library": dataclasses.asdict(library.config),
        "libraries": [_told(folder, run.folder) for folder in (*library_folders, *beside)],
        "rendering": library.pace(),
        "auxiliary": {"maps": 0.0 if model.maps is None else maps_weight},
    }
    averaged = {**model.state_dict(), **run.average.tensors}
    for kind, path, config in (
        ("transformer", out, model.transformer.config),
        ("text", text_beside(out), model.text.config),
    ):
        tensors = {
            name.removeprefix(f"{kind}."): tensor for name, tensor in averaged.items() if name.startswith(f"{kind}.")
        }
        extra = {"vocabulary": vocabulary} if kind == "text" else {}
        save_part(path, Part(kind=kind, config=dataclasses.asdict(config), tensors=tensors, record={**record, **extra}))


def _told(library_folder: Path, run_folder: Path) -> dict[str, Any]:
    """What a library holds, with as many clips as the run in `run_folder` sees of it."""
    library = Library(library_folder, shards=_shards_noted(run_folder).get(library_folder.name))
    return {**dataclasses.asdict(library.config), "count": len(library)}


def _shards_noted(run_folder: Path) -> dict[str, int]:
    path = run_folder / NOTED
    noted: dict[str, int] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return noted


def text_beside(out: Path) -> Path:
    """Where the text encoder that was trained with the transformer `out` lies."""
    return out.with_name(f"{out.stem}-text{out.suffix}")


def _keep_recipe(folder: Path, size: Size) -> None:
    """Note the size when a run begins; a run that goes on as something else is refused."""
    path = folder / "recipe.json"
    values = json.loads(json.dumps(dataclasses.asdict(size)))
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_json(path, values)
        return
    held = json.loads(path.read_text(encoding="utf-8"))
    changed = sorted(name for name in values if values[name] != held.get(name))
    if changed:
        raise InputError(
            f"The run in {folder} began with another {', '.join(changed)}; give the options it began with, "
            "or another folder for a new run."
        )


def feed(
    folder: Path, library_folders: Sequence[Path], codec_path: Path, tokenizer: Tokenizer, size: Size, config: RunConfig
) -> Batches:
    """Batches of some libraries."""
    names = [path.name for path in library_folders]
    if len(set(names)) < len(names):
        raise InputError(f"Two of the libraries {', '.join(names)} have one name; a run tells them apart by it.")
    parts = [_feed_one(folder, path, codec_path, tokenizer, size, config) for path in library_folders]
    return parts[0] if len(parts) == 1 else ManyBatches(parts)


def _feed_one(
    folder: Path, library_folder: Path, codec_path: Path, tokenizer: Tokenizer, size: Size, config: RunConfig
) -> ClipBatches:
    """Batches of one library; how much of it there was when the run began is noted: a resumed run sees the same."""
    shards = _shards_noted(folder)
    library = Library(library_folder, shards=shards.get(library_folder.name))
    portraits = f"{library_folder.name} portraits"
    if library_folder.name not in shards:
        folder.mkdir(parents=True, exist_ok=True)
        shards |= {library_folder.name: len(library.shards), portraits: portrait_shards(library)}
        write_json(folder / NOTED, shards)
    encoder = FrameEncoder.from_file(codec_path, device=config.device)
    encode_library(library_folder, library.shards, encoder)
    latents = LatentSet(library_folder, library.shards, encoder.key)
    drawn = shards.get(portraits, 0)
    encode_portraits(library, encoder, shards=drawn)
    maps = None
    if library.config.map_cell and size.objective.maps > 0:
        maps = MapSet([maps_path(library.stem(at)) for at in range(len(library.shards))], config.device)
    return ClipBatches(
        library, latents, tokenizer, text_length=size.text_length, device=config.device,
        portraits=Portraits.read(library, encoder.key, shards=drawn), maps=maps,
        blockings=BlockingSet(library) if size.control_channels == BLOCKING_CHANNELS else None,
    )  # fmt: skip


def _stages(clips: Batches, pictures: Batches | None, long: Batches | None, size: Size) -> list[GeneratorStage]:
    """A few latent frames of every clip, with steps of single pictures between; before them a stage of pictures alone
    where one is asked for, after them whole clips where there are some.
    """
    video = GeneratorStage(
        stage=Stage(name="video", share=1.0 - size.image_share, size=size.video_batch), batches=clips,
        latent_frames=clips.kept, image_share=size.picture_steps, pictures=pictures,
    )  # fmt: skip
    stages = [video]
    if size.image_share > 0:
        image = Stage(name="image", share=size.image_share, size=size.image_batch)
        stages.insert(0, GeneratorStage(stage=image, batches=clips if pictures is None else pictures, latent_frames=1))
    if long is not None:
        fewer = max(1, size.video_batch * clips.kept // long.kept)
        stages.append(
            GeneratorStage(stage=Stage(name="long", share=0.25, size=fewer), batches=long, latent_frames=long.kept)
        )
    return stages
