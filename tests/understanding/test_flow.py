"""Optical flow: pictures that were moved by known ways."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from kinora.understanding.flow import FARTHEST, Motion, drift_of, flow_of
from kinora.understanding.model import Reader

GRID, SIDE = 16, 128


def texture(seed: int, size: int) -> torch.Tensor:
    """Soft spots (1, 3, size, size), a few pixels wide."""
    grain = torch.from_numpy(np.random.default_rng(seed).standard_normal((1, 3, size // 8, size // 8))).float()
    return functional.interpolate(grain, size=(size, size), mode="bicubic").clamp(-1, 1)


def moment(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    return torch.cat([after, 2 * (after - before)], dim=1)


def shifted(across: int, down: int) -> torch.Tensor:
    """A moment (1, 6, 128, 128) in which all moves by whole pixels."""
    large = texture(1, SIDE + 64)
    cut = large[..., 32 : 32 + SIDE, 32 : 32 + SIDE]
    return moment(cut, large[..., 32 - down : 32 - down + SIDE, 32 - across : 32 - across + SIDE])


@pytest.mark.parametrize(("across", "down"), [(0, 0), (1, 0), (-2, 1), (4, -3), (0, 6)])
def test_a_picture_that_moves_is_told_how_far(across, down):
    flow = flow_of(shifted(across, down), GRID)[0, :, 2:-2, 2:-2]
    # A quarter of a fine cell is two pixels of 128.
    assert float(flow[0].median()) == pytest.approx(across / 2, abs=0.06 + 0.05 * abs(across))
    assert float(flow[1].median()) == pytest.approx(down / 2, abs=0.06 + 0.05 * abs(down))


def test_less_than_a_pixel_is_seen():
    picture = texture(2, 4 * SIDE)
    small = [functional.avg_pool2d(picture[..., k : k + 4 * SIDE - 4], 4) for k in (1, 0)]
    small = [functional.pad(one, (0, 1, 0, 0), mode="replicate") for one in small]
    flow = flow_of(moment(*small), GRID)[0, :, 2:-2, 2:-2]
    assert float(flow[0].median()) == pytest.approx(0.125, abs=0.06)
    assert float(flow[1].median()) == pytest.approx(0.0, abs=0.02)


def test_what_grows_moves_away_from_its_middle():
    picture = texture(3, SIDE)
    step = torch.linspace(-1, 1, SIDE) / 1.03
    at = torch.stack(torch.meshgrid(step, step, indexing="ij")[::-1], dim=-1)[None]
    flow = flow_of(moment(picture, functional.grid_sample(picture, at, align_corners=True)), GRID)[0]
    assert float(flow[0, :, :6].median()) < -0.2 < 0.2 < float(flow[0, :, -6:].median())
    assert float(flow[1, :6].median()) < -0.2 < 0.2 < float(flow[1, -6:].median())


def test_a_plain_picture_is_sure_of_nothing_and_grain_is_no_flight():
    plain = torch.zeros(1, 3, SIDE, SIDE)
    quiet, steep = flow_of(moment(plain, plain), GRID), flow_of(shifted(0, 0), GRID)
    assert not quiet[:, :2].any()
    assert float(quiet[:, 2].max()) < float(steep[:, 2].min())
    generator = torch.Generator().manual_seed(0)
    grains = [plain + 0.05 * torch.randn(plain.shape, generator=generator) for _ in range(2)]
    grainy = flow_of(moment(*grains), GRID)
    assert torch.isfinite(grainy).all()
    assert float(grainy[:, :2].abs().max()) <= FARTHEST
    assert float(grainy[:, :2].abs().median()) < 0.5


def turned(angle: float, size: float) -> torch.Tensor:
    """A moment in which the picture turns clockwise by `angle` and grows to `size`."""
    picture = texture(3, SIDE)
    step = torch.linspace(-1, 1, SIDE)
    down, across = torch.meshgrid(step, step, indexing="ij")
    cosine, sine = np.cos(angle) / size, np.sin(angle) / size
    at = torch.stack([cosine * across + sine * down, cosine * down - sine * across], dim=-1)[None]
    return moment(picture, functional.grid_sample(picture, at.float(), padding_mode="border", align_corners=True))


def test_the_drift_of_a_whole_picture_tells_pans_zooms_and_rolls_apart():
    pan, zoom, roll = (drift_of(flow_of(x, GRID))[0][0] for x in (shifted(3, -1), turned(0, 1.03), turned(0.03, 1)))
    assert pan[[0, 3]].tolist() == pytest.approx([1.5, -0.5], abs=0.2)
    assert float(pan[[1, 2, 4, 5]].abs().max()) < 0.2
    # 3% of half a side is 32 quarters of a fine cell times 0.03.
    assert zoom[[1, 5]].tolist() == pytest.approx([0.96, 0.96], abs=0.25)
    assert float(zoom[[0, 3]].abs().max()) < 0.2
    assert roll[[2, 4]].tolist() == pytest.approx([-0.96, 0.96], abs=0.25)


def test_what_goes_its_own_way_is_left_when_the_drift_is_taken_out():
    large = texture(5, SIDE + 64)
    before, after = large[..., 32:-32, 32:-32].clone(), large[..., 32:-32, 30:-34].clone()
    thing = texture(6, 40)
    before[..., 40:80, 40:80], after[..., 40:80, 36:76] = thing, thing
    _, own = drift_of(flow_of(moment(before, after), GRID))
    assert float(own[0, 0, 6:9, 6:9].median()) == pytest.approx(-3.0, abs=0.8)  # -2 itself, while all else goes +1
    rest = own[0, 0, 11:15]
    assert float(rest.abs().median()) < 0.2


def test_motion_joins_a_reader_at_later_moments_only(toys):
    moved = Motion(GRID, 12, 20)(shifted(2, 0))
    assert moved.fine_ACGG.shape == (1, 12, GRID, GRID)
    assert moved.token_AND.shape == (1, (GRID // 2) ** 2, 20)
    assert moved.moment_AD.shape == (1, 20)
    torch.manual_seed(0)
    reader = Reader(toys.config)
    moments, times, _ = toys.batch(1, 2)
    before = reader.encode(moments, times)
    alone = reader.encode(moments[:, :1], times[:, :1])
    for leaving in (reader.motion.fine, reader.motion.moment[2]):
        torch.nn.init.normal_(leaving.weight)
    after = reader.encode(moments, times)
    assert not torch.allclose(before.seen_BKCGG[:, 1:], after.seen_BKCGG[:, 1:])
    assert not torch.allclose(before.moment_BKD, after.moment_BKD)
    again = reader.encode(moments[:, :1], times[:, :1])
    assert torch.equal(alone.seen_BKCGG, again.seen_BKCGG)
    assert torch.equal(alone.scene_BSD, again.scene_BSD)


def test_eyes_that_shall_not_learn_get_no_gradient_and_motion_does(toys):
    torch.manual_seed(0)
    reader = Reader(toys.config)
    moments, times, _ = toys.batch(1, 2)
    reader.encode(moments, times, learn_to_see=False).scene_BSD.sum().backward()
    assert all(parameter.grad is None for parameter in reader.eyes.parameters())
    assert float(reader.motion.enter.weight.grad.abs().max()) > 0
    reader.encode(moments, times).scene_BSD.sum().backward()
    assert float(reader.eyes.open.weight.grad.abs().max()) > 0
