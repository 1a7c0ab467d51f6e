"""Headers of safetensors files, and every other thing a download leaves behind under their name."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from kinora.core.errors import WeightsError
from kinora.weights.header import DTYPE_BITS, content_of, read_header


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    path = tmp_path / "whole.safetensors"
    tensors = {
        "b.weight": torch.arange(6, dtype=torch.bfloat16).reshape(2, 3),
        "a": torch.tensor(7, dtype=torch.int64),
        "none": torch.zeros(0, 4),
        "eight": torch.zeros(3).to(torch.float8_e4m3fn),
    }
    save_file(tensors, path, metadata={"format": "pt"})
    return path


def test_names_types_shapes_and_places_are_those_of_the_file(whole):
    header = read_header(whole)
    assert header.metadata == {"format": "pt"}
    assert {name: (entry.dtype, entry.shape, entry.bytes) for name, entry in header.tensors.items()} == {
        "b.weight": ("BF16", (2, 3), 12),
        "a": ("I64", (), 8),
        "none": ("F32", (0, 4), 0),
        "eight": ("F8_E4M3", (3,), 3),
    }
    entry = header.tensors["b.weight"]
    stored = torch.frombuffer(bytearray(whole.read_bytes()[entry.offset :][: entry.bytes]), dtype=torch.bfloat16)
    assert stored.tolist() == [0, 1, 2, 3, 4, 5]


def test_every_type_that_torch_writes_is_known(tmp_path):
    for dtype in (torch.bool, torch.uint8, torch.int16, torch.float16, torch.float32, torch.float64, torch.complex64):
        save_file({"x": torch.zeros(2, dtype=dtype)}, tmp_path / "x.safetensors")
        entry = read_header(tmp_path / "x.safetensors").tensors["x"]
        assert DTYPE_BITS[entry.dtype] == torch.zeros(1, dtype=dtype).element_size() * 8


def test_reading_a_header_needs_no_torch(whole):
    code = "import sys; sys.modules['torch'] = None; from kinora.weights.header import read_header as r; "
    done = subprocess.run([sys.executable, "-c", f"{code} print(len(r({str(whole)!r}).tensors))"], capture_output=True)
    assert done.stdout.strip() == b"4", done.stderr


@pytest.mark.parametrize("kept", [9, 60, -1])
def test_a_file_cut_anywhere_is_cut_short(whole, kept):
    content = whole.read_bytes()
    whole.write_bytes(content[:kept])
    with pytest.raises(WeightsError, match=r"cut short: it has \d+ bytes of \d+.*[Ff]etch it again"):
        read_header(whole)


def test_bytes_after_the_last_tensor_are_damage(whole):
    whole.write_bytes(whole.read_bytes() + b"more")
    with pytest.raises(WeightsError, match="4 bytes follow its last tensor"):
        read_header(whole)


OTHER_THINGS = {
    "pickle": (pickle.dumps({"a": 1}), "kinora models convert"),
    "page": (b"\n <!DOCTYPE html><html><title>404</title>", "web page"),
    "lfs pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", "git lfs pull"),
    "gguf": (b"GGUF\x03\x00\x00\x00", "quantised"),
    "json": (b'{"error": "Invalid credentials"}', "server sent"),
    "empty": (b"", "empty"),
    "unknown": (b"\x00" * 64, "no safetensors file"),
}


@pytest.mark.parametrize("kind", OTHER_THINGS)
def test_what_is_no_safetensors_file_is_called_what_it_is(tmp_path, kind):
    content, words = OTHER_THINGS[kind]
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    assert content_of(path) == kind
    with pytest.raises(WeightsError, match=words) as told:
        read_header(path)
    assert str(path) in str(told.value)


@pytest.mark.parametrize("new_format", [True, False])
def test_torch_s_own_files_are_pickles_whatever_they_are_called(tmp_path, new_format):
    path = tmp_path / "model.safetensors"
    torch.save({"a": torch.ones(2)}, path, _use_new_zipfile_serialization=new_format)
    assert content_of(path) == "pickle"


def test_a_missing_file_is_a_sentence(tmp_path):
    with pytest.raises(WeightsError, match="cannot be read"):
        read_header(tmp_path / "none.safetensors")


def headed(path: Path, header: object, data: bytes = b"") -> Path:
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]},  # too few bytes for its shape
        {"dtype": "F31", "shape": [1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [-1], "data_offsets": [0, -4]},
        {"dtype": "F32", "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1]},
        [],
    ],
)
def test_a_header_that_contradicts_itself_is_damaged(tmp_path, entry):
    with pytest.raises(WeightsError, match="damaged"):
        read_header(headed(tmp_path / "x.safetensors", {"a": entry}, b"\x00" * 4))


def test_tensors_that_overlap_or_leave_gaps_are_damage(tmp_path):
    one = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    for other in ([0, 4], [5, 9]):
        entries = {"a": one, "b": {**one, "data_offsets": other}}
        with pytest.raises(WeightsError, match="overlap or leave gaps"):
            read_header(headed(tmp_path / "x.safetensors", entries, b"\x00" * 9))
