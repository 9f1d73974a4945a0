"""`rsitr search` with places and batches, `feedback`, `assess`, `locate`: what is printed, written, and the status."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pyarrow.parquet as pq
import pytest

from fakes import ColourEncoder, replace_models
from rasters import write_utm
from rsitr.cli.app import main
from servers import serving

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `rsitr ...` with a model that knows colours; status, stdout, stderr."""
    replace_models(monkeypatch, lambda name, device: ColourEncoder(image_size_px=64))

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["rsitr", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        shown = capsys.readouterr()
        return int(exit_.value.code or 0), shown.out, shown.err

    return run


@pytest.fixture
def index(run: Run, tmp_path: Path) -> Path:
    write_utm(tmp_path / "scenes" / "naip_20100629.tif")
    write_utm(tmp_path / "scenes" / "naip_20160816.tif")
    status, _, err = run("index", tmp_path / "scenes", "--into", tmp_path / "index")
    assert status == 0, err
    return tmp_path / "index"


@pytest.fixture
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written without a name goes to a temporary folder."""
    monkeypatch.chdir(tmp_path)


def tiles(run: Run, index: Path, *arguments: object) -> list[str]:
    _, out, _ = run("search", index, *arguments, "--format", "csv")
    return [line["tile"] for line in csv.DictReader(io.StringIO(out))]


def test_places_in_every_format(run: Run, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")  # so that no cell is wrapped
    status, out, _ = run("search", index, "red", "-k", 2, "--places", "--format", "json")
    (place,) = json.loads(out)["places"]
    assert status == 0
    assert [seen["date"] for seen in place["sightings"]] == ["2010-06-29", "2016-08-16"]
    status, out, _ = run("search", index, "red", "-k", 2, "--places")
    assert "2010-06-29, 2016-08-16" in out
    for name in ("a.geojson", "a.csv", "a.parquet", "a.html"):
        status, _, err = run("search", index, "red", "-k", 2, "--places", "--out", tmp_path / name)
        assert (status, err) == (0, f"2 hits written to {tmp_path / name}\n")
    assert pq.read_table(tmp_path / "a.parquet")["n_tiles"].to_pylist() == [2]
    assert (tmp_path / "a.html").read_text(encoding="utf-8").count("<figure") == 2
    status, out, _ = run("search", index, "red", "-k", 2, "--format", "stac")
    assert len(json.loads(out)["features"]) == 2  # unmerged
    assert run("search", index, "red", "--format", "parquet")[2].startswith("rsitr: parquet is no text for the screen")


def test_nothing_here_is_said_in_table_json_and_page(run: Run, index: Path) -> None:
    status, out, err = run("search", index, "white", "-k", 2)
    assert status == 0
    assert "Nothing here matches" in out
    assert "nothing here matches “white”: the best hit's relevance is" in err
    found = json.loads(run("search", index, "white", "--format", "json")[1])
    assert found["matches"] is False
    assert found["relevance"] < found["threshold"] == 0.5
    assert "Nothing here matches." in run("search", index, "white", "--format", "html")[1]
    assert json.loads(run("search", index, "red", "--format", "json")[1])["matches"] is True
    assert "othing here matches" not in run("search", index, "white", "--threshold", 0, "--format", "table")[1]


def test_mixtures_and_stages(run: Run, index: Path) -> None:
    red = tiles(run, index, "red", "-k", 1)[0]
    assert tiles(run, index, "--like", red, "-k", 1) == [red]
    _, out, _ = run("search", index, "red", "--plus", "0.5*green", "--not", "blue", "--format", "json")
    assert [(part["value"], part["weight"]) for part in json.loads(out)["query"]["parts"]] == [
        ("red", 1.0), ("green", 0.5), ("blue", -0.5),
    ]  # fmt: skip
    _, out, _ = run("search", index, "red", "--explain-ranking", "--rerank", "sar:k=5", "-k", 3)
    assert "What each stage said" in out
    assert "sar:k=5" in out
    assert " ms" in out


def test_what_hits_are_sorted_by_is_shown(run: Run, index: Path) -> None:
    options = ("red", "--rerank", "csls", "-k", 3)
    _, out, _ = run("search", index, *options)
    assert "│ rank │ csls" in out.replace("┃", "│")
    assert "Sorted by csls" in out
    for line in csv.DictReader(io.StringIO(run("search", index, *options, "--format", "csv")[1])):
        assert line["sorted_by"].startswith("csls")
        assert float(line["sorted_by_value"]) in {1.0, float(line["rank"])}  # the same ground twice: equal ranks
    found = json.loads(run("search", index, *options, "--format", "json")[1])
    assert found["sorted_by"].startswith("csls")
    assert "ordered by csls" in run("search", index, *options, "--format", "html")[1]
    found = json.loads(run("search", index, "red", "-k", 3, "--format", "json")[1])
    assert found["sorted_by"] == "score"
    assert [hit["sorted_by_value"] for hit in found["hits"]] == [hit["score"] for hit in found["hits"]]


def test_only_matches_leaves_the_rest_out_of_every_format(run: Run, index: Path, tmp_path: Path) -> None:
    every = json.loads(run("search", index, "red", "--format", "json")[1])["hits"]
    above = [hit["tile"] for hit in every if hit["relevance"] >= 0.5]
    assert 0 < len(above) < len(every) == 8
    assert tiles(run, index, "red", "--only-matches") == above
    found = json.loads(run("search", index, "red", "--only-matches", "--format", "geojson")[1])
    assert [feature["id"] for feature in found["features"]] == above
    status, _, err = run("search", index, "red", "--only-matches", "--places", "--out", tmp_path / "a.parquet")
    assert (status, err) == (0, f"{len(above)} hits written to {tmp_path / 'a.parquet'}\n")
    status, out, err = run("search", index, "white", "--only-matches")
    assert (status, err.count("\n")) == (0, 1)
    assert re.match(r"nothing here matches “white”: the best hit's relevance is 0\.\d\d, below 0\.5\n", err)
    assert "Nothing here matches" in out
    page = run("search", index, "white", "--only-matches", "--format", "html")[1]
    assert "Nothing here matches." in page
    assert "No tile lies within these limits" not in page


def test_a_file_of_queries(run: Run, index: Path, tmp_path: Path) -> None:
    (tmp_path / "queries.txt").write_text("red\nblue\n", encoding="utf-8")
    status, out, _ = run("search", index, "--queries", tmp_path / "queries.txt", "-k", 1, "--format", "json")
    assert status == 0
    assert [json.loads(line)["query"]["text"] for line in out.splitlines()] == ["red", "blue"]
    _, out, _ = run("search", index, "--queries", tmp_path / "queries.txt", "-k", 1, "--format", "csv")
    assert [line["query"] for line in csv.DictReader(io.StringIO(out))] == ["“red”", "“blue”"]
    options = ("--queries", tmp_path / "queries.txt", "--format", "geojson")
    assert run("search", index, *options, "--out", tmp_path / "many")[0] == 0
    assert sorted(path.name for path in (tmp_path / "many").iterdir()) == ["0001.geojson", "0002.geojson"]
    assert json.loads((tmp_path / "many" / "0002.geojson").read_text(encoding="utf-8"))["query"] == "“blue”"
    found = json.loads(run("search", index, *options, "-k", 1)[1])
    assert [feature["properties"]["query"] for feature in found["features"]] == ["“red”", "“blue”"]
    stac = json.loads(run("search", index, *options[:2], "-k", 1, "--format", "stac")[1])
    assert [item["properties"]["title"] for item in stac["features"]] == ["“red”", "“blue”"]


def test_a_single_query_of_a_file_makes_a_folder_too(run: Run, index: Path, tmp_path: Path) -> None:
    (tmp_path / "queries.txt").write_text("red\n", encoding="utf-8")
    for chosen, name in (("geojson", "0001.geojson"), ("parquet", "0001.parquet"), ("stac", "0001.stac.json")):
        options = ("--queries", tmp_path / "queries.txt", "--format", chosen, "--out", tmp_path / chosen)
        assert run("search", index, *options)[0] == 0
        assert [path.name for path in (tmp_path / chosen).iterdir()] == [name]
    about = pq.read_schema(tmp_path / "parquet" / "0001.parquet").metadata[b"rsitr"]
    assert json.loads(about)["query"] == "“red”"


def test_stac_assets_lead_to_the_scenes(run: Run, index: Path, tmp_path: Path) -> None:
    assert run("search", index, "red", "-k", 1, "--out", tmp_path / "a.stac.json")[0] == 0
    (item,) = json.loads((tmp_path / "a.stac.json").read_text(encoding="utf-8"))["features"]
    (asset,) = item["assets"].values()
    assert Path(unquote(urlsplit(asset["href"]).path)).is_file()
    assert (urlsplit(asset["href"]).scheme, asset["type"]) == ("file", "image/tiff; application=geotiff")
    write_utm(tmp_path / "elsewhere" / "far_20200101.tif")
    assert run("index", tmp_path / "elsewhere", "--into", index)[0] == 0
    out = run("search", index, "red", "-k", 1, "--scene", "*far*", "--format", "stac")[1]
    (asset,) = json.loads(out)["features"][0]["assets"].values()
    assert asset["href"] == (tmp_path / "elsewhere" / "far_20200101.tif").resolve().as_uri()


def test_feedback_learns_a_detector_that_looks_through_new_scenes(run: Run, index: Path, tmp_path: Path) -> None:
    red, also_red = tiles(run, index, "red", "-k", 2)
    green, blue = (tiles(run, index, colour, "-k", 1)[0] for colour in ("green", "blue"))
    marks = ("--right", red, "--right", also_red, "--wrong", green, "--wrong", blue)
    status, out, err = run("feedback", index, "red", "--name", "roofs", *marks, "--save-marks", tmp_path / "marks.csv")
    assert (status, err) == (0, "")
    assert "roofs: learned from 2 right and 2 wrong tiles." in out
    assert red not in out
    assert run("feedback", index, "red", "--name", "again", "--marks", tmp_path / "marks.csv")[0] == 0
    assert "roofs" in run("feedback", index, "--list")[1]
    assert tiles(run, index, "--detector", "roofs", "-k", 1) == [red]
    write_utm(tmp_path / "scenes" / "new.tif")
    status, out, _ = run("index", tmp_path / "scenes", "--into", index)
    assert status == 0
    assert "New finds" in out
    assert "new.tif:0,0,64,64" in out
    assert "again" not in run("feedback", index, "--delete", "again")[1]


def test_a_detector_takes_no_stages_and_says_which_marks_it_had_to_drop(run: Run, index: Path, tmp_path: Path) -> None:
    red = tiles(run, index, "red", "-k", 1)[0]
    other = next(
        tile for tile in tiles(run, index, "green", "-k", 8) if tile.partition(":")[0] != red.partition(":")[0]
    )
    assert run("feedback", index, "red", "--name", "roofs", "--right", red, "--wrong", other)[0] == 0
    for option in (("--rerank", "sar"), ("--explain-ranking",)):
        status, _, err = run("search", index, "--detector", "roofs", *option)
        assert (status, "--detector ranks by what it has learned: leave out --rerank" in err) == (2, True)
    (tmp_path / "scenes" / other.partition(":")[0]).unlink()
    assert run("index", tmp_path / "scenes", "--into", index, "--sync")[0] == 0
    out = run("feedback", index, "red", "--name", "roofs", "--right", red)[1]
    assert "roofs: learned from 1 right and 0 wrong tiles." in out
    assert f"Let go of 1 earlier marks, whose tiles have left the index: {other}" in " ".join(out.split())


def test_a_damaged_detector_is_named_and_the_others_work_on(run: Run, index: Path, tmp_path: Path) -> None:
    red = tiles(run, index, "red", "-k", 1)[0]
    assert run("feedback", index, "red", "--name", "roofs", "--right", red)[0] == 0
    (index / "detectors" / "bad.json").write_text("{", encoding="utf-8")
    status, out, err = run("feedback", index, "--list")
    assert status == 1
    assert "roofs" in out
    assert "bad.json: cannot be read as a detector" in err
    assert f"rsitr feedback {index} --delete 'bad'" in err
    write_utm(tmp_path / "scenes" / "new.tif")
    status, out, err = run("index", tmp_path / "scenes", "--into", index)
    assert status == 1
    assert "new.tif:0,0,64,64" in out.split("New finds")[1]
    assert "bad.json: cannot be read as a detector" in err
    status, out, err = run("feedback", index, "--delete", "bad")
    assert (status, err) == (0, "")
    assert "roofs" in out
    assert "bad" not in out


def test_assess_measures_what_was_labelled(run: Run, index: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    status, out, err = run("assess", index, "-q", "red", "-k", "2,8", "--to-label", labels)
    assert status == 1
    assert "no labels" in out
    assert f"8 hits have no label and count neither way; they are in {labels}" in err
    lines = list(csv.DictReader(labels.read_text(encoding="utf-8").splitlines()))
    with labels.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["query", "tile", "label"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows({**line, "label": "right" if ":0,0," in line["tile"] else "wrong"} for line in lines)
    status, out, err = run("assess", index, "-q", "red", "-k", "2,8", "--labels", labels, "--json")
    assert (status, err) == (0, "")
    (found,) = json.loads(out)["indexes"]
    assert json.loads(out)["recommended"]["precision"]["value"] == 0.25
    assert [(entry["k"], entry["value"]) for entry in found["precisions"]] == [(2, 1.0), (8, 0.25)]
    status, out, _ = run("assess", index, index, "-q", "red", "-k", "2", "--labels", labels)
    assert status == 0
    assert "1.00 [0.34, 1.00]" in out
    said = " ".join(out.split())
    assert "Recommended of the 2 compared: index (model colour, tiles the model's picture" in said
    assert "index: 2 of 2 hits are labelled, down to rank 2 of every query (relevance" in said
    assert "P@2 1.00 [0.34, 1.00]." in said
    assert "it takes ten labels" in said
    assert "The intervals overlap: it takes more labels to be sure." in said


def test_locate_writes_a_map_and_a_picture(run: Run, index: Path, tmp_path: Path) -> None:
    scene = tmp_path / "scenes" / "naip_20100629.tif"
    status, out, err = run("locate", scene, "blue", "--out", tmp_path / "heat.tif", "--tile-px", 32)
    assert (status, err) == (0, "")
    assert re.search(r"“blue” fits best at column .*; relevance (1\.00|0\.[5-9]\d);", out)
    assert "° N" in out
    assert (tmp_path / "heat.tif").is_file()
    assert (tmp_path / "heat.png").read_bytes().startswith(b"\x89PNG")


def test_locate_says_that_nothing_is_there(run: Run, index: Path, tmp_path: Path) -> None:
    scene = tmp_path / "scenes" / "naip_20100629.tif"
    status, out, _ = run("locate", scene, "white", "--out", tmp_path / "heat.tif", "--tile-px", 32)
    assert status == 0
    assert re.match(r"nothing here matches “white”: the best window's relevance is 0\.[0-4]\d, below 0\.5;", out)
    assert "fits best" in run("locate", scene, "white", "--out", tmp_path / "heat.tif", "--threshold", 0)[1]


def test_an_example_may_lie_on_a_server(run: Run, index: Path, tmp_path: Path) -> None:
    local = tiles(run, index, "--image", tmp_path / "scenes" / "naip_20100629.tif")
    with serving(tmp_path / "scenes") as address:
        assert tiles(run, index, "--image", f"{address}/naip_20100629.tif") == local
        marks = ("--name", "x", "--right", local[0], "--wrong", local[-1])
        assert run("feedback", index, "--image", f"{address}/naip_20100629.tif", *marks)[0] == 0


@pytest.mark.usefixtures("_inside")
def test_locate_reads_from_a_server(run: Run, index: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "scenes") as address:
        status, out, err = run("locate", f"{address}/naip_20100629.tif", "blue", "--tile-px", 32)
    assert (status, err) == (0, "")
    assert "heat map: naip_20100629-heat.tif" in out
    assert (tmp_path / "naip_20100629-heat.tif").is_file()


@pytest.mark.usefixtures("_inside")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["search", "{index}", "red", "--queries", "{tmp}/none"], "--queries takes its queries from the file"),
        (["search", "{index}", "--queries", "{tmp}/none"], "none: cannot be read"),
        (["search", "{index}", "--queries", "{tmp}/q", "--out", "{tmp}/x.geojson"], "--format geojson --out {tmp}/x"),
        (["search", "{index}", "--queries", "{tmp}/q", "--format", "html"], "html is a page for each query"),
        (["search", "{index}", "red", "--gsd", "5"], "--gsd takes the finest and the coarsest pixels in metres"),
        (
            ["search", "{index}", "red", "--gsd", "5,1"],
            "the finest to the coarsest in metres, e.g. 0.1,5, not 5,1",
        ),
        (["search", "{index}", "red", "--format", "parquet"], "parquet is no text for the screen"),
        (["search", "{index}", "red", "--out", "{tmp}/x.dxf"], "x.dxf: its ending names no format; known are .json,"),
        (["search", "{index}", "red", "--out", "{tmp}/x"], "x: its ending names no format"),
        (["search", "{index}", "red", "--detector", "x"], "--detector looks for what it has learned"),
        (["search", "{index}", "--detector", "../x"], "there is no detector '../x'"),
        (["search", "{index}", "red", "--rerank", "nosuch"], "unknown re-ranking method"),
        (["search", "{index}", "red", "--candidates", "0"], "number of candidates is at least 1"),
        (["search", "{index}", "--like", "nowhere"], "there is no tile 'nowhere' in this index"),
        (["search", "{index}", "red", "--area", "{tmp}/none"], "none: cannot be read"),
        (["feedback", "{index}", "red"], "name the detector that is to learn"),
        (["feedback", "{index}", "red", "--name", "x"], "no marks to learn from"),
        (["feedback", "{index}", "red", "--name", "../x", "--right", "{tile}"], "cannot name a detector"),
        (["assess", "{index}"], "nothing to assess"),
        (["assess", "{index}", "-q", "red"], "no labels: give --labels FILE"),
        (["assess", "{index}", "-q", "red", "-k", "x"], "-k takes depths"),
        (["locate", "{tmp}/none.tif", "red"], "none.tif: no such file"),
        (["locate", "{scene}", "red", "--scales", "x"], "--scales takes numbers"),
        (["locate", "{scene}", "red", "--threshold", "nan"], "--threshold is a relevance from 0 to 1, not nan"),
        (["locate", "{scene}", "red", "--out", "{scene}"], "this is the scene itself"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_input_is_one_line_and_status_2(
    run: Run, index: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    scene = tmp_path / "scenes" / "naip_20100629.tif"
    names = {"index": index, "tmp": tmp_path, "scene": scene, "tile": "naip_20100629.tif:0,0,64,64"}
    status, _, err = run(*(argument.format(**names) for argument in arguments))
    assert status == 2
    assert err.startswith("rsitr: ")
    assert said.format(**names) in err
    assert err.count("\n") == 1
