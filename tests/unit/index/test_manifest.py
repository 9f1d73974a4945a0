from __future__ import annotations

import json
from pathlib import Path

import pytest

from fakes import ColourEncoder
from rsitr.errors import StoreError
from rsitr.index import Manifest, Settings
from rsitr.index.manifest import MANIFEST, read_manifest, write_manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "archive" / "imagery").mkdir(parents=True)
    index = tmp_path / "archive" / "index"
    index.mkdir()
    write_manifest(
        index,
        Manifest.create(index, encoder=ColourEncoder(), settings=Settings(), root=tmp_path / "archive" / "imagery"),
    )
    return index


def test_what_is_written_is_read(folder: Path) -> None:
    manifest = read_manifest(folder)
    assert (manifest.model.name, manifest.model.dim, manifest.settings.tile_px) == ("colour", 28, None)
    assert manifest.root.relative == "../imagery"
    assert [path.name for path in folder.iterdir()] == [MANIFEST]  # no temporary file is left


def test_the_root_is_found_after_index_and_archive_have_moved_together(folder: Path, tmp_path: Path) -> None:
    moved = (tmp_path / "archive").rename(tmp_path / "elsewhere")
    assert read_manifest(moved / "index").find_root(moved / "index") == moved / "imagery"


def test_the_root_is_found_after_the_index_alone_has_moved(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    moved = folder.rename(tmp_path / "a" / "b" / "index")
    assert read_manifest(moved).find_root(moved) == tmp_path / "archive" / "imagery"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 2}, "format"),
        ({"colour": "red"}, "colour"),
        ({"model": {}}, r"model\.name"),
        (None, "the file"),
    ],
)
def test_a_manifest_that_is_not_understood(folder: Path, change: dict[str, object] | None, said: str) -> None:
    file = folder / MANIFEST
    content = json.loads(file.read_text())
    file.write_text("{" if change is None else json.dumps(content | change))
    with pytest.raises(StoreError, match=rf"not readable by rsitr .* \({said}: .*delete the index and make it again"):
        read_manifest(folder)


def test_a_folder_that_is_no_index(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no such index; make it with `rsitr index"):
        read_manifest(tmp_path / "none")
    with pytest.raises(StoreError, match=r"this is no index \(rsitr-index\.json is missing\)"):
        read_manifest(tmp_path)


def test_only_the_model_that_made_it_fits(folder: Path) -> None:
    manifest = read_manifest(folder)
    manifest.check_encoder(ColourEncoder(name="another name", fingerprint=ColourEncoder().fingerprint), folder=folder)
    with pytest.raises(
        StoreError, match=r"made by another version of the model 'colour' \(fingerprint c0104rc0104r, .*ff"
    ):
        manifest.check_encoder(ColourEncoder(fingerprint="ff" * 32), folder=folder)
    with pytest.raises(StoreError, match=r"made by the model 'colour', not by 'other'.*make a new index"):
        manifest.check_encoder(ColourEncoder(name="other", fingerprint="ff" * 32), folder=folder)


def test_a_root_that_only_looks_near_is_not_taken(tmp_path: Path) -> None:
    """An index inside its archive has the folder above it as root: every folder that it is copied to has one."""
    archive, elsewhere = tmp_path / "archive", tmp_path / "elsewhere"
    for folder in (archive / "2010", archive / "index", elsewhere / "index"):
        folder.mkdir(parents=True)
    (archive / "2010" / "a.tif").touch()
    manifest = Manifest.create(archive / "index", encoder=ColourEncoder(), settings=Settings(), root=archive)
    known = ["2010/a.tif", "2010/gone.tif"]
    (archive / "2010" / "gone.tif").touch()  # but not from the copy below: it is still the nearer one
    assert manifest.find_root(archive / "index", known=lambda: known) == archive
    assert manifest.find_root(elsewhere / "index", known=lambda: known) == archive
    (elsewhere / "2010").mkdir()
    (elsewhere / "2010" / "a.tif").touch()  # copied together
    assert manifest.find_root(elsewhere / "index", known=lambda: known) == elsewhere
    (elsewhere / "2010" / "a.tif").unlink()
    archive.rename(tmp_path / "moved")  # nobody knows: the place that was recorded is not there, and that can be told
    assert manifest.find_root(elsewhere / "index", known=lambda: known) == archive
