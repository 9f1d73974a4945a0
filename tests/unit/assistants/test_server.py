"""The tools of `rsitr mcp`, asked by the official client: in this process, and of a process of its own."""

from __future__ import annotations

import base64
import io
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import anyio
import jsonschema
import numpy as np
import pytest
from mcp import Client, StdioServerParameters, types
from PIL import Image

from archives import write_archive
from fakes import ColourEncoder
from rasters import write_utm
from rsitr.assistants import create_server
from rsitr.errors import ConfigError, StoreError
from rsitr.index import Settings, ingest
from rsitr.models import load_model
from rsitr.search import Index

Result = TypeVar("Result")
NORTH = "north_20160816.tif"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_archive(tmp_path_factory.mktemp("archive"), ColourEncoder(image_size_px=64))


@pytest.fixture
def index(archive: Path) -> Index:
    return Index.open(archive, encoder=ColourEncoder(image_size_px=64))


def talk(server: Any, conversation: Callable[[Client], Awaitable[Result]]) -> Result:
    async def run() -> Result:
        async with Client(server) as client:
            return await conversation(client)

    return anyio.run(run)


def ask(index: Index, tool: str, **arguments: Any) -> types.CallToolResult:
    return talk(create_server(index), lambda client: client.call_tool(tool, arguments))


def told(found: types.CallToolResult) -> dict[str, Any]:
    """What a tool gave, the same as structure and as text."""
    assert not found.is_error, found.content
    text = found.content[-1]
    assert isinstance(text, types.TextContent)
    assert isinstance(found.structured_content, dict)
    assert json.loads(text.text) == found.structured_content
    return found.structured_content


def refused(found: types.CallToolResult) -> str:
    assert found.is_error
    (text,) = found.content
    assert isinstance(text, types.TextContent)
    return text.text


def picture(found: types.CallToolResult) -> Image.Image:
    image = found.content[0]
    assert isinstance(image, types.ImageContent)
    assert image.mime_type == "image/jpeg"
    return Image.open(io.BytesIO(base64.b64decode(image.data)))


def test_tools_say_what_they_take_and_give(index: Index) -> None:
    listed = talk(create_server(index), lambda client: client.list_tools()).tools
    assert [tool.name for tool in listed] == ["search", "places", "show", "locate", "info"]
    for tool in listed:
        jsonschema.Draft202012Validator.check_schema(tool.input_schema)
        assert tool.output_schema is not None
        jsonschema.Draft202012Validator.check_schema(tool.output_schema)
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint
    taken = listed[0].input_schema["properties"]
    assert {"text", "like", "not", "bbox", "area", "since", "until", "sensor", "scene", "k", "threshold"} <= set(taken)
    assert not {"pictures", "ranking"} & set(taken)


def test_what_is_given_fits_its_schema(index: Index) -> None:
    async def conversation(client: Client) -> None:
        schemas = {tool.name: tool.output_schema for tool in (await client.list_tools()).tools}
        hit = Index.search(index, "red", k=1).hits[0].tile
        calls: list[tuple[str, dict[str, Any]]] = [
            ("search", {"text": "red"}), ("search", {"text": "red", "bbox": [0, 0, 1, 1]}),
            ("places", {"text": "red", "timeline": True}), ("show", {"tile": hit.tile}),
            ("locate", {"scene": hit.scene, "text": "red"}), ("info", {}),
        ]  # fmt: skip
        for name, arguments in calls:
            schema = schemas[name]
            assert schema is not None
            jsonschema.validate(told(await client.call_tool(name, arguments)), schema)

    talk(create_server(index), conversation)


def test_an_answer_is_that_of_the_index_with_its_state(index: Index) -> None:
    found, expected = told(ask(index, "search", text="red", k=3)), index.search("red", k=3)
    assert (found["matches"], found["state"], found["message"]) == (True, "matches", "")
    assert [hit["tile"] for hit in found["hits"]] == [hit.tile.tile for hit in expected]
    assert found["hits"][0]["relevance"] == pytest.approx(expected.hits[0].relevance, abs=1e-6)
    north = told(ask(index, "search", text="red", scene=NORTH))["hits"][0]
    box = index.tile(north["tile"]).bbox
    assert box is not None
    assert box[0] < north["lon"] < box[2]
    assert box[1] < north["lat"] < box[3]
    absent = told(ask(index, "search", text="white"))
    assert (absent["matches"], absent["state"]) == (False, "nothing")
    assert absent["message"].startswith("nothing here matches “white”: the best hit's relevance is 0.")


def test_a_question_is_limited_and_mixed_as_over_http(index: Index) -> None:
    red = told(ask(index, "search", text="red", k=1))["hits"][0]["tile"]
    assert told(ask(index, "search", like=[red], k=1))["hits"][0]["tile"] == red
    found = told(ask(index, "search", text="red", scene="deep/*", since="2020", until="2020-01"))
    assert {hit["scene"] for hit in found["hits"]} == {"deep/values_20200101.tif"}
    assert "since 2020-01-01" in found["asked"]
    box = told(ask(index, "info"))["scenes"][-1]["bbox"] or [-99.2, 46.9, -99.0, 47.1]
    area = {"type": "Polygon", "coordinates": [[[x, y] for x, y in _corners(box)]]}
    assert told(ask(index, "search", text="red", area=area))["hits"]
    nowhere = told(ask(index, "search", text="red", bbox=[5, 45, 6, 46]))
    assert nowhere["hits"] == []
    assert "no tile lies within these limits: none is in the box (scenes lie within" in nowhere["message"]
    assert told(ask(index, "search", text="red", marks=[{"tile": red, "right": True}]))["hits"][0]["tile"] == red


def _corners(box: list[float]) -> list[tuple[float, float]]:
    west, south, east, north = box
    return [(west, south), (east, south), (east, north), (west, north), (west, south)]


def test_places_join_what_matches(index: Index) -> None:
    found = told(ask(index, "places", text="red", timeline=True))
    expected = index.search("red", k=24).places(timeline=True)
    assert [place["place"] for place in found["places"]] == [place.place for place in expected]
    first = next(place for place in found["places"] if place["place"].startswith(NORTH))
    assert first["sightings"][0]["scene"] == NORTH
    assert first["timeline"]
    assert first["bbox"][0] < first["lon"] < first["bbox"][2]


def test_a_tile_is_shown_as_a_picture(index: Index) -> None:
    tile = index.search("red", k=1).hits[0].tile
    found = ask(index, "show", tile=tile.tile, size_px=48)
    shown = np.asarray(picture(found).convert("RGB")).astype(int)
    assert max(shown.shape[:2]) == 48
    red, green, blue = shown.mean(axis=(0, 1))
    assert red > 200
    assert max(green, blue) < 60
    assert told(found)["window_px"] == list(tile.window_px)
    wider = np.asarray(picture(ask(index, "show", tile=tile.tile, context=True)).convert("RGB")).astype(int)
    assert wider.mean(axis=(0, 1))[1] > green + 20  # its neighbour is green


def test_words_are_located_in_a_scene_of_the_index(index: Index) -> None:
    progress: list[float] = []

    async def watch(done: float, total: float | None, _message: str | None) -> None:
        progress.append(done / (total or 1.0))

    found = talk(
        create_server(index),
        lambda client: client.call_tool("locate", {"scene": NORTH, "text": "blue"}, progress_callback=watch),
    )
    answer = told(found)
    assert (answer["state"], answer["matches"]) == ("matches", True)
    col, row = answer["best_px"]
    assert col < 64 < row  # blue is the lower left quarter
    assert answer["message"].startswith("“blue” fits best at column ")
    west, south, east, north = next(scene.bbox for scene in index.scenes() if scene.scene == NORTH) or (0, 0, 0, 0)
    assert west < answer["lon"] < (west + east) / 2
    assert south < answer["lat"] < (south + north) / 2
    assert max(picture(found).size) <= 1024
    assert progress[-1] == 1.0
    absent = told(ask(index, "locate", scene=NORTH, text="white"))
    assert (absent["state"], absent["matches"]) == ("nothing", False)


def test_the_index_is_told_of(index: Index, archive: Path) -> None:
    found = told(ask(index, "info", most=2))
    assert (found["n_scenes"], len(found["scenes"])) == (4, 2)
    assert (found["n_tiles"], found["model"], found["sensors"]) == (len(index), "colour", ["NAIP"])
    assert (found["since"], found["until"]) == ("2016-08-16", "2020-01-01")
    later = told(ask(index, "info", first=2))
    assert len(later["scenes"]) == 2
    assert str(archive.parent) not in json.dumps([found, later])


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("search", {}, "nothing to search for: give words"),
        ("search", {"text": "   "}, "the words to search for are empty"),
        ("search", {"text": "red", "k": 5000}, "k: input should be less than or equal to 100"),
        ("search", {"text": "red", "k": "many"}, "k: input should be a valid integer"),
        ("search", {"text": "red", "since": "tomorrow"}, "since takes a day as YYYY-MM-DD"),
        ("search", {"text": "red", "bbox": [9, 50, 8, 40]}, "its south lies north of its north"),
        ("search", {"text": "red", "area": {"type": "Point"}}, "no polygon in it"),
        ("search", {"text": "red", "pictures": ["x"]}, "pictures: extra inputs are not permitted"),
        ("search", {"text": "red", "threshold": 7}, "threshold: input should be less than or equal to 1"),
        ("search", {"like": ["nowhere.tif:0,0,1,1"]}, "there is no tile 'nowhere.tif:0,0,1,1' in this index"),
        ("search", {"detector": "none"}, "none"),
        ("show", {"tile": "../secret.tif:0,0,64,64"}, "there is no tile '../secret.tif:0,0,64,64' in this index"),
        ("locate", {"scene": "../secret.tif", "text": "red"}, "there is no scene '../secret.tif' in this index"),
        ("locate", {"scene": NORTH, "text": ""}, "the words to look for are empty"),
        ("locate", {"scene": NORTH, "text": "red", "scales": [0.0]}, "scales.0: input should be greater than 0"),
        ("delete", {}, "there is no tool 'delete'; there are search, places, show, locate, info"),
    ],
)
def test_bad_input_is_told_in_words(
    index: Index, archive: Path, tool: str, arguments: dict[str, Any], said: str
) -> None:
    text = refused(ask(index, tool, **arguments))
    assert said in text
    assert str(archive.parent) not in text
    assert "Traceback" not in text


def test_files_outside_the_index_are_not_read(index: Index, archive: Path) -> None:
    """Not by an absolute path, nor one that leads out of the folder, though the files are there."""
    secret = write_utm(archive.parent.parent / "secret.tif")
    for name in (str(secret), "../secret.tif", "../../secret.tif", f"{NORTH}/../../secret.tif"):
        assert "there is no scene" in refused(ask(index, "locate", scene=name, text="red"))
        assert "there is no tile" in refused(ask(index, "show", tile=f"{name}:0,0,64,64"))
        assert told(ask(index, "search", text="red", scene=name))["hits"] == []


def test_a_scene_that_has_gone_is_told_without_its_folder(tmp_path: Path) -> None:
    encoder = ColourEncoder(image_size_px=64)
    path = write_archive(tmp_path, encoder)
    index = Index.open(path, encoder=encoder)
    (tmp_path / "scenes" / NORTH).unlink()
    tile = next(hit.tile.tile for hit in index.search("red", k=20) if hit.tile.scene == NORTH)
    for found in (ask(index, "show", tile=tile), ask(index, "locate", scene=NORTH, text="red")):
        text = refused(found)
        assert NORTH in text
        assert str(tmp_path) not in text


def test_a_scene_too_large_for_its_scales_is_refused(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rsitr.assistants.tools.MOST_WINDOWS", 20)
    text = refused(ask(index, "locate", scene=NORTH, text="red", scales=[0.5]))
    assert "too large for windows of these scales" in text
    assert "e.g. [1.0]" in text
    assert told(ask(index, "locate", scene=NORTH, text="red", scales=[1.0]))["n_windows"] == 9


def test_a_fault_is_told_as_one_and_the_server_goes_on(
    index: Index, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def conversation(client: Client) -> None:
        with monkeypatch.context() as broken:
            broken.setattr(index, "summary", lambda: 1 // 0)
            assert "a fault of rsitr" in refused(await client.call_tool("info", {}))
        assert told(await client.call_tool("info", {}))["n_scenes"] == 4

    talk(create_server(index), conversation)
    assert "ZeroDivisionError" in caplog.text


def test_a_process_of_its_own_answers_over_standard_input_and_output(tmp_path: Path) -> None:
    """The command, as an assistant starts it, with the default model."""
    write_utm(tmp_path / "scenes" / "a_20160816.tif")
    ingest([tmp_path / "scenes"], into=tmp_path / "index", encoder=load_model(device="cpu"), settings=Settings())
    environment = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "OMP_NUM_THREADS") if name in os.environ}
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "rsitr", "mcp", str(tmp_path / "index"), "--device", "cpu"], env=environment
    )

    async def conversation(client: Client) -> None:
        assert client.server_info is not None
        assert client.server_info.name == "rsitr"
        assert client.instructions is not None
        assert "`state`" in client.instructions
        assert told(await client.call_tool("info", {}))["model"] == "lookout"
        found = told(await client.call_tool("search", {"text": "qwertzuiop"}))
        assert found["state"] == "unsure"
        assert "the model does not know" in found["message"]
        assert found["notes"][0].startswith(
            "a stronger model may find it: rsitr index SCENES --into NEW.index --model "
        )
        shown = await client.call_tool("show", {"tile": found["hits"][0]["tile"], "size_px": 64})
        assert picture(shown).size == (64, 64)
        assert "there is no scene" in refused(await client.call_tool("locate", {"scene": "b.tif", "text": "red"}))

    talk(command, conversation)


def test_what_is_no_index_is_told_before_the_conversation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rsitr.cli.mcp import run_mcp

    with pytest.raises(StoreError, match="nowhere"):
        run_mcp(tmp_path / "nowhere")
    monkeypatch.setattr("rsitr.extras.has_package", lambda _package: False)
    with pytest.raises(ConfigError, match=r'needs mcp, which is not installed: pip install "rsitr\[mcp\]"'):
        run_mcp(tmp_path / "nowhere")
