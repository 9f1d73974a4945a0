"""How an answer is spread over the ground."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from fakes import ColourEncoder
from rsitr.errors import QueryError
from rsitr.search import Index
from rsitr.search.spread import HEXAGON_PX, MAP_PX, narrow, spread_hits
from rsitr.types import Hit, Tile, TileFilter

WORLD = (-180.0, -85.0, 180.0, 85.0)


def make_hits(points: list[tuple[float, float]], *, side: float = 0.001) -> list[Hit]:
    """Hits at points, in that order."""
    hits = []
    for rank, (lon, lat) in enumerate(points, start=1):
        east, north = lon + side, lat + side
        ring = ((lon, lat), (east, lat), (east, north), (lon, north), (lon, lat))
        tile = Tile(f"t{rank}", "s", (0, 0, 1, 1), footprint=ring, bbox=(lon, lat, east, north))
        hits.append(Hit(tile, score=1.0 / rank, rank=rank, relevance=1.0 / rank))
    return hits


def test_close_up_every_tile_is_a_cell(index_path: Path, encoder: ColourEncoder) -> None:
    index = Index.open(index_path, encoder=encoder)
    found = index.search("red", k=1)
    spread = index.spread(found, view=WORLD, zoom=20)
    assert not spread.joined
    expected = index.search("red", k=10_000, bbox=WORLD, every=True)
    suitable = index.search("red", k=10_000, bbox=WORLD)
    assert spread.n_tiles == suitable.n_tiles == spread.n_shown == len(spread.cells)
    scores = {hit.tile.tile: hit.score for hit in expected}
    assert {cell.tile: cell.score for cell in spread.cells}.items() <= scores.items()
    assert [cell.score for cell in spread.cells] == sorted(cell.score for cell in spread.cells), "the best last"
    rings = {hit.tile.tile: hit.tile.footprint for hit in expected}
    for cell in spread.cells:
        np.testing.assert_allclose(cell.ring, rings[cell.tile], atol=1e-6)


def test_the_limits_of_the_search_hold(index_path: Path, encoder: ColourEncoder) -> None:
    index = Index.open(index_path, encoder=encoder)
    whole = index.spread(index.search("red", k=1), view=WORLD, zoom=20)
    box = index.search("red", k=1, bbox=WORLD).hits[0].tile.bbox
    assert box is not None
    by_box = index.spread(index.search("red", k=1, bbox=box), view=WORLD, zoom=20)
    assert 0 < by_box.n_tiles < whole.n_tiles
    assert by_box.n_tiles == index.search("red", k=1, bbox=box).n_tiles
    by_view = index.spread(index.search("red", k=1), view=box, zoom=20)
    assert {cell.tile for cell in by_view.cells} == {cell.tile for cell in by_box.cells}
    elsewhere = (10.0, -80.0, 11.0, -79.0)
    assert index.spread(index.search("red", k=1, bbox=box), view=elsewhere, zoom=3).cells == ()
    early = index.spread(index.search("red", k=1, until=datetime.date(2017, 1, 1)), view=WORLD, zoom=20)
    assert 0 < early.n_tiles < whole.n_tiles
    with pytest.raises(QueryError, match="longitudes"):
        index.spread(index.search("red", k=1), view=(-500.0, 0.0, 0.0, 1.0), zoom=3)


def test_a_box_and_an_area_that_do_not_meet_leave_nothing(index_path: Path, encoder: ColourEncoder) -> None:
    area = ((((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0), (0.0, 0.0)),),)
    limits = narrow(TileFilter(bbox=(10.0, 0.0, 11.0, 1.0), area=area), view=WORLD)
    assert limits.area == ()
    index = Index.open(index_path, encoder=encoder)
    found = index.search("red", k=1, where=TileFilter(bbox=(10.0, 0.0, 11.0, 1.0), area=area))
    assert index.spread(found, view=WORLD, zoom=3).n_tiles == 0


def test_a_detector_and_marks_are_spread_too(index_path: Path, encoder: ColourEncoder) -> None:
    index = Index.open(index_path, encoder=encoder)
    found = index.search("red", k=6)
    from rsitr.search import Mark

    refined = index.refine(found.query, [Mark(found.hits[0].tile.tile, True), Mark(found.hits[-1].tile.tile, False)])
    spread = index.spread(refined, view=WORLD, zoom=20)
    assert spread.n_shown == index.spread(found, view=WORLD, zoom=20).n_shown
    assert all(cell.relevance is not None for cell in spread.cells)


@given(
    st.lists(st.tuples(st.floats(-179, 179), st.floats(-84, 84)), min_size=1, max_size=60),
    st.floats(0, 8),
)
def test_far_out_tiles_are_joined_in_hexagons_around_them(points: list[tuple[float, float]], zoom: float) -> None:
    hits = make_hits(points)
    spread = spread_hits(hits, n_tiles=1000, zoom=zoom)
    assert spread.joined
    assert sum(cell.n_tiles for cell in spread.cells) == spread.n_shown == len(points)
    assert spread.n_tiles == 1000
    by_id = {hit.tile.tile: hit for hit in hits}
    assert len({cell.tile for cell in spread.cells}) == len(spread.cells)
    px = 360.0 / (MAP_PX * 2.0**zoom)
    for cell in spread.cells:
        best = by_id[cell.tile]
        assert (cell.score, cell.relevance) == (best.score, best.relevance)
        west, south, _, _ = best.tile.bbox or WORLD
        # The tile's middle lies in its hexagon, but for what rounding of the corners takes away.
        near = shapely.Polygon(cell.ring).buffer(0.02 * HEXAGON_PX * px)
        assert near.contains(shapely.Point(west + 0.0005, south + 0.0005))
    scores = [cell.score for cell in spread.cells]
    assert scores == sorted(scores)


def test_hexagons_do_not_overlap() -> None:
    points = [(lon, lat) for lon in range(0, 10) for lat in range(40, 50)]
    cells = spread_hits(make_hits(points), n_tiles=100, zoom=4).cells
    shapes = [shapely.Polygon(cell.ring) for cell in cells]
    assert len(shapes) > 10
    overlap = max(a.intersection(b).area for i, a in enumerate(shapes) for b in shapes[:i])
    assert overlap < 1e-4 * shapes[0].area


def test_nothing_in_view_is_no_cell() -> None:
    spread = spread_hits([], n_tiles=0, zoom=3)
    assert (spread.cells, spread.joined, spread.n_shown) == ((), False, 0)
