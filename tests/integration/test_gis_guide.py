"""The Python of the guide on GIS programs, run in its order against a service of the index that it names."""

from __future__ import annotations

import re
from pathlib import Path

import geopandas
import pytest
import shapely

import rsitr
from rasters import from_origin, quadrants, write_raster
from rsitr.index import Settings
from rsitr.search import Index
from rsitr.service import ServiceSettings, create_app
from servers import run_app

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "gis.md"


@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")  # of rioxarray's own code
def test_the_python_of_the_guide_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    placed = from_origin(11.4, 48.4, 0.0001, 0.0001)
    tags = {"TIFFTAG_DATETIME": "2016:08:16 10:00:00"}
    write_raster(tmp_path / "bavaria.tif", quadrants(512, 512), crs="EPSG:4326", transform=placed, tags=tags)
    model = rsitr.load_model("lookout", device="cpu")
    rsitr.ingest([Path("bavaria.tif")], into=Path("archive.index"), encoder=model, settings=Settings(tile_px=224))
    boxes = [shapely.box(11.39, 48.3, 11.43, 48.5), shapely.box(0, 0, 1, 1)]
    districts = geopandas.GeoDataFrame({"name": ["near", "far"]}, geometry=boxes, crs=4326).to_crs(3035)
    districts.to_file("districts.gpkg")
    blocks = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    app = create_app(ServiceSettings(index=Path("archive.index")), index=Index.open("archive.index", encoder=model))
    shown = []
    with run_app(app) as address:
        names = {"RSITR": address}
        for block in blocks:
            exec(compile(block, "gis.md", "exec"), names)
            shown.append(capsys.readouterr().out)
    owslib, stac, frames, arrays = shown
    assert re.match(r"(matches|unsure|nothing) \[", owslib)
    assert "2016-08-16 00:00:00+00:00" in stac
    assert f"{address}/api/tiles/" in stac
    assert "far 0" in frames
    assert arrays.splitlines()[-1] == "bavaria.tif"
    assert len(geopandas.read_file("rivers.gpkg")) > 4
    assert Path("heat.tif").stat().st_size > 0
