"""A model's manifest: readable without torch, exact about what it names."""

import json
import subprocess
import sys

import pytest

from kinora.core.errors import WeightsError
from kinora.weights.manifest import MANIFEST_NAME, Manifest, read_checked, read_manifest, stored

MANIFEST = Manifest(
    name="tiny",
    world="1.0",
    frame_rate=16.0,
    sizes={"1:1": (256, 256), "16:9": (192, 320)},
    parts={"transformer": {"width": 256, "heads": 4}},
    latent={"mean": [0.0, 0.5]},
    training={"recipe": "tiny_cpu", "steps": 1200, "作者": "Kinora"},
    shards=(stored("shard-000.safetensors", b"abc"),),
)


def test_json_carries_it_whole():
    assert Manifest.from_json(MANIFEST.to_json()) == MANIFEST


def test_hash_is_sha256():
    assert MANIFEST.shards[0].sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert MANIFEST.shards[0].bytes == 3


def test_it_is_read_without_torch(tmp_path):
    (tmp_path / MANIFEST_NAME).write_text(MANIFEST.to_json(), encoding="utf-8")
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from kinora.weights.manifest import read_manifest\n"
        "print(read_manifest(sys.argv[1]).sizes['16:9'])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "(192, 320)", done.stderr


def test_a_folder_without_one_is_no_model(tmp_path):
    with pytest.raises(WeightsError, match="No model in"):
        read_manifest(tmp_path)


def test_another_format_is_refused(tmp_path):
    later = json.loads(MANIFEST.to_json()) | {"format": 2}
    with pytest.raises(WeightsError, match="another format"):
        Manifest.from_json(json.dumps(later))


@pytest.mark.parametrize("change", [{"surprise": 1}, {"sizes": {"1:1": 256}}, {"shards": [{"name": "x"}]}])
def test_what_kinora_did_not_write_is_refused(change):
    with pytest.raises(WeightsError, match="not one that Kinora wrote"):
        Manifest.from_json(json.dumps(json.loads(MANIFEST.to_json()) | change))


@pytest.mark.parametrize("text", ["", "[]", "{}", "null"])
def test_what_is_no_manifest_at_all_is_refused(text):
    with pytest.raises(WeightsError):
        Manifest.from_json(text)


def test_a_file_is_checked_when_read(tmp_path):
    entry = stored("a.bin", b"whole")
    with pytest.raises(WeightsError, match=r"a\.bin is missing"):
        read_checked(tmp_path, entry)
    (tmp_path / "a.bin").write_bytes(b"whole")
    assert read_checked(tmp_path, entry) == b"whole"
    (tmp_path / "a.bin").write_bytes(b"whol")
    with pytest.raises(WeightsError, match=r"a\.bin .* damaged"):
        read_checked(tmp_path, entry)
