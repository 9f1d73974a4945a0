"""What other programs get: JSON, GeoJSON, CSV, and the page with pictures."""

from __future__ import annotations

import base64
import csv
import dataclasses
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import shapely
from PIL import Image
from shapely.geometry import shape

from answers import sample_result
from fakes import COLOURS, ColourEncoder
from rsitr.errors import SceneError
from rsitr.formats import ContactSheet, make_sheet, to_csv, to_geojson, to_json
from rsitr.formats.map import draw_map
from rsitr.search import Index, SearchResult
from rsitr.types import ImageArray, Tile


@pytest.fixture
def index(index_path: Path, encoder: ColourEncoder) -> Index:
    return Index.open(index_path, encoder=encoder)


@pytest.fixture
def result(index: Index) -> SearchResult:
    return index.search("green & <i>yellow</i>", k=13)


def draw_sheet(index: Index, result: SearchResult) -> ContactSheet:
    return make_sheet(result.to_answer(), pictures=index)


def test_geojson_is_rfc_7946(result: SearchResult) -> None:
    found = json.loads(to_geojson(result.to_answer()))
    assert set(found) == {"type", "query", "model", "matches", "state", "relevance", "features"}
    assert (found["type"], found["query"]) == ("FeatureCollection", "“green & <i>yellow</i>”")
    assert len(found["features"]) == 13
    kinds = []
    for hit, feature in zip(result, found["features"], strict=True):
        assert set(feature) - {"bbox"} == {"type", "id", "geometry", "properties"}
        assert (feature["type"], feature["id"]) == ("Feature", hit.tile.tile)
        assert feature.get("bbox") == (hit.tile.bbox and pytest.approx(hit.tile.bbox, abs=1e-6))
        properties = feature["properties"]
        assert (properties["rank"], properties["tile"]) == (hit.rank, hit.tile.tile)
        assert properties["score"] == pytest.approx(hit.score, abs=1e-6)
        assert "/" not in properties["scene"]
        assert properties["path"].endswith(properties["scene"])
        if feature["geometry"] is None:
            kinds.append(None)
            continue
        geometry = shape(feature["geometry"])
        kinds.append(geometry.geom_type)
        assert geometry.is_valid
        parts = getattr(geometry, "geoms", [geometry])
        assert all(part.exterior.is_ccw for part in parts)
        assert all(-180 <= lon <= 180 and -90 <= lat <= 90 for part in parts for lon, lat in part.exterior.coords)
        assert hit.tile.bbox is not None
        if geometry.geom_type == "Polygon":
            assert geometry.bounds == pytest.approx(hit.tile.bbox, abs=1e-4)
    assert kinds.count(None) == 1  # the photo
    assert kinds.count("MultiPolygon") == 2  # the west half of the scene at the antimeridian is cut by it
    dates = {feature["properties"]["scene"]: feature["properties"]["date"] for feature in found["features"]}
    assert dates == {
        "north_20160816.tif": "2016-08-16",
        "values_20200101.tif": "2020-01-01",
        "<b>dateline.tif": None,
        "photo.png": None,
    }


def test_geojson_of_several_answers_is_one_collection(index: Index) -> None:
    results = [index.search(colour, k=2) for colour in ("red", "blue")]
    hits = [result.to_answer() for result in results]
    places = [result.to_answer(places=result.places()) for result in results]
    for answers in (hits, places):
        found = json.loads(to_geojson(answers))
        assert [told["query"] for told in found["queries"]] == ["“red”", "“blue”"]
        assert {feature["properties"]["query"] for feature in found["features"]} == {"“red”", "“blue”"}


def test_json_tells_the_query_and_the_hits(index: Index) -> None:
    found = json.loads(to_json(index.search("green", bbox=(-100, 40, -99, 48), k=2).to_answer()))
    assert found["query"]["text"] == "green"
    assert found["query"]["bbox"] == [-100, 40, -99, 48]
    assert (found["index"], found["model"], found["n_tiles"]) == ("index", "colour", 8)
    assert [hit["rank"] for hit in found["hits"]] == [1, 2]
    assert found["hits"][0]["window_px"] == [64, 0, 64, 64]
    assert found["hits"][0]["gsd_m"] == pytest.approx(5.0, rel=1e-3)
    assert shape(found["hits"][0]["footprint"]).bounds == pytest.approx(found["hits"][0]["bbox"], abs=1e-4)


def test_csv_has_a_line_per_hit(result: SearchResult) -> None:
    lines = list(csv.DictReader(io.StringIO(to_csv(result.to_answer()))))
    assert [line["tile"] for line in lines] == [hit.tile.tile for hit in result]
    photo = next(line for line in lines if line["scene"] == "photo.png")
    assert (photo["lon"], photo["date"], photo["gsd_m"], photo["width"]) == ("", "", "", "64")
    north = next(line for line in lines if line["path"] == "north_20160816.tif")
    assert float(north["west"]) < float(north["lon"]) < float(north["east"])
    assert (north["date"], north["sensor"]) == ("2016-08-16", "NAIP")


class Page(HTMLParser):
    """What a browser would find in a page: tags, sources, text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in {"src", "href", "srcset"}]

    def handle_data(self, data: str) -> None:
        self.words.append(data.strip())


def test_the_contact_sheet_needs_no_other_file(index: Index, result: SearchResult) -> None:
    sheet = draw_sheet(index, result)
    page = Page(sheet.html)
    assert sheet.missing == ()
    assert page.tags.count("li") == page.tags.count("img") == 13
    assert all(source.startswith("data:image/jpeg;base64,") for source in page.sources)
    assert "link" not in page.tags
    assert "script" not in page.tags
    assert not re.search(r"url\(|@import|https?:", sheet.html)


def test_the_contact_sheet_shows_what_was_found(index: Index) -> None:
    page = Page(draw_sheet(index, index.search("yellow", k=1)).html)
    picture = Image.open(io.BytesIO(base64.b64decode(page.sources[0].split(",", 1)[1])))
    assert np.abs(np.array(picture)[32, 32].astype(int) - COLOURS["yellow"]).max() <= 3
    assert {"photo.png", "1.000", "date unknown", "no known place", "64 × 64 px"} <= set(page.words)
    dated = Page(draw_sheet(index, index.search("red", sensor="NAIP", k=1)).html)
    assert {"2016-08-16", "47.0351° N, 99.1835° W", "320 × 320 m, 5 m per pixel"} <= set(dated.words)


def test_the_page_has_a_map_with_coordinates(index: Index, result: SearchResult) -> None:
    html = draw_sheet(index, result).html
    page = Page(html)
    assert page.tags.count("svg") == 1
    assert page.tags.count("title") == 1 + 12  # the page's, and an outline's for each hit but the photo
    assert page.words.count("Relevance") == sum(hit.relevance is not None for hit in result) > 5
    assert "relevance 0." not in html
    near = draw_sheet(index, index.search("red", sensor="NAIP", k=2)).html
    assert {"47.035° N", "47.034° N"} & set(Page(near).words)
    assert "svg" not in Page(draw_sheet(index, index.search("yellow", k=1)).html).tags


def test_a_map_across_the_antimeridian_stays_in_one_piece() -> None:
    west, east = shapely.box(179.0, 10.0, 180.0, 11.0), shapely.box(-180.0, 10.0, -179.0, 11.0)
    drawn = draw_map([(1, shapely.MultiPolygon([west, east])), (2, shapely.box(-179.0, 10.0, -178.9999, 10.0001))])
    width = float(re.findall(r'viewBox="0 0 ([\d.]+)', drawn)[0])
    paths = re.findall(r'<path d="([^"]+)"', drawn)
    assert len(paths) == 2
    assert "a9 9" in paths[0], "what is small has a ring"
    xs = [float(x) for x in re.findall(r"[ML]([\d.]+) ", paths[1])]
    assert 0 < min(xs) < width / 4
    assert 3 * width / 4 < max(xs) < width
    assert {"180° E", "179° W"} <= set(re.findall(r">([\d.]+° [EW])<", drawn))
    assert draw_map([]) == ""


def test_a_map_of_the_pole_has_no_latitudes_beyond_it() -> None:
    drawn = draw_map([(1, shapely.box(-180.0, -90.0, 180.0, 90.0))])
    latitudes = [float(value) for value in re.findall(r">([\d.]+)° [NS]<", drawn)]
    assert latitudes
    assert max(latitudes) <= 90.0
    tiny = draw_map([(1, shapely.box(0.0, 0.0, 1e-5, 1e-5))])
    assert not re.search(r"\de[-+]\d", tiny), "no powers of ten"


def test_a_tile_that_spans_the_globe_has_readable_numbers() -> None:
    tile = Tile("w.tif:0,0,360,180", "w.tif", (0, 0, 360, 180), footprint=None, bbox=None, date=None, gsd_m=111_319.5)
    found = sample_result()
    hit = dataclasses.replace(found.hits[0], tile=tile)
    html = make_sheet(dataclasses.replace(found, hits=(hit,)).to_answer(), pictures=NoPictures()).html
    (said,) = (words for words in Page(html).words if words.startswith("40,100 × 20,000 km, 110,000 m per pixel"))
    assert said.endswith("m can show nothing to a model")


class NoPictures:
    def picture(self, tile: Tile, *, max_px: int) -> ImageArray:
        raise SceneError("none")


def test_a_map_shows_holes() -> None:
    ring = shapely.box(10.0, 10.0, 11.0, 11.0).difference(shapely.box(10.4, 10.4, 10.6, 10.6))
    (path,) = re.findall(r'<path d="([^"]+)"', draw_map([(1, ring)]))
    assert path.count("Z") == 2


def test_nothing_of_a_query_or_a_name_becomes_markup(index: Index, result: SearchResult) -> None:
    html = draw_sheet(index, result).html
    page = Page(html)
    assert not {"i", "b"} & set(page.tags)
    assert "“green & <i>yellow</i>”" in page.words
    assert "<b>dateline.tif" in page.words


def test_missing_sources_get_a_placeholder_and_are_listed(index: Index, index_path: Path) -> None:
    photo = index_path.parent / "scenes" / "photo.png"
    hidden = photo.rename(photo.with_suffix(".hidden"))
    try:
        sheet = draw_sheet(index, index.search("yellow", k=3))
    finally:
        hidden.rename(photo)
    page = Page(sheet.html)
    assert len(sheet.missing) == 1
    assert re.fullmatch(r"no picture of hit 1: .*photo\.png: no such file", sheet.missing[0])
    assert page.tags.count("img") == 2
    assert "the source image is missing or cannot be read" in page.words


def test_a_search_without_hits_is_a_page_too(index: Index) -> None:
    result = index.search("red", bbox=(0, 0, 1, 1))
    assert "No tile lies within these limits." in Page(draw_sheet(index, result).html).words
    assert json.loads(to_geojson(result.to_answer())) == {
        "type": "FeatureCollection", "query": "“red” within 0, 0, 1, 1", "model": "colour", "matches": False,
        "state": "nothing", "relevance": None, "features": [],
    }  # fmt: skip
    assert to_csv(result.to_answer()).count("\n") == 1
