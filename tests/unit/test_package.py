"""Promises of the package as a whole: what it shows, what it imports, what its wheel carries, what it says."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import resource
import subprocess
import sys
import types
import zipfile
from pathlib import Path
from typing import TypeVar

import pytest
import typer.main
from typer.testing import CliRunner

import rsitr
from rasters import write_utm
from rsitr.cli.app import app
from rsitr.index import Settings, ingest
from rsitr.models import load_model

MODULES = sorted(module.name for module in pkgutil.walk_packages(rsitr.__path__, "rsitr."))
HEAVY = ("torch", "torchvision", "open_clip", "transformers", "sklearn", "matplotlib")


def python(code: str) -> subprocess.CompletedProcess[str]:
    """Runs code in a new interpreter, where nothing has been imported yet."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)


def public_names(module: types.ModuleType) -> set[str]:
    """What a person sees of a module: no private names, other modules, type variables, or `from __future__` imports."""
    shown = {name: getattr(module, name) for name in dir(module) if not name.startswith("_") and name != "annotations"}
    return {name for name, value in shown.items() if not inspect.ismodule(value) and not isinstance(value, TypeVar)}


@pytest.mark.parametrize("name", ["rsitr", *MODULES])
def test_every_module_imports_and_keeps_its_promises(name: str) -> None:
    module = importlib.import_module(name)
    promised = getattr(module, "__all__", None)
    if promised is None:
        return
    assert len(set(promised)) == len(promised)
    missing = [attribute for attribute in promised if not hasattr(module, attribute)]
    assert not missing, f"{name}.__all__ names what is not there: {missing}"
    if name.startswith(("rsitr.cli.", "rsitr.service.routes.")):
        return  # commands and routes are for typer and FastAPI, which find them without a name; nobody imports them
    defined_here = {
        attribute
        for attribute in public_names(module)
        if getattr(getattr(module, attribute), "__module__", None) == name
    }
    assert defined_here <= set(promised), f"{name} shows what __all__ does not name"


@pytest.mark.parametrize("name", ["rsitr", *(name for name in MODULES if name.count(".") == 1)])
def test_all_of_a_room_is_what_is_visible(name: str) -> None:
    """A room is the package that its users import from: what it shows is exactly what it promises."""
    module = importlib.import_module(name)
    if not hasattr(module, "__path__"):
        return  # a single module uses names of others, and those show too; the test above speaks for it
    assert public_names(module) == set(getattr(module, "__all__", ())) - {"__version__"}


@pytest.mark.parametrize(
    "module",
    [
        *("rsitr", "rsitr.errors", "rsitr.formats", "rsitr.geo", "rsitr.index", "rsitr.search", "rsitr.service"),
        "rsitr.types",
    ],
)
def test_what_needs_no_torch_imports_none(module: str) -> None:
    done = python(
        f"import importlib, pkgutil, sys; room = importlib.import_module({module!r})\n"
        f"if {module!r} != 'rsitr':\n"
        "    for inner in pkgutil.walk_packages(getattr(room, '__path__', []), room.__name__ + '.'):\n"
        "        importlib.import_module(inner.name)\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    heavy = (*HEAVY, "rasterio", "lancedb", "pyarrow", "matplotlib", "shapely", "scipy", "numpy")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = python(
        "import atexit, sys\n"
        f"atexit.register(lambda: sys.stderr.write(repr(sorted(set({heavy!r}) & set(sys.modules)))))\n"
        "from rsitr.cli.app import main\n"
        "sys.argv = ['rsitr', '--help']\n"
        "main()"
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert "Usage: rsitr" in done.stdout
    assert done.stderr == "[]"
    # Processor time, not time on the clock: how busy the machine is says nothing about the program.
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert seconds < 1.5


def test_the_packaged_model_loads_without_the_libraries_of_others() -> None:
    """A search of a small index is mostly imports: open_clip, which draws torchvision in, costs it as much as torch."""
    done = python(
        "import sys, rsitr\n"
        "rsitr.load_model(device='cpu').encode_texts(['a river'])\n"
        "print(sorted({'open_clip', 'torchvision', 'transformers', 'torch._dynamo', 'sklearn'} & set(sys.modules)))"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_an_index_that_was_read_before_is_told_of_and_searched_without_the_engine_of_its_tables(tmp_path: Path) -> None:
    """Nor with what opens scenes: each takes longer to import than the work that is done."""
    write_utm(tmp_path / "scenes" / "a.tif")
    ingest([tmp_path / "scenes"], into=tmp_path / "index", encoder=load_model(device="cpu"), settings=Settings())
    heavy = ("lancedb", "rasterio", "pandas", "sklearn", "torchvision")
    for words, more in (("'search', 'INDEX', 'a field'", ()), ("'info', 'INDEX', '--scenes'", ("torch", "scipy"))):
        told = [
            python(
                "import atexit, sys\n"
                f"names = set({(*heavy, *more)!r})\n"
                "atexit.register(lambda: sys.stderr.write(repr(sorted(names & set(sys.modules)))))\n"
                "from rsitr.cli.app import main\n"
                f"sys.argv = ['rsitr', {words.replace('INDEX', str(tmp_path / 'index'))}]\n"
                "main()"
            )
            for _ in range(2)
        ]
        assert "a.tif" in told[1].stdout
        assert told[0].stdout == told[1].stdout
        assert told[1].stderr.endswith("[]"), told[1].stderr


@pytest.mark.parametrize(("words", "status"), [("['--version']", 0), ("['info', 'nowhere']", 2), ("['info']", 2)])
def test_a_command_leaves_at_once_yet_keeps_its_status_and_what_was_to_happen_at_the_end(
    words: str, status: int
) -> None:
    done = python(
        "import atexit, sys, threading\n"
        "from rsitr.cli import app\n"
        "class Late:\n"
        "    def __del__(self): print('taken apart')\n"
        "late = Late()\n"
        "def main(inner=app.main):\n"
        "    threading.Thread(target=lambda: (threading.main_thread().join(), print('thread done'))).start()\n"
        "    atexit.register(print, 'at the end')\n"
        "    inner()\n"
        "app.main = main\n"
        f"sys.argv = ['rsitr', *{words}]\n"
        "app.run()"
    )
    assert done.returncode == status
    assert done.stdout.splitlines()[-2:] == ["thread done", "at the end"]


def command_lines() -> list[tuple[str, ...]]:
    """Every command and subcommand, as it is typed."""
    found: list[tuple[str, ...]] = []

    def walk(command: object, words: tuple[str, ...]) -> None:
        found.append(words)
        for name, inner in sorted(getattr(command, "commands", {}).items()):
            walk(inner, (*words, name))

    walk(typer.main.get_command(app), ())
    return found


@pytest.mark.parametrize("words", command_lines(), ids=lambda words: " ".join(("rsitr", *words)))
def test_every_command_explains_itself(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*words, "--help"], prog_name="rsitr")
    assert result.exit_code == 0, result.output
    usage, explanation = result.output.strip().split("\n", 1)
    assert usage.startswith("Usage: " + " ".join(("rsitr", *words)))
    assert re.match(r"\s+[A-Z]", explanation), "a command says in a sentence what it does"


def test_nothing_records_a_machine() -> None:
    """No path of somebody's machine, and no host of a package registry: a clone works anywhere, with any mirror."""
    repo = Path(__file__).resolve().parents[2]
    parts = [("/wo", "rk/"), ("/fa", "rm/"), ("/ro", "ot/"), ("/ho", "me/"), (".py", "env"), ("/Us", "ers/")]
    parts += [("pythonho", "sted"), ("pypi", ".org"), ("registry.", "npmjs"), ("deb.", "debian")]
    banned = re.compile("|".join(re.escape(a + b) for a, b in parts))
    tops = ["src", "docs", "tests", "benchmarks", ".ci", "Makefile", "pyproject.toml"]
    files = [file for top in tops for file in sorted([repo / top, *(repo / top).rglob("*")]) if file.is_file()]
    files += sorted(repo.glob("*.md"))
    text = [file for file in files if b"\0" not in file.read_bytes()[:4096] and file.suffix != ".pyc"]
    assert len(text) > 20
    found = [
        f"{file.relative_to(repo)}:{number}: {line.strip()}"
        for file in text
        for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), start=1)
        if banned.search(line)
    ]
    assert not found, "\n".join(found)


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of what a freshly built wheel holds."""
    target = tmp_path_factory.mktemp("dist")
    repo = Path(__file__).resolve().parents[2]
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)],
        cwd=repo,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = target.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_every_file_of_the_package_and_no_other(wheel_names: set[str]) -> None:
    source = Path(__file__).resolve().parents[2] / "src"
    package = {
        file.relative_to(source).as_posix()
        for file in (source / "rsitr").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert {name for name in wheel_names if not name.split("/")[0].endswith(".dist-info")} == package


def test_the_wheel_holds_what_the_program_needs_beside_code(wheel_names: set[str]) -> None:
    assert any(re.fullmatch(r"rsitr/configs/.+\.yaml", name) for name in wheel_names)
    assert any(re.fullmatch(r"rsitr/.+\.safetensors", name) for name in wheel_names), "the default model is not in it"
    assert any(name.endswith("dist-info/licenses/LICENSE") for name in wheel_names)
    assert any(name.endswith("dist-info/entry_points.txt") for name in wheel_names)
