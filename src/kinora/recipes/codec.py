"""Recipe: the codec. The encoder in closed form from clips; then, if asked, the decoder's learned correction."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kinora.codec import Codec, CodecConfig, psnr, video_from_frames
from kinora.core.errors import InputError
from kinora.training.batches import step_rng
from kinora.training.codec import CodecObjective, codec_step, picture_clip
from kinora.training.library import Library
from kinora.training.parts import Part, load_codec, load_part, save_part
from kinora.training.plan import Stage
from kinora.training.run import Run, RunConfig

__all__ = ["CodecJob", "codec_recipe", "fit_codec", "library_videos"]

PICTURE_SHARE = 1 / 7
"""Share of procedural pictures among the clips, so that the codec carries any texture."""
HELD_OUT_PICTURES = range(1_000_000, 1_000_016)


def library_videos(library: Library, clips: range, *, device: str, batch: int = 4) -> Iterator[Tensor]:
    """Clips of a library as videos (batch, 3, F, H, W) in [-1, 1]."""
    for start in range(clips.start, clips.stop, batch):
        frames = np.stack([library.frames(i) for i in range(start, min(start + batch, clips.stop))])
        yield video_from_frames(torch.from_numpy(frames).to(device))


def picture_videos(seeds: range, library: Library, *, device: str) -> Iterator[Tensor]:
    """Procedural pictures of the size of the library's clips."""
    height, width = library.config.height, library.config.width
    for seed in seeds:
        yield picture_clip(seed, frames=9, height=height, width=width, device=device)


def fit_codec(
    out: Path, library: Library, config: CodecConfig, *, device: str = "cpu", say: Callable[[str], None] = print
) -> Codec:
    """Fit the linear encoder on all clips but the last sixteenth and on procedural pictures; writes the part `out`."""
    _check(library)
    began = time.monotonic()
    train, held_out = _split(library)
    codec = Codec(config).to(device)
    pictures = range(round(len(train) * PICTURE_SHARE))
    codec.fit_linear(
        chain(library_videos(library, train, device=device), picture_videos(pictures, library, device=device))
    )
    quality = _quality(codec, library, held_out, device, linear=True)
    say(f"codec: linear PSNR {quality} dB on {len(held_out)} held-out clips and {len(HELD_OUT_PICTURES)} pictures")
    record = {"clips": len(train), "linear_psnr": quality, "seconds": round(time.monotonic() - began, 1)}
    _save(out, codec, {**record, **_material(library), "device": device, "threads": torch.get_num_threads()})
    return codec


class CodecJob:
    """Feeds the decoder's run; see `kinora.training.run.Job`."""

    name = "codec"

    def __init__(self, model: Codec, library: Library, clips: range, *, size: int, device: str) -> None:
        self.model = model.to(device)
        self.stages = (Stage(name="decoder", share=1.0, size=size),)
        self._library = library
        self._clips = clips
        self._size = size
        self._device = device
        self._objective = CodecObjective()

    def loss(self, stage: str, seed: int, step: int) -> Tensor:
        """The fidelity of one batch of crops, or of procedural pictures in some steps."""
        rng = step_rng(seed, step, 0)
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        if rng.random() < PICTURE_SHARE:
            seeds = rng.integers(HELD_OUT_PICTURES.start, size=self._size)
            height = width = min(self._objective.crop, self._library.config.height, self._library.config.width)
            parts = [
                picture_clip(int(one), frames=self._objective.frames, height=height, width=width, device=self._device)
                for one in seeds
            ]
            video_BCFHW = torch.cat(parts)
        else:
            chosen = rng.integers(self._clips.start, self._clips.stop, size=self._size)
            frames = np.stack([self._library.frames(int(i)) for i in chosen])
            video_BCFHW = video_from_frames(torch.from_numpy(frames).to(self._device))
        loss, _ = codec_step(self.model, video_BCFHW, generator, self._objective)
        return loss

    def sheet(self, tensors: Mapping[str, Tensor], path: Path) -> None:
        """Nothing to see that the figures do not say."""


def codec_recipe(
    out: Path,
    folder: Path,
    library: Library,
    config: CodecConfig,
    run_config: RunConfig | None,
    *,
    start: Path | None = None,
    device: str = "cpu",
    batch: int = 4,
    say: Callable[[str], None] = print,
) -> bool:
    """Fit the encoder (or take it from `start`), then train the decoder if there is a budget. True when finished.

    The encoder of `start` stays as it is, so latents made with it stay valid.
    """
    _check(library)
    fitted = folder / "fitted.safetensors"
    if start is not None:
        codec = _with_encoder_of(load_codec(start), config)
    elif fitted.exists():
        codec = load_codec(fitted)
    else:
        torch.manual_seed(0)
        codec = fit_codec(fitted, library, config, device=device, say=say)
    if run_config is None or codec.decoder is None:
        fitted_here = {} if start is not None else load_part(fitted, "codec").record
        _save(out, codec, {**fitted_here, "clips": len(library), **_material(library)})
        return True
    train, held_out = _split(library)
    run = Run(folder, CodecJob(codec, library, train, size=batch, device=device), run_config, say)
    finished = run.go()
    codec.load_state_dict({**codec.state_dict(), **run.average.tensors})
    quality = _quality(codec, library, held_out, device, linear=False)
    say(f"codec: PSNR {quality} dB on {len(held_out)} held-out clips and {len(HELD_OUT_PICTURES)} pictures")
    held = load_part(fitted if start is None else start, "codec").record
    linear = {name: held[name] for name in ("linear_psnr",) if name in held}
    _save(out, codec, {**run.record(), "clips": len(train), **linear, "psnr": quality, **_material(library)})
    return finished


def _with_encoder_of(codec: Codec, config: CodecConfig) -> Codec:
    """A codec of `config` with the encoder of another, and its decoder too where there is one of the same shape."""
    if codec.config == config:
        return codec
    torch.manual_seed(0)
    wider = Codec(config)
    own = wider.state_dict()
    taken = {name: tensor for name, tensor in codec.state_dict().items() if not name.startswith("decoder.")}
    if any(own[name].shape != tensor.shape for name, tensor in taken.items()):
        raise InputError(
            f"A codec of {config.channels} channels cannot take the encoder of one of {codec.config.channels}; "
            "give the same number of channels."
        )
    wider.load_state_dict({**own, **taken})
    return wider


def _check(library: Library) -> None:
    if not library.config.contiguous:
        raise InputError(
            f"{library.folder} holds scattered latent frames; a codec learns from neighbouring ones: render a library "
            "with `kinora train library --for codec`."
        )


def _split(library: Library) -> tuple[range, range]:
    """Clips to train on and clips to measure by."""
    held_out = max(1, len(library) // 16)
    return range(len(library) - held_out), range(len(library) - held_out, len(library))


def _quality(codec: Codec, library: Library, clips: range, device: str, *, linear: bool) -> dict[str, float]:
    """PSNR in dB on the theatre's clips and on procedural pictures."""
    return {
        "theatre": round(psnr(codec, library_videos(library, clips, device=device), linear=linear), 2),
        "pictures": round(psnr(codec, picture_videos(HELD_OUT_PICTURES, library, device=device), linear=linear), 2),
    }


def _material(library: Library) -> dict[str, Any]:
    """What it learnt from, for the record."""
    return {"world": library.config.world, "library": dataclasses.asdict(library.config), "rendering": library.pace()}


def _save(out: Path, codec: Codec, record: Mapping[str, object]) -> None:
    save_part(out, Part(kind="codec", config=codec.config.to_dict(), tensors=codec.state_dict(), record=dict(record)))
