"""Saved searches on the command line: saved, listed with what is new, made again, and what is new of detectors."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from affine import Affine

from fakes import ColourEncoder
from rasters import quadrants, write_utm
from records import check
from rsitr.cli.app import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setattr(
        "rsitr.models.zoo.load_encoder",
        lambda name="colour", *, device=None, bulk=False: ColourEncoder(name=name, image_size_px=64),
    )

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["rsitr", *map(str, arguments)])
        try:
            main()
            status = 0
        except SystemExit as end:
            status = int(end.code or 0)
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return run


@pytest.fixture
def index(run: Run, tmp_path: Path) -> Path:
    write_utm(tmp_path / "scenes" / "a_20160816.tif")
    assert run("index", tmp_path / "scenes", "--into", tmp_path / "index")[0] == 0
    return tmp_path / "index"


def add_scene(run: Run, index: Path) -> None:
    elsewhere = Affine(5.0, 0.0, 600_000.0, 0.0, -5.0, 5_300_000.0)
    write_utm(index.parent / "scenes" / "new.tif", quadrants(names=("red",) * 4), transform=elsewhere)
    assert run("index", index.parent / "scenes", "--into", index)[0] == 0


def test_a_search_is_saved_and_made_again(run: Run, index: Path) -> None:
    status, out, err = run("search", index, "red", "--until", "2018", "-k", "3", "--save", "old reds", "--json")
    assert status == 0, err
    assert "--saved 'old reds'" in err
    first = check("search", out)
    again = check("search", run("search", index, "--saved", "old reds", "-k", "3", "--json")[1])
    assert again["hits"] == first["hits"]
    assert again["query"]["until"] == "2018-12-31"
    twice = run("search", index, "blue", "--save", "old reds")
    assert (twice[0], "there is a saved search 'old reds' already" in twice[2]) == (2, True)
    for wrong in (["red"], ["--like", "x"], ["--detector", "x"], ["--since", "2010"], ["--all"], ["--save", "x"]):
        status, _, err = run("search", index, "--saved", "old reds", *wrong)
        assert (status, "leave out words" in err) == (2, True), wrong
    assert run("search", index, "--saved", "none")[0] == 2
    failed = run("search", index, "--like", "none.tif:0,0,1,1", "--save", "failed")
    assert failed[0] == 2
    assert [one["name"] for one in check("saved", run("saved", index, "--json")[1])["searches"]] == ["old reds"]


def test_what_is_new_is_listed(run: Run, index: Path) -> None:
    run("search", index, "red", "--save", "reds")
    best = check("search", run("search", index, "red", "--json")[1])["hits"][0]["tile"]
    run("feedback", index, "red", "--name", "red things", "--right", best)

    def listed(command: str, *more: object) -> tuple[int, int, str | None]:
        status, out, err = run(command, index, *more, "--json")
        assert status == 0, err
        (one,) = check(command, out)["searches" if command == "saved" else "detectors"]
        return one["n_finds"], one["n_new"], one["seen"]

    n_finds, n_new, seen = listed("saved")
    assert (n_new, seen) == (n_finds, None)
    assert n_finds
    assert listed("saved", "--seen", "reds")[1] == 0
    assert listed("feedback", "--seen", "red things")[1] == 0
    add_scene(run, index)
    n_after, n_new, seen = listed("saved")
    assert n_new == n_after - n_finds > 0
    assert seen is not None
    assert listed("feedback", "--list")[1] == n_new
    _, out, _ = run("saved", index)
    assert "“red”" in out
    _, out, _ = run("feedback", index, "--list")
    assert "--seen NAME says that they have been" in out


def test_saved_searches_are_renamed_deleted_and_named_where_damaged(run: Run, index: Path) -> None:
    assert "no saved searches yet" in run("saved", index)[2]
    run("search", index, "red", "--save", "reds")
    assert check("saved", run("saved", index, "--rename", "reds", "all reds", "--json")[1])["searches"][0]["name"] == (
        "all reds"
    )
    (index / "saved" / "bad.json").write_text("{", encoding="utf-8")
    status, out, err = run("saved", index)
    assert (status, "all reds" in out, "bad.json: cannot be read as a saved search" in err) == (1, True, True)
    assert run("saved", index, "--delete", "bad")[0] == 0
    assert run("saved", index, "--delete", "bad")[0] == 2
    assert "Traceback" not in err
    (index / "saved" / "like.json").write_text(
        '{"format": 1, "search": {"parts": [{"kind": "tile", "value": "gone.tif:0,0,1,1"}]}}', encoding="utf-8"
    )
    status, out, err = run("saved", index)
    assert (status, "like" in out, "there is no tile" in err) == (1, True, True)
