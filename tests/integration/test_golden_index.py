"""Indexes that the first release wrote open, answer as they did, and go on, an interrupted one included."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from fakes import ColourEncoder
from rasters import quadrants, write_utm
from rsitr.index import ingest, open_index
from rsitr.search import Index, load_coder
from rsitr.types import Mixture

GOLDEN = Path(__file__).resolve().parents[1] / "data" / "golden_index"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A copy: to look for a lock or to go on writes into it."""
    return Path(shutil.copytree(GOLDEN, tmp_path / "golden"))


@pytest.fixture
def encoder() -> ColourEncoder:
    made = ColourEncoder(image_size_px=64)
    made.mixture = Mixture(alpha=0.6, beta=0.4, norm="rms")
    return made


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((GOLDEN / "expected.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("name", ["plain", "coded"])
def test_an_old_index_answers_as_it_did(
    name: str, archive: Path, encoder: ColourEncoder, expected: dict[str, Any]
) -> None:
    index = Index.open(archive / name, encoder=encoder)
    assert index.root == (archive / "scenes").resolve()
    assert len(index) == expected[name]["n_tiles"]
    for text, hits in expected[name]["hits"].items():
        found = index.search(text, k=5)
        assert [hit.tile.tile for hit in found] == [tile for tile, _ in hits]
        assert [hit.score for hit in found] == pytest.approx([score for _, score in hits], abs=1e-6)


def test_an_old_detector_finds_what_it_did(archive: Path, encoder: ColourEncoder, expected: dict[str, Any]) -> None:
    found = Index.open(archive / "coded", encoder=encoder).detect("reds", k=5)
    assert [hit.tile.tile for hit in found] == [tile for tile, _ in expected["reds"]]
    unmarked = [(hit.relevance, seen) for hit, (_, seen) in zip(found, expected["reds"], strict=True) if not hit.mark]
    assert 0 < len(unmarked) < len(found), "what was marked right is sure"
    assert [value for value, _ in unmarked] == pytest.approx([seen for _, seen in unmarked], abs=1e-6)


def test_what_an_old_index_knows_of_its_scenes(archive: Path) -> None:
    entries = {entry.scene: entry for entry in open_index(archive / "plain").store.scenes()}
    assert set(entries) == {"deep/values_20200101.tif", "photo.png", "strip_20160816.tif"}
    strip, values = entries["strip_20160816.tif"], entries["deep/values_20200101.tif"]
    assert (strip.n_tiles, strip.size_px, strip.crs, strip.sensor) == (3, (192, 64), "EPSG:32614", "NAIP")
    assert strip.date is not None
    assert strip.date.isoformat() == "2016-08-16"
    assert values.stretch is not None
    assert strip.footprint is not None
    assert entries["photo.png"].footprint is None


@pytest.mark.parametrize("name", ["plain", "coded"])
def test_an_old_index_grows(name: str, archive: Path, encoder: ColourEncoder) -> None:
    write_utm(archive / "scenes" / "new.tif", quadrants(64, 64, names=("white",) * 4))
    report = ingest([archive / "scenes"], into=archive / name, encoder=encoder, coder=load_coder(archive / name))
    # Copies have another time of change, and are known by what they hold.
    assert [entry.scene for entry in report.indexed] == ["new.tif"]
    assert len(report.unchanged) == 3
    index = Index.open(archive / name, encoder=encoder)
    assert index.search("white", k=1).hits[0].tile.scene == "new.tif"
    assert index.search("yellow", k=1).hits[0].tile.scene == "photo.png"


def test_an_old_interrupted_run_goes_on_where_it_was(
    archive: Path, encoder: ColourEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rsitr.index.journal.__version__", "0.1.0")  # a journal serves the release that wrote it
    for line in (archive / "plain" / "scene-notes.jsonl").read_text(encoding="utf-8").split("\n"):
        if line:
            note = json.loads(line)
            os.utime(archive / "scenes" / note["scene"], ns=(note["mtime_ns"], note["mtime_ns"]))
    report = ingest([archive / "scenes"], into=archive / "interrupted", encoder=encoder)
    assert (report.n_resumed, report.n_tiles, sum(encoder.batches)) == (2, 5, 3)
    plain, resumed = (open_index(archive / name).store for name in ("plain", "interrupted"))
    assert resumed.scenes() == plain.scenes()
    tiles = [tile for scene in plain.scenes() for tile in _tiles_of(scene.scene)]
    assert resumed.tiles(tiles) == plain.tiles(tiles)
    assert resumed.vectors(tiles) == pytest.approx(plain.vectors(tiles), abs=1e-6)


def _tiles_of(scene: str) -> list[str]:
    return [f"{scene}:{col},0,64,64" for col in range(0, 192 if scene.startswith("strip") else 64, 64)]
