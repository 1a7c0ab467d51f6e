"""Sprite sheets of films whose frames are known."""

from __future__ import annotations

import io
import threading

import numpy as np
import pytest
from PIL import Image

from kinora.core.clip import Clip
from kinora.core.errors import MediaError
from kinora.media.film import write_film
from kinora.media.provenance import Aigc, read_aigc
from kinora.service import sheets
from kinora.service.sheets import CELL, draw_sheet, frame_of, spritesheet
from kinora.service.tasks import Output


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """64 frames of one grey each, 4 levels apart, 96 x 64, at 16 a second."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    frames_FHW3 = np.broadcast_to(np.arange(0, 256, 4, dtype=np.uint8)[:, None, None, None], (64, 64, 96, 3))
    write_film(path, Clip(frames_FHWC=np.ascontiguousarray(frames_FHW3), frame_rate=16.0))
    return path


def greys(sheet_HW3: np.ndarray, count: int, columns: int = 5) -> list[int]:
    """The grey in the middle of each cell."""
    height = round(CELL * 64 / 96)
    places = [divmod(index, columns) for index in range(count)]
    return [int(sheet_HW3[row * height + height // 2, column * CELL + CELL // 2, 0]) for row, column in places]


def test_a_sheet_runs_from_the_first_frame_to_the_last(film):
    sheet_HW3 = draw_sheet(film, 64)
    assert sheet_HW3.shape == (5 * 107, 5 * CELL, 3)
    wanted = np.linspace(0, 63, 25).round() * 4
    assert np.abs(np.array(greys(sheet_HW3, 25)) - wanted).max() <= 2


def test_a_short_film_shows_every_frame(tmp_path):
    path = tmp_path / "short.mp4"
    frames_FHW3 = np.stack([np.full((64, 96, 3), 60 * index, np.uint8) for index in range(3)])
    write_film(path, Clip(frames_FHWC=frames_FHW3, frame_rate=1.0))
    sheet_HW3 = draw_sheet(path, 3)
    assert sheet_HW3.shape == (107, 3 * CELL, 3)
    assert np.abs(np.array(greys(sheet_HW3, 3, 3)) - [0, 60, 120]).max() <= 2


def test_a_frame_is_the_one_that_was_asked_for(film):
    for index in (0, 1, 31, 63):
        frame_HW3 = frame_of(film, index)
        assert frame_HW3.shape == (64, 96, 3)
        assert abs(int(frame_HW3.mean()) - 4 * index) <= 2
    with pytest.raises(MediaError, match="no frame 64"):
        frame_of(film, 64)


def test_what_is_no_film_is_refused(tmp_path):
    (tmp_path / "film.mp4").write_bytes(b"no film")
    with pytest.raises(MediaError):
        draw_sheet(tmp_path / "film.mp4", 5)


def test_a_sheet_is_made_once_and_kept(idle, film, monkeypatch, tmp_path):
    service, account = idle.service, idle.account()
    asset = service.assets.store(account.id, film, "video/mp4", width=96, height=64, frames=64, frame_rate=16.0)
    output = Output(
        id=1, account_id=account.id, task_id=1, place=0, kind="video", digest=asset.digest, media_type="video/mp4",
        bytes=asset.bytes, width=96, height=64, frames=64, seconds=4.0, created_at=0, expires_at=0, deleted_at=None,
    )  # fmt: skip
    drawn, draw = [], sheets.draw_sheet

    def counted(path, frames):
        drawn.append(path)
        return draw(path, frames)

    monkeypatch.setattr(sheets, "draw_sheet", counted)
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.append(spritesheet(service, output).digest)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8
    assert len({*made}) == 1
    assert len(drawn) == 1
    assert not drawn[0].exists()
    kept = service.assets.get(account.id, made[0])
    assert (kept.origin, kept.media_type, kept.ours) == ("work", "image/jpeg", True)
    assert Image.open(io.BytesIO(service.objects.read(service.assets.path_of(kept)))).size == (5 * CELL, 5 * 107)
    marked = tmp_path / "sheet.jpg"
    service.objects.get(service.assets.path_of(kept), marked)
    assert read_aigc(marked) == Aigc(producer=service.settings.producer, produce_id="1-0-sheet")
    # Another account's sheet of the same film is its own.
    other = idle.account()
    service.assets.store(other.id, film, "video/mp4")
    theirs = Output(**{**vars(output), "account_id": other.id})
    assert spritesheet(service, theirs).account_id == other.id
