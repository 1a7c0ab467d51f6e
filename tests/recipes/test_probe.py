"""The probe: what it measures, how it chooses, and that recipes take its choice."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from kinora.cli.main import main
from kinora.codec import CodecConfig
from kinora.core.errors import InputError
from kinora.recipes.probe import VIEWS_A_MILLION, Candidate, Question, choose, chosen_size, probe_recipe
from kinora.recipes.sizes import neighbours, size_named

TINY = dataclasses.replace(
    size_named("smoke"), height=32, width=32, codec=CodecConfig(channels=8, trunk_blocks=0, picture_blocks=0),
    transformer_width=32, transformer_layers=2, transformer_heads=2, ffn_width=64, text_width=32, text_layers=1,
    image_batch=8, video_batch=4, latent_frames=3,
)  # fmt: skip
QUESTION = Question(size=TINY, minutes=1.0, render_minutes=1.0, limit=0.0)


def candidate(millions: float, pace: float, batch: int = 32) -> Candidate:
    return Candidate(
        width=int(100 * millions), layers=4, heads=4, ffn_width=64, parameters=int(1e6 * millions), batch=batch,
        seconds_a_step=batch / pace, clips_a_second=pace, gflops=1.0, share_of_limit=0.3,
    )  # fmt: skip


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("probe") / "probe.json"
    probe_recipe(out, QUESTION, say=lambda _: None)
    return out


def test_a_probe_measures_everything_and_writes_it_down(probed: Path) -> None:
    record = json.loads(probed.read_text(encoding="utf-8"))
    assert record["peak_gflops"] > 0
    assert record["renderer"]["clips_a_second"] > 0
    assert record["renderer"]["mix"] == "wide"
    assert 0 < record["codec"]["share_of_limit"] < 2
    (only,) = record["candidates"]  # no time for others
    assert (only["width"], only["layers"], only["batch"]) == (32, 2, 2)
    assert only["clips_a_second"] == pytest.approx(2 / only["seconds_a_step"])
    assert 0 < only["share_of_limit"] < 2
    assert record["choice"]["width"] == 32
    assert "M parameters at batch 2" in record["choice"]["reason"]


def test_recipes_take_what_was_chosen(probed: Path, tmp_path: Path) -> None:
    chosen = chosen_size(probed, TINY)
    assert (chosen.transformer_width, chosen.video_batch, chosen.image_batch) == (32, 2, 4)
    assert chosen.height == TINY.height
    for text in ("{", "{}", '{"choice": {"batch": 3}}'):
        (tmp_path / "bad.json").write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match="holds no choice of a probe"):
            chosen_size(tmp_path / "bad.json", TINY)


def test_the_largest_model_that_sees_enough_is_chosen() -> None:
    question = dataclasses.replace(QUESTION, minutes=10.0)
    wanted = VIEWS_A_MILLION / 600.0  # clips a second for each million
    small, middle, large = candidate(10, 20 * wanted), candidate(20, 20 * wanted), candidate(30, 20 * wanted)
    choice = choose([middle, small, large], question, rendered=50.0)
    assert choice["width"] == middle.width
    assert choice["steps"] == int(600 * middle.clips_a_second / middle.batch)
    starved = choose([middle, large], dataclasses.replace(question, minutes=0.1), rendered=50.0)
    assert starved["width"] == middle.width
    assert "reached by no candidate" in starved["reason"]


def test_of_batches_about_as_fast_the_smallest_is_taken() -> None:
    fast = [candidate(1, 100.0, batch=32), candidate(1, 103.0, batch=64), candidate(1, 60.0, batch=16)]
    assert choose(fast, QUESTION, rendered=1.0)["batch"] == 32


def test_a_renderer_that_binds_is_told() -> None:
    choice = choose([candidate(1, 1000.0)], QUESTION, rendered=0.5)
    assert choice["clips"] == 30
    assert choice["rendering_binds"]
    assert "rendering binds" in choice["reason"]
    assert not choose([candidate(1, 1000.0)], QUESTION, rendered=50.0)["rendering_binds"]


def test_what_would_not_fit_the_package_is_kept_in_int8() -> None:
    assert choose([candidate(15, 1.0)], QUESTION, rendered=1.0)["storage"] == "bfloat16"
    assert choose([candidate(30, 1.0)], QUESTION, rendered=1.0)["storage"] == "int8"


def test_nothing_that_fits_is_an_error() -> None:
    with pytest.raises(InputError, match="take a smaller --size"):
        choose([], QUESTION, rendered=1.0)


@pytest.mark.parametrize("name", ["smoke", "small", "gpu"])
def test_neighbours_are_whole_models(name: str) -> None:
    middle, smaller, larger = neighbours(size_named(name))
    assert middle == size_named(name)
    assert smaller.transformer_width < middle.transformer_width < larger.transformer_width
    for size in (smaller, larger):
        config = size.transformer()
        assert config.width // config.heads == middle.transformer().width // middle.transformer().heads
        assert config.ffn_width / config.width == middle.ffn_width / middle.transformer_width


def test_the_command_asks_the_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Question] = []
    monkeypatch.setattr("kinora.recipes.probe.probe_recipe", lambda out, question, say: asked.append(question))
    out = str(tmp_path / "probe.json")
    assert main(["train", "probe", "--size", "smoke", "--minutes", "3", "--processes", "2", "--out", out]) == 0
    (question,) = asked
    assert (question.size.name, question.minutes, question.processes, question.mix) == ("smoke", 3.0, 2, "wide")
