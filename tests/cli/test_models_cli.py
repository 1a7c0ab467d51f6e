"""`kinora models` from the command line: what it prints, what it asks, how it ends."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from kinora.cli.main import main
from kinora.cli.model_table import HashLine, giga
from kinora.presets.places import find_model
from kinora.presets.wan import OPEN_MODELS
from kinora.weights.manifest import read_manifest


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("KINORA_MODELS", str(tmp_path / "store"))
    return tmp_path / "store"


@pytest.fixture(scope="module")
def comfy(write_wan, tmp_path_factory):
    return write_wan(tmp_path_factory.mktemp("cli") / "ComfyUI" / "models", "wan2.2-ti2v-5b", "comfy").parent


def told(capsys, *arguments, code=0):
    assert main(["models", *map(str, arguments)]) == code
    said = capsys.readouterr()
    return said.err if code == 2 else said.out


def test_the_list_says_what_is_here_what_it_takes_and_what_can_be_had(store, comfy, capsys):
    told(capsys, "add", comfy, "--name", "mine")
    text = told(capsys, "list")
    assert re.search(r"^  tiny +\d+\.\d MB  Apache-2\.0 +256x256 at 16 a second$", text, re.MULTILINE)
    assert re.search(
        r"^  mine +12\.\d MB  Apache-2\.0 +wan2\.2-ti2v-5b, 1280x704 at 24 a second, in ", text, re.MULTILINE
    )
    for model in OPEN_MODELS.values():
        assert re.search(
            rf"^  {model.name} +\d+\.\d GB  Apache-2\.0 +memory \d.*{re.escape(model.title)}$", text, re.MULTILINE
        )
    assert "68.8 GB" in text, "two experts of 14.29 B, 5.68 B of text encoder, two bytes each"


def test_listing_and_adding_need_no_torch(store, comfy):
    code = "import sys; sys.modules['torch'] = sys.modules['safetensors'] = None\nfrom kinora.cli.main import main\n"
    code += (
        f"sys.exit(main(['models', 'add', {str(comfy)!r}]) or main(['models', 'list']) or main(['models', 'verify']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "ok   wan2.2-ti2v-5b" in done.stdout


def test_adding_shows_size_licence_memory_and_what_to_do_next(store, comfy, capsys):
    text = told(capsys, "add", comfy)
    assert "Wan 2.2 text and image to video, 5 B, 720p, layout comfy" in text
    for line in ("size ", "licence ", "memory ", "note "):
        assert f"\n  {line}" in text
    assert text.splitlines()[-1] == "wan2.2-ti2v-5b is ready: kinora generate --model wan2.2-ti2v-5b ..."
    assert find_model("wan2.2-ti2v-5b") == store / "wan2.2-ti2v-5b"
    assert "already" in told(capsys, "add", comfy, code=2)


def test_parts_and_the_model_may_be_named(store, comfy, tmp_path, capsys):
    text = encoder = comfy / "models" / "text_encoders" / "umt5_xxl_fp16.safetensors"
    told(capsys, "add", comfy, "--as", "wan2.2-ti2v-5b", "--part", f"text={encoder}", "--name", "x")
    assert "not wan2.1-t2v-14b" in told(capsys, "add", comfy, "--as", "wan2.1-t2v-14b", code=2)
    assert "PART=PATH" in told(capsys, "add", comfy, "--part", "vae=x", code=2)
    assert "nothing at" in told(capsys, "add", tmp_path / "none", code=2)
    assert text.exists()


def test_a_lora_with_its_steps(store, comfy, tmp_path, capsys):
    told(capsys, "add", comfy, "--name", "base")
    names = ("lora_A", (4, 256)), ("lora_B", (256, 4))
    tensors = {f"diffusion_model.blocks.0.self_attn.q.{name}.weight": torch.ones(shape) for name, shape in names}
    save_file(tensors, tmp_path / "quick.safetensors")
    said = told(capsys, "add", tmp_path / "quick.safetensors", "--base", "base", "--steps", 4)
    assert "base-quick is base with quick.safetensors" in said
    sampling = read_manifest(find_model("base-quick")).sampling
    assert {(table["steps"], table["guidance"], table["solver"]) for table in sampling.values()} == {(4, 1.0, "euler")}
    assert sampling.keys() == {"draft", "standard", "pro"}
    assert "There is no model 'none'" in told(capsys, "add", tmp_path / "quick.safetensors", "--base", "none", code=2)


def test_verify_ends_with_one_where_something_is_wrong(store, write_wan, tmp_path, capsys):
    folder = write_wan(tmp_path / "ComfyUI", "wan2.1-t2v-1.3b", "comfy")
    told(capsys, "add", folder, "--name", "mine")
    assert told(capsys, "verify") == "ok   mine\n"
    path = folder / "vae" / "wan_2.1_vae.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    said = told(capsys, "verify", "mine", code=1)
    assert said.startswith("BAD  mine\n")
    assert f"{path} is damaged" in said


def test_an_empty_store_is_no_trouble(store, capsys):
    assert "no models" in told(capsys, "verify")
    assert "nothing yet" in told(capsys, "list")


def test_removing_asks_and_keeps_files_it_did_not_fetch(store, comfy, capsys, monkeypatch):
    before = sorted(comfy.rglob("*"))
    told(capsys, "add", comfy, "--name", "mine")
    assert "add --yes" in told(capsys, "remove", "mine", code=2)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    for answer, code in (("n", 130), ("", 130), ("y", 0)):
        monkeypatch.setattr("builtins.input", lambda _, answer=answer: answer)
        assert main(["models", "remove", "mine"]) == code
        assert (store / "mine").exists() == bool(code)
    assert sorted(comfy.rglob("*")) == before
    assert "is not in the store" in told(capsys, "remove", "mine", code=2)
    assert "ships with Kinora" in told(capsys, "remove", "tiny", code=2)
    assert "is not in the store" in told(capsys, "remove", "../x", code=2)


def test_a_pickle_is_converted_and_the_folder_then_added(store, write_wan, tmp_path, capsys):
    """The way of someone who has the makers' own download."""
    folder = write_wan(tmp_path / "Wan2.1-T2V-1.3B", "wan2.1-t2v-1.3b", "wan")
    said = told(capsys, "add", folder, code=2)
    commands = re.findall(r"^  kinora models convert (.+)$", said, re.MULTILINE)
    assert [path.rpartition("/")[2] for path in commands] == ["Wan2.1_VAE.pth", "models_t5_umt5-xxl-enc-bf16.pth"]
    said = told(capsys, "convert", commands[0])
    assert re.search(r"Wan2\.1_VAE\.safetensors: \d+ tensors, \d\.\d MB\n.*no network.*\n.*could read files", said)
    assert commands[0] not in told(capsys, "add", folder, code=2)
    save_file(torch.load(commands[1], weights_only=True), commands[1].removesuffix("pth") + "safetensors")
    told(capsys, "add", folder)
    names = {file.name for file in read_manifest(find_model("wan2.1-t2v-1.3b")).files}
    assert {"Wan2.1_VAE.safetensors", "models_t5_umt5-xxl-enc-bf16.safetensors"} < names


def test_sizes_are_told_in_powers_of_ten():
    assert [giga(count) for count in (12, 3_400, 5_680_000, 17.26e9)] == ["12 bytes", "3.4 kB", "5.7 MB", "17.3 GB"]


class Terminal:
    def __init__(self):
        self.text = ""

    def isatty(self):
        return True

    def write(self, text):
        self.text += text

    def flush(self):
        pass


def test_hashing_says_how_far_it_is_and_how_long_still(tmp_path):
    stream = Terminal()
    line = HashLine(stream=stream)
    line.began -= 10.0
    line(tmp_path / "a.safetensors", 250, 1000)
    assert "hashed 250 bytes of 1.0 kB, 30 s left: a.safetensors" in stream.text
    line(tmp_path / "a.safetensors", 1000, 1000)
    assert stream.text.endswith("\n")


@pytest.mark.parametrize("name", ["..", ".", ".cache", "../models", "linked"])
def test_nothing_outside_the_store_is_ever_removed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`remove ..` once took the store's parent for a fetched model, because it had a .cache."""
    store = tmp_path / "home" / "models"
    (store / ".cache").mkdir(parents=True)
    kept = tmp_path / "home" / ".cache" / "huggingface" / "download" / "precious"
    kept.parent.mkdir(parents=True)
    kept.write_text("x")
    (store / "linked").symlink_to(tmp_path / "home", target_is_directory=True)
    monkeypatch.setenv("KINORA_MODELS", str(store))
    assert main(["models", "remove", name, "--yes"]) == 2
    assert "is not in the store" in capsys.readouterr().err
    assert kept.read_text() == "x"
    assert store.is_dir()
