"""`kinora extend`, `edit` and `speak`, and films that survive being stopped."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kinora.cli.main import main
from kinora.core.conditions import Continue, Region
from kinora.media.film import read_film, read_film_recipe

Bring = Callable[..., Path]
PROMPT = "a red ball rolls to the left"
# Programs started in the background are born deaf to Ctrl-C; the one under test must not be.
LISTENING = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
KINORA = [sys.executable, "-c", LISTENING + "from kinora.cli.main import main; sys.exit(main())"]


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """Mean difference of pixels."""
    return float(np.abs(one.astype(float) - other.astype(float)).mean())


def test_an_extended_film_is_the_old_one_and_more(here: Path, film: Bring, quick: list[str], capsys: Any) -> None:
    film("bar.mp4", frames=17)
    old = read_film(Path("bar.mp4"))
    assert main(["extend", "bar.mp4", PROMPT, "--seconds", "1", *quick]) == 0
    assert capsys.readouterr().out == "bar-longer.mp4\n"
    new = read_film(Path("bar-longer.mp4"))
    assert new.shape.frames == 17 + 16
    assert apart(new.frames_FHWC[:17], old.frames_FHWC) < 3
    recipe = read_film_recipe(Path("bar-longer.mp4"))
    (onward,) = recipe.request.conditions
    assert isinstance(onward, Continue)
    assert (onward.footage.name, onward.before, recipe.request.seconds) == ("bar.mp4", False, 1.0)
    assert sorted(path.name for path in here.iterdir()) == ["bar-longer.mp4", "bar.mp4"]


def test_a_film_extended_backward_ends_as_it_was(here: Path, film: Bring, quick: list[str]) -> None:
    film("bar.mp4", frames=17)
    old = read_film(Path("bar.mp4"))
    assert main(["extend", "bar.mp4", PROMPT, "--seconds", "0.5", "--before", "-o", "whole.mp4", *quick]) == 0
    new = read_film(Path("whole.mp4"))
    assert new.shape.frames > 17 + 4
    assert apart(new.frames_FHWC[-17:], old.frames_FHWC) < 3


def test_the_prompt_of_an_extension_is_its_film_s(here: Path, film: Bring, quick: list[str], capsys: Any) -> None:
    script = ["--then", "0.5s=a blue cube falls"]
    assert main(["generate", PROMPT, "--seconds", "1", *script, *quick]) == 0
    assert main(["extend", "film.mp4", "--seconds", "0.5", "--then", "0.25s=a ball", *quick]) == 0
    request = read_film_recipe(Path("film-longer.mp4")).request
    assert request.prompt == "a blue cube falls", "what it showed at its end"
    assert [line.prompt for line in request.script] == ["a ball"]
    assert main(["extend", "film.mp4", "--before", "--plan", *quick]) == 0
    capsys.readouterr()
    assert main(["extend", str(film("bar.mp4")), *quick]) == 2
    assert "carries no recipe to take a prompt from; write what the film goes on to show" in capsys.readouterr().err


def test_footage_of_another_size_is_converted_and_told(here: Path, film: Bring, quick: list[str], capsys: Any) -> None:
    film("wide.mp4", frames=9, height=90, width=160, rate=8.0)
    assert main(["extend", "wide.mp4", PROMPT, "--seconds", "0.5", *quick]) == 0
    assert "wide.mp4 is 160 x 90; it is cropped and scaled to 96 x 64" in capsys.readouterr().err
    new = read_film(Path("wide-longer.mp4"))
    assert (new.shape.width, new.shape.height, new.shape.frames) == (96, 64, 18 + 8)


def test_an_edit_changes_its_region_only(
    here: Path, film: Bring, painted: Bring, quick: list[str], capsys: Any
) -> None:
    film("bar.mp4", frames=17)
    old = read_film(Path("bar.mp4"))
    painted("mask.png", 64, 64, (32, 0, 64, 64))
    for where in (["--mask", "mask.png"], ["--box", "0.5,0,1,1", "--force"]):
        assert main(["edit", "bar.mp4", PROMPT, *where, *quick]) == 0
        new = read_film(Path("bar-edited.mp4"))
        assert new.shape == old.shape
        assert apart(new.frames_FHWC[:, :, :24], old.frames_FHWC[:, :, :24]) < 4
        assert apart(new.frames_FHWC[:, :, 40:], old.frames_FHWC[:, :, 40:]) > 10
    (region,) = read_film_recipe(Path("bar-edited.mp4")).request.conditions
    assert isinstance(region, Region)
    assert region.mask.name.startswith("polygon in 64x64: 0.5,0.0 1.0,0.0")


def test_outpainting_keeps_the_whole_film_in_the_middle(here: Path, film: Bring, quick: list[str], capsys: Any) -> None:
    film("bar.mp4")
    assert main(["edit", "bar.mp4", PROMPT, "--outpaint", "16:9", "--plan", *quick]) == 0
    assert "17 frames of 96 x 64" in capsys.readouterr().out
    assert main(["edit", "bar.mp4", PROMPT, "--outpaint", "16:9", *quick]) == 0
    old, new = read_film(Path("bar.mp4")), read_film(Path("bar-edited.mp4"))
    assert apart(new.frames_FHWC[:, :, 18:78], old.frames_FHWC[:, :, 2:62]) < 4, "the whole film, in the middle"
    assert main(["edit", "bar.mp4", PROMPT, "--outpaint", "1:1", "--plan", *quick]) == 2
    assert "fills 64 x 64 already" in capsys.readouterr().err


def test_a_face_that_speaks_changes_at_its_mouth_only(
    here: Path, film: Bring, written: Callable[[str, Any], Path], quick: list[str]
) -> None:
    film("bar.mp4", frames=17)
    old = read_film(Path("bar.mp4"))
    written("speech.json", [[0.9, 0.5, 0.0, 0.2]] * 17)
    written("face.json", {"track": [[0, 0.75, 0.6, 0.12]]})
    assert main(["speak", "bar.mp4", "--speech", "speech.json", "--face", "face.json", *quick]) == 0
    new = read_film(Path("bar-speaking.mp4"))
    assert new.shape == old.shape
    assert apart(new.frames_FHWC[:, :16], old.frames_FHWC[:, :16]) < 3
    assert apart(new.frames_FHWC[:, :, :20], old.frames_FHWC[:, :, :20]) < 3
    assert apart(new.frames_FHWC[:, 36:50, 40:56], old.frames_FHWC[:, 36:50, 40:56]) > 5
    assert read_film_recipe(Path("bar-speaking.mp4")).request.prompt == "a person speaks"


def test_a_replay_of_an_edit_and_of_an_extension(here: Path, film: Bring, quick: list[str], model_folder: Path) -> None:
    film("bar.mp4")
    assert main(["edit", "bar.mp4", PROMPT, "--outpaint", "9:16", *quick]) == 0
    assert main(["extend", "bar.mp4", PROMPT, "--seconds", "0.5", *quick]) == 0
    for name in ("bar-edited.mp4", "bar-longer.mp4"):
        again = ["recipe", name, "--replay", "-o", "again.mp4", "--force", "--model", str(model_folder)]
        assert main(again) == 0
        assert Path("again.mp4").read_bytes() == Path(name).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["extend", "none.mp4", PROMPT], "no file none.mp4"),
        (["extend", "notes.json", PROMPT], "cannot be read as a film"),
        (["extend", "bar.mp4", PROMPT, "--seconds", "0"], "0 s"),
        (["extend", "bar.mp4", PROMPT, "-o", "bar.mp4"], "exists already"),
        (["extend", "bar.mp4", PROMPT, "-o", "bar.avi"], "must end in .mp4"),
        (["extend", "bar.mp4", PROMPT, "--before", "--then", "1s=x"], "forward in time"),
        (["extend", "bar.mp4", PROMPT, "--model", "huge"], "no model 'huge'"),
        (["extend", "short.mp4", PROMPT], "has 1 frames"),
        (["edit", "bar.mp4", PROMPT, "--box", "0.5,0,0.2,1"], "is no box"),
        (["edit", "bar.mp4", PROMPT, "--box", "0,0,1"], "X0,Y0,X1,Y1"),
        (["edit", "bar.mp4", PROMPT, "--mask", "mask.png"], "is 32 x 32 pixels"),
        (["edit", "bar.mp4", PROMPT, "--outpaint", "4:3"], "makes no 4:3"),
        (["edit", "short.mp4", PROMPT, "--box", "0,0,1,0.5"], "cannot be made"),
        (["speak", "bar.mp4", "--speech", "none.json", "--face", "0.5,0.5,0.1"], "no file none.json"),
        (["speak", "bar.mp4", "--speech", "speech.json", "--face", "2,0.5,0.1"], "x=2"),
    ],
)
def test_mistakes_with_footage_are_sentences(
    arguments: list[str], says: str, here: Path, film: Bring, painted: Bring, written: Callable[[str, Any], Path],
    quick: list[str], capsys: Any,
) -> None:  # fmt: skip
    film("bar.mp4", frames=9)
    film("short.mp4", frames=1)
    painted("mask.png", 32, 32, (0, 0, 8, 8))
    written("notes.json", {})
    written("speech.json", [[0, 0, 0, 0]])
    before = {path.name for path in here.iterdir()}
    assert main([*arguments, *(quick if "--model" not in arguments else [])]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert "Traceback" not in said
    assert {path.name for path in here.iterdir()} == before


def begun(arguments: list[str], folder: Path, work: Path, stop: signal.Signals) -> str:
    """What a process says that is stopped by a signal once its second chunk is there."""
    process = subprocess.Popen([*KINORA, *arguments], cwd=folder, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    while not (work / "000001.mp4").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(stop)
    _, said = process.communicate(timeout=60)
    assert process.returncode == (130 if stop == signal.SIGINT else -stop)
    return said


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_film_goes_on_with_the_same_command(
    stop: signal.Signals, here: Path, film: Bring, model_folder: Path, capsys: Any
) -> None:
    film("bar.mp4")
    arguments = ["extend", "bar.mp4", PROMPT, "--seconds", "16", "--quality", "draft", "--model", str(model_folder)]
    said = begun(arguments, here, here / ".bar-longer.mp4.kinora", stop)
    if stop == signal.SIGINT:
        assert "the same command goes on from there" in said
    assert "Traceback" not in said
    assert main(arguments) == 0
    assert "s that are made already" in capsys.readouterr().err
    assert main([*arguments, "-o", "once.mp4"]) == 0
    assert "already" not in capsys.readouterr().err
    assert Path("bar-longer.mp4").read_bytes() == Path("once.mp4").read_bytes()
    assert sorted(path.name for path in here.iterdir()) == ["bar-longer.mp4", "bar.mp4", "once.mp4"]


def test_another_film_of_the_same_name_starts_anew(here: Path, film: Bring, model_folder: Path, capsys: Any) -> None:
    film("bar.mp4")
    arguments = ["extend", "bar.mp4", PROMPT, "--seconds", "16", "--quality", "draft", "--model", str(model_folder)]
    begun(arguments, here, here / ".bar-longer.mp4.kinora", signal.SIGKILL)
    assert main([*arguments, "--seconds", "1"]) == 0
    assert "another recipe" in capsys.readouterr().err
    assert read_film(Path("bar-longer.mp4")).shape.frames == 17 + 16
