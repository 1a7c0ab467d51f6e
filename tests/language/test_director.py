"""A director: it learns what words say of places, says it again for the same seed, and never looks ahead."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from kinora.core.blocking import ACTIONS, CUES, DETAILS, KINDS, MOST_THINGS, NOTHING
from kinora.core.camera import CameraMove
from kinora.core.slots import CAMERAS, COLOURS, SPEEDS
from kinora.language.director import AXES, Director, DirectorConfig, Speech

CONFIG = DirectorConfig(text_width=8, width=32, layers=2, heads=2, ffn_width=64, positions=(0, 10, 20))
CUED = replace(CONFIG, films=True, cues=True)
KEYED = replace(CONFIG, positions=(0, 5, 10, 15, 20), together=2)


def fresh(config: DirectorConfig = CONFIG) -> Director:
    torch.manual_seed(3)
    return Director(config)


def scripts() -> tuple[Tensor, Tensor, Tensor]:
    """Four texts: a red ball goes left, a blue cube goes right, both, nobody."""
    torch.manual_seed(1)
    text_BLD = torch.randn(4, 3, 8)
    ball = [KINDS.index("sphere"), COLOURS.index("red"), DETAILS.index("matte")]
    cube = [KINDS.index("cube"), COLOURS.index("blue"), DETAILS.index("glass")]
    look_BP3 = torch.full((4, MOST_THINGS, 3), NOTHING)
    box_BTP4 = torch.zeros(4, 3, MOST_THINGS, 4)
    left = torch.tensor([[0.3, 0.2, 0.1, 0.1], [0.0, 0.2, 0.1, 0.1], [-0.4, 0.2, 0.1, 0.1]])
    right = torch.tensor([[-0.5, 0.1, 0.2, 0.3], [0.0, 0.1, 0.2, 0.3], [0.6, 0.1, 0.2, 0.3]])
    for row, things in enumerate(((ball,), (cube,), (ball, cube), ())):
        for p, thing in enumerate(things):
            look_BP3[row, p] = torch.tensor(thing)
            box_BTP4[row, :, p] = left if thing is ball else right
    return text_BLD, look_BP3, box_BTP4


def test_it_learns_who_stands_where():
    director = fresh()
    text_BLD, look_BP3, box_BTP4 = scripts()
    optimiser = torch.optim.AdamW(director.parameters(), lr=4e-3)
    before = director.loss(text_BLD, look_BP3, box_BTP4).item()
    for _ in range(160):
        loss = director.loss(text_BLD, look_BP3, box_BTP4)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.35 * before
    for row, things in enumerate((1, 1, 2, 0)):
        blocking = director.direct(text_BLD[row : row + 1], seed=5)
        assert blocking.look_P3.tolist() == look_BP3[row, :things].tolist()
        assert blocking.box_TP4 == pytest.approx(box_BTP4[row, :, :things].numpy(), abs=0.06)
        assert blocking.position_T.tolist() == [0, 10, 20]


def test_a_token_tells_the_boxes_between_it_and_the_one_before():
    """Twice as many boxes in as many tokens, on no straight line, in the order of time."""
    director = fresh(KEYED)
    assert director.config.thing_tokens == CONFIG.thing_tokens
    text_BLD, look_BP3, key_BKP4 = scripts()
    box_BTP4 = torch.zeros(4, 5, MOST_THINGS, 4)
    box_BTP4[:, ::2] = key_BKP4
    box_BTP4[:, 1::2] = (key_BKP4[:, 1:] + key_BKP4[:, :-1]) / 2
    there_BP = look_BP3[..., 0] != NOTHING
    box_BTP4[:, 1, :, 1] -= 0.4 * there_BP
    box_BTP4[:, 3, :, 1] += 0.5 * there_BP
    optimiser = torch.optim.AdamW(director.parameters(), lr=4e-3)
    for _ in range(160):
        loss = director.loss(text_BLD, look_BP3, box_BTP4)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    for row, things in enumerate((1, 1, 2, 0)):
        blocking = director.direct(text_BLD[row : row + 1], seed=5)
        assert blocking.box_TP4 == pytest.approx(box_BTP4[row, :, :things].numpy(), abs=0.08)
        assert blocking.position_T.tolist() == [0, 5, 10, 15, 20]


def test_moments_that_no_token_tells_are_refused():
    with pytest.raises(ValueError, match="4 moments are not one and then 2 for each token"):
        replace(CONFIG, positions=(0, 1, 2, 3), together=2)


def test_a_seed_says_the_same_again_and_others_say_something_else():
    director = fresh()
    text_1LD = scripts()[0][:1]
    said = [director.direct(text_1LD, seed) for seed in (1, 1, 2)]
    assert np.array_equal(said[0].look_P3, said[1].look_P3)
    assert np.array_equal(said[0].box_TP4, said[1].box_TP4)
    assert said[0].box_TP4.shape != said[2].box_TP4.shape or not np.array_equal(said[0].box_TP4, said[2].box_TP4)


def test_nothing_is_read_from_what_comes_later():
    director = fresh()
    text_BLD, _, _ = scripts()
    told_BSD = torch.randn(1, 8, 32)
    other_BSD = told_BSD.clone()
    other_BSD[:, 5:] += 1.0
    one, other = (director._states(told, text_BLD[:1]) for told in (told_BSD, other_BSD))
    assert torch.equal(one[:, :6], other[:, :6])
    assert not torch.allclose(one[:, 6], other[:, 6])


@pytest.mark.parametrize("config", [CONFIG, CUED])
def test_token_by_token_it_knows_what_it_knows_of_all_at_once(config: DirectorConfig):
    director = fresh(config)
    text_1LD = scripts()[0][:1]
    told_1SD = torch.randn(1, 20, 32)
    seen_1D = director._seen(torch.tensor([[1, 0]]))
    at_once_SD = director._states(told_1SD, text_1LD, seen_1D)[0]
    with torch.no_grad():
        speech = Speech(director, text_1LD, seen_1D)
        states = [speech.state_D]
        for told_D in told_1SD[0]:
            speech.say(told_D)
            states.append(speech.state_D)
    assert torch.allclose(torch.stack(states), at_once_SD, atol=1e-5)


def test_padding_of_texts_and_things_changes_nothing():
    director = fresh()
    text_BLD, look_BP3, box_BTP4 = scripts()
    longer_BLD = torch.cat([text_BLD, torch.zeros(4, 5, 8)], dim=1)
    box_padded = box_BTP4.clone()
    box_padded[:, :, 2:] = 7.0
    one, other = director.loss(text_BLD, look_BP3, box_BTP4), director.loss(longer_BLD, look_BP3, box_padded)
    assert one.item() == pytest.approx(other.item(), rel=1e-5)


def test_an_untrained_one_ends_after_the_most_things_with_boxes_in_range():
    director = fresh()
    with torch.no_grad():
        director.looks[0].name[0].bias[:-1] += 50.0
    blocking = director.direct(torch.randn(1, 3, 8), seed=0)
    assert len(blocking.look_P3) == MOST_THINGS
    for axis, values in enumerate(AXES):
        assert (blocking.box_TP4[..., axis] >= values[0] - 1e-6).all()
        assert (blocking.box_TP4[..., axis] <= values[-1] + 1e-6).all()


def test_it_learns_what_the_camera_does():
    director = fresh(replace(CONFIG, films=True))
    text_BLD, look_BP3, box_BTP4 = scripts()
    fast_pan = (CAMERAS.index("pan_left"), SPEEDS.index("fast"))
    filmed_B2 = torch.tensor([fast_pan, (0, NOTHING), (CAMERAS.index("zoom_in"), 0), (0, NOTHING)])
    optimiser = torch.optim.AdamW(director.parameters(), lr=4e-3)
    for _ in range(60):
        loss = director.loss(text_BLD, look_BP3, box_BTP4, filmed_B2)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    said = [director.direct(text_BLD[row : row + 1], seed=1) for row in range(4)]
    assert [blocking.filmed for blocking in said] == [tuple(row) for row in filmed_B2.tolist()]
    assert said[0].move.pan < 0
    assert said[1].move == CameraMove()
    # One that was not taught to says that the camera stands still.
    assert fresh().direct(text_BLD[:1], seed=1).filmed == (0, NOTHING)


def test_it_says_what_things_do_before_it_says_where_they_are():
    """Cues are learnt from the words and boxes from the cues: told another cue, it writes another way."""
    director = fresh(CUED)
    text_BLD, look_BP3, box_BTP4 = scripts()
    # Whoever goes right rolls, whoever goes left slides; the words of the third row say nothing of it.
    cue_BP4 = torch.full((4, MOST_THINGS, len(CUES)), NOTHING)
    cue_BP4[0, 0] = cue_BP4[2, 0] = torch.tensor([ACTIONS.index("slide"), 1, 0, NOTHING])
    cue_BP4[1, 0] = cue_BP4[2, 1] = torch.tensor([ACTIONS.index("roll"), 2, 1, 2])
    filmed_B2 = torch.tensor([(0, NOTHING)] * 4)
    optimiser = torch.optim.AdamW(director.parameters(), lr=4e-3)
    for _ in range(160):
        loss = director.loss(text_BLD, look_BP3, box_BTP4, filmed_B2, cue_BP4)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    for row, things in enumerate((1, 1, 2, 0)):
        blocking = director.direct(text_BLD[row : row + 1], seed=5)
        assert blocking.cue_P4 is not None
        assert blocking.cue_P4.tolist() == cue_BP4[row, :things].tolist()
        assert blocking.box_TP4 == pytest.approx(box_BTP4[row, :, :things].numpy(), abs=0.08)
    assert fresh().direct(text_BLD[:1], seed=5).cue_P4 is None


def test_boxes_are_those_that_the_camera_sees():
    """Of two scenes of the same words, the camera's move alone tells where a thing ends."""
    director = fresh(CUED)
    text_BLD, look_BP3, box_BTP4 = (rows[:2] for rows in scripts())
    text_BLD, look_BP3 = text_BLD[:1].expand(2, -1, -1), look_BP3[:1].expand(2, -1, -1)
    cue_BP4 = torch.full((2, MOST_THINGS, len(CUES)), NOTHING)
    filmed_B2 = torch.tensor([(CAMERAS.index("pan_left"), 0), (CAMERAS.index("pan_right"), 1)])
    optimiser = torch.optim.AdamW(director.parameters(), lr=4e-3)
    for _ in range(80):
        loss = director.loss(text_BLD, look_BP3, box_BTP4, filmed_B2, cue_BP4)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    swapped = director.loss(text_BLD, look_BP3, box_BTP4, filmed_B2.flip(0), cue_BP4)
    assert swapped.item() > loss.item() + 1.0
