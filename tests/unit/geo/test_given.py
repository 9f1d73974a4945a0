"""Areas that people hand over: every kind by its content, and what means ill."""

from __future__ import annotations

import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import geopandas
import pytest
import shapely

from rsitr.errors import QueryError
from rsitr.geo import area_km2, parse_area
from rsitr.geo.given import MOST_CORNERS, read_given

SQUARE = shapely.box(7.0, 46.0, 7.1, 46.1)
KML = """<?xml version="1.0" encoding="UTF-8"?><!-- drawn --><kml xmlns="http://www.opengis.net/kml/2.2"><Document>
<Placemark><name>field</name><Polygon><outerBoundaryIs><LinearRing><coordinates>
7,46,0 7.1,46,0 7.1,46.1,0 7,46.1,0 7,46,0</coordinates></LinearRing></outerBoundaryIs></Polygon></Placemark>
</Document></kml>"""
GPX = """<?xml version="1.0"?><gpx version="1.1" creator="t" xmlns="http://www.topografix.com/GPX/1/1">{}</gpx>"""
TRACK = '<trk><trkseg><trkpt lat="46" lon="7"/><trkpt lat="46" lon="7.1"/>{}</trkseg></trk>'


def gpkg(shape: Any, folder: Path, *, crs: str = "EPSG:4326") -> bytes:
    path = folder / "area.gpkg"
    geopandas.GeoDataFrame(geometry=[shape], crs="EPSG:4326").to_crs(crs).to_file(path)
    return path.read_bytes()


def test_every_kind_is_known_by_its_content(tmp_path: Path) -> None:
    feature = {"type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(SQUARE)}
    for content in (
        json.dumps(feature).encode(),
        b"\xef\xbb\xbf" + json.dumps(feature).encode(),
        KML.encode(),
        gpkg(SQUARE, tmp_path),
        gpkg(SQUARE, tmp_path, crs="EPSG:32632"),
        SQUARE.wkt.encode(),
        f"SRID=4326;{SQUARE.wkt}".encode(),
        GPX.format(
            TRACK.format('<trkpt lat="46.1" lon="7.1"/><trkpt lat="46.1" lon="7"/><trkpt lat="46" lon="7"/>')
        ).encode(),
    ):
        found = read_given(content, around_m=250)
        shape = shapely.geometry.shape(found.geometry)
        assert shape.symmetric_difference(SQUARE).area < 1e-6 * SQUARE.area, content[:40]
        assert (found.n_outlines, found.n_corners, found.note) == (1, 4, "")


def test_a_track_and_places_are_widened() -> None:
    along = read_given(GPX.format(TRACK.format("")).encode(), around_m=500)
    assert along.note == "1 line: 500 m around", "the points of the track are not told twice"
    shape = shapely.geometry.shape(along.geometry)
    ring = tuple(shape.exterior.coords)
    length_km = 0.1 * 111.32 * 0.69466
    assert area_km2([ring]) == pytest.approx(length_km * 1.0 + 3.1416 * 0.25, rel=0.02)
    places = read_given(b"MULTIPOINT (7 46, 8 47)", around_m=100)
    assert (places.n_outlines, places.note) == (2, "2 points: 100 m around")


def test_an_outline_with_very_many_corners_is_simplified() -> None:
    coast = shapely.Point(7, 46).buffer(0.1, quad_segs=5000)
    found = read_given(coast.wkt.encode(), around_m=1)
    assert found.n_corners <= MOST_CORNERS
    assert found.note.startswith("simplified by up to ")
    assert shapely.geometry.shape(found.geometry).symmetric_difference(coast).area < 1e-3 * coast.area


def test_holes_and_the_antimeridian_stay() -> None:
    hole = shapely.box(0, 0, 3, 3) - shapely.box(1, 1, 2, 2)
    assert len(read_given(hole.wkt.encode(), around_m=1).geometry["coordinates"]) == 2
    far = read_given(shapely.box(179, 0, 181, 1).wkt.encode(), around_m=1)
    assert far.geometry["type"] == "MultiPolygon"
    assert shapely.geometry.shape(far.geometry).bounds == (-180, 0, 180, 1)


def database() -> bytes:
    with closing(sqlite3.connect(":memory:")) as connection:  # Python 3.13 warns of one that is left open
        connection.execute("CREATE TABLE a (b)")
        return connection.serialize()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"hello there", "no area that can be read"),
        (b"\x89PNG\r\n\x1a\n", "no area that can be read"),
        (b"PK\x03\x04" + b"x" * 50, "no area that can be read"),
        (database(), "no GeoPackage"),
        (b"{", "breaks off"),
        (b'{"type": "Feature", "geometry": null}', "no polygon, line or point"),
        (b'{"type": "Point", "coordinates": [7]}', "what they say"),
        (b'{"type": "Point", "coordinates": [4e5, 5e6]}', "not on Earth"),
        (b'{"type": "LineString", "coordinates": [[1e400, 0], [1, 1]]}', "not on Earth"),
        (b'{"type":"Polygon","coordinates":[[[0,0],[1,0],[2,0],[0,0]]]}', "no extent"),
        (b"[" * 100_000, "breaks off"),
        (b"POLYGON ((0 0, 1 1", "cannot be read"),
        (b"POLYGON EMPTY", "no polygon, line or point"),
        (b"POINT (400000 5000000)", "not on Earth"),
        (b"SRID=32632;POINT (1 2)", "SRID 4326"),
        (b"GEOMETRYCOLLECTION(" * 50_000, "nested too deeply"),
        (b"<gml:FeatureCollection xmlns:gml='http://www.opengis.net/gml'/>", "neither KML nor GPX"),
        (b"<OGRVRTDataSource><OGRVRTLayer/></OGRVRTDataSource>", "neither KML nor GPX"),
        (b"<!DOCTYPE kml [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><kml>&a;</kml>", "document type"),
        (b"<kml><Document>", "damaged|no polygon"),
        (KML.replace("7.1,46,0", "999999,46,0").encode(), "not on Earth"),
    ],
)
def test_what_is_no_area_is_refused_in_words(content: bytes, said: str) -> None:
    with pytest.raises(QueryError, match=said):
        read_given(content, around_m=250)


def test_a_damaged_geopackage_is_refused(tmp_path: Path) -> None:
    whole = gpkg(SQUARE, tmp_path)
    for cut in (200, 5000, len(whole) // 2):
        with pytest.raises(QueryError, match=r"damaged|no polygon"):
            parse_area(whole[:cut])


def test_a_process_of_its_own_reads_the_same_and_hands_on_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse_area(KML.encode()) == read_given(KML.encode(), around_m=250)
    with pytest.raises(QueryError, match="no area that can be read"):
        parse_area(b"hello")
    monkeypatch.setattr("rsitr.geo.given.TIME_S", 0.001)
    with pytest.raises(QueryError, match="simplify"):
        parse_area(KML.encode())


def test_a_zigzag_without_end_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred thousand sides that all cross: nobody waits for its crossings."""
    monkeypatch.setattr("rsitr.geo.given.TIME_S", 3)
    file = io.StringIO()
    file.write("POLYGON ((")
    file.write(",".join(f"{i % 2 * 10} {(i * 7919) % 100_003 / 20_000}" for i in range(100_000)))
    file.write(",0 0))")
    with pytest.raises(QueryError):
        parse_area(file.getvalue().encode())


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rsitr.extras.has_package", lambda _package: False)
    with pytest.raises(QueryError, match=r"reading KML needs pyogrio.*rsitr\[gis\]"):
        read_given(KML.encode(), around_m=250)
    assert read_given(SQUARE.wkt.encode(), around_m=250).n_corners == 4
