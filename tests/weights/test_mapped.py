"""Published weights are mapped, not copied, and fit exactly or not at all."""

import json
import pickle
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from kinora.core.errors import WeightsError
from kinora.weights.mapped import fill, open_tensors
from kinora.weights.naming import renamed

linux = pytest.mark.skipif(sys.platform != "linux", reason="asks /proc where memory lies")


class Small(nn.Module):
    """A linear layer, and a buffer that files hold."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.register_buffer("scale", torch.ones(2))
        self.register_buffer("count", torch.zeros(1, dtype=torch.int64))


class Forgetful(nn.Module):
    """A buffer that no file holds."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.register_buffer("table", torch.ones(2), persistent=False)


def on_meta(kind):
    with torch.device("meta"):
        return kind()


@pytest.fixture
def tensors():
    torch.manual_seed(0)
    return {
        "layer.weight": torch.randn(2, 3),
        "layer.bias": torch.randn(2),
        "scale": torch.randn(2),
        "count": torch.tensor([7]),
    }


def saved(tmp_path, tensors, name="model.safetensors"):
    save_file(tensors, tmp_path / name)
    return tmp_path / name


def inside_mapping_of(path, tensor):
    """Whether the tensor's bytes lie where the system has mapped that file."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        low, high = (int(edge, 16) for edge in line.split()[0].split("-"))
        if line.endswith(str(path)) and low <= tensor.data_ptr() < high:
            return True
    return False


@linux
def test_tensors_are_windows_on_their_file(tmp_path, tensors):
    path = saved(tmp_path, tensors)
    opened = open_tensors([path])
    assert opened.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(opened[name], tensor)
        assert inside_mapping_of(path, opened[name])
    whole = path.read_bytes()
    opened["scale"].add_(1.0)
    assert path.read_bytes() == whole


@linux
def test_a_filled_module_still_lies_in_the_file(tmp_path, tensors):
    path = saved(tmp_path, tensors)
    module = on_meta(Small)
    fill(module, open_tensors([path]), "the test model")
    assert torch.equal(module.layer.weight, tensors["layer.weight"])
    assert int(module.count) == 7
    assert all(inside_mapping_of(path, tensor) for tensor in module.state_dict().values())
    assert not any(parameter.requires_grad for parameter in module.parameters())
    x = torch.randn(1, 3)
    assert torch.allclose(module.layer(x), x @ tensors["layer.weight"].T + tensors["layer.bias"])


@linux
def test_memory_stays_flat_until_pages_are_touched(tmp_path):
    """Sixty-four MiB opened and filled grow the process by next to nothing; summed, they are shared pages."""
    path = saved(tmp_path, {"weight": torch.ones(64, 2**18), "bias": torch.ones(64)})
    script = (
        "import mmap, sys, torch\n"
        "from kinora.weights.mapped import fill, open_tensors\n"
        "with torch.device('meta'): module = torch.nn.Linear(2**18, 64)\n"
        "resident = lambda: [mmap.PAGESIZE * int(n) for n in open('/proc/self/statm').read().split()[1:3]]\n"
        "before, _ = resident()\n"
        "fill(module, open_tensors([sys.argv[1]]), 'it')\n"
        "filled, shared = resident()\n"
        "assert float(module.weight[:, ::1024].sum()) == 64 * 256\n"
        "after, shared_after = resident()\n"
        "print(filled - before, shared_after - shared, after - filled - (shared_after - shared))\n"
    )
    told = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    opened, shared, private = (int(number) for number in told.stdout.split())
    assert opened < 8 * 2**20
    assert shared > 56 * 2**20
    assert private < 8 * 2**20


def test_shards_are_put_together_and_renamed(tmp_path, tensors):
    names = list(tensors)

    def ours(name):
        return name.removeprefix("old.") if name != "ema" else None

    first = saved(tmp_path, {f"old.{name}": tensors[name] for name in names[:2]}, "a.safetensors")
    second = saved(
        tmp_path, {f"old.{name}": tensors[name] for name in names[2:]} | {"ema": torch.ones(1)}, "b.safetensors"
    )
    opened = renamed(open_tensors([str(first), second]), lambda _names: ours)
    assert opened.keys() == tensors.keys()
    fill(on_meta(Small), opened, "it")


def test_the_same_name_twice_is_refused_with_both_origins(tmp_path, tensors):
    first, second = saved(tmp_path, tensors, "a.safetensors"), saved(tmp_path, tensors, "b.safetensors")
    with pytest.raises(WeightsError, match=r"comes twice: in a\.safetensors and in b\.safetensors"):
        open_tensors([first, second])


def test_nothing_opened_is_an_error(tmp_path, tensors):
    with pytest.raises(WeightsError, match="hold no tensor"):
        open_tensors([saved(tmp_path, {})])
    with pytest.raises(WeightsError, match="hold no tensor"):
        open_tensors([])


def test_one_error_lists_what_is_missing_unknown_and_misshapen(tmp_path, tensors):
    del tensors["scale"]
    tensors["layer.bias"] = torch.zeros(3)
    extra = {f"extra.{i}": torch.zeros(1) for i in range(9)}
    module = on_meta(Small)
    with pytest.raises(WeightsError) as caught:
        fill(module, open_tensors([saved(tmp_path, tensors | extra)]), "the codec")
    message = str(caught.value)
    assert "do not fit the codec" in message
    assert "1 missing: scale" in message
    assert "9 unknown: extra.0, extra.1, extra.2, extra.3 and 5 more" in message
    assert "1 of another shape: layer.bias (3,) instead of (2,)" in message
    assert "extra.4" not in message
    assert module.layer.weight.is_meta  # nothing half filled


def test_dtypes_change_only_where_asked_and_only_floats(tmp_path, tensors):
    half = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    path = saved(tmp_path, half)
    plain, wide = on_meta(Small), on_meta(Small)
    fill(plain, open_tensors([path]), "it")
    fill(wide, open_tensors([path]), "it", dtype=torch.float32, device="cpu")
    assert plain.layer.weight.dtype == torch.float16
    assert wide.layer.weight.dtype == torch.float32
    assert wide.count.dtype == torch.int64
    assert torch.equal(wide.layer.weight, half["layer.weight"].float())


def test_fp8_is_cast_to_the_asked_dtype_and_to_no_other(tmp_path, tensors):
    small = {name: tensor.to(torch.float8_e4m3fn) if "layer" in name else tensor for name, tensor in tensors.items()}
    path = saved(tmp_path, small)
    module = on_meta(Small)
    with pytest.raises(WeightsError, match=r"layer\.bias is stored in float8_e4m3fn.*Ask for a dtype"):
        fill(module, open_tensors([path]), "it")
    fill(module, open_tensors([path]), "it", dtype=torch.float32)
    assert torch.equal(module.layer.weight, small["layer.weight"].float())


@pytest.mark.parametrize("name", ["scaled_fp8", "blocks.0.self_attn.q.scale_weight"])
def test_scaled_fp8_is_refused_by_name(tmp_path, tensors, name):
    path = saved(tmp_path, tensors | {name: torch.ones(1)})
    with pytest.raises(WeightsError, match=rf"{name}.*Take the bf16 or fp16 file"):
        open_tensors([path])


def test_odd_offsets_do_no_harm(tmp_path):
    """The format aligns nothing: numbers of four bytes may start at the third."""
    wide = torch.randn(5)
    content = b"abc" + wide.numpy().tobytes()
    entries = {
        "a": {"dtype": "U8", "shape": [3], "data_offsets": [0, 3]},
        "b": {"dtype": "F32", "shape": [5], "data_offsets": [3, 23]},
    }
    header = json.dumps(entries).encode()
    path = tmp_path / "odd.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + content)
    assert torch.equal(open_tensors([path])["b"], wide)


def test_a_buffer_that_no_file_fills_is_noticed(tmp_path):
    path = saved(tmp_path, {"weight": torch.zeros(2, 3), "bias": torch.zeros(2)})
    with pytest.raises(AssertionError, match="table"):
        fill(on_meta(Forgetful), renamed(open_tensors([path]), lambda _names: "layer.{}".format), "it")


def bad_files(tmp_path):
    good = saved(tmp_path, {"weight": torch.ones(100)}).read_bytes()
    (tmp_path / "pickle.pth").write_bytes(pickle.dumps({"weight": [1.0] * 100}))
    (tmp_path / "short.safetensors").write_bytes(good[:-1])
    (tmp_path / "empty.safetensors").write_bytes(b"")
    return [tmp_path / name for name in ("pickle.pth", "short.safetensors", "empty.safetensors", "absent.safetensors")]


@pytest.mark.parametrize("number", range(4))
def test_a_file_that_is_no_safetensors_is_named(tmp_path, number):
    path = bad_files(tmp_path)[number]
    with pytest.raises(WeightsError, match=path.name):
        open_tensors([path])
