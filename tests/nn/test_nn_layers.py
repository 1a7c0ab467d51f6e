"""Shared layers against what they promise."""

import math

import pytest
import torch
from torch.nn import functional

from kinora.nn.activations import PIECE, TanhGelu
from kinora.nn.attention import attend, attend_in_pieces
from kinora.nn.norms import RMSNorm, layer_norm, modulated_norm
from kinora.nn.reuse import may_reuse
from kinora.nn.rotary import _turn_real, axis_widths, rotary_table, rotate, rotate_in_place


def test_rms_norm_divides_by_the_root_mean_square_of_the_whole_width():
    norm = RMSNorm(6, eps=0.0)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, 2.0, 1.0, 1.0, 1.0, 1.0]))
    x = torch.tensor([[3.0, 3.0, -3.0, 3.0, 3.0, -3.0]])
    assert torch.allclose(norm(x), torch.tensor([[1.0, 2.0, -1.0, 1.0, 1.0, -1.0]]))


def test_rms_norm_agrees_with_torch_in_value_and_slope():
    torch.manual_seed(0)
    norm = RMSNorm(32)
    with torch.no_grad():
        norm.weight.normal_()
    x = torch.randn(5, 7, 32, requires_grad=True)
    y = x.detach().clone().requires_grad_()
    pull = torch.randn(5, 7, 32)
    norm(x).backward(pull)
    own_weight = norm.weight.grad.clone()
    norm.weight.grad = None
    functional.rms_norm(y, (32,), norm.weight, norm.eps).backward(pull)
    assert torch.allclose(x.grad, y.grad, atol=1e-5)
    assert torch.allclose(own_weight, norm.weight.grad, atol=1e-4)


def test_rms_norm_of_zeros_is_zero_and_has_a_finite_slope():
    x = torch.zeros(2, 8, requires_grad=True)
    RMSNorm(8)(x).sum().backward()
    assert torch.isfinite(x.grad).all()


def test_norms_compute_in_float32_and_rms_gives_back_the_type_it_got():
    x = torch.full((1, 4096), 300.0, dtype=torch.float16)
    y = RMSNorm(4096)(x)
    assert y.dtype == torch.float16
    assert torch.allclose(y.float(), torch.ones(1, 4096), atol=1e-3)
    assert layer_norm(torch.randn(2, 8).half()).dtype == torch.float32


def test_layer_norm_has_mean_zero_and_variance_one():
    y = layer_norm(torch.randn(4, 64) * 7 + 3)
    assert torch.allclose(y.mean(-1), torch.zeros(4), atol=1e-5)
    assert torch.allclose(y.var(-1, unbiased=False), torch.ones(4), atol=1e-4)


def test_head_width_is_split_as_in_wan():
    assert axis_widths(128) == (44, 42, 42)
    assert axis_widths(64) == (24, 20, 20)


def test_rotation_turns_interleaved_pairs_by_position_times_frequency():
    # With a head of 2 channels all of it is time, and pair 0 has frequency 1.
    rotary = rotary_table(torch.tensor([[0.0, 1.0, 2.5]]), 1, 1, 2)
    x = torch.tensor([1.0, 0.0]).expand(1, 3, 1, 2)
    turned = rotate(x, rotary)[0, :, 0]
    expected = torch.tensor([[1.0, 0.0], [math.cos(1), math.sin(1)], [math.cos(2.5), math.sin(2.5)]])
    assert torch.allclose(turned, expected, atol=1e-6)


def test_the_slowest_pairs_of_each_axis_have_wans_frequencies():
    cos, sin = rotary_table(torch.tensor([[1.0]]), 2, 2, 64)
    angle = torch.atan2(sin, cos)[0, :, 0]  # tokens (0,0), (0,1), (1,0), (1,1)
    time = 10000.0 ** (-torch.arange(0, 24, 2) / 24)
    side = 10000.0 ** (-torch.arange(0, 20, 2) / 20)
    assert torch.allclose(angle[3], torch.cat([time, side, side]), atol=1e-6)
    assert torch.allclose(angle[1], torch.cat([time, 0 * side, side]), atol=1e-6)
    assert torch.allclose(angle[2], torch.cat([time, side, 0 * side]), atol=1e-6)


def test_both_ways_of_rotating_agree():
    torch.manual_seed(1)
    rotary = rotary_table(torch.randn(2, 3) * 5, 2, 2, 16)
    x = torch.randn(2, 12, 2, 16)
    real = _turn_real(x.unflatten(-1, (-1, 2)), *rotary).flatten(-2)
    assert torch.allclose(rotate(x, rotary), real, atol=1e-6)
    assert rotate(x.bfloat16(), rotary).dtype == torch.bfloat16


def test_scores_depend_on_differences_of_positions_only():
    torch.manual_seed(2)
    query, key = torch.randn(1, 4, 1, 64), torch.randn(1, 4, 1, 64)

    def scores(shift):
        rotary = rotary_table(torch.tensor([[0.0, 1.0, 5.5, -2.0]]) + shift, 1, 1, 64)
        return torch.einsum("bnak,bmak->bnm", rotate(query, rotary), rotate(key, rotary))

    assert torch.allclose(scores(0.0), scores(700.0), atol=1e-3)
    assert not torch.allclose(scores(0.0), torch.einsum("bnak,bmak->bnm", query, key), atol=0.1)


def test_attention_is_a_softmax_over_the_keys():
    torch.manual_seed(3)
    query, key, value = torch.randn(2, 5, 3, 8), torch.randn(2, 7, 3, 8), torch.randn(2, 7, 3, 8)
    weights = (torch.einsum("bnak,bmak->banm", query, key) / math.sqrt(8)).softmax(-1)
    by_hand = torch.einsum("banm,bmak->bnak", weights, value).flatten(2)
    assert torch.allclose(attend(query, key, value), by_hand, atol=1e-5)


def test_masked_keys_have_no_say_and_a_mask_of_nothing_is_survived():
    torch.manual_seed(4)
    query, key, value = torch.randn(2, 5, 1, 8), torch.randn(2, 4, 1, 8), torch.randn(2, 4, 1, 8)
    mask = torch.tensor([[True, True, False, False], [False] * 4])
    got = attend(query, key, value, mask)
    assert torch.allclose(got[:1], attend(query[:1], key[:1, :2], value[:1, :2]), atol=1e-6)
    assert torch.isfinite(got).all()


def test_a_key_with_a_bias_stands_for_as_many_as_its_exponential():
    torch.manual_seed(5)
    query, key, value = torch.randn(2, 5, 3, 8), torch.randn(2, 4, 3, 8), torch.randn(2, 4, 3, 8)
    many = [torch.cat([x, x[:, -1:].expand(-1, 6, -1, -1)], dim=1) for x in (key, value)]
    bias = torch.tensor([[0.0, 0.0, 0.0, math.log(7)], [0.0, -math.inf, 0.0, math.log(7)]])
    got = attend(query, key, value, bias_BM=bias)
    assert torch.allclose(got[:1], attend(query, *many)[:1], atol=1e-6)
    rest = [x[1:, [0, 2, *range(3, 10)]] for x in many]
    assert torch.allclose(got[1:], attend(query[1:], *rest), atol=1e-6)


def test_one_batch_of_queries_may_meet_several_of_keys():
    torch.manual_seed(6)
    query, key, value = torch.randn(1, 5, 2, 8), torch.randn(3, 4, 2, 8), torch.randn(3, 4, 2, 8)
    assert torch.allclose(attend(query, key, value), attend(query.expand(3, -1, -1, -1), key, value), atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("biased", [False, True])
def test_attention_in_pieces_is_attention(dtype, biased):
    """700 queries are three pieces, the last one shorter."""
    torch.manual_seed(7)
    query, key, value = torch.randn(1, 700, 2, 16), torch.randn(2, 9, 2, 16), torch.randn(2, 9, 2, 16)
    bias = torch.randn(2, 9) if biased else None
    wanted = attend(query, key, value, bias_BM=bias)
    query_BANK, key_BAMK, value_BAMK = (x.to(dtype).transpose(1, 2) for x in (query, key, value))
    got = attend_in_pieces(query_BANK.expand(2, -1, -1, -1), key_BAMK, value_BAMK, bias)
    assert got.dtype == dtype
    assert torch.allclose(got.flatten(2).float(), wanted, atol=1e-6 if dtype == torch.float32 else 0.03)


def test_pieces_are_taken_for_many_bfloat16_keys_where_the_cpu_has_them(monkeypatch):
    taken = []
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setattr("kinora.nn.attention.attend_in_pieces", lambda q, *_: taken.append(1) or q.transpose(1, 2))
    query = torch.zeros(1, 2, 1, 2, dtype=torch.bfloat16)
    many, few = torch.zeros(1, 400, 1, 2, dtype=torch.bfloat16), torch.zeros(1, 40, 1, 2, dtype=torch.bfloat16)
    attend(query, many, many)
    assert not taken  # learning goes torch's way
    with torch.no_grad():
        attend(query, few, few)
        attend(query.float(), many.float(), many.float())
        assert not taken
        attend(query, many, many)
    assert taken


def test_modulation_by_one_row_or_many_is_the_same():
    torch.manual_seed(8)
    x, scale, shift = torch.randn(2, 3, 4, 8), torch.randn(1, 1, 1, 8), torch.randn(1, 1, 1, 8)
    wanted = layer_norm(x) * (1 + scale) + shift
    assert torch.allclose(modulated_norm(x, scale, shift), wanted, atol=1e-6)
    many = (row.expand(2, 3, 1, 8).contiguous() for row in (scale, shift))
    assert torch.allclose(modulated_norm(x, *many), wanted, atol=1e-6)
    half = modulated_norm(x.bfloat16(), scale, shift)
    assert half.dtype == torch.bfloat16
    assert torch.allclose(half.float(), wanted, atol=0.1)


def test_gelu_is_torchs_and_takes_the_place_of_its_input_only_where_nothing_is_learnt():
    torch.manual_seed(9)
    x = torch.randn(3, PIECE // 2) * 4
    wanted = functional.gelu(x.double(), approximate="tanh").float()
    learnt = TanhGelu()(x)
    assert torch.allclose(learnt, wanted, atol=2e-6)
    kept = x.clone()
    with torch.no_grad():
        got = TanhGelu()(x)
    assert torch.allclose(got, wanted, atol=2e-6)
    assert got.data_ptr() == x.data_ptr() != learnt.data_ptr()
    assert not torch.equal(kept, x)


def test_gelu_of_huge_numbers_is_a_number():
    with torch.no_grad():
        assert TanhGelu()(torch.tensor([-1e6, -30.0, 0.0, 30.0, 1e6])).tolist() == [0.0, 0.0, 0.0, 30.0, 1e6]


def test_memory_is_reused_only_where_nothing_is_learnt_and_nothing_else_needed():
    x = torch.zeros(2, 4)
    assert not may_reuse(x)
    with torch.inference_mode():
        assert may_reuse(x)
        assert not may_reuse(x.bfloat16())
        assert not may_reuse(x[:, :2])


def test_turning_in_place_turns_and_stretches():
    torch.manual_seed(10)
    rotary = rotary_table(torch.randn(2, 3) * 5, 2, 2, 16)
    x, factor = torch.randn(2, 12, 2, 16), torch.rand(2, 12, 1, 1)
    wanted = rotate(x * factor, rotary)
    got = rotate_in_place(x, factor, rotary)
    assert torch.allclose(got, wanted, atol=1e-6)
    assert got.data_ptr() == x.data_ptr()
