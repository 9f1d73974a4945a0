from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fakes import ColourEncoder
from rsitr.cli.demo import run_demo
from rsitr.demo import explore
from rsitr.errors import ConfigError, ModelError, SceneError, StoreError
from rsitr.index import ingest
from rsitr.search import Index


def windows(folder: Path) -> list[list[int]]:
    features = json.loads((folder / "hits.geojson").read_text())["features"]
    return [feature["properties"]["window_px"] for feature in features]


def test_the_whole_demo_and_another_seed_in_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "made" / "here"
    assert run_demo(out=out, seed=2, encoder=ColourEncoder(), size_px=1024) == 0
    printed = capsys.readouterr().out
    assert str(out / "report.html") in printed.replace("\n", "")
    assert "many white storage tanks" in printed
    assert "what is really there" in printed
    assert "synthetic" in printed
    names = {path.name for path in out.iterdir()}
    assert names == {"scene.tif", "index", "report.html", "demo.png", "hits.geojson", "truth.geojson"}
    assert "parking" not in printed  # a scene this small has none, so nobody asks for it

    first = windows(out)
    again = explore(folder=out, seed=3, encoder=ColourEncoder(), size_px=1024)
    assert [list(judged.hit.tile.window_px) for answer in again.answers for judged in answer.hits] != first
    index = Index.open(out / "index", encoder=ColourEncoder())
    assert len(index) == 16  # the tiles of the first scene are gone
    assert len(index.search("green", k=3)) == 3


def test_what_is_no_index_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "diary.txt").write_text("mine")
    with pytest.raises(StoreError, match="in the way"):
        run_demo(out=tmp_path, encoder=ColourEncoder(), size_px=512)
    assert (tmp_path / "index" / "diary.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["index"]


def test_scenes_and_indexes_of_others_are_left_alone(tmp_path: Path) -> None:
    photo = np.full((64, 64, 3), 90, dtype=np.uint8)
    Image.fromarray(photo).save(tmp_path / "scene.tif")
    before = (tmp_path / "scene.tif").read_bytes()
    with pytest.raises(SceneError, match="in the way"):
        run_demo(out=tmp_path, encoder=ColourEncoder(), size_px=512)
    assert (tmp_path / "scene.tif").read_bytes() == before

    (tmp_path / "scene.tif").rename(tmp_path / "photo.tif")
    ingest([tmp_path / "photo.tif"], into=tmp_path / "index", encoder=ColourEncoder())
    with pytest.raises(StoreError, match="in the way"):
        run_demo(out=tmp_path, encoder=ColourEncoder(), size_px=512)
    assert len(Index.open(tmp_path / "index", encoder=ColourEncoder())) == 4  # as it was


def test_an_unknown_model_is_found_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        run_demo(out=tmp_path / "out", model="no-such-model")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="choose another --out"):
        run_demo(out=tmp_path / "file" / "out", encoder=ColourEncoder(), size_px=512)
