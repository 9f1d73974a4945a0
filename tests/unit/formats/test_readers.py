"""What is written is read by programs that others wrote: GDAL (through pyogrio), geopandas, pystac's JSON Schema."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import jsonschema
import pyogrio
import pystac
import pytest
import shapely
from pystac.validation.local_validator import get_local_schema_cache
from referencing import Registry, Resource

from fakes import ColourEncoder
from rsitr.formats import to_csv, to_geojson, to_geoparquet, to_stac
from rsitr.search import Index, SearchResult


@pytest.fixture(scope="module")
def result(index_path: Path, encoder: ColourEncoder) -> SearchResult:
    index = Index.open(index_path, encoder=encoder)
    return index.search("yellow", k=100)  # everything: across the antimeridian, and without a place, too


def test_gdal_and_geopandas_read_the_places(result: SearchResult, tmp_path: Path) -> None:
    places = result.places()
    answer = result.to_answer(places=places)
    wanted = {place.place: place for place in places}
    geojson, parquet = tmp_path / "places.geojson", tmp_path / "places.parquet"
    geojson.write_text(to_geojson(answer), encoding="utf-8")
    parquet.write_bytes(to_geoparquet(answer))
    by_gdal, by_arrow = pyogrio.read_dataframe(geojson), geopandas.read_parquet(parquet)
    for table in (by_gdal, by_arrow):
        assert table.crs is not None
        assert table.crs.to_string() in {"EPSG:4326", "OGC:CRS84"}
        assert set(table["place"]) == set(wanted)
        placed = table[table.geometry.notna()]
        assert len(placed) == sum(place.outline is not None for place in places) > 0
        assert placed.geometry.is_valid.all()
        parts = shapely.get_parts(placed.geometry.to_numpy())
        assert len(parts) > len(placed), "one is cut at the antimeridian"
        assert shapely.is_ccw(shapely.get_exterior_ring(parts)).all()
        for name, geometry in zip(placed["place"], placed.geometry, strict=True):
            assert geometry.equals_exact(wanted[name].outline, 1e-6) or geometry.equals(wanted[name].outline)
    assert [len(seen) for seen in by_arrow["sightings"]] == [len(place.sightings) for place in places]


def test_gdal_reads_the_hits_and_the_csv(result: SearchResult, tmp_path: Path) -> None:
    hits, lines = tmp_path / "hits.geojson", tmp_path / "places.csv"
    hits.write_text(to_geojson(result.to_answer()), encoding="utf-8")
    found = pyogrio.read_dataframe(hits)
    assert list(found["tile"]) == [hit.tile.tile for hit in result]
    for hit, geometry in zip(result, found.geometry, strict=True):
        assert (geometry is None) == (hit.tile.bbox is None)
        if geometry is not None and hit.tile.bbox is not None:
            west, south, east, north = geometry.bounds
            crosses = hit.tile.bbox[0] > hit.tile.bbox[2]
            assert (west, east) == pytest.approx((-180, 180) if crosses else (hit.tile.bbox[0], hit.tile.bbox[2]))
            assert (south, north) == pytest.approx((hit.tile.bbox[1], hit.tile.bbox[3]))
    lines.write_text(to_csv(result.to_answer(places=result.places())), encoding="utf-8")
    table = pyogrio.read_dataframe(lines, GEOM_POSSIBLE_NAMES="wkt", KEEP_GEOM_COLUMNS="NO")
    assert len(table) == sum(len(place.sightings) for place in result.places())
    assert table.geometry.notna().sum() == sum(s.outline is not None for p in result.places() for s in p.sightings)


def test_stac_items_obey_their_schema(result: SearchResult) -> None:
    text, _ = to_stac([result.to_answer(places=result.places())], address=lambda scene: f"https://a.example/{scene}")
    schemas = get_local_schema_cache()
    registry: Registry[dict[str, object]] = Registry().with_resources(
        (name, Resource.from_contents(schema)) for name, schema in schemas.items()
    )
    version = json.loads(text)["features"][0]["stac_version"]
    address = f"https://schemas.stacspec.org/v{version}/item-spec/json-schema/item.json"
    validator = jsonschema.Draft7Validator(schemas[address], registry=registry)
    items = json.loads(text)["features"]
    assert items
    for item in items:
        validator.validate(item)
        assert pystac.Item.from_dict(item).id == item["id"]
    with pytest.raises(jsonschema.ValidationError):
        validator.validate({**items[0], "properties": {}})
