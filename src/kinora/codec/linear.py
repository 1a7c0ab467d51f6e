"""The codec's closed-form start: principal components of patches.

No linear codec of `channels` numbers has a smaller squared error than the leading eigenvectors of the patches'
covariance (Eckart and Young 1936), and they need a pass over a few dozen clips instead of a training run.

Axes: P numbers in a patch (colour, frame, row, column), C channels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from kinora.codec.patches import hold_first, patchify
from kinora.core.errors import InputError
from kinora.core.shapes import Compression

__all__ = ["LinearBasis", "PatchStatistics", "cosine_basis", "measure_patches"]


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearBasis:
    """Orthonormal directions of patch space, strongest first."""

    mean_3: Tensor
    """Mean colour in [-1, 1]; one for the whole patch, because a patch may lie anywhere."""
    basis_PC: Tensor
    std_C: Tensor
    """Standard deviation of the patches along each direction."""

    def leading(self, channels: int) -> LinearBasis:
        """Only the first `channels` directions."""
        return LinearBasis(mean_3=self.mean_3, basis_PC=self.basis_PC[:, :channels], std_C=self.std_C[:channels])

    def scale_C(self, whitening: float) -> Tensor:
        """Divisors that even latents out by `whitening` (0 not at all, 1 wholly) and bring their overall RMS to one."""
        std_C = self.std_C.clamp_min(1e-6 * float(self.std_C.max()))
        scale_C = std_C**whitening
        rms = (std_C / scale_C).square().mean().sqrt()
        return scale_C * rms


class PatchStatistics:
    """Running sums over patches; clips come one batch at a time, so memory does not depend on how many there are."""

    def __init__(self, compression: Compression) -> None:
        size = 3 * compression.time * compression.space**2
        self.compression = compression
        self.count = 0
        self.sum_P = torch.zeros(size, dtype=torch.float64)
        self.outer_PP = torch.zeros(size, size, dtype=torch.float64)

    def add(self, video_BCFHW: Tensor) -> None:
        """Take in a video in [-1, 1] of 1 + time * n frames."""
        patch_BTHWP = patchify(hold_first(video_BCFHW, self.compression.time), self.compression)
        patch_NP = patch_BTHWP.flatten(0, 3).float()
        self.count += patch_NP.shape[0]
        self.sum_P += patch_NP.sum(dim=0).double().cpu()
        self.outer_PP += (patch_NP.T @ patch_NP).double().cpu()

    def covariance(self) -> tuple[Tensor, Tensor]:
        """Mean colour (3,) and covariance about it (P, P), made symmetric between left and right.

        A world and its mirror image are equally likely, so the average of both covariances has less sampling noise.
        """
        time, space = self.compression.time, self.compression.space
        mean_P = self.sum_P / self.count
        mean_3 = mean_P.reshape(3, -1).mean(dim=1)
        centre_P = mean_3.repeat_interleave(time * space**2)
        cross_PP = torch.outer(mean_P, centre_P)
        covariance_PP = self.outer_PP / self.count - cross_PP - cross_PP.T + torch.outer(centre_P, centre_P)
        shape = (3 * time * space, space, 3 * time * space, space)
        mirrored_PP = covariance_PP.reshape(shape).flip((1, 3)).reshape(covariance_PP.shape)
        return mean_3, (covariance_PP + mirrored_PP) / 2

    def basis(self, channels: int | None = None) -> LinearBasis:
        """The leading `channels` principal directions (all of them by default), float32.

        A 16 x 16 x 4 patch has 3,072 numbers; its eigenvectors take some seconds, so find them once and use `leading`.
        Raises `InputError` before any clip was added.
        """
        if self.count == 0:
            raise InputError("Principal components need at least one clip; none was added.")
        mean_3, covariance_PP = self.covariance()
        value_P, vector_PP = torch.linalg.eigh(covariance_PP)
        kept = slice(None) if channels is None else slice(channels)
        vector_PC, value_C = vector_PP.flip(1)[:, kept], value_P.flip(0)[kept]
        peak_1C = vector_PC.abs().argmax(dim=0, keepdim=True)
        sign_1C = vector_PC.gather(0, peak_1C).sign()  # signs are arbitrary; fixed, fits can be compared
        return LinearBasis(
            mean_3=mean_3.float(),
            basis_PC=(vector_PC * sign_1C).float().contiguous(),
            std_C=value_C.clamp_min(0.0).sqrt().float(),
        )


def measure_patches(clips: Iterable[Tensor], compression: Compression) -> PatchStatistics:
    """Statistics over clips, each a video (B, 3, F, H, W) in [-1, 1]."""
    statistics = PatchStatistics(compression)
    for video_BCFHW in clips:
        statistics.add(video_BCFHW)
    return statistics


def cosine_basis(compression: Compression, channels: int) -> LinearBasis:
    """The basis to use before any clip was seen: cosines of the lowest frequencies, brightness before colour.

    Principal components of natural pictures come close to these (Ahmed, Natarajan and Rao 1974), so an unfitted codec
    already works.
    """
    time, space = compression.time, compression.space
    colour_33 = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]])
    colour_33 = colour_33 / colour_33.norm(dim=1, keepdim=True)
    axis_K = [torch.arange(n, dtype=torch.float32) for n in (3, time, space, space)]
    order_4K = torch.cartesian_prod(*axis_K).T
    cost_K = 1.0 + order_4K[2] ** 2 + order_4K[3] ** 2 + 4.0 * order_4K[1] ** 2 + 4.0 * (order_4K[0] > 0).float()
    chosen_C = torch.argsort(cost_K, stable=True)[:channels]
    waves = [colour_33, _cosines(time), _cosines(space), _cosines(space)]
    columns = []
    for c, t, y, x in order_4K[:, chosen_C].long().T.tolist():
        columns.append(torch.einsum("a,b,c,d->abcd", waves[0][c], waves[1][t], waves[2][y], waves[3][x]).flatten())
    spread = 0.5 * math.sqrt(3 * time) * space
    return LinearBasis(mean_3=torch.zeros(3), basis_PC=torch.stack(columns, dim=1), std_C=spread / cost_K[chosen_C])


def _cosines(n: int) -> Tensor:
    """Orthonormal cosines (type II), one per row, shape (n, n)."""
    position_N = torch.arange(n, dtype=torch.float32) + 0.5
    wave_NN = torch.cos(math.pi / n * torch.arange(n, dtype=torch.float32)[:, None] * position_N)
    return wave_NN / wave_NN.norm(dim=1, keepdim=True)
