"""Pictures laid beside the noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kinora.control.beside import lay_beside, pictures_on_grey
from kinora.core.errors import InputError

RED = np.full((4, 6, 3), (255, 0, 0), np.uint8)
BLACK = np.zeros((4, 6, 3), np.uint8)


def test_what_is_known_stands_at_its_ends_and_the_rest_is_grey() -> None:
    video_BCFHW, given_F = pictures_on_grey({0: RED, 2: BLACK}, frames=3, time=4)
    assert video_BCFHW.shape == (1, 3, 9, 4, 6)
    assert given_F.tolist() == [True, *[False] * 7, True]
    assert video_BCFHW[0, :, 0, 0, 0].tolist() == [1.0, -1.0, -1.0]
    assert (video_BCFHW[:, :, 1:8] == 0).all()
    assert (video_BCFHW[:, :, 8] == -1).all()


def test_a_first_picture_counts_for_all_frames_of_its_latent_and_a_last_one_for_itself() -> None:
    """Wan 2.1's mask: four channels of ones at the first latent frame, one channel at the last."""
    _, given_F = pictures_on_grey({0: RED, 2: BLACK}, frames=3, time=4)
    latent_BCTHW = torch.randn(1, 16, 3, 2, 3)
    beside_BCTHW = lay_beside(latent_BCTHW, given_F, 4)
    assert beside_BCTHW.shape == (1, 20, 3, 2, 3)
    assert (beside_BCTHW[:, 4:] == latent_BCTHW).all()
    mask_CT = beside_BCTHW[0, :4, :, 1, 1]
    assert mask_CT.tolist() == [[1, 0, 0], [1, 0, 0], [1, 0, 0], [1, 0, 1]]


@pytest.mark.parametrize("pictures", [{}, {1: RED}, {0: RED, 1: RED}])
def test_pictures_in_between_are_refused(pictures: dict) -> None:
    with pytest.raises(InputError, match="first picture, and perhaps a last one"):
        pictures_on_grey(pictures, frames=3, time=4)
