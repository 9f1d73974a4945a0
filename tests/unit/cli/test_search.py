"""`rsitr index`, `rsitr search`, `rsitr info`: what is printed, what is written, and the exit status."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import rasterio

from fakes import ColourEncoder, replace_models
from rasters import write_all_nodata, write_corrupt, write_dateline, write_utm
from rsitr.cli.app import main
from rsitr.errors import ModelError

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `rsitr ...` with a model that knows colours; status, stdout, stderr."""

    def load(name: str, device: str | None) -> ColourEncoder:
        if name == "other":
            return ColourEncoder(name="other", fingerprint="0" * 64, image_size_px=64)
        if name not in {"lookout", "colour"}:
            raise ModelError(f"there is no model {name!r}: use lookout")
        return ColourEncoder(image_size_px=64)

    replace_models(monkeypatch, load)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["rsitr", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        shown = capsys.readouterr()
        return int(exit_.value.code or 0), shown.out, shown.err

    return run


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    write_utm(tmp_path / "scenes" / "naip_20160816.tif")
    write_dateline(tmp_path / "scenes" / "sub" / "dateline.tif", gsd_m=20.0)
    return tmp_path / "scenes"


@pytest.fixture
def index(run: Run, scenes: Path, tmp_path: Path) -> Path:
    assert run("index", scenes, "--into", tmp_path / "index")[0] == 0
    return tmp_path / "index"


def test_index_search_and_info_end_to_end(run: Run, scenes: Path, tmp_path: Path) -> None:
    into = tmp_path / "index"
    status, out, err = run("index", scenes, "--into", into, "--tile-px", 64, "--overlap", 0.5, "--batch-size", 5)
    assert (status, err) == (0, "")
    for expected in (
        "naip_20160816.tif",
        "2016-08-16",
        "EPSG:32614",
        "sub/dateline.tif",
        "2 scenes indexed (18 tiles,",
    ):
        assert expected in out

    status, out, err = run("search", into, "red roofs", "-k", 3)
    assert (status, err) == (0, "")
    assert "“red roofs”" in out
    assert ":0,0,64,64" in out

    status, out, err = run("info", into)
    assert (status, err) == (0, "")
    for expected in (
        "colour (28 wide, fingerprint c0104rc0104r)",
        "64 px, overlap 0.5",
        "5 m per pixel to 20 m per pixel",
    ):
        assert expected in out

    status, out, _ = run("info", into, "--json")
    told = json.loads(out)
    assert (status, told["n_scenes"], told["n_tiles"], told["first_date"]) == (0, 2, 18, "2016-08-16")
    assert told["root"] == str(scenes)


def test_every_format_tells_of_the_same_hits(
    run: Run, scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # wide enough that no cell is wrapped
    assert run("index", scenes, "--into", tmp_path / "index")[0] == 0
    shown: dict[str, str] = {}
    for format_ in ("table", "json", "geojson", "csv", "html"):
        status, shown[format_], err = run("search", tmp_path / "index", "red", "-k", 4, "--format", format_)
        assert (status, err) == (0, "")
    hits = json.loads(shown["json"])["hits"]
    assert [hit["rank"] for hit in hits] == [1, 2, 3, 4]
    assert {hit["scene"] for hit in hits} <= {"naip_20160816.tif", "dateline.tif"}
    scores = [hit["score"] for hit in hits]
    assert scores == sorted(scores, reverse=True)
    features = json.loads(shown["geojson"])["features"]
    assert [feature["properties"]["tile"] for feature in features] == [hit["tile"] for hit in hits]
    assert [feature["geometry"] for feature in features] == [hit["footprint"] for hit in hits]
    lines = list(csv.DictReader(io.StringIO(shown["csv"])))
    for hit, line in zip(hits, lines, strict=True):
        assert (line["tile"], float(line["score"]), line["date"] or None) == (hit["tile"], hit["score"], hit["date"])
        assert f"{hit['score']:.3f}" in shown["table"]
        assert hit["tile"] in shown["table"]
        assert f"{hit['score']:.3f}" in shown["html"]
    assert shown["html"].count("data:image/jpeg;base64,") == 4


def test_long_names_are_wrapped_not_cut(run: Run, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "a_scene_with_the_very_long_name_that_an_archive_gave_it_some_time_ago_20160816.tif"
    write_utm(tmp_path / "long" / name)
    assert run("index", tmp_path / "long", "--into", tmp_path / "longer")[0] == 0
    status, out, _ = run("search", tmp_path / "longer", "red", "-k", 1)
    assert f"│ {name}:" in out, "a pipe gets it in one piece"
    monkeypatch.setenv("TERM", "dumb")  # no colours, and 80 columns
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    status, out, _ = run("search", tmp_path / "longer", "red", "-k", 1)
    assert status == 0
    assert max(map(len, out.splitlines())) <= 80
    assert "…" not in out
    cells = [line.split("│")[-2].strip() for line in out.splitlines() if line.startswith("│")]
    assert "".join(cells).startswith(name)


def test_files_that_cannot_be_used_are_listed_with_status_1(run: Run, scenes: Path, tmp_path: Path) -> None:
    write_corrupt(scenes / "corrupt.tif")
    write_all_nodata(scenes / "nodata.tif")
    status, out, err = run("index", scenes, "--into", tmp_path / "index")
    assert (status, err) == (1, "")
    assert "corrupt.tif" in out
    assert "its pixels cannot be decoded" in out
    assert "every pixel is nodata (the value 0)" in out
    assert "2 files could not be used." in out
    assert run("search", tmp_path / "index", "red")[0] == 0


def test_a_second_run_does_nothing_again(run: Run, index: Path, scenes: Path) -> None:
    status, out, _ = run("index", scenes, "--into", index)
    assert status == 0
    assert "0 scenes indexed (0 tiles" in out
    assert "2 scenes unchanged." in out


@pytest.mark.parametrize(
    ("format_", "start"),
    [("json", "{"), ("geojson", '{"type": "FeatureCollection"'), ("csv", "rank,score,relevance,tile,scene")],
)
def test_formats_on_the_screen(run: Run, index: Path, format_: str, start: str) -> None:
    status, out, err = run("search", index, "green", "--format", format_)
    assert (status, err) == (0, "")
    assert out.startswith(start)


@pytest.mark.parametrize(
    ("name", "start"),
    [("a.json", "{"), ("a.geojson", '{"type"'), ("a.csv", "rank"), ("a.html", "<!doctype"), ("a.txt", "“green”")],
)
def test_the_ending_of_out_chooses_the_format(run: Run, index: Path, tmp_path: Path, name: str, start: str) -> None:
    status, out, err = run("search", index, "green", "--out", tmp_path / name)
    assert (status, out, err) == (0, "", f"8 hits written to {tmp_path / name}\n")
    assert (tmp_path / name).read_text(encoding="utf-8").startswith(start)


def test_a_box_with_a_minus_a_picture_and_days(run: Run, index: Path, scenes: Path) -> None:
    status, out, _ = run("search", index, "red", "--bbox", "-100,40,-90,50", "--format", "json")
    assert status == 0
    assert {hit["scene"] for hit in json.loads(out)["hits"]} == {"naip_20160816.tif"}
    _, out, _ = run(
        "search", index, "--image", scenes / "sub" / "dateline.tif", "--until", "2016-08-16", "--format", "json"
    )
    found = json.loads(out)
    assert {hit["date"] for hit in found["hits"]} == {"2016-08-16"}
    assert (found["query"]["text"], found["query"]["image"]) == (None, "dateline.tif")


@pytest.mark.parametrize(
    ("limits", "since", "until"),
    [
        (("--since", "2016", "--until", "2016"), "2016-01-01", "2016-12-31"),
        (("--since", "2016-08", "--until", "2016-08"), "2016-08-01", "2016-08-31"),
        (("--since", "2016-08-16", "--until", "2024-02"), "2016-08-16", "2024-02-29"),
    ],
)
def test_months_and_years_are_days(run: Run, index: Path, limits: tuple[str, ...], since: str, until: str) -> None:
    status, out, _ = run("search", index, "red", *limits, "--format", "json")
    query = json.loads(out)["query"]
    assert (status, query["since"], query["until"]) == (0, since, until)
    assert {hit["date"] for hit in json.loads(out)["hits"]} == {"2016-08-16"}


def test_no_hits_is_said(run: Run, index: Path) -> None:
    status, out, err = run("search", index, "red", "--bbox", "0,0,1,1", "--format", "csv")
    said = "no tile lies within these limits: none is in the box (scenes lie within "
    assert (status, out.count("\n"), err[: len(said)], err.count("\n")) == (0, 1, said, 1)


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (("--sensor", "x"), "none is by the sensor x (no scene names its sensor)"),
        (
            ("--since", "2017", "--bbox", "-100,40,-90,50"),
            "none is since 2017-01-01 (days run from 2016-08-16 to 2016-08-16)",
        ),
        (("--gsd", "0.1,1"), "none is of pixels of that size (pixels are of 5 to 20 m)"),
        (("--scene", "x*"), "none is of a scene called x* (scenes are called naip_20160816.tif, sub/dateline.tif)"),
        (
            ("--scene", "sub/*", "--until", "2016"),
            "4 are until 2016-12-31, 4 are of a scene called sub/*, but none meets all of these limits",
        ),
    ],
)
def test_the_limit_that_leaves_nothing_is_named(run: Run, index: Path, limits: tuple[str, ...], said: str) -> None:
    status, _, err = run("search", index, "red", *limits, "--format", "csv")
    assert (status, err) == (0, f"no tile lies within these limits: {said}\n")


def test_missing_pictures_are_listed_with_status_1(run: Run, index: Path, scenes: Path, tmp_path: Path) -> None:
    moved = scenes.rename(tmp_path / "moved")
    status, _, err = run("search", index, "red", "-k", 2, "--out", tmp_path / "sheet.html")
    assert status == 1
    assert err.count("no picture of hit") == 2
    assert "the source image is missing" in (tmp_path / "sheet.html").read_text(encoding="utf-8")
    status, _, err = run("search", index, "red", "-k", 2, "--out", tmp_path / "sheet.html", "--root", moved)
    assert (status, err.count("\n")) == (0, 1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["index", "{tmp}/missing.tif", "--into", "{tmp}/new"], "no such file or folder: {tmp}/missing.tif"),
        (["index", "{tmp}/text.tif", "--into", "{tmp}/new"], "none of the 1 files could be used; nothing was written"),
        (["index", "{tmp}/scenes", "--into", "{tmp}/new", "--model", "nosuch"], "there is no model 'nosuch'"),
        (
            ["index", "{tmp}/scenes", "--into", "{tmp}/index", "--model", "other"],
            "by the model 'colour', not by 'other'",
        ),
        (["index", "{tmp}/scenes", "--into", "{tmp}/scenes"], "exists and is no index"),
        (["index", "{tmp}/scenes", "--into", "{tmp}/index", "--tile-px", "99"], "was made with tile_px=auto, not 99"),
        (["index", "{tmp}/scenes", "--into", "{tmp}/new", "--root", "{tmp}/none"], "no such folder (--root"),
        (["search", "{tmp}/none", "red"], "no such index; make it with `rsitr index"),
        (["search", "{tmp}/scenes", "red"], "this is no index (rsitr-index.json is missing)"),
        (["search", "{tmp}/index", "red", "--model", "other"], "by the model 'colour', not by 'other'"),
        (["search", "{tmp}/index", "red", "--model", "nosuch"], "there is no model 'nosuch'"),
        (["search", "{tmp}/index"], "nothing to search for: give words"),
        (["search", "{tmp}/index", " "], "the words to search for are empty"),
        (["search", "{tmp}/index", "red", "-k", "0"], "at least 1, not 0"),
        (["search", "{tmp}/index", "red", "--bbox", "1,2,3"], "--bbox takes west,south,east,north"),
        (["search", "{tmp}/index", "red", "--bbox", "1,9,3,4"], "its south lies north of its north"),
        (["search", "{tmp}/index", "red", "--since", "16"], "--since takes a day as YYYY-MM-DD"),
        (["search", "{tmp}/index", "red", "--until", "2016-13"], "--until takes a day as YYYY-MM-DD"),
        (["search", "{tmp}/index", "red", "-k", "100001"], "-k is at most 100,000, not 100,001"),
        (["search", "{tmp}/index", "red", "--threshold", "nan"], "--threshold is a relevance from 0 to 1, not nan"),
        (["search", "{tmp}/index", "red", "--threshold", "2"], "--threshold is a relevance from 0 to 1, not 2"),
        (["search", "{tmp}/index", "red", "--threshold", "-1"], "--threshold is a relevance from 0 to 1, not -1"),
        (["search", "{tmp}/index", "--image", "{tmp}/missing.png"], "missing.png: no such file"),
        (["search", "{tmp}/index", "--image", "{tmp}/text.tif"], "text.tif: not an image or raster"),
        (["search", "{tmp}/index", "red", "--out", "{tmp}/no/folder/a.html"], "cannot write {tmp}/no/folder/a.html"),
        (["info", "{tmp}/none"], "no such index"),
        (["info", "{tmp}/broken"], "broken/rsitr-index.json: not readable by rsitr"),
    ],
    ids=lambda value: " ".join(value).replace("{tmp}/", "") if isinstance(value, list) else "",
)
def test_wrong_input_is_one_line_and_status_2(
    run: Run, index: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    (tmp_path / "text.tif").write_text("no image")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "rsitr-index.json").write_text("{")
    before = sorted(path for path in tmp_path.rglob("*"))
    status, _, err = run(*(argument.replace("{tmp}", str(tmp_path)) for argument in arguments))
    assert status == 2
    assert err.startswith("rsitr: ")
    assert said.replace("{tmp}", str(tmp_path)) in err
    assert err.count("\n") == 1
    assert sorted(path for path in tmp_path.rglob("*")) == before


def test_nothing_usable_still_says_why(run: Run, tmp_path: Path) -> None:
    write_corrupt(tmp_path / "corrupt.tif")
    status, out, err = run("index", tmp_path / "corrupt.tif", "--into", tmp_path / "index")
    assert status == 2
    assert "its pixels cannot be decoded" in out
    assert "none of the 1 files could be used" in err
    assert not (tmp_path / "index").exists()


def test_copies_are_left_out_and_counted(run: Run, scenes: Path, tmp_path: Path) -> None:
    (scenes / "copy_20160816.tif").write_bytes((scenes / "naip_20160816.tif").read_bytes())
    assert run("index", scenes, "--into", tmp_path / "index", "--tile-px", 64)[0] == 0
    status, out, err = run("search", tmp_path / "index", "red", "-k", 3, "--format", "json")
    told = json.loads(out)
    assert status == 0
    assert "left out: 2 tiles, which show the ground of a better hit on the same day; --all shows them" in err
    assert told["n_copies"] == 2
    assert "copy_20160816.tif:0,0,64,64" in {hit["tile"] for hit in told["hits"]}, "of equals the first by name stays"
    _, out, err = run("search", tmp_path / "index", "red", "-k", 3, "--format", "json", "--all")
    assert {hit["scene"] for hit in json.loads(out)["hits"]} >= {"naip_20160816.tif", "copy_20160816.tif"}
    assert "left out" not in err


def test_several_patterns_of_scenes(run: Run, index: Path) -> None:
    for patterns, wanted in (
        (["sub/*", "naip*"], {"dateline.tif", "naip_20160816.tif"}),
        (["sub/*", "nothing*"], {"dateline.tif"}),
    ):
        options = [part for pattern in patterns for part in ("--scene", pattern)]
        status, out, _ = run("search", index, "red", "-k", 50, "--format", "json", *options)
        assert status == 0
        assert {hit["scene"] for hit in json.loads(out)["hits"]} == wanted
        assert json.loads(out)["query"]["scene"] == patterns


def test_chips_have_the_scenes_own_pixels(run: Run, index: Path, scenes: Path, tmp_path: Path) -> None:
    chips = tmp_path / "chips"
    status, _, err = run("search", index, "red", "-k", 2, "--scene", "naip*", "--chips", chips)
    assert status == 0
    files = sorted(chips.iterdir())
    assert [file.name for file in files] == ["0001-naip_20160816.tif", "0002-naip_20160816.tif"]
    assert f"2 chips written to {chips}" in err
    with rasterio.open(files[0]) as chip, rasterio.open(scenes / "naip_20160816.tif") as whole:
        assert chip.crs == whole.crs
        assert (chip.read() == whole.read()[:, :64, :64]).all()
    (scenes / "naip_20160816.tif").unlink()
    status, _, err = run("search", index, "red", "-k", 2, "--scene", "naip*", "--chips", chips)
    assert status == 1
    assert "no chip of hit 1" in err
    status, _, err = run("search", index, "red", "--chips", files[0])
    assert status == 2
    assert "--chips" in err


def test_the_time_line_is_a_table_too(run: Run, index: Path) -> None:
    status, out, _ = run("search", index, "red", "-k", 1, "--timeline")
    assert status == 0
    assert "Place 1 over time" in out
