"""The STAC view, asked by pystac-client as anybody would, and validated by pystac against STAC's own schemas."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pystac
import pystac_client
import pytest
from fastapi.testclient import TestClient
from pystac.validation.local_validator import get_local_schema_cache
from referencing import Registry, Resource

from fakes import ColourEncoder
from rsitr.search import Index
from rsitr.service import ServiceSettings, add_key, create_app
from servers import run_app

NORTH, DEEP = "north_20160816.tif", "deep/values_20200101.tif"
N_TILES = 8
"""Of the two scenes with a day; the other two scenes have none."""


@pytest.fixture(scope="module")
def address(archive: Path, encoder: ColourEncoder) -> Iterator[str]:
    app = create_app(ServiceSettings(index=archive, rate_per_s=0), index=Index.open(archive, encoder=encoder))
    with run_app(app) as url:
        yield f"{url}/stac"


@pytest.fixture(scope="module")
def catalog(address: str) -> pystac_client.Client:
    return pystac_client.Client.open(address)


def find(catalog: pystac_client.Client, q: str, **asked: Any) -> pystac_client.ItemSearch:
    """A search with words: they are a part of pystac-client's searches, but `Client.search` does not take them."""
    search = catalog.search(**asked)
    search._parameters["q"] = q
    return search


def check(told: dict[str, Any], kind: str) -> None:
    """Against STAC's JSON Schemas, which pystac brings along."""
    schemas = get_local_schema_cache()
    registry: Registry[dict[str, object]] = Registry().with_resources(
        (name, Resource.from_contents(schema)) for name, schema in schemas.items()
    )
    address = f"https://schemas.stacspec.org/v{told['stac_version']}/{kind}-spec/json-schema/{kind}.json"
    jsonschema.Draft7Validator(schemas[address], registry=registry).validate(told)


def test_catalogs_collections_and_items_obey_the_schemas_of_stac(
    catalog: pystac_client.Client, client: TestClient
) -> None:
    check(client.get("/stac").json(), "catalog")
    assert client.get("/stac/").json() == client.get("/stac").json()
    collections = client.get("/stac/collections").json()["collections"]
    for told in collections:
        check(told, "collection")
        assert client.get(f"/stac/collections/{told['id']}").json() == told
        west, _, east, _ = told["extent"]["spatial"]["bbox"][0]
        assert -99.3 < west < east < -99.1, "of what has a day"
        assert "2 scenes of unknown day" in told["description"]
    items = [*catalog.search(limit=100).items(), *find(catalog, "red", limit=100).items()]
    assert len(items) == 2 + N_TILES + N_TILES
    for item in items:
        told = item.to_dict()
        check(told, "item")
        item.validate()
        assert item.geometry is not None
    with pytest.raises(jsonschema.ValidationError):
        check({**told, "properties": {}}, "item")


def test_a_client_walks_from_the_catalog_to_pictures(catalog: pystac_client.Client, client: TestClient) -> None:
    assert catalog.conforms_to("ITEM_SEARCH")
    assert [one.id for one in catalog.get_collections()] == ["scenes", "tiles"]
    (scene,) = [item for item in catalog.get_collection("scenes").get_items() if item.properties["title"] == NORTH]
    assert (scene.datetime.isoformat(), scene.properties["instruments"]) == ("2016-08-16T00:00:00+00:00", ["NAIP"])
    assert set(scene.assets) == {"thumbnail", "overview", "tiles"}
    for name in ("thumbnail", "overview"):
        answer = client.get(scene.assets[name].href)
        assert (answer.status_code, answer.headers["content-type"]) == (200, scene.assets[name].media_type)
    drawn = client.get(scene.assets["tiles"].href.format(z=0, x=0, y=0))
    assert (drawn.status_code, drawn.headers["content-type"]) == (200, "image/webp")
    (tile,) = [item for item in catalog.get_collection("tiles").get_items() if item.id == f"{scene.id}-64-0-64-64"]
    assert tile.properties["rsitr:tile"] == f"{NORTH}:64,0,64,64"
    assert tile.get_single_link("derived_from").href == scene.get_self_href()
    assert client.get(tile.get_self_href()).json()["id"] == tile.id
    for name in ("thumbnail", "overview"):
        assert client.get(tile.assets[name].href).status_code == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_words_find_what_a_search_finds(
    catalog: pystac_client.Client, archive: Path, encoder: ColourEncoder, method: str
) -> None:
    expected = [hit for hit in Index.open(archive, encoder=encoder).search("red", k=100) if hit.tile.date]
    search = find(catalog, "red", limit=3, method=method)
    assert search.matched() == N_TILES
    pages = list(search.pages_as_dicts())
    assert [len(page["features"]) for page in pages] == [3, 3, 2]
    assert {page["rsitr:state"] for page in pages} == {"matches"}
    found = [item for page in pages for item in page["features"]]
    assert [item["properties"]["rsitr:tile"] for item in found] == [hit.tile.tile for hit in expected]
    assert [item["properties"]["rsitr:relevance"] for item in found] == pytest.approx(
        [hit.relevance for hit in expected], abs=1e-6
    )
    assert found[0]["properties"]["rsitr:rank"] == 1
    assert found[0]["properties"]["rsitr:state"] == "matches"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_items_are_found_by_place_time_and_id(catalog: pystac_client.Client, method: str) -> None:
    def ids(**asked: Any) -> list[str]:
        return [item.properties["title"] for item in catalog.search(method=method, limit=100, **asked).items()]

    every = ids()
    assert len(every) == 2 + N_TILES
    assert ids(collections="scenes") == [DEEP, NORTH]
    assert len(ids(collections=["tiles"])) == N_TILES
    assert ids(collections=["none"]) == []
    assert ids(datetime="2016", collections=["scenes"]) == [NORTH]
    assert ids(datetime="2018-01-01/..", collections=["scenes"]) == [DEEP]
    assert ids(datetime="../2018-01-01", collections=["scenes"]) == [NORTH]
    assert ids(bbox=[-99.3, 47.0, -99.1, 47.1]) == ids(bbox=[-99.3, 47.0, 0, -99.1, 47.1, 9000]) == every
    assert ids(bbox=[0, 0, 1, 1]) == []
    (tile,) = catalog.search(ids=[item_of(catalog, f"{NORTH}:64,0,64,64").id, "none", "0-0"]).items()
    assert tile.properties["title"] == f"{NORTH}:64,0,64,64"
    west, south, east, north = tile.bbox
    point = {"type": "Point", "coordinates": [(west + east) / 2, (south + north) / 2]}
    assert set(ids(intersects=point, datetime="2016-08-16", collections=["tiles"])) == {tile.properties["title"]}
    assert ids(intersects=point, ids=[tile.id], datetime="2020") == []
    assert ids(intersects={"type": "Point", "coordinates": [0, 0]}) == []
    assert [item.id for item in find(catalog, "red", ids=[tile.id], method=method).items()] == [tile.id]


def item_of(catalog: pystac_client.Client, title: str) -> pystac.Item:
    return next(item for item in catalog.search(limit=100).items() if item.properties["title"] == title)


def test_pages_hold_every_item_once(catalog: pystac_client.Client) -> None:
    every = [item.id for item in catalog.search(limit=100).items()]
    assert len(set(every)) == 2 + N_TILES
    for method in ("GET", "POST"):
        for limit in (1, 3, N_TILES):
            search = catalog.search(limit=limit, method=method)
            assert search.matched() == len(every)
            assert [item.id for item in search.items()] == every
    assert [item.id for item in catalog.get_collection("tiles").get_items()] == every[2:]


def test_what_cannot_be_searched_is_400_and_says_why(client: TestClient) -> None:
    for params, why in [
        ({"bbox": "1,2,3"}, "bbox takes west,south,east,north"),
        ({"bbox": "nan,0,1,1"}, "a box is"),
        ({"datetime": "yesterday"}, "datetime takes"),
        ({"datetime": "2016-08-16T99:00:00Z"}, "datetime takes"),
        ({"datetime": "0001-01-01T00:00:00+23:00"}, "datetime takes"),
        ({"datetime": "../.."}, "datetime takes"),
        ({"datetime": "2020/2016"}, "exchange the two"),
        ({"datetime": "a/b/c"}, "datetime takes"),
        ({"q": " "}, "q takes words"),
        ({"q": "red", "collections": "scenes"}, "q finds items of the collection `tiles`"),
        ({"intersects": "{"}, "intersects takes a GeoJSON geometry"),
        ({"intersects": '{"type":"Point","coordinates":[0,91]}'}, "not on Earth"),
        ({"intersects": '{"type":"Point","coordinates":[0,0]}', "bbox": "0,0,1,1"}, "not both"),
        ({"limit": 0}, "limit"),
        ({"limit": 10_001}, "limit"),
        ({"offset": -1}, "offset"),
        ({"ids": ","}, "ids"),
        ({"collections": ",".join("a" * 200)}, "collections"),
        ({"sortby": "x"}, "sortby"),
    ]:
        answer = client.get("/stac/search", params=params)
        assert answer.status_code == 400, params
        assert why in answer.json()["error"]["detail"]
    body = {"q": ["a" * 600, "b" * 600]}
    assert client.post("/stac/search", json=body).status_code == 400
    deep = '{"intersects": ' + '{"type":"GeometryCollection","geometries":[' * 5000 + "]}" * 5000 + "}"
    headers = {"Content-Type": "application/json"}
    assert client.post("/stac/search", content=deep, headers=headers).status_code == 400
    long = {"type": "LineString", "coordinates": [[i / 1e4, 0] for i in range(5000)]}
    assert "simplify" in client.post("/stac/search", json={"intersects": long}).json()["error"]["detail"]
    for path in ("collections/none", "collections/none/items"):
        assert client.get(f"/stac/{path}").status_code == 400
    for path in ("nothing", "collections/tiles/items/x", "collections/scenes/items/" + "0" * 16):
        assert client.get(f"/stac/{path}").status_code == 404
    undated = next(s for s in client.get("/api/scenes").json()["scenes"] if s["scene"] == "photo.png")
    answer = client.get(f"/stac/collections/scenes/items/{undated['id']}")
    assert (answer.status_code, "day is unknown" in answer.json()["error"]["detail"]) == (404, True)


def test_words_may_be_given_to_a_client_once_and_for_all(address: str) -> None:
    client = pystac_client.Client.open(address, parameters={"q": "red"})
    search = client.search(method="GET", limit=5)
    found = [item.properties["rsitr:relevance"] for item in search.items()]
    assert (search.matched(), len(found)) == (N_TILES, N_TILES)
    assert found == sorted(found, reverse=True)


def test_words_may_be_several(client: TestClient) -> None:
    one = client.post("/stac/search", json={"q": "a red, large field"}).json()
    several = client.post("/stac/search", json={"q": ["a red", "large field"]}).json()
    assert one["features"] == several["features"]


def test_the_guard_stands_before_it(make_client: Callable[..., TestClient], tmp_path: Path) -> None:
    key = add_key("read", tmp_path / "keys.txt")
    client = make_client(
        keys_file=tmp_path / "keys.txt", cors_origins=("https://map.example",), rate_per_s=0.001, rate_burst=4
    )
    for path in ("/stac", "/stac/search", "/ogc", "/ogc/collections/tiles/items"):
        assert client.get(path).status_code == 401
    headers = {"X-API-Key": key, "Origin": "https://map.example"}
    answer = client.post("/stac/search", json={"q": "red"}, headers=headers)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "https://map.example")
    assert (
        client.post("/stac/search", json={}, headers={**headers, "Origin": "https://evil.example"}).status_code == 403
    )
    assert [client.get("/ogc", headers=headers).status_code for _ in range(3)] == [200, 200, 429]


def test_links_begin_with_the_address_that_was_asked(
    make_client: Callable[..., TestClient], archive: Path, encoder: ColourEncoder
) -> None:
    client = make_client(host="0.0.0.0", insecure=True)
    told = client.get("/stac", headers={"Host": "maps.example:8443"}).json()
    assert {link["href"].split("/stac")[0] for link in told["links"]} == {"http://maps.example:8443"}
    for host in ("[", '"><script>', "a b", ""):
        for path in ("/stac", "/ogc/collections/tiles/items?limit=1", "/stac/search?limit=0"):
            assert client.get(path, headers={"Host": host}).status_code in {200, 400}, host


def test_a_strange_host_is_no_fault(archive: Path, encoder: ColourEncoder) -> None:
    """As bytes on the wire, which no client library would send."""
    settings = ServiceSettings(index=archive, rate_per_s=0, host="0.0.0.0", insecure=True)
    with run_app(create_app(settings, index=Index.open(archive, encoder=encoder))) as url:
        for host in (b"[", b'"><b>', b"\xff\xfe", b"a@b:99999999"):
            for path in (b"/stac", b"/ogc/collections/tiles/items?limit=1", b"/stac/search?limit=0"):
                with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=30) as wire:
                    wire.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n")
                    status = int(wire.makefile("rb").readline().split()[1])
                assert status in {200, 400}, (host, path)
