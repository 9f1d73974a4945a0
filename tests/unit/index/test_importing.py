"""Embeddings that others made: files as the field writes them, rows that cannot be used, runs that were killed."""

from __future__ import annotations

import datetime
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from rsitr.errors import DataError, StoreError
from rsitr.index import (
    ColumnChoice,
    ImportOptions,
    ImportReport,
    IndexFolder,
    LanceStore,
    import_embeddings,
    open_index,
    summarise,
)
from rsitr.index.imports import read_imports
from rsitr.types import FloatArray, Tile

DIM = 16


def vectors(n: int, *, dim: int = DIM, seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32) * 3


def boxes(n: int, *, lon: float = 10.0, lat: float = 50.0) -> np.ndarray:
    west = lon + 0.01 * np.arange(n)
    return shapely.box(west, lat, west + 0.01, lat + 0.01)


def write_earth_index(path: Path, n: int = 20, *, start: int = 0, **columns: Any) -> FloatArray:
    """id, embedding, geometry, as Earth Index's files are."""
    found = vectors(n, seed=start)
    ids = [f"t{number}" for number in range(start, start + n)]
    frame = geopandas.GeoDataFrame(
        {"id": ids, "embedding": list(found), **columns}, geometry=boxes(n, lon=10.0 + 0.01 * start), crs=4326
    )
    frame.to_parquet(path)
    return found


def write(path: Path, **columns: Any) -> None:
    pq.write_table(pa.table(columns), path)


def take(
    *paths: Path, into: Path, columns: ColumnChoice | None = None, side_m: float | None = None, **options: Any
) -> ImportReport:
    return import_embeddings(
        paths, into=into, options=ImportOptions(columns=columns or ColumnChoice(), side_m=side_m, **options)
    )


def tiles_of(index: IndexFolder) -> dict[str, Tile]:
    names = index.store.load().rows["tile"].to_pylist() if isinstance(index.store, LanceStore) else []
    return {tile.tile: tile for tile in index.store.tiles(names)}


def test_a_file_as_earth_index_writes_them(tmp_path: Path) -> None:
    found = write_earth_index(tmp_path / "21MNT.parquet")
    report = take(tmp_path / "21MNT.parquet", into=tmp_path / "index")
    assert (report.n_tiles, report.n_bad, report.failures) == (20, 0, ())
    index = open_index(tmp_path / "index")
    assert index.manifest.made_of == "embeddings"
    assert index.manifest.model.is_foreign
    tile = tiles_of(index)["t3"]
    assert tile.scene == "21MNT.parquet"
    assert tile.bbox == pytest.approx((10.03, 50.0, 10.04, 50.01))
    assert tile.footprint is not None
    assert shapely.Polygon(tile.footprint).equals(shapely.box(*tile.bbox))
    assert shapely.is_ccw(shapely.LinearRing(tile.footprint))
    unit = found / np.linalg.norm(found, axis=1, keepdims=True)
    np.testing.assert_allclose(index.store.vectors(["t3"])[0], unit[3], atol=1e-6)
    hits = index.store.search(index.store.vectors(["t3"])[0], k=3)
    nearest = np.argsort(-(unit @ unit[3]), kind="stable")[:3]
    assert [hit.tile.tile for hit in hits] == [f"t{row}" for row in nearest]
    (scene,) = index.store.scenes()
    assert (scene.n_tiles, scene.bbox) == (20, pytest.approx((10.0, 50.0, 10.2, 50.01)))
    assert summarise(index).n_files == 1


def test_a_file_as_clay_writes_them(tmp_path: Path) -> None:
    found = vectors(6)
    frame = geopandas.GeoDataFrame(
        {
            "index": [0, 1, 2, 0, 1, 2],
            "source_url": ["s3://clay/a.tif"] * 3 + ["s3://clay/b.tif"] * 3,
            "date": [datetime.date(2021, 6, 10)] * 5 + [datetime.date(2021, 7, 1)],
            "embeddings": list(found),
        },
        geometry=boxes(6),
        crs=4326,
    )
    frame.to_parquet(tmp_path / "03WVN.gpq")
    report = take(tmp_path / "03WVN.gpq", into=tmp_path / "index")
    assert report.n_tiles == 6
    tiles = tiles_of(open_index(tmp_path / "index"))
    assert set(tiles) == {f"03WVN.gpq:{row}" for row in range(6)}, "there is no column of ids"
    assert tiles["03WVN.gpq:0"].scene == "03WVN.gpq/s3://clay/a.tif"
    assert tiles["03WVN.gpq:0"].date == datetime.date(2021, 6, 10)
    assert tiles["03WVN.gpq:4"].scene == "03WVN.gpq/s3://clay/b.tif/2021-06-10", "a scene is of one day"
    assert tiles["03WVN.gpq:5"].scene == "03WVN.gpq/s3://clay/b.tif/2021-07-01"


def test_a_table_of_numbered_columns_and_points_as_alphaearths_are(tmp_path: Path) -> None:
    found = vectors(5, dim=64)
    numbered = {f"A{number:02d}": found[:, number] for number in np.random.default_rng(0).permutation(64)}
    write(
        tmp_path / "aef.parquet", longitude=10.0 + np.arange(5), latitude=np.full(5, 60.0), year=[2023] * 5, **numbered
    )
    with pytest.raises(DataError, match=r"--tile-m"):
        _raise(take(tmp_path / "aef.parquet", into=tmp_path / "index"))
    assert not (tmp_path / "index").exists()
    report = take(tmp_path / "aef.parquet", into=tmp_path / "index", side_m=1000.0)
    index = open_index(tmp_path / "index")
    assert report.n_tiles == 5
    unit = found / np.linalg.norm(found, axis=1, keepdims=True)
    np.testing.assert_allclose(index.store.vectors(["aef.parquet:2"])[0], unit[2], atol=1e-6)
    tile = tiles_of(index)["aef.parquet:2"]
    assert tile.date == datetime.date(2023, 1, 1)
    assert tile.bbox is not None
    west, south, east, north = tile.bbox
    assert (north - south) * 111_320 == pytest.approx(1000.0)
    assert (east - west) * 111_320 * np.cos(np.radians(60)) == pytest.approx(1000.0)


def _raise(report: ImportReport) -> None:
    for failure in report.failures:
        raise DataError(failure.reason)


def test_a_file_as_major_tom_writes_them(tmp_path: Path) -> None:
    write(
        tmp_path / "part.parquet",
        unique_id=[f"u{row}" for row in range(6)],
        embedding=pa.array(vectors(6).astype(np.float64).tolist()),
        timestamp=["20180102T030405"] * 6,
        product_id=["S2B_A"] * 3 + ["S2B_B"] * 3,
        grid_cell=["1U_2R"] * 6,
        geometry=pa.array(shapely.to_wkb(boxes(6)), pa.binary()),
        centre_lat=np.full(6, 50.0),
        centre_lon=np.full(6, 10.0),
        utm_footprint=["POLYGON EMPTY"] * 6,
        pixel_bbox=pa.array([[0, 0, 384, 384]] * 6, pa.list_(pa.int64())),
    )
    take(tmp_path / "part.parquet", into=tmp_path / "index")
    tiles = tiles_of(open_index(tmp_path / "index"))
    assert tiles["u4"].scene == "part.parquet/S2B_B"
    assert tiles["u4"].date == datetime.date(2018, 1, 2)


@pytest.mark.parametrize(
    "where",
    [
        {"west": [179.0], "south": [1.0], "east": [-179.5], "north": [2.0]},
        {"bbox": [{"xmin": 179.0, "ymin": 1.0, "xmax": -179.5, "ymax": 2.0}]},
        {"geometry": ["POLYGON ((179 1, -179.5 1, -179.5 2, 179 2, 179 1))"]},
        {"geometry": [shapely.to_wkb(shapely.union(shapely.box(179, 1, 180, 2), shapely.box(-180, 1, -179.5, 2)))]},
    ],
)
def test_boxes_and_outlines_across_the_antimeridian(tmp_path: Path, where: dict[str, Any]) -> None:
    write(tmp_path / "a.parquet", vector=vectors(1).tolist(), id=["a"], **where)
    take(tmp_path / "a.parquet", into=tmp_path / "index")
    index = open_index(tmp_path / "index")
    tile = tiles_of(index)["a"]
    assert tile.bbox == (179.0, 1.0, -179.5, 2.0)
    assert shapely.Polygon(tile.footprint).bounds == (179.0, 1.0, 180.5, 2.0)
    assert index.store.scenes()[0].bbox == tile.bbox


def test_outlines_in_another_reference_system(tmp_path: Path) -> None:
    frame = geopandas.GeoDataFrame({"embedding": list(vectors(4))}, geometry=boxes(4), crs=4326)
    frame.to_crs(32632).to_parquet(tmp_path / "utm.parquet")
    take(tmp_path / "utm.parquet", into=tmp_path / "index")
    tile = tiles_of(open_index(tmp_path / "index"))["utm.parquet:2"]
    assert shapely.Polygon(tile.footprint).equals_exact(boxes(4)[2], 1e-7, normalize=True)


def test_rows_that_cannot_be_used_are_counted_and_named(tmp_path: Path) -> None:
    found = [row.tolist() for row in vectors(9)]
    found[1] = [float("nan")] * DIM
    found[2] = [0.0] * DIM
    found[3] = found[3][:5]
    found[4] = None  # type: ignore[call-overload]
    found[5][3] = None  # type: ignore[call-overload]
    outlines = boxes(9)
    outlines[6] = None
    outlines[7] = shapely.LineString([(0, 0), (1, 1)])
    write(tmp_path / "a.parquet", embedding=found, geometry=pa.array(shapely.to_wkb(outlines), pa.binary()))
    report = take(tmp_path / "a.parquet", into=tmp_path / "index")
    one = report.imported["a.parquet"]
    assert (one.n_tiles, one.n_bad) == (2, 7)
    assert "2 with no vector of 16 numbers (rows 3, 4)" in one.bad
    assert "2 with NaN or infinity in the vector (rows 1, 5)" in one.bad
    assert "1 with a vector of zeros (row 2)" in one.bad
    assert "2 with no place on Earth (rows 6, 7)" in one.bad
    assert set(tiles_of(open_index(tmp_path / "index"))) == {"a.parquet:0", "a.parquet:8"}


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"a": [1], "geometry": [b""]}, "no column holds vectors"),
        ({"embedding": [[1.0] * 9]}, "no column says where its rows lie"),
        ({"x": [[1.0] * 9], "y": [[1.0] * 9], "lon": [1.0], "lat": [1.0]}, "several columns could hold its vectors"),
        ({"embedding": [None], "lon": [1.0], "lat": [1.0]}, "no column holds vectors"),
        ({"embedding": pa.array([[]], pa.list_(pa.float32())), "geometry": [b""]}, "none of its 1 rows has a vector"),
        ({"embedding": [[1.0] * 9], "geometry": [b"no geometry"]}, "none of its 1 rows can be used"),
        ({"embedding": pa.array([], pa.list_(pa.float32(), 9)), "geometry": pa.array([], pa.binary())}, "has no rows"),
    ],
)
def test_a_file_that_fits_nothing_says_why(tmp_path: Path, columns: dict[str, Any], said: str) -> None:
    write(tmp_path / "a.parquet", **columns)
    report = take(tmp_path / "a.parquet", into=tmp_path / "index")
    assert [failure.scene for failure in report.failures] == ["a.parquet"]
    assert said in report.failures[0].reason
    assert not (tmp_path / "index").exists()


def test_files_that_are_no_parquet_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("id,embedding\n1,2\n")
    write_earth_index(tmp_path / "b.parquet")
    content = (tmp_path / "b.parquet").read_bytes()
    (tmp_path / "c.parquet").write_bytes(content[: len(content) // 2])
    report = take(tmp_path, into=tmp_path / "index")
    assert set(report.imported) == {"b.parquet"}
    assert {failure.scene: failure.reason[:27] for failure in report.failures} == dict.fromkeys(
        ("a.parquet", "c.parquet"), "it cannot be read as Parque"
    )
    with pytest.raises(DataError, match="no such file"):
        take(tmp_path / "none.parquet", into=tmp_path / "index")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no Parquet files"):
        take(tmp_path / "empty", into=tmp_path / "index")
    with pytest.raises(DataError, match="fetch it first"):
        import_embeddings(["https://a.example/b.parquet"], into=tmp_path / "index")


def test_a_damaged_part_takes_nothing_of_its_file(tmp_path: Path) -> None:
    table = pa.table({"embedding": pa.array(vectors(400).tolist(), pa.list_(pa.float32())), "id": map(str, range(400)),
                      "geometry": pa.array(shapely.to_wkb(boxes(400)), pa.binary())})  # fmt: skip
    pq.write_table(table, tmp_path / "b.parquet", row_group_size=100, compression="zstd")
    place = pq.ParquetFile(tmp_path / "b.parquet").metadata.row_group(2).column(0).data_page_offset
    content = bytearray((tmp_path / "b.parquet").read_bytes())
    content[place : place + 200] = bytes(200)
    write_earth_index(tmp_path / "a.parquet", 7, start=1000)
    take(tmp_path / "a.parquet", into=tmp_path / "index")
    (tmp_path / "b.parquet").write_bytes(content)
    report = take(tmp_path / "b.parquet", into=tmp_path / "index")
    assert "it is damaged" in report.failures[0].reason
    index = open_index(tmp_path / "index")
    assert (len(index.store), index.store.scene_names()) == (7, ["a.parquet"])
    assert set(read_imports(tmp_path / "index").files) == {"a.parquet"}


def test_columns_that_a_person_names(tmp_path: Path) -> None:
    write(
        tmp_path / "a.parquet",
        x=vectors(3).tolist(),
        embedding=vectors(3, seed=1).tolist(),
        name=["p", "q", "r"],
        id=[1, 1, 1],
        taken=["2020-01-02"] * 3,
        pixel=[10.0] * 3,
        by=["Dove"] * 3,
        shape=pa.array(shapely.to_wkb(boxes(3)), pa.binary()),
    )
    choice = ColumnChoice(vector="x", geometry="shape", id="name", date="taken", gsd="pixel", sensor="by")
    take(tmp_path / "a.parquet", into=tmp_path / "index", columns=choice)
    tile = tiles_of(open_index(tmp_path / "index"))["q"]
    assert (tile.date, tile.gsd_m, tile.sensor) == (datetime.date(2020, 1, 2), 10.0, "Dove")
    report = take(tmp_path / "a.parquet", into=tmp_path / "other", columns=ColumnChoice(id="none"))
    assert "it has no column 'none'" in report.failures[0].reason
    report = take(tmp_path / "a.parquet", into=tmp_path / "other", columns=ColumnChoice(geometry="shape", id="id"))
    assert "occur more than once, e.g. '1'" in report.failures[0].reason
    report = take(tmp_path / "a.parquet", into=tmp_path / "other", columns=ColumnChoice(geometry="shape"))
    assert "are called by their rows" in report.notes[0]
    assert "a.parquet:1" in tiles_of(open_index(tmp_path / "other"))


def test_files_grow_an_index_and_are_taken_once(tmp_path: Path) -> None:
    write_earth_index(tmp_path / "a.parquet", 10)
    write_earth_index(tmp_path / "b.parquet", 10, start=10)
    take(tmp_path / "a.parquet", into=tmp_path / "index")
    version = open_index(tmp_path / "index").store.version
    report = take(tmp_path / "a.parquet", tmp_path / "b.parquet", into=tmp_path / "index")
    assert (report.unchanged, set(report.imported)) == (("a.parquet",), {"b.parquet"})
    assert open_index(tmp_path / "index").store.version > version
    assert len(open_index(tmp_path / "index").store) == 20
    write_earth_index(tmp_path / "a.parquet", 4)  # has changed: its tiles take the place of what they were
    report = take(tmp_path, into=tmp_path / "index")
    assert (set(report.imported), report.unchanged) == ({"a.parquet"}, ("b.parquet",))
    tiles = tiles_of(open_index(tmp_path / "index"))
    assert set(tiles) == {f"t{row}" for row in [*range(4), *range(10, 20)]}


def test_ids_of_another_file(tmp_path: Path) -> None:
    write_earth_index(tmp_path / "a.parquet", 3)
    write_earth_index(tmp_path / "b.parquet", 3)
    report = take(tmp_path, into=tmp_path / "index")
    assert "are in the index already" in report.notes[0]
    assert set(tiles_of(open_index(tmp_path / "index"))) == {
        *("t0", "t1", "t2"),
        *(f"b.parquet:{row}" for row in range(3)),
    }


def test_vectors_of_another_model_are_not_mixed_in(tmp_path: Path) -> None:
    write_earth_index(tmp_path / "a.parquet", 3)
    write(tmp_path / "b.parquet", id=["x"], embedding=vectors(1, dim=32).tolist(), lon=[1.0], lat=[1.0])
    take(tmp_path / "a.parquet", into=tmp_path / "index", model_name="one")
    report = take(tmp_path / "b.parquet", into=tmp_path / "index", side_m=10.0)
    assert "cannot be compared" in report.failures[0].reason
    write_earth_index(tmp_path / "c.parquet", 3, start=9)
    report = take(tmp_path / "c.parquet", into=tmp_path / "index", model_name="two")
    assert "made by 'two', those of the index by 'one'" in report.failures[0].reason
    assert take(tmp_path / "c.parquet", into=tmp_path / "index").n_tiles == 3, "who says nothing is believed"


def test_a_model_that_the_file_names(tmp_path: Path) -> None:
    write_earth_index(tmp_path / "a.parquet", 3)
    table = pq.read_table(tmp_path / "a.parquet")
    about = {"version": "0.0.1", "model": {"id": "softcon", "source": "https://a.example"}}
    pq.write_table(
        table.replace_schema_metadata({**table.schema.metadata, b"emb": json.dumps(about)}), tmp_path / "a.parquet"
    )
    take(tmp_path / "a.parquet", into=tmp_path / "index")
    assert open_index(tmp_path / "index").manifest.model.name == "softcon"


def test_whole_numbers_are_taken_with_a_note(tmp_path: Path) -> None:
    found = np.random.default_rng(0).integers(-127, 128, (4, DIM), dtype=np.int8)
    flat = pa.FixedSizeListArray.from_arrays(pa.array(found.ravel()), DIM)
    write(tmp_path / "a.parquet", embedding=flat, geometry=pa.array(shapely.to_wkb(boxes(4)), pa.binary()))
    report = take(tmp_path / "a.parquet", into=tmp_path / "index")
    assert "of whole numbers" in report.notes[-1]
    unit = found / np.linalg.norm(found.astype(float), axis=1, keepdims=True)
    stored = open_index(tmp_path / "index").store.vectors([f"a.parquet:{row}" for row in range(4)])
    np.testing.assert_allclose(stored, unit, atol=1e-6)


def test_an_index_of_scenes_takes_no_embeddings(tmp_path: Path) -> None:
    from fakes import ColourEncoder
    from rasters import write_utm
    from rsitr.index import ingest

    write_utm(tmp_path / "scenes" / "a.tif")
    ingest([tmp_path / "scenes"], into=tmp_path / "index", encoder=ColourEncoder())
    write_earth_index(tmp_path / "a.parquet")
    with pytest.raises(StoreError, match="made of scenes, and takes no embeddings"):
        take(tmp_path / "a.parquet", into=tmp_path / "index")
    take(tmp_path / "a.parquet", into=tmp_path / "other")
    with pytest.raises(StoreError, match="made of embeddings, and takes no scenes"):
        ingest([tmp_path / "scenes"], into=tmp_path / "other", encoder=ColourEncoder())


KILLED = """
import os, sys
from pathlib import Path
from rsitr.index import import_embeddings
from rsitr.index.store import LanceStore
where, folder = sys.argv[1], Path(sys.argv[2])
real = LanceStore.extend
def extend(self, batches, entries):
    if where == "before":
        os.kill(os.getpid(), 9)
    real(self, batches, entries if where == "after" else lambda: os.kill(os.getpid(), 9))
    os.kill(os.getpid(), 9)
LanceStore.extend = extend
import_embeddings([folder / "b.parquet"], into=folder / "index")
"""


@pytest.mark.parametrize("where", ["before", "between", "after"])
def test_a_run_that_was_killed_goes_on_and_keeps_no_half(tmp_path: Path, where: str) -> None:
    write_earth_index(tmp_path / "a.parquet", 5)
    write_earth_index(tmp_path / "b.parquet", 8, start=5)
    take(tmp_path / "a.parquet", into=tmp_path / "index")
    ended = subprocess.run([sys.executable, "-c", KILLED, where, str(tmp_path)], check=False, env=os.environ)
    assert ended.returncode == -signal.SIGKILL
    report = take(tmp_path, into=tmp_path / "index")
    assert (set(report.imported), report.unchanged) == ({"b.parquet"}, ("a.parquet",))
    index = open_index(tmp_path / "index")
    assert len(index.store) == 13
    assert set(tiles_of(index)) == {f"t{row}" for row in range(13)}
    assert {scene.scene: scene.n_tiles for scene in index.store.scenes()} == {"a.parquet": 5, "b.parquet": 8}


def test_many_names_are_no_scenes(tmp_path: Path) -> None:
    write_earth_index(tmp_path / "a.parquet", 10, scene=[f"s{row}" for row in range(10)])
    report = take(tmp_path / "a.parquet", into=tmp_path / "index")
    assert "too many to be scenes" in report.notes[0]
    assert open_index(tmp_path / "index").store.scene_names() == ["a.parquet"]
    report = take(tmp_path / "a.parquet", into=tmp_path / "other", columns=ColumnChoice(scene="scene"))
    assert "10 names for 10 rows" in report.failures[0].reason
