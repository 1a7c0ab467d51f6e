"""The text encoder, and the lesson in slots that it can take."""

import pytest
import torch

from kinora.core.errors import InputError, ShapeError
from kinora.core.slots import BODY_SLOTS, SLOTS, BodySlots, FigureSlots, SceneSlots
from kinora.language.encoder import TextEncoder, TextEncoderConfig, token_ids
from kinora.language.slots_head import MOST_BODIES, SlotHead, slot_targets
from kinora.language.tokenizer import build_vocabulary

SMALL = TextEncoderConfig(vocabulary=40, width=32, layers=2, heads=2, ffn_width=48, length=16)


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return TextEncoder(SMALL)


def test_default_size_is_about_three_million():
    with torch.device("meta"):
        encoder = TextEncoder(TextEncoderConfig(vocabulary=1500))
    assert 2.5e6 < sum(parameter.numel() for parameter in encoder.parameters()) < 3.5e6


def test_padding_comes_out_zero_and_has_no_say(encoder):
    padded = encoder(torch.tensor([[5, 6, 2, 0, 0]]))
    assert (padded[:, 3:] == 0).all()
    assert torch.allclose(padded[:, :3], encoder(torch.tensor([[5, 6, 2]])), atol=1e-5)


def test_a_text_of_padding_alone_is_zero(encoder):
    assert (encoder(torch.zeros(1, 4, dtype=torch.long)) == 0).all()


def test_word_order_matters_and_every_word_sees_every_other(encoder):
    one, other = encoder(torch.tensor([[5, 6, 7, 2]])), encoder(torch.tensor([[6, 5, 7, 2]]))
    assert not torch.allclose(one[:, 3], other[:, 3], atol=1e-3)
    assert not torch.allclose(encoder(torch.tensor([[5, 6, 8, 2]]))[:, 0], one[:, 0], atol=1e-3)


def test_output_is_of_unit_size(encoder):
    size = encoder(torch.tensor([[5, 6, 7, 2]])).square().mean(-1).sqrt()
    assert torch.allclose(size, torch.ones_like(size), atol=1e-3)


def test_too_long_a_text_is_refused(encoder):
    with pytest.raises(ShapeError, match="17 tokens"):
        encoder(torch.ones(1, 17, dtype=torch.long))


def test_a_config_that_cannot_be_is_refused():
    with pytest.raises(InputError):
        TextEncoderConfig(vocabulary=10, width=30, heads=4)


def test_token_ids_are_a_padded_tensor():
    tokenizer = build_vocabulary(["red ball"])
    ids = token_ids(tokenizer, ["red", "red ball"], 4)
    assert ids.tolist() == [[4, 2, 0, 0], [4, 3, 2, 0]]


def test_targets_put_not_stated_first_and_leave_absent_bodies_out():
    scene = SceneSlots(bodies=(BodySlots(colour="red"), BodySlots(shape="cone")), sky="night")
    targets = slot_targets([scene, SceneSlots()])
    assert targets["bodies"].tolist() == [2, 0]
    assert targets["body.colour"][0].tolist() == [1, 0] + [-100] * (MOST_BODIES - 2)
    assert targets["body.shape"][0, 1] == 1 + BODY_SLOTS["shape"].index("cone")
    assert (targets["body.colour"][1] == -100).all()
    assert targets["sky"].tolist() == [3, 0]
    assert set(targets) == {*SLOTS, "bodies", "figures", "animals"}


def test_slots_can_be_learnt_from_both_languages():
    """A few steps over a few captions: the reading is then exact, bodies in the order in which they are named."""
    lessons = [
        ("a red ball and a blue cone at night", ("red", "sphere", "blue", "cone", "night")),
        ("a blue ball and a red cone by day", ("blue", "sphere", "red", "cone", "day")),
        ("a blue cone and a red ball", ("blue", "cone", "red", "sphere", None)),
        ("夜里的红球和蓝锥", ("red", "sphere", "blue", "cone", "night")),
        ("白天的蓝球和红锥", ("blue", "sphere", "red", "cone", "day")),
        ("蓝锥和红球", ("blue", "cone", "red", "sphere", None)),
    ]
    stated = [
        SceneSlots(bodies=(BodySlots(colour=a, shape=b), BodySlots(colour=c, shape=d)), sky=sky)
        for _, (a, b, c, d, sky) in lessons
    ]
    stated[3] = SceneSlots(bodies=stated[3].bodies, figures=(FigureSlots(hair="brown"),), sky="night")
    texts = [text for text, _ in lessons]
    tokenizer = build_vocabulary(texts)
    torch.manual_seed(0)
    encoder = TextEncoder(TextEncoderConfig(vocabulary=len(tokenizer), width=32, layers=2, heads=2, ffn_width=48))
    head = SlotHead(32, heads=2)
    optimiser = torch.optim.Adam([*encoder.parameters(), *head.parameters()], lr=5e-3)
    ids = token_ids(tokenizer, texts, 16)
    first = float(head.loss(encoder(ids), stated).detach())
    for _ in range(120):
        loss = head.loss(encoder(ids), stated)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.02 * first
    assert head.read(encoder(ids)) == stated


def test_every_parameter_of_the_lesson_learns(encoder):
    head = SlotHead(32, heads=2)
    scene = SceneSlots(bodies=(BodySlots(),) * MOST_BODIES, figures=(FigureSlots(),) * 2)
    head.loss(encoder(torch.tensor([[5, 6, 7, 2]])), [scene]).backward()
    idle = [name for name, p in [*head.named_parameters(), *encoder.named_parameters()] if p.grad is None]
    assert idle == []


def test_a_scene_without_bodies_has_a_finite_loss(encoder):
    assert torch.isfinite(SlotHead(32, heads=2).loss(encoder(torch.tensor([[2]])), [SceneSlots()]))
