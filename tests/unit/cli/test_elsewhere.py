"""Indexes that lie elsewhere, on the command line: what is said, and with which status."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fakes import ColourEncoder, replace_models
from rasters import write_utm
from rsitr.cli.app import main
from rsitr.index import STORES, LanceStore

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs a command line: its status, and what it wrote to stdout and stderr."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    replace_models(monkeypatch, lambda name, _: ColourEncoder(name=name, fingerprint=name * 8))

    def run(*argv: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["rsitr", *argv])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsys.readouterr()
        return int(left.value.code or 0), out, err

    return run


@pytest.fixture
def scene(tmp_path: Path) -> str:
    return str(write_utm(tmp_path / "scenes" / "a.tif"))


def refused(told: tuple[int, str, str], *words: str) -> None:
    """One clear line, and status 2."""
    status, out, err = told
    assert (status, out) == (2, "")
    assert err.startswith("rsitr: ")
    assert err.count("\n") == 1
    for word in words:
        assert word in err


def test_an_index_in_a_bucket_is_made_told_and_searched(s3_place: str, call: Call, scene: str) -> None:
    status, out, _ = call("index", scene, "--into", s3_place, "--model", "colour")
    assert status == 0
    assert f"Indexed into {s3_place}" in out
    status, out, _ = call("info", s3_place)
    assert status == 0
    for said in (s3_place, "colour (28 wide", "read from there", "size there"):
        assert said in out
    status, out, _ = call("search", s3_place, "red", "-k", "3", "--json")
    assert status == 0
    assert "a.tif" in out
    told = json.loads(call("info", s3_place, "--json")[1])
    assert told["address"] == s3_place
    assert told["read_bytes"] > 1000
    refused(call("up", s3_place), "only an index in a folder is kept warm")


@pytest.fixture
def strict(bucket_server: str) -> Iterator[None]:
    """The server looks at who asks."""
    import urllib.request

    def check_after(n: str) -> None:
        asked = urllib.request.Request(f"{bucket_server}/moto-api/reset-auth", data=n.encode(), method="POST")
        asked.add_header("Content-Type", "text/plain")
        urllib.request.urlopen(asked, timeout=10).close()

    check_after("0")
    yield
    check_after("inf")


def test_credentials_that_are_wrong(
    s3_place: str, strict: None, call: Call, scene: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")
    for argv in (["info", s3_place], ["index", scene, "--into", s3_place, "--model", "colour"]):
        told = call(*argv)
        refused(told, s3_place, "the bucket refuses who asks: check AWS_ACCESS_KEY_ID")
        assert "hush" not in told[2]


def test_buckets_and_servers_that_are_not_there(
    s3_place: str, call: Call, scene: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    into = ["--model", "colour", "--into"]
    refused(call("info", s3_place), f"{s3_place}: no such index; make it with `rsitr index SCENES --into {s3_place}`")
    for argv in (["info"], ["search", "x"], ["index", scene, *into]):
        place = "s3://no-such-bucket/index"
        told = call(argv[0], place, *argv[1:]) if argv[0] != "index" else call(*argv, place)
        refused(told, f"{place}: there is no such bucket: make it first")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    refused(call("info", s3_place), f"{s3_place}: its server cannot be reached: check AWS_ENDPOINT_URL")


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("s3://bucket", "an index in a bucket is s3://bucket/prefix"),
        ("s3://bucket/a/../b", "an index in a bucket is s3://bucket/prefix"),
        ("s3://key:hush@bucket/index", "an address with a user or password in it is not taken"),
        ("milvus://host:x/index", "an index in Milvus is milvus://host:19530/collection"),
        ("milvus://host/in-dex", "whose name has letters, digits and _ only"),
        ("gs://bucket/index", "an index is a folder, s3://bucket/prefix, or milvus://host:19530/collection"),
    ],
)
def test_addresses_that_no_index_has(call: Call, scene: str, place: str, said: str) -> None:
    for argv in (["info", place], ["index", scene, "--into", place]):
        told = call(*argv)
        refused(told, said)
        assert "hush" not in told[2]


def test_other_models_and_engines_are_refused(
    s3_place: str, call: Call, scene: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = ["index", scene, "--into", s3_place, "--model", "colour"]
    monkeypatch.setitem(STORES._things, "shelf", LanceStore)
    refused(call(*made, "--store", "shelf"), "tiles there are kept by 'lance', not by 'shelf'; leave --store out")
    assert call(*made)[0] == 0
    write_utm(Path(scene).with_name("b.tif"))
    told = call("index", str(Path(scene).parent), "--into", s3_place, "--model", "another")
    refused(told, s3_place, "this index was made by the model 'colour', not by 'another'")


def test_writing_into_a_bucket_needs_an_extra(
    s3_place: str, call: Call, scene: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rsitr.extras.has_package", lambda package: package != "boto3")
    told = call("index", scene, "--into", s3_place, "--model", "colour")
    refused(told, 'writing an index into a bucket needs boto3, which is not installed: pip install "rsitr[s3]"')


def test_an_index_in_milvus_is_made_told_and_searched(milvus_place: str, call: Call, scene: str) -> None:
    refused(call("info", milvus_place), f"{milvus_place}: no such index; make it with `rsitr index SCENES --into")
    made = ["index", scene, "--into", milvus_place, "--model", "colour"]
    status, out, _ = call(*made)
    assert status == 0
    assert f"Indexed into {milvus_place}" in out
    told = json.loads(call("info", milvus_place, "--json")[1])
    assert (told["address"], told["n_scenes"], told["n_tiles"] > 0, told["size_bytes"]) == (milvus_place, 1, True, None)
    assert "size there" in call("info", milvus_place)[1]
    status, out, _ = call("search", milvus_place, "red", "-k", "3", "--json")
    assert status == 0
    assert "a.tif" in out
    refused(call(*made, "--store", "lance"), "tiles there are kept by 'milvus', not by 'lance'")
    write_utm(Path(scene).with_name("b.tif"))
    told = call("index", str(Path(scene).parent), "--into", milvus_place, "--model", "another")
    refused(told, milvus_place, "this index was made by the model 'colour', not by 'another'")


def test_milvus_that_is_not_there(call: Call, scene: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place = "milvus://127.0.0.1:9/archive"
    for argv in (["info", place], ["search", place, "red"], ["index", scene, "--into", place, "--model", "colour"]):
        refused(call(*argv), f"{place}: Milvus does not answer there: is it running, and are host and port right?")
    refused(
        call("index", scene, "--into", str(Path(scene).with_name("i")), "--model", "colour", "--store", "milvus"),
        "the engine 'milvus' wants an address: --into milvus://host:19530/collection",
    )
    monkeypatch.setattr("rsitr.extras.has_package", lambda package: package != "pymilvus")
    refused(
        call("info", place), 'an index in Milvus needs pymilvus, which is not installed: pip install "rsitr[milvus]"'
    )
