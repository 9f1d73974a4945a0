from __future__ import annotations

import datetime
import shutil
from pathlib import Path

import numpy as np
import pytest

from fakes import COLOURS, ColourEncoder, replace_models
from rasters import write_utm
from rsitr.errors import ModelError, QueryError, SceneError, StoreError
from rsitr.search import Index
from rsitr.types import ImageArray

FIJI = (179.0, 40.0, -179.0, 60.0)


def filled(colour: str) -> ImageArray:
    return np.full((40, 30, 3), COLOURS[colour], dtype=np.uint8)


@pytest.fixture
def index(index_path: Path, encoder: ColourEncoder) -> Index:
    return Index.open(index_path, encoder=encoder)


def test_words_find_what_they_name(index: Index) -> None:
    result = index.search("a yellow thing", k=2)
    assert [hit.rank for hit in result] == [1, 2]
    first, second = result.hits
    assert first.tile.scene == "photo.png"
    assert first.score == pytest.approx(1.0, abs=1e-6)
    assert second.score < 0.9
    assert (result.n_tiles, result.index, result.model, len(result)) == (13, "index", "colour", 2)


def test_hits_are_the_best_in_order(index: Index) -> None:
    scores = [hit.score for hit in index.search("blue", k=100)]
    assert len(scores) == len(index) == 13
    assert scores == sorted(scores, reverse=True)


def test_a_picture_finds_its_like(index: Index, tmp_path: Path) -> None:
    by_array = index.search(image=filled("yellow"), k=1)
    assert by_array.hits[0].tile.scene == "photo.png"
    by_file = index.search(image=write_utm(tmp_path / "example.tif"), k=3)
    assert by_file.query.image == "example.tif"


def test_words_and_a_picture_together_are_the_mean_of_both(index: Index, encoder: ColourEncoder) -> None:
    both = index.search("green", image=filled("red"), k=13)
    vectors = [encoder.encode_texts(["green"]).global_emb[0], encoder.encode_images([filled("red")]).global_emb[0]]
    mean = np.mean(vectors, axis=0)
    alone = {hit.tile.tile: hit.score for hit in index.search("green", k=13)}
    other = {hit.tile.tile: hit.score for hit in index.search(image=filled("red"), k=13)}
    for hit in both:
        expected = (alone[hit.tile.tile] + other[hit.tile.tile]) / 2 / np.linalg.norm(mean)
        assert hit.score == pytest.approx(expected, abs=1e-6)


def test_filters(index: Index) -> None:
    assert {hit.tile.scene for hit in index.search("red", bbox=FIJI, k=13)} == {"<b>dateline.tif"}
    dated = index.search("red", since=datetime.date(2018, 1, 1), k=13)
    assert {hit.tile.scene for hit in dated} == {"deep/values_20200101.tif"}
    assert dated.n_tiles == 4
    assert {hit.tile.scene for hit in index.search("red", sensor="naip", k=13)} == {"north_20160816.tif"}
    assert index.search("red", bbox=(0, 0, 1, 1)).hits == ()


def test_wrong_queries(index: Index, tmp_path: Path) -> None:
    with pytest.raises(QueryError):
        index.search("")
    with pytest.raises(QueryError):
        index.search("red", k=0)
    with pytest.raises(SceneError, match="no such file"):
        index.search(image=tmp_path / "missing.png")


def test_opposite_vectors_have_no_mean(index_path: Path) -> None:
    class Contrary(ColourEncoder):
        def encode_images(self, images: list[ImageArray], *, batch_size: int = 64):  # type: ignore[no-untyped-def, override]
            texts = super().encode_texts(["green"] * len(images))
            return type(super().encode_images(images))(global_emb=-texts.global_emb, tokens=texts.tokens)

    with pytest.raises(QueryError, match="exact opposite"):
        Index.open(index_path, encoder=Contrary(image_size_px=64)).search("green", image=filled("red"))


def test_pictures_of_hits_come_from_their_windows(index: Index) -> None:
    for colour in ("red", "green", "blue"):
        hit = next(hit for hit in index.search(colour, k=13) if hit.tile.scene.startswith("north"))
        picture = index.picture(hit.tile)
        assert picture.shape == (64, 64, 3)
        assert picture[32, 32].tolist() == list(COLOURS[colour])


def test_a_picture_has_the_contrast_of_its_scene_not_of_its_window(index: Index) -> None:
    hits = [
        hit for hit in index.search("dark", k=13) if hit.tile.scene.startswith("deep") and hit.tile.window_px[0] == 0
    ]
    picture = index.picture(hits[0].tile)
    assert picture.min() == 0
    assert 110 < picture.max() < 140  # the left half of a ramp: alone it would reach white


def test_scenes_are_found_where_root_says(index_path: Path, encoder: ColourEncoder, tmp_path: Path) -> None:
    moved = shutil.copytree(index_path, tmp_path / "index")
    (index_path.parent / "scenes").rename(tmp_path / "elsewhere")
    try:
        hit = Index.open(moved, encoder=encoder).search("yellow", k=1).hits[0]
        with pytest.raises(SceneError, match=r"photo\.png: no such file"):
            Index.open(moved, encoder=encoder).picture(hit.tile)
        there = Index.open(moved, encoder=encoder, root=tmp_path / "elsewhere")
        assert there.picture(hit.tile)[5, 5].tolist() == list(COLOURS["yellow"])
    finally:
        (tmp_path / "elsewhere").rename(index_path.parent / "scenes")


def test_another_model_is_refused(index_path: Path) -> None:
    with pytest.raises(StoreError, match="made by the model 'colour', not by 'other'"):
        Index.open(index_path, encoder=ColourEncoder(name="other", fingerprint="0"))


def test_the_recorded_model_is_loaded_when_a_query_needs_it(index_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str | None]] = []

    def load(name: str, device: str | None) -> ColourEncoder:
        asked.append((name, device))
        return ColourEncoder(image_size_px=64, fingerprint="c0104r" * 8 if device == "cpu" else "changed")

    replace_models(monkeypatch, load)
    index = Index.open(index_path, device="cpu")
    assert index.summary().n_tiles == 13
    assert asked == []
    assert index.search("red", k=1).hits == index.search("red", k=1).hits
    assert asked == [("colour", "cpu")]
    with pytest.raises(StoreError, match="another version of the model 'colour'"):
        Index.open(index_path).search("red")
    Index.open(index_path, model="moved/checkpoint", device="cpu").search("red")
    assert asked[-1] == ("moved/checkpoint", "cpu")


def test_a_model_that_is_gone_is_named(index_path: Path) -> None:
    with pytest.raises(ModelError, match=r"index: made by the model 'colour'; .*'colour'"):
        Index.open(index_path).search("red")
