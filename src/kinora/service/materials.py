"""Assets as the materials of a request. Pictures and films name their asset and have its size, without its pixels:
those are seen by the worker alone. A mask has them, so that an empty one, or two that overlap, are refused at once.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from kinora.core.clip import Clip
from kinora.core.errors import InputError, MediaError
from kinora.core.materials import Footage, Mask, Still
from kinora.media.mask import read_mask
from kinora.service.assets import Asset, Assets
from kinora.service.errors import Invalid

__all__ = ["asset_file", "footage_of", "mask_of", "still_of"]


def still_of(asset: Asset) -> Still:
    """A picture."""
    rgb_HW3 = np.broadcast_to(np.uint8(0), (asset.height, asset.width, 3))
    return Still(name=asset.name, digest=asset.digest, rgb_HW3=rgb_HW3)


def footage_of(asset: Asset, frame_rate: float) -> Footage:
    """A film at a model's frame rate, which is how the worker reads it."""
    frames = max(1, round(asset.frames * frame_rate / asset.frame_rate)) if asset.frame_rate else asset.frames
    frames_FHWC = np.broadcast_to(np.uint8(0), (frames, asset.height, asset.width, 3))
    return Footage(name=asset.name, digest=asset.digest, clip=Clip(frames_FHWC=frames_FHWC, frame_rate=frame_rate))


def mask_of(assets: Assets, asset: Asset, field: str) -> Mask:
    """A mask, from a picture that the service has written itself; raises `Invalid` where nothing lies inside."""
    with asset_file(assets, asset) as path:
        try:
            mask = read_mask(path, (asset.height, asset.width))
        except (InputError, MediaError) as error:
            raise Invalid(f"{field}: {str(error).replace(str(path), asset.name)}", field=field) from error
    return replace(mask, name=asset.name, digest=asset.digest)


@contextmanager
def asset_file(assets: Assets, asset: Asset) -> Iterator[Path]:
    """An asset's file, for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="kinora-") as folder:
        path = Path(folder) / "asset"
        assets.fetch(asset.digest, path)
        yield path
