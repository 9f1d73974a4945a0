"""Searching over HTTP gives what searching in Python gives."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import TypeAdapter

from archives import picture_file
from fakes import ColourEncoder
from rsitr.formats import plain
from rsitr.index import Settings, ingest
from rsitr.search import Index
from rsitr.service import ServiceSettings, create_app


def search(client: TestClient, **body: Any) -> dict[str, Any]:
    answer = client.post("/api/search", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_same_hits_as_in_process(client: TestClient, archive: Path, encoder: ColourEncoder) -> None:
    index = Index.open(archive, encoder=encoder)
    expected = index.search("red", k=5)
    found = search(client, text="red", k=5)
    assert [hit["tile"] for hit in found["hits"]] == [hit.tile.tile for hit in expected]
    assert [hit["score"] for hit in found["hits"]] == [round(hit.score, 6) for hit in expected]
    assert [hit["relevance"] for hit in found["hits"]] == pytest.approx([hit.relevance for hit in expected], abs=1e-6)
    assert (found["state"], found["matches"]) == (expected.state, expected.matches) == ("matches", True)
    assert found["n_tiles"] == 13
    assert found["query"]["described"] == "“red”"
    assert [place["id"] for place in found["places"]] == [place.place for place in expected.places()]


def test_a_search_in_the_url_is_the_same_search(client: TestClient) -> None:
    body = search(client, text="red", k=3, **{"not": ["blue"]}, bbox=[-180, -90, 180, 90])
    url = client.get("/api/search", params={"q": "red", "k": 3, "not": "blue", "bbox": "-180,-90,180,90"}).json()
    assert {**body, "took_ms": 0} == {**url, "took_ms": 0}


def test_every_hit_says_where_it_is_and_which_place_it_belongs_to(client: TestClient) -> None:
    found = search(client, text="red", k=13)
    north = next(hit for hit in found["hits"] if hit["scene"] == "north_20160816.tif")
    assert north["date"] == "2016-08-16"
    assert north["sensor"] == "NAIP"
    assert north["geometry"]["type"] == "Polygon"
    assert len(north["bbox"]) == 4
    of_place = next(place for place in found["places"] if place["rank"] == north["place"])
    assert north["tile"] in [tile for seen in of_place["sightings"] for tile in seen["tiles"]]
    photo = next(hit for hit in found["hits"] if hit["scene"] == "photo.png")
    assert photo["geometry"] is None
    assert client.get(photo["picture"]).status_code == 200


def test_filters(client: TestClient) -> None:
    def scenes(**limits: Any) -> set[str]:
        return {hit["scene"] for hit in search(client, text="red", k=13, **limits)["hits"]}

    assert scenes(bbox=[179, 40, -179, 60]) == {"<b>dateline.tif"}
    assert scenes(since="2018-01-01") == {"deep/values_20200101.tif"}
    assert scenes(until="2018-01-01") == {"north_20160816.tif"}
    assert scenes(since="2020-01") == scenes(since="2018") == {"deep/values_20200101.tif"}
    assert scenes(until="2016") == scenes(until="2016-08") == {"north_20160816.tif"}
    assert scenes(sensor="naip") == {"north_20160816.tif"}
    assert "north_20160816.tif" in scenes(gsd_m=[1, 6])
    assert not scenes(gsd_m=[0.01, 0.02])
    assert scenes(scene="deep/*") == {"deep/values_20200101.tif"}
    ring = [[-99.2, 47.0], [-99.1, 47.0], [-99.1, 47.1], [-99.2, 47.1], [-99.2, 47.0]]
    inside = scenes(area={"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}})
    assert inside == {"north_20160816.tif", "deep/values_20200101.tif"}


def test_nothing_here_matches_is_said_in_words(client: TestClient) -> None:
    found = search(client, text="red", threshold=1.0)
    assert not found["matches"]
    said = {"nothing": "nothing here matches", "unsure": "no confident match for"}[found["state"]]
    assert found["message"].startswith(f"{said} “red”: the best hit's relevance is {found['relevance']:.2f}, below 1")
    nowhere = search(client, text="red", bbox=[0, 0, 1, 1])
    assert (nowhere["matches"], nowhere["hits"], nowhere["places"]) == (False, [], [])
    assert nowhere["message"].startswith("no tile lies within these limits: none is in the box (scenes lie within ")


def test_tiles_and_parts_are_mixed_by_their_weights(client: TestClient) -> None:
    yellow = search(client, text="yellow", k=1)["hits"][0]["tile"]
    like = search(client, like=[yellow], k=1)
    assert like["hits"][0]["tile"] == yellow
    parts = [{"kind": "words", "value": "red", "weight": 0.1}, {"kind": "tile", "value": yellow, "weight": 2.0}]
    mixed = search(client, parts=parts, k=1)
    assert mixed["hits"][0]["tile"] == yellow
    assert [part["weight"] for part in mixed["query"]["parts"]] == [0.1, 2.0]


def test_a_picture_is_sent_once_and_searched_with(client: TestClient) -> None:
    sent = client.post("/api/pictures", content=picture_file("yellow"))
    assert sent.status_code == 201
    assert (sent.json()["width"], sent.json()["height"]) == (40, 30)
    found = search(client, pictures=[sent.json()["picture"]], k=1)
    assert found["hits"][0]["scene"] == "photo.png"
    form = client.post("/api/pictures", files={"file": ("mine.jpg", picture_file("yellow", "JPEG"), "image/jpeg")})
    assert form.status_code == 201
    answer = client.post("/api/search", json={"pictures": ["gone"]})
    assert answer.status_code == 404
    assert "send it again" in answer.json()["error"]["detail"]


def test_marks_refine_and_leave_nothing_behind(client: TestClient) -> None:
    before = search(client, text="grey", k=13)
    wrong = before["hits"][0]["tile"]
    refined = search(client, text="grey", k=13, marks=[{"tile": wrong, "right": False}])
    assert refined["refined"]
    assert wrong not in [hit["tile"] for hit in refined["hits"]]
    assert len(refined["hits"]) == len(before["hits"]) - 1
    yellow = search(client, text="yellow", k=1)["hits"][0]["tile"]
    right = search(client, text="grey", k=13, marks=[{"tile": yellow, "right": True}, {"tile": wrong, "right": False}])
    assert (right["hits"][0]["tile"], right["hits"][0]["mark"], right["hits"][0]["relevance"]) == (yellow, "right", 1)
    assert wrong not in [hit["tile"] for hit in right["hits"]]
    assert client.get("/api/detectors").json() == {"detectors": []}


def test_geojson_and_csv(client: TestClient) -> None:
    body = {"text": "red", "k": 5}
    asked = client.post("/api/search?format=geojson", json=body)
    assert asked.headers["content-type"] == "application/geo+json"
    collection = asked.json()
    assert collection["type"] == "FeatureCollection"
    assert collection["features"][0]["properties"]["rank"] == 1
    accepted = client.post("/api/search", json=body, headers={"Accept": "application/geo+json"})
    assert accepted.json() == collection
    lines = list(csv.DictReader(io.StringIO(client.get("/api/search?q=red&k=5&format=csv").text)))
    assert lines[0]["query"] == "“red”"
    tiles = client.get("/api/search?q=red&k=5&format=csv&places=false").text
    assert len(list(csv.DictReader(io.StringIO(tiles)))) == 5
    hits = client.post("/api/search?format=geojson", json={**body, "places": False}).json()
    assert len(hits["features"]) == 5


def test_the_stages_of_ranking_are_told_when_asked_for(client: TestClient) -> None:
    assert "stages" not in search(client, text="red")
    explained = search(client, text="red", k=3, explain=True, ranking={"rerank": "csls", "candidates": 13})
    assert explained["stages"][0]["name"] == "global"
    assert len(explained["stages"]) == 2
    assert all(len(stage["scores"]) == 3 for stage in explained["stages"])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "nothing to search for"),
        ({"text": " "}, "words to search for are empty"),
        ({"not": ["red"]}, "nothing to search for"),
        ({"text": "red", "k": 201}, "k is at most 200"),
        ({"text": "red", "k": "3"}, "k: input should be a valid integer"),
        ({"text": "red", "bbox": [0, 1, 1, 0]}, "its south lies north of its north"),
        ({"text": "red", "since": "2020-02-30"}, "since takes a day as YYYY-MM-DD, or a month or year"),
        ({"text": "red", "since": "2020-02-02", "until": "2019-01-01"}, "no day is on or after"),
        ({"text": "red", "area": {"type": "Point", "coordinates": [0, 0]}}, "no polygon in it"),
        ({"text": "red", "ranking": {"rerank": "magic"}}, "magic"),
        ({"text": "red", "ranking": {"rerank": "fusion:/etc/passwd,top=5"}}, "fusion"),
        ({"text": "red", "ranking": {"candidates": 5000}}, "candidates is at most 1000"),
        ({"text": "red", "unknown": 1}, "unknown: extra inputs are not permitted"),
        ({"detector": "none", "text": "red"}, "leave out words"),
        ({"detector": "none"}, "there is no detector 'none'"),
    ],
)
def test_what_cannot_be_searched_for_is_422_and_says_why(client: TestClient, body: Any, said: str) -> None:
    answer = client.post("/api/search", json=body)
    assert answer.status_code == 422, answer.text
    error = answer.json()["error"]
    assert said in error["detail"]
    assert error["status"] == 422
    assert error["request_id"] == answer.headers["x-request-id"]


def test_what_is_not_in_the_index_is_404_and_tells_no_folder(client: TestClient, archive: Path) -> None:
    for answer in (
        client.post("/api/search", json={"like": ["nowhere"]}),
        client.post("/api/search", json={"text": "red", "marks": [{"tile": "nowhere", "right": True}]}),
        client.get("/api/tiles/nowhere"),
    ):
        assert answer.status_code == 404
        assert "there is no tile 'nowhere'" in answer.json()["error"]["detail"]
        assert str(archive.parent) not in answer.text


def test_answers_are_what_their_description_says(client: TestClient) -> None:
    """Answers are written without a second validation, so it happens here, field by field."""
    from rsitr.service.replies import HealthReply, IndexReply, ScenesReply, SearchReply, TileReply

    found = search(client, text="red", k=13, explain=True)
    models = {
        "/api/health": HealthReply,
        "/api/index": IndexReply,
        "/api/scenes": ScenesReply,
        found["hits"][0]["picture"].removesuffix("/picture.jpg"): TileReply,
    }
    for path, model in models.items():
        content = client.get(path).text
        assert plain(TypeAdapter(model).validate_json(content)) == json.loads(content), path
    assert plain(TypeAdapter(SearchReply).validate_python(found)) == found


def test_the_index_that_was_handed_over_is_searched_after_warming_too(
    archive: Path, encoder: ColourEncoder, tmp_path: Path
) -> None:
    scenes = tmp_path / "scenes"
    scenes.mkdir()
    (scenes / "other.png").write_bytes(picture_file("blue", size_px=(64, 64)))
    other = tmp_path / "other"
    ingest([scenes], into=other, encoder=encoder, settings=Settings(tile_px=64))
    app = create_app(ServiceSettings(index=archive), index=Index.open(other, encoder=encoder))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        engine = app.state.engine
        deadline = time.monotonic() + 60
        while engine.status == "warming" and time.monotonic() < deadline:
            time.sleep(0.01)
        assert {hit["scene"] for hit in search(client, text="blue", k=13)["hits"]} == {"other.png"}
        assert client.get("/api/index").json()["name"] == "other"


def test_no_search_is_offered_that_the_index_denies(make_client: Callable[..., TestClient]) -> None:
    client = make_client(suggestions=("red", "white", "green"))
    assert client.get("/api/index").json()["suggestions"] == ["red", "green"]
