"""The plugin for QGIS as far as it needs none: what it asks a real service, what it makes of answers, and its file.

What needs QGIS is in tests/integration/test_qgis.py.
"""

from __future__ import annotations

import base64
import configparser
import importlib
import importlib.util
import json
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from archives import write_archive
from fakes import ColourEncoder
from rsitr.search import Index
from rsitr.service import ServiceSettings, add_key, create_app
from servers import run_app

PLUGIN = Path(__file__).resolve().parents[2] / "qgis"


@pytest.fixture(scope="module")
def client() -> Iterator[ModuleType]:
    """The plugin's own client."""
    sys.path.insert(0, str(PLUGIN))
    try:
        yield importlib.import_module("rsitr_search.client")
    finally:
        sys.path.remove(str(PLUGIN))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_archive(tmp_path_factory.mktemp("archive"), ColourEncoder(image_size_px=64))


@pytest.fixture(scope="module")
def service(archive: Path) -> Iterator[str]:
    index = Index.open(archive, encoder=ColourEncoder(image_size_px=64))
    with run_app(create_app(ServiceSettings(index=archive, rate_per_s=0), index=index)) as url:
        yield url


def fetch(address: str, key: str = "") -> tuple[int, bytes]:
    """As the plugin's, with Python's own library."""
    request = urllib.request.Request(address, headers={"X-API-Key": key} if key else {})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError as error:
        return 0, str(error).encode()


def test_the_plugin_finds_what_the_service_does(client: ModuleType, service: str) -> None:
    told = json.loads(fetch(f"{service}/api/search?q=red&k=200")[1])
    answer = client.ask(service, client.Search(words=" red "), fetch)
    placed = [place for place in told["places"] if place["geometry"] is not None]
    assert [one["properties"]["place"] for one in answer.features] == [place["id"] for place in placed]
    assert (answer.n_nowhere, answer.state) == (1, "matches")
    assert answer.say() == "8 results (and 1 without a known place)"
    tiles = client.ask(service, client.Search("red", places=False, limit=3), fetch)
    assert (len(tiles.features), tiles.n_matched) == (3, 13)
    sure = client.ask(service, client.Search("red", places=False, only_matches=True, threshold=0.9), fetch)
    assert all(one["properties"]["relevance"] >= 0.9 for one in sure.features)
    nothing = client.ask(service, client.Search("red", bbox=(0, 0, 1, 1)), fetch)
    assert nothing.say().startswith("0 results: no tile lies within these limits")


def test_limits_of_place_and_time(client: ModuleType, service: str) -> None:
    def scenes(**limits: Any) -> set[str]:
        found = client.ask(service, client.Search("red", places=False, limit=500, **limits), fetch).features
        return {one["properties"]["path"] for one in found}

    assert scenes(bbox=(-99.3, 47, -99.1, 47.1)) == {"north_20160816.tif", "deep/values_20200101.tif"}
    assert scenes(bbox=(179.0, 40.0, 181.0, 60.0)) == {"<b>dateline.tif"}, "as a map shows it beyond 180 degrees"
    assert scenes(since="2018") == {"deep/values_20200101.tif"}
    assert scenes(until="2016-08-16") == {"north_20160816.tif"}
    assert scenes(since="2016-01", until="2016-12") == {"north_20160816.tif"}


def test_pictures_are_carried_along(client: ModuleType, service: str) -> None:
    answer = client.ask(service, client.Search("red", limit=4), fetch)
    shown = client.add_pictures(service, answer, fetch)
    for feature in shown.features:
        kind, _, content = feature["properties"]["thumbnail"].partition(",")
        assert kind == "data:image/jpeg;base64"
        assert base64.b64decode(content).startswith(b"\xff\xd8\xff")
    asked: list[str] = []

    def note(address: str) -> tuple[int, bytes]:
        asked.append(address)
        return 404, b""

    evil = {**answer.features[0], "properties": {"picture": "https://evil.example/api/tiles/x/picture.jpg"}}
    gone = client.add_pictures(service, client.Answer((evil, evil), 2, 0, None, ""), note)
    assert [one["properties"]["thumbnail"] for one in gone.features] == [None, None]
    assert asked == [f"{service}/api/tiles/x/picture.jpg?size=192"] * 2, "a key is shown to nobody else"
    client.add_pictures(service, answer, note, is_cancelled=lambda: True)
    assert len(asked) == 2


def test_what_goes_wrong_is_said(client: ModuleType, service: str, archive: Path, tmp_path: Path) -> None:
    def trouble(address: str, search: Any, key: str = "") -> str:
        with pytest.raises(client.ServiceError) as caught:
            client.ask(address, search, lambda asked: fetch(asked, key))
        return str(caught.value)

    red = client.Search("red")
    assert trouble(service, client.Search(" ")) == "say in words what to look for"
    assert "datetime takes a day" in trouble(service, client.Search("red", since="yesterday"))
    assert "cannot be reached" in trouble("http://127.0.0.1:9", red)
    assert "no service of rsitr" in trouble(f"{service}/elsewhere", red)
    for content in (b"<html>", b"[]", b"{}", b'{"features": [1], "numberMatched": 1}', b'{"features": 3}', b"\xff"):
        with pytest.raises(client.ServiceError, match="not as a service of rsitr does"):
            client.ask(service, red, lambda _, content=content: (200, content))
    key = add_key("read", tmp_path / "keys.txt")
    settings = ServiceSettings(index=archive, keys_file=tmp_path / "keys.txt", rate_per_s=0)
    with run_app(create_app(settings, index=Index.open(archive, encoder=ColourEncoder(image_size_px=64)))) as locked:
        assert "with the header X-API-Key" in trouble(locked, red)
        answer = client.ask(locked, red, lambda asked: fetch(asked, key))
    assert answer.features


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8000", "http://127.0.0.1:8000"),
        (" https://maps.example/rsitr/ ", "https://maps.example/rsitr"),
        ("http://localhost:8000/ogc", "http://localhost:8000"),
        ("localhost:8000/stac/", "http://localhost:8000"),
    ],
)
def test_addresses(client: ModuleType, text: str, address: str) -> None:
    assert client.check_address(text) == address


@pytest.mark.parametrize("text", ["", "no address", "ftp://a", "http://", "http://[", "http://a/?q=1"])
def test_what_is_no_address(client: ModuleType, text: str) -> None:
    with pytest.raises(client.ServiceError, match="no address of a service"):
        client.check_address(text)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 1.0])
def test_every_result_is_drawn_by_one_rule(client: ModuleType, threshold: float) -> None:
    rules = importlib.import_module("rsitr_search.styling").make_rules(threshold)

    def drawn(relevance: float | None) -> list[str]:
        known = {"relevance": float("nan") if relevance is None else relevance}
        each = [(rule, rule.expression.replace('"relevance" IS NULL', "relevance != relevance")) for rule in rules]
        return [
            rule.label
            for rule, condition in each
            if eval(condition.replace('"relevance"', "relevance").replace(" AND ", " and "), known)
        ]

    for relevance in (0.0, 0.2999, 0.3, 0.5, 0.75, 0.999, 1.0, None):
        assert len(drawn(relevance)) == 1
    assert drawn(None) == ["not judged"]
    assert drawn(1.0)[0].startswith("surely")


def test_the_file_is_what_qgis_installs(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("package", PLUGIN / "package.py")
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)
    file = package.pack(tmp_path)
    first = file.read_bytes()
    assert package.pack(tmp_path).read_bytes() == first
    with zipfile.ZipFile(file) as archive:
        names = set(archive.namelist())
        metadata = configparser.ConfigParser()
        metadata.read_string(archive.read("rsitr_search/metadata.txt").decode())
    assert {name.split("/")[0] for name in names} == {"rsitr_search"}
    assert {f"rsitr_search/{path.name}" for path in (PLUGIN / "rsitr_search").glob("*.py")} < names
    assert {"rsitr_search/LICENSE", "rsitr_search/icon.svg", "rsitr_search/__init__.py"} < names
    told = metadata["general"]
    assert {"name", "description", "about", "version", "author", "qgisminimumversion"} <= set(told)
    assert told["icon"] == "icon.svg"
    assert told["version"] in file.name
