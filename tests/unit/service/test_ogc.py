"""The OGC API Features view, asked by OWSLib as anybody would, and read by GDAL and geopandas."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import geopandas
import openapi_spec_validator
import pyogrio
import pytest
import shapely
from fastapi.testclient import TestClient
from owslib.ogcapi.features import Features

from fakes import ColourEncoder
from rsitr.search import Index
from rsitr.service import ServiceSettings, create_app
from servers import run_app

NORTH, DEEP = "north_20160816.tif", "deep/values_20200101.tif"
N_TILES = 13


@pytest.fixture(scope="module")
def address(archive: Path, encoder: ColourEncoder) -> Iterator[str]:
    app = create_app(ServiceSettings(index=archive, rate_per_s=0), index=Index.open(archive, encoder=encoder))
    with run_app(app) as url:
        yield f"{url}/ogc"


@pytest.fixture(scope="module")
def features(address: str) -> Features:
    return Features(address)


def test_a_client_walks_from_the_landing_page_to_features(features: Features, client: TestClient) -> None:
    assert "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core" in features.conformance()["conformsTo"]
    assert features.feature_collections() == ["scenes", "tiles", "search"]
    assert client.get("/ogc").json() == client.get("/ogc/").json()
    for name in ("scenes", "tiles", "search"):
        told = features.collection(name)
        west, south, east, north = told["extent"]["spatial"]["bbox"][0]
        assert (west > east, south < north) == (True, True), "one scene lies across the antimeridian"
        assert told["extent"]["temporal"]["interval"] == [["2016-08-16T00:00:00Z", "2020-01-01T23:59:59Z"]]
    scenes = features.collection_items("scenes")
    assert (scenes["numberMatched"], scenes["numberReturned"]) == (4, 4)
    north = next(one for one in scenes["features"] if one["properties"]["scene"] == NORTH)
    again = features.collection_item("scenes", north["id"])
    assert again["properties"] == north["properties"]
    assert client.get(north["properties"]["overview"]).headers["content-type"] == "image/jpeg"
    assert client.get(north["properties"]["tiles"].format(z=0, x=0, y=0)).headers["content-type"] == "image/webp"
    tile = features.collection_item("tiles", f"{north['id']}-64-0-64-64")
    assert tile["properties"]["tile"] == f"{NORTH}:64,0,64,64"
    assert client.get(tile["properties"]["picture"]).headers["content-type"] == "image/jpeg"


def test_its_description_is_openapi_that_others_read(features: Features, client: TestClient) -> None:
    told = features.api()
    openapi_spec_validator.validate(told)
    assert told["openapi"].startswith("3.0")
    assert {"/ogc", "/ogc/collections/search/items"} <= set(told["paths"])
    assert not any(path.startswith("/api") for path in told["paths"])
    described = {one["name"] for one in told["paths"]["/ogc/collections/search/items"]["get"]["parameters"]}
    assert {"q", "not", "bbox", "datetime", "limit", "offset", "threshold", "matches"} <= described
    stac = client.get("/stac/api").json()
    openapi_spec_validator.validate(stac)
    assert "StacBody" in stac["components"]["schemas"]
    assert "SearchBody" not in stac["components"]["schemas"]


def test_features_are_limited_by_place_and_time(features: Features) -> None:
    def scenes(**asked: Any) -> set[str]:
        found = features.collection_items("scenes", **asked)["features"]
        assert {one["properties"]["scene"].partition(":")[0] for one in found} == {
            one["properties"]["scene"] for one in features.collection_items("tiles", limit=100, **asked)["features"]
        }, "the same limits leave the same tiles"
        return {one["properties"]["scene"] for one in found}

    assert scenes() == {NORTH, DEEP, "<b>dateline.tif", "photo.png"}
    assert scenes(bbox=[179, 40, -179, 60]) == {"<b>dateline.tif"}
    assert scenes(bbox=[-99.3, 47.0, -99.1, 47.1]) == {NORTH, DEEP}
    assert scenes(datetime_="2016-08-16T00:00:00Z/2016-08-17T00:00:00Z") == {NORTH}
    assert scenes(datetime_="2018/..") == {DEEP}
    assert scenes(bbox=[0, 0, 1, 1]) == set()


def test_pages_hold_every_feature_once(client: TestClient) -> None:
    for path, params in [
        ("/ogc/collections/scenes/items", {}),
        ("/ogc/collections/tiles/items", {"bbox": "-180,-90,180,90"}),
        ("/ogc/collections/search/items", {"q": "red", "places": False, "not": ["blue", "dark"]}),
    ]:
        whole = client.get(path, params={**params, "limit": 100}).json()
        assert {link["rel"] for link in whole["links"]} == {"self", "collection"}
        ids = []
        answer = client.get(path, params={**params, "limit": 3})
        while True:
            page = answer.json()
            links = {link["rel"]: link["href"] for link in page["links"]}
            assert client.get(links["self"]).json()["features"] == page["features"]
            ids += [one["id"] for one in page["features"]]
            if "next" not in links:
                break
            answer = client.get(links["next"])
        assert ids == [one["id"] for one in whole["features"]]
        assert len(ids) == whole["numberMatched"] == page["numberMatched"] > 3
        assert len(set(ids)) == len(ids)
        back = client.get(links["prev"]).json()
        assert back["features"][-1]["id"] == ids[len(ids) - len(page["features"]) - 1]
    beyond = client.get("/ogc/collections/tiles/items", params={"offset": 1000}).json()
    assert (beyond["numberReturned"], beyond["features"]) == (0, [])
    assert "next" not in {link["rel"] for link in beyond["links"]}


def test_words_find_what_a_search_finds(features: Features, client: TestClient) -> None:
    expected = client.post("/api/search", json={"text": "red", "k": 200}).json()
    found = features.collection_items("search", q="red", limit=100)
    assert [one["properties"]["place"] for one in found["features"]] == [place["id"] for place in expected["places"]]
    assert [one["properties"]["relevance"] for one in found["features"]] == [p["relevance"] for p in expected["places"]]
    assert (found["state"], found["message"]) == (expected["state"], expected["message"])
    first = found["features"][0]
    assert first["properties"]["state"] == "matches"
    assert client.get(first["properties"]["picture"]).status_code == 200
    assert features.collection_item("search", first["id"])["properties"]["tile"] == first["properties"]["place"]
    tiles = features.collection_items("search", q="red", limit=100, places="false")
    assert [one["properties"]["tile"] for one in tiles["features"]] == [hit["tile"] for hit in expected["hits"]]
    north = features.collection_items(
        "search", q="red", places="false", bbox=[-99.3, 47, -99.1, 47.1], datetime_="2016"
    )
    assert {one["properties"]["path"] for one in north["features"]} == {NORTH}


def test_only_matches_on_demand(client: TestClient) -> None:
    path = "/ogc/collections/search/items"
    every = client.get(path, params={"q": "red", "limit": 100, "places": False}).json()
    chosen = client.get(path, params={"q": "red", "limit": 100, "places": False, "matches": True}).json()
    matching = [one for one in every["features"] if one["properties"]["relevance"] >= 0.5]
    assert [one["id"] for one in chosen["features"]] == [one["id"] for one in matching]
    assert 0 < chosen["numberMatched"] < every["numberMatched"] == N_TILES
    places = client.get(path, params={"q": "red", "matches": True}).json()
    assert all(one["properties"]["relevance"] >= 0.5 for one in places["features"])
    none = client.get(path, params={"q": "red", "matches": True, "threshold": 1}).json()
    assert (none["features"], none["state"]) == ([], "unsure")


def test_without_words_there_is_nothing_and_it_says_so(client: TestClient) -> None:
    found = client.get("/ogc/collections/search/items").json()
    assert (found["features"], found["numberMatched"]) == ([], 0)
    assert "?q=WORDS" in found["message"]


def test_gdal_and_geopandas_read_the_features(client: TestClient) -> None:
    for name, params, n in [
        ("tiles", {"limit": 100}, N_TILES),
        ("search", {"q": "red", "limit": 100, "places": False}, N_TILES),
        ("scenes", {}, 4),
    ]:
        answer = client.get(f"/ogc/collections/{name}/items", params=params)
        assert answer.headers["content-type"] == "application/geo+json"
        by_gdal = pyogrio.read_dataframe(io.BytesIO(answer.content))
        frame = geopandas.GeoDataFrame.from_features(answer.json()["features"], crs=4326)
        assert len(by_gdal) == len(frame) == n
        placed = frame[frame.geometry.notna()]
        assert placed.geometry.is_valid.all()
        assert shapely.equals(placed.geometry.to_numpy(), by_gdal.geometry.to_numpy()[frame.geometry.notna()]).all()


def test_what_cannot_be_asked_is_400_and_says_why(client: TestClient) -> None:
    for path, why in [
        ("scenes/items?bbox=1,2,3", "bbox takes"),
        ("tiles/items?limit=0", "limit"),
        ("tiles/items?q=red", "q: extra inputs"),
        ("tiles/items?offset=-1", "offset"),
        ("search/items?q=", "empty"),
        ("search/items?q=red&datetime=never", "datetime takes"),
        ("search/items?q=red&bbox=0,1,1,0", "south lies north"),
        ("search/items?q=red&gsd_m=1", "gsd_m takes"),
        ("search/items?q=red&threshold=2", "threshold"),
        ("search/items?detector=none", "none"),
        ("search/items?q=red&detector=none", "leave out words"),
        ("none", "collection"),
    ]:
        answer = client.get(f"/ogc/collections/{path}")
        assert answer.status_code == 400, path
        assert why in answer.json()["error"]["detail"], path
    for path in (
        "none/items",
        "tiles/items/x",
        "tiles/items/" + "0" * 16 + "-0-0-64-64",
        "search/items/0",
        "scenes/items/x",
    ):
        assert client.get(f"/ogc/collections/{path}").status_code == 404, path
    assert client.get("/ogc/collections/search/items?like=none").status_code == 404
    assert client.post("/ogc/collections/tiles/items", json={}).status_code == 405


def test_nothing_of_the_machine_is_told(client: TestClient, archive: Path) -> None:
    for path in ("/ogc", "/ogc/collections", "/ogc/collections/scenes/items", "/stac/search", "/stac/collections"):
        text = client.get(path).text
        assert str(archive.parent) not in text
        json.loads(text)
        assert all(href.startswith("http://127.0.0.1/") for href in re.findall(r'"href":"([^"]+)"', text))
