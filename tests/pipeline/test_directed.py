"""Films that a director blocks first: which ones, what the transformer is told, and that they keep every promise."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from interrupting import interrupted

import kinora
from kinora.control.blocking import BLOCKING_CHANNELS, maps_of
from kinora.control.painter import Painter, PainterConfig
from kinora.core.blocking import DETAILS, KINDS, NOTHING, Blocking
from kinora.core.camera import CameraMove
from kinora.core.conditions import Keyframe, Moves, Reference
from kinora.core.materials import Still
from kinora.core.request import Request
from kinora.core.slots import CAMERAS, COLOURS, SPEEDS
from kinora.flow.state import LatentState
from kinora.language.director import Director, DirectorConfig
from kinora.pipeline import Pipeline
from kinora.pipeline.imagining import Imagining, Walk
from kinora.pipeline.sketching import Sketch
from kinora.presets import Sampling
from kinora.transformer.conditions import Conditions, Prepared
from kinora.transformer.model import Transformer
from kinora.understanding.store import load_reader
from kinora.world.render import render_states
from kinora.world.scene import Figure, Identity, Place, Scene
from kinora.world.simulate import simulate

FILM = Request(prompt="a red ball rolls to the left", seconds=3.0, quality="draft")
PANNED = replace(FILM, conditions=(Moves(move=CameraMove(pan=5.0)),))
STILL = Still.of(np.full((64, 64, 3), 90, np.uint8), name="grey.png")


@pytest.fixture(scope="module")
def pipeline(model_folder: Path) -> Pipeline:
    model = kinora.load(str(model_folder), device="cpu").model
    config = DirectorConfig(text_width=16, width=32, layers=1, heads=2, ffn_width=32)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(2)
        director = Director(config).eval()
        # It has learnt nothing and would often end before the first thing.
        director.looks[0].name[0].bias[-1] -= 9.0
    # What the maps say must be seen in the film.
    torch.nn.init.normal_(
        model.transformer.control_embedding.weight, std=0.5, generator=torch.Generator().manual_seed(0)
    )
    parts = {**model.manifest.parts, "director": asdict(config)}
    sampling = {"draft": Sampling(steps=2, guidance=3.0, sketch=3)}
    return Pipeline(
        replace(
            model,
            director=director,
            manifest=replace(model.manifest, parts=parts),
            preset=replace(model.preset, sampling=sampling, obeys=model.preset.obeys | {"references"}),
        )
    )


def told(pipeline: Pipeline, request: Request, monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor | None]:
    """The control maps of every window that is asked for."""
    found: list[torch.Tensor | None] = []
    prepare = Transformer.prepare

    def listen(self: Transformer, conditions: Conditions) -> Prepared:
        found.append(conditions.control_BCTHW)
        return prepare(self, conditions)

    monkeypatch.setattr(Transformer, "prepare", listen)
    pipeline.generate(request)
    return found


def undirected(pipeline: Pipeline) -> Pipeline:
    """The same model without its director."""
    model = pipeline.model
    parts = {name: part for name, part in model.manifest.parts.items() if name != "director"}
    return Pipeline(replace(model, director=None, manifest=replace(model.manifest, parts=parts)))


def test_free_films_are_directed_and_their_plan_says_so(pipeline: Pipeline):
    plan = pipeline.plan(FILM)
    assert plan.directed
    assert "blocking  the director says first what stands where" in str(plan)
    assert not pipeline.plan(replace(FILM, conditions=(Keyframe(still=STILL),))).directed
    plain = undirected(pipeline)
    assert not plain.plan(FILM).directed


def test_sketch_and_film_are_told_what_the_director_says(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch):
    with torch.inference_mode():
        text_BLD = pipeline.model.text.encode([FILM.prompt]).float()
    assert pipeline.model.director is not None
    blocking = pipeline.model.director.direct(text_BLD, FILM.seed)
    assert len(blocking.look_P3)
    latent = pipeline.plan(FILM).latent
    maps_BCTHW = maps_of(blocking.at(np.arange(latent.frames, dtype=np.float32)), latent.height, latent.width)
    heard = [maps for maps in told(pipeline, FILM, monkeypatch) if maps is not None]
    places = list(Sketch.of(latent.frames, 3, 0.7).places)
    assert {maps.shape[2] for maps in heard} == {3, latent.frames}
    for maps in heard:
        wanted = maps_BCTHW if maps.shape[2] == latent.frames else maps_BCTHW[:, :, places]
        assert torch.equal(maps, wanted)


def test_beside_a_portrait_figures_are_told_without_their_looks(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch):
    heard = told(pipeline, replace(FILM, conditions=(Reference(still=STILL),)), monkeypatch)
    frames = pipeline.plan(FILM).latent.frames
    assert {maps.shape[2] for maps in heard if maps is not None} == {3 + 1, frames + 1}
    figure, looks = KINDS.index("figure"), slice(len(KINDS), BLOCKING_CHANNELS - 2)
    for maps_BCTHW in heard:
        assert maps_BCTHW is not None
        assert maps_BCTHW[:, :, -1].abs().max() == 0
        alone = maps_BCTHW[:, figure] == maps_BCTHW[:, : len(KINDS)].sum(dim=1)
        assert maps_BCTHW[:, looks].sum(dim=1)[alone].abs().max() == 0


def test_the_picture_that_a_camera_move_begins_with_is_directed(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch):
    assert pipeline.plan(PANNED).directed
    heard = told(pipeline, PANNED, monkeypatch)
    assert {None if maps is None else maps.shape[2] for maps in heard} == {1, None}


def test_a_film_from_a_picture_is_told_nothing(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch):
    request = replace(FILM, conditions=(Keyframe(still=STILL),))
    heard = told(pipeline, request, monkeypatch)
    assert heard
    assert all(maps is None for maps in heard)


def test_the_same_request_gives_the_same_film_and_pictures_are_directed_too(pipeline: Pipeline):
    one, again = pipeline.generate(FILM), pipeline.generate(FILM)
    assert np.array_equal(one.frames_FHWC, again.frames_FHWC)
    plain = undirected(pipeline)
    assert not np.array_equal(one.frames_FHWC, plain.generate(FILM).frames_FHWC)
    picture = Request(prompt="a red ball", seconds=1.0, quality="draft")
    assert not np.array_equal(pipeline.image(picture)[0], plain.image(picture)[0])


def test_a_longer_film_is_told_of_its_first_window_alone(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch):
    long = replace(FILM, seconds=7.0)
    assert len(pipeline.plan(long).segments) > 1
    heard = told(pipeline, long, monkeypatch)
    first = pipeline.plan(long).segments[0].frames
    assert {None if maps is None else maps.shape[2] for maps in heard} == {3, first, None}


# With a painter beside the director


@pytest.fixture(scope="module")
def painting(pipeline: Pipeline) -> Pipeline:
    model = pipeline.model
    channels = model.codec.config.channels
    config = PainterConfig(channels=channels, spread=(1.0,) * channels, edges=True, widths=(8, 8, 8), depths=(1, 1, 1))
    with torch.random.fork_rng():
        torch.manual_seed(4)
        painter = Painter(config).eval().requires_grad_(requires_grad=False)
    parts = {**model.manifest.parts, "painter": asdict(config)}
    return Pipeline(replace(model, painter=painter, manifest=replace(model.manifest, parts=parts)))


def starts(pipeline: Pipeline, request: Request, monkeypatch: pytest.MonkeyPatch) -> dict[str, LatentState]:
    """The state that every walk of a film starts from."""
    found: dict[str, LatentState] = {}
    latents = Imagining.latents

    def listen(self: Imagining, start: LatentState, conditions: Conditions, walk: Walk) -> torch.Tensor:
        found[walk.name] = start
        return latents(self, start, conditions, walk)

    monkeypatch.setattr(Imagining, "latents", listen)
    if pipeline.plan(request).latent.frames > 1:
        pipeline.generate(request)
    else:
        pipeline.image(request)
    return found


def place_ball(monkeypatch: pytest.MonkeyPatch, filmed: tuple[int, int] = (0, NOTHING)) -> Blocking:
    """Let the director say that a small ball rests left above, seen by such a camera."""
    ball = Blocking(
        look_P3=np.array([[KINDS.index("sphere"), 0, 0]]),
        box_TP4=np.array([[[-0.5, -0.5, 0.1, 0.1]]], dtype=np.float32),
        position_T=np.float32([0]),
        filmed=filmed,
    )
    monkeypatch.setattr(Director, "direct", lambda _director, _text_1LD, _seed: ball)
    return ball


def test_things_are_painted_over_one_stage_and_known_better_than_the_rest(
    painting: Pipeline, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
):
    sampling = painting.model.preset.sampling_for("draft")
    place_ball(monkeypatch)
    window = starts(painting, FILM, monkeypatch)["segment 0"]
    followed = starts(pipeline, FILM, monkeypatch)["segment 0"]
    # The ball reaches four cells, one token; what the sketch drew is erased one cell further around. Everywhere else
    # all frames are what most of the sketch's moments show.
    painted_HW, erased_HW = torch.zeros(2, 4, 4, dtype=torch.bool)
    painted_HW[:2, :2], erased_HW[:3, :3] = True, True
    places = list(Sketch.of(painting.plan(FILM).latent.frames, 3, 0.7).places)
    stage_BC1HW = followed.clean_BCTHW[:, :, places].median(dim=2, keepdim=True).values
    changed_BTHW = (window.clean_BCTHW != stage_BC1HW).any(dim=1)
    assert torch.equal(changed_BTHW, erased_HW.expand_as(changed_BTHW))
    cap_BTHW = torch.where(painted_HW, sampling.painted_cap, sampling.sketch_cap).expand_as(window.cap_BTHW)
    assert torch.allclose(window.cap_BTHW, cap_BTHW)


def test_what_a_sketch_shows_in_one_moment_only_is_not_on_the_stage(
    painting: Pipeline, monkeypatch: pytest.MonkeyPatch
):
    place_ball(monkeypatch)
    latents = Imagining.latents

    def blotted(self: Imagining, start: LatentState, conditions: Conditions, walk: Walk) -> torch.Tensor:
        found = latents(self, start, conditions, walk).clone()
        if walk.name.endswith("sketch"):
            found[:, :, 1, 3, 3] = 99.0
        return found

    monkeypatch.setattr(Imagining, "latents", blotted)
    assert starts(painting, FILM, monkeypatch)["segment 0"].clean_BCTHW.max() < 99


def test_a_ball_is_drawn_over_the_frame_it_hangs_in(painting: Pipeline, monkeypatch: pytest.MonkeyPatch):
    """The frame's feet stand lower in the picture than the ball, so as nearer things would they would cover it."""

    def start(colour: str) -> torch.Tensor:
        hanging = Blocking(
            look_P3=np.array(
                [[KINDS.index("sphere"), COLOURS.index(colour), 0], [KINDS.index("rope"), NOTHING, NOTHING]]
            ),
            box_TP4=np.array([[[-0.5, -0.25, 0.2, 0.2], [0.0, 0.0, 0.9, 0.9]]], dtype=np.float32),
            position_T=np.float32([0]),
        )
        monkeypatch.setattr(Director, "direct", lambda _director, _text_1LD, _seed: hanging)
        return starts(painting, FILM, monkeypatch)["segment 0"].clean_BCTHW

    assert not torch.equal(start("red"), start("blue"))


def test_pictures_and_short_films_are_sketched_to_be_painted(painting: Pipeline, monkeypatch: pytest.MonkeyPatch):
    for request in (Request(prompt="a red ball", seconds=1.0, quality="draft"), replace(FILM, seconds=0.5)):
        assert painting.plan(request).sketch == min(3, painting.plan(request).latent.frames)
        assert painting.plan(request).passes == 2
    picture = Request(prompt="a red ball", seconds=1.0, quality="draft")
    assert painting.model.painter is not None
    one = painting.image(picture)[0]
    assert np.array_equal(one, painting.image(picture)[0])


def test_the_picture_before_a_camera_move_is_painted(painting: Pipeline, monkeypatch: pytest.MonkeyPatch):
    plan = painting.plan(PANNED)
    assert (plan.picture_first, plan.sketch, plan.passes) == (True, 1, 3)
    walks = starts(painting, PANNED, monkeypatch)
    assert set(walks) == {"segment 0 picture sketch", "segment 0 picture", "segment 0"}
    assert walks["segment 0 picture"].cap_BTHW.min() < 1


def test_a_camera_that_the_words_move_is_drawn(painting: Pipeline, monkeypatch: pytest.MonkeyPatch):
    place_ball(monkeypatch, (CAMERAS.index("roll_clockwise"), SPEEDS.index("fast")))
    moving = starts(painting, FILM, monkeypatch)["segment 0"]
    # What the first moment showed is known better than a sketch that is followed; what it did not show is not.
    sampling = painting.model.preset.sampling_for("draft")
    assert moving.cap_BTHW[:, 0].numpy() == pytest.approx(sampling.painted_cap, abs=1e-4)
    assert moving.cap_BTHW[:, -1, 2:, 2:].max() > sampling.painted_cap + 0.01
    assert moving.cap_BTHW.max() < 1
    place_ball(monkeypatch)
    still = starts(painting, FILM, monkeypatch)["segment 0"]
    assert not torch.equal(moving.clean_BCTHW[:, :, -1], still.clean_BCTHW[:, :, -1])


def test_figures_that_a_portrait_shows_are_not_painted(painting: Pipeline, monkeypatch: pytest.MonkeyPatch):
    request = replace(FILM, conditions=(Reference(still=STILL),))
    direct = Director.direct

    def people(self: Director, text_1LD: torch.Tensor, seed: int) -> Blocking:
        blocking = direct(self, text_1LD, seed)
        look_P3 = blocking.look_P3.copy()
        look_P3[:, 0] = KINDS.index("figure")
        return replace(blocking, look_P3=look_P3)

    monkeypatch.setattr(Director, "direct", people)
    frames = painting.plan(request).latent.frames
    window = starts(painting, request, monkeypatch)["segment 0"]
    cap = painting.model.preset.sampling_for("draft").sketch_cap
    assert (window.cap_BTHW[:, :frames] == cap).all()
    # They stay as the sketch has them, moment by moment: where they move no median knows them.
    assert not torch.equal(window.clean_BCTHW[:, :, 0], window.clean_BCTHW[:, :, frames - 1])


def test_figures_are_painted_as_their_portraits_show_them(painting: Pipeline, monkeypatch: pytest.MonkeyPatch):
    """Read by the bundled model's reader."""
    tiny = Path(kinora.__file__).parent / "presets" / "tiny"
    pipeline = Pipeline(replace(painting.model, reads=lambda: load_reader(tiny)))
    identity = Identity(
        skin=(0.8, 0.6, 0.5), hair="red", hair_style=1, eyes=(0.2, 0.2, 0.2), clothes="green", trousers=(0.1, 0.1, 0.3)
    )
    scene = Scene(place=Place(ground="sand", sky="day"), figures=(Figure(identity=identity),))
    states = simulate(scene).at(np.array([0]))
    pixels_HW3 = render_states([scene], [states], height=128, width=128).rgb_BFHW3[0, 0].numpy()
    somebody = Blocking(
        look_P3=np.array([[KINDS.index("figure"), COLOURS.index("blue"), DETAILS.index("black hair")]] * 2),
        box_TP4=np.array([[[-0.5, 0.0, 0.4, 0.8], [0.5, 0.0, 0.4, 0.8]]], dtype=np.float32),
        position_T=np.float32([0]),
    )
    monkeypatch.setattr(Director, "direct", lambda _director, _text_1LD, _seed: somebody)
    portrayed = replace(FILM, conditions=(Reference(still=Still.of(pixels_HW3, name="portrait.png")),))
    maps_BCTHW = next(maps for maps in told(pipeline, portrayed, monkeypatch) if maps is not None)
    looks_LHW = maps_BCTHW[0, len(KINDS) : BLOCKING_CHANNELS - 2, 0]
    green, red = COLOURS.index("green"), len(COLOURS) + DETAILS.index("red hair")
    # The first figure is the portrait's; whose looks no portrait shows, the transformer is told nothing of.
    assert looks_LHW[..., :2].amax(dim=(1, 2)).nonzero()[:, 0].tolist() == [green, red]
    assert looks_LHW[..., 2:].max() == 0
    # Nobody is seen in a grey picture.
    nobody = replace(FILM, conditions=(Reference(still=STILL),))
    maps_BCTHW = next(maps for maps in told(pipeline, nobody, monkeypatch) if maps is not None)
    assert maps_BCTHW[0, len(KINDS) : BLOCKING_CHANNELS - 2].max() == 0


@pytest.mark.parametrize("request_", [FILM, PANNED], ids=["film", "picture first"])
@pytest.mark.parametrize("left", [1, 2, 3])
def test_interrupted_a_painted_film_goes_on_to_the_same_bytes(painting: Pipeline, request_: Request, left: int):
    whole = painting.generate(request_).frames_FHWC
    assert np.array_equal(interrupted(painting, request_, left)[0], whole)


def test_an_empty_stage_stays_empty(painting: Pipeline, monkeypatch: pytest.MonkeyPatch):
    direct = Director.direct

    def nobody(self: Director, text_1LD: torch.Tensor, seed: int) -> Blocking:
        blocking = direct(self, text_1LD, seed)
        pan = CAMERAS.index("pan_left"), 0
        return replace(blocking, look_P3=blocking.look_P3[:0], box_TP4=blocking.box_TP4[:, :0], filmed=pan)

    monkeypatch.setattr(Director, "direct", nobody)
    assert painting.generate(FILM).frames_FHWC.shape[0] == painting.plan(FILM).pixels.frames
