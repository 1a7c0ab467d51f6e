"""PSNR of codecs that do something known, on the fixed sets."""

import importlib

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from kinora.codec import Codec, CodecConfig
from kinora.core.errors import InputError
from kinora.measure import codec as measured
from kinora.measure.codec import CODEC_SETS, measure_codec, move_over, photographs


class Shifts(nn.Module):
    """A codec that returns every value a little too large."""

    def __init__(self, shift: float) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.tensor(shift))

    def encode(self, video_BCFHW: Tensor) -> Tensor:
        return video_BCFHW

    def decode(self, latent_BCTHW: Tensor) -> Tensor:
        return latent_BCTHW + self.shift


def test_a_known_error_gives_a_known_figure():
    figures = measure_codec(Shifts(0.02), count=2, size=32)
    assert [figure.name for figure in figures] == ["theatre", "procedural pictures", "photographs"]
    for figure in figures[:2]:
        assert figure.clips == 2
        assert figure.psnr == pytest.approx(20 * np.log10(2 / 0.02), abs=0.01)
        assert figure.worst == pytest.approx(figure.psnr, abs=0.01)


def test_a_linear_codec_has_no_parameters_and_is_measured_all_the_same():
    codec = Codec(CodecConfig(channels=16, trunk_blocks=0, picture_blocks=0))
    assert not list(codec.parameters())
    assert 5 < measure_codec(codec, count=1, size=32)[0].psnr < 60


def test_missing_photographs_are_skipped_with_a_reason(monkeypatch):
    def missing(name: str) -> None:
        raise ImportError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(measured, "import_module", missing)
    with pytest.raises(InputError, match="scikit-image"):
        photographs()
    photos = measure_codec(Shifts(0.1), count=1, size=32)[-1]
    assert photos.clips == 0
    assert photos.psnr is None
    assert "skimage" in photos.note


@pytest.mark.parametrize("chosen", CODEC_SETS[:2], ids=lambda chosen: chosen.name)
def test_sets_are_fixed_and_their_clips_differ(chosen):
    first, again = (list(chosen.clips(3, 32)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert first[0].shape == (17, 32, 32, 3)
    assert first[0].dtype == np.uint8
    assert not np.array_equal(first[0], first[1])


def test_pictures_fill_their_range_and_some_of_them_move():
    clips = list(CODEC_SETS[1].clips(6, 32))
    assert all(clip[0].std() > 5 for clip in clips)
    moving = [bool((clip[0] != clip[-1]).any()) for clip in clips]
    assert moving == [False, True] * 3


def gradient_photograph() -> Image.Image:
    across = np.tile(np.linspace(0, 255, 200), (100, 1))
    return Image.fromarray(np.stack([across, across, across], axis=-1).astype(np.uint8))


def test_panning_moves_to_the_right_and_zooming_closes_in():
    pan, zoom = (move_over(gradient_photograph(), zoom=zoom, size=32).astype(int) for zoom in (False, True))
    assert pan.shape == (17, 32, 32, 3)
    assert pan[-1].mean() > pan[0].mean() + 20
    assert abs(zoom[-1].mean() - zoom[0].mean()) < 3
    assert np.ptp(zoom[-1]) < np.ptp(zoom[0]) - 20


def test_real_photographs_where_their_packages_are():
    if any(importlib.util.find_spec(name) is None for name in ("skimage", "sklearn")):
        pytest.skip("scikit-learn and scikit-image are not installed: pip install scikit-learn scikit-image")
    pictures = photographs()
    assert len(pictures) == 4
    assert all(min(picture.size) >= 300 for picture in pictures)
