"""Saved searches, what detectors and saved searches find, and what of it is new since somebody last looked."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from affine import Affine

from fakes import ColourEncoder
from rasters import quadrants, write_utm
from rsitr.errors import MissingError, QueryError, StoreError
from rsitr.index import Settings, ingest
from rsitr.search import (
    Index,
    KeptSearch,
    Mark,
    Part,
    SavedSearch,
    delete_detector,
    delete_saved,
    find_new,
    list_saved,
    load_all_saved,
    load_saved,
    make_query,
    mark_seen,
    parse_day,
    rename_detector,
    rename_saved,
    save_search,
)
from rsitr.search.kept import KeptPart
from rsitr.search.saved import MOST_SAVED
from rsitr.types import TileFilter

SQUARE = (((0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0), (0.0, 0.0)),)
REDS = ("red",) * 4
ELSEWHERE = Affine(5.0, 0.0, 600_000.0, 0.0, -5.0, 5_300_000.0)


@pytest.fixture
def folder(index_path: Path, tmp_path: Path) -> Path:
    """An index of one's own beside its scenes, which a test may write to."""
    return Path(shutil.copytree(index_path.parent, tmp_path / "copy")) / index_path.name


@pytest.fixture
def index(folder: Path, encoder: ColourEncoder) -> Index:
    return Index.open(folder, encoder=encoder)


def saved(name: str = "reds", text: str = "red", **limits: object) -> SavedSearch:
    return SavedSearch(name, KeptSearch.of(make_query(text=text, k=5, **limits)))  # type: ignore[arg-type]


def add_scene(folder: Path, name: str, encoder: ColourEncoder, *, colours: tuple[str, ...] = REDS) -> None:
    write_utm(folder.parent / "scenes" / name, quadrants(64, 64, names=colours), transform=ELSEWHERE)
    ingest([folder.parent / "scenes"], into=folder, encoder=encoder, settings=Settings(tile_px=64))


def ids(hits: object) -> list[str]:
    return [hit.tile.tile for hit in hits]  # type: ignore[attr-defined]


def test_a_search_is_the_same_after_it_was_kept(folder: Path, index: Index) -> None:
    tile = index.search("blue", k=1).hits[0].tile.tile
    query = make_query(
        parts=[
            Part.parse("words", "2*red roofs"),
            Part.parse("words", "green"),
            Part.parse("tile", f"0.5*{tile}"),
            Part.unwanted("clouds"),
            Part.unwanted("1*snow"),
            Part("tile", tile, -0.25),
        ],
        k=7,
        bbox=(-10.0, -20.0, 30.0, 40.0),
        since=parse_day("2016", name="since", is_last=False),
        until=parse_day("2020-02", name="until", is_last=True),
        sensor="NAIP",
        gsd_m=(0.1, 5.0),
        every=True,
    )
    kept = KeptSearch.of(query, marks=[(tile, True), (tile, False)], threshold=0.25, places=False)
    save_search(folder, SavedSearch("all of it", kept))
    found = load_saved(folder, "all of it")
    assert found.search == kept
    assert found.search.to_query() == query
    assert found.search.wrong == (tile,), "the last mark of a tile counts"
    body = found.search.to_body()
    assert (body["text"], body["not"], body["like"]) == ("2*red roofs", ["clouds", "1*snow"], [f"0.5*{tile}"])
    assert [(part["kind"], part["weight"]) for part in body["parts"]] == [("words", 1.0), ("tile", -0.25)]
    assert (body["since"], body["until"]) == ("2016-01-01", "2020-02-29")


def test_areas_are_kept_whole(folder: Path) -> None:
    hole = tuple((x / 2 + 1, y / 2 + 1) for x, y in SQUARE[0])
    for area in ((SQUARE,), ((*SQUARE, hole), SQUARE)):
        query = make_query(text="red", k=5, where=TileFilter(area=area))
        save_search(folder, SavedSearch("area", KeptSearch.of(query)), may_replace=True)
        found = load_saved(folder, "area").search
        assert found.to_query().where.area == area
        assert found.to_body()["area"]["type"] == ("Polygon" if len(area) == 1 else "MultiPolygon")


def test_pictures_are_not_kept(index: Index) -> None:
    picture = index.picture(index.search("red", k=1).hits[0].tile)
    with pytest.raises(QueryError, match="a picture cannot be kept"):
        KeptSearch.of(make_query(text="red", image=picture, k=5))


@pytest.mark.parametrize("name", ["", ".", "../x", "a/b", "-x", "x" * 65, "a\nb", "é", "CON:"])
def test_names_that_are_none_are_refused(folder: Path, name: str) -> None:
    with pytest.raises(QueryError, match="cannot name a saved search"):
        saved(name)
    with pytest.raises(QueryError, match="there is no saved search"):
        load_saved(folder, name)
    assert not (folder / "saved").exists()


def test_saved_searches_are_replaced_renamed_and_deleted(folder: Path) -> None:
    save_search(folder, saved("reds"))
    save_search(folder, saved("blues", "blue"))
    with pytest.raises(QueryError, match="there is a saved search 'reds' already"):
        save_search(folder, saved("reds", "green"))
    save_search(folder, saved("reds", "green"), may_replace=True)
    assert load_saved(folder, "reds").describe() == "“green”"
    with pytest.raises(QueryError, match="there is a saved search 'blues' already"):
        rename_saved(folder, "reds", "blues")
    with pytest.raises(QueryError, match="cannot name a saved search"):
        rename_saved(folder, "reds", "../x")
    assert rename_saved(folder, "reds", "greens").name == "greens"
    assert list_saved(folder) == ["blues", "greens"]
    delete_saved(folder, "greens")
    with pytest.raises(QueryError, match="there are: blues"):
        delete_saved(folder, "greens")


DAMAGED = {
    "no JSON": '{"format": 1, ',
    "another format": '{"format": 2, "name": "x"}',
    "a list": "[]",
    "asks for nothing": '{"format": 1, "search": {"parts": []}}',
    "no number": '{"format": 1, "search": {"parts": [{"kind": "words", "value": "red", "weight": NaN}]}}',
    "a picture": '{"format": 1, "search": {"parts": [{"kind": "picture", "value": "/etc/passwd"}]}}',
    "no day": '{"format": 1, "search": {"parts": [{"kind": "words", "value": "red"}], "since": "soon"}}',
    "no box": '{"format": 1, "search": {"parts": [{"kind": "words", "value": "red"}], "bbox": [0, 91, 1, 92]}}',
    "no ring": '{"format": 1, "search": {"parts": [{"kind": "words", "value": "red"}], "area": [[[[0, 0]]]]}}',
    "very deep": '{"format": 1, "search": ' + "[" * 100_000,
    "too long": '{"format": 1, "more": "' + "x" * 2**20 + '"}',
    "bytes": "\x00\x01",
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_damaged_files_are_named_and_harm_nothing(folder: Path, content: str) -> None:
    save_search(folder, saved("good"))
    (folder / "saved" / "bad.json").write_text(content, encoding="utf-8")
    with pytest.raises(StoreError, match=r"bad\.json: cannot be read as a saved search .*saved .* --delete 'bad'"):
        load_saved(folder, "bad")
    told: list[str] = []
    assert [one.name for one in load_all_saved(folder, damaged=told.append)] == ["good"]
    assert len(told) == 1
    delete_saved(folder, "bad")
    assert list_saved(folder) == ["good"]


def test_there_are_not_too_many_and_none_is_too_long(folder: Path) -> None:
    save_search(folder, saved("first"))
    content = (folder / "saved" / "first.json").read_text(encoding="utf-8")
    for number in range(MOST_SAVED - 1):
        (folder / "saved" / f"n{number}.json").write_text(content, encoding="utf-8")
    with pytest.raises(QueryError, match="1,000 saved searches already"):
        save_search(folder, saved("one more"))
    save_search(folder, saved("first", "blue"), may_replace=True)
    ring = tuple((n / 1000, 10.0 + (n % 2)) for n in range(12_000))
    fine = make_query(text="red", k=5, where=TileFilter(area=(((*ring, ring[0]),),)))
    with pytest.raises(QueryError, match="more than 10,485 positions"):
        save_search(folder, SavedSearch("first", KeptSearch.of(fine)), may_replace=True)


def test_of_two_writers_of_one_name_one_is_refused(folder: Path) -> None:
    def write(number: int) -> bool:
        try:
            save_search(folder, saved("same", f"red {number}"))
        except QueryError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        written = list(pool.map(write, range(16)))
    assert sum(written) == 1
    assert load_saved(folder, "same").describe() == f"“red {written.index(True)}”"


def test_new_finds_are_those_since_it_was_last_looked_at(folder: Path, index: Index, encoder: ColourEncoder) -> None:
    one = saved()
    save_search(folder, one)
    first = find_new(index, one)
    assert first.seen is None
    assert ids(first.new) == ids(first.hits)
    assert first.hits
    assert all((hit.relevance or 0) >= 0.5 for hit in first.hits)
    assert mark_seen(index, one).tiles == tuple(ids(first.hits))
    after = find_new(Index.open(folder, encoder=encoder), one)  # as after a restart
    assert (ids(after.hits), after.new, after.note) == (ids(first.hits), (), "")
    assert (after.seen or "").endswith("Z")

    add_scene(folder, "new.tif", encoder)
    assert ids(find_new(index, one).new) == ["new.tif:0,0,64,64"]
    assert find_new(index, one).version != after.version
    mark_seen(index, one)
    assert find_new(index, one).new == ()

    (folder.parent / "scenes" / "new.tif").unlink()
    ingest([folder.parent / "scenes"], into=folder, encoder=encoder, settings=Settings(tile_px=64), sync=True)
    assert ids(find_new(index, one).hits) == ids(first.hits)
    mark_seen(index, one)  # which forgets what has left
    add_scene(folder, "new.tif", encoder)
    assert ids(find_new(index, one).new) == ["new.tif:0,0,64,64"]


def test_a_search_by_a_detector_that_is_not_there_is_not_kept(folder: Path) -> None:
    lost = KeptSearch(parts=(KeptPart("detector", "nobody"),))
    with pytest.raises(QueryError, match="nobody"):
        save_search(folder, SavedSearch("later", lost))
    assert list_saved(folder) == []


def test_a_detector_has_new_finds_too_and_what_was_marked_is_none(
    folder: Path, index: Index, encoder: ColourEncoder
) -> None:
    right = ids(index.search("red", k=2).hits)
    wrong = ids(index.search("blue", k=1).hits)
    query = make_query(text="red", k=5)
    marks = [*(Mark(tile, True) for tile in right[:1]), Mark(wrong[0], False)]
    detector = index.learn("reds", query=query, marks=marks)
    assert detector.search == KeptSearch.of(query)
    found = find_new(index, detector)
    assert right[0] in ids(found.hits)
    assert right[0] not in ids(found.new)
    assert wrong[0] not in ids(found.hits)
    mark_seen(index, detector)
    add_scene(folder, "new.tif", encoder)
    assert ids(find_new(index, detector).new) == ["new.tif:0,0,64,64"]
    renamed = rename_detector(folder, "reds", "red ones")
    assert ids(find_new(index, renamed).new) == ["new.tif:0,0,64,64"], "what was seen follows the name"
    delete_detector(folder, "red ones")
    again = index.learn("red ones", query=query, marks=marks)
    assert find_new(index, again).seen is None, "another of the same name has not been looked at"
    with pytest.raises(QueryError, match="there is no detector 'reds'"):
        mark_seen(index, detector)
    assert not (folder / "seen" / "detector-reds.json").exists()


def test_marks_can_take_the_place_of_earlier_ones(index: Index) -> None:
    right, other = ids(index.search("red", k=2).hits)
    query = make_query(text="red", k=5)
    index.learn("reds", query=query, marks=[Mark(right, True), Mark(other, True)])
    assert set(index.learn("reds", query=query, marks=[Mark(right, True)]).right) == {right, other}
    assert index.learn("reds", query=query, marks=[Mark(right, True)], afresh=True).right == (right,)


def test_an_index_that_was_made_anew_says_so(folder: Path, index: Index, encoder: ColourEncoder) -> None:
    one = saved()
    save_search(folder, one)
    mark_seen(index, one)
    shutil.copytree(folder / "saved", folder.parent / "saved")
    shutil.copytree(folder / "seen", folder.parent / "seen")
    shutil.rmtree(folder)
    ingest([folder.parent / "scenes"], into=folder, encoder=encoder, settings=Settings(tile_px=32))
    for name in ("saved", "seen"):
        shutil.copytree(folder.parent / name, folder / name)
    found = find_new(Index.open(folder, encoder=encoder), load_saved(folder, "reds"))
    assert "made anew since this was last looked at" in found.note
    assert ids(found.new) == ids(found.hits)


def test_a_damaged_record_of_what_was_seen_is_told_of(folder: Path, index: Index) -> None:
    one = saved()
    save_search(folder, one)
    mark_seen(index, one)
    for content in ('{"format": 1', '{"format": 9}', '{"format": 1, "when": 3, "made_by": "", "tiles": [1]}'):
        (folder / "seen" / "search-reds.json").write_text(content, encoding="utf-8")
        found = find_new(index, one)
        assert "what was looked at cannot be read" in found.note
        assert found.seen is None
        assert found.new
    mark_seen(index, one)
    assert find_new(index, one).note == ""


def test_marks_and_examples_that_left_the_index_are_told_of(folder: Path, index: Index) -> None:
    tile = ids(index.search("red", k=1).hits)[0]
    kept = KeptSearch.of(make_query(text="red", k=5), marks=[("gone.tif:0,0,1,1", True), (tile, True)])
    save_search(folder, SavedSearch("marked", kept))
    found = find_new(index, load_saved(folder, "marked"))
    assert found.note == "1 of its 2 marked tiles have left the index"
    assert tile in ids(found.hits)
    save_search(folder, SavedSearch("like", KeptSearch.of(make_query(like="gone.tif:0,0,1,1", k=5))))
    with pytest.raises(MissingError, match="there is no tile"):
        find_new(index, load_saved(folder, "like"))


def test_where_nothing_can_be_told_nothing_is_found(index: Index, encoder: ColourEncoder) -> None:
    uncalibrated = ColourEncoder(image_size_px=64)
    uncalibrated.calibration = None  # type: ignore[assignment]
    found = find_new(index.with_encoder(uncalibrated), saved())
    assert found.hits == ()
    assert "is not calibrated" in found.note


def test_what_was_seen_of_many_that_look_at_once_is_whole(folder: Path, index: Index) -> None:
    one = saved()
    save_search(folder, one)
    with ThreadPoolExecutor(4) as pool:
        looked = list(pool.map(lambda _: mark_seen(index, one), range(12)))
    content = json.loads((folder / "seen" / "search-reds.json").read_text(encoding="utf-8"))
    assert tuple(content["tiles"]) == looked[0].tiles
    assert sorted(path.name for path in (folder / "seen").iterdir()) == ["search-reds.json"]
