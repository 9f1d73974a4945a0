"""`rsitr index`: options, an archive that has moved, what is printed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer

from fakes import ColourEncoder, replace_models
from rasters import quadrants, write_utm
from rsitr.cli.index import index
from rsitr.cli.indexing import IndexOptions, run_index
from rsitr.cli.info import info
from rsitr.cli.output import format_duration
from rsitr.errors import ConfigError, SceneError, StoreError
from rsitr.geo import find_sources
from rsitr.index import Settings, ingest, open_index, recorded_encodings, summarise, survey
from rsitr.index.manifest import make_settings
from rsitr.models.encoder import TorchEncoder
from rsitr.models.fast import EncodingPath
from rsitr.types import EncodedImages, Encoder
from tiny import tiny_encoder, tiny_model

TILING = ("tile_px", "tile_m", "overlap", "scales", "bands", "page")


def run(scenes: Sequence[Path], *, encoder: Encoder | None = None, **options: Any) -> int:
    """The command, with its options as they are on the command line."""
    settings = make_settings(**{name: options.pop(name) for name in TILING if name in options})
    return run_index(scenes, IndexOptions(settings=settings, **options), encoder=encoder)


def call(
    *scenes: str, into: Path, root: Path | None = None, scales: str | None = None, bands: str | None = None
) -> int:
    with pytest.raises(typer.Exit) as left:
        index(list(scenes) or None, into=into, model=None, device=None, fast=True, batch_size=4, tile_px=None,
              tile_m=None, overlap=None, scales=scales, bands=bands, root=root, sync=False, page=None, dry_run=False,
              local_codes=None, store=None, onnx=None, compiled=False)  # fmt: skip
    return left.value.exit_code


def test_an_index_tells_how_it_was_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_utm(tmp_path / "scenes" / "a.tif")
    into = tmp_path / "index"
    status = run([tmp_path / "scenes"], into=into, encoder=ColourEncoder(), tile_m=160, scales=(1, 2), bands=(3, 2, 1))
    assert status == 0
    assert "1 scenes indexed (20 tiles" in capsys.readouterr().out
    info(into, as_json=False, scenes=False)
    told = capsys.readouterr().out
    for line in ("160 m, times 1, 2, overlap 0", "3, 2, 1", "exact", "none"):
        assert line in told
    assert "unfinished" not in told


def test_an_archive_that_has_moved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in "ab":
        write_utm(tmp_path / "old" / f"{name}.tif")
    into = tmp_path / "index"
    run([tmp_path / "old"], into=into, encoder=ColourEncoder())
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
              tile_m=None, overlap=None, root=None, sync=False, page=None, dry_run=False,
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


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> TorchEncoder:
    """What every name of a model loads, on a machine with bf16 where fp32 is the fastest way."""
    encoder = tiny_encoder(tiny_model())
    replace_models(monkeypatch, lambda name, device: encoder)
    monkeypatch.setattr("rsitr.models.fast.has_bf16", lambda device: True)
    monkeypatch.setattr("rsitr.models.fast.TRIAL_PICTURES", 2)

    def take_fp32(encoder: TorchEncoder, **_: object) -> EncodingPath:
        encoder.set_image_model(None, name="fp32 on cpu")
        return EncodingPath("fp32 on cpu", cosine=1.0, speedup=1.0)

    monkeypatch.setattr("rsitr.models.fast.accelerate", take_fp32)
    return encoder


def encode(path: Path, into: Path, *, fast: bool = True) -> None:
    run([path], into=into, fast=fast, batch_size=4)


@pytest.mark.parametrize("path", ["fp32 on cpu", "bf16 weights on cpu", "bf16 weights, compiled, on cpu"])
def test_an_index_is_encoded_in_one_way(
    tiny: TorchEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is fastest today."""
    monkeypatch.setattr("torch.compile", lambda function: function)
    into = tmp_path / "index"
    write_utm(tmp_path / "scenes" / "a.tif")
    tiny.set_image_model(None, name=path)  # as the first run has found it
    run([tmp_path / "scenes"], into=into, encoder=tiny)
    write_utm(tmp_path / "scenes" / "b.tif")
    tiny.set_image_model(None, name="another way")
    encode(tmp_path / "scenes", into)
    assert tiny.image_path == path
    assert recorded_encodings(into) == (path,)
    assert f"encoding with tiny, {path}, as this index is" in capsys.readouterr().err
    is_half = next(tiny._image_model.parameters()).dtype == torch.bfloat16
    assert is_half == path.startswith("bf16")


def test_another_way_of_encoding_is_said_and_recorded(
    tiny: TorchEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    into = tmp_path / "index"
    write_utm(tmp_path / "scenes" / "a.tif")
    tiny.set_image_model(None, name="bf16 weights on cpu")
    run([tmp_path / "scenes"], into=into, encoder=tiny)
    monkeypatch.setattr("rsitr.models.fast.has_bf16", lambda device: False)
    write_utm(tmp_path / "scenes" / "b.tif")
    encode(tmp_path / "scenes", into)
    said = capsys.readouterr().err
    assert "so far this index was encoded with bf16 weights on cpu, which cannot be done here" in said
    assert recorded_encodings(into) == ("bf16 weights on cpu", "fp32 on cpu")
    info(into, as_json=False, scenes=False)
    assert "bf16 weights on cpu, later also fp32 on cpu" in " ".join(capsys.readouterr().out.split())


def test_a_person_may_ask_for_fp32_at_any_time(
    tiny: TorchEncoder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    into = tmp_path / "index"
    write_utm(tmp_path / "scenes" / "a.tif")
    tiny.set_image_model(None, name="bf16 weights on cpu")
    run([tmp_path / "scenes"], into=into, encoder=tiny)
    write_utm(tmp_path / "scenes" / "b.tif")
    tiny.set_image_model(None, name="fp32 on cpu")  # as a model is when it has been loaded
    encode(tmp_path / "scenes", into, fast=False)
    assert "encoded with bf16 weights on cpu; it records both" in capsys.readouterr().err
    assert recorded_encodings(into) == ("bf16 weights on cpu", "fp32 on cpu")


def test_no_model_is_loaded_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for settings that cannot be, nor where all scenes are unchanged."""
    scene, into = write_utm(tmp_path / "a.tif"), tmp_path / "index"
    run([scene], into=into, encoder=ColourEncoder())
    replace_models(monkeypatch, lambda name, device: pytest.fail("loaded"))
    assert run([scene], into=into) == 0
    for wrong in ({"tile_m": -5}, {"bands": (0, 1, 2)}, {"bands": (1, 2)}):
        with pytest.raises(ConfigError):
            run([scene], into=tmp_path / "other", **wrong)  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="made with tile_px=auto"):
        run([scene], into=into, tile_px=64)


def test_what_is_pruned_to_nothing_is_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("2010/a.tif", "2012/b.tif"):
        write_utm(tmp_path / name)
    into = tmp_path / "index"
    run([tmp_path / "2010", tmp_path / "2012"], into=into, encoder=ColourEncoder())
    (tmp_path / "2010" / "a.tif").unlink()
    assert run([tmp_path / "2010"], into=into, sync=True) == 0
    assert "1 scenes removed" in capsys.readouterr().out


def test_an_interrupted_run_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("rsitr.cli.index.run_index", interrupt)
    assert call("a.tif", into=tmp_path) == 130
    assert "interrupted; what was encoded is kept, and the same command goes on" in capsys.readouterr().err


def test_the_scenes_and_detectors_of_an_index_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_utm(tmp_path / "scenes" / "a_20160816.tif", tags={"SENSOR": "NAIP"})
    into = tmp_path / "index"
    run([tmp_path / "scenes"], into=into, encoder=ColourEncoder())
    (into / "detectors").mkdir()
    (into / "detectors" / "roofs.json").write_text("{}")
    capsys.readouterr()
    info(into, as_json=True, scenes=False)
    told = json.loads(capsys.readouterr().out)
    assert told["detectors"] == ["roofs"]
    (scene,) = told["scenes"]
    assert (scene["scene"], scene["date"], scene["size_px"], scene["n_tiles"]) == (
        "a_20160816.tif",
        "2016-08-16",
        [128, 128],
        16,
    )
    info(into, as_json=False, scenes=True)
    shown = capsys.readouterr().out
    for part in ("roofs", "a_20160816.tif", "2016-08-16", "128 x 128", "NAIP", "EPSG:32614", " kB", "0.41 km²"):
        assert part in shown
    info(into, as_json=False, scenes=False)
    assert "a_20160816.tif" not in capsys.readouterr().out


def test_a_dry_run_tells_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenes, into = tmp_path / "scenes", tmp_path / "index"
    write_utm(scenes / "a.tif")
    write_utm(scenes / "b.tif")
    (scenes / "broken.tif").write_text("no scene")
    assert run([scenes], into=into, encoder=ColourEncoder(), tile_px=64, dry_run=True) == 1
    told = " ".join(capsys.readouterr().out.split())
    assert "Would be indexed into" in told
    assert "broken.tif │ not an image or raster" in told
    assert "2 scenes would be indexed: up to 8 tiles, about 0 s and " in told
    assert "1 files could not be used. Nothing was written." in told
    assert not into.exists()
    (scenes / "broken.tif").unlink()
    assert run([scenes], into=into, encoder=ColourEncoder(), tile_px=64) == 0
    assert "2 scenes indexed (8 tiles" in capsys.readouterr().out
    write_utm(scenes / "c.tif", quadrants(256, 256))
    before = {path: path.stat().st_mtime_ns for path in into.rglob("*")}
    assert run([scenes], into=into, encoder=ColourEncoder(), dry_run=True) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "1 scenes would be indexed: up to 16 tiles" in told, "in tiles of the index's own size"
    assert "2 scenes unchanged" in told
    assert {path: path.stat().st_mtime_ns for path in into.rglob("*")} == before
    with pytest.raises(StoreError, match="made with tile_px=64, not 32"):
        run([scenes], into=into, encoder=ColourEncoder(), tile_px=32, dry_run=True)
    empty = tmp_path / "empty.tif"
    empty.write_bytes(b"")
    with pytest.raises(SceneError, match="none of the 1 files could be used"):
        run([empty], into=tmp_path / "none", encoder=ColourEncoder(), dry_run=True)


def test_the_space_that_is_foretold_is_about_what_is_taken(tmp_path: Path) -> None:
    scene = write_utm(tmp_path / "a.tif", np.random.default_rng(0).integers(0, 255, (3, 1024, 1024), dtype=np.uint8))
    encoder, settings = ColourEncoder(image_size_px=16), Settings(tile_px=16)
    found = survey(find_sources([scene]), settings=settings, image_size_px=16)
    report = ingest([scene], into=tmp_path / "index", encoder=encoder, settings=settings)
    assert found.n_tiles == report.n_tiles == 4096
    taken = summarise(open_index(tmp_path / "index")).size_bytes
    assert 0.5 < found.size_bytes(dim=encoder.dim) / taken < 2.0


def test_tiles_that_no_model_can_read_are_warned_of_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = write_utm(tmp_path / "a.tif")  # of 5 m
    said: list[str] = []

    class Watching(ColourEncoder):
        def encode_images(self, *args: Any, **kwargs: Any) -> EncodedImages:
            said.append(capsys.readouterr().err)
            return super().encode_images(*args, **kwargs)

    assert run([scene], into=tmp_path / "index", encoder=Watching(), tile_m=60) == 0
    assert said[0].startswith("warning: tiles of 60 m would have fewer than 16 pixels in 1 scene")
    said.clear()
    assert run([scene], into=tmp_path / "other", encoder=Watching(), tile_m=160) == 0
    assert "warning" not in said[0]
