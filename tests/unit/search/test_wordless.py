"""An index of embeddings that others made: searched by its tiles, by marks and detectors, and not by words."""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely

from fakes import ColourEncoder
from rsitr.errors import ModelError, QueryError, SceneError
from rsitr.formats import Place, make_sheet, write_tiles
from rsitr.index import import_embeddings, open_index
from rsitr.search import Index, Mark, RankingSettings, WordlessEncoder, make_query
from rsitr.types import TileFilter

SIDE = 8
FIELDS = ((1, 1), (1, 2), (2, 1), (5, 5), (5, 6))
"""Column and row of tiles that are alike, on two patches of ground; the rest is something else."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 tiles on a grid, two kinds of ground, as a file of others."""
    place = tmp_path_factory.mktemp("embeddings")
    rng = np.random.default_rng(0)
    kinds = rng.normal(size=(2, 32))
    cells = [(col, row) for row in range(SIDE) for col in range(SIDE)]
    vectors = [kinds[int(cell in FIELDS)] + 0.1 * rng.normal(size=32) for cell in cells]
    outlines = [
        shapely.box(10 + 0.01 * col, 50 + 0.01 * row, 10.01 + 0.01 * col, 50.01 + 0.01 * row) for col, row in cells
    ]
    frame = geopandas.GeoDataFrame(
        {"id": [f"{col}-{row}" for col, row in cells], "embedding": vectors, "date": ["2021-06-01"] * len(cells)},
        geometry=outlines,
        crs=4326,
    )
    frame.to_parquet(place / "tiles.parquet")
    import_embeddings([place / "tiles.parquet"], into=place / "index")
    return place / "index"


def ids(places: tuple[Place, ...]) -> list[set[str]]:
    return [{hit.tile.tile for seen in place.sightings for hit in seen.hits} for place in places]


def test_a_tile_finds_what_is_like_it(folder: Path) -> None:
    index = Index.open(folder)
    result = index.search(like="1-1", k=5)
    assert {hit.tile.tile for hit in result} == {f"{col}-{row}" for col, row in FIELDS}
    assert result.hits[0].tile.tile == "1-1"
    assert result.n_hopeless == 0, "that nobody knows how many pixels a tile has is nothing against it"
    assert all(hit.relevance is None for hit in result)
    said = index.say_result(result)
    assert "made elsewhere" in said
    assert "calibrate" not in said, "which nobody can, without the model"
    limited = index.search(like="1-1", k=5, where=TileFilter(bbox=(10.05, 50.0, 11.0, 51.0)))
    assert limited.hits[0].tile.tile in {"5-5", "5-6"}


@pytest.mark.parametrize("asked", [{"text": "a field"}, {"image": np.zeros((8, 8, 3), np.uint8)}, {"minus": "snow"}])
def test_words_and_pictures_are_refused_with_what_can_be_done(folder: Path, asked: dict[str, object]) -> None:
    like = {"like": "1-1"} if "minus" in asked else {}
    with pytest.raises(QueryError, match=r"knows no words and no pictures.*'unnamed model'.*--like ID"):
        Index.open(folder).search(**asked, **like)  # type: ignore[arg-type]


def test_re_ranking_against_other_tiles_goes_on(folder: Path) -> None:
    result = Index.open(folder).search(like="1-1", k=5, ranking=RankingSettings(rerank="csls"))
    assert {hit.tile.tile for hit in result} == {f"{col}-{row}" for col, row in FIELDS}
    assert result.sorted_by is not None


def test_marks_and_detectors_work_and_neighbours_become_places(folder: Path) -> None:
    index = Index.open(folder)
    query = make_query(like="1-1", k=20)
    marks = [Mark("1-1", True), Mark("5-5", True), Mark("0-0", False), Mark("7-7", False)]
    refined = index.refine(query, marks)
    assert refined.state == "matches"
    assert {frozenset(place) for place in ids(refined.places())} >= {
        frozenset({"5-5", "5-6"}),
        frozenset({"1-1", "1-2", "2-1"}),
    }
    index.learn("fields", query=query, marks=marks)
    found = Index.open(folder).detect("fields", k=5)
    assert {hit.tile.tile for hit in found} == {f"{col}-{row}" for col, row in FIELDS}


def test_there_are_no_pictures_and_reports_do_without(folder: Path) -> None:
    index = Index.open(folder)
    result = index.search(like="1-1", k=3)
    with pytest.raises(SceneError, match="there is no picture, since its embeddings were made elsewhere"):
        index.picture(result.hits[0].tile)
    with pytest.raises(SceneError, match="there is no picture"):
        index.overview("tiles.parquet")
    assert index.corners("tiles.parquet") is None
    sheet = make_sheet(result.to_answer(places=result.places(timeline=True)), pictures=index)
    assert "<img" not in sheet.html
    assert len(sheet.missing) >= 3


def test_examples_to_begin_with(folder: Path) -> None:
    index = Index.open(folder)
    found = index.examples(6)
    assert len(found) == len(set(found)) <= 6
    assert index.search(like=found[0], k=1).hits[0].tile.tile == found[0]


def test_an_export_whose_model_is_not_at_hand(index_path: Path, encoder: ColourEncoder, tmp_path: Path) -> None:
    write_tiles(open_index(index_path), tmp_path / "tiles.parquet")
    import_embeddings([tmp_path / "tiles.parquet"], into=tmp_path / "index")
    index = Index.open(tmp_path / "index")  # by the name `colour`, which leads to no model
    assert isinstance(index.encoder, WordlessEncoder)
    tile = index.examples(1)[0]
    assert index.search(like=tile, k=1).hits[0].tile.tile == tile
    with pytest.raises(QueryError, match=r"knows no words.*made by the model 'colour'"):
        index.search("red")
    with pytest.raises(ModelError):
        Index.open(tmp_path / "index", model="colour").search("red")
    assert Index.open(tmp_path / "index", encoder=encoder).search("red", k=3).matches
