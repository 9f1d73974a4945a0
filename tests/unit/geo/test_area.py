"""Areas of interest from files of several kinds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas
import pytest
import shapely

from rsitr.errors import QueryError
from rsitr.geo import area_from_geojson, area_from_geometry, area_shape, read_area

SQUARE = [[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]
HOLE = [[0.5, 0.5], [0.5, 1.5], [1.5, 1.5], [1.5, 0.5], [0.5, 0.5]]
FAR = [[179, 0], [181, 0], [181, 1], [179, 1], [179, 0]]


def feature(geometry: Any) -> dict[str, Any]:
    return {"type": "Feature", "properties": {}, "geometry": geometry}


def test_polygons_are_found_wherever_they_stand(tmp_path: Path) -> None:
    polygon = {"type": "Polygon", "coordinates": [SQUARE, HOLE]}
    several = {"type": "MultiPolygon", "coordinates": [[SQUARE], [[[*point, 7.0] for point in FAR]]]}
    point = {"type": "Point", "coordinates": [1, 1]}
    found = {
        "type": "FeatureCollection",
        "features": [
            feature(polygon),
            feature(point),
            feature(None),
            feature({"type": "GeometryCollection", "geometries": [several]}),
        ],
    }
    path = tmp_path / "area.geojson"
    path.write_text(json.dumps(found), encoding="utf-8-sig")  # as some programs write it
    area = read_area(path)
    assert [len(rings) for rings in area] == [2, 1, 1]
    assert area[2][0][1] == (181.0, 0.0)
    assert area_shape(area[:1]).area == pytest.approx(3.0)
    cut = area_shape(area[2:])
    assert cut.bounds == (-180.0, 0.0, 180.0, 1.0)
    assert cut.area == pytest.approx(2.0)


def test_an_outline_that_crosses_itself_is_made_good() -> None:
    bow = {"type": "Polygon", "coordinates": [[[0, 0], [2, 2], [2, 0], [0, 2], [0, 0]]]}
    assert area_shape(area_from_geojson(bow)).area == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([], "no polygon"),
        ({"type": "Point", "coordinates": [1, 2]}, "no polygon"),
        ({"type": "Polygon", "coordinates": [SQUARE[:-1]]}, "does not end where it begins"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 0]]]}, "fewer than four"),
        ({"type": "Polygon", "coordinates": [7]}, "no list of positions"),
        ({"type": "Polygon", "coordinates": [[[500000, 5200000]] * 4]}, "not on Earth; GeoJSON is longitude, latitude"),
    ],
)
def test_what_is_no_area(found: Any, said: str, tmp_path: Path) -> None:
    path = tmp_path / "area.geojson"
    path.write_text(json.dumps(found))
    with pytest.raises(QueryError, match=rf"area\.geojson: .*{said}"):
        read_area(path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="cannot be read"):
        read_area(tmp_path / "missing.geojson")
    (tmp_path / "area.tab").write_bytes(b"\x00\x00\x27\x0a")
    with pytest.raises(QueryError, match=r"this is no GeoJSON .* `ogr2ogr` converts"):
        read_area(tmp_path / "area.tab")


@pytest.mark.parametrize(
    "found",
    [
        {"type": "Polygon", "coordinates": 5},
        {"type": "MultiPolygon", "coordinates": 5},
        {"type": "FeatureCollection", "features": 5},
        {"type": {}, "coordinates": []},
        {"type": "Polygon", "coordinates": [[[10**400, 0]] * 4]},
    ],
)
def test_what_only_looks_like_geojson_is_refused(found: object) -> None:
    with pytest.raises(QueryError):
        area_from_geojson(found)


def test_collections_within_collections_without_end_are_refused() -> None:
    found: dict[str, object] = {"type": "Point"}
    for _ in range(5000):
        found = {"type": "GeometryCollection", "geometries": [found]}
    with pytest.raises(QueryError, match="no GeoJSON"):
        area_from_geojson(found)


@pytest.mark.parametrize("ending", ["gpkg", "shp", "kml", "fgb", "wkt"])
def test_polygons_of_other_programs_are_read(tmp_path: Path, ending: str) -> None:
    square = shapely.Polygon(SQUARE, [HOLE])
    path = tmp_path / f"area.{ending}"
    if ending == "wkt":
        path.write_text(square.wkt, encoding="utf-8")
    else:
        frame = geopandas.GeoDataFrame({"Name": ["a"]}, geometry=[square], crs="EPSG:4326")
        frame.to_file(path, driver={"kml": "LIBKML"}.get(ending))
    assert area_shape(read_area(path)).equals(square)


def test_other_coordinates_become_degrees(tmp_path: Path) -> None:
    square = shapely.box(500_000, 5_000_000, 510_000, 5_010_000)
    geopandas.GeoDataFrame(geometry=[square], crs="EPSG:32632").to_file(tmp_path / "utm.gpkg")
    west, south, east, north = area_shape(read_area(tmp_path / "utm.gpkg")).bounds
    assert (west, south) == pytest.approx((9.0, 45.15), abs=0.01)
    assert (east, north) == pytest.approx((9.13, 45.24), abs=0.01)


@pytest.mark.parametrize(("name", "content"), [("a.gpkg", b"no database"), ("a.wkt", b"POLYGON ((0"), ("a.shp", b"")])
def test_what_is_no_layer_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(QueryError, match=name):
        read_area(tmp_path / name)


def test_a_layer_without_polygons_is_refused(tmp_path: Path) -> None:
    geopandas.GeoDataFrame(geometry=[shapely.Point(1, 1)], crs="EPSG:4326").to_file(tmp_path / "points.gpkg")
    with pytest.raises(QueryError, match=r"points\.gpkg: no polygon in it"):
        read_area(tmp_path / "points.gpkg")


@pytest.mark.parametrize(
    ("kind", "coordinates", "meets", "misses"),
    [
        ("Point", [1, 1], (1, 1), (1.001, 1)),
        ("MultiPoint", [[1, 1], [3, 3, 7]], (3, 3), (2, 2)),
        ("LineString", [[0, 0], [2, 2]], (1, 1), (1, 1.001)),
        ("MultiLineString", [[[0, 0], [0, 0]], [[5, 90], [5, 80]]], (5, 85), (5.001, 85)),
        ("Polygon", [SQUARE, HOLE], (0.2, 0.2), (1, 1)),
    ],
)
def test_points_and_lines_are_areas_of_a_metre(
    kind: str, coordinates: Any, meets: tuple[float, float], misses: tuple[float, float]
) -> None:
    geometry = {"type": kind, "coordinates": coordinates}
    for found in (geometry, {"type": "GeometryCollection", "geometries": [geometry]}):
        shape = area_shape(area_from_geometry(found))
        assert shape.intersects(shapely.Point(meets))
        assert not shape.intersects(shapely.Point(misses))


@pytest.mark.parametrize(
    "found",
    [
        {"type": "Point"},
        {"type": "Point", "coordinates": []},
        {"type": "Point", "coordinates": ["a", "b"]},
        {"type": "Point", "coordinates": [0, 91]},
        {"type": "MultiPoint", "coordinates": 5},
        {"type": "LineString", "coordinates": []},
        {"type": "LineString", "coordinates": {"a": 1}},
        {"type": "MultiLineString", "coordinates": [[[1e999, 0], [0, 0]]]},
        {"type": "GeometryCollection", "geometries": []},
        {"type": "GeometryCollection", "geometries": 3},
        {"type": ["Point"], "coordinates": [0, 0]},
        "POINT (0 0)",
    ],
)
def test_what_is_no_geometry_is_said(found: Any) -> None:
    with pytest.raises(QueryError):
        area_from_geometry(found)
