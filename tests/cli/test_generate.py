"""`kinora generate`, `image` and `recipe` as a person meets them."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kinora.cli.main import main
from kinora.media.film import read_film, read_film_recipe
from kinora.media.picture import read_picture, read_picture_recipe

PROMPT = "a red ball rolls to the left"
# Programs started in the background are born deaf to Ctrl-C; the one under test must not be.
LISTENING = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
KINORA = [sys.executable, "-c", LISTENING + "from kinora.cli.main import main; sys.exit(main())"]


def kinora(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A real process in a folder of its own."""
    return subprocess.run([*KINORA, *arguments], cwd=folder, capture_output=True, text=True)


def test_a_film_lies_where_it_says(tmp_path: Path, quick: list[str]) -> None:
    done = kinora("generate", PROMPT, "--seconds", "1", "--aspect", "16:9", "--seed", "4", *quick, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "film.mp4\n"
    assert "seed 4" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]
    clip = read_film(tmp_path / "film.mp4")
    assert (clip.shape.frames, clip.shape.height, clip.shape.width) == (17, 64, 96)
    recipe = read_film_recipe(tmp_path / "film.mp4")
    assert (recipe.request.prompt, recipe.request.seed, recipe.request.aspect) == (PROMPT, 4, "16:9")


def test_ctrl_c_leaves_nothing(tmp_path: Path, model_folder: Path) -> None:
    arguments = ["generate", PROMPT, "--seconds", "30", "--quality", "pro", "--model", str(model_folder)]
    process = subprocess.Popen([*KINORA, *arguments], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("imagining"):
            process.send_signal(signal.SIGINT)
            break
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped" in said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("verb", "name"), [("generate", "film.mp4"), ("image", "image.png")])
def test_a_disk_that_fills_up_is_a_sentence_and_leaves_nothing(
    verb: str, name: str, tmp_path: Path, quick: list[str]
) -> None:
    """A real process that may write no file beyond a hundred bytes."""
    limited = "import resource as r; r.setrlimit(r.RLIMIT_FSIZE, (100, 100)); " + KINORA[2]
    done = subprocess.run([*KINORA[:2], limited, verb, PROMPT, *quick], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert f"kinora: {name} could not be written (the disk is full)" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_pictures_count_on_from_the_last_seed(tmp_path: Path, quick: list[str]) -> None:
    last = 2**31 - 1
    assert main(["image", PROMPT, "-o", str(tmp_path / "a.png"), "--n", "2", "--seed", str(last), *quick]) == 0
    seeds = [read_picture_recipe(tmp_path / f"a-{index}.png").request.seed for index in (1, 2)]
    assert seeds == [last, 0]


def test_words_the_model_lacks_are_told_first(
    tmp_path: Path, quick: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    output = str(tmp_path / "a.mp4")
    assert main(["generate", "a red 大象 rolls", "--seconds", "0.5", "-o", output, *quick]) == 0
    said = capsys.readouterr()
    assert "has not learnt 大象" in said.err
    assert said.err.index("大象") < said.err.index("imagining")
    assert said.out.strip() == output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([""], "empty"),
        (["red " * 200], "characters"),
        (["red " * 60], "tokens"),
        ([PROMPT, "--aspect", "4:3"], "4:3"),
        ([PROMPT, "--seconds", "0"], "0 s"),
        ([PROMPT, "--seconds", "1e9"], "seconds"),
        ([PROMPT, "--seconds", "nan"], "nan"),
        ([PROMPT, "--seed", "-1"], "-1"),
        ([PROMPT, "--quality", "best"], "best"),
        ([PROMPT, "-o", "film.avi"], "film.avi"),
        ([PROMPT, "-o", "nowhere/film.mp4"], "nowhere"),
        ([PROMPT, "-o", "/proc/self/film.mp4"], "/proc/self"),
        ([PROMPT, "-o", "f" * 300 + ".mp4"], "name too long"),
        ([PROMPT, "--model", "huge"], "huge"),
        ([PROMPT, "--model", "./" + "m" * 300], "name too long"),
    ],
)
def test_mistakes_are_a_sentence_and_exit_code_two(
    arguments: list[str],
    says: str,
    tmp_path: Path,
    model_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    model = [] if "--model" in arguments else ["--model", str(model_folder)]
    assert main(["generate", *arguments, *model]) == 2
    said = capsys.readouterr().err
    assert said.startswith("kinora: ")
    assert says in said
    assert list(tmp_path.iterdir()) == []


def test_an_existing_film_is_kept_unless_forced(
    tmp_path: Path, quick: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.mp4"
    path.write_text("precious")
    arguments = ["generate", PROMPT, "--seconds", "0.5", "-o", str(path), *quick]
    assert main(arguments) == 2
    assert "--force" in capsys.readouterr().err
    assert path.read_text() == "precious"
    assert main([*arguments, "--force"]) == 0
    assert read_film(path).shape.frames == 9


def test_a_damaged_model_names_the_shard(
    tmp_path: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(model_folder, tmp_path / "model")
    shard = next((tmp_path / "model").glob("*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:-1])
    assert main(["generate", PROMPT, "--model", "./model"]) == 2
    assert shard.name in capsys.readouterr().err
    assert not (tmp_path / "film.mp4").exists()


def test_a_plan_is_printed_and_nothing_made(
    tmp_path: Path, quick: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["generate", PROMPT, "--seconds", "10", "--plan", *quick]) == 0
    assert "161 frames of 64 x 64" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_a_recipe_is_printed_and_followed_to_the_byte(
    tmp_path: Path, model_folder: Path, quick: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    film, again = tmp_path / "a.mp4", tmp_path / "b.mp4"
    assert main(["generate", PROMPT, "--seconds", "0.5", "--seed", "9", "-o", str(film), *quick]) == 0
    capsys.readouterr()
    assert main(["recipe", str(film)]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["request"]["prompt"], record["request"]["seed"], record["model"]) == (PROMPT, 9, "small")
    assert main(["recipe", str(film), "--replay", "-o", str(again), "--model", str(model_folder)]) == 0
    assert film.read_bytes() == again.read_bytes()


def test_a_replay_finds_its_model_by_name(
    tmp_path: Path, model_folder: Path, quick: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    picture, again = tmp_path / "a.png", tmp_path / "b.png"
    assert main(["image", PROMPT, "-o", str(picture), *quick]) == 0
    monkeypatch.setenv("KINORA_MODELS", str(model_folder.parent))
    assert main(["recipe", str(picture), "--replay", "-o", str(again)]) == 0
    assert picture.read_bytes() == again.read_bytes()


def test_a_replay_with_other_weights_says_so(
    tmp_path: Path, model_folder: Path, quick: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    film = tmp_path / "a.mp4"
    assert main(["generate", PROMPT, "--seconds", "0.5", "-o", str(film), *quick]) == 0
    other = tmp_path / "other"
    shutil.copytree(model_folder, other)
    vocabulary = (other / "vocabulary.json").read_text().replace("cube", "cone")
    (other / "vocabulary.json").write_text(vocabulary)
    manifest = json.loads((other / "manifest.json").read_text())
    import hashlib

    manifest["texts"][0].update(sha256=hashlib.sha256(vocabulary.encode()).hexdigest(), bytes=len(vocabulary))
    (other / "manifest.json").write_text(json.dumps(manifest))
    assert main(["recipe", str(film), "--replay", "-o", str(tmp_path / "b.mp4"), "--model", str(other)]) == 0
    assert "it will look different" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [("a.mp4", b"no film", "a.mp4"), ("a.png", b"no picture", "a.png"), ("a.txt", b"", ".mp4"), (None, b"", "no file")],
)
def test_files_without_recipe_are_named(
    name: str | None, content: bytes, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if name is not None:
        (tmp_path / name).write_bytes(content)
    assert main(["recipe", str(tmp_path / (name or "missing.mp4"))]) == 2
    assert says in capsys.readouterr().err


def test_a_replay_needs_a_place(tmp_path: Path, quick: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["image", PROMPT, "-o", str(tmp_path / "a.png"), *quick]) == 0
    assert main(["recipe", str(tmp_path / "a.png"), "--replay"]) == 2
    assert "-o FILE" in capsys.readouterr().err


def test_several_pictures_are_numbered_and_carry_their_seeds(
    tmp_path: Path, quick: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["image", PROMPT, "--n", "3", "--seed", "20", "-o", str(tmp_path / "ball.png"), *quick]) == 0
    paths = [tmp_path / f"ball-{index}.png" for index in (1, 2, 3)]
    assert capsys.readouterr().out.split() == [str(path) for path in paths]
    assert [read_picture_recipe(path).request.seed for path in paths] == [20, 21, 22]
    assert read_picture(paths[0]).shape == (64, 64, 3)
    assert main(["image", PROMPT, "--n", "2", "-o", str(tmp_path / "ball.png"), *quick]) == 2, "ball-1.png is there"


@pytest.mark.parametrize("count", ["0", "-2", "65"])
def test_a_strange_number_of_pictures_is_refused(count: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["image", PROMPT, "--n", count]) == 2
    assert "choose 1 to 64" in capsys.readouterr().err
