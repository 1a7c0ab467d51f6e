"""Pictures and films that a request brings, by URL or in base64, as assets and as the materials that name them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from kinora.core.materials import Footage, Mask, Still
from kinora.service.api.kling.calling import Call
from kinora.service.errors import Invalid
from kinora.service.materials import asset_file, footage_of, mask_of, still_of
from kinora.service.outside import decoded, fetch, is_url

if TYPE_CHECKING:
    from kinora.service.assets import Asset

__all__ = ["film", "mask", "mask_file", "picture"]

PICTURE_BYTES = 50 * 2**20
"""The larger of Kling's two limits: 10 MB in one family, 50 in the other."""
SERVED = {"image": "image", "mask": "image", "video": "video"}
"""What a server calls each kind."""
SAME_SHAPE = 0.02
"""How far apart the shapes of a mask and its picture may be, as a share."""


def picture(call: Call, told: str, field: str) -> Still:
    """A picture of the account's, without its pixels. Raises `Invalid`."""
    return still_of(_taken(call, told, field, "image"))


def film(call: Call, told: str, field: str, frame_rate: float) -> Footage:
    """A film of the account's at the model's frame rate, without its frames. Raises `Invalid`."""
    if not is_url(told):
        raise Invalid(f"{field} must be the URL of a film.", field=field)
    return footage_of(_taken(call, told, field, "video"), frame_rate)


def mask(call: Call, told: str, field: str, like: Still) -> Mask:
    """A mask for a picture, brought to its size, with its pixels: whether masks overlap is said at once.

    Raises `Invalid` for one of another shape or without a pixel inside.
    """
    height, width, _ = like.rgb_HW3.shape
    return mask_file(call, told, field, (width, height))


def mask_file(call: Call, told: str, field: str, size: tuple[int, int]) -> Mask:
    """A mask of a size, width and height."""
    asset = _taken(call, told, field, "mask")
    if (asset.width, asset.height) != size:
        asset = _resized(call, asset, field, size)
    return mask_of(call.service.assets, asset, field)


def _taken(call: Call, told: str, field: str, kind: str) -> Asset:
    """The asset that a URL or base64 holds."""
    settings = call.service.settings
    limit = settings.upload_bytes if kind == "video" else min(PICTURE_BYTES, settings.upload_bytes)
    with tempfile.TemporaryDirectory(prefix="kinora-") as folder:
        path = Path(folder) / "brought"
        if is_url(told):
            fetched = fetch(told, path, settings=settings, limit=limit, kinds=(SERVED[kind],), field=field)
            name, origin = fetched.name or field, "url"
        else:
            path.write_bytes(decoded(told, limit, field=field))
            name, origin = field, "upload"
        return call.service.assets.take(call.account_id, path, name, origin=origin, want=(kind,))


def _resized(call: Call, asset: Asset, field: str, size: tuple[int, int]) -> Asset:
    """A mask drawn on a smaller or larger copy of its picture, at the picture's size."""
    width, height = size
    if abs(asset.width * height / (asset.height * width) - 1) > SAME_SHAPE:
        raise Invalid(
            f"{field} is {asset.width} x {asset.height} and its picture {width} x {height}; paint the "
            "mask on that picture.",
            field=field,
        )
    with asset_file(call.service.assets, asset) as path, tempfile.TemporaryDirectory(prefix="kinora-") as folder:
        larger = Path(folder) / "mask.png"
        with Image.open(path) as image:
            image.resize(size, Image.Resampling.NEAREST).save(larger)
        return call.service.assets.take(call.account_id, larger, asset.name, origin=asset.origin, want=("mask",))
