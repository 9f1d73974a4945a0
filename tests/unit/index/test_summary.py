"""What an index holds, and what of it is kept for who asks again."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fakes import ColourEncoder
from rasters import from_origin, write_geographic, write_utm
from rsitr.errors import StoreError
from rsitr.index import Settings, describe_index, ingest, open_index, relink_index, summarise
from rsitr.index.folder import writing
from rsitr.index.notes import NOTES

KEPT = Path(".cache") / "summary.json"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("summary")
    write_utm(folder / "scenes" / "a.tif", tags={"TIFFTAG_DATETIME": "2019:06:01 12:00:00"})
    write_geographic(folder / "scenes" / "b.tif")
    ingest([folder / "scenes"], into=folder / "index", encoder=ColourEncoder(), settings=Settings(tile_px=32))
    return folder


@pytest.fixture
def index(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "at", dirs_exist_ok=True)
    relink_index(tmp_path / "at" / "index", tmp_path / "at" / "scenes")
    return tmp_path / "at" / "index"


def refuse(*_args: Any, **_kwargs: Any) -> None:
    pytest.fail("the store was opened")


def test_who_asks_again_is_told_the_same_without_the_store(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = describe_index(index)
    assert first.n_scenes == 2
    assert first.n_tiles > 0
    assert first.area_km2 > 0
    assert str(first.first_date) == "2019-06-01"
    assert (index / KEPT).is_file()
    monkeypatch.setattr("rsitr.index.folder.open_index", refuse)
    assert describe_index(index) == first
    assert dataclasses.asdict(describe_index(index)) == dataclasses.asdict(first)


def test_it_is_made_again_after_every_change(index: Path) -> None:
    before = describe_index(index)
    write_utm(index.parent / "scenes" / "c.tif", transform=from_origin(600_000.0, 5_209_245.0, 5.0, 5.0))
    ingest([index.parent / "scenes"], into=index, encoder=ColourEncoder(), settings=Settings(tile_px=32))
    after = describe_index(index)
    assert after.n_scenes == before.n_scenes + 1
    assert after.n_tiles > before.n_tiles
    assert after.area_km2 > before.area_km2
    (index / KEPT).unlink()
    assert describe_index(index) == after


def test_notes_on_scenes_count_as_well(index: Path) -> None:
    before = describe_index(index)
    notes = [json.loads(line) for line in (index / NOTES).read_text().splitlines() if line]
    for note in notes:
        note["n_pages"] = 3
    (index / NOTES).write_text("".join(f"\n{json.dumps(note)}" for note in notes))
    assert "only the first of several images" in " ".join(describe_index(index).tile_notes)
    assert before.tile_notes != describe_index(index).tile_notes


@pytest.mark.parametrize("content", ["", "{", "[1]", "null", '{"state": "another"}', "{}"])
def test_what_was_kept_and_is_damaged_is_made_again(index: Path, content: str) -> None:
    good = summarise(open_index(index))
    (index / KEPT).write_text(content)
    assert dataclasses.replace(describe_index(index), size_bytes=0) == dataclasses.replace(good, size_bytes=0)
    assert json.loads((index / KEPT).read_text())["n_scenes"] == 2


def test_fields_that_are_not_known_are_damage(index: Path) -> None:
    good = describe_index(index)
    kept = json.loads((index / KEPT).read_text())
    (index / KEPT).write_text(json.dumps({**kept, "unknown": 1}))
    assert describe_index(index) == good
    del kept["area_km2"]
    (index / KEPT).write_text(json.dumps(kept))
    assert describe_index(index) == good


def test_tables_that_are_gone_are_told_although_something_was_kept(index: Path) -> None:
    describe_index(index)
    shutil.rmtree(index / "scenes.lance")
    with pytest.raises(StoreError):
        describe_index(index)


def test_scenes_and_index_may_move_together(index: Path, tmp_path: Path) -> None:
    describe_index(index)
    moved = tmp_path / "elsewhere"
    index.parent.rename(moved)
    assert describe_index(moved / "index").root == (moved / "scenes").resolve()


def test_where_two_folders_could_be_the_scenes_the_store_decides(index: Path, tmp_path: Path) -> None:
    describe_index(index)
    copy = tmp_path / "copy"
    shutil.copytree(index.parent, copy)  # the scenes lie at both places
    assert describe_index(copy / "index").root == (copy / "scenes").resolve()
    shutil.rmtree(copy / "scenes")
    (copy / "scenes").mkdir()  # a folder of that name, and nothing in it
    assert describe_index(copy / "index").root == (index.parent / "scenes").resolve()


def test_who_is_asked_while_another_writes_answers(index: Path) -> None:
    with writing(index):
        assert describe_index(index).n_scenes == 2


def test_the_first_search_after_indexing_does_not_start_lancedb(index: Path) -> None:
    code = (
        "import pathlib, sys; from rsitr.index import open_index; store = open_index(pathlib.Path(sys.argv[1])).store;"
        "print(len(store.browse(start=0, n=3)), 'lancedb' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, index], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["3", "False"]
