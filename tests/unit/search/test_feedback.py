"""Marks, detectors, and what they find in new scenes."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes import ColourEncoder
from rasters import write_utm
from rsitr.errors import MissingError, QueryError, StoreError
from rsitr.index import ingest, open_index
from rsitr.search import (
    Detector,
    Index,
    Mark,
    delete_detector,
    find_in_scenes,
    fit_head,
    list_detectors,
    load_detector,
    make_query,
    read_marks,
    rename_detector,
)
from rsitr.search.detectors import save_detector
from rsitr.search.feedback import learn_detector, measure_precision, push_away
from rsitr.types import TileFilter

DIM = 12


@pytest.fixture
def folder(index_path: Path, tmp_path: Path) -> Path:
    shutil.copytree(index_path.parent, tmp_path / "archive")
    return tmp_path / "archive" / "index"


@pytest.fixture
def index(folder: Path, encoder: ColourEncoder) -> Index:
    return Index.open(folder, encoder=encoder)


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def test_marks_correct_a_query_that_was_slightly_wrong() -> None:
    chance = np.random.default_rng(5)
    axes = np.eye(DIM)
    meant = unit(axes[0] + axes[1] + 0.3 * chance.normal(size=(60, DIM)))
    other = unit(axes[0] + axes[2] + 0.3 * chance.normal(size=(60, DIM)))
    words = unit(axes[0])  # says nothing of what divides the two
    tiles = np.concatenate([meant, other])
    weights, bias = fit_head(words, right=meant[:5], wrong=other[:5], background=tiles[::3])

    def share(vector: np.ndarray) -> float:
        left = np.concatenate([meant[5:], other[5:]])
        return float((np.argsort(-(left @ vector))[:20] < 55).mean())

    assert share(weights) >= share(words) + 0.3
    assert (meant[:5] @ weights + bias).min() > (other[:5] @ weights + bias).max()


def test_without_marks_to_the_contrary_it_stays_near_the_query() -> None:
    start = unit(np.ones(DIM))
    weights, _ = fit_head(start, right=start[None], wrong=np.empty((0, DIM), np.float32), background=unit(np.eye(DIM)))
    assert float(unit(weights) @ start) > 0.99


def test_a_detector_is_learned_kept_and_learns_on(index: Index, folder: Path) -> None:
    query = make_query(text="red", k=5)
    red, green = (index.search(colour, k=1).hits[0].tile.tile for colour in ("red", "green"))
    learned = index.learn("red roofs", query=query, marks=[Mark(red, True), Mark(green, False)])
    assert list_detectors(folder) == ["red roofs"]
    assert load_detector(folder, "red roofs") == learned
    found = index.detect("red roofs", k=20)
    assert found.hits[0].tile.tile == red
    assert found.query.describe() == "detector red roofs"
    told = {hit.tile.tile: (hit.relevance, hit.mark) for hit in found}
    assert told[red] == (1.0, True), "a person's word stands"
    assert green not in told, "what was marked wrong is gone"
    blue = index.search("blue", k=1).hits[0].tile.tile
    again = index.learn("red roofs", query=query, marks=[Mark(blue, False), Mark(green, True)])
    assert (set(again.right), set(again.wrong)) == ({red, green}, {blue})  # the last word on a tile counts
    delete_detector(folder, "red roofs")
    assert list_detectors(folder) == []
    with pytest.raises(QueryError, match="there is no detector 'red roofs'; there are: none yet"):
        index.detect("red roofs")


def test_new_scenes_are_looked_through(index: Index, folder: Path, encoder: ColourEncoder) -> None:
    marks = [Mark(index.search("red", k=1).hits[0].tile.tile, True)]
    marks += [Mark(hit.tile.tile, False) for colour in ("green", "blue") for hit in index.search(colour, k=1)]
    index.learn("red", query=make_query(text="red", k=5), marks=marks)
    write_utm(folder.parent / "scenes" / "new.tif")
    report = ingest([folder.parent / "scenes"], into=folder, encoder=encoder)
    assert [entry.scene for entry in report.indexed] == ["new.tif"]
    finds = find_in_scenes(open_index(folder), {"new.tif"})
    assert [(find.detector, find.hit.tile.tile) for find in finds] == [("red", "new.tif:0,0,64,64")]
    assert find_in_scenes(open_index(folder), set()) == []


def test_detectors_of_another_model_are_refused(index: Index, folder: Path) -> None:
    learned = index.learn(
        "red", query=make_query(text="red", k=5), marks=[Mark(index.search("red", k=1).hits[0].tile.tile, True)]
    )
    with pytest.raises(StoreError, match="was learned with another model"):
        index.detect(dataclasses.replace(learned, fingerprint="other"))


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "x" * 65, "a\nb"])
def test_names_that_could_leave_the_folder(name: str, folder: Path) -> None:
    with pytest.raises(QueryError, match="cannot name a detector"):
        Detector(name=name, query="", fingerprint="", weights=(1.0,), bias=0.0)
    with pytest.raises(QueryError, match="there is no detector"):
        load_detector(folder, name)


def test_damaged_detectors_and_weights_without_a_direction(folder: Path) -> None:
    with pytest.raises(QueryError, match="has no direction"):
        Detector(name="x", query="", fingerprint="", weights=(0.0, 0.0), bias=0.0)
    (folder / "detectors").mkdir()
    file = folder / "detectors" / "x.json"
    for content in ("{", json.dumps({"format": 2}), json.dumps({"format": 1, "name": "x"}), "[]"):
        file.write_text(content, encoding="utf-8")
        with pytest.raises(StoreError, match=r"x\.json: cannot be read as a detector"):
            load_detector(folder, "x")


def test_a_mark_that_is_right_is_needed_and_tiles_that_are_there(index: Index) -> None:
    query = make_query(text="red", k=5)
    with pytest.raises(QueryError, match="no hit is marked right"):
        index.learn("x", query=query, marks=[Mark(index.search("red", k=1).hits[0].tile.tile, False)])
    with pytest.raises(StoreError, match="there is no tile 'nowhere'"):
        index.learn("x", query=query, marks=[Mark("nowhere", True)])


def test_marks_are_read_from_csv(tmp_path: Path) -> None:
    file = tmp_path / "marks.csv"
    file.write_text("rank,tile,label\n1,a,right\n2,b,0\n3,c,\n4,d,Yes\n", encoding="utf-8")
    assert read_marks(file) == [Mark("a", True), Mark("b", False), Mark("d", True)]
    for content, said in (("tile\na\n", "no column 'label'"), ("tile,label\na,maybe\n", "line 2: the label 'maybe'")):
        file.write_text(content, encoding="utf-8")
        with pytest.raises(QueryError, match=said):
            read_marks(file)
    with pytest.raises(QueryError, match="cannot be read"):
        read_marks(tmp_path / "none.csv")


def test_refining_by_right_marks_is_what_a_detector_of_them_finds(index_path: Path, encoder: ColourEncoder) -> None:
    index = Index.open(index_path, encoder=encoder)
    query = make_query(text="grey", k=5)
    hits = index.search("yellow", k=1).hits
    marks = [Mark(hits[0].tile.tile, True)]
    refined = index.refine(query, marks)
    learned = index.learn("yellows", query=query, marks=marks)
    assert refined.hits == index.detect(learned, k=5).hits
    assert refined.hits[0].tile == hits[0].tile
    delete_detector(index_path, "yellows")


def test_refining_leaves_nothing_behind(index_path: Path, encoder: ColourEncoder) -> None:
    index = Index.open(index_path, encoder=encoder)
    before = sorted(path.name for path in index_path.rglob("*"))
    tile = index.search("yellow", k=1).hits[0].tile.tile
    index.refine(make_query(text="grey", k=5), [Mark(tile, True)])
    index.refine(make_query(text="grey", k=5), [Mark(tile, False)])
    assert sorted(path.name for path in index_path.rglob("*")) == before


def test_wrong_marks_alone_push_what_they_mark_down(index_path: Path, encoder: ColourEncoder) -> None:
    index = Index.open(index_path, encoder=encoder)
    query = make_query(text="yellow", k=13, where=TileFilter())
    wrong = index.answer(query).hits[0].tile.tile
    refined = index.refine(query, [Mark(wrong, True), Mark(wrong, False)])  # the last word counts
    assert wrong not in {hit.tile.tile for hit in refined}
    assert [hit.rank for hit in refined] == list(range(1, 13))
    first, *rest = [hit.tile.tile for hit in index.answer(query)]
    assert wrong == first
    assert [hit.tile.tile for hit in refined] != rest, "what is like the wrong one goes down, too"
    limited = index.refine(make_query(text="yellow", k=3, sensor="NAIP"), [Mark(wrong, False)])
    assert {hit.tile.sensor for hit in limited} == {"NAIP"}
    assert limited.n_tiles == 4


def test_nothing_to_refine_by(index_path: Path, encoder: ColourEncoder) -> None:
    index = Index.open(index_path, encoder=encoder)
    with pytest.raises(QueryError, match="nothing is marked"):
        index.refine(make_query(text="grey", k=5), [])
    with pytest.raises(MissingError, match="no tile 'nowhere'"):
        index.refine(make_query(text="grey", k=5), [Mark("nowhere", True)])


def test_a_query_moves_away_from_what_is_wrong_and_keeps_what_all_tiles_share() -> None:
    start, common = np.eye(4, dtype=np.float32)[0], np.eye(4, dtype=np.float32)[3]
    wrong = (common + np.eye(4, dtype=np.float32)[1])[None]
    moved = push_away(start, wrong=wrong, background=common[None])
    # t - 0.5 e1, of unit length: the shared direction e3 is untouched.
    np.testing.assert_allclose(moved, np.array([1.0, -0.5, 0.0, 0.0]) / np.sqrt(1.25), atol=1e-6)


def best(index: Index, colour: str) -> str:
    return index.search(colour, k=1).hits[0].tile.tile


def test_a_detector_learns_on_when_marked_tiles_have_left_the_index(
    index: Index, folder: Path, encoder: ColourEncoder
) -> None:
    query = make_query(text="red", k=5)
    red, yellow, green = best(index, "red"), best(index, "yellow"), best(index, "green")
    assert yellow.startswith("photo.png")
    first = index.learn("roofs", query=query, marks=[Mark(red, True), Mark(yellow, False)])
    assert first.gone == ()
    (folder.parent / "scenes" / "photo.png").unlink()
    report = ingest([folder.parent / "scenes"], into=folder, encoder=encoder, sync=True)
    assert report.removed == ("photo.png",)
    learned = index.learn("roofs", query=query, marks=[Mark(green, False)])
    assert (learned.right, learned.wrong, learned.gone) == ((red,), (green,), (yellow,))
    assert load_detector(folder, "roofs") == learned
    assert index.learn("roofs", query=query, marks=[Mark(green, False)]).gone == ()
    # A tile that the person names now is another matter.
    with pytest.raises(MissingError, match=r"no tile 'photo\.png"):
        index.learn("roofs", query=query, marks=[Mark(yellow, False)])


def test_a_detector_of_which_no_right_tile_is_left_says_so(index: Index, folder: Path, encoder: ColourEncoder) -> None:
    query = make_query(text="yellow", k=5)
    index.learn("yellows", query=query, marks=[Mark(best(index, "yellow"), True)])
    (folder.parent / "scenes" / "photo.png").unlink()
    ingest([folder.parent / "scenes"], into=folder, encoder=encoder, sync=True)
    with pytest.raises(QueryError, match=r"no hit is marked right \(of those marked earlier, 1 left the index\)"):
        index.learn("yellows", query=query, marks=[Mark(best(index, "green"), False)])


def test_marks_that_many_give_at_once_all_count(index: Index, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(*args: Any, **options: Any) -> Detector:
        learned = learn_detector(*args, **options)
        time.sleep(0.05)
        return learned

    query = make_query(text="red", k=13)
    tiles = [hit.tile.tile for hit in index.answer(query)][:6]
    monkeypatch.setattr("rsitr.search.learning.learn_detector", slowly)
    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(index.learn, "red", query=query, marks=[Mark(tile, True)]) for tile in tiles]
        for one in asked:
            one.result()
    assert set(load_detector(folder, "red").right) == set(tiles)


@pytest.mark.parametrize(
    "change",
    [
        lambda index: index.learn("red", query=make_query(text="red", k=5), marks=[Mark(best(index, "green"), False)]),
        lambda index: delete_detector(index.path, "red"),
    ],
)
def test_who_changes_detectors_waits_for_others_who_do(
    index: Index, folder: Path, change: Callable[[Index], Any]
) -> None:
    index.learn("red", query=make_query(text="red", k=5), marks=[Mark(best(index, "red"), True)])
    with ThreadPoolExecutor(1) as pool, (folder / "detectors" / ".lock").open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)  # as another process would
        waiting = pool.submit(change, index)
        time.sleep(0.3)
        assert not waiting.done()
        fcntl.flock(other, fcntl.LOCK_UN)
        waiting.result(timeout=60)


def test_a_detector_that_many_save_at_once_is_one_of_theirs(tmp_path: Path) -> None:
    some = [Detector(name="x", query=str(n), fingerprint="", weights=(1.0,) * 500, bias=0.0) for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(lambda n: save_detector(tmp_path, some[n % 8]), range(200)):
            pass
    assert load_detector(tmp_path, "x") in some
    assert [path.name for path in (tmp_path / "detectors").iterdir()] == ["x.json"]


def test_detectors_that_cannot_be_written(folder: Path, index: Index) -> None:
    shutil.rmtree(folder / "detectors", ignore_errors=True)
    (folder / "detectors").write_text("a file where a folder is wanted", encoding="utf-8")
    one = Detector(name="x", query="", fingerprint="", weights=(1.0,), bias=0.0)
    with pytest.raises(StoreError, match="cannot be written"):
        save_detector(folder, one)
    with pytest.raises(StoreError, match="cannot be written"):
        index.learn("x", query=make_query(text="red", k=5), marks=[Mark(best(index, "red"), True)])


def test_detectors_that_cannot_be_removed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    save_detector(folder, Detector(name="x", query="", fingerprint="", weights=(1.0,), bias=0.0))
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(StoreError, match="cannot be removed"):
        delete_detector(folder, "x")


def test_a_detector_tells_how_well_it_does_on_marks_it_has_not_learned_from(index: Index, folder: Path) -> None:
    query = make_query(text="red", k=5)
    right = [hit.tile.tile for hit in index.search("red", k=2)]
    wrong = [index.search(colour, k=1).hits[0].tile.tile for colour in ("green", "blue", "yellow")]
    few = index.learn("few", query=query, marks=[Mark(right[0], True)])
    assert few.precision is None, "of one mark nothing can be said"
    learned = index.learn("red", query=query, marks=[*(Mark(t, True) for t in right), *(Mark(t, False) for t in wrong)])
    assert learned.precision == 1.0
    assert load_detector(folder, "red").precision == 1.0


def test_precision_is_low_where_the_marks_say_nothing() -> None:
    chance = np.random.default_rng(0)
    tiles, background = unit(chance.normal(size=(40, DIM))), unit(chance.normal(size=(100, DIM)))
    start = unit(chance.normal(size=DIM))
    measured = measure_precision(start, tiles[:20], tiles[20:], background)
    assert measured is None or measured < 0.75
    clear = unit(np.eye(DIM)[0] + 0.1 * chance.normal(size=(20, DIM)))
    assert (measure_precision(start, clear, tiles[20:], background) or 0.0) >= 0.9


def test_a_detector_gets_another_name(index: Index, folder: Path) -> None:
    mark = [Mark(index.search("red", k=1).hits[0].tile.tile, True)]
    learned = index.learn("roofs", query=make_query(text="red", k=5), marks=mark)
    index.learn("other", query=make_query(text="red", k=5), marks=mark)
    assert rename_detector(folder, "roofs", "red roofs") == dataclasses.replace(learned, name="red roofs")
    assert list_detectors(folder) == ["other", "red roofs"]
    assert index.detect("red roofs", k=1).hits[0].tile.tile == mark[0].tile
    with pytest.raises(QueryError, match="there is a detector 'other' already"):
        rename_detector(folder, "red roofs", "other")
    with pytest.raises(QueryError, match="cannot name a detector"):
        rename_detector(folder, "red roofs", "../x")
    with pytest.raises(QueryError, match="there is no detector 'roofs'"):
        rename_detector(folder, "roofs", "new")
    assert list_detectors(folder) == ["other", "red roofs"]


def test_a_right_tile_far_down_comes_first(index: Index) -> None:
    last = index.search("red", k=100).hits[-1].tile.tile
    found = index.refine(make_query(text="red", k=3), [Mark(last, True)])
    assert (found.hits[0].tile.tile, found.hits[0].mark, found.hits[0].rank) == (last, True, 1)
