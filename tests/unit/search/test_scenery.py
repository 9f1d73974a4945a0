"""Whole scenes and surroundings as pictures, corners for maps, and an index that many threads ask at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fakes import COLOURS, ColourEncoder
from rasters import quadrants, write_polar, write_utm
from rsitr.errors import MissingError, SceneError, StoreError
from rsitr.index import Settings, ingest
from rsitr.search import Index
from rsitr.search.scenery import Scenery, widen
from rsitr.types import SceneEntry


@pytest.fixture
def index(index_path: Path, encoder: ColourEncoder) -> Index:
    return Index.open(index_path, encoder=encoder)


def test_a_scene_is_shown_whole(index: Index) -> None:
    pixels = index.overview("north_20160816.tif", max_px=64)
    assert pixels.image.shape == (64, 64, 3)
    assert [pixels.image[16, 16].tolist(), pixels.image[48, 48].tolist()] == [
        list(COLOURS["red"]),
        list(COLOURS["dark"]),
    ]
    assert pixels.valid.all()
    with pytest.raises(MissingError, match="no scene 'none'"):
        index.overview("none")


def test_where_a_scene_has_no_data_is_known(tmp_path: Path, encoder: ColourEncoder) -> None:
    bands = np.full((3, 128, 128), 9, dtype=np.uint8)
    bands[:, :, :32] = 0
    write_utm(tmp_path / "scenes" / "part.tif", bands, nodata=0)
    ingest([tmp_path / "scenes"], into=tmp_path / "index", encoder=encoder, settings=Settings(tile_px=64))
    pixels = Index.open(tmp_path / "index", encoder=encoder).overview("part.tif", max_px=128)
    assert not pixels.valid[:, :32].any()
    assert pixels.valid[:, 32:].all()
    assert pixels.valid_share == 0.75


def test_a_scene_that_is_another_file_now_is_not_shown_as_the_old_one(tmp_path: Path, encoder: ColourEncoder) -> None:
    file = tmp_path / "scenes" / "a.tif"
    write_utm(file)
    ingest([tmp_path / "scenes"], into=tmp_path / "index", encoder=encoder, settings=Settings(tile_px=64))
    index = Index.open(tmp_path / "index", encoder=encoder)
    (hit,) = index.search("red", k=1)
    with file.open("ab") as grown:
        grown.write(b"more")
    for look in (lambda: index.picture(hit.tile), lambda: index.overview("a.tif")):
        with pytest.raises(SceneError, match=r"a\.tif: has changed since it was indexed; run `rsitr index` again"):
            look()
    ingest([tmp_path / "scenes"], into=tmp_path / "index", encoder=encoder)
    assert Index.open(tmp_path / "index", encoder=encoder).picture(hit.tile).shape == (64, 64, 3)


def test_a_scene_that_was_added_since_is_found(tmp_path: Path, encoder: ColourEncoder) -> None:
    write_utm(tmp_path / "scenes" / "a.tif")
    ingest([tmp_path / "scenes"], into=tmp_path / "index", encoder=encoder, settings=Settings(tile_px=64))
    index = Index.open(tmp_path / "index", encoder=encoder)
    index.overview("a.tif")
    write_utm(tmp_path / "scenes" / "b.tif")
    ingest([tmp_path / "scenes"], into=tmp_path / "index", encoder=encoder)
    assert index.overview("b.tif", max_px=8).image.shape == (8, 8, 3)
    assert len(index.search("red", k=100, every=True)) == 8
    assert (len(found := index.search("red", k=100)), found.n_copies) == (4, 4), "the other file is a copy"


def test_corners_go_clockwise_from_the_first_pixel(index: Index) -> None:
    corners = index.corners("north_20160816.tif")
    assert corners is not None
    (left, upper), (right, _), (_, lower), (last, _) = corners
    assert left < right
    assert lower < upper
    assert last == pytest.approx(left, abs=1e-4)
    across = index.corners("<b>dateline.tif")
    assert across is not None
    assert [lon > 179 for lon, _ in across] == [True] * 4
    assert index.corners("photo.png") is None


def test_corners_around_a_pole_are_on_earth(tmp_path: Path, encoder: ColourEncoder) -> None:
    write_polar(tmp_path / "scenes" / "pole.tif")
    ingest([tmp_path / "scenes"], into=tmp_path / "index", encoder=encoder, settings=Settings(tile_px=64))
    corners = Index.open(tmp_path / "index", encoder=encoder).corners("pole.tif")
    assert corners is not None
    assert all(89 < lat <= 90 for _, lat in corners)


def test_corners_of_a_scene_that_is_gone_are_unknown(tmp_path: Path, encoder: ColourEncoder) -> None:
    write_utm(tmp_path / "scenes" / "a.tif")
    ingest([tmp_path / "scenes"], into=tmp_path / "index", encoder=encoder, settings=Settings(tile_px=64))
    (tmp_path / "scenes" / "a.tif").unlink()
    assert Index.open(tmp_path / "index", encoder=encoder).corners("a.tif") is None


def test_a_tile_is_known_by_its_id(index: Index) -> None:
    hit = index.search("red", k=1).hits[0]
    assert index.tile(hit.tile.tile) == hit.tile
    with pytest.raises(MissingError, match="no tile 'none'"):
        index.tile("none")


def test_surroundings_end_where_the_scene_does(index: Index) -> None:
    hit = next(hit for hit in index.search("red", k=13) if hit.tile.scene.startswith("north"))
    assert index.picture(hit.tile, max_px=128, context=2.0).shape == (128, 128, 3)
    assert widen((10, 10, 4, 4), by=2.0, size_px=(100, 100)) == (8, 8, 8, 8)
    assert widen((96, 0, 4, 4), by=2.0, size_px=(100, 100)) == (92, 0, 8, 8)
    assert widen((0, 0, 10, 4), by=3.0, size_px=(12, 5)) == (0, 0, 12, 5)


def test_many_threads_get_what_one_gets(index_path: Path, encoder: ColourEncoder) -> None:
    words = ["red", "green", "blue", "yellow", "dark", "grey"] * 8
    alone = Index.open(index_path, encoder=encoder)
    expected = [alone.search(word, k=5, minus="white" if i % 2 else None).hits for i, word in enumerate(words)]
    index = Index.open(index_path, encoder=encoder)
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(index.search, word, k=5, minus="white" if i % 2 else None) for i, word in enumerate(words)]
        assert [one.result().hits for one in asked] == expected


def values(highest: int, *, px: int = 128) -> Any:
    return np.tile(np.linspace(0, highest, px).astype(np.uint16), (1, px, 1))


def test_a_scene_that_was_indexed_again_is_shown_as_it_is_now(tmp_path: Path, encoder: ColourEncoder) -> None:
    scene, into = tmp_path / "scenes" / "a.tif", tmp_path / "index"
    write_utm(scene, values(3_000))
    ingest([scene], into=into, encoder=encoder, settings=Settings(tile_px=64))
    index = Index.open(into, encoder=encoder)
    tile = index.search("grey", k=1).hits[0].tile
    index.picture(tile)
    corners = index.corners("a.tif")
    write_utm(scene, values(30_000, px=192))
    ingest([scene], into=into, encoder=encoder)
    fresh = Index.open(into, encoder=encoder)
    assert np.array_equal(index.overview("a.tif").image, fresh.overview("a.tif").image)
    assert np.array_equal(index.picture(tile), fresh.picture(tile))
    assert index.corners("a.tif") == fresh.corners("a.tif") != corners


def test_a_tile_is_judged_as_before_where_other_scenes_were_replaced(tmp_path: Path, encoder: ColourEncoder) -> None:
    scenes, into = tmp_path / "scenes", tmp_path / "index"
    for name in ("a", "b"):
        write_utm(scenes / f"{name}.tif")
    ingest([scenes], into=into, encoder=encoder, settings=Settings(tile_px=64))
    index = Index.open(into, encoder=encoder)

    def of_a() -> list[float | None]:
        return [hit.relevance for hit in index.search("red", k=8, minus="green") if hit.tile.scene == "a.tif"]

    before = of_a()
    write_utm(scenes / "b.tif", quadrants(names=("yellow", "white", "grey", "yellow")))
    ingest([scenes], into=into, encoder=encoder)
    assert of_a() == before


def test_a_record_that_follows_its_tiles_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = SceneEntry("a.tif", size_bytes=1, mtime_ns=1, size_px=(10, 10), n_tiles=1, n_left_out=0)
    held, n_read = [entry], 0

    def scenes() -> list[SceneEntry]:
        nonlocal n_read
        n_read += 1
        return list(held)

    now = [100.0]
    monkeypatch.setattr("rsitr.search.scenery.time.monotonic", lambda: now[0])
    store = SimpleNamespace(version=1, scenes=scenes)
    scenery = Scenery(SimpleNamespace(store=store, path=tmp_path))  # type: ignore[arg-type]
    assert scenery.entry("a.tif").size_px == (10, 10)
    now[0] += 60.0
    assert scenery.entry("a.tif").size_px == (10, 10)
    store.version = 2  # the tiles are written ...
    assert scenery.entry("a.tif").size_px == (10, 10)
    held[0] = replace(entry, size_px=(20, 20))  # ... and then the record
    now[0] += 5.0
    assert [scenery.entry("a.tif").size_px for _ in range(3)] == [(20, 20)] * 3
    assert n_read == 4, "twice for each version, and no more"


def test_a_scene_with_a_sidecar_shows_its_pictures(tmp_path: Path, encoder: ColourEncoder) -> None:
    scene = write_utm(tmp_path / "scenes" / "a.tif")
    sidecar = scene.with_name("a.tif.aux.xml")
    sidecar.write_text('<PAMDataset><Metadata><MDI key="note">1</MDI></Metadata></PAMDataset>')
    ingest([tmp_path / "scenes"], into=tmp_path / "index", encoder=encoder, settings=Settings(tile_px=64))
    index = Index.open(tmp_path / "index", encoder=encoder)
    (hit,) = index.search("red", k=1).hits
    assert index.picture(hit.tile, max_px=32).shape == (32, 32, 3)
    sidecar.write_text('<PAMDataset><Metadata><MDI key="note">another</MDI></Metadata></PAMDataset>')
    with pytest.raises(SceneError, match=r"a\.tif: has changed since it was indexed"):
        index.picture(hit.tile, max_px=32)


def test_another_page_makes_another_index(tmp_path: Path) -> None:
    names = ("red", "green", "blue")
    pages = [Image.fromarray(np.moveaxis(quadrants(names=(name,) * 4), 0, -1)) for name in names]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    for page, name in enumerate(names, start=1):
        into = tmp_path / name
        report = ingest([tmp_path / "pages.tif"], into=into, encoder=ColourEncoder(), settings=Settings(page=page))
        assert report.notes == ()
        index = Index.open(into, encoder=ColourEncoder())
        hit = index.search(name, k=1).hits[0]
        assert hit.score > 0.95
        picture = index.picture(hit.tile, max_px=32)
        assert picture[..., page - 1].min() > 150
    with pytest.raises(StoreError, match="made with page=3, not 1"):
        ingest([tmp_path / "pages.tif"], into=into, encoder=ColourEncoder(), settings=Settings(page=1))
    report = ingest(
        [tmp_path / "pages.tif"], into=tmp_path / "none", encoder=ColourEncoder(), settings=Settings(page=4)
    )
    assert report.failures[0].reason == "it has 3 pages, and so no page 4"
