"""An index's tiles for others: read by geopandas, DuckDB and pystac, and back again to the last bit."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import duckdb
import geopandas
import jsonschema
import numpy as np
import pandas
import pyarrow.parquet as pq
import pystac
import pytest
import shapely
from pystac.validation.local_validator import get_local_schema_cache
from referencing import Registry, Resource

from fakes import ColourEncoder
from rsitr.errors import ConfigError, StoreError
from rsitr.formats import write_embedding_stac, write_tiles
from rsitr.index import IndexFolder, LanceStore, import_embeddings, open_index
from rsitr.search import Index


@pytest.fixture(scope="module")
def opened(index_path: Path) -> IndexFolder:
    return open_index(index_path)


@pytest.fixture(scope="module")
def file(opened: IndexFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("out") / "tiles.parquet"
    write_tiles(opened, path)
    return path


def rows_of(index: IndexFolder) -> tuple[Any, bytes]:
    """All columns and vectors, sorted by id."""
    assert isinstance(index.store, LanceStore)
    matrix = index.store.load()
    order = np.argsort(matrix.rows["tile"].to_pylist())
    return matrix.rows.take(order), matrix.vectors[order].tobytes()


def test_geopandas_reads_places_and_times(opened: IndexFolder, file: Path) -> None:
    table = geopandas.read_parquet(file)
    assert table.crs.to_string() == "OGC:CRS84"
    tiles = {tile.tile: tile for tile in opened.store.tiles(table["id"].tolist())}
    assert len(tiles) == len(table) == len(opened.store)
    placed = table[table.geometry.notna()]
    assert len(placed) == sum(tile.footprint is not None for tile in tiles.values()) < len(table)
    assert placed.geometry.is_valid.all()
    west, _, east, _ = placed.total_bounds
    assert west >= -180.0
    assert east <= 180.0
    assert "MultiPolygon" in set(placed.geom_type), "one is cut at the antimeridian"
    for _, row in placed.iterrows():
        tile = tiles[row["id"]]
        assert row.geometry.area == pytest.approx(shapely.Polygon(tile.footprint).area)
        assert row["scene"] == tile.scene
        assert tuple(row["window_px"]) == tile.window_px
        assert (None if tile.date is None else row["datetime"].date()) == tile.date
        assert (row["datetime"] is pandas.NaT) == (tile.date is None)
    vectors = np.stack(table["embedding"].to_list())
    assert vectors.dtype == np.float32
    assert vectors.tobytes() == opened.store.vectors(table["id"].tolist()).tobytes()
    inside = geopandas.read_parquet(file, bbox=(-179.9999, -90, -179.0, 90))  # by the column of boxes
    assert set(placed[placed.geom_type == "MultiPolygon"]["id"]) <= set(inside["id"])


def test_duckdb_searches_in_it(opened: IndexFolder, file: Path) -> None:
    index = Index.open(opened.path, encoder=ColourEncoder(image_size_px=64))
    hits = opened.store.search(index.encoder.encode_texts(["red"]).global_emb[0], k=5)
    vector = index.encoder.encode_texts(["red"]).global_emb[0].tolist()
    dim = len(vector)
    found = duckdb.execute(
        f"SELECT id, list_cosine_similarity(embedding, ?::FLOAT[{dim}]::FLOAT[]) AS score, model, model_fingerprint "
        f"FROM '{file}' ORDER BY score DESC, id LIMIT 5",
        [vector],
    ).fetchall()
    assert [score for _, score, _, _ in found] == pytest.approx([hit.score for hit in hits], abs=1e-5)
    assert {(name, fingerprint) for _, _, name, fingerprint in found} == {("colour", "c0104r" * 8)}
    days = duckdb.execute(f"SELECT DISTINCT datetime::DATE FROM '{file}' WHERE datetime IS NOT NULL").fetchall()
    assert {day for (day,) in days} == {tile.date for tile in opened.store.tiles(every_id(file))} - {None}


def every_id(file: Path) -> list[str]:
    return [row for (row,) in duckdb.execute(f"SELECT id FROM '{file}'").fetchall()]


def test_the_metadata_are_as_others_have_them(opened: IndexFolder, file: Path) -> None:
    metadata = pq.ParquetFile(file).metadata.metadata
    geo, emb = json.loads(metadata[b"geo"]), json.loads(metadata[b"emb"])
    assert geo["version"] == "1.1.0"
    column = geo["columns"]["geometry"]
    assert column["encoding"] == "WKB"
    assert column["geometry_types"] == ["MultiPolygon", "Polygon"]
    assert column["covering"]["bbox"]["xmin"] == ["bbox", "xmin"]
    assert emb["model"]["id"] == "colour"
    assert emb["embedding_dim"] == opened.store.dim


def test_an_index_comes_back_to_the_last_bit(opened: IndexFolder, file: Path, tmp_path: Path) -> None:
    shutil.copy(file, tmp_path / "tiles.parquet")
    report = import_embeddings([tmp_path / "tiles.parquet"], into=tmp_path / "back")
    assert (report.n_tiles, report.n_bad) == (len(opened.store), 0)
    back = open_index(tmp_path / "back")
    (rows, vectors), (rows_back, vectors_back) = rows_of(opened), rows_of(back)
    assert rows.equals(rows_back)
    assert vectors == vectors_back
    assert back.store.scenes() == opened.store.scenes()
    assert back.manifest.model == opened.manifest.model
    assert back.manifest.settings == opened.manifest.settings
    encoder = ColourEncoder(image_size_px=64)
    for words in ("red", "water", "yellow"):
        one, other = (Index.open(folder.path, encoder=encoder).search(words, k=50) for folder in (opened, back))
        assert [(hit.tile, hit.score, hit.relevance) for hit in one] == [
            (hit.tile, hit.score, hit.relevance) for hit in other
        ]
    write_tiles(back, tmp_path / "again.parquet")
    assert pq.read_table(tmp_path / "again.parquet").sort_by("id") == pq.read_table(file).sort_by("id")


def test_with_its_scenes_at_hand_hits_have_pictures_again(opened: IndexFolder, file: Path, tmp_path: Path) -> None:
    from rsitr.index import ImportOptions

    import_embeddings([file], into=tmp_path / "back", options=ImportOptions(root=opened.root))
    encoder = ColourEncoder(image_size_px=64)
    one, other = (Index.open(path, encoder=encoder) for path in (opened.path, tmp_path / "back"))
    tile = one.search("red", k=1).hits[0].tile
    assert (one.picture(tile) == other.picture(tile)).all()


def test_a_file_that_another_program_wrote_anew_is_one_of_others(file: Path, tmp_path: Path) -> None:
    duckdb.execute(f"COPY (SELECT id, geometry, embedding FROM '{file}') TO '{tmp_path / 'by-duckdb.parquet'}'")
    report = import_embeddings([tmp_path / "by-duckdb.parquet"], into=tmp_path / "index")
    assert report.failures == ()
    assert report.n_tiles + report.n_bad == pq.ParquetFile(file).metadata.num_rows
    assert open_index(tmp_path / "index").manifest.model.is_foreign


def test_what_a_file_says_of_its_index_may_be_nonsense(file: Path, tmp_path: Path) -> None:
    table = pq.read_table(file)
    own = json.loads(pq.ParquetFile(file).metadata.metadata[b"rsitr"])
    for name, content in {"a": {**own, "tiles": 2}, "b": {**own, "model": {}}, "c": {"tiles": "?"}}.items():
        changed = table.replace_schema_metadata({b"rsitr": json.dumps(content)})
        pq.write_table(changed, tmp_path / f"{name}.parquet")
    pq.write_table(
        table.drop_columns("crossing").replace_schema_metadata({b"rsitr": json.dumps(own)}), tmp_path / "d.parquet"
    )
    report = import_embeddings([tmp_path], into=tmp_path / "index")
    reasons = {failure.scene: failure.reason for failure in report.failures}
    assert set(reasons) == {"a.parquet", "b.parquet", "c.parquet", "d.parquet"}
    assert all("is not understood" in reasons[f"{name}.parquet"] for name in "abc")
    assert "has no column 'crossing'" in reasons["d.parquet"]


def schemas_of(*addresses: str) -> list[jsonschema.Draft7Validator]:
    schemas = get_local_schema_cache()
    registry: Registry[dict[str, object]] = Registry().with_resources(
        (name, Resource.from_contents(schema)) for name, schema in schemas.items()
    )
    return [
        jsonschema.Draft7Validator(schemas[f"https://schemas.stacspec.org/v1.1.0/{address}"], registry=registry)
        for address in addresses
    ]


def test_stac_obeys_its_schemas_and_those_of_embeddings(opened: IndexFolder, tmp_path: Path) -> None:
    folder = tmp_path / "stac"
    written, missing = write_embedding_stac(
        opened, folder, address=lambda scene: f"https://a.example/{scene}", license_id="CC-BY-4.0"
    )
    scenes = opened.store.scenes()
    assert written.n_tiles == len(opened.store)
    assert len(missing) == sum(scene.date is None for scene in scenes) > 0
    of_item, of_collection = schemas_of(
        "item-spec/json-schema/item.json", "collection-spec/json-schema/collection.json"
    )
    collection = pystac.Collection.from_file(folder / "collection.json")
    plain = json.loads((folder / "collection.json").read_text())
    of_collection.validate(plain)
    items = list(collection.get_items())
    assert {item.properties["rsitr:scene"] for item in items} == {scene.scene for scene in scenes if scene.date}
    dated = {scene.scene: scene for scene in scenes}
    for item in items:
        of_item.validate(json.loads(Path(item.get_self_href() or "").read_text()))
        scene = dated[item.properties["rsitr:scene"]]
        assert item.datetime is not None
        assert item.datetime.date() == scene.date
        asset = item.get_assets()["embeddings"].get_absolute_href()
        assert asset is not None
        rows = pq.read_table(asset, filters=[("scene", "==", scene.scene)])
        assert len(rows) == scene.n_tiles == item.properties["rsitr:n_tiles"]
        (source,) = item.get_links("emb:source-data")
        assert source.href == f"https://a.example/{scene.scene}"
    # What the extension's schema (v0.0.1) requires beyond the core's.
    assert any("embeddings/v0.0.1" in extension for extension in plain["stac_extensions"])
    assert (plain["emb:type"], plain["emb:dimensions"], plain["data_type"]) == ("chip", opened.store.dim, "float32")
    assert {"emb:model", "emb:source-data"} <= {link["rel"] for link in plain["links"]}
    assert json.loads((folder / "model.json").read_text())["fingerprint"] == opened.manifest.model.fingerprint


def test_names_of_scenes_as_names_of_items(opened: IndexFolder) -> None:
    from rsitr.formats.embeddings import _item_id

    taken: set[str] = set()
    names = [_item_id(scene, taken) for scene in ("a/b.tif", "a-b.tif", "A/B.TIF", "../..", "ü.tif", "x" * 400)]
    assert names == ["a-b.tif", "a-b.tif-2", "A-B.TIF-3", "scene", "tif", "x" * 150]


def test_an_engine_that_cannot_list_its_tiles(opened: IndexFolder, tmp_path: Path) -> None:
    class Other:
        dim = 1

    other: Any = Other()
    with pytest.raises(StoreError, match="cannot list them all"):
        write_tiles(dataclasses.replace(opened, store=other), tmp_path / "a.parquet")
    with pytest.raises(ConfigError, match="there is no folder"):
        write_tiles(opened, tmp_path / "none" / "a.parquet")
