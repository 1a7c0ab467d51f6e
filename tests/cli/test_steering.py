"""`kinora generate` with pictures, camera, brush, references, speech and a script."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kinora.cli.main import main
from kinora.core.conditions import Brush, Keyframe, Moves, Reference
from kinora.media.film import read_film, read_film_recipe

Bring = Callable[..., Path]
PROMPT = "a red ball rolls to the left"
STROKE = {"points": [[0.3, 0.4], [0.6, 0.4]]}


def test_a_film_keeps_every_condition_in_its_recipe(
    picture: Bring, painted: Bring, written: Callable[[str, Any], Path], quick: list[str], capsys: Any
) -> None:
    picture("in/ball.png", 160, 90)
    painted("ball-mask.png", 160, 90, (40, 20, 80, 45))
    static = {"polygon": [[0.0, 0.8], [1.0, 0.8], [1.0, 1.0], [0.0, 1.0]]}
    written("brush.json", {"strokes": [{"mask": "ball-mask.png", **STROKE}], "static": static})
    steering = ["--image", "in/ball.png", "--camera", "pan=2", "--brush", "brush.json", "--fit", "pad"]
    assert main(["generate", PROMPT, "--seconds", "0.5", *steering, *quick]) == 0
    assert "aspect 16:9, the nearest to in/ball.png (160 x 90)" in capsys.readouterr().err
    assert read_film(Path("film.mp4")).shape.width == 96
    recipe = read_film_recipe(Path("film.mp4"))
    assert recipe.request.aspect == "16:9"
    keyframe, moves, brush = recipe.request.conditions
    assert isinstance(keyframe, Keyframe)
    assert isinstance(moves, Moves)
    assert isinstance(brush, Brush)
    assert (keyframe.still.name, keyframe.fit, moves.move.pan) == ("in/ball.png", "pad", 2.0)
    assert [mask.name.split(":")[0] for mask in brush.masks] == ["ball-mask.png", "polygon in 160x90"]
    assert not keyframe.still.seen, "a recipe holds no pixels"


def test_a_plan_says_what_each_condition_will_do(here: Path, picture: Bring, quick: list[str], capsys: Any) -> None:
    for name in ("a.png", "b.png", "c.png"):
        picture(name)
    pictures = ["--image", "a.png", "--keyframe", "1s=b.png", "--end-image", "c.png"]
    script = ["--then", "1.5s=a blue cube falls", "--seconds", "2"]
    assert main(["generate", PROMPT, *pictures, *script, "--aspect", "9:16", "--plan", *quick]) == 0
    said = capsys.readouterr()
    for part in ("a.png, the first frame", "b.png, at 1 s", "c.png, the last frame", "from 1.5 s: a blue cube falls"):
        assert part in said.out
    assert "64 x 96" in said.out, "an aspect that is told is taken"
    assert "nearest" not in said.err
    assert sorted(path.name for path in here.iterdir()) == ["a.png", "b.png", "c.png"]


def test_a_replay_finds_its_files_and_gives_the_same_bytes(
    here: Path, picture: Bring, written: Callable[[str, Any], Path], model_folder: Path, quick: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    picture("ball.png")
    box = {"polygon": [[32, 64], [64, 64], [64, 96], [32, 96]]}  # from below: the red square
    stroke = {"mask": box, "points": [[40, 80], [90, 80]]}
    written("brush.json", {"units": "pixels", "origin": "bottom-left", "strokes": [stroke]})
    steering = ["--image", str(here / "ball.png"), "--brush", "brush.json"]
    assert main(["generate", PROMPT, "--seconds", "0.5", *steering, *quick]) == 0
    elsewhere = here / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert main(["recipe", "../film.mp4", "--replay", "-o", "again.mp4", "--model", str(model_folder)]) == 0
    assert Path("again.mp4").read_bytes() == (here / "film.mp4").read_bytes()


def test_a_replay_says_which_file_is_missing_or_changed(
    here: Path, picture: Bring, quick: list[str], capsys: Any, model_folder: Path
) -> None:
    path = picture("ball.png")
    assert main(["generate", PROMPT, "--seconds", "0.5", "--image", "ball.png", *quick]) == 0
    again = ["recipe", "film.mp4", "--replay", "-o", "again.mp4", "--model", str(model_folder)]
    picture("ball.png", red=30)
    assert main(again) == 2
    assert "ball.png is not the still the recipe was made with: its content has changed" in capsys.readouterr().err
    path.unlink()
    assert main(again) == 2
    assert f"needs the still ball.png, and it is missing: bring it to {here}" in capsys.readouterr().err
    assert main(["recipe", "film.mp4"]) == 0, "to read a recipe no file is needed"
    assert "ball.png" in capsys.readouterr().out
    assert not Path("again.mp4").exists()


def test_a_reference_needs_consent_unless_kinora_made_it(
    here: Path, picture: Bring, quick: list[str], capsys: Any
) -> None:
    picture("me.png")
    asked = ["generate", "@bob walks", "--reference", "me.png@bob", "--plan"]
    assert main(asked) == 2
    said = capsys.readouterr().err
    assert "me.png was not made by Kinora" in said
    assert "--consent" in said
    assert main([*asked, "--consent", *quick]) == 0
    assert "me.png as @bob" in capsys.readouterr().out
    assert main(["image", "a red ball", "-o", "made.png", *quick]) == 0
    assert main(["generate", "@bob walks", "--reference", "made.png@bob", "--plan", *quick]) == 0


def test_consent_is_kept_in_the_recipe(here: Path, picture: Bring) -> None:
    from kinora.cli.main import build_parser

    picture("me.png")
    words = ["generate", "@bob walks", "--reference", "me.png@bob", "--consent"]
    from kinora.cli.generate import asked

    (reference,) = asked(build_parser().parse_args(words)).conditions
    assert isinstance(reference, Reference)
    assert (reference.name, reference.consent) == ("bob", True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--image", "none.png"], "no file none.png"),
        (["--image", "."], "is a folder"),
        (["--image", "notes.json"], "notes.json is no picture"),
        (["--keyframe", "ball.png"], "TIME="),
        (["--keyframe", "9s=ball.png"], "beyond the film's 5 s"),
        (["--keyframe", "1s=ball.png", "--keyframe", "1.1s=ball.png"], "too near"),
        (["--camera", "fly=3"], "no camera move 'fly=3'"),
        (["--camera", "pan=30"], "-10 to 10"),
        (["--camera", "pan=3", "--camera-path", "notes.json"], "either --camera or --camera-path"),
        (["--camera-path", "notes.json"], "A camera path has no note"),
        (["--camera-path", "broken.json"], "broken.json is not JSON: expecting value at line 2"),
        (["--camera-path", "ball.png"], "not text in UTF-8"),
        (["--brush", "brush.json"], "give it with --image"),
        (["--image", "ball.png", "--brush", "brush.json", "--seconds", "8"], "then extend"),
        (["--image", "ball.png", "--brush", "brush.json", "--end-image", "ball.png"], "both say where things end"),
        (["--image", "small.png", "--brush", "brush.json"], "mask.png is 128 x 128 pixels"),
        (["--image", "ball.png", "--brush", "outside.json"], "lies outside the picture"),
        (["--image", "ball.png", "--brush", "overlap.json"], "overlap in 4096 pixels"),
        (["--reference", "ball.png@two words"], "FILE@NAME"),
        (["--reference", "ball.png@bob", "--consent"], "never mentioned"),
        (["--speech", "notes.json"], "give both --speech and --face"),
        (["--speech", "notes.json", "--face", "0.5,0.5,0.1"], "A speech track has no note"),
        (["--speech", "speech.json", "--face", "0.5,0.5"], "X,Y,RADIUS"),
        (["--then", "a cube"], "TIME="),
        (["--then", "9s=a cube"], "after the film's 5 s"),
    ],
)
def test_mistakes_are_sentences(
    arguments: list[str], says: str, picture: Bring, painted: Bring, written: Callable[[str, Any], Path],
    quick: list[str], capsys: Any, here: Path,
) -> None:  # fmt: skip
    picture("ball.png")
    picture("small.png", 64, 64)
    painted("mask.png", 128, 128, (0, 0, 64, 64))
    written("notes.json", {"note": "no"})
    written("speech.json", [[0, 0, 0, 0]])
    (here / "broken.json").write_text('{"keys":\n}')
    stroke = {"mask": "mask.png", **STROKE}
    written("brush.json", {"strokes": [stroke]})
    written("outside.json", {"strokes": [{"mask": "mask.png", "points": [[0.5, 0.5], [1.5, 0.5]]}]})
    written("overlap.json", {"strokes": [stroke], "static": "mask.png"})
    assert main(["generate", PROMPT, *arguments, *quick]) == 2
    said = capsys.readouterr().err
    assert said.startswith(("kinora: ", "aspect "))
    assert says in said
    assert "Traceback" not in said
    assert not list(here.glob("*.mp4"))


def test_a_mention_without_a_reference_is_told_at_once(here: Path, capsys: Any) -> None:
    assert main(["generate", "@bob walks"]) == 2
    assert "mentions @bob" in capsys.readouterr().err


def test_speech_beyond_the_film_is_told(
    here: Path, written: Callable[[str, Any], Path], quick: list[str], capsys: Any
) -> None:
    written("long.json", [[0.5, 0.5, 0, 0]] * 48)
    words = ["generate", PROMPT, "--speech", "long.json", "--face", "0.5,0.3,0.2", "--seconds", "1", "--plan", *quick]
    assert main(words) == 0
    assert "the speech lasts 3.0 s and the film 1.0 s" in capsys.readouterr().err
