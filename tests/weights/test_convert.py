"""Pickles made into safetensors: the same numbers, in a process that can do nothing else, and nothing else is run."""

import os
import pickle
import socket
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from kinora.core.errors import Cancelled, OutputError, WeightsError
from kinora.weights import unpickle
from kinora.weights.convert import convert

CONFINED = """
import sys
from kinora.weights.confine import forbid_files, forbid_network, limit
print([forbid_network(), forbid_files(), limit(1000)])
"""


class Malicious:
    """Runs a command when it is unpickled by anything but a careful reader."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def many_tensors() -> dict[str, torch.Tensor]:
    matrix = torch.randn(6, 4)
    return {
        "matrix": matrix,
        "tied": matrix,
        "turned": matrix.t(),
        "rows": matrix[2:4],
        "stretched": torch.ones(1).expand(7),
        "half": torch.randn(5).bfloat16(),
        "whole": torch.tensor(3),
        "none": torch.zeros(0, 4),
        "trained": torch.nn.Parameter(torch.ones(2)),
    }


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """One conversion in a real child process, of tensors that safetensors' own writer would refuse."""
    path = tmp_path_factory.mktemp("convert") / "model.pth"
    tensors = many_tensors()
    torch.save({"epoch": 3, "state_dict": OrderedDict(tensors)}, path)
    told = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "load", loaded_here)
        return tensors, convert(path, on_bytes=lambda done, total: told.append((done, total))), told


def loaded_here(*_, **__):
    raise AssertionError("a pickle was loaded in the calling process")


def test_the_numbers_are_the_same(converted):
    tensors, made, _ = converted
    back = load_file(made.path)
    assert back.keys() == tensors.keys()
    assert made.tensors == len(tensors)
    for name, tensor in tensors.items():
        assert back[name].dtype == tensor.dtype
        assert torch.equal(back[name], tensor), name


def test_it_appears_beside_under_the_same_name_and_nothing_else_does(converted):
    _, made, told = converted
    assert made.path.name == "model.safetensors"
    assert sorted(path.name for path in made.path.parent.iterdir()) == ["model.pth", "model.safetensors"]
    done, total = told[-1]
    assert done == total > 0
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_it_says_what_the_process_could_not_do(converted):
    _, made, _ = converted
    said = " ".join((*made.confined, *made.unconfined))
    assert "no network" in said
    assert "no files made" in said
    assert "s of processor" in said


def test_it_is_never_written_over_what_is_there(converted):
    _, made, _ = converted
    before = made.path.read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        convert(made.path.with_suffix(".pth"))
    assert made.path.read_bytes() == before


def test_a_malicious_pickle_is_refused_by_the_name_of_what_it_asks_for_and_nothing_of_it_runs(tmp_path):
    sign = tmp_path / "owned"
    path = tmp_path / "evil.pth"
    torch.save({"weight": torch.ones(2), "more": Malicious(f"touch {sign}")}, path)
    with pytest.raises(WeightsError, match=r"evil\.pth is refused: it asks for (posix|nt|os)\.system"):
        convert(path)
    assert [file.name for file in tmp_path.iterdir()] == ["evil.pth"]


def test_the_malicious_pickle_of_these_tests_would_have_run(tmp_path):
    pickle.loads(pickle.dumps(Malicious(f"touch {tmp_path / 'owned'}")))
    assert (tmp_path / "owned").exists()


def in_child(code: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", CONFINED + code, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def granted(said: str, what: str) -> None:
    """Skip where this system does not offer what is tested, which the report must say."""
    if f"(False, '{what}" in said:
        pytest.skip(said)
    assert f"(True, '{what}" in said


def test_a_confined_process_makes_changes_removes_and_runs_no_file(tmp_path):
    (tmp_path / "there").write_text("as it was")
    code = """
import os, pathlib
folder = pathlib.Path(sys.argv[1])
for deed in ("(folder / 'new').write_text('x')", "(folder / 'there').write_text('x')", "(folder / 'there').unlink()",
             "(folder / 'dir').mkdir()", "(folder / 'there').rename(folder / 'gone')",
             "os.truncate(folder / 'there', 0)"):
    try:
        eval(deed)
        print("done", deed)
    except PermissionError:
        pass
os.system(f"touch {folder / 'owned'}")
print("read", (folder / "there").read_text())
"""
    said = in_child(code, str(tmp_path))
    granted(said, "no files made")
    assert "done" not in said
    assert "read as it was" in said
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_a_confined_process_reaches_nobody():
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = """
import socket
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=2)
    print("reached")
except OSError as error:
    print("refused")
"""
        said = in_child(code, str(server.getsockname()[1]))
    granted(said, "no network")
    assert "refused" in said


def with_child(monkeypatch, code):
    """Let another program stand for the child: what happens when it does not do its work."""

    def start(path, descriptor, talk):
        return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=talk, text=True)

    monkeypatch.setattr("kinora.weights.convert.start_child", start)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os; os.kill(os.getpid(), 9)", r"ended by SIGKILL, at the bounds"),
        ("import sys; sys.exit('no torch here')", r"did not start \(no torch here\)"),
        ('print(\'{"error": "is odd"}\')', r"a\.pth is odd\.$"),
        ("print('{\"tensors\": 1}')", r"is empty"),
    ],
)
def test_a_child_that_fails_leaves_nothing_and_its_reason_is_told(tmp_path, monkeypatch, code, words):
    torch.save({"a": torch.ones(1)}, tmp_path / "a.pth")
    with_child(monkeypatch, code)
    with pytest.raises(WeightsError, match=words):
        convert(tmp_path / "a.pth")
    assert [path.name for path in tmp_path.iterdir()] == ["a.pth"]


def test_a_conversion_can_be_cancelled_and_leaves_nothing(tmp_path, monkeypatch):
    torch.save({"a": torch.ones(1)}, tmp_path / "a.pth")
    with_child(monkeypatch, 'import time; print(\'{"done": 1, "total": 2}\', flush=True); time.sleep(600)')

    def stop(done, total):
        raise Cancelled(f"at {done} of {total}")

    with pytest.raises(Cancelled, match="at 1 of 2"):
        convert(tmp_path / "a.pth", on_bytes=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["a.pth"]


# What the child does with one file, without its locks: the same functions, in this process.


def refused(path: Path) -> str:
    with pytest.raises(unpickle.Refused) as told:
        unpickle.tensors_in(unpickle.load(path))
    return str(told.value)


@pytest.mark.parametrize("new_format", [True, False])
def test_both_formats_of_torch_are_read(tmp_path, new_format):
    torch.save({"a": torch.arange(3)}, tmp_path / "a.pth", _use_new_zipfile_serialization=new_format)
    assert unpickle.tensors_in(unpickle.load(tmp_path / "a.pth"))["a"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("held", "words"),
    [
        ([torch.ones(2)], "a list"),
        ({1: torch.ones(2)}, "1: Tensor"),
        ({"lr": 0.1, "epoch": 3}, "'lr': float"),
        ({}, "nothing"),
        ({"a": {"x": torch.ones(1)}, "b": {"y": torch.ones(1)}}, "'a': dict"),
    ],
)
def test_what_is_no_dictionary_of_tensors_is_described(tmp_path, held, words):
    torch.save(held, tmp_path / "a.pth")
    assert words in refused(tmp_path / "a.pth")


def test_a_bare_pickle_and_a_cut_file_are_refused(tmp_path):
    (tmp_path / "bare.pth").write_bytes(pickle.dumps(Malicious("false"), protocol=2))
    assert "is refused" in refused(tmp_path / "bare.pth")
    torch.save({"a": torch.ones(4000)}, tmp_path / "cut.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "cut.pth").read_bytes()[:5000])
    said = refused(tmp_path / "cut.pth")
    assert "cut short or damaged" in said
    assert len(said) < 250


def test_tensors_without_plain_numbers_are_refused():
    for tensor in (torch.eye(2).to_sparse(), torch.empty(2, device="meta")):
        with pytest.raises(unpickle.Refused, match="safetensors cannot hold"):
            unpickle.dtype_name("x", tensor)


# What is told before any process is started.


def test_what_is_no_pickle_is_not_converted(tmp_path):
    save_file({"a": torch.ones(1)}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"is a safetensors file already.*a\.safetensors"):
        convert(tmp_path / "a.pth")
    (tmp_path / "b.pth").write_text("<html>not found</html>")
    with pytest.raises(WeightsError, match="web page"):
        convert(tmp_path / "b.pth")


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    torch.save({"a": torch.ones(1)}, tmp_path / "a.pth")
    with pytest.raises(OutputError, match=r"no folder to write to"):
        convert(tmp_path / "a.pth", tmp_path / "nowhere" / "a.safetensors")
