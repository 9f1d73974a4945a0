"""The service on an index of embeddings that others made: tiles to begin with, marks, and no words."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from urllib.parse import quote

import geopandas
import numpy as np
import pytest
import shapely
from fastapi.testclient import TestClient

from rsitr.index import import_embeddings
from rsitr.search import Index
from rsitr.service import ServiceSettings, create_app
from rsitr.service.engine import wait_until_ready


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    place = tmp_path_factory.mktemp("embeddings")
    vectors = np.random.default_rng(0).normal(size=(30, 12))
    outlines = [shapely.box(10 + 0.01 * row, 50, 10.01 + 0.01 * row, 50.01) for row in range(30)]
    frame = geopandas.GeoDataFrame(
        {"id": [f"t/{row}" for row in range(30)], "embedding": list(vectors)}, geometry=outlines, crs=4326
    )
    frame.to_parquet(place / "tiles.parquet")
    import_embeddings([place / "tiles.parquet"], into=place / "index")
    app = create_app(ServiceSettings(index=place / "index", rate_per_s=0), index=Index.open(place / "index"))
    with TestClient(app, base_url="http://127.0.0.1", client=("127.0.0.1", 50000)) as running:
        asyncio.run(wait_until_ready(app.state.engine))
        yield running


def test_the_page_is_told_what_to_begin_with(client: TestClient) -> None:
    about = client.get("/api/index").json()
    assert about["knows_words"] is False
    assert about["suggestions"] == []
    assert 1 <= len(about["examples"]) <= 8
    found = client.post("/api/search", json={"like": [about["examples"][0]], "k": 3})
    assert found.status_code == 200
    assert found.json()["hits"][0]["tile"] == about["examples"][0]


def test_words_are_no_fault_of_the_service(client: TestClient) -> None:
    found = client.post("/api/search", json={"text": "a river"})
    assert found.status_code == 422
    assert "knows no words" in found.json()["error"]["detail"]


def test_marks_refine_and_make_a_detector(client: TestClient) -> None:
    marks = [{"tile": "t/1", "right": True}, {"tile": "t/2", "right": False}]
    found = client.post("/api/search", json={"like": ["t/1"], "k": 5, "marks": marks})
    assert found.status_code == 200
    assert found.json()["refined"] is True


def test_pictures_are_not_there_and_nothing_breaks(client: TestClient) -> None:
    tile = quote("t/1", safe="")
    found = client.get(f"/api/tiles/{tile}/picture.jpg")
    assert found.status_code == 404
    assert "there is no picture" in found.json()["error"]["detail"]
    assert client.get(f"/api/tiles/{tile}/explanation.png", params={"q": "a river"}).status_code == 422
    (scene,) = client.get("/api/scenes").json()["scenes"]
    assert scene["tiles"] is None
    assert client.get(scene["overview"]).status_code == 404
