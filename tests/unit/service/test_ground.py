"""What is asked of the ground: areas that are sent, the tiles under a point, and the days of a tile."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

from hostile import PATHS

SQUARE = {"type": "Polygon", "coordinates": [[[7, 46], [7.1, 46], [7.1, 46.1], [7, 46.1], [7, 46]]]}


def placed(client: TestClient) -> dict[str, Any]:
    """A tile with a place, of the scene of 2016."""
    hits = client.post("/api/search", json={"text": "red", "k": 100, "all": True}).json()["hits"]
    return next(hit for hit in hits if hit["date"] == "2016-08-16")


def test_an_area_comes_back_as_searches_take_it(client: TestClient) -> None:
    answer = client.post("/api/areas", content=json.dumps(SQUARE))
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["bbox"], told["n_outlines"], told["n_corners"], told["note"]) == ([7, 46, 7.1, 46.1], 1, 4, "")
    found = client.post("/api/search", json={"text": "red", "area": told["geometry"]})
    assert found.status_code == 200
    track = client.post("/api/areas?around_m=1000", content="LINESTRING (7 46, 8 46)").json()
    assert track["note"] == "1 line: 1000 m around"
    far = client.post("/api/areas", content="POLYGON ((179 0, 181 0, 181 1, 179 1, 179 0))").json()
    assert far["bbox"] == [179, 0, -179, 1]


def test_what_is_no_area_is_a_client_error(make_client: Any) -> None:
    client = make_client(max_area_bytes=2000)
    for content in (b"", b"hello", b"{", b"\x00" * 100, b"<!DOCTYPE a>", b"SQLite format 3\x00" + b"\xff" * 900):
        answer = client.post("/api/areas", content=content)
        assert answer.status_code == 422, content
        assert "Traceback" not in answer.text
    assert client.post("/api/areas", content=b"x" * 2001).status_code == 413
    assert client.post("/api/areas?around_m=nan", content=b"POINT (1 1)").status_code == 422
    assert client.post("/api/areas?around_m=0", content=b"POINT (1 1)").status_code == 422


def test_the_tiles_under_a_point_are_found(client: TestClient) -> None:
    tile = placed(client)
    west, south, east, north = tile["bbox"]
    told = client.get("/api/tiles", params={"lon": (west + east) / 2, "lat": (south + north) / 2})
    assert told.status_code == 200
    found = told.json()["tiles"]
    assert [one["date"] for one in found] == ["2020-01-01", "2016-08-16"], "the latest first, one of each scene"
    assert found[1]["tile"] == tile["tile"]
    assert client.get("/api/tiles", params={"lon": 10, "lat": 10}).json() == {"tiles": []}
    for lon, lat in ((200, 0), (0, 91), ("nan", 0), ("x", 1)):
        assert client.get("/api/tiles", params={"lon": lon, "lat": lat}).status_code == 422


def test_the_ground_of_a_tile_through_all_scenes(client: TestClient) -> None:
    tile = placed(client)
    address = f"/api/tiles/{quote(tile['tile'], safe='')}"
    days = client.get(f"{address}/days").json()["days"]
    assert [day["date"] for day in days] == ["2016-08-16", "2020-01-01"]
    assert days[0]["tile"] == tile["tile"]
    assert days[1]["window_px"] == days[0]["window_px"], "the two scenes lie on the same ground"
    pictures = {day["scene_id"]: client.get(day["picture"]) for day in days}
    assert all(picture.status_code == 200 for picture in pictures.values())
    assert len({picture.content for picture in pictures.values()}) == 2
    assert pictures[tile["scene_id"]].content == client.get(tile["picture"]).content
    assert client.get(f"{address}/picture.jpg?scene={'0' * 16}").status_code == 404
    elsewhere = next(scene for scene in client.get("/api/scenes").json()["scenes"] if scene["corners"] is None)
    assert "does not show" in client.get(f"{address}/picture.jpg?scene={elsewhere['id']}").json()["error"]["detail"]


def test_a_tile_without_a_place_has_its_own_day_alone(client: TestClient) -> None:
    hits = client.post("/api/search", json={"text": "yellow", "k": 100, "all": True}).json()["hits"]
    photo = next(hit for hit in hits if hit["bbox"] is None)
    (day,) = client.get(f"/api/tiles/{quote(photo['tile'], safe='')}/days").json()["days"]
    assert day["tile"] == photo["tile"]


@pytest.mark.parametrize("path", PATHS)
def test_no_tile_of_an_ill_name_has_days(client: TestClient, path: str) -> None:
    assert 400 <= client.get(f"/api/tiles/{quote(path, safe='')}/days").status_code < 500


def test_a_background_is_asked_of_its_own_site_alone(make_client: Any) -> None:
    plain = make_client().get("/")
    assert "https" not in plain.headers["Content-Security-Policy"]
    client = make_client(background_url="https://tiles.example/a/{z}/{x}/{y}.png?k=1", background_credit="© Example")
    policy = client.get("/").headers["Content-Security-Policy"]
    assert "img-src 'self' https://tiles.example " in policy
    assert "connect-src 'self' https://tiles.example " in policy
    assert policy.count("https") == 2
    assert client.get("/api/index").json()["background"]["credit"] == "© Example"


@pytest.mark.parametrize(
    "url", ["tiles/{z}/{x}/{y}", "ftp://a/{z}/{x}/{y}", "https://a/{z}/{x}", "https://a b;/{z}{x}{y}"]
)
def test_a_background_must_be_one(make_client: Any, url: str) -> None:
    with pytest.raises(ValueError, match="must be like https"):
        make_client(background_url=url)


def test_the_tiles_under_a_brush_are_found(client: TestClient) -> None:
    tile = placed(client)
    west, south, east, north = tile["bbox"]
    middle = [(west + east) / 2, (south + north) / 2]
    told = client.post("/api/tiles", json={"way": [middle], "radius_m": 1})
    assert told.status_code == 200, told.text
    assert (len(told.json()["tiles"]), told.json()["is_cut"]) == (2, False)
    assert tile["tile"] in {one["tile"] for one in told.json()["tiles"]}
    more = client.post("/api/tiles", json={"way": [middle, [east + (east - west) / 2, middle[1]]], "radius_m": 1})
    assert len(more.json()["tiles"]) == 4, "the neighbour as well, in both scenes"
    assert client.post("/api/tiles", json={"way": [[10, 10]], "radius_m": 5}).json() == {"tiles": [], "is_cut": False}


@pytest.mark.parametrize(
    "body",
    [
        {"way": [], "radius_m": 1},
        {"way": [[1]], "radius_m": 1},
        {"way": [[1, 91]], "radius_m": 1},
        {"way": [[1, 1, 1]], "radius_m": 1},
        {"way": [["1", 1]], "radius_m": 1},
        {"way": [[1, 1]], "radius_m": 0},
        {"way": [[1, 1]]},
        {"way": [[1, 1]] * 2001, "radius_m": 1},
        {"way": [[541, 1]], "radius_m": 1},
    ],
)
def test_what_is_no_brush_is_a_client_error(client: TestClient, body: dict[str, Any]) -> None:
    assert client.post("/api/tiles", json=body).status_code == 422
