"""Saving and loading: all or nothing, to the bit."""

import errno
from dataclasses import replace

import pytest
import torch
from torch import nn

from kinora.core.errors import OutputError, WeightsError
from kinora.weights import store
from kinora.weights.manifest import Manifest, read_manifest, read_text
from kinora.weights.quantise import SCALE_SUFFIX, pack, unpack
from kinora.weights.store import load_module, load_tensors, save_model

MANIFEST = Manifest(name="test", world="1.0", frame_rate=16.0, sizes={"1:1": (64, 64)}, parts={})


def tensors():
    draw = torch.Generator().manual_seed(0)
    return {
        "codec.basis": torch.randn(8, 12, generator=draw),
        "transformer.0.weight": torch.randn(4, 3, generator=draw),
        "transformer.0.bias": torch.randn(4, generator=draw),
        "transformer.count": torch.tensor([3]),
    }


def test_what_is_saved_comes_back_bit_for_bit(tmp_path):
    save_model(tmp_path / "model", tensors(), MANIFEST)
    back = load_tensors(tmp_path / "model")
    assert back.keys() == tensors().keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in tensors().items())


def test_a_part_comes_back_without_its_prefix(tmp_path):
    save_model(tmp_path / "model", tensors(), MANIFEST)
    assert set(load_tensors(tmp_path / "model", "transformer.")) == {"0.weight", "0.bias", "count"}
    with pytest.raises(WeightsError, match="no part 'reader'"):
        load_tensors(tmp_path / "model", "reader.")


def test_the_same_tensors_make_the_same_files(tmp_path):
    one = save_model(tmp_path / "one", tensors(), MANIFEST)
    other = save_model(tmp_path / "other", dict(reversed(tensors().items())), MANIFEST)
    assert one == other
    assert read_manifest(tmp_path / "one") == one


def test_shards_stay_small(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "SHARD_BYTES", 400)
    manifest = save_model(tmp_path / "model", tensors(), MANIFEST)
    assert len(manifest.shards) == 2
    assert {path.name for path in (tmp_path / "model").iterdir()} == {
        "manifest.json",
        "shard-000.safetensors",
        "shard-001.safetensors",
    }
    assert torch.equal(load_tensors(tmp_path / "model")["codec.basis"], tensors()["codec.basis"])


def test_a_full_shard_is_under_16_mib(tmp_path):
    rows = {f"x.{i}": torch.zeros(1024, 1024, dtype=torch.uint8) for i in range(17)}
    manifest = save_model(tmp_path / "model", rows, MANIFEST)
    assert [shard.bytes < 16 * 2**20 for shard in manifest.shards] == [True, True]


def test_texts_travel_with_the_model(tmp_path):
    save_model(tmp_path / "model", tensors(), MANIFEST, texts={"vocabulary.json": '["红"]'})
    assert read_text(tmp_path / "model", "vocabulary.json") == '["红"]'
    with pytest.raises(WeightsError, match=r"no file other\.json"):
        read_text(tmp_path / "model", "other.json")


def test_a_damaged_shard_is_named(tmp_path):
    save_model(tmp_path / "model", tensors(), MANIFEST)
    shard = tmp_path / "model" / "shard-000.safetensors"
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    with pytest.raises(WeightsError, match=r"shard-000\.safetensors .* damaged"):
        load_tensors(tmp_path / "model")
    shard.unlink()
    with pytest.raises(WeightsError, match=r"shard-000\.safetensors is missing"):
        load_tensors(tmp_path / "model")


def test_saving_again_replaces_everything(tmp_path):
    save_model(tmp_path / "model", tensors(), MANIFEST, texts={"old.json": "1"})
    save_model(tmp_path / "model", {"codec.basis": torch.ones(1)}, replace(MANIFEST, name="second"))
    assert read_manifest(tmp_path / "model").name == "second"
    assert set(load_tensors(tmp_path / "model")) == {"codec.basis"}
    assert not (tmp_path / "model" / "old.json").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_full_disk_leaves_the_old_model_and_nothing_half_written(tmp_path, monkeypatch):
    save_model(tmp_path / "model", tensors(), MANIFEST)
    written = []

    def no_room(path, content):
        written.append(path.name)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store, "_write", no_room)
    with pytest.raises(OutputError, match="No space left"):
        save_model(tmp_path / "model", tensors(), MANIFEST)
    assert written == ["shard-000.safetensors"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert torch.equal(load_tensors(tmp_path / "model")["codec.basis"], tensors()["codec.basis"])


def test_a_place_that_is_no_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot be written"):
        save_model(tmp_path / "file" / "model", tensors(), MANIFEST)


def test_a_module_is_filled_or_told_what_differs(tmp_path):
    module = nn.Linear(3, 4)
    named = {f"part.{name}": tensor for name, tensor in nn.Linear(3, 4).state_dict().items()}
    save_model(tmp_path / "model", named, MANIFEST)
    load_module(module, tmp_path / "model", "part.")
    assert torch.equal(module.weight, named["part.weight"])
    with pytest.raises(WeightsError, match=r"weight has shape \(4, 3\), not \(4, 5\)"):
        load_module(nn.Linear(5, 4), tmp_path / "model", "part.")
    with pytest.raises(WeightsError, match="bias is not known"):
        load_module(nn.Linear(3, 4, bias=False), tmp_path / "model", "part.")
    with pytest.raises(WeightsError, match="differences"):
        load_module(nn.Sequential(module), tmp_path / "model", "part.")


def test_int8_errs_by_at_most_half_a_step_of_its_row():
    weight = torch.randn(16, 64) * torch.logspace(-3, 2, 16)[:, None]
    back = unpack(pack("w", weight, "int8"))["w"]
    step = weight.abs().amax(dim=1, keepdim=True) / 127
    assert ((back - weight).abs() <= 0.501 * step).all()
    assert (back - weight).norm() / weight.norm() < 0.01


def test_int8_keeps_zero_rows_vectors_and_shapes():
    packed = pack("w", torch.zeros(3, 2, 2, 2), "int8")
    assert packed["w"].dtype == torch.int8
    assert packed["w" + SCALE_SUFFIX].shape == (3,)
    assert torch.equal(unpack(packed)["w"], torch.zeros(3, 2, 2, 2))
    bias = torch.randn(5)
    assert torch.equal(unpack(pack("b", bias, "int8"))["b"], bias)


def test_bfloat16_errs_by_its_last_bit():
    weight = torch.randn(100, 10)
    back = unpack(pack("w", weight, "bfloat16"))["w"]
    assert back.dtype == torch.float32
    assert ((back - weight).abs() <= weight.abs() / 256).all()


def test_storage_can_differ_by_part(tmp_path):
    manifest = save_model(tmp_path / "model", tensors(), MANIFEST, storage={"transformer": "int8", "codec": "bfloat16"})
    back = load_tensors(tmp_path / "model")
    assert torch.equal(back["codec.basis"], tensors()["codec.basis"].bfloat16().float())
    assert torch.equal(back["transformer.0.bias"], tensors()["transformer.0.bias"])
    assert back["transformer.count"].tolist() == [3]
    assert torch.allclose(back["transformer.0.weight"], tensors()["transformer.0.weight"], atol=0.02)
    plain = save_model(tmp_path / "plain", tensors(), MANIFEST)
    assert sum(shard.bytes for shard in manifest.shards) < sum(shard.bytes for shard in plain.shards)
