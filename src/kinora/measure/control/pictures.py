"""Is a picture that was given really in the film?

The film's frame at the picture's moment is compared with the picture as it was fitted to the film's size. Beside it
stands what the codec alone makes of the same picture: no film can come nearer, so `gap`, the difference, is what the
condition lost.

What fools it: nothing that stands still. A picture in the middle of a film shares its latent frame with three others,
so things that move fast are blurred by the codec, and the gap grows though the picture was obeyed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from kinora.codec import Codec, frames_from_video, video_from_frames

__all__ = ["PictureFigures", "measure_picture", "psnr_between", "through_codec"]

Picture = npt.NDArray[np.uint8]
Frames = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class PictureFigures:
    """Peak signal-to-noise ratios, dB, peak 255."""

    psnr: float
    """Of the film's frame against the picture."""
    codec: float
    """Of the codec's encoding and decoding of that picture alone."""
    gap: float
    """`codec` less `psnr`: 0 is as near as can be."""


def measure_picture(frame_HW3: Picture, given_HW3: Picture, codec: Codec) -> PictureFigures:
    """The film's frame against the picture it was given, both (H, W, 3) of the same size."""
    psnr, alone = psnr_between(frame_HW3, given_HW3), psnr_between(through_codec(given_HW3[None], codec)[0], given_HW3)
    return PictureFigures(psnr=psnr, codec=alone, gap=alone - psnr)


def psnr_between(one: Picture, other: Picture) -> float:
    """Peak signal-to-noise ratio in dB, peak 255; pictures that are the same have 120."""
    error = float(np.mean((one.astype(np.float64) - other.astype(np.float64)) ** 2))
    return 10.0 * float(np.log10(255.0**2 / max(error, 255.0**2 * 1e-12)))


@torch.inference_mode()
def through_codec(frames_FHW3: Frames, codec: Codec) -> Frames:
    """What the codec makes of a clip, or of a single picture as a clip of one frame."""
    # Not a parameter: a linear codec has none, only buffers.
    device = next(iter(codec.state_dict().values())).device
    video_BCFHW = video_from_frames(torch.from_numpy(frames_FHW3.copy())[None]).to(device)
    return np.asarray(frames_from_video(codec.decode(codec.encode(video_BCFHW)))[0].cpu().numpy())
