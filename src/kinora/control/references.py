"""Pictures of someone or something that is to appear: known frames that stand beside the clip's time.

They take part in attention like any frame of the clip, but at times where no clip ever is, so they say how a thing
looks and not where it is or when.
"""

from __future__ import annotations

from torch import Tensor

from kinora.core.errors import InputError
from kinora.flow.state import LatentState

__all__ = ["REFERENCE_POSITIONS", "stand_beside"]

REFERENCE_POSITIONS = (-8.0, -12.0, -16.0, -20.0, -24.0, -28.0, -32.0)
"""Time of the first, second, ... reference, in latent frames. All lie before the clip, far enough from its frame 0
(8 is more than a continuation's whole history) not to be taken for its past, and four apart, so that two references
are not taken for two moments of one motion. A reference keeps its place however many follow: `@name` can be learned as
a place."""


def stand_beside(state: LatentState, reference_BCTHW: Tensor) -> LatentState:
    """The state with references known exactly, after its own frames; cut them off the result.

    Each latent frame of `reference_BCTHW` is one reference, encoded as a single picture.
    """
    count = reference_BCTHW.shape[2]
    if not 1 <= count <= len(REFERENCE_POSITIONS):
        raise InputError(f"{count} references were given; a film takes 1 to {len(REFERENCE_POSITIONS)}.")
    return state.extend(reference_BCTHW, REFERENCE_POSITIONS[:count])
