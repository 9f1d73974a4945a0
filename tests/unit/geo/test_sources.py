"""Scenes on servers and in STAC catalogues, from a server on loopback."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import subprocess
import sys
import threading
import warnings
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
import rasterio
from moto.server import ThreadedMotoServer
from PIL import Image
from rasterio.errors import NotGeoreferencedWarning

from fakes import ColourEncoder
from rasters import write_palette, write_utm
from rsitr.errors import SceneError
from rsitr.geo import Source, find_sources, open_scene, read_picture, stat_source
from rsitr.index import ingest, open_index
from servers import running, serving

BOX = [-99.19, 46.9, -99.18, 47.0]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    write_utm(folder / "bucket" / "a.tif")
    write_palette(folder / "bucket" / "b_20190203.tif")
    (folder / "broken.tif").write_bytes(b"no image")
    vrt = '<VRTDataset rasterXSize="128" rasterYSize="128"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
    vrt += f"<SourceFilename>{folder / 'bucket' / 'a.tif'}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
    (folder / "trojan.tif").write_text(vrt)
    return folder


@pytest.fixture(scope="module")
def server(archive: Path) -> Iterator[str]:
    with serving(archive) as address:
        yield address


def item(name: str, assets: dict[str, Any], **properties: Any) -> dict[str, Any]:
    west, south, east, north = BOX
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": BOX,
        "properties": {"datetime": "2021-05-06T10:11:12Z", **properties},
        "links": [],
        "assets": assets,
    }


def write_json(path: Path, content: dict[str, Any]) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_a_scene_on_a_server_is_the_scene_in_the_folder(archive: Path, server: str) -> None:
    there = read_picture(f"{server}/bucket/a.tif", max_px=64)
    assert np.array_equal(there, read_picture(archive / "bucket" / "a.tif", max_px=64))
    scene = open_scene(f"{server}/bucket/b_20190203.tif")
    assert scene.date is not None
    assert (scene.date.day, scene.is_palette) == (datetime.date(2019, 2, 3), True)
    assert scene.ground == open_scene(archive / "bucket" / "b_20190203.tif").ground


def test_the_state_of_a_scene_on_a_server_changes_with_the_file(archive: Path, server: str) -> None:
    path = archive / "changing.tif"
    path.write_bytes(b"123")
    os.utime(path, (1_600_000_000, 1_600_000_000))
    assert stat_source(f"{server}/changing.tif") == (3, 1_600_000_000_000_000_000)
    path.write_bytes(b"1234")
    assert stat_source(f"{server}/changing.tif") != (3, 1_600_000_000_000_000_000)
    with pytest.raises(OSError, match="its server answers 404"):
        stat_source(f"{server}/missing.tif")
    with pytest.raises(OSError, match="its server cannot be reached"):
        stat_source("http://127.0.0.1:9/a.tif")


def test_scenes_on_servers_are_indexed_and_known_again(server: str, tmp_path: Path) -> None:
    names = ["bucket/a.tif", "broken.tif", "missing.tif", "trojan.tif"]
    inputs = [f"{server}/{name}" for name in names]
    into = tmp_path / "index"
    report = ingest(inputs, into=into, encoder=ColourEncoder(image_size_px=64))
    assert [entry.scene for entry in report.indexed] == inputs[:1]
    assert {failure.scene: failure.reason for failure in report.failures} == {
        inputs[1]: "not an image or raster in a format that can be opened",
        inputs[2]: "its server answers 404 file not found",
        # A VRT names other files: one from a server would have this machine's files read.
        inputs[3]: "not an image or raster in a format that can be opened",
    }
    index = open_index(into)
    assert index.scene_path(inputs[0]) == inputs[0]
    assert ingest(inputs[:1], into=into, encoder=ColourEncoder(image_size_px=64), sync=True).unchanged == (inputs[0],)


def test_scenes_in_buckets(archive: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_S3_ENDPOINT": server.removeprefix("http://"),
        "AWS_HTTPS": "NO",
        "AWS_VIRTUAL_HOSTING": "FALSE",
        "AWS_NO_SIGN_REQUEST": "YES",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    path = archive / "bucket" / "a.tif"
    assert np.array_equal(read_picture("s3://bucket/a.tif", max_px=64), read_picture(path, max_px=64))
    assert stat_source("s3://bucket/a.tif")[0] == path.stat().st_size
    with pytest.raises(OSError, match=r"missing\.tif"):
        stat_source("s3://bucket/missing.tif")


@pytest.fixture
def bucket(archive: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A private bucket with a scene and a STAC collection in it, on a server that checks who asks."""
    for name, value in {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}.items():
        monkeypatch.setenv(name, value)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_S3_ENDPOINT": f"{host}:{port}",
        "AWS_HTTPS": "NO",
        "AWS_VIRTUAL_HOSTING": "FALSE",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1")
    client.create_bucket(Bucket="town")
    client.upload_file(str(archive / "bucket" / "a.tif"), "town", "2021/a.tif")
    tif = {"href": "s3://town/2021/a.tif", "type": "image/tiff; application=geotiff", "roles": ["visual"]}
    client.put_object(Bucket="town", Key="item.json", Body=json.dumps(item("one", {"visual": tif}, platform="spot-6")))
    try:
        yield client
    finally:
        server.stop()


def test_scenes_and_catalogues_of_a_private_bucket_are_indexed(bucket: Any, archive: Path, tmp_path: Path) -> None:
    into, encoder = tmp_path / "index", ColourEncoder(image_size_px=64)
    inputs = ["s3://town/item.json", "s3://town/2021/none.tif"]
    report = ingest(inputs, into=into, encoder=encoder)
    (entry,) = report.indexed
    assert (entry.scene, entry.sensor, entry.date) == ("s3://town/2021/a.tif", "spot-6", datetime.date(2021, 5, 6))
    assert entry.size_bytes == (archive / "bucket" / "a.tif").stat().st_size
    assert [failure.scene for failure in report.failures] == ["s3://town/2021/none.tif"]
    assert ingest(inputs[:1], into=into, encoder=encoder).unchanged == ("s3://town/2021/a.tif",)
    path = open_index(into).scene_path(entry.scene)
    assert np.array_equal(read_picture(path, max_px=64), read_picture(archive / "bucket" / "a.tif", max_px=64))
    bucket.put_object(Bucket="town", Key="2021/a.tif", Body=(archive / "bucket" / "b_20190203.tif").read_bytes())
    assert [entry.scene for entry in ingest(inputs[:1], into=into, encoder=encoder).indexed] == ["s3://town/2021/a.tif"]
    with pytest.raises(SceneError, match="nothing\\.json: not a STAC item"):
        find_sources(["s3://town/nothing.json"])


def test_the_answer_of_a_catalogue_service_gives_its_items(archive: Path, tmp_path: Path) -> None:
    tif = {"href": str(archive / "bucket" / "a.tif"), "type": "image/tiff; application=geotiff"}
    items = [item(name, {"data": {**tif, "href": f"{tif['href']}"}}) for name in ("one", "two")]
    path = write_json(tmp_path / "answer.json", {"type": "FeatureCollection", "features": items})
    (source,) = find_sources([path])  # the same file twice is one scene
    assert source.location == archive / "bucket" / "a.tif"
    assert source.date is not None


def test_an_item_knows_the_day_and_the_sensor(archive: Path, tmp_path: Path) -> None:
    assets = {
        "thumbnail": {"href": "t.png", "type": "image/png", "roles": ["thumbnail"]},
        "B04": {"href": "red.tif", "type": "image/tiff; application=geotiff"},
        "picture": {"href": str(archive / "bucket" / "a.tif"), "roles": ["data", "visual"]},
    }
    path = write_json(tmp_path / "item.json", item("one", assets, platform="sentinel-2b"))
    (source,) = find_sources([path])
    assert source.location == archive / "bucket" / "a.tif"
    ingest([path], into=tmp_path / "index", encoder=ColourEncoder(), root=archive)
    (entry,) = open_index(tmp_path / "index").store.scenes()
    assert (entry.scene, entry.date, entry.sensor) == ("bucket/a.tif", datetime.date(2021, 5, 6), "sentinel-2b")


def test_a_collection_gives_all_its_items(archive: Path, server: str) -> None:
    tif = {"href": "bucket/a.tif", "type": "image/tiff; application=geotiff"}
    bands = {name: {**tif, "href": f"{name}.tif"} for name in ("B02", "B03")}
    undated = {"datetime": None, "start_datetime": "2020-01-02T00:00:00Z", "end_datetime": "2020-02-02T00:00:00Z"}
    write_json(archive / "one.json", item("one", {"data": tif}, **undated))
    write_json(archive / "two.json", item("two", bands))
    write_json(archive / "three.json", item("three", {"visual": {**tif, "href": "file:///etc/passwd"}}))
    collection = {
        "type": "Collection",
        "stac_version": "1.0.0",
        "id": "all",
        "description": "all",
        "license": "other",
        "extent": {"spatial": {"bbox": [BOX]}, "temporal": {"interval": [["2020-01-01T00:00:00Z", None]]}},
        "links": [{"rel": "item", "href": f"./{name}.json"} for name in ("one", "two", "three")],
    }
    write_json(archive / "collection.json", collection)
    one, two, three = find_sources([f"{server}/collection.json"])
    assert one.location == f"{server}/bucket/a.tif"
    assert one.date is not None
    assert one.date.day == datetime.date(2020, 1, 2)
    assert two.problem == "no asset of this STAC item is one image of what people see (its assets: B02, B03)"
    assert three.problem == "its asset is a file of the server's, not an address"
    # The same collection in a folder leads to files.
    assert find_sources([archive / "collection.json"])[0].location == archive / "bucket" / "a.tif"


def test_what_is_no_catalogue(archive: Path, server: str, tmp_path: Path) -> None:
    for content in ({}, {"type": "FeatureCollection", "features": []}, {"type": "Catalog", "stac_version": "1.0.0"}):
        path = write_json(tmp_path / "x.json", content)
        with pytest.raises(SceneError, match="not a STAC item, collection or catalogue"):
            find_sources([path])
    link = {"rel": "item", "href": "file:///etc/hostname"}
    catalogue = {"type": "Catalog", "stac_version": "1.0.0", "id": "c", "description": "c", "links": [link]}
    write_json(archive / "catalog.json", catalogue)
    with pytest.raises(SceneError, match="may not lead to files on this machine"):
        find_sources([f"{server}/catalog.json"])
    with pytest.raises(SceneError, match="not a STAC item"):
        find_sources([f"{server}/nothing.json"])


def test_inputs_are_taken_once_and_must_be_there(archive: Path) -> None:
    path = archive / "bucket" / "a.tif"
    found = find_sources([path, str(path), "https://example.org/x.tif", "https://example.org/x.tif"])
    assert found == [Source(path), Source("https://example.org/x.tif")]
    with pytest.raises(SceneError, match="no such file or folder: nowhere"):
        find_sources(["nowhere"])


@contextmanager
def answering(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """A server that answers every request in one way; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            answer(self)

        do_GET = do_POST = do_HEAD

        def log_message(self, *_: object) -> None:
            pass

    with running(Handler) as address:
        yield address


@pytest.mark.parametrize(
    "headers",
    [
        {"Last-Modified": "0"},
        {"Last-Modified": "Mon, 01 Jan 9999 00:00:00 GMT"},
        {"Last-Modified": "Mon, 01 Jan 999999999999 00:00:00 GMT"},
        {"Content-Length": "many"},
        {"Content-Length": "-5"},
        {"Content-Length": "9" * 30},
    ],
)
def test_answers_that_make_no_sense_are_told_as_such(headers: dict[str, str]) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        for name, value in headers.items():
            request.send_header(name, value)
        request.end_headers()

    with answering(answer) as address, pytest.raises(OSError, match="its server's answer makes no sense"):
        stat_source(f"{address}/a.tif")


def test_what_is_no_http_is_told_as_such() -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"hello\r\n")

    with answering(answer) as address, pytest.raises(OSError, match="makes no sense"):
        stat_source(f"{address}/a.tif")


@pytest.mark.parametrize("name", ["a b.tif", "ü.tif"])
def test_an_address_that_is_none_leaves_the_other_scenes_alone(server: str, tmp_path: Path, name: str) -> None:
    inputs = [f"{server}/{name}", "http://[bad/a.tif", f"{server}/bucket/a.tif"]
    report = ingest(inputs, into=tmp_path / "index", encoder=ColourEncoder(image_size_px=64))
    assert [entry.scene for entry in report.indexed] == inputs[2:]
    assert [failure.scene for failure in report.failures] == inputs[:2]
    assert all(
        failure.reason.startswith("its address or its server's answer makes no sense (") for failure in report.failures
    )


def test_a_catalogue_at_an_address_that_is_none(server: str) -> None:
    with pytest.raises(SceneError, match="not a STAC item"):
        find_sources([f"{server}/a b.json"])


def test_a_slow_server_keeps_nobody_else_from_opening_files(archive: Path) -> None:
    asked, enough = threading.Event(), threading.Event()

    def answer(request: BaseHTTPRequestHandler) -> None:
        asked.set()
        enough.wait(60)
        request.send_error(404)

    with answering(answer) as address, ThreadPoolExecutor(2) as pool:
        slow = pool.submit(open_scene, f"{address}/a.tif")
        try:
            assert asked.wait(60)
            assert pool.submit(open_scene, archive / "bucket" / "a.tif").result(timeout=30).width == 128
        finally:
            enough.set()
        with pytest.raises(SceneError):
            slow.result(timeout=60)


def test_files_without_a_place_are_welcome_and_other_readers_are_warned_as_before(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.new("RGB", (8, 8)).save(path)
    assert open_scene(path).placement is None
    before = list(warnings.filters)
    warnings.simplefilter("error")  # a person's own filter comes before those that are there
    assert open_scene(path).placement is None
    assert [one for one in warnings.filters if one not in before] == []
    with pytest.raises(NotGeoreferencedWarning):
        rasterio.open(path)
    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    rasterio.open(path).close()


def test_file_addresses_in_a_catalogue_in_a_folder(archive: Path, tmp_path: Path) -> None:
    folder = tmp_path / "with blank"
    folder.mkdir()
    write_utm(folder / "a b.tif")
    kind = "image/tiff; application=geotiff"
    coded = (folder / "a b.tif").as_uri()
    assert coded.endswith("with%20blank/a%20b.tif")
    write_json(folder / "one.json", item("one", {"data": {"href": coded, "type": kind}}))
    write_json(folder / "two.json", item("two", {"data": {"href": str(archive / "bucket" / "a.tif"), "type": kind}}))
    away = "file://elsewhere/share/a.tif"
    write_json(folder / "three.json", item("three", {"data": {"href": away, "type": kind}}))
    links = [
        {"rel": "item", "href": (folder / "one.json").as_uri()},
        {"rel": "item", "href": f"file://localhost{folder / 'two.json'}"},
        {"rel": "item", "href": "with blank/three.json"},
    ]
    content = {"type": "Catalog", "stac_version": "1.0.0", "id": "c", "description": "c", "links": links}
    one, two, three = find_sources([write_json(tmp_path / "catalog.json", content)])
    assert one.location == folder / "a b.tif"
    assert two.location == archive / "bucket" / "a.tif"
    assert three.problem == f"{away}: a file of the machine elsewhere; copy it here, or name it by its path"


def answer_json(request: BaseHTTPRequestHandler, content: dict[str, Any], kind: str = "application/geo+json") -> None:
    body = json.dumps(content).encode()
    request.send_response(200)
    request.send_header("Content-Type", kind)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


def page_of_items(numbers: range, address: str, **content: Any) -> dict[str, Any]:
    tif = {"type": "image/tiff; application=geotiff"}
    features = [item(f"i{n}", {"data": {**tif, "href": f"{address}/{n}.tif?sig=SECRET"}}) for n in numbers]
    return {"type": "FeatureCollection", "features": features, **content}


@pytest.mark.parametrize("how", ["GET", "POST", "merge"])
def test_an_answer_is_read_to_its_last_page(how: str) -> None:
    """Five items in three pages; the address says nothing of JSON, and holds a token."""
    asked: list[Any] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        sent = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        asked.append((request.command, json.loads(sent) if sent else None))
        start = json.loads(sent)["start"] if sent else int(request.path.rpartition("start=")[2] or 0)
        address = f"http://{request.headers['Host']}"
        link: dict[str, Any] = {"rel": "next", "href": f"/search?token=SECRET&start={start + 2}"}
        if how != "GET":
            link |= {"method": "POST", "href": f"{address}/search", "body": {"start": start + 2}}
            link["merge"] = how == "merge"
            link["body"] |= {"limit": 2} if start == 0 else {}
        links = [link] if start < 4 else []
        answer_json(request, page_of_items(range(start, min(5, start + 2)), address, links=links, numberMatched=5))

    with answering(answer) as address:
        sources = find_sources([f"{address}/search?token=SECRET&start=0"])
    assert [str(source.location).rpartition("/")[2] for source in sources] == [f"{n}.tif?sig=SECRET" for n in range(5)]
    assert [source.problem for source in sources] == [None] * 5
    if how == "POST":
        assert asked[-1] == ("POST", {"start": 4})
    if how == "merge":
        assert asked[-1] == ("POST", {"start": 4, "limit": 2})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"numberMatched": 7}, "2 items of 7 that match, as the service says, are in the pages of this answer"),
        ({"context": {"matched": 7}}, "2 items of 7 that match"),
        ({"links": [{"rel": "next", "href": "?token=SECRET"}]}, "its pages have no end"),
    ],
)
def test_items_that_are_missing_from_an_answer_are_said(content: dict[str, Any], said: str) -> None:
    with answering(lambda request: answer_json(request, page_of_items(range(2), "http://h", **content))) as address:
        *items, last = find_sources([f"{address}/collections/a/items?token=SECRET"])
    assert len(items) == 2
    assert last.location == f"{address}/collections/a/items#pages"
    assert said in (last.problem or "")


def test_a_saved_answer_tells_of_the_pages_that_were_not_saved(tmp_path: Path) -> None:
    content = page_of_items(range(2), "http://h", links=[{"rel": "next", "href": "http://127.0.0.1:9/search?page=2"}])
    *items, last = find_sources([write_json(tmp_path / "answer.json", content)])
    assert len(items) == 2
    assert "its next page is on a server" in (last.problem or "")


def test_a_collection_of_a_service_gives_the_items_that_it_points_to() -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        if request.path.endswith("/items"):
            answer_json(request, page_of_items(range(3), "http://h"), "text/plain")
        else:
            answer_json(request, {"type": "Collection", "links": [{"rel": "items", "href": f"{request.path}/items"}]})

    with answering(answer) as address:
        assert len(find_sources([f"{address}/collections/a"])) == 3
        assert len(find_sources([f"{address}/collections/a/items"])) == 3  # by its content alone


@pytest.mark.parametrize("code", [403, 405])
@pytest.mark.parametrize("gives_parts", [True, False])
def test_signed_addresses_are_asked_with_get_and_kept_without_what_they_are_signed_with(
    archive: Path, tmp_path: Path, code: int, *, gives_parts: bool
) -> None:
    whole = (archive / "bucket" / "a.tif").read_bytes()

    def answer(request: BaseHTTPRequestHandler) -> None:
        if request.command == "HEAD" or "sig=SECRET" not in request.path:
            request.send_response(code if request.command == "HEAD" else 403)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        asked = request.headers.get("Range") if gives_parts else None
        first, _, last = (asked or "bytes=0-").removeprefix("bytes=").partition("-")
        part = whole[int(first) : int(last) + 1 if last else None]
        request.send_response(206 if asked else 200)
        request.send_header("Content-Length", str(len(part)))
        request.send_header("Last-Modified", "Sat, 01 Jan 2022 00:00:00 GMT")
        if asked:
            request.send_header("Content-Range", f"bytes {first}-{int(first) + len(part) - 1}/{len(whole)}")
        request.end_headers()
        with contextlib.suppress(ConnectionError):
            request.wfile.write(part)

    into, encoder = tmp_path / "index", ColourEncoder(image_size_px=64)
    with answering(answer) as address:
        assert stat_source(f"{address}/a.tif?sig=SECRET")[0] == len(whole)
        report = ingest([f"{address}/a.tif?sig=SECRET"], into=into, encoder=encoder)
        assert ([entry.scene for entry in report.indexed], report.failures) == ([f"{address}/a.tif"], ())
        # Signed anew it is the same scene; unsigned it is told that the server refuses, and nothing of the signature.
        again = ingest([f"{address}/a.tif?sig=SECRET&until=tomorrow"], into=into, encoder=encoder)
        assert again.unchanged == (f"{address}/a.tif",)
        with pytest.raises(SceneError) as caught:
            open_scene(f"{address}/b.tif?sig=GUESS")
        assert "GUESS" not in str(caught.value)
    for path in into.rglob("*"):
        assert not path.is_file() or b"SECRET" not in path.read_bytes()
    assert b"SECRET" not in repr(open_index(into).store.scenes()).encode()


def test_two_files_that_differ_in_their_queries_only_cannot_both_be_indexed(archive: Path, tmp_path: Path) -> None:
    files = {"?v=1": archive / "bucket" / "a.tif", "?v=2": archive / "bucket" / "b_20190203.tif"}

    def answer(request: BaseHTTPRequestHandler) -> None:
        whole = files[request.path[-4:]].read_bytes()
        request.send_response(200)
        request.send_header("Content-Length", str(len(whole)))
        request.end_headers()
        if request.command == "GET":
            with contextlib.suppress(ConnectionError):
                request.wfile.write(whole)

    with answering(answer) as address:
        inputs = [f"{address}/x.tif?v={version}" for version in (1, 2)]
        report = ingest(inputs, into=tmp_path / "index", encoder=ColourEncoder())
    assert [entry.scene for entry in report.indexed] == [f"{address}/x.tif"]
    assert [failure.reason[:40] for failure in report.failures] == ["another file has the same address up to "]


def test_the_files_of_the_first_scene_of_a_process_are_found(tmp_path: Path) -> None:
    path = write_utm(tmp_path / "a.tif")
    (tmp_path / "a.tif.aux.xml").write_text("<PAMDataset/>")
    script = "import pathlib, sys, rsitr.geo; print(*rsitr.geo.list_files(pathlib.Path(sys.argv[1])), sep='\\n')"
    found = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
    assert (found.stdout.split(), found.stderr) == ([str(path), f"{path}.aux.xml"], "")


def test_a_server_that_gives_no_parts_is_no_damaged_file(tmp_path: Path) -> None:
    bands = np.random.default_rng(0).integers(0, 255, (3, 1500, 1500), dtype=np.uint8)
    whole = write_utm(tmp_path / "large.tif", bands, tiled=True, blockxsize=256, blockysize=256).read_bytes()

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(whole)))
        request.end_headers()
        if request.command == "GET":
            with contextlib.suppress(ConnectionError):
                request.wfile.write(whole)

    with answering(answer) as address:
        report = ingest([f"{address}/large.tif"], into=tmp_path / "index", encoder=ColourEncoder())
    (failure,) = report.failures
    assert failure.reason == (
        "its server gives no parts of files (it knows of no HTTP Range), only whole ones: download the file, and index "
        "that"
    )


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("/vsicurl/https://example.org/a.tif?sig=SECRET", "name the address itself, https://example.org/a.tif"),
        ("/vsis3/bucket/a.tif", "name the address itself, s3://bucket/a.tif"),
        ("/vsizip/scenes.zip/a.tif", "unpack or download the file, and name that"),
    ],
)
def test_names_of_virtual_file_systems_are_refused_with_what_to_do(name: str, instead: str) -> None:
    with pytest.raises(SceneError) as caught:
        find_sources([name])
    assert str(caught.value).endswith(f"names of GDAL's virtual file systems are not read: {instead}")
    assert "SECRET" not in str(caught.value)


def test_an_archive_is_to_be_unpacked(archive: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "scenes.ZIP", "w") as file:
        file.write(archive / "bucket" / "a.tif", "a.tif")
    report = ingest(
        [archive / "bucket" / "a.tif", tmp_path / "scenes.ZIP"], into=tmp_path / "index", encoder=ColourEncoder()
    )
    assert [failure.reason for failure in report.failures] == ["an archive: unpack it, and index the folder"]
    assert len(report.indexed) == 1
