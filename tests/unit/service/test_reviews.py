"""Reviews over HTTP: kept beside the index with who and when, exported as files that other programs read."""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path
from typing import Any

import geopandas
import pytest
from fastapi.testclient import TestClient

from fakes import ColourEncoder
from rsitr.errors import StoreError
from rsitr.search import Index, Review, Reviews
from rsitr.service import ServiceSettings, add_key, create_app

QUERY = "“red”"


@pytest.fixture
def folder(archive: Path, tmp_path: Path) -> Path:
    """An index of one's own, which a test may write to."""
    return Path(shutil.copytree(archive.parent, tmp_path / "copy")) / archive.name


@pytest.fixture
def client(folder: Path, encoder: ColourEncoder) -> Any:
    app = create_app(ServiceSettings(index=folder, rate_per_s=0), index=Index.open(folder, encoder=encoder))
    with TestClient(app, base_url="http://127.0.0.1", client=("127.0.0.1", 5)) as client:
        yield client


@pytest.fixture
def tiles(folder: Path, encoder: ColourEncoder) -> list[str]:
    return [hit.tile.tile for hit in Index.open(folder, encoder=encoder).search("red", k=5).hits]


def test_what_is_said_stays_with_who_and_when(client: TestClient, folder: Path, tiles: list[str]) -> None:
    said = {"query": QUERY, "tile": tiles[0], "verdict": "no", "note": " a barn ", "who": "Ada", "relevance": 0.9}
    first = client.post("/api/reviews", json=said)
    assert first.status_code == 200, first.text
    assert first.json()["note"] == "a barn"
    assert client.post("/api/reviews", json={**said, "verdict": "yes"}).status_code == 200
    assert client.post("/api/reviews", json={**said, "query": "“blue”", "tile": tiles[1]}).status_code == 200
    (kept,) = client.get("/api/reviews", params={"query": QUERY}).json()["reviews"]
    assert (kept["verdict"], kept["who"], kept["relevance"]) == ("yes", "Ada", 0.9)
    assert kept["when"].endswith("Z")
    assert len(client.get("/api/reviews").json()["reviews"]) == 2
    assert [review.tile for review in Reviews(folder).all()] == [tiles[0], tiles[1]]
    gone = {"query": QUERY, "tile": tiles[0]}
    assert client.delete("/api/reviews", params=gone).status_code == 204
    assert client.delete("/api/reviews", params=gone).status_code == 404


def test_the_confirmed_alone_are_exported(client: TestClient, tiles: list[str], tmp_path: Path) -> None:
    for tile, verdict in zip(tiles, ("yes", "no", "yes"), strict=False):
        note = "=1+1" if verdict == "yes" else ""
        client.post("/api/reviews", json={"query": QUERY, "tile": tile, "verdict": verdict, "note": note})
    wanted = {tiles[0], tiles[2]}
    for form, driver in (("geojson", "GeoJSON"), ("gpkg", "GPKG"), ("kml", "LIBKML")):
        answer = client.get(f"/api/reviews/export.{form}", params={"query": QUERY})
        assert answer.status_code == 200
        assert f'filename="reviewed.{form}"' in answer.headers["Content-Disposition"]
        (tmp_path / f"a.{form}").write_bytes(answer.content)
        frame = geopandas.read_file(tmp_path / f"a.{form}")
        assert set(frame["tile"]) == wanted, driver
        assert set(frame["verdict"]) == {"yes"}
        assert frame.geometry.notna().all()
        assert frame.crs.is_geographic
    text = client.get("/api/reviews/export.csv", params={"query": QUERY}).text
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {row["tile"] for row in rows} == wanted
    assert {row["note"] for row in rows} == {"'=1+1"}, "no spreadsheet takes a note for a formula"
    every = client.get("/api/reviews/export.csv", params={"verdict": "no"}).text
    assert [row["tile"] for row in csv.DictReader(io.StringIO(every))] == [tiles[1]]


def test_a_review_outlives_its_tile(client: TestClient, folder: Path) -> None:
    Reviews(folder).put(Review(QUERY, "gone.tif:0,0,1,1", "yes"))
    (feature,) = client.get("/api/reviews/export.geojson").json()["features"]
    assert feature["geometry"] is None
    assert feature["properties"]["tile"] == "gone.tif:0,0,1,1"


def test_who_may_only_read_keeps_nothing(
    folder: Path, encoder: ColourEncoder, tmp_path: Path, tiles: list[str]
) -> None:
    reader, writer = (add_key(role, tmp_path / "keys") for role in ("read", "write"))
    settings = ServiceSettings(index=folder, rate_per_s=0, keys_file=tmp_path / "keys")
    app = create_app(settings, index=Index.open(folder, encoder=encoder))
    said = {"query": QUERY, "tile": tiles[0], "verdict": "yes", "who": "Ada"}
    with TestClient(app, base_url="http://127.0.0.1") as client:
        assert client.post("/api/reviews", json=said, headers={"X-API-Key": reader}).status_code == 403
        kept = client.post("/api/reviews", json=said, headers={"X-API-Key": writer}).json()
        assert kept["who"].startswith("Ada (key ")
        assert client.get("/api/reviews", headers={"X-API-Key": reader}).json()["reviews"] == [kept]


def test_what_makes_no_sense_is_refused(client: TestClient, tiles: list[str]) -> None:
    said = {"query": QUERY, "tile": tiles[0], "verdict": "yes"}
    for wrong in ({"verdict": "maybe"}, {"note": "x" * 2001}, {"relevance": 2}, {"tile": ""}, {"more": 1}):
        assert client.post("/api/reviews", json={**said, **wrong}).status_code == 422, wrong
    assert client.post("/api/reviews", json={**said, "tile": "none.tif:0,0,1,1"}).status_code == 404
    assert client.get("/api/reviews/export.exe").status_code == 422
    assert client.get("/api/reviews").json() == {"reviews": []}


def test_a_damaged_file_is_told_of_and_not_written_over(folder: Path, client: TestClient, tiles: list[str]) -> None:
    (folder / "reviews.json").write_text('{"format": 1, "reviews": [', encoding="utf-8")
    with pytest.raises(StoreError, match="mend or move"):
        Reviews(folder).all()
    said = {"query": QUERY, "tile": tiles[0], "verdict": "yes"}
    assert client.post("/api/reviews", json=said).status_code == 503
    assert (folder / "reviews.json").read_text(encoding="utf-8").endswith("[")
