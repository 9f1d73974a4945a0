"""`pip install rsitr` is enough to index, search, look and serve: no extra is imported, least of all torch."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from rasters import write_utm
from rsitr.errors import ConfigError
from rsitr.extras import EXTRAS, explain_missing, need

REPO = Path(__file__).resolve().parents[2]
OTHERS = ("sklearn", "pandas", "transformers", "sympy")
START = f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {(*EXTRAS, *OTHERS)!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
import importlib.util
found = importlib.util.find_spec
def find_spec(name, package=None):
    try:
        return found(name, package)
    except ModuleNotFoundError:
        return None
importlib.util.find_spec = find_spec
"""


def run(*lines: list[str], more: str = "") -> list[tuple[int, str]]:
    """Exit status and all that is said, of each command line in one interpreter that has no extra."""
    code = (
        START
        + "import json\nfrom typer.testing import CliRunner\nfrom rsitr.cli.app import app, main\nout = []\n"
        + f"for line in {list(lines)!r}:\n"
        + "    import io, contextlib\n"
        + "    said = io.StringIO()\n"
        + "    sys.argv = ['rsitr', *line]\n"
        + "    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):\n"
        + "        try:\n            main()\n            status = 0\n"
        + "        except SystemExit as end:\n            status = end.code or 0\n"
        + "    out.append((status, said.getvalue()))\n"
        + more
        + "\nprint(json.dumps(out))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return [(status, said) for status, said in json.loads(done.stdout.splitlines()[-1])]


# Each line in a fork of an interpreter that has imported the commands and nothing else, as each process does first.
COUNT = """
import json, os, sys
from rsitr.cli import app
for number, line in enumerate(json.loads(sys.argv[1])):
    if os.fork() == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.argv = ["rsitr", *line]
        def tell(status):
            with open(f"{sys.argv[0]}-{number}.json", "w") as file:
                json.dump([status, sorted(sys.modules)], file)
        app.run(tell=tell)
        break
    os.wait()
else:
    os._exit(0)
"""


def modules_of(lines: list[list[str]], *, folder: Path) -> list[set[str]]:
    """The modules that each command line has imported at its end; all of them did what they were asked for."""
    done = subprocess.run(
        [sys.executable, "-c", COUNT, json.dumps(lines)], cwd=folder, capture_output=True, text=True, check=False
    )
    found = [json.loads((folder / f"rsitr-{number}.json").read_text()) for number in range(len(lines))]
    assert [status for status, _ in found] == [0] * len(lines), done.stderr
    return [set(names) for _, names in found]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index that was made without any extra."""
    folder = tmp_path_factory.mktemp("core")
    write_utm(folder / "scenes" / "a.tif")
    [(status, said)] = run(["index", str(folder / "scenes"), "--into", str(folder / "index")])
    assert status == 0, said
    assert "encoding with lookout, ONNX Runtime on cpu" in said
    return folder / "index"


def test_an_analyst_needs_no_extra(index: Path, tmp_path: Path) -> None:
    scene = str(index.parent / "scenes" / "a.tif")
    lines = [
        ["info", str(index)],
        ["models"],
        ["search", str(index), "a field"],
        ["search", str(index), "a field", "--format", "json"],
        ["search", str(index), "--image", scene, "--places"],
        ["search", str(index), "a field", "--not", "water", "--out", str(tmp_path / "hits.geojson")],
        ["search", str(index), "a field", "--out", str(tmp_path / "page.html")],
        ["search", str(index), "a field", "--out", str(tmp_path / "hits.parquet")],
        ["locate", scene, "a field", "--out", str(tmp_path / "heat.tif")],
    ]
    for line, (status, said) in zip(lines, run(*lines), strict=True):
        assert status == 0, (line, said)
    assert (tmp_path / "heat.png").read_bytes().startswith(b"\x89PNG")


def test_the_service_answers_without_an_extra(index: Path) -> None:
    more = f"""
from fastapi.testclient import TestClient
from rsitr.service import ServiceSettings, create_app
with TestClient(create_app(ServiceSettings(index={str(index)!r}))) as client:
    import time
    for _ in range(200):
        if client.get("/api/ready").status_code == 200:
            break
        time.sleep(0.05)
    found = client.post("/api/search", json={{"text": "a field"}})
    sorted_again = client.post("/api/search", json={{"text": "a field", "ranking": {{"rerank": "sar:k=5"}}}})
    out = [(found.status_code, found.text), (sorted_again.status_code, sorted_again.text)]
"""
    (found, answer), (status, said) = run(more=more)
    assert found == 200, answer
    assert json.loads(answer)["hits"]
    assert status in {422, 501}, said
    assert "needs torch, which is not installed" in said


def test_what_needs_an_extra_says_which(index: Path, tmp_path: Path) -> None:
    scene = str(index.parent / "scenes" / "a.tif")
    lines = {
        "train": [
            ["search", str(index), "a field", "--rerank", "sar:k=5"],
            ["index", scene, "--into", str(tmp_path / "i"), "--model", "compact"],
            ["index", scene, "--into", str(tmp_path / "k"), "--model", "remoteclip-vit-b-32"],
            ["index", scene, "--into", str(tmp_path / "j"), "--local-codes", "16"],
            ["evaluate", "lookout", "--data", f"rsicd:{tmp_path}"],
            ["explain", "lookout", scene, "a field", "--out", str(tmp_path / "why.png")],
            ["train", "compact-rsicd-ucm"],
        ],
        "mcp": [["mcp", str(index)]],
        "gis": [["search", str(index), "a field", "--out", str(tmp_path / "hits.gpkg")]],
        "onnx": [["export", "lookout", "--onnx", str(tmp_path / "onnx")]],
    }
    asked = [(extra, line) for extra, group in lines.items() for line in group]
    for (extra, line), (status, said) in zip(asked, run(*(line for _, line in asked)), strict=True):
        assert status == 2, (line, said)
        wanted = "rsitr\\[(train|onnx)\\]" if extra == "onnx" else f"rsitr\\[{extra}\\]"
        assert re.search(f'which is not installed: pip install "{wanted}"', said), (line, said)
        assert "Traceback" not in said


def test_every_extra_that_is_named_is_there_to_install() -> None:
    extras = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    names = {"open_clip": "open_clip_torch", "huggingface_hub": "timm"}  # which brings it
    for package, extra in EXTRAS.items():
        assert any(line.startswith(names.get(package, package)) for line in extras[extra]), (package, extra)


def test_errors_of_other_kinds_are_not_explained_away() -> None:
    assert explain_missing(ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn")) is not None
    assert explain_missing(ModuleNotFoundError("No module named 'rsitr.nothing'", name="rsitr.nothing")) is None
    assert explain_missing(ValueError("torch")) is None
    need("numpy", what="this")
    with pytest.raises(ConfigError, match=r'this needs torch, which is not installed: pip install "rsitr\[train\]"'):
        _need_without(monkeypatched="torch")


def _need_without(*, monkeypatched: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rsitr.extras.has_package", lambda _package: False)
        need(monkeypatched, what="this")


HEAVY = frozenset(
    {
        *("torch", "torchvision", "open_clip", "timm", "transformers", "tensorboard", "matplotlib", "imagehash"),
        *("onnx", "scipy", "sklearn", "pandas", "geopandas", "xarray", "fastapi", "starlette", "uvicorn", "mcp"),
        *("lancedb", "pyarrow", "numpy", "shapely", "pyproj", "rasterio", "pyogrio", "PIL", "onnxruntime"),
        *("tokenizers", "safetensors", "huggingface_hub", "pystac", "jinja2", "prometheus_client", "yaml"),
    }
)
ARRAYS = {"numpy", "pyarrow", "shapely"}
MODEL = {"onnxruntime", "tokenizers", "safetensors", "PIL"}


def test_help_imports_what_is_typed_and_nothing_else(tmp_path: Path) -> None:
    from rsitr.cli.app import build

    commands = build().commands  # type: ignore[attr-defined]
    lines = [["--help"], *([name, "--help"] for name in commands)]
    lines += [["data", name, "--help"] for name in commands["data"].commands]
    for line, modules in zip(lines, modules_of(lines, folder=tmp_path), strict=True):
        assert not modules & HEAVY, line
        assert not {"rsitr.search", "rsitr.index", "rsitr.formats", "rsitr.geo", "rsitr.models"} & modules, line
        assert len(modules) < 340, (line, len(modules))


def test_a_command_imports_what_it_needs_and_no_more(index: Path, tmp_path: Path) -> None:
    scene, found = str(index.parent / "scenes" / "a.tif"), str(index)
    run(["info", found], ["search", found, "a field"])  # who asks first keeps what the next are told
    allowed: list[tuple[list[str], set[str], int]] = [
        (["info", found], set(), 400),
        (["configs"], {"numpy", "yaml"}, 520),
        (["models"], {"huggingface_hub", "yaml"}, 600),
        (["info", found, "--json"], ARRAYS, 520),
        (["search", found, "a field"], ARRAYS | MODEL, 700),
        (["search", found, "a field", "--places", "--json"], ARRAYS | MODEL, 700),
        (["search", found, "a field", "--out", "hits.geojson"], ARRAYS | MODEL, 710),
        (["locate", scene, "a field", "--out", "heat.tif"], ARRAYS | MODEL | {"pyproj", "rasterio"}, 1040),
        (["feedback", found, "--list"], ARRAYS | {"PIL"}, 620),
    ]
    lines = [line for line, _, _ in allowed]
    for (line, heavy, most), modules in zip(allowed, modules_of(lines, folder=tmp_path), strict=True):
        assert modules & HEAVY <= heavy, line
        assert len(modules) < most, (line, len(modules))
