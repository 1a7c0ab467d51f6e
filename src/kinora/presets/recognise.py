"""Which published model a folder holds, and where each of its parts lies. Knows no torch.

What tensors are is read off their shapes (`kinora.presets.kinds`); where they may lie is the layout's to say
(`kinora.presets.layouts`). Some models have the same shapes (480p and 720p; Wan 2.1 14 B and each expert of Wan 2.2):
these are told apart by what the caller calls them, else by names of files and folders. What cannot be told is an error
that lists what it might be.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kinora.core.errors import WeightsError
from kinora.presets.kinds import Piece, piece_of
from kinora.presets.layouts import Layout, LayoutName, half_of, lay_out, named_set, read_json, tokenizer_files
from kinora.presets.wan import OPEN_MODELS, OpenModel
from kinora.weights.header import TensorEntry, read_header
from kinora.weights.manifest import PlacedFile

__all__ = ["PARTS", "Recognised", "recognise"]

PARTS: Mapping[str, str] = {
    "transformer": "transformer",
    "transformer_low": "second transformer (low noise)",
    "codec": "autoencoder (VAE)",
    "text": "text encoder (umT5-xxl)",
    "tokenizer": "tokenizer of the text encoder",
    "image": "image encoder (CLIP)",
}
"""What a model of open weights is made of, in a user's words; not every model has all of them."""


@dataclass(frozen=True, kw_only=True)
class Recognised:
    """A published model, found on disk."""

    preset: str
    """Key of `OPEN_MODELS`."""
    layout: LayoutName
    home: Path
    """Folder that the names of `files` start from."""
    parts: Mapping[str, Mapping[str, Any]]
    """Config of each part, as a manifest keeps it."""
    files: tuple[PlacedFile, ...]
    """With their sizes, without their hashes: these take minutes."""
    unconverted: tuple[Path, ...] = ()
    """Parts that are pickles still; their configs are the published ones, unread. Convert them and look again."""
    notes: tuple[str, ...] = ()
    """What a user should know, in sentences."""


@dataclass(frozen=True, kw_only=True)
class _Look:
    """What one search goes by."""

    path: Path
    layout: Layout
    called: str
    named: Mapping[str, Path]

    def pieces(self, part: str) -> list[Piece]:
        """What the caller named for a part, else all that the layout offers, each told by its content."""
        if part in self.named:
            return [read_piece(named_set(self.named[part]))]
        sets = self.layout.sets.get(part, ())
        if self.layout.name == "comfy" and len(sets) > 1:
            return [piece for files in sets if (piece := try_piece(files)) is not None]
        return [read_piece(files) for files in sets]


def recognise(path: Path | str, *, called: str = "", named: Mapping[str, Path | str] | None = None) -> Recognised:
    """What lies at `path`: a folder in one of the three layouts, or the transformer's file.

    `called` is the model the caller says it is (a key of `OPEN_MODELS`); `named` gives the places of single parts by
    the keys of `PARTS`, and goes before what is found. Raises `WeightsError` for what is missing, contradicts itself,
    or could be more than one thing.
    """
    path = Path(path).expanduser().absolute()
    places = {part: Path(place).expanduser().absolute() for part, place in (named or {}).items()}
    unknown = places.keys() - PARTS.keys()
    if unknown:
        raise WeightsError(f"There is no part {min(unknown)!r}; name one of {', '.join(PARTS)}.")
    if called and called not in OPEN_MODELS:
        raise WeightsError(f"There is no published model {called!r}; Kinora knows {', '.join(OPEN_MODELS)}.")
    look = _Look(path=path, layout=lay_out(path), called=called, named=places)
    high, low, model = choose_model(look)
    return gather(look, model, {"transformer": high} | ({"transformer_low": low} if low else {}))


def gather(look: _Look, model: OpenModel, pieces: dict[str, Piece]) -> Recognised:
    """The other parts that `model` needs, and all that was found as a record."""
    config = pieces["transformer"].config
    parts: dict[str, Mapping[str, Any]] = {"transformer": config}
    unconverted = []
    for part, published in (("codec", model.codec), ("text", model.text), ("image", model.image)):
        if published is None:
            continue
        piece = choose_part(look, part, published, config)
        if piece is None:
            unconverted.append(look.layout.pickles[part])
            parts[part] = dict(published)
        else:
            pieces[part], parts[part] = piece, piece.config
    home = look.layout.home
    files = [placed(home, part, file) for part, piece in pieces.items() for file in piece.files]
    files += [placed(home, "tokenizer", file) for file in choose_tokenizer(look, pieces.get("text"))]
    return Recognised(
        preset=model.name,
        layout=look.layout.name,
        home=home,
        parts=parts,
        files=tuple(files),
        unconverted=tuple(unconverted),
        notes=tuple(notes_on(model, config, look.layout.index)),
    )


def choose_model(look: _Look) -> tuple[Piece, Piece | None, OpenModel]:
    """The transformer (both of them where there are two experts) and the published model that it is."""
    pairs = expert_pairs(look)
    fitting = [(high, low, models) for high, low in pairs if (models := models_like(look, high, low))]
    if not fitting:
        raise no_model(look, [high for high, _ in pairs])
    usable = [entry for entry in fitting if not entry[0].trouble] or fitting
    if look.called and len(usable) > 1:  # more than one has its shapes: the one that has its name
        uncalled = replace(look, called="")
        named = [entry for entry in usable if [m.name for m in models_like(uncalled, *entry[:2])] == [look.called]]
        usable = named or usable
    if len(usable) > 1:
        listed = "; ".join(f"{high.label} ({' or '.join(m.name for m in models)})" for high, _, models in usable)
        raise WeightsError(
            f"{look.path} holds several models: {listed}. Say which: --as MODEL, or name the transformer's file: "
            "--part transformer=FILE"
        )
    high, low, models = usable[0]
    if len(models) > 1:
        names = ", ".join(model.name for model in models)
        raise WeightsError(f"{look.path} may be any of {names}: their tensors look alike. Say which it is: --as NAME")
    for piece in (high, low):
        if piece is not None and piece.trouble:
            raise WeightsError(piece.trouble)
    if models[0].experts == 2 and low is None:
        raise missing(look, "transformer_low", f"{models[0].title} has two, and here is one, {high.label}.")
    return high, low, models[0]


def expert_pairs(look: _Look) -> list[tuple[Piece, Piece | None]]:
    """Every transformer found, those of high noise with their partner of low noise."""
    found = [piece for piece in look.pieces("transformer") if piece.part in ("transformer", "other", "lora")]
    known = [piece for piece in found if piece.part == "transformer"]
    if not known:
        raise no_model(look, found)
    if "transformer_low" in look.named or look.layout.sets.get("transformer_low"):
        return [(known[0], next(iter(look.pieces("transformer_low")), None))]
    halves = {half_of(piece.files[0].stem): piece for piece in known}
    pairs: list[tuple[Piece, Piece | None]] = []
    for (stem, half), piece in halves.items():
        if half == "low" and (stem, "high") in halves:
            continue
        pairs.append((piece, halves.get((stem, "low")) if half == "high" else None))
    return pairs


def models_like(look: _Look, high: Piece, low: Piece | None) -> list[OpenModel]:
    """The published models that these transformers may be."""
    if low is not None and low.config != high.config:
        raise WeightsError(
            f"{high.files[0]} and {low.files[0]} are no pair: their tensors have other shapes. Name the two experts of "
            "one model."
        )
    config, two = high.config, low is not None or look.layout.two or bool(half_of(high.files[0].stem)[1])
    alike = [model for model in OPEN_MODELS.values() if same_kind(model, config)]
    if look.called:
        return [model for model in alike if model.name == look.called]
    counted = [model for model in alike if (model.experts == 2) == two] or alike
    sized = [model for model in counted if published_size(model, config)] or counted
    return by_name(sized, [high.files[0].stem, *reversed(look.path.parts[1:])])


def same_kind(model: OpenModel, config: Mapping[str, Any]) -> bool:
    """Whether what goes in and out is the same; widths may differ."""
    own = model.transformer
    return (own.channels, own.extra_channels, own.image_width > 0, own.image_positions > 0) == (
        config["channels"],
        config["extra_channels"],
        config["image_width"] > 0,
        config["image_positions"] > 0,
    )


def published_size(model: OpenModel, config: Mapping[str, Any]) -> bool:
    own = model.transformer
    return (own.width, own.layers, own.ffn_width) == (config["width"], config["layers"], config["ffn_width"])


def by_name(models: Sequence[OpenModel], texts: Iterable[str]) -> list[OpenModel]:
    """Those that the first telling one of `texts` means: one with the words in which a single model's name differs
    from the others'.
    """
    words = {model.name: set(model.name.split("-")) for model in models}
    shared = set.intersection(*words.values()) if words else set()
    for text in texts:
        said = set(re.split(r"[^a-z0-9.]+", re.sub(r"(?<=\d)_(?=\d)", ".", text.lower())))
        meant = [model for model in models if words[model.name] - shared <= said]
        if len(meant) == 1:
            return meant
    return list(models)


def choose_part(look: _Look, part: str, published: Mapping[str, Any], transformer: Mapping[str, Any]) -> Piece | None:
    """The one that goes with the transformer, or None where it is a pickle still."""
    found = look.pieces(part)
    fitting = [piece for piece in found if piece.part == part and fits(part, piece.config, published, transformer)]
    usable = [piece for piece in fitting if not piece.trouble]
    if len(usable) > 1:
        raise WeightsError(
            f"{look.path} has several that may be its {PARTS[part]}: {', '.join(piece.label for piece in usable)}. "
            f"Say which: --part {part}=FILE"
        )
    if usable:
        return usable[0]
    if fitting:
        raise WeightsError(fitting[0].trouble)
    if part in look.layout.pickles and part not in look.named:
        return None
    seen = "; ".join(piece.trouble or f"{piece.label} ({piece.config.get('kind', piece.part)})" for piece in found)
    raise missing(look, part, f"Found instead: {seen.removesuffix('.')}." if seen else "")


def fits(part: str, config: Mapping[str, Any], published: Mapping[str, Any], transformer: Mapping[str, Any]) -> bool:
    """Whether a part gives what the transformer takes."""
    if part == "codec":
        return bool(config["kind"] == published["kind"] and config["channels"] == transformer["channels"])
    return bool(config["width"] == transformer["text_width" if part == "text" else "image_width"])


def choose_tokenizer(look: _Look, text: Piece | None) -> tuple[Path, ...]:
    """The tokenizer's files; none where the text encoder's file has it inside."""
    place = look.named.get("tokenizer")
    files = look.layout.tokenizer if place is None else tokenizer_files(place if place.is_dir() else place.parent)
    if files or (place is None and text is not None and text.spiece):
        return files
    raise missing(look, "tokenizer", "It is a folder with tokenizer.json or spiece.model (google/umt5-xxl).")


def missing(look: _Look, part: str, also: str) -> WeightsError:
    sentences = [f"The {PARTS[part]} is missing from {look.path}.", also]
    sentences.append(f"Fetch it into the folder again, or say where it is: --part {part}=PATH")
    return WeightsError(" ".join(sentence for sentence in sentences if sentence))


def no_model(look: _Look, found: Sequence[Piece]) -> WeightsError:
    """Why nothing here is a model that can be run, as exactly as what was found allows."""
    troubles = [piece.trouble for piece in found if piece.trouble]
    if troubles:
        return WeightsError(troubles[0])
    if found and all(piece.part == "lora" for piece in found):
        return WeightsError(
            f"{found[0].files[0]} is a LoRA, no model. Add it to one that is there: kinora models add FILE --base NAME"
        )
    shapes = [piece for piece in found if piece.part == "transformer"]
    if shapes and look.called:
        return WeightsError(f"{look.path} is not {look.called}: {described(shapes[0].config)}. Leave --as out.")
    if shapes:
        return WeightsError(
            f"{look.path} has a Wan transformer of a kind Kinora does not run: {described(shapes[0].config)}. "
            f"It runs {', '.join(OPEN_MODELS)}."
        )
    seen = f" (of what is there, {found[0].label} is none)" if found else ""
    return WeightsError(
        f"{look.path} has no transformer of Wan{seen}. Name a folder as it was downloaded, a ComfyUI folder, or the "
        "transformer's .safetensors file."
    )


def described(config: Mapping[str, Any]) -> str:
    image = " and image tokens" if config["image_width"] else ""
    return (
        f"it takes {config['channels']} + {config['extra_channels']} channels{image}, "
        f"{config['layers']} layers of width {config['width']}"
    )


def notes_on(model: OpenModel, config: Mapping[str, Any], index: Mapping[str, Any]) -> Iterable[str]:
    """What differs from the published model."""
    if not published_size(model, config):
        yield f"Its sizes are not those of {model.title}: {described(config)}."
    boundary = index.get("boundary_ratio")
    if boundary is not None and boundary != model.preset.boundary:
        yield f"It asks to change experts at {boundary:g}; {model.name} is sampled with {model.preset.boundary:g}."
    if "expand_timesteps" in index and bool(index["expand_timesteps"]) != (model.preset.first_frame == "token"):
        yield f"Its expand_timesteps is {index['expand_timesteps']}, which {model.name} does not go by."


def read_piece(files: tuple[Path, ...]) -> Piece:
    """What a set of files holds."""
    tensors: dict[str, TensorEntry] = {}
    for file in files:
        tensors.update(read_header(file).tensors)
    return piece_of(files, tensors, read_json(files[0].parent / "config.json"))


def try_piece(files: tuple[Path, ...]) -> Piece | None:
    """The same among many: a file that cannot be read is none of ours until nothing else will do."""
    try:
        return read_piece(files)
    except WeightsError as error:
        return Piece(part="other", config={}, files=files, trouble=str(error))


def placed(home: Path, part: str, file: Path) -> PlacedFile:
    """The manifest's entry, hash still empty; a file outside `home` keeps its whole path."""
    name = str(file.relative_to(home)) if file.is_relative_to(home) else str(file)
    return PlacedFile(part=part, name=name, sha256="", bytes=file.stat().st_size)
