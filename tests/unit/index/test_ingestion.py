"""Scenes into an index: what gets in, what does not, what is done again, and what an interruption leaves."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import ExifTags, Image
from rasterio.shutil import copy as copy_raster
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT

from fakes import ColourEncoder
from rasters import (
    UTM_14N,
    quadrants,
    write_all_nodata,
    write_bgra16,
    write_corrupt,
    write_dateline,
    write_float_nan,
    write_gcps,
    write_geographic,
    write_palette,
    write_raster,
    write_rotated,
    write_utm,
)
from rsitr.errors import ConfigError, SceneError, StoreError
from rsitr.geo import stat_source
from rsitr.index import (
    CODE_FILE,
    IngestProgress,
    LanceStore,
    Settings,
    ingest,
    notes,
    open_index,
    relink_index,
    summarise,
)
from rsitr.index.folder import writing
from rsitr.index.manifest import make_settings
from rsitr.index.notes import digest_of
from rsitr.types import EncodedImages, ImageArray, Store, TileFilter

WRITERS: dict[str, Callable[[Path], Path]] = {
    "bgra16.tif": write_bgra16,
    "dateline.tif": write_dateline,
    "gcps.tif": write_gcps,
    "geographic.tif": write_geographic,
    "nan.tif": write_float_nan,
    "palette.tif": write_palette,
    "rotated.tif": write_rotated,
    "utm_20160816.tif": write_utm,
}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One scene of every kind, two that cannot be used, and a picture in a folder of its own."""
    folder = tmp_path_factory.mktemp("archive")
    for name, write in WRITERS.items():
        write(folder / name)
    write_all_nodata(folder / "nodata.tif")
    write_corrupt(folder / "corrupt.tif")
    (folder / "photos").mkdir()
    Image.fromarray(np.moveaxis(quadrants(64, 64), 0, -1)).save(folder / "photos" / "photo.png")
    return folder


@pytest.fixture(scope="module")
def indexed(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of all of it. Tests that use it leave it as it is."""
    into = tmp_path_factory.mktemp("indexes") / "index"
    report = ingest([archive], into=into, encoder=ColourEncoder(image_size_px=64))
    assert len(report.indexed) == 9
    return into


def rows(index: Path) -> dict[str, tuple[object, ...]]:
    """Everything in the table of tiles, by tile id, vectors included."""
    matrix = LanceStore(index, dim=ColourEncoder().dim).load()
    plain = matrix.rows.to_pylist()
    assert len({row["tile"] for row in plain}) == len(plain)
    return {row["tile"]: (row, vector.tolist()) for row, vector in zip(plain, matrix.vectors, strict=True)}


def test_what_can_be_read_is_indexed_and_the_rest_is_named(archive: Path, indexed: Path, tmp_path: Path) -> None:
    report = ingest([archive], into=indexed, encoder=ColourEncoder(image_size_px=64))
    assert {failure.scene: failure.reason.split(":")[0] for failure in report.failures} == {
        "corrupt.tif": "its pixels cannot be decoded",
        "nodata.tif": "every pixel is nodata (the value 0)",
    }
    entries = {entry.scene: entry for entry in open_index(indexed).store.scenes()}
    assert set(entries) == {*WRITERS, "photos/photo.png"}
    # 128 px cut into tiles of 64; the photo is one tile; the transparent half of bgra16 and the NaN are left out.
    assert {name: (entry.n_tiles, entry.n_left_out) for name, entry in entries.items() if entry.n_tiles != 4} == {
        "bgra16.tif": (2, 2),
        "photos/photo.png": (1, 0),
    }
    assert {name for name, entry in entries.items() if entry.footprint is None} == {"photos/photo.png"}
    assert {name for name, entry in entries.items() if entry.date} == {"utm_20160816.tif"}
    assert {name for name, entry in entries.items() if entry.stretch} == {"bgra16.tif", "nan.tif"}
    assert not any(path.name.startswith(".rsitr") for path in indexed.iterdir())


def test_tiles_hold_what_their_windows_show(indexed: Path) -> None:
    encoder = ColourEncoder(image_size_px=64)
    store = open_index(indexed).store
    for number, colour in enumerate(("red", "green", "blue", "dark")):
        query = encoder.encode_texts([colour]).global_emb[0]
        hits = [hit for hit in store.search(query, k=100) if hit.tile.scene == "utm_20160816.tif"]
        col, row, width, height = hits[0].tile.window_px
        assert (col, row, width, height) == (64 * (number % 2), 64 * (number // 2), 64, 64)
        assert hits[0].score == pytest.approx(1.0)
        assert hits[0].tile.tile == f"utm_20160816.tif:{col},{row},64,64"


def test_unchanged_scenes_are_not_read_again(archive: Path, indexed: Path) -> None:
    encoder = ColourEncoder(image_size_px=64)
    before = rows(indexed)
    report = ingest([archive], into=indexed, encoder=encoder)
    assert (report.indexed, len(report.unchanged)) == ((), 9)
    # corrupt.tif is tried again: some of its tiles may have been encoded, none of them stays.
    assert rows(indexed) == before


def test_new_scenes_are_added_and_changed_ones_replaced(tmp_path: Path) -> None:
    folder, into = tmp_path / "scenes", tmp_path / "index"
    write_utm(folder / "a.tif")
    write_utm(folder / "b.tif")
    encoder = ColourEncoder(image_size_px=64)
    ingest([folder], into=into, encoder=encoder)
    old = rows(into)

    write_utm(folder / "b.tif", quadrants(names=("white",) * 4)[:, :100, :64])
    write_utm(folder / "sub" / "c.tif")
    report = ingest([folder], into=into, encoder=encoder)

    assert ([entry.scene for entry in report.indexed], report.unchanged) == (["b.tif", "sub/c.tif"], ("a.tif",))
    new = rows(into)
    assert {name: row for name, row in new.items() if name.startswith("a.tif")} == {
        name: row for name, row in old.items() if name.startswith("a.tif")
    }
    assert {name for name in new if name.startswith("b.tif")} == {"b.tif:0,0,64,64", "b.tif:0,36,64,64"}
    white = encoder.encode_texts(["white"]).global_emb[0]
    assert {hit.tile.scene for hit in open_index(into).store.search(white, k=2)} == {"b.tif"}


def west_of(into: Path, scene: str) -> float:
    """The western edge of an indexed scene in degrees."""
    white = ColourEncoder(image_size_px=64).encode_texts(["white"]).global_emb[0]
    tiles = [hit.tile for hit in open_index(into).store.search(white, k=50) if hit.tile.scene == scene]
    return min(longitude for tile in tiles for longitude, _ in tile.footprint or ())


def test_a_scene_has_changed_when_a_file_read_with_it_has(tmp_path: Path) -> None:
    folder, into = tmp_path / "scenes", tmp_path / "index"
    write_utm(folder / "a.tif")
    Image.new("RGB", (96, 96), "white").save(folder / "photo.png")
    sidecar = "<PAMDataset><SRS>EPSG:32632</SRS><GeoTransform>{},5,0,5300000,0,-5</GeoTransform></PAMDataset>"
    place = folder / "photo.png.aux.xml"
    place.write_text(sidecar.format(500_000))
    before = place.stat()
    encoder = ColourEncoder(image_size_px=64)
    assert len(ingest([folder], into=into, encoder=encoder).indexed) == 2
    assert ingest([folder], into=into, encoder=encoder).unchanged == ("a.tif", "photo.png")

    place.write_text(sidecar.format(700_000))  # as long as before, and dated before it
    os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns - 10**9))
    before_edit = west_of(into, "photo.png")
    report = ingest([folder], into=into, encoder=encoder)
    assert ([entry.scene for entry in report.indexed], report.unchanged) == (["photo.png"], ("a.tif",))
    assert west_of(into, "photo.png") - before_edit > 1  # degrees: 200 km to the east
    assert len(ingest([folder], into=into, encoder=encoder).unchanged) == 2

    place.unlink()
    assert [entry.scene for entry in ingest([folder], into=into, encoder=encoder).indexed] == ["photo.png"]


def test_large_sources_of_a_mosaic_are_not_read_to_know_a_copy_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "photo.png"
    Image.new("RGB", (96, 96), "white").save(path)
    (tmp_path / "photo.png.aux.xml").write_text("<PAMDataset/>" + " " * 10_000)
    state = stat_source(path)
    assert digest_of(path, state) is not None
    monkeypatch.setattr(notes, "LARGE_BYTES", 1_000)
    assert digest_of(path, state) is None


def test_the_index_grows_by_scenes_from_elsewhere(tmp_path: Path) -> None:
    write_utm(tmp_path / "one" / "a.tif")
    write_utm(tmp_path / "two" / "b.tif")
    into = tmp_path / "index"
    ingest([tmp_path / "one"], into=into, encoder=ColourEncoder())
    ingest([tmp_path / "two"], into=into, encoder=ColourEncoder())
    index = open_index(into)
    assert [entry.scene for entry in index.store.scenes()] == ["../two/b.tif", "a.tif"]
    assert all(index.scene_path(entry.scene).resolve().is_file() for entry in index.store.scenes())


def test_root_names_what_paths_are_relative_to(tmp_path: Path) -> None:
    write_utm(tmp_path / "archive" / "2016" / "a.tif")
    into = tmp_path / "index"
    ingest([tmp_path / "archive" / "2016"], into=into, encoder=ColourEncoder(), root=tmp_path / "archive")
    assert [entry.scene for entry in open_index(into).store.scenes()] == ["2016/a.tif"]
    # The archive moves; with its new root the same scene is known again, and the index remembers.
    (tmp_path / "archive").rename(tmp_path / "moved")
    report = ingest([tmp_path / "moved"], into=into, encoder=ColourEncoder(), root=tmp_path / "moved")
    assert report.unchanged == ("2016/a.tif",)
    assert open_index(into).root == tmp_path / "moved"
    with pytest.raises(StoreError, match=r"nowhere: no such folder \(--root"):
        ingest([tmp_path / "moved"], into=into, encoder=ColourEncoder(), root=tmp_path / "nowhere")


def test_nothing_usable_leaves_nothing_behind(tmp_path: Path) -> None:
    write_all_nodata(tmp_path / "nodata.tif")
    into = tmp_path / "deep" / "index"
    report = ingest([tmp_path / "nodata.tif"], into=into, encoder=ColourEncoder())
    assert ([failure.scene for failure in report.failures], report.indexed) == (["nodata.tif"], ())
    with pytest.raises(SceneError, match="no such file"):
        ingest([tmp_path / "missing.tif"], into=into, encoder=ColourEncoder())
    assert not into.parent.exists()


def test_names_that_cannot_be_looked_at_are_named(tmp_path: Path) -> None:
    write_utm(tmp_path / "scenes" / "a.tif")
    (tmp_path / "scenes" / "dangling.tif").symlink_to(tmp_path / "gone.tif")
    odd = os.fsencode(tmp_path / "scenes") + b"/odd-\xff.tif"
    Path(os.fsdecode(odd)).touch()
    report = ingest([tmp_path / "scenes"], into=tmp_path / "index", encoder=ColourEncoder())
    assert [(failure.scene, failure.reason) for failure in report.failures] == [
        ("dangling.tif", "no such file or directory"),
        ("'odd-\\udcff.tif'", "its name is not valid UTF-8: rename it"),
    ]
    assert len(report.indexed) == 1


def test_a_scene_with_little_data_keeps_its_fullest_tile(tmp_path: Path) -> None:
    bands = np.zeros((3, 128, 128), dtype=np.uint8)
    bands[:, 100:, 90:] = 200
    report = ingest(
        [write_utm(tmp_path / "a.tif", bands, nodata=0)],
        into=tmp_path / "i",
        encoder=ColourEncoder(),
        settings=Settings(tile_px=64),
    )
    assert [(entry.n_tiles, entry.n_left_out) for entry in report.indexed] == [(1, 3)]
    assert list(rows(tmp_path / "i")) == ["a.tif:64,64,64,64"]


def test_batches_go_across_scenes_and_progress_is_told(tmp_path: Path) -> None:
    for number in range(5):
        write_utm(tmp_path / "scenes" / f"{number}.tif")
    encoder = ColourEncoder(image_size_px=64)
    told: list[IngestProgress] = []
    ingest([tmp_path / "scenes"], into=tmp_path / "index", encoder=encoder, batch_size=6, progress=told.append)
    assert encoder.batches == [6, 6, 6, 2]
    done = [now.scenes_done for now in told]
    assert done == sorted(done)
    assert (told[-1].scenes_done, told[-1].n_scenes) == (5, 5)
    assert [now.share_done for now in told] == sorted(now.share_done for now in told)
    assert (told[-1].share_done, told[-1].left_s) == (1.0, 0.0)
    middle = told[len(told) // 2]
    assert middle.left_s == pytest.approx(middle.time_s * (1 / middle.share_done - 1))
    assert middle.tiles_per_s == pytest.approx(middle.n_tiles / middle.time_s)
    assert {now.n_tiles for now in told} >= {6, 12, 18}


@pytest.fixture
def small_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rsitr.index.writing.COMMIT_TILES", 4)


class Stopping(ColourEncoder):
    """Fails in its n-th batch, as a full GPU or Ctrl-C would make it."""

    def __init__(self, *, after: int, error: type[BaseException]) -> None:
        super().__init__(image_size_px=64)
        self.after = after
        self.error = error

    def encode_images(self, images: Sequence[ImageArray], *, batch_size: int = 64) -> EncodedImages:
        if len(self.batches) == self.after:
            raise self.error("stopped")
        return super().encode_images(images, batch_size=batch_size)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("after", [0, 4, 8, 11])  # batches; the tiles of corrupt.tif fill the third to the fifth
@pytest.mark.usefixtures("small_commits")
def test_an_interrupted_run_continues(
    archive: Path, indexed: Path, tmp_path: Path, after: int, error: type[BaseException]
) -> None:
    into = tmp_path / "index"
    with pytest.raises(error, match="stopped"):
        ingest([archive], into=into, encoder=Stopping(after=after, error=error), batch_size=3)
    assert not [thread for thread in threading.enumerate() if thread.name == "rsitr-reader"]
    finished = 0
    if into.exists():
        by_scene = {entry.scene: entry.n_tiles for entry in open_index(into).store.scenes()}
        assert sum(by_scene.values()) == len(rows(into))  # whole scenes only
        finished = len(by_scene)
    assert (finished > 0) == (after >= 8)

    report = ingest([archive], into=into, encoder=ColourEncoder(image_size_px=64), batch_size=5)
    assert len(report.unchanged) == finished
    assert len(report.indexed) == 9 - finished
    assert rows(into) == rows(indexed)


def test_what_was_encoded_before_a_stop_is_not_encoded_again(tmp_path: Path) -> None:
    """One large scene, stopped in its fifth batch; a third of it is nodata."""
    bands = np.random.default_rng(1).integers(1, 255, (3, 512, 512), dtype=np.uint8)
    bands[:, 128:300] = 0
    scene = write_utm(tmp_path / "a.tif", bands, nodata=0)
    whole, into = tmp_path / "whole", tmp_path / "index"
    ingest([scene], into=whole, encoder=ColourEncoder(image_size_px=64))
    with pytest.raises(RuntimeError, match="stopped"):
        ingest([scene], into=into, encoder=Stopping(after=4, error=RuntimeError), batch_size=3)
    assert len(rows(into)) == 0  # a scene appears whole or not at all
    encoder = ColourEncoder(image_size_px=64)
    told: list[IngestProgress] = []
    report = ingest([scene], into=into, encoder=encoder, batch_size=3, progress=told.append)
    assert report.n_resumed == 12
    assert sum(encoder.batches) == report.n_tiles - 12
    assert told[-1].n_tiles == report.n_tiles - 12
    assert rows(into) == rows(whole)
    assert open_index(into).store.scenes() == open_index(whole).store.scenes()
    assert not (into / ".journal").exists()


def test_a_scene_that_changes_after_a_stop_is_done_anew(tmp_path: Path) -> None:
    scene = write_utm(tmp_path / "a.tif", quadrants(256, 256))
    into = tmp_path / "index"
    with pytest.raises(RuntimeError, match="stopped"):
        ingest([scene], into=into, encoder=Stopping(after=4, error=RuntimeError), batch_size=3)
    write_utm(scene, quadrants(256, 256, names=("white",) * 4))
    report = ingest([scene], into=into, encoder=ColourEncoder(image_size_px=64))
    assert report.n_resumed == 0
    white = ColourEncoder().encode_texts(["white"]).global_emb[0]
    assert min(hit.score for hit in open_index(into).store.search(white, k=16)) == pytest.approx(1.0)


def test_a_torn_journal_costs_only_what_it_told(tmp_path: Path) -> None:
    scene = write_utm(tmp_path / "a.tif", quadrants(256, 256))
    into = tmp_path / "index"
    with pytest.raises(RuntimeError, match="stopped"):
        ingest([scene], into=into, encoder=Stopping(after=4, error=RuntimeError), batch_size=3)
    torn = sorted((into / ".journal").iterdir())[1]
    torn.write_bytes(torn.read_bytes()[:700])
    assert ingest([scene], into=into, encoder=ColourEncoder(image_size_px=64)).n_resumed == 9
    assert len(rows(into)) == 16


@pytest.mark.parametrize("left", [".lock", ".rsitr-index.json.77", "tiles.lance/data/half.lance", ".journal/.0.arrow"])
def test_what_a_kill_leaves_of_a_new_index_is_no_obstacle(tmp_path: Path, left: str) -> None:
    path = tmp_path / "index" / left
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half")
    report = ingest([write_utm(tmp_path / "a.tif")], into=tmp_path / "index", encoder=ColourEncoder())
    assert len(report.indexed) == 1
    assert len(rows(tmp_path / "index")) == report.n_tiles


def test_a_scene_that_fails_late_leaves_no_new_index_behind(tmp_path: Path) -> None:
    into = tmp_path / "index"
    report = ingest(
        [write_corrupt(tmp_path / "a.tif")],
        into=into,
        encoder=ColourEncoder(),
        settings=Settings(tile_px=32),
        batch_size=2,
    )
    assert [failure.scene for failure in report.failures] == ["a.tif"]
    assert not into.exists()


def test_scenes_that_are_gone_are_removed_when_asked(tmp_path: Path) -> None:
    for name in ("one/a.tif", "one/b.tif", "two/c.tif", "two/d.tif"):
        write_utm(tmp_path / name)
    into, encoder = tmp_path / "index", ColourEncoder()
    ingest([tmp_path / "one", tmp_path / "two"], into=into, encoder=encoder)
    (tmp_path / "one" / "a.tif").unlink()
    (tmp_path / "two" / "c.tif").unlink()
    assert ingest([tmp_path / "one"], into=into, encoder=encoder).removed == ()
    # Only in the folders that were named: the others may lie on a disk that is not there today.
    assert ingest([tmp_path / "one"], into=into, encoder=encoder, sync=True).removed == ("one/a.tif",)
    assert {entry.scene for entry in open_index(into).store.scenes()} == {"one/b.tif", "two/c.tif", "two/d.tif"}
    assert {name.split(":")[0] for name in rows(into)} == {"one/b.tif", "two/c.tif", "two/d.tif"}


def test_folders_that_are_empty_or_gone_are_pruned(tmp_path: Path) -> None:
    for name in ("a/2010/a.tif", "a/2012/deep/b.tif", "a/2014/c.tif"):
        write_utm(tmp_path / name)
    into, encoder = tmp_path / "index", ColourEncoder()
    ingest([tmp_path / "a"], into=into, encoder=encoder)
    (tmp_path / "a" / "2010" / "a.tif").unlink()
    shutil.rmtree(tmp_path / "a" / "2012")
    with pytest.raises(SceneError, match="no images in this folder"):
        ingest([tmp_path / "a" / "2010"], into=into, encoder=encoder)
    with pytest.raises(SceneError, match=r"no such file or folder: .*typo"):
        ingest([tmp_path / "a" / "2010", tmp_path / "a" / "typo"], into=into, encoder=encoder, sync=True)
    assert len(open_index(into).store.scenes()) == 3
    assert ingest([tmp_path / "a" / "2010"], into=into, encoder=encoder, sync=True).removed == ("2010/a.tif",)
    assert ingest([tmp_path / "a" / "2012"], into=into, encoder=encoder, sync=True).removed == ("2012/deep/b.tif",)
    with pytest.raises(SceneError, match="no images in this folder"):
        ingest([tmp_path / "a" / "2010"], into=tmp_path / "new", encoder=encoder, sync=True)


def test_a_disk_that_is_not_there_prunes_nothing(tmp_path: Path) -> None:
    write_utm(tmp_path / "disk" / "2010" / "a.tif")
    write_utm(tmp_path / "disk" / "2012" / "b.tif")
    into, encoder = tmp_path / "index", ColourEncoder()
    ingest([tmp_path / "disk"], into=into, encoder=encoder)
    shutil.rmtree(tmp_path / "disk")
    with pytest.raises(StoreError, match="which is not there, so nothing is removed; is a disk not mounted"):
        ingest([tmp_path / "disk"], into=into, encoder=encoder, sync=True)
    (tmp_path / "disk").mkdir()  # where it would be mounted
    with pytest.raises(StoreError, match=r"all of its 2 scenes would be removed.*say so with --root"):
        ingest([tmp_path / "disk"], into=into, encoder=encoder, sync=True)
    assert len(open_index(into).store.scenes()) == 2
    report = ingest([tmp_path / "disk"], into=into, encoder=encoder, sync=True, root=tmp_path / "disk")
    assert report.removed == ("2010/a.tif", "2012/b.tif")
    assert len(open_index(into).store) == 0


def test_links_to_folders_are_followed_and_known_by_their_own_names(tmp_path: Path) -> None:
    write_utm(tmp_path / "disk" / "a.tif")
    write_utm(tmp_path / "archive" / "b.tif")
    (tmp_path / "archive" / "linked").symlink_to(tmp_path / "disk")
    (tmp_path / "archive" / "notes.nc").touch()
    into, encoder = tmp_path / "index", ColourEncoder()
    report = ingest([tmp_path / "archive"], into=into, encoder=encoder)
    assert [entry.scene for entry in report.indexed] == ["b.tif", "linked/a.tif"]
    assert report.notes == (
        "passed over in folders, as no images by their endings: 1 .nc; who names a file has it read",
    )
    assert ingest([tmp_path / "archive"], into=into, encoder=encoder, sync=True).removed == ()
    (tmp_path / "disk" / "a.tif").unlink()
    assert ingest([tmp_path / "archive"], into=into, encoder=encoder, sync=True).removed == ("linked/a.tif",)


def test_an_archive_that_moved_is_relinked(tmp_path: Path) -> None:
    write_utm(tmp_path / "old" / "a.tif")
    write_utm(tmp_path / "old" / "b.tif")
    into = tmp_path / "index"
    ingest([tmp_path / "old"], into=into, encoder=ColourEncoder())
    (tmp_path / "old").rename(tmp_path / "new")
    (tmp_path / "new" / "b.tif").unlink()
    with pytest.raises(StoreError, match=r"none of the 2 scenes of .* lie here, e\.g\. no a\.tif"):
        relink_index(into, tmp_path)
    assert relink_index(into, tmp_path / "new") == 1
    assert open_index(into).scene_path("a.tif") == tmp_path / "new" / "a.tif"
    with pytest.raises(StoreError, match="no such index"):
        relink_index(tmp_path / "nowhere", tmp_path)


def test_an_index_that_left_its_archive_knows_its_scenes_again(tmp_path: Path) -> None:
    write_utm(tmp_path / "archive" / "2010" / "a.tif")
    write_utm(tmp_path / "archive" / "2012" / "b.tif")
    into = tmp_path / "archive" / "index"
    ingest([tmp_path / "archive"], into=into, encoder=ColourEncoder())
    copied = tmp_path / "elsewhere" / "index"
    shutil.copytree(into, copied)
    assert open_index(copied).root == tmp_path / "archive"
    assert ingest([tmp_path / "archive"], into=copied, encoder=ColourEncoder()).unchanged == (
        "2010/a.tif",
        "2012/b.tif",
    )
    # The archive moves, too, and nobody says where to.
    (tmp_path / "archive").rename(tmp_path / "moved")
    with pytest.raises(StoreError, match=rf"2 of its scenes are missing in .*--root {tmp_path / 'moved'} says where"):
        ingest([tmp_path / "moved"], into=copied, encoder=ColourEncoder())
    assert len(open_index(copied).store.scenes()) == 2
    moved = ingest([tmp_path / "moved"], into=copied, encoder=ColourEncoder(), root=tmp_path / "moved")
    assert len(moved.unchanged) == 2


def test_readers_see_what_is_appended_while_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rsitr.index.writing.COMMIT_TILES", 1)
    for number in range(4):
        write_utm(tmp_path / "scenes" / f"{number}.tif")
    into = tmp_path / "index"
    ingest([tmp_path / "scenes" / "0.tif"], into=into, encoder=ColourEncoder(image_size_px=64))
    reader = open_index(into)
    seen: list[int] = []
    ingest(
        [tmp_path / "scenes"],
        into=into,
        encoder=ColourEncoder(image_size_px=64),
        batch_size=4,
        progress=lambda _: seen.append(len(reader.store.search(np.eye(1, 28, dtype=np.float32)[0], k=99))),
    )
    assert {8, 12} <= set(seen)
    assert set(seen) <= {4, 8, 12, 16}  # scenes appear whole
    assert len(reader.store) == 16


class MeanCoder:
    """A code that is the mean of the tokens, in halves."""

    length = 28
    fingerprint = "c0de" * 16

    def encode(self, images: EncodedImages) -> np.ndarray:
        return images.tokens.mean(axis=1).astype(np.float16)

    def save(self, path: Path) -> None:
        path.write_text(self.fingerprint)


def test_codes_are_kept_beside_the_vectors(archive: Path, tmp_path: Path) -> None:
    into, encoder = tmp_path / "index", ColourEncoder(image_size_px=64)
    scene = archive / "utm_20160816.tif"
    with pytest.raises(RuntimeError, match="stopped"):
        ingest([scene], into=into, encoder=Stopping(after=1, error=RuntimeError), coder=MeanCoder(), batch_size=3)
    ingest([scene], into=into, encoder=encoder, coder=MeanCoder(), batch_size=3)
    assert (into / CODE_FILE).read_text() == MeanCoder.fingerprint
    store = open_index(into).store
    tiles = sorted(rows_of_store(store), reverse=True)
    codes = store.codes([*tiles, tiles[0]])
    assert codes is not None
    assert (codes.shape, codes.dtype) == ((5, 28), np.float16)
    # Every quadrant is of one colour: its mean token and its vector point the same way.
    scores = np.einsum("nd,nd->n", codes[:4].astype(np.float32), store.vectors(tiles))
    assert scores / np.linalg.norm(codes[:4].astype(np.float32), axis=1) == pytest.approx(np.ones(4), abs=1e-3)
    with pytest.raises(StoreError, match="keeps the local code c0dec0dec0de of its tiles"):
        ingest([scene], into=into, encoder=encoder)
    with pytest.raises(StoreError, match="no tile 'x' in this index"):
        store.codes(["x"])


def rows_of_store(store: Store) -> list[str]:
    return [hit.tile.tile for hit in store.search(np.eye(1, store.dim, dtype=np.float32)[0], k=10_000)]


class PicturesAlone:
    """Encodes pictures and nothing else, which is all that ingest asks for."""

    name, fingerprint, dim, image_size_px = "pictures", "0" * 64, 28, 32

    def encode_images(self, images: Sequence[ImageArray], *, batch_size: int = 64) -> EncodedImages:
        return ColourEncoder().encode_images(images, batch_size=batch_size)


def test_an_encoder_need_not_know_words(tmp_path: Path) -> None:
    report = ingest([write_utm(tmp_path / "a.tif")], into=tmp_path / "index", encoder=PicturesAlone())  # type: ignore[arg-type]
    assert report.n_tiles == 16


def test_scales_and_metres(tmp_path: Path) -> None:
    """5 m pixels, 640 m to a side: tiles of 160 m are 32 px; twice and eight times that are 64 px and the whole."""
    scene = write_utm(tmp_path / "a.tif")
    into = tmp_path / "index"
    ingest([scene], into=into, encoder=ColourEncoder(), settings=Settings(tile_m=160, scales=(1, 2, 8)))
    sides = [hit.tile.window_px[2] for hit in open_index(into).store.search(np.eye(1, 28, dtype=np.float32)[0], k=99)]
    assert {side: sides.count(side) for side in sides} == {32: 16, 64: 4, 128: 1}
    with pytest.raises(StoreError, match=r"made with scales=\(1\.0, 2\.0, 8\.0\), not \(1\.0,\)"):
        ingest([scene], into=into, encoder=ColourEncoder(), settings=Settings(scales=(1,)))


def test_what_cannot_be_as_large_as_asked_is_said_and_recorded(tmp_path: Path) -> None:
    """20 m are 4 of the pixels; of a picture nobody knows."""
    write_utm(tmp_path / "scenes" / "a.tif")
    Image.fromarray(np.moveaxis(quadrants(64, 64), 0, -1)).save(tmp_path / "scenes" / "photo.png")
    into = tmp_path / "index"
    report = ingest([tmp_path / "scenes"], into=into, encoder=ColourEncoder(), settings=Settings(tile_m=20))
    said = (
        "tiles of 20 m would have fewer than 16 pixels in 1 scene, where the smallest that there are are used "
        "(a.tif: 16 px, 80 m)",
        "without a known place on Earth there are no tiles of 20 m: pixels are counted in 1 scene (photo.png: 32 px)",
    )
    assert report.notes == said
    assert summarise(open_index(into)).tile_notes == said
    again = ingest([tmp_path / "scenes"], into=into, encoder=ColourEncoder())
    assert (again.notes, summarise(open_index(into)).tile_notes) == ((), said)
    scaled = ingest(
        [tmp_path / "scenes"],
        into=tmp_path / "b",
        encoder=ColourEncoder(),
        settings=Settings(tile_px=20, scales=(0.5, 1)),
    )
    assert scaled.notes[0].startswith("tiles of 20 px times 0.5 would have fewer than 16 pixels in 2 scenes")
    assert (
        ingest([tmp_path / "scenes"], into=tmp_path / "c", encoder=ColourEncoder(), settings=Settings(tile_px=20)).notes
        == ()
    )


def test_scenes_in_which_nothing_can_be_made_out_are_named(tmp_path: Path) -> None:
    for gsd_m in (20, 100):
        transform = Affine(gsd_m, 0, UTM_14N.c, 0, -gsd_m, UTM_14N.f)
        write_utm(tmp_path / "scenes" / f"{gsd_m}.tif", transform=transform)
    (note,) = ingest(
        [tmp_path / "scenes"], into=tmp_path / "index", encoder=ColourEncoder(), settings=Settings(tile_px=64)
    ).notes
    assert "coarser than 30 m: trust neither hits nor relevance in 1 scene (100.tif: 100 m)" in note


@pytest.mark.parametrize("size", [(15, 100), (100, 15), (1, 1)])
def test_scenes_of_hardly_any_pixels_are_indexed_and_named(tmp_path: Path, size: tuple[int, int]) -> None:
    write_utm(tmp_path / "scenes" / "a.tif")
    write_utm(tmp_path / "scenes" / "small.tif", np.full((3, *size), 200, dtype=np.uint8))
    report = ingest([tmp_path / "scenes"], into=tmp_path / "index", encoder=ColourEncoder())
    assert [entry.scene for entry in report.indexed] == ["a.tif", "small.tif"]
    said = f"trust neither hits nor relevance in 1 scene (small.tif: {size[1]} x {size[0]} px)"
    assert [note for note in report.notes if said in note]


def test_a_copied_archive_is_known_by_what_its_files_hold(tmp_path: Path) -> None:
    for name in ("a.tif", "b.tif"):
        write_utm(tmp_path / "old" / name)
    into, encoder = tmp_path / "index", ColourEncoder(image_size_px=64)
    ingest([tmp_path / "old"], into=into, encoder=encoder)
    n_batches = len(encoder.batches)
    shutil.copytree(tmp_path / "old", tmp_path / "new", copy_function=shutil.copyfile)
    whole = bytearray((tmp_path / "new" / "b.tif").read_bytes())
    whole[-1] ^= 255
    (tmp_path / "new" / "b.tif").write_bytes(whole)
    for path in (tmp_path / "new").iterdir():
        os.utime(path, (1_600_000_000, 1_600_000_000))
    with (into / "scene-notes.jsonl").open("a") as file:
        file.write('\n{"scene": "a.tif", "size')  # a kill has cut it off
    report = ingest([tmp_path / "new"], into=into, encoder=encoder, root=tmp_path / "new")
    assert (report.unchanged, [entry.scene for entry in report.indexed]) == (("a.tif",), ["b.tif"])
    assert len(encoder.batches) == n_batches + 1
    # What was found out is remembered; an index without notes goes by the times.
    (tmp_path / "new" / "a.tif").chmod(0)
    assert ingest([tmp_path / "new"], into=into, encoder=encoder).unchanged == ("a.tif", "b.tif")
    (tmp_path / "new" / "a.tif").chmod(0o644)
    (into / "scene-notes.jsonl").unlink()
    assert [entry.scene for entry in ingest([tmp_path / "new"], into=into, encoder=encoder).indexed] == ["a.tif"]


def test_bands_are_chosen_and_recorded(tmp_path: Path) -> None:
    swapped = write_utm(tmp_path / "a.tif", quadrants()[[2, 1, 0]])
    grey = write_utm(tmp_path / "b.tif", quadrants()[:1])
    into = tmp_path / "index"
    report = ingest(
        [swapped, grey], into=into, encoder=ColourEncoder(image_size_px=64), settings=Settings(bands=(3, 2, 1))
    )
    assert [failure.reason for failure in report.failures] == ["it has 1 bands, and so no band 3 to show"]
    red = ColourEncoder().encode_texts(["red"]).global_emb[0]
    (hit,) = open_index(into).store.search(red, k=1)
    assert (hit.tile.window_px[:2], hit.score) == ((0, 0), pytest.approx(1.0))
    assert open_index(into).manifest.settings.bands == (3, 2, 1)


def test_tiles_without_their_scene_are_written_again_not_twice(archive: Path, indexed: Path, tmp_path: Path) -> None:
    """What a kill between the two commits leaves: tiles whose scene is not listed."""
    into = tmp_path / "index"
    ingest([archive], into=into, encoder=ColourEncoder(image_size_px=64))
    LanceStore(into, dim=ColourEncoder().dim)._scenes.delete("scene IN ('utm_20160816.tif', 'gcps.tif')")
    report = ingest([archive], into=into, encoder=ColourEncoder(image_size_px=64))
    assert [entry.scene for entry in report.indexed] == ["gcps.tif", "utm_20160816.tif"]
    assert rows(into) == rows(indexed)


def test_other_models_and_settings_are_refused(indexed: Path, archive: Path) -> None:
    before = rows(indexed)
    with pytest.raises(StoreError, match="made by the model 'colour', not by 'other'"):
        ingest([archive], into=indexed, encoder=ColourEncoder(name="other", fingerprint="0" * 64))
    encoder = ColourEncoder(image_size_px=64)
    with pytest.raises(StoreError, match=r"made with tile_px=auto, not 100; leave the option out"):
        ingest([archive], into=indexed, encoder=encoder, settings=Settings(tile_px=100))
    with pytest.raises(StoreError, match=r"made with overlap=0\.0, not 0\.5"):
        ingest([archive], into=indexed, encoder=encoder, settings=Settings(overlap=0.5))
    assert rows(indexed) == before


def test_settings_hold_for_later_runs(tmp_path: Path) -> None:
    write_utm(tmp_path / "scenes" / "a.tif")
    into = tmp_path / "index"
    ingest([tmp_path / "scenes"], into=into, encoder=ColourEncoder(), settings=Settings(tile_px=64, overlap=0.5))
    write_utm(tmp_path / "scenes" / "b.tif")
    ingest([tmp_path / "scenes"], into=into, encoder=ColourEncoder())
    assert [entry.n_tiles for entry in open_index(into).store.scenes()] == [9, 9]


@pytest.mark.parametrize(("option", "value"), [("tile_px", 4), ("overlap", 1.0), ("overlap", -0.1), ("tile_m", 0.0)])
def test_impossible_settings(option: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"{option}: .*, not {value}"):
        make_settings(**{option: value})


def test_settings_that_contradict_each_other() -> None:
    for options, said in (
        ({"tile_px": 64, "tile_m": 200.0}, "so many pixels or so many metres"),
        ({"bands": (1, 2)}, "give one or three"),
        ({"scales": ()}, "scales"),
    ):
        with pytest.raises(ConfigError, match=said):
            make_settings(**options)


def test_a_folder_with_other_things_is_left_alone(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    for into in (tmp_path, tmp_path / "thesis.txt"):
        with pytest.raises(StoreError, match="exists and is no index"):
            ingest([archive], into=into, encoder=ColourEncoder())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_an_empty_folder_may_become_an_index(tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()
    report = ingest([write_utm(tmp_path / "a.tif")], into=tmp_path / "index", encoder=ColourEncoder())
    assert len(report.indexed) == 1


def test_a_second_writer_is_refused(archive: Path, indexed: Path) -> None:
    with writing(indexed), pytest.raises(StoreError, match="another process is writing this index; wait"):
        ingest([archive], into=indexed, encoder=ColourEncoder(image_size_px=64))
    ingest([archive], into=indexed, encoder=ColourEncoder(image_size_px=64))  # and the lock is gone with its holder


def test_large_windows_are_read_reduced(tmp_path: Path) -> None:
    class Recording(ColourEncoder):
        def encode_images(self, images: Sequence[ImageArray], *, batch_size: int = 64) -> EncodedImages:
            assert {image.shape for image in images} == {(64, 64, 3)}
            return super().encode_images(images, batch_size=batch_size)

    path = write_raster(tmp_path / "a.tif", quadrants(512, 512))
    ingest([path], into=tmp_path / "index", encoder=Recording(image_size_px=32), settings=Settings(tile_px=256))
    assert len(open_index(tmp_path / "index").store) == 4


def test_the_summary_adds_up(indexed: Path, archive: Path) -> None:
    summary = summarise(open_index(indexed))
    assert (summary.n_scenes, summary.n_tiles, summary.n_left_out) == (9, 31, 2)
    assert (summary.n_without_place, summary.n_undated) == (1, 8)
    assert summary.first_date == summary.last_date
    assert summary.root == archive
    assert summary.is_root_there
    assert summary.finest_gsd_m == pytest.approx(2.0, rel=1e-3)
    assert summary.coarsest_gsd_m == pytest.approx(200.0, rel=2e-3)
    # bgra16, nan, palette and utm lie on the same 640 m square; dateline is 25.6 km to a side, rotated 256 m.
    assert summary.area_km2 == pytest.approx(655.4 + 0.41 + 0.0655 + 14.27 * 7.14 + 95.4, rel=0.02)
    assert summary.size_bytes > 10_000
    assert json.loads((indexed / "rsitr-index.json").read_text())["created_with"] == summary.created_with


def test_what_was_chosen_among_several_ways_to_show_a_scene_is_noted(tmp_path: Path) -> None:
    scenes = tmp_path / "scenes"
    bands = np.random.default_rng(0).integers(0, 255, (4, 128, 128), dtype=np.uint8)
    write_utm(scenes / "four.tif", bands, photometric="MINISBLACK")
    pages = [Image.fromarray(np.full((64, 64), 60 * page, np.uint8)) for page in (1, 2, 3)]
    pages[0].save(scenes / "pages.tif", save_all=True, append_images=pages[1:])
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
    gps[ExifTags.GPS.GPSLatitudeRef], gps[ExifTags.GPS.GPSLatitude] = "N", (48.0, 51.0, 29.5)
    gps[ExifTags.GPS.GPSLongitudeRef], gps[ExifTags.GPS.GPSLongitude] = "E", (2.0, 17.0, 40.2)
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(scenes / "camera.jpg", exif=exif)
    report = ingest([scenes], into=tmp_path / "index", encoder=ColourEncoder())
    paged, guessed, camera = report.notes
    assert paged == (
        "only the first of several images is shown in 1 scene (pages.tif: 3 pages); --page N makes an index of another"
    )
    assert guessed == (
        "nothing says which bands to show in 1 scene (four.tif: bands 1, 2, 3 are taken as red, green and blue); "
        "--bands R,G,B chooses others"
    )
    assert "where the camera was, as EXIF says, is all that is known of the place in 1 scene (camera.jpg)" in camera
    index = open_index(tmp_path / "index")
    (entry,) = [entry for entry in index.store.scenes() if entry.scene == "camera.jpg"]
    assert entry.size_px == (40, 60)
    assert entry.gsd_m is None
    (hit,) = index.store.search(np.eye(ColourEncoder().dim, dtype=np.float32)[0], k=1, where=TileFilter(
        bbox=(2.29, 48.85, 2.30, 48.86)
    ))  # fmt: skip
    assert hit.tile.scene == "camera.jpg"
    assert summarise(index).tile_notes == report.notes


def test_a_mosaic_beside_its_own_sources_is_noted(tmp_path: Path) -> None:
    scenes = tmp_path / "scenes"
    write_utm(scenes / "a.tif")
    with rasterio.open(scenes / "a.tif") as file, WarpedVRT(file) as mosaic:
        copy_raster(mosaic, scenes / "mosaic.vrt", driver="VRT")
    report = ingest([scenes], into=tmp_path / "index", encoder=ColourEncoder())
    assert len(report.indexed) == 2
    assert report.notes == (
        "mosaic.vrt (1 of its sources) and what it is made of are both in this index: every place in them is found "
        "twice; name the mosaic or its sources alone",
    )
    assert ingest([scenes / "mosaic.vrt"], into=tmp_path / "alone", encoder=ColourEncoder()).notes == ()
