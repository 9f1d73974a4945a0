"""The guide to rasters holds: every kind that it names is made, and read or refused as it says."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from fakes import ColourEncoder
from kinds import KINDS, Kind, describe_kinds
from rasters import write_utm
from rsitr.errors import SceneError
from rsitr.geo import open_reader, read_picture
from rsitr.index import ingest, open_index

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "rasters.md"
FIELD = Path(__file__).parents[4] / "shared" / "field"


def make(kind: Kind, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of rasterio, that a file has no place
        kind.make(folder / kind.name)
    return folder / kind.name


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_kind_is_read_or_refused_as_the_guide_says(kind: Kind, tmp_path: Path) -> None:
    path = make(kind, tmp_path)
    if kind.refused is not None:
        with pytest.raises(SceneError) as caught:
            read_picture(path, max_px=1024)
        assert kind.refused in str(caught.value)
        assert str(caught.value).startswith(f"{path}: ")
        return
    with open_reader(path) as reader:
        pixels = reader.read(reader.scene.whole, max_px=1024)
        assert reader.scene.bands == kind.bands
        assert (reader.scene.ground is not None) == kind.has_place
        if kind.valid is not None:
            assert pixels.valid_share == kind.valid
        assert pixels.image.std() > 0 or kind.name in {"camera.jpg", "pages.tif", "sparse.tif", "strip.tif"}


def test_a_folder_of_all_kinds_is_indexed_in_one_run(tmp_path: Path) -> None:
    folder = tmp_path / "scenes"
    for kind in KINDS:
        make(kind, folder / kind.name.partition(".")[0])
    good = [write_utm(folder / name / "good.tif") for name in ("a", "z")]
    inputs = [folder, *(folder / "scenes" / kind.name for kind in KINDS if kind.name.endswith(".zip"))]
    report = ingest(inputs, into=tmp_path / "index", encoder=ColourEncoder())
    indexed = {entry.scene.rpartition("/")[2] for entry in report.indexed}
    assert indexed == {"good.tif"} | {kind.name for kind in KINDS if kind.refused is None}
    assert len(report.indexed) == len(good) + sum(kind.refused is None for kind in KINDS)
    reasons = {failure.scene.rpartition("/")[2]: failure.reason for failure in report.failures}
    assert set(reasons) == {kind.name for kind in KINDS if kind.refused is not None}
    for kind in KINDS:
        assert kind.refused is None or kind.refused in reasons[kind.name]
        assert kind.note is None or any(kind.note in note for note in report.notes)
    assert sum(entry.n_tiles for entry in report.indexed) == len(open_index(tmp_path / "index").store)


def test_the_guide_is_written_from_these_kinds() -> None:
    assert describe_kinds() in GUIDE.read_text(encoding="utf-8"), "write the tables again: python tests/kinds.py"


@pytest.mark.skipif(not FIELD.is_dir(), reason="the files that once failed are not on this machine")
def test_the_files_that_once_failed_beside_good_scenes(tmp_path: Path) -> None:
    good = write_utm(tmp_path / "good" / "a.tif"), write_utm(tmp_path / "good" / "b.tif")
    folders = [folder for folder in sorted(FIELD.iterdir()) if folder.is_dir()]
    found = [folder for folder in folders if any(file.suffix in {".tif", ".jpg", ".png"} for file in folder.iterdir())]
    report = ingest([good[0].parent, *found], into=tmp_path / "index", encoder=ColourEncoder())
    assert {"good/a.tif", "good/b.tif"} <= {entry.scene.split("/", 1)[-1][-10:] for entry in report.indexed}
    assert len(report.indexed) >= len(found)
    assert all(failure.reason for failure in report.failures)
