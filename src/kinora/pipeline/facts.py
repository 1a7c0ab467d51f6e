"""What planning must know of a model, from its manifest alone. Knows no torch, so that a service plans without it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from kinora.core.errors import InputError, WeightsError
from kinora.core.shapes import Compression
from kinora.pipeline.planning import ModelFacts
from kinora.transformer.config import TransformerConfig
from kinora.weights.manifest import Manifest

__all__ = ["facts_of"]

MOST_PIXELS = 1280 * 960
"""Of a picture from open weights: above their own sizes they repeat themselves, and a little above is useful."""
COMPRESSIONS: Mapping[str, Compression] = MappingProxyType(
    {"wan21": Compression(time=4, space=8), "wan22": Compression(time=4, space=16)}
)
"""Of the published autoencoders, whose configs do not say it: it is built into their layers."""


def facts_of(manifest: Manifest, device: str = "cpu") -> ModelFacts:
    """The facts of a model that works on `device`.

    Raises `WeightsError` when the manifest lacks the transformer or the codec, or describes one of another version.
    """
    try:
        config = TransformerConfig(**manifest.parts["transformer"])
        compression = _compression(manifest)
    except (TypeError, KeyError, InputError) as error:
        raise WeightsError(
            f"The manifest of {manifest.name!r} does not say what its parts are ({error}); fetch or add it again."
        ) from error
    return ModelFacts(
        name=manifest.name,
        sizes={aspect: (width, height) for aspect, (height, width) in manifest.sizes.items()},
        frame_rate=manifest.frame_rate,
        compression=compression,
        patch=config.patch,
        width=config.width,
        layers=config.layers,
        ffn_width=config.ffn_width,
        device=device,
        directs="director" in manifest.parts,
        paints="painter" in manifest.parts,
        most_pixels=MOST_PIXELS if manifest.family else 0,
    )


def _compression(manifest: Manifest) -> Compression:
    codec = manifest.parts["codec"]
    kind = codec.get("kind", "kinora")
    if kind == "kinora":
        return Compression(**codec["compression"])
    if kind not in COMPRESSIONS:
        raise WeightsError(f"This Kinora knows the codecs kinora, wan21 and wan22, not {kind!r}. Update Kinora.")
    return COMPRESSIONS[kind]
