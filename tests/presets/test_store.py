"""The store: what goes in, what is kept of it, what is found wrong, what goes out and what stays."""

import dataclasses
import shutil

import pytest
import torch
from safetensors.torch import save_file

from kinora.core.errors import Cancelled, InputError, OutputError, WeightsError
from kinora.presets.lora import add_lora, few_steps
from kinora.presets.places import bundled_models, find_model, store_root
from kinora.presets.preset import Sampling
from kinora.presets.recognise import recognise
from kinora.presets.sizes import memory_need
from kinora.presets.store import add_found, entries, entry_in, remove_model, standing_on, verify_model
from kinora.weights.manifest import PlacedFile, read_manifest, weights_hash
from kinora.weights.placed import check_sizes, hash_file, placed_paths

NAME = "wan2.2-t2v-a14b"


@pytest.fixture(scope="session")
def download(write_wan, tmp_path_factory):
    return write_wan(tmp_path_factory.mktemp("store") / "Wan2.2-T2V-A14B", NAME, "comfy")


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("KINORA_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def weights(download, tmp_path):
    """A download of one's own, to be damaged."""
    return shutil.copytree(download, tmp_path / "Wan2.2-T2V-A14B")


def test_the_store_is_where_the_variable_says_else_among_the_user_s_data(monkeypatch, tmp_path):
    monkeypatch.setenv("KINORA_MODELS", str(tmp_path))
    assert store_root() == tmp_path
    monkeypatch.delenv("KINORA_MODELS")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert store_root() == tmp_path / "data" / "kinora" / "models"
    monkeypatch.setenv("XDG_DATA_HOME", "not/absolute")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert store_root() == tmp_path / ".local" / "share" / "kinora" / "models"


def test_the_bundled_model_is_found_whatever_is_in_the_store(store):
    assert [folder.name for folder in bundled_models()] == ["tiny"]
    assert find_model("tiny") == bundled_models()[0]
    with pytest.raises(WeightsError, match=r"no model 'wan2.1-t2v-14b'.*kinora models pull wan2.1-t2v-14b"):
        find_model("wan2.1-t2v-14b")


def test_adding_copies_nothing_and_hashes_everything(store, download):
    told = []
    folder = add_found(
        recognise(download), name="mine", on_hash=lambda path, done, total: told.append((path.name, done, total))
    )
    assert folder == store / "mine" == find_model("mine")
    assert [path.name for path in folder.iterdir()] == ["manifest.json"]
    manifest = read_manifest(folder)
    assert (manifest.name, manifest.family, manifest.preset, manifest.licence) == ("mine", "wan", NAME, "Apache-2.0")
    assert manifest.home == manifest.source == str(download)
    assert manifest.frame_rate == 16.0
    assert manifest.sizes["16:9"] == (720, 1280)
    for file in manifest.files:
        assert file.sha256 == hash_file(download / file.name)
    total = sum(file.bytes for file in manifest.files)
    assert told[-1][1:] == (total, total)
    assert {name for name, _, _ in told} == {file.name.rpartition("/")[2] for file in manifest.files}
    assert placed_paths(folder, manifest, "codec") == (download / "vae" / "wan_2.1_vae.safetensors",)
    assert len(weights_hash(manifest)) == 64
    assert verify_model(folder) == []


def test_adding_can_be_cancelled_and_leaves_nothing(store, download):
    def stop(*_):
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        add_found(recognise(download), name="mine", on_hash=stop)
    assert not store.exists()


def test_names_are_free_and_names_of_folders(store, download):
    found = recognise(download)
    add_found(found, name="mine")
    for name, words in (
        ("mine", "already"),
        ("tiny", "ships"),
        ("../x", "name of a folder"),
        ("", "folder"),
        (".x", "folder"),
    ):
        with pytest.raises(InputError, match=words):
            add_found(found, name=name)


def test_a_pickle_among_the_parts_is_not_added(store, write_wan, tmp_path):
    folder = write_wan(tmp_path / "Wan2.1-T2V-1.3B", "wan2.1-t2v-1.3b", "wan")
    with pytest.raises(WeightsError, match=r"kinora models convert .*Wan2\.1_VAE\.pth\n.*convert .*models_t5"):
        add_found(recognise(folder), name="mine")
    assert not store.exists()


def test_a_store_that_cannot_be_written_is_named(store, download):
    store.write_text("a file where the folder should be")
    with pytest.raises(OutputError, match=r"cannot be written into the store.*KINORA_MODELS"):
        add_found(recognise(download), name="mine")


def test_a_damaged_byte_is_found_by_verify_a_missing_one_by_every_load(store, weights):
    folder = add_found(recognise(weights), name="mine")
    manifest = read_manifest(folder)
    path = weights / manifest.files[0].name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    check_sizes(folder, manifest)
    assert [str(path) in trouble and "damaged" in trouble for trouble in verify_model(folder)] == [True]
    path.write_bytes(content[:-1])
    with pytest.raises(WeightsError, match=rf"'mine' is not as it was added: {path} has \d+ bytes instead of \d+"):
        check_sizes(folder, manifest)
    path.unlink()
    with pytest.raises(WeightsError, match="missing"):
        check_sizes(folder, manifest, ["transformer"])
    check_sizes(folder, manifest, ["codec", "text"])
    assert len(verify_model(folder)) == 1


def test_the_bundled_model_can_be_verified():
    assert verify_model(find_model("tiny")) == []


def test_entries_tell_what_is_unfinished_or_unreadable(store, download):
    assert entries() == []
    add_found(recognise(download), name="mine")
    (store / "half").mkdir()
    (store / "odd").mkdir()
    (store / "odd" / "manifest.json").write_text("{}")
    found = {entry.name: entry for entry in entries()}
    assert found["mine"].manifest is not None
    assert found["half"].trouble == "not finished"
    assert "not one that Kinora wrote" in found["odd"].trouble


def test_removing_an_entry_leaves_the_files_it_named(store, weights):
    before = sorted(weights.rglob("*"))
    folder = add_found(recognise(weights), name="mine")
    assert remove_model(entry_in(folder)) == []
    assert not folder.exists()
    assert sorted(weights.rglob("*")) == before


def test_what_was_put_there_by_hand_is_not_removed(store, download):
    shutil.copytree(find_model("tiny"), store / "own")
    with pytest.raises(InputError, match="Delete the folder yourself"):
        remove_model(entry_in(store / "own"))
    assert (store / "own" / "manifest.json").exists()


def test_memory_is_the_sum_of_parts_and_the_largest_of_them():
    files = [
        PlacedFile(part=part, name=f"{part}{n}", sha256="", bytes=count)
        for n, (part, count) in enumerate([("transformer", 5), ("transformer", 6), ("text", 10), ("tokenizer", 100)])
    ]
    assert memory_need(files) == (21, 11)


# ---- a LoRA beside a model ----


def lora_file(path, width=256):
    name = "diffusion_model.blocks.0.self_attn.q"
    save_file({f"{name}.lora_A.weight": torch.ones(4, width), f"{name}.lora_B.weight": torch.ones(width, 4)}, path)
    return path


def test_a_lora_makes_an_entry_of_its_own(store, download, tmp_path):
    add_found(recognise(download), name="base")
    lora = lora_file(tmp_path / "four steps.safetensors")
    table = few_steps(NAME, steps=4, shift=5.0)
    folder = add_lora(lora, "base", name="quick", sampling=table)
    manifest, base = read_manifest(folder), read_manifest(find_model("base"))
    assert manifest.files[:-1] == base.files
    assert placed_paths(folder, manifest, "lora") == (lora,)
    assert manifest.files[-1].sha256 == hash_file(lora)
    assert Sampling(**manifest.sampling["standard"]) == Sampling(
        steps=4, guidance=1.0, shift=5.0, image_shift=5.0, solver="euler"
    )
    assert manifest.preset == base.preset
    assert weights_hash(manifest) != weights_hash(base)
    check_sizes(folder, manifest)
    assert verify_model(folder) == []
    assert remove_model(entry_in(folder)) == []
    assert lora.exists()


def test_each_of_two_experts_may_have_its_own_lora(store, download, tmp_path):
    add_found(recognise(download), name="base")
    high, low = (lora_file(tmp_path / f"{half}.safetensors") for half in ("high", "low"))
    folder = add_lora(high, "base", name="quick", sampling={}, low=low)
    manifest = read_manifest(folder)
    assert placed_paths(folder, manifest, "lora") == (high,)
    assert placed_paths(folder, manifest, "lora_low") == (low,)
    assert manifest.sampling == {}


def test_a_lora_for_another_model_or_none_at_all_is_refused(store, download, tmp_path):
    add_found(recognise(download), name="base")
    with pytest.raises(WeightsError, match="for a transformer of width 512; that of base is 256 wide"):
        add_lora(lora_file(tmp_path / "wide.safetensors", 512), "base", name="quick", sampling={})
    with pytest.raises(WeightsError, match="is no LoRA"):
        add_lora(download / "vae" / "wan_2.1_vae.safetensors", "base", name="quick", sampling={})
    with pytest.raises(WeightsError, match="no model of open weights"):
        add_lora(lora_file(tmp_path / "own.safetensors"), "tiny", name="quick", sampling={})
    assert [entry.name for entry in entries()] == ["base"]


def test_a_table_of_steps_must_make_sense():
    assert dataclasses.asdict(Sampling(**few_steps(NAME, steps=8)["draft"]))["shift"] == 12.0, "the model's own"
    for settings in ({"steps": 0}, {"steps": 4, "guidance": -1.0}):
        with pytest.raises(InputError):
            few_steps(NAME, **settings)


def test_what_stands_on_a_fetched_model_is_known(store, download, tmp_path):
    """A fetched model has its files in its own folder; a LoRA's entry goes by them."""
    folder = add_found(recognise(download), name="base")
    manifest = dataclasses.replace(read_manifest(folder), home="")
    for file in manifest.files:
        (folder / file.name).parent.mkdir(exist_ok=True)
        shutil.copy(download / file.name, folder / file.name)
    (folder / "manifest.json").write_text(manifest.to_json())
    lora = add_lora(lora_file(tmp_path / "few.safetensors"), "base", name="quick", sampling={})
    check_sizes(lora, read_manifest(lora))
    assert standing_on(folder) == ["quick"]
    assert standing_on(lora) == []
