"""Connected patches of one class in a picture, with numpy alone. Axes: H W picture, L patches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Patch", "find_patches", "patch_areas"]

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Patch:
    """A connected patch of pixels of one class."""

    kind: int
    area: int
    """Pixels."""
    pixel: tuple[int, int]
    """Row and column of one of them."""
    x: float
    """Middle, pixels from the left."""
    y: float
    """Middle, pixels from the top."""
    width: int
    """Of its bounding box, pixels."""
    height: int
    touches_edge: bool


def find_patches(kind_HW: npt.NDArray[np.integer], *, least_area: int) -> list[Patch]:
    """Patches of equal non-negative class, joined over sides, of at least `least_area` pixels; class -1 is nothing."""
    label_HW = _flood(kind_HW)
    flat = label_HW[kind_HW >= 0]
    labels, area_L = np.unique(flat, return_counts=True)
    found = []
    for label, area in zip(labels.tolist(), area_L.tolist(), strict=True):
        if area < least_area:
            continue
        y_N, x_N = np.nonzero(label_HW == label)
        found.append(
            Patch(
                kind=int(kind_HW[y_N[0], x_N[0]]),
                area=area,
                pixel=(int(y_N[0]), int(x_N[0])),
                x=float(x_N.mean()) + 0.5,
                y=float(y_N.mean()) + 0.5,
                width=int(np.ptp(x_N)) + 1,
                height=int(np.ptp(y_N)) + 1,
                touches_edge=bool(
                    min(x_N.min(), y_N.min()) == 0
                    or x_N.max() == kind_HW.shape[1] - 1
                    or y_N.max() == kind_HW.shape[0] - 1
                ),
            )
        )
    return found


def patch_areas(kind_HW: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """At every pixel the area of its patch; 0 where the class is -1."""
    label_HW = _flood(kind_HW)
    area_N = np.bincount(label_HW.ravel(), minlength=label_HW.size)
    return np.where(kind_HW >= 0, area_N[label_HW], 0)


def _flood(kind_HW: npt.NDArray[np.integer]) -> Labels:
    """A number per patch: the smallest pixel number in it.

    Numbers sweep along rows and columns in turn, as far as the class goes on; curled patches take more turns.
    """
    label_HW: Labels = np.arange(kind_HW.size, dtype=np.int64).reshape(kind_HW.shape)
    while True:
        swept_HW = _sweep(_sweep(label_HW, kind_HW).T, kind_HW.T).T
        if np.array_equal(swept_HW, label_HW):
            return label_HW
        label_HW = swept_HW


def _sweep(label_HW: Labels, kind_HW: npt.NDArray[np.integer]) -> Labels:
    """In every run of equal class along a row, the smallest number of the run."""
    starts_HW = np.ones(kind_HW.shape, dtype=bool)
    starts_HW[:, 1:] = kind_HW[:, 1:] != kind_HW[:, :-1]
    first_N = np.flatnonzero(starts_HW)
    smallest_N = np.minimum.reduceat(label_HW.ravel(), first_N)
    return np.repeat(smallest_N, np.diff(np.append(first_N, kind_HW.size))).reshape(kind_HW.shape)
