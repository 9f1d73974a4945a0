"""`rsitr index`: options, an archive that has moved, what is printed."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from fakes import ColourEncoder
from rasters import write_utm
from rsitr.cli.index import index, run_index
from rsitr.cli.info import info
from rsitr.cli.output import format_duration
from rsitr.errors import ConfigError, StoreError


def call(
    *scenes: str, into: Path, root: Path | None = None, scales: str | None = None, bands: str | None = None
) -> int:
    with pytest.raises(typer.Exit) as left:
        index(list(scenes) or None, into=into, model=None, device=None, fast=True, batch_size=4, tile_px=None,
              tile_m=None, overlap=None, scales=scales, bands=bands, root=root, sync=False)  # fmt: skip
    return left.value.exit_code


def test_an_index_tells_how_it_was_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_utm(tmp_path / "scenes" / "a.tif")
    into = tmp_path / "index"
    status = run_index(
        [tmp_path / "scenes"], into=into, encoder=ColourEncoder(), tile_m=160, scales=(1, 2), bands=(3, 2, 1)
    )
    assert status == 0
    assert "1 scenes indexed (20 tiles" in capsys.readouterr().out
    info(into, as_json=False)
    told = capsys.readouterr().out
    for line in ("160 m, times 1, 2, overlap 0", "3, 2, 1", "exact", "none"):
        assert line in told
    assert "unfinished" not in told


def test_an_archive_that_has_moved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in "ab":
        write_utm(tmp_path / "old" / f"{name}.tif")
    into = tmp_path / "index"
    run_index([tmp_path / "old"], into=into, encoder=ColourEncoder())
    (tmp_path / "old").rename(tmp_path / "new")
    assert call(into=into, root=tmp_path / "new") == 0
    (tmp_path / "new" / "b.tif").unlink()
    capsys.readouterr()
    assert call(into=into, root=tmp_path / "new") == 1
    assert "1 are not there" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(("option", "value"), [("scales", "1,x"), ("bands", "1.5,2,3"), ("bands", "")])
def test_numbers_with_commas(tmp_path: Path, option: str, value: str) -> None:
    scene = write_utm(tmp_path / "a.tif")
    with pytest.raises(ConfigError, match=rf"--{option} takes numbers with commas between them"):
        index([str(scene)], into=tmp_path / "i", model=None, device=None, fast=True, batch_size=4, tile_px=None,
              tile_m=None, overlap=None, root=None, sync=False,
              **{"scales": None, "bands": None, option: value})  # type: ignore[arg-type]  # fmt: skip


def test_nothing_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to index: name scenes or folders"):
        index(None, into=tmp_path / "i", root=None)
    with pytest.raises(StoreError, match="no such index"):
        index(None, into=tmp_path / "i", root=tmp_path)


@pytest.mark.parametrize(
    ("time_s", "said"), [(0.2, "0 s"), (59.7, "1 min 0 s"), (3599, "59 min 59 s"), (7261, "2 h 1 min")]
)
def test_durations(time_s: float, said: str) -> None:
    assert format_duration(time_s) == said
