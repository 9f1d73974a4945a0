"""Detectors and saved searches over HTTP: their examples, what they find, what is new, and two of them compared."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from affine import Affine
from fastapi.testclient import TestClient

from fakes import ColourEncoder
from rasters import quadrants, write_utm
from rsitr.index import Settings, ingest
from rsitr.search import Index
from rsitr.service import ServiceSettings, add_key, create_app

RED = {"text": "red", "k": 5}


@pytest.fixture
def folder(archive: Path, tmp_path: Path) -> Path:
    """An index of one's own, which a test may write to."""
    return Path(shutil.copytree(archive.parent, tmp_path / "copy")) / archive.name


def serve(folder: Path, encoder: ColourEncoder, **settings: Any) -> TestClient:
    settings = ServiceSettings(**{"index": folder, "rate_per_s": 0, **settings})  # type: ignore[assignment]
    app = create_app(settings, index=Index.open(folder, encoder=encoder))  # type: ignore[arg-type]
    return TestClient(app, base_url="http://127.0.0.1", client=("127.0.0.1", 5))


@pytest.fixture
def client(folder: Path, encoder: ColourEncoder) -> Iterator[TestClient]:
    with serve(folder, encoder) as client:
        wait(client)
        yield client


def wait(client: TestClient) -> None:
    """Until its model is loaded."""
    end = time.monotonic() + 60
    while client.get("/api/health").json()["status"] != "ready":
        assert time.monotonic() < end
        time.sleep(0.01)


def found_tiles(client: TestClient, text: str, n: int) -> list[str]:
    hits = client.post("/api/search", json={"text": text, "k": n, "places": False}).json()["hits"]
    return [hit["tile"] for hit in hits]


def learn(client: TestClient, name: str, text: str = "red", other: str = "blue") -> dict[str, Any]:
    marks = [{"tile": tile, "right": True} for tile in found_tiles(client, text, 2)]
    marks += [{"tile": tile, "right": False} for tile in found_tiles(client, other, 1)]
    body = {"name": name, "search": {"text": text}, "marks": marks}
    answer = client.post("/api/detectors", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def add_scene(folder: Path, name: str, encoder: ColourEncoder) -> None:
    elsewhere = Affine(5.0, 0.0, 600_000.0, 0.0, -5.0, 5_300_000.0)
    write_utm(folder.parent / "scenes" / name, quadrants(64, 64, names=("red",) * 4), transform=elsewhere)
    ingest([folder.parent / "scenes"], into=folder, encoder=encoder, settings=Settings(tile_px=64))


def test_a_detector_is_told_with_its_examples(client: TestClient, folder: Path, encoder: ColourEncoder) -> None:
    add_scene(folder, "gone.tif", encoder)
    red, blue = found_tiles(client, "red", 2), found_tiles(client, "blue", 1)
    assert "gone.tif:0,0,64,64" in red
    learn(client, "reds")
    (folder.parent / "scenes" / "gone.tif").unlink()
    ingest([folder.parent / "scenes"], into=folder, encoder=encoder, settings=Settings(tile_px=64), sync=True)
    told = client.get("/api/detectors/reds").json()
    assert [tile["tile"] for tile in told["right"]] == [tile for tile in red if not tile.startswith("gone")]
    assert [tile["tile"] for tile in told["wrong"]] == blue
    assert told["right"][0] == client.get(f"/api/tiles/{told['right'][0]['tile']}").json()
    assert (told["n_right"], told["n_wrong"]) == (2, 1)
    assert told["precision"] == 1.0
    assert "each was judged by what the others teach" in told["estimate"]
    assert told["fits"]
    again = client.post("/api/search", json=told["search"])
    assert again.json()["query"]["described"] == told["query"] == "“red”"
    assert client.get("/api/detectors/none").status_code == 404


def test_a_saved_search_is_what_was_asked(client: TestClient) -> None:
    tile = found_tiles(client, "blue", 1)[0]
    search = {
        "text": "2*red", "not": ["green"], "like": [tile], "bbox": [-180.0, -90.0, 180.0, 90.0], "since": "2016",
        "sensor": "NAIP", "k": 7, "places": False, "threshold": 0.25, "marks": [{"tile": tile, "right": False}],
        "area": {"type": "Polygon", "coordinates": [[[-120, 0], [-60, 0], [-60, 80], [-120, 80], [-120, 0]]]},
    }  # fmt: skip
    kept = client.post("/api/saved", json={"name": "some reds", "search": search})
    assert kept.status_code == 201, kept.text
    assert kept.json()["query"].startswith("2 × “red” and like")
    assert client.get("/api/saved/some reds").json() == kept.json()
    assert client.get("/api/saved").json() == {"searches": [kept.json()], "damaged": []}
    answers = [client.post("/api/search", json=one).json() for one in (search, kept.json()["search"])]
    assert answers[0]["hits"] == answers[1]["hits"]
    assert answers[0]["hits"]
    twice = client.post("/api/saved", json={"name": "some reds", "search": RED})
    assert twice.status_code == 422
    assert "there is a saved search 'some reds' already" in twice.json()["error"]["detail"]
    replaced = client.post("/api/saved", json={"name": "some reds", "search": RED, "replace": True})
    assert replaced.json()["query"] == "“red”"
    assert client.patch("/api/saved/some reds", json={"name": "reds"}).json()["name"] == "reds"
    assert client.get("/api/saved/some reds").status_code == 404
    assert client.patch("/api/saved/reds", json={"name": "../etc"}).status_code == 422
    assert client.delete("/api/saved/reds").status_code == 204
    assert client.delete("/api/saved/reds").status_code == 404


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a picture": ({"text": "red", "pictures": ["abc"]}, "a picture that was sent is kept for a while only"),
    "a picture as a part": ({"parts": [{"kind": "picture", "value": "abc"}]}, "a picture that was sent"),
    "nothing": ({}, "nothing to search for"),
    "a ranking": ({"text": "red", "ranking": {"rerank": "csls"}}, "leave out ranking"),
    "an explanation": ({"text": "red", "explain": True}, "leave out ranking, timeline and explain"),
    "too many": ({"text": "red", "k": 99_999}, "k is at most"),
    "no day": ({"text": "red", "since": "soon"}, "takes a day"),
    "what is unknown": ({"text": "red", "file": "/etc/passwd"}, "file"),
}


@pytest.mark.parametrize(("search", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_kept_is_refused_in_a_sentence(client: TestClient, search: dict[str, Any], said: str) -> None:
    answer = client.post("/api/saved", json={"name": "x", "search": search})
    assert answer.status_code == 422
    assert said in answer.json()["error"]["detail"]
    assert client.get("/api/saved").json()["searches"] == []


@pytest.mark.parametrize("name", ["..%2Fx", "%2e%2e", "a%00b", "-a", "a" * 65, "%C3%A9", "a%0Ab", "%20a", ".lock"])
@pytest.mark.parametrize("kind", ["saved", "detectors"])
def test_hostile_names_reach_no_file(client: TestClient, folder: Path, kind: str, name: str) -> None:
    before = sorted(path.name for path in folder.rglob("*"))
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/finds"), ("POST", "/seen"), ("PATCH", "")):
        body = {"name": "x"} if method == "PATCH" else None
        answer = client.request(method, f"/api/{kind}/{name}{path}", json=body)
        assert answer.status_code in {400, 404, 405, 422}, f"{method} {path}: {answer.text}"
    assert sorted(path.name for path in folder.rglob("*")) == before


def test_damaged_ones_are_named_and_can_be_deleted(client: TestClient, folder: Path) -> None:
    client.post("/api/saved", json={"name": "good", "search": RED})
    (folder / "saved" / "bad.json").write_text('{"format": 1, "search"', encoding="utf-8")
    listed = client.get("/api/saved").json()
    assert [one["name"] for one in listed["searches"]] == ["good"]
    assert listed["damaged"] == ["bad"]
    for path in ("/api/saved/bad", "/api/saved/bad/finds"):
        answer = client.get(path)
        assert answer.status_code == 503
        assert "cannot be read as a saved search" in answer.json()["error"]["detail"]
        assert str(folder) not in answer.text
    assert client.delete("/api/saved/bad").status_code == 204
    assert client.get("/api/saved").json()["damaged"] == []


@pytest.mark.parametrize("kind", ["detectors", "saved"])
def test_what_is_new_is_told_until_it_was_looked_at(kind: str, folder: Path, encoder: ColourEncoder) -> None:
    with serve(folder, encoder) as client:
        wait(client)
        if kind == "saved":
            client.post("/api/saved", json={"name": "reds", "search": RED})
        else:
            learn(client, "reds")
        path = f"/api/{kind}/reds"
        first = client.get(f"{path}/finds").json()
        assert first["seen"] is None
        assert first["n_finds"] > 0
        assert len(first["best"]) <= 4
        seen = client.post(f"{path}/seen").json()
        assert seen["n_finds"] == first["n_finds"]
        assert client.get(f"{path}/finds").json()["n_new"] == 0
    add_scene(folder, "new.tif", encoder)
    with serve(folder, encoder) as client:  # as after a restart
        wait(client)
        found = client.get(f"{path}/finds").json()
        assert (found["n_new"], found["seen"]) == (1, seen["seen"])
        assert found["n_finds"] == first["n_finds"] + 1
        (new,) = found["new"]
        assert new["tile"] == "new.tif:0,0,64,64"
        assert new["relevance"] >= 0.5
        late = client.post(f"{path}/seen", params={"version": first["version"]})
        assert late.status_code == 409
        assert "has changed" in late.json()["error"]["detail"]
        assert client.get(f"{path}/finds").json()["n_new"] == 1
        assert client.post(f"{path}/seen", params={"version": found["version"]}).status_code == 200
        assert client.get(f"{path}/finds").json()["n_new"] == 0
        assert client.get(f"/api/{kind}/none/finds").status_code == 404
        assert client.post(f"/api/{kind}/none/seen").status_code == 404


def test_a_damaged_record_of_what_was_seen_leaves_the_finds(client: TestClient, folder: Path) -> None:
    client.post("/api/saved", json={"name": "reds", "search": RED})
    client.post("/api/saved/reds/seen")
    (folder / "seen" / "search-reds.json").write_text("{", encoding="utf-8")
    answer = client.get("/api/saved/reds/finds")
    assert "what was looked at cannot be read" in answer.json()["note"]
    assert answer.json()["n_new"] == answer.json()["n_finds"] > 0
    assert str(folder) not in answer.text
    assert client.post("/api/saved/reds/seen").status_code == 200
    assert client.get("/api/saved/reds/finds").json()["note"] == ""


def test_two_are_compared(client: TestClient) -> None:
    learn(client, "reds")
    client.post("/api/saved", json={"name": "reds", "search": RED})
    client.post("/api/saved", json={"name": "blues", "search": {"text": "blue"}})
    n_red = client.get("/api/saved/reds/finds").json()["n_finds"]
    n_detected = client.get("/api/detectors/reds/finds").json()["n_finds"]
    both = client.get("/api/compare", params={"first": "detectors:reds", "second": "saved:reds"}).json()
    assert both["n_both"] + both["n_first"] == n_detected
    assert both["n_both"] + both["n_second"] == n_red
    assert both["n_both"] == len(both["both"]) > 0
    apart = client.get("/api/compare", params={"first": "saved:reds", "second": "saved:blues"}).json()
    assert (apart["n_both"], apart["n_first"]) == (0, n_red)
    assert {hit["tile"] for hit in apart["only_first"]}.isdisjoint(hit["tile"] for hit in apart["only_second"])
    for first in ("saved:none", "detectors:none"):
        assert client.get("/api/compare", params={"first": first, "second": "saved:reds"}).status_code == 404
    for first in ("reds", "files:reds", "saved:../x", ""):
        assert client.get("/api/compare", params={"first": first, "second": "saved:reds"}).status_code == 422


def test_who_may_only_read_changes_nothing(folder: Path, encoder: ColourEncoder, tmp_path: Path) -> None:
    reader, writer = ({"X-API-Key": add_key(role, tmp_path / "keys")} for role in ("read", "write"))
    with serve(folder, encoder, keys_file=tmp_path / "keys") as client:
        wait(client)
        body = {"name": "reds", "search": RED}
        assert client.post("/api/saved", json=body, headers=reader).status_code == 403
        assert client.post("/api/saved", json=body, headers=writer).status_code == 201
        for method, path in (("PATCH", ""), ("DELETE", ""), ("POST", "/seen")):
            asked = {"name": "x"} if method == "PATCH" else None
            assert client.request(method, f"/api/saved/reds{path}", json=asked, headers=reader).status_code == 403
        for path in ("", "/reds", "/reds/finds"):
            assert client.get(f"/api/saved{path}", headers=reader).status_code == 200
        assert client.get("/api/saved").status_code == 401


def test_of_two_writers_neither_loses_anything(client: TestClient) -> None:
    def save(number: int) -> int:
        body = {"name": f"n{number % 4}", "search": {"text": f"red {number}"}}
        return client.post("/api/saved", json=body).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(save, range(16)))
    assert sorted(statuses) == [201] * 4 + [422] * 12
    assert [one["name"] for one in client.get("/api/saved").json()["searches"]] == ["n0", "n1", "n2", "n3"]


def test_marks_can_take_the_place_of_a_detectors_earlier_ones(client: TestClient) -> None:
    assert learn(client, "reds")["n_right"] == 2
    mark = [{"tile": found_tiles(client, "red", 1)[0], "right": True}]
    body = {"name": "reds", "search": {"text": "red"}, "marks": mark}
    assert client.post("/api/detectors", json=body).json()["n_right"] == 2
    assert client.post("/api/detectors", json={**body, "afresh": True}).json()["n_right"] == 1
