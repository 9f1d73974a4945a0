"""What an index holds of a spot: tiles under a point, and the ground of a tile through all scenes."""

from __future__ import annotations

from pathlib import Path

import pytest

from archives import write_archive
from fakes import ColourEncoder
from rsitr.search import Index
from rsitr.types import Tile


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    encoder = ColourEncoder(image_size_px=64)
    folder: Path = write_archive(tmp_path_factory.mktemp("spots"), encoder)
    return Index.open(folder, encoder=encoder)


def tiles_of(index: Index, name: str) -> list[Tile]:
    hits = index.search("red", k=len(index)).hits
    return [hit.tile for hit in hits if name in hit.tile.scene]


def test_every_tile_lies_under_its_own_middle(index: Index) -> None:
    for tile in tiles_of(index, "2016"):
        assert tile.bbox is not None
        west, south, east, north = tile.bbox
        found = index.tiles_at(lon=(west + east) / 2, lat=(south + north) / 2)
        assert tile in found
        assert [one.date for one in found] == sorted((one.date for one in found), reverse=True)
        assert len({one.scene for one in found}) == len(found) == 2


def test_nothing_lies_elsewhere(index: Index) -> None:
    assert index.tiles_at(lon=10.0, lat=10.0) == []


def test_a_tile_across_the_antimeridian_is_found_on_both_sides(index: Index) -> None:
    found = {tile.scene for lon in (-180.0, 180.0) for tile in index.tiles_at(lon=lon, lat=_middle(index))}
    assert len(found) == 1
    assert "dateline" in found.pop()


def _middle(index: Index) -> float:
    (entry,) = [entry for entry in index.scenes() if "dateline" in entry.scene]
    assert entry.bbox is not None
    return (entry.bbox[1] + entry.bbox[3]) / 2


def test_the_days_of_a_tile_are_all_scenes_of_its_ground_the_earliest_first(index: Index) -> None:
    (tile, *_) = tiles_of(index, "2016")
    days = index.days(tile)
    assert [glimpse.tile.date and glimpse.tile.date.year for glimpse in days] == [2016, 2020]
    assert days[0].tile == tile
    assert days[1].window_px == tile.window_px, "the two scenes lie on the same ground"


def test_a_tile_without_a_place_has_its_own_day(index: Index) -> None:
    (tile, *_) = tiles_of(index, "photo")
    (day,) = index.days(tile)
    assert (day.tile, day.window_px) == (tile, tile.window_px)


def test_a_brush_touches_what_its_way_crosses_and_whose_middle_it_covers(index: Index) -> None:
    tiles = tiles_of(index, "2016")
    middles = {tile.tile: _middle_of(tile) for tile in tiles}
    (first, *_) = sorted(tiles, key=lambda tile: tile.window_px[:2])
    row = [tile for tile in tiles if tile.window_px[1] == first.window_px[1]]
    ends = sorted(middles[tile.tile] for tile in row)[:: len(row) - 1]
    found = index.tiles_along(ends, radius_m=1.0)
    assert {tile.tile for tile in found if "2016" in tile.scene} == {tile.tile for tile in row}
    assert {tile.scene for tile in found} >= {first.scene}
    assert len({tile.scene for tile in found}) == 2, "of each scene of the ground"
    (alone,) = [tile for tile in index.tiles_along([middles[first.tile]], radius_m=1.0) if "2016" in tile.scene]
    assert alone == first
    whole = index.tiles_along([middles[first.tile]], radius_m=100_000.0)
    assert {tile.tile for tile in tiles} <= {tile.tile for tile in whole}
    assert index.tiles_along([(10.0, 10.0)], radius_m=1.0) == []


def test_a_brush_crosses_the_antimeridian(index: Index) -> None:
    lat = _middle(index)
    (one,) = {tile.scene for tile in index.tiles_along([(179.99, lat), (180.01, lat)], radius_m=1.0)}
    assert "dateline" in one
    assert {tile.scene for tile in index.tiles_along([(-180.0, lat)], radius_m=1.0)} == {one}


def _middle_of(tile: Tile) -> tuple[float, float]:
    assert tile.bbox is not None
    west, south, east, north = tile.bbox
    return (west + east) / 2, (south + north) / 2
