"""The plugin in a real QGIS without windows, against a real service; and QGIS's own client of OGC API Features."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from archives import write_archive
from fakes import ColourEncoder
from rsitr.search import Index
from rsitr.service import ServiceSettings, create_app
from servers import run_app

pytestmark = pytest.mark.qgis

REPO = Path(__file__).resolve().parents[2]
PYTHON = os.environ.get("RSITR_QGIS_PYTHON", "/usr/bin/python3")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What tests/qgis_session.py saw."""
    encoder, folder = ColourEncoder(image_size_px=64), tmp_path_factory.mktemp("qgis")
    archive = write_archive(folder, encoder)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    with run_app(
        create_app(ServiceSettings(index=archive, rate_per_s=0), index=Index.open(archive, encoder=encoder))
    ) as url:
        done = subprocess.run(
            [PYTHON, str(REPO / "tests" / "qgis_session.py"), str(REPO / "qgis"), url],
            env={**kept, "QT_QPA_PLATFORM": "offscreen", "HOME": str(folder)},
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("TOLD ")]
    assert lines, f"QGIS did not get to the end:\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}"
    return json.loads(lines[0].removeprefix("TOLD "))


def test_a_search_becomes_a_layer_drawn_by_relevance(told: dict[str, Any]) -> None:
    found = told["everywhere"]
    assert found["said"] == "8 results (and 1 without a known place)"
    layer = found["layer"]
    assert (layer["name"], layer["crs"], len(layer["rows"])) == ("red", "EPSG:4326", 8)
    assert layer["legend"] == ["surely (0.75 or more)", "matches (0.50 or more)", "does not match", "not judged"]
    assert all(row["area"] > 0 for row in layer["rows"])
    assert layer["rows"][0]["relevance"] > 0.9
    assert layer["rows"][-1]["relevance"] < 0.1


def test_map_tips_show_pictures_and_no_html_of_others(told: dict[str, Any]) -> None:
    for row in told["everywhere"]["layer"]["rows"]:
        tip = row["tip"]
        assert 'src="data:image/jpeg;base64,PICTURE"' in tip
        assert f"{row['rank']}. “red”" in tip
        assert "relevance 0.98" in tip or "relevance 0.00" in tip
        assert row["place"].replace("<", "&lt;") in tip
        assert "<b>dateline" not in tip
    north = next(row["tip"] for row in told["everywhere"]["layer"]["rows"] if row["place"].startswith("north"))
    assert "2016-08-16" in north


def test_the_extent_of_the_map_limits_a_search(told: dict[str, Any]) -> None:
    found = told["extent"]
    assert found["said"] == "1 result"
    (row,) = found["layer"]["rows"]
    assert row["place"] == "north_20160816.tif:0,0,64,64"
    assert row["box"] == pytest.approx([-99.1856, 47.0337], abs=1e-3)


def test_what_goes_wrong_is_said(told: dict[str, Any]) -> None:
    said = "say in words what to look for"
    assert told["empty"] == {"said": said, "bar": [said], "layers": 0}
    assert told["unreachable"].startswith("http://127.0.0.1:9 cannot be reached")
    assert "no address of a service" in told["no address"]


def test_the_toolbox_has_the_same_search(told: dict[str, Any]) -> None:
    assert told["algorithm"] == {"ok": True, "n": 3, "state": "matches", "matched": 4}


def test_qgis_reads_the_search_without_the_plugin(told: dict[str, Any]) -> None:
    assert told["without the plugin"] == {"valid": True, "n": 9}


def test_nothing_is_left_behind(told: dict[str, Any]) -> None:
    assert told["left"] == [0, 0, False]
