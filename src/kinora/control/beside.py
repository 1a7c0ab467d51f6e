"""Known pictures as channels beside the noise, as Wan's image models take them.

The clip that is known is encoded with grey where nothing is, and laid beside the noisy latents together with a mask of
the frames that are given (Wan2.1 `wan/image2video.py`, `wan/first_last_frame2video.py`).
Axes: B batch, C channels, F pixel frames, T latent frames, H W grid.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kinora.core.errors import InputError

__all__ = ["lay_beside", "pictures_on_grey"]


def pictures_on_grey(
    pictures: Mapping[int, npt.NDArray[np.uint8]], *, frames: int, time: int
) -> tuple[Tensor, npt.NDArray[np.bool_]]:
    """A video (1, 3, F, H, W) in [-1, 1] that shows pictures (H, W, 3) and is grey between them, and which of its
    frames are given; F is what `frames` latent frames stand for. A picture is given by its latent frame: the first one
    or the last, at their very ends. Raises `InputError` for any other, or for none.
    """
    count = 1 + time * (frames - 1)
    if not pictures or set(pictures) - {0, frames - 1}:
        raise InputError("This model takes a first picture, and perhaps a last one: no others and not none.")
    height, width = next(iter(pictures.values())).shape[:2]
    video_BCFHW = torch.zeros(1, 3, count, height, width)
    given_F = np.zeros(count, dtype=bool)
    for place, rgb_HW3 in pictures.items():
        frame = 0 if place == 0 else count - 1
        video_BCFHW[0, :, frame] = torch.from_numpy(rgb_HW3.copy()).permute(2, 0, 1).float() / 127.5 - 1.0
        given_F[frame] = True
    return video_BCFHW, given_F


def lay_beside(latent_BCTHW: Tensor, given_F: npt.NDArray[np.bool_], time: int) -> Tensor:
    """The channels (B, time + C, T, H, W): for each pixel frame inside a latent frame whether it is given, then the
    latents. The first latent frame stands for one pixel frame, which counts for all of its `time`.
    """
    batch, _, frames, height, width = latent_BCTHW.shape
    given_N = torch.from_numpy(np.concatenate([np.repeat(given_F[:1], time), given_F[1:]])).to(latent_BCTHW)
    mask_CT = given_N.view(frames, time).T
    mask_BCTHW = mask_CT[None, :, :, None, None].expand(batch, time, frames, height, width)
    return torch.cat([mask_BCTHW, latent_BCTHW], dim=1)
