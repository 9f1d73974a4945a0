"""Areas of interest from GeoJSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rsitr.errors import QueryError
from rsitr.geo import area_from_geojson, area_shape, read_area

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
    (tmp_path / "area.shp").write_bytes(b"\x00\x00\x27\x0a")
    with pytest.raises(QueryError, match=r"this is no GeoJSON .* `ogr2ogr` converts"):
        read_area(tmp_path / "area.shp")


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
