"""The README's commands and the Python examples, run as a reader would, on small data in the places that they name."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from generators import draw_scene, save_picture, write_karpathy_dataset
from rasters import from_origin, quadrants, write_raster
from rsitr.cli.app import app
from rsitr.config import list_configs

REPO = Path(__file__).resolve().parents[2]


def blocks(page: str) -> list[tuple[str, str]]:
    """Language and content of each block of code."""
    text = (REPO / page).read_text(encoding="utf-8")
    return re.findall(r"^```(\w*)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


COMMANDS = [
    shlex.split(line, comments=True)[1:]
    for language, block in blocks("README.md")
    if not language
    for line in block.splitlines()
    if line.startswith("rsitr ")
]

# Hours, a download, and what ends only when it is told to: of these the test looks at the names only.
TOO_LONG = ("train", "ViT-B-32-quickgelu:openai", "serve")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with scenes, an example picture and data sets, named as in the README, that is the current one."""
    (tmp_path / "scenes").mkdir()
    bavaria = from_origin(11.4, 48.4, 0.0001, 0.0001)
    write_raster(tmp_path / "scenes" / "bavaria.tif", quadrants(512, 512), crs="EPSG:4326", transform=bavaria)
    save_picture(draw_scene(1, size_px=224)[0], tmp_path / "scenes" / "photograph.jpg")
    save_picture(draw_scene(2, size_px=224)[0], tmp_path / "example.jpg")
    for name in ("rsicd", "ucm"):
        write_karpathy_dataset(tmp_path / "data" / name, name=name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands_do_what_they_say(place: Path) -> None:
    run = [words for words in COMMANDS if not set(words) & set(TOO_LONG)]
    assert len(run) >= 6
    for words in run:
        result = CliRunner().invoke(app, words, prog_name="rsitr")
        # Status 1 is the data check's right: the small data set has few pictures and says so.
        allowed = {0, 1} if words[:2] == ["data", "check"] else {0}
        assert result.exit_code in allowed, f"{shlex.join(words)}\n{result.output}\n{result.exception!r}"
    written = {words[words.index(option) + 1] for words in run for option in ("--out", "--json") if option in words}
    assert written
    assert [name for name in sorted(written) if not (place / name).stat().st_size] == []


def test_the_training_is_a_packaged_one() -> None:
    (words,) = [words for words in COMMANDS if words[0] == "train"]
    assert words[1] in list_configs()


def test_the_python_examples_run(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index = next(words for words in COMMANDS if words[0] == "index")
    CliRunner().invoke(app, index, prog_name="rsitr")
    shown: dict[str, list[str]] = {}
    for page in ("README.md", "docs/guides/python.md"):
        example = "".join(block for language, block in blocks(page) if language == "python")
        exec(compile(example, page, "exec"), {})
        shown[page] = capsys.readouterr().out.splitlines()
        assert any("bavaria.tif" in line for line in shown[page])
    assert 0.0 <= float(shown["README.md"][-1]) <= 100.0
    assert "(2, 1) (1, 49, 256) (2, 5)" in shown["docs/guides/python.md"]
    assert shown["docs/guides/python.md"][-1].startswith("nowhere.index: no such index")
    assert [(place / name).stat().st_size > 0 for name in ("hits.geojson", "ranks.csv")] == [True, True]
