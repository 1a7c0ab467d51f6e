"""`kinora measure` as a person types it."""

import dataclasses
import json

import pytest
import torch

from kinora.cli.main import main
from kinora.training.parts import Part, save_part
from kinora.understanding.config import ReaderConfig
from kinora.understanding.model import Reader


@pytest.fixture
def reader_file(tmp_path):
    torch.manual_seed(0)
    config = ReaderConfig(eye_widths=(16, 32), width=48, layers=1, decoder_layers=1, heads=4)
    path = tmp_path / "reader.safetensors"
    part = Part(kind="reader", config=dataclasses.asdict(config), tensors=Reader(config).state_dict(), record={})
    save_part(path, part)
    return path


def test_a_reader_of_one_s_own_on_true_renders(reader_file, tmp_path, capsys):
    out = tmp_path / "out"
    asked = ["measure", "tiny", "--only", "reader", "--reader", str(reader_file), "--count", "1", "--world", "1.0"]
    assert main([*asked, "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert "body.colour" in printed.out
    assert "macro" in printed.out
    assert "clip 0 of 1" in printed.err
    assert len(list((out / "clips").glob("*.npz"))) == 1


def test_mistakes_are_told_in_a_sentence(reader_file, tmp_path, capsys):
    assert main(["measure", str(tmp_path / "nowhere"), "--out", str(tmp_path)]) == 2
    assert "nowhere" in capsys.readouterr().err
    asks = ["measure", "tiny", "--only", "reader", "--reader", str(reader_file), "--out", str(tmp_path)]
    assert main([*asks, "--count", "0"]) == 2
    assert "At least one prompt" in capsys.readouterr().err
    in_the_way = tmp_path / "file"
    in_the_way.write_text("x")
    assert main([*asks[:-1], str(in_the_way), "--count", "1"]) == 2
    assert "--out" in capsys.readouterr().err
    assert main(["measure", "tiny", "--only", "reader", "--reader", str(tmp_path / "none"), "--count", "1"]) == 2
    assert "none does not exist" in capsys.readouterr().err


def test_unknown_parts_are_refused_by_the_parser(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["measure", "tiny", "--only", "everything"])
    assert stopped.value.code == 2
    assert "gallery" in capsys.readouterr().err


def test_a_whole_model_from_prompt_to_report(model_folder, reader_file, tmp_path, capsys, monkeypatch):
    """A model of noise: the report is written, every slot that was stated is asked, and the codec is measured."""
    import kinora.cli.measure

    monkeypatch.setattr(kinora.cli.measure, "QUICK_CODEC_COUNT", 1)
    out = tmp_path / "out"
    asks = ["measure", str(model_folder), "--reader", str(reader_file), "--quick", "--count", "1", "--seconds", "0.5"]
    assert main([*asks, "--out", str(out)]) == 0
    record = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert (record["model"], record["quality"], record["clips"]) == ("small", "draft", 1)
    assert sum(figures["asked"] for figures in record["slots"].values()) == record["cases"][0]["asked"]
    assert [figure["clips"] for figure in record["codec"][:2]] == [1, 1]
    assert all(figure["psnr"] > 3 for figure in record["codec"][:2])
    assert (out / "sheet-1.png").exists()
    assert str(out / "report.md") in capsys.readouterr().out
    assert main([*asks, "--out", str(out), "--only", "clips"]) == 0  # a second time everything comes from the folder


def test_a_model_without_a_reader_says_so(model_folder, tmp_path, capsys):
    assert main(["measure", str(model_folder), "--count", "1", "--out", str(tmp_path)]) == 2
    assert "has no reader" in capsys.readouterr().err
