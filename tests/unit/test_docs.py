"""What the documentation says is true: its examples run, and what it points at exists."""

from __future__ import annotations

import ast
import doctest
import importlib
import importlib.util
import json
import os
import pkgutil
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

import rsitr
from rsitr.cli.app import app

REPO = Path(__file__).resolve().parents[2]
PAGES = sorted([*REPO.glob("*.md"), *(REPO / "docs").rglob("*.md")])


def modules_with_examples() -> list[str]:
    names = [module.name for module in pkgutil.walk_packages(rsitr.__path__, "rsitr.")]
    found = []
    for name in names:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        if ">>> " in Path(spec.origin).read_text(encoding="utf-8"):
            found.append(name)
    return found


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples_in_docstrings_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPO).as_posix())
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target and not target.startswith("mailto:")]
    made = REPO / "docs" / "reference"  # when the site is built, which looks at these links strictly
    missing = [
        target
        for target in local
        if not (page.parent / target).exists() and (page.parent / target).resolve().parent != made
    ]
    assert not missing


def test_every_decision_is_listed() -> None:
    folder = REPO / "docs" / "decisions"
    listed = set(re.findall(r"\((\d{4}-[a-z0-9-]+\.md)\)", (folder / "README.md").read_text(encoding="utf-8")))
    assert listed == {page.name for page in folder.glob("[0-9]*.md")}


def pages_in(entry: object) -> list[str]:
    """The pages of a navigation."""
    if isinstance(entry, str):
        return [entry]
    inner = entry if isinstance(entry, list) else list(entry.values())  # type: ignore[attr-defined]
    return [page for part in inner for page in pages_in(part)]


def test_the_navigation_names_every_page() -> None:
    site = yaml.safe_load((REPO / "mkdocs.yml").read_text(encoding="utf-8"))
    docs = REPO / "docs"
    written = {page.relative_to(docs).as_posix() for page in docs.rglob("*.md")} - {"images/README.md"}
    listed = pages_in(site["nav"])
    assert len(listed) == len(set(listed))
    made = {page for page in listed if page.startswith("reference/")} | {"tutorials/first-search.md"}
    assert set(listed) - made == written


def test_the_site_is_built_without_a_broken_link(tmp_path: Path) -> None:
    """Strictly, with the pages of every command, every config key and every room that are made from the code."""
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(tmp_path / "site")],
        cwd=REPO, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    commands = (tmp_path / "site" / "reference" / "commands.html").read_text(encoding="utf-8")
    assert "rsitr index" in commands
    assert "--dry-run" in commands
    assert "rsitr data merge" in commands
    keys = (tmp_path / "site" / "reference" / "config.html").read_text(encoding="utf-8")
    assert "Inverse temperature of the cosines" in keys
    assert "drop_ratio" in keys
    assert "encode_images" in (tmp_path / "site" / "reference" / "api.html").read_text(encoding="utf-8")


def test_the_notebook_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    notebook = json.loads((REPO / "docs" / "tutorials" / "first-search.ipynb").read_text(encoding="utf-8"))
    names: dict[str, Any] = {}
    shown = []
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        assert cell["outputs"] == []
        tree = ast.parse("".join(cell["source"]))
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "notebook", "exec"), names)
        if isinstance(last, ast.Expr):
            shown.append(eval(compile(ast.Expression(last.value), "notebook", "eval"), names))
    n_tiles, (window, bbox, _), similar = shown
    assert n_tiles == 6
    assert window == (0, 0, 224, 224), "the lake"
    assert 14.9 < bbox[0] < bbox[2] < 15.1
    assert similar[0] == window


def options_of(words: list[str]) -> set[str]:
    """What the command that a line begins with takes, and what stands before its name."""
    command: Any = typer.main.get_command(app)
    known: set[str] = set()
    for word in ["", *words]:
        if word:
            if word not in getattr(command, "commands", {}):
                break
            command = command.commands[word]
        known |= {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    return known | {"--help"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPO).as_posix())
def test_commands_in_pages_name_options_that_there_are(page: Path) -> None:
    unknown = []
    for block in re.findall(r"^```[a-z]*\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            if not line.strip().startswith("rsitr "):
                continue
            words = re.sub(r"\s#.*", "", line).split()[1:]
            named = [word for word in words if not word.startswith("-")]
            if words[0] == "--import":
                named = named[1:]
            used = {word.partition("=")[0] for word in words if re.fullmatch(r"--?[a-z][a-z0-9-]*(=.*)?", word)}
            unknown += [f"{line.strip()}: {option}" for option in used - options_of(named)]
    assert unknown == []
