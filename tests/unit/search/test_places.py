"""Hits merged into places, and places as other programs read them, checked by readers that are not ours."""

from __future__ import annotations

import csv
import dataclasses
import datetime
import io
import json
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace

import pyarrow.parquet as pq
import pystac
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import shape

from rsitr.formats import Place, outline_box, to_csv, to_geojson, to_geoparquet, to_stac
from rsitr.search import Query, SearchResult, merge_hits
from rsitr.search.query import Part
from rsitr.types import BBox, Hit, Tile, TileFilter

DEGREE = 0.001  # of a tile's side; a pixel is a hundredth of it
DAYS = {"a.tif": datetime.date(2010, 8, 1), "b.tif": datetime.date(2016, 8, 1), "c.tif": None, "none.tif": None}


def tile(scene: str, col: int, row: int, *, size: int = 100, west: float = 10.0) -> Tile:
    """A window of a scene whose upper left corner is at `west`, 50 degrees north."""
    pixel = DEGREE / 100
    left, top = west + col * pixel, 50.0 - row * pixel
    right, bottom = left + size * pixel, top - size * pixel
    ring = ((left, top), (left, bottom), (right, bottom), (right, top), (left, top))
    return Tile(
        tile=f"{scene}:{col},{row},{size},{size}",
        scene=scene,
        window_px=(col, row, size, size),
        footprint=None if scene == "none.tif" else ring,
        bbox=None if scene == "none.tif" else (left, bottom, right, top),
        date=DAYS.get(scene),
        gsd_m=1.1,
    )


def hits(tiles: Sequence[Tile]) -> list[Hit]:
    return [Hit(one, score=1.0 - 0.1 * i, rank=i + 1, relevance=0.9 - 0.1 * i) for i, one in enumerate(tiles)]


def answer(tiles: Sequence[Tile]) -> SearchResult:
    query = Query((Part("words", "a <river>"),), 10, TileFilter())
    return SearchResult(query, tuple(hits(tiles)), n_tiles=50, index="index", model="colour")


def test_windows_that_touch_are_one_place_and_corners_do_not_touch() -> None:
    found = merge_hits(
        hits([tile("a.tif", 0, 0), tile("a.tif", 300, 300), tile("a.tif", 100, 0), tile("a.tif", 200, 100)])
    )
    assert [place.n_tiles for place in found] == [2, 1, 1]
    first = found[0]
    assert first.outline is not None
    assert first.outline.geom_type == "Polygon"
    assert first.outline.area == pytest.approx(2 * DEGREE**2, rel=1e-3)
    assert (first.score, first.relevance, first.rank) == (1.0, 0.9, 1)
    assert first.sightings[0].window_px == (0, 0, 200, 100)
    assert first.place == "a.tif:0,0,100,100"


def test_windows_of_several_scales_merge() -> None:
    found = merge_hits(hits([tile("a.tif", 0, 0, size=400), tile("a.tif", 100, 100)]))
    assert [place.n_tiles for place in found] == [2]
    assert found[0].outline is not None
    assert found[0].outline.area == pytest.approx(16 * DEGREE**2, rel=1e-3)


def test_the_same_ground_on_several_days_is_one_place_with_a_time_line() -> None:
    found = merge_hits(hits([tile("b.tif", 0, 0), tile("c.tif", 10, 0), tile("a.tif", 5, 5), tile("a.tif", 900, 900)]))
    assert [len(place.sightings) for place in found] == [3, 1]
    line = found[0].sightings
    assert [seen.scene for seen in line] == ["a.tif", "b.tif", "c.tif"]  # by day, the undated one last
    assert found[0].dates == (datetime.date(2010, 8, 1), datetime.date(2016, 8, 1))
    assert found[0].best.tile.scene == "b.tif"


def test_neighbours_of_other_scenes_that_share_little_stay_apart() -> None:
    assert len(merge_hits(hits([tile("a.tif", 0, 0), tile("b.tif", 60, 0)]))) == 2
    assert len(merge_hits(hits([tile("a.tif", 0, 0), tile("b.tif", 40, 0)]))) == 1


def test_a_coarse_scene_swallows_no_distant_places() -> None:
    coarse = replace(tile("coarse.tif", 0, 0, size=22_000), gsd_m=100.0)
    found = merge_hits(hits([coarse, tile("a.tif", 1000, 1000), tile("b.tif", 20_000, 20_000)]))
    assert [(place.n_tiles, place.place) for place in found] == [
        (1, coarse.tile), (1, "a.tif:1000,1000,100,100"), (1, "b.tif:20000,20000,100,100"),
    ]  # fmt: skip
    world = ((-180.0, -90.0), (180.0, -90.0), (180.0, 90.0), (-180.0, 90.0), (-180.0, -90.0))
    globe = replace(coarse, tile="world.tif:0,0,9,9", scene="world.tif", footprint=world)
    found = merge_hits(hits([tile("a.tif", 0, 0), globe, tile("b.tif", 0, 0)]))
    assert [[seen.scene for seen in place.sightings] for place in found] == [["a.tif", "b.tif"], ["world.tif"]]


def test_no_chain_of_scales_leads_from_small_to_large() -> None:
    chain = [tile(f"{size}.tif", 0, 0, size=size) for size in (100, 300, 900, 2700)]
    assert [place.n_tiles for place in merge_hits(hits(chain))] == [2, 2]
    assert [place.n_tiles for place in merge_hits(hits(chain[:2]))] == [2]


def test_a_scene_of_several_scales_meets_others_at_the_scale_they_share() -> None:
    found = merge_hits(hits([tile("a.tif", 0, 0, size=800), tile("a.tif", 0, 0), tile("b.tif", 10, 10)]))
    assert [place.n_tiles for place in found] == [3]


def test_thousands_of_hits_take_seconds_and_little_memory() -> None:
    many = [tile(f"s{i % 20}.tif", 200 * (i // 20 % 32) + i % 3, 200 * (i // 640)) for i in range(6000)]
    ranked = [Hit(one, score=1.0 - i / 1e6, rank=i + 1) for i, one in enumerate(many)]
    tracemalloc.start()
    try:
        assert len(merge_hits(ranked)) == 300
        assert tracemalloc.get_traced_memory()[1] < 100e6
    finally:
        tracemalloc.stop()


def test_scenes_without_a_place_have_places_without_an_outline() -> None:
    found = merge_hits(hits([tile("none.tif", 0, 0), tile("none.tif", 100, 0), tile("none.tif", 500, 0)]))
    assert [(place.n_tiles, place.outline) for place in found] == [(2, None), (1, None)]


def test_unmerged_every_hit_is_a_place_and_no_hits_are_none() -> None:
    assert [place.n_tiles for place in merge_hits(hits([tile("a.tif", 0, 0)] * 2), merge=False)] == [1, 1]
    assert merge_hits([]) == ()


def test_a_place_across_the_antimeridian_is_cut_there() -> None:
    found = merge_hits(hits([tile("d.tif", 0, 0, west=179.9995), tile("d.tif", 100, 0, west=179.9995)]))
    outline = found[0].outline
    assert outline is not None
    assert outline.geom_type == "MultiPolygon"
    assert outline.bounds[0] == -180.0
    assert outline.bounds[2] == 180.0
    feature = json.loads(to_geojson(answer([]).to_answer(places=found)))["features"][0]
    west, _, east, _ = feature["bbox"]
    assert (west, east) == pytest.approx((179.9995, -179.9985), abs=1e-6)


@pytest.fixture
def result() -> SearchResult:
    return answer(
        [
            tile("b.tif", 0, 0),
            tile("a.tif", 0, 0),
            tile("b.tif", 100, 0),
            tile("c.tif", 700, 700),
            tile("none.tif", 0, 0),
        ]
    )


@pytest.fixture
def places(result: SearchResult) -> tuple[Place, ...]:
    return result.places()


def test_geojson_is_rfc_7946(places: tuple[Place, ...], result: SearchResult) -> None:
    found = json.loads(to_geojson(result.to_answer(places=places)))
    assert found["type"] == "FeatureCollection"
    assert (found["query"], found["matches"]) == ("“a <river>”", True)
    assert "crs" not in found
    kinds = []
    for place, feature in zip(places, found["features"], strict=True):
        assert set(feature) - {"bbox"} == {"type", "id", "geometry", "properties"}
        properties = feature["properties"]
        assert properties["sightings"][0]["scene"] == place.sightings[0].scene
        if feature["geometry"] is None:
            kinds.append(None)
            continue
        geometry = shape(feature["geometry"])
        kinds.append(geometry.geom_type)
        assert geometry.is_valid
        assert geometry.exterior.is_ccw
        assert geometry.bounds == pytest.approx(feature["bbox"])
        assert geometry.equals_exact(place.outline, 1e-9)
    assert kinds == ["Polygon", "Polygon", None]
    assert found["features"][0]["properties"]["first_date"] == "2010-08-01"


def test_csv_has_a_line_for_each_sighting(places: tuple[Place, ...], result: SearchResult) -> None:
    lines = list(csv.DictReader(io.StringIO(to_csv([result.to_answer(places=places)]))))
    assert [(line["rank"], line["scene"]) for line in lines] == [
        ("1", "a.tif"), ("1", "b.tif"), ("2", "c.tif"), ("3", "none.tif"),
    ]  # fmt: skip
    assert {line["query"] for line in lines} == {"“a <river>”"}
    assert shapely.from_wkt(lines[1]["wkt"]).area == pytest.approx(2 * DEGREE**2, rel=1e-3)
    assert (lines[3]["lon"], lines[3]["wkt"], lines[3]["date"]) == ("", "", "")


def test_geoparquet_carries_its_metadata(places: tuple[Place, ...], result: SearchResult) -> None:
    table = pq.read_table(io.BytesIO(to_geoparquet(result.to_answer(places=places))))
    about = json.loads(table.schema.metadata[b"geo"])
    assert (about["version"], about["primary_column"]) == ("1.1.0", "geometry")
    column = about["columns"]["geometry"]
    assert (column["encoding"], column["geometry_types"]) == ("WKB", ["Polygon"])
    geometries = [None if wkb is None else shapely.from_wkb(wkb) for wkb in table["geometry"].to_pylist()]
    assert geometries[2] is None
    assert shapely.total_bounds(geometries[:2]).tolist() == pytest.approx(column["bbox"])
    assert [len(seen) for seen in table["sightings"].to_pylist()] == [2, 1, 1]
    assert set(table["query"].to_pylist()) == {"“a <river>”"}
    empty = pq.read_table(io.BytesIO(to_geoparquet(answer([]).to_answer(places=()))))
    assert json.loads(empty.schema.metadata[b"rsitr"]) == {
        "query": "“a <river>”",
        "model": "colour",
        "matches": False,
        "state": "nothing",
        "relevance": None,
    }
    assert len(empty) == 0
    assert json.loads(empty.schema.metadata[b"geo"])["columns"]["geometry"]["geometry_types"] == []


def test_stac_items_are_read_by_pystac_and_undated_places_are_named(
    places: tuple[Place, ...], result: SearchResult
) -> None:
    text, left_out = to_stac([result.to_answer(places=places)], address=lambda scene: f"file:///archive/{scene}")
    items = pystac.ItemCollection.from_dict(json.loads(text))
    assert len(items) == 1
    (item,) = items
    assert item.datetime is None
    assert item.common_metadata.start_datetime == datetime.datetime(2010, 8, 1, tzinfo=datetime.UTC)
    assert item.common_metadata.end_datetime == datetime.datetime(2016, 8, 1, tzinfo=datetime.UTC)
    assert {name: (asset.href, asset.media_type) for name, asset in item.assets.items()} == {
        "a.tif": ("file:///archive/a.tif", pystac.MediaType.GEOTIFF),
        "b.tif": ("file:///archive/b.tif", pystac.MediaType.GEOTIFF),
    }
    assert item.properties["rsitr:rank"] == 1
    assert item.bbox == pytest.approx(shape(item.geometry).bounds)
    assert left_out == (
        "place 2 is no STAC item: the day of c.tif is unknown",
        "place 3 is no STAC item: the day of none.tif is unknown",
    )


def test_items_of_several_answers_have_ids_of_their_own(places: tuple[Place, ...], result: SearchResult) -> None:
    text, _ = to_stac([result.to_answer(places=places)] * 2, address=lambda scene: f"https://a.example/{scene}")
    ids = [item["id"] for item in json.loads(text)["features"]]
    assert len(set(ids)) == len(ids) == 2


def test_the_box_of_geoparquet_crosses_the_antimeridian_where_its_places_do() -> None:
    found = answer([tile("d.tif", 0, 0, west=179.9995), tile("a.tif", 0, 0, west=178.0)])
    table = pq.read_table(io.BytesIO(to_geoparquet(found.to_answer(places=found.places()))))
    west, _, east, _ = json.loads(table.schema.metadata[b"geo"])["columns"]["geometry"]["bbox"]
    assert (west, east) == pytest.approx((178.0, -179.9995), abs=1e-6)


def box_of(*parts: tuple[float, float]) -> BBox | None:
    return outline_box(shapely.MultiPolygon([shapely.box(west, 0.0, east, 1.0) for west, east in parts]))


def test_the_box_of_an_outline_that_was_cut_at_the_antimeridian() -> None:
    assert box_of((170.0, 180.0), (-180.0, -170.0)) == (170.0, 0.0, -170.0, 1.0)
    assert box_of((0.0, 180.0), (-180.0, -170.0)) == (0.0, 0.0, -170.0, 1.0)
    assert box_of((-10.0, 180.0), (-180.0, -150.0)) == (-10.0, 0.0, -150.0, 1.0)
    assert box_of((170.0, 180.0), (-180.0, 5.0)) == (170.0, 0.0, 5.0, 1.0)
    assert box_of((170.0, 180.0), (-180.0, -170.0), (150.0, 160.0)) == (150.0, 0.0, -170.0, 1.0)
    assert box_of((-180.0, 0.0), (0.0, 180.0)) == (-180.0, 0.0, 180.0, 1.0)
    assert box_of((-180.0, 180.0)) == (-180.0, 0.0, 180.0, 1.0)
    assert box_of((-170.0, -160.0), (160.0, 170.0)) == (-170.0, 0.0, 170.0, 1.0), "not cut, so not crossing"


def test_places_of_a_raster_from_0_to_360_degrees_have_boxes() -> None:
    def band(west: float, east: float) -> Tile:
        ring = ((west, 0.0), (east, 0.0), (east, 10.0), (west, 10.0), (west, 0.0))
        return replace(tile("globe.tif", int(west), 0, size=int(east - west)), footprint=ring, bbox=None, gsd_m=1e5)

    result = answer([band(0.0, 90.0), band(90.0, 180.0), band(180.0, 210.0)])
    (place,) = result.places()
    (feature,) = json.loads(to_geojson(result.to_answer(places=(place,))))["features"]
    assert feature["bbox"] == pytest.approx([0.0, 0.0, -150.0, 10.0])


def test_a_place_does_not_grow_by_what_does_not_match() -> None:
    row = hits([tile("a.tif", 100 * i, 0) for i in (0, 2, 1, 3)])
    sure = [dataclasses.replace(hit, relevance=value) for hit, value in zip(row, (0.9, 0.8, 0.3, None), strict=True)]
    places = merge_hits(sure, threshold=0.5)
    assert [[hit.rank for seen in place.sightings for hit in seen.hits] for place in places] == [[1], [2], [3], [4]]
    assert [place.rank for place in places] == [1, 2, 3, 4]
    assert [place.n_tiles for place in merge_hits(sure)] == [2, 1, 1], "a dip, and what nobody has judged, stay apart"


def test_two_peaks_are_one_place_only_where_relevance_stays_high_between_them() -> None:
    def row(*relevance: float) -> list[int]:
        order = sorted(range(len(relevance)), key=lambda i: -relevance[i])
        found = [
            Hit(tile("a.tif", 100 * i, 0), score=relevance[i], rank=rank, relevance=relevance[i])
            for rank, i in enumerate(order, start=1)
        ]
        return [place.n_tiles for place in merge_hits(found, threshold=0.5)]

    assert row(0.9, 0.95, 0.9, 0.94, 0.9) == [5]
    assert row(0.9, 0.95, 0.6, 0.94, 0.9) == [3, 2], "the dip belongs to the better neighbour"
    assert row(0.95, 0.9, 0.4, 0.94) == [2, 1, 1], "what does not match divides, and is a place of its own"


@given(st.lists(st.integers(1, 99), min_size=1, max_size=36, unique=True), st.data())
def test_more_hits_show_more_places_and_change_none(scores: list[int], data: st.DataObject) -> None:
    cells = data.draw(st.permutations([(scene, i) for scene in ("a.tif", "b.tif") for i in range(18)]))
    ranked = [
        Hit(tile(scene, 100 * (i % 6), 100 * (i // 6)), score=score / 100, rank=rank, relevance=score / 100)
        for rank, (score, (scene, i)) in enumerate(zip(sorted(scores, reverse=True), cells, strict=False), start=1)
    ]
    matching = [hit for hit in ranked if (hit.relevance or 0) >= 0.5]
    before: list[tuple[object, ...]] = []
    for k in range(1, len(ranked) + 1):
        whole = ranked if k > len(matching) else matching
        places = merge_hits(ranked[:k], threshold=0.5, further=whole)
        sure = [place for place in places if (place.relevance or 0) >= 0.5]
        told: list[tuple[object, ...]] = [(place.place, place.n_tiles, place.outline) for place in sure]
        assert told[: len(before)] == before, "a place that was there stays as it is"
        for place in places:
            assert place.position is not None
            assert place.outline is not None
            assert place.outline.contains(shapely.Point(place.position))
            assert all((hit.relevance or 0) >= 0.5 for seen in place.sightings for hit in seen.hits) == (place in sure)
        before = told
