"""Both sides of guidance in one call."""

import pytest
import torch

from kinora.flow.guidance import guided, guided_pair

X = torch.randn(1, 2, 3, 2, 2, generator=torch.Generator().manual_seed(0))


def at(level):
    """Noise levels of which one cell alone is at the schedule's."""
    sigma = torch.zeros(1, 3, 2, 2)
    sigma[0, 2, 1, 1] = level
    return sigma


def with_prompt(x, sigma, position):
    return torch.sin(x) + sigma[:, None]


def without_prompt(x, sigma, position):
    return x * position[:, None, :, None, None]


def both(x, sigma, position):
    return with_prompt(x, sigma, position), without_prompt(x, sigma, position)


@pytest.mark.parametrize("scale", [0.0, 1.5, 5.0])
def test_a_pair_gives_what_two_calls_give_to_the_bit(scale):
    told = X, at(0.5), torch.arange(3.0)[None]
    assert torch.equal(guided_pair(both, scale)(*told), guided(with_prompt, without_prompt, scale)(*told))


def test_a_scale_may_depend_on_the_highest_level():
    asked = []

    def scale(level):
        asked.append(level)
        return 4.0 if level >= 0.875 else 3.0

    velocity, position = guided_pair(both, scale), torch.zeros(1, 3)
    for level, factor in ((0.9, 4.0), (0.875, 4.0), (0.5, 3.0)):
        expected = guided(with_prompt, without_prompt, factor)(X, at(level), position)
        assert torch.equal(velocity(X, at(level), position), expected)
    assert asked == pytest.approx([0.9, 0.875, 0.5])


def test_clips_below_the_floor_are_not_guided():
    """Each clip of a batch by the highest level of its own cells."""
    sigma = torch.cat([at(level) for level in (0.8, 0.75, 0.5)])
    x, position = X.expand(3, -1, -1, -1, -1), torch.arange(3.0).expand(3, -1)
    told = guided(with_prompt, without_prompt, 5.0, 0.75)(x, sigma, position)
    full = guided(with_prompt, without_prompt, 5.0)(x, sigma, position)
    assert torch.equal(told[:2], full[:2])
    assert torch.allclose(told[2], with_prompt(x, sigma, position)[2])
