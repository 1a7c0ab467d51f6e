"""Fetching from a hub: a server of our own that speaks as much of Hugging Face's as its library asks for, and the
command line as a process of its own, with that library as it is.
"""

import errno
import functools
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import torch
from safetensors.torch import load_file, save_file

from kinora.cli.main import main
from kinora.core.errors import WeightsError
from kinora.presets.fetch import Offer, install, is_wanted, part_of
from kinora.presets.store import entry_in, remove_model
from kinora.presets.wan import OPEN_MODELS
from kinora.weights.manifest import PlacedFile, read_manifest
from kinora.weights.placed import check_sizes

NAME = "wan2.1-t2v-1.3b"
REPOSITORY = "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """Serves one folder as the repository, at one commit."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.folder = folder
        self.asked: list[tuple[str, str, str | None]] = []
        self.stall = threading.Event()
        """Set: the largest file stops half-way."""
        self.stalled = threading.Event()
        self.spoil = False
        """The largest file comes with another byte at its end."""
        self.gated = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def files(self) -> dict[str, Path]:
        return {
            path.relative_to(self.folder).as_posix(): path for path in sorted(self.folder.rglob("*")) if path.is_file()
        }

    def largest(self) -> str:
        return max(self.files(), key=lambda name: self.files()[name].stat().st_size)


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body):
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append((self.command, path, self.headers.get("Range")))
        if not path.startswith((f"/api/models/{REPOSITORY}", f"/{REPOSITORY}/")):
            return self.send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        if self.server.gated:
            return self.send(403, b"{}", {"X-Error-Code": "GatedRepo"})
        if path.startswith("/api/models/"):
            return self.tell(path.removeprefix(f"/api/models/{REPOSITORY}"))
        found = re.fullmatch(rf"/{REPOSITORY}/resolve/{COMMIT}/(.+)", path)
        assert found, path
        return self.give(found[1], self.server.files()[found[1]], body)

    def tell(self, what):
        known = [self.entry(name, path) for name, path in self.server.files().items()]
        if what.startswith("/tree/"):
            return self.send_json(known)
        if what in ("", "/revision/main", f"/revision/{COMMIT}"):
            siblings = [{"rfilename": entry["path"], **entry} for entry in known]
            card = {"license": "apache-2.0"}
            return self.send_json({"id": REPOSITORY, "sha": COMMIT, "siblings": siblings, "cardData": card})
        return self.send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})

    def entry(self, name, path):
        size, digest = path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()
        lfs = {"lfs": {"sha256": digest, "oid": digest, "size": size, "pointerSize": 130}} if size > 10_000 else {}
        return {"type": "file", "path": name, "size": size, "oid": digest[:40], "blobId": digest[:40], **lfs}

    def give(self, name, path, body):
        content = path.read_bytes()
        etag = hashlib.sha256(content).hexdigest()
        if self.server.spoil and name == self.server.largest():
            content = content[:-1] + bytes([content[-1] ^ 1])
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self.send(206 if start else 200, content[start:], headers, body, stall=name == self.server.largest())

    def send_json(self, value):
        self.send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def send(self, code, content, headers, body=True, stall=False):
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if not body:
            return
        if stall and self.server.stall.is_set():
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            self.server.stalled.set()
            while self.server.stall.is_set():
                time.sleep(0.02)
            self.close_connection = True
            return
        self.wfile.write(content)


@pytest.fixture(scope="module")
def repository(write_wan, tmp_path_factory):
    folder = write_wan(tmp_path_factory.mktemp("hub") / "repository", NAME, "diffusers")
    (folder / "README.md").write_text("# Wan")
    (folder / "assets").mkdir()
    (folder / "assets" / "film.mp4").write_bytes(b"0" * 50_000)
    return folder


@pytest.fixture
def hub(repository):
    server = Hub(repository)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.stall.clear()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def store(tmp_path):
    return tmp_path / "models"


def environment(store, endpoint, **more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    return kept | {
        "KINORA_MODELS": str(store), "HF_ENDPOINT": endpoint, "HF_HOME": str(store.parent / "hf"),
        "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "NO_PROXY": "*",
    } | more  # fmt: skip


def command(*arguments):
    return [
        sys.executable,
        "-c",
        "import sys; from kinora.cli.main import main; sys.exit(main())",
        "models",
        *arguments,
    ]


def models(*arguments, **environ):
    return subprocess.run(command(*arguments), capture_output=True, text=True, **environ)


def test_a_model_is_fetched_checked_and_ready(hub, store):
    done = models("pull", NAME, "--yes", env=environment(store, hub.url))
    assert done.returncode == 0, done.stderr
    assert f"from {REPOSITORY}@{COMMIT[:12]}" in done.stdout
    assert re.search(
        r"size +11\.\d MB in \d+ files, 11\.\d MB to fetch\n +licence +apache-2\.0\n +memory +", done.stdout
    )
    folder = store / NAME
    manifest = read_manifest(folder)
    assert manifest.source == f"{REPOSITORY}@{COMMIT}"
    assert (manifest.home, manifest.preset, manifest.licence) == ("", NAME, "apache-2.0")
    check_sizes(folder, manifest)
    assert not (folder / "assets").exists(), "pictures and talk are not fetched"
    again = models("pull", NAME, "--yes", env=environment(store, hub.url))
    assert again.returncode == 2
    assert "already" in again.stderr
    # And out again: what was fetched goes, what somebody put beside it stays.
    (folder / "notes.txt").write_text("mine")
    assert remove_model(entry_in(folder)) == [folder / "notes.txt"]
    assert [path.name for path in folder.rglob("*")] == ["notes.txt"]


@pytest.fixture
def heavy(hub, repository, tmp_path):
    """The hub serves one file that is not small: the library writes ten million bytes at a time."""
    hub.folder = shutil.copytree(repository, tmp_path / "served")
    path = hub.folder / "text_encoder" / "model.safetensors"
    save_file({**load_file(path), "padding": torch.zeros(6_000_000)}, path)
    return hub


def given(hub):
    """Files that were asked for, each with the range that was asked of it."""
    return [
        (path.partition(COMMIT + "/")[2], asked) for verb, path, asked in hub.asked if verb == "GET" and COMMIT in path
    ]


def test_a_connection_that_breaks_is_taken_up_where_it_broke(heavy, store):
    heavy.stall.set()
    with subprocess.Popen(
        command("pull", NAME, "--yes"), env=environment(store, heavy.url), stdout=-3, stderr=-3
    ) as child:
        assert heavy.stalled.wait(60)
        until(lambda: any(part.stat().st_size > 10_000_000 for part in store.rglob("*.incomplete")))
        heavy.stall.clear()  # and the server hangs up
    assert child.returncode == 0
    ranges = [asked for name, asked in given(heavy) if name == heavy.largest()]
    assert ranges[0] is None
    assert int(re.findall(r"\d+", ranges[1])[0]) >= 10_000_000
    check_sizes(store / NAME, read_manifest(store / NAME))


def test_after_a_kill_only_what_is_missing_is_fetched(heavy, store):
    env = environment(store, heavy.url)
    heavy.stall.set()
    with subprocess.Popen(command("pull", NAME, "--yes"), env=env, stdout=-3, stderr=-3) as child:
        assert heavy.stalled.wait(60)
        others = [name for name in heavy.files() if is_wanted(name, "diffusers") and name != heavy.largest()]
        noted = store / NAME / ".cache" / "huggingface" / "download"
        until(lambda: all((noted / f"{name}.metadata").exists() for name in others))
        second = models("pull", NAME, "--yes", env=env)
        child.kill()
    assert "Another process is fetching" in second.stderr
    assert not (store / NAME / "manifest.json").exists()
    assert re.search(rf"{NAME} +not finished; go on: kinora models pull {NAME}", models("list", env=env).stdout)
    heavy.stall.clear()
    heavy.asked.clear()
    done = models("pull", NAME, "--yes", env=env)
    assert done.returncode == 0, done.stderr
    assert {name for name, _ in given(heavy) if name in heavy.files()} == {heavy.largest()}
    assert not list(store.rglob("*.incomplete"))
    assert read_manifest(store / NAME).preset == NAME


def until(holds, seconds=60):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_ctrl_c_says_how_to_go_on(hub, store):
    hub.stall.set()
    heard = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # deaf where tests run in the background
    child = subprocess.Popen(
        command("pull", NAME, "--yes"), env=environment(store, hub.url), stdout=-3, stderr=subprocess.PIPE, text=True,
        preexec_fn=heard,  # noqa: PLW1509
    )  # fmt: skip
    assert hub.stalled.wait(60)
    child.send_signal(signal.SIGINT)
    time.sleep(2)  # on a busy machine the signal is heard late
    hub.stall.clear()
    _, said = child.communicate(timeout=60)
    assert child.returncode == 130, said
    assert f"go on with: kinora models pull {NAME}" in said
    assert not (store / NAME / "manifest.json").exists()


def test_a_file_that_is_not_the_one_promised_is_removed(hub, store):
    hub.spoil = True
    done = models("pull", NAME, "--yes", env=environment(store, hub.url))
    assert done.returncode == 2
    assert re.search(r"diffusion_pytorch_model.* came damaged .* Fetch it again", done.stderr), done.stderr
    assert not (store / NAME / "manifest.json").exists()
    assert not (store / NAME / hub.largest()).exists()


def test_no_network_is_said_with_what_to_check_and_nothing_is_begun(store):
    done = models("pull", NAME, "--yes", env=environment(store, "http://127.0.0.1:9"))
    assert done.returncode == 2
    assert "http://127.0.0.1:9" in done.stderr
    assert "cannot be reached" in done.stderr
    assert "Check the network" in done.stderr
    assert "Traceback" not in done.stderr
    assert not store.exists()


@pytest.fixture
def here(hub, store, monkeypatch):
    """The hub asked from this process: its library reads the environment once, when it is imported."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.url)
    monkeypatch.setenv("KINORA_MODELS", str(store))
    monkeypatch.setenv("NO_PROXY", "*")
    return hub


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([NAME, "--yes", "--revision", "none"], "has no revision 'none'"),
        (["wan2.1-t2v-14b", "--yes"], "is not there, or not for you"),
        (["wan9"], "nothing to fetch called 'wan9'"),
        (["tiny"], "nothing to fetch called 'tiny'"),
        ([NAME], "Nobody is there to say so; add --yes"),
    ],
)
def test_what_cannot_be_fetched_is_named_and_nothing_is_begun(here, store, capsys, arguments, words):
    assert main(["models", "pull", *arguments]) == 2
    assert words in capsys.readouterr().err
    assert not store.exists()


def test_a_gated_repository_asks_for_consent(here, capsys):
    here.gated = True
    assert main(["models", "pull", NAME, "--yes"]) == 2
    assert f"asks for your consent first: sign in and agree at {here.url}/{REPOSITORY}" in capsys.readouterr().err


def test_a_disk_without_room_is_told_before_anything_is_fetched(here, store, capsys, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9 - 10**7, 10**7))
    assert main(["models", "pull", NAME, "--yes"]) == 2
    assert "needs 0.0 GiB more on the disk of" in capsys.readouterr().err
    assert not list(store.rglob("*.safetensors"))


def test_a_disk_that_fills_up_is_told(here, store, capsys, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("huggingface_hub.snapshot_download", full)
    assert main(["models", "pull", NAME, "--yes"]) == 2
    said = capsys.readouterr().err
    assert "The disk is full" in said
    assert f"kinora models pull {NAME}" in said
    assert not list(store.rglob("manifest.json"))


def test_a_place_that_cannot_be_made_is_told(here, store, capsys):
    store.write_text("a file where the folder should be")
    assert main(["models", "pull", NAME, "--yes"]) == 2
    assert "cannot be made" in capsys.readouterr().err


def test_the_makers_layout_is_converted_on_request(store, write_wan, monkeypatch):
    """What comes after the download: pickles are named, or converted (by the function, its child left out) and gone."""
    monkeypatch.setenv("KINORA_MODELS", str(store))
    folder = write_wan(store / NAME, NAME, "wan")
    files = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    placed = [
        PlacedFile(part=part_of(name), name=name, sha256="", bytes=(folder / name).stat().st_size)
        for name in files
        if is_wanted(name, "wan")
    ]
    chosen = Offer(
        model=OPEN_MODELS[NAME],
        layout="wan",
        repository="x/y",
        commit=COMMIT,
        files=tuple(placed),
        licence="apache-2.0",
    )
    assert chosen.missing_bytes == 0
    with pytest.raises(WeightsError, match=r"kinora models convert .*Wan2\.1_VAE\.pth"):
        install(chosen)
    assert not (folder / "manifest.json").exists()
    monkeypatch.setattr(
        "kinora.presets.fetch.convert",
        lambda path: save_file(torch.load(path, weights_only=True), path.with_suffix(".safetensors")),
    )
    assert install(chosen, convert_pickles=True) == folder
    check_sizes(folder, read_manifest(folder))
    assert not list(folder.glob("*.pth"))


def test_offline_by_choice_is_said(store):
    done = models("pull", NAME, "--yes", env=environment(store, "http://127.0.0.1:9", HF_HUB_OFFLINE="1"))
    assert done.returncode == 2
    assert "HF_HUB_OFFLINE forbids the network" in done.stderr


def test_without_the_library_the_remedy_is_named(store):
    code = "import sys; sys.modules['huggingface_hub'] = None\n"
    code += "from kinora.cli.main import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, "models", "pull", NAME], capture_output=True, text=True, env=environment(store, "")
    )
    assert done.returncode == 2
    assert "pip install 'kinora[wan]'" in done.stderr
    assert "kinora models add PATH" in done.stderr


def test_only_the_parts_of_a_model_are_wanted():
    assert is_wanted("transformer/diffusion_pytorch_model-00001-of-00002.safetensors", "diffusers")
    assert is_wanted("tokenizer/spiece.model", "diffusers")
    assert is_wanted("google/umt5-xxl/tokenizer.json", "wan")
    assert is_wanted("Wan2.2_VAE.pth", "wan")
    for name in ("README.md", "assets/film.mp4", "xlm-roberta-large/tokenizer.json", "nested/config.json"):
        assert not is_wanted(name, "wan"), name
    for name in ("scheduler/scheduler_config.json", "../transformer/x.json", "transformer/../../x.safetensors"):
        assert not is_wanted(name, "diffusers"), name


def test_files_are_counted_to_their_part():
    names = {
        "transformer": [
            "transformer/config.json",
            "high_noise_model/a.safetensors",
            "diffusion_pytorch_model.safetensors",
        ],
        "transformer_low": ["transformer_2/a.safetensors", "low_noise_model/a.safetensors"],
        "codec": ["vae/a.safetensors", "Wan2.1_VAE.pth"],
        "text": ["text_encoder/model.safetensors", "models_t5_umt5-xxl-enc-bf16.pth"],
        "image": ["image_encoder/model.safetensors", "models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth"],
        "tokenizer": ["tokenizer/spiece.model", "google/umt5-xxl/tokenizer.json"],
    }
    for part, files in names.items():
        assert {part_of(name) for name in files} == {part}
