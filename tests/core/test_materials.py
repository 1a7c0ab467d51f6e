"""Materials are told apart by what they hold."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import pytest

from kinora.core.clip import Clip
from kinora.core.errors import InputError, ShapeError
from kinora.core.materials import Footage, Mask, Still, Voice, digest_of
from kinora.core.visemes import VisemeTrack


def test_equal_content_gives_equal_digests_whatever_the_memory_looks_like() -> None:
    array = np.arange(24, dtype=np.uint8).reshape(4, 6)
    assert digest_of(array) == digest_of(array.copy(order="F"))
    different = [array.reshape(6, 4), array.astype(np.int16), array + 1]
    assert len({digest_of(other) for other in [array, *different]}) == 4


def test_a_digest_is_of_shape_type_and_values() -> None:
    """Recipes hold digests: a change here makes them all unfollowable."""
    expected = hashlib.sha256(b"(2, 1) |u1 \x03\x07").hexdigest()
    assert digest_of(np.array([[3], [7]], dtype=np.uint8)) == expected


def test_names_are_for_people_and_pixels_for_films() -> None:
    one, other = Still.of(np.zeros((2, 2, 3), np.uint8), "a"), Still.of(np.ones((2, 2, 3), np.uint8), "a")
    assert one != other
    assert one == Still(name="a", digest=one.digest, rgb_HW3=other.rgb_HW3)
    assert len({one, other, Still.unseen("a", one.digest)}) == 2
    assert "rgb" not in repr(one)


def test_the_rate_of_a_voice_is_part_of_it() -> None:
    mouth_F4 = np.zeros((3, 4), dtype=np.float32)
    one, other = (Voice.of(VisemeTrack(mouth_F4=mouth_F4, frame_rate=rate)) for rate in (16.0, 25.0))
    assert one.digest != other.digest


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((2, 2), np.uint8), np.zeros((2, 2, 4), np.uint8), np.zeros((2, 2, 3)), np.zeros((0, 2, 3), np.uint8)],
)
def test_a_still_is_uint8_rgb(pixels: np.ndarray) -> None:
    with pytest.raises(ShapeError, match="uint8 RGB"):
        Still.of(pixels)


def test_masks_and_films_and_voices_hold_something() -> None:
    with pytest.raises(InputError, match=r"hole\.png is empty"):
        Mask.of(np.zeros((4, 4), np.bool_), "hole.png")
    with pytest.raises(ShapeError, match="bool"):
        Mask.of(np.ones((4, 4), np.uint8))
    with pytest.raises(ShapeError, match="no frames"):
        Footage.of(Clip(frames_FHWC=np.zeros((0, 4, 4, 3), np.uint8), frame_rate=16.0))
    with pytest.raises(InputError, match="empty"):
        Voice.of(VisemeTrack(mouth_F4=np.zeros((0, 4), np.float32), frame_rate=16.0))
    with pytest.raises(InputError, match="above 0"):
        Voice.of(VisemeTrack(mouth_F4=np.zeros((1, 4), np.float32), frame_rate=0.0))


def test_unseen_materials_know_that_they_are(
    still: Still, footage: Footage, voice: Voice, box: Callable[..., Mask]
) -> None:
    for seen in (still, footage, voice, box(0, 2, 0, 2)):
        unseen = type(seen).unseen(seen.name, seen.digest)
        assert seen.seen
        assert not unseen.seen
        assert unseen == seen
