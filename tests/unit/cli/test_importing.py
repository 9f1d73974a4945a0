"""`rsitr index --from-embeddings` and `rsitr embeddings`: options, what is printed, statuses."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely
from typer.testing import CliRunner

from fakes import ColourEncoder
from rasters import write_utm
from rsitr.cli.app import app
from rsitr.errors import ConfigError, DataError
from rsitr.index import import_embeddings, ingest, open_index


def write(path: Path, n: int = 6, *, without: int = 0) -> None:
    outlines = [None if row < without else shapely.box(10 + row, 50, 11 + row, 51) for row in range(n)]
    vectors = np.random.default_rng(0).normal(size=(n, 12))
    geopandas.GeoDataFrame(
        {"id": [f"t{row}" for row in range(n)], "embedding": list(vectors), "datetime": ["2021-06-01T10:00:00Z"] * n},
        geometry=outlines,
        crs=4326,
    ).to_parquet(path)


def call(*arguments: str | Path) -> tuple[int, str, str]:
    """Status, stdout and stderr; raises what the command raises."""
    result = CliRunner().invoke(app, list(map(str, arguments)))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def test_files_become_an_index_that_is_searched_by_its_tiles(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet")
    status, out, _ = call("index", "--from-embeddings", tmp_path / "a.parquet", "--into", tmp_path / "index")
    assert status == 0
    assert "1 files taken (6 tiles" in out
    status, out, _ = call("search", tmp_path / "index", "--like", "t2", "-k", "2", "--format", "csv")
    assert status == 0
    assert out.splitlines()[1].split(",")[0] == "1"
    assert "t2" in out.splitlines()[1]
    status, out, _ = call("info", tmp_path / "index")
    assert "not known here: no search by words" in out
    assert "1 files of embeddings" in out
    assert "2021-06-01" in out
    assert "bands" not in out
    status, out, err = call("search", tmp_path / "index", "--like", "t2", "-k", "2", "--out", tmp_path / "hits.html")
    assert status == 1, "its pictures are missing"
    assert "no picture of hit 1" in err or "no picture of place 1" in err


def test_rows_that_are_left_out_are_status_1(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", without=2)
    status, out, err = call("index", "--from-embeddings", tmp_path, "--into", tmp_path / "index")
    assert status == 1
    assert "2 rows left out" in out
    assert "a.parquet: rows that could not be used: 2 with no place on Earth (rows 0, 1)" in err


def test_nothing_that_can_be_used(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("no")
    with pytest.raises(DataError, match="none of 1 files could be used"):
        call("index", "--from-embeddings", tmp_path, "--into", tmp_path / "index")
    assert not (tmp_path / "index").exists()


def test_a_look_ahead_writes_nothing(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_text("no")
    status, out, _ = call("index", "--from-embeddings", tmp_path, "--into", tmp_path / "index", "--dry-run")
    assert status == 1
    assert "embedding (12 numbers)" in out
    assert "cannot be read as Parquet" in out
    assert not (tmp_path / "index").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--from-embeddings", "a", "--tile-px", "64"], "--tile-px is for scenes"),
        (["--from-embeddings", "a", "--sync"], "--sync is for scenes"),
        (["--from-embeddings"], "takes embeddings from files"),
        (["a", "--vector-column", "x"], "--vector-column is for embeddings"),
        (["a", "--model-name", "x"], "--model-name is for embeddings"),
        (["--from-embeddings", "a", "--model", "x", "--model-name", "y"], "give one"),
        (["--from-embeddings", "a", "--tile-m", "-1"], "--tile-m is the side of a square"),
    ],
)
def test_options_that_do_not_belong_together(tmp_path: Path, options: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        call("index", *options, "--into", tmp_path / "index")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of a scene with a day and one without."""
    place = tmp_path_factory.mktemp("own")
    write_utm(place / "scenes" / "a_20200102.tif", tags={"TIFFTAG_DATETIME": "2020:01:02 10:00:00"})
    write_utm(place / "scenes" / "b.tif", west=800_000)
    ingest([place / "scenes"], into=place / "index", encoder=ColourEncoder())
    return place / "index"


def test_an_index_is_written_as_a_file_and_as_stac(own: Path, tmp_path: Path) -> None:
    out, stac = tmp_path / "tiles.parquet", tmp_path / "stac"
    n = len(open_index(own).store)
    status, said, _ = call("embeddings", own, "--out", out)
    assert status == 0
    assert f"{n} tiles" in said
    assert pq.ParquetFile(out).metadata.num_rows == n
    undated = [scene.scene for scene in open_index(own).store.scenes() if scene.date is None]
    status, _, err = call("embeddings", own, "--stac", stac, "--license", "CC0-1.0")
    assert status == (1 if undated else 0)
    assert err.count("is no STAC item") == len(undated)
    assert json.loads((stac / "collection.json").read_text())["license"] == "CC0-1.0"
    with pytest.raises(ConfigError, match="nothing to write"):
        call("embeddings", own)
    import_embeddings([stac / "embeddings.parquet"], into=tmp_path / "back")
    assert len(open_index(tmp_path / "back").store) == n
