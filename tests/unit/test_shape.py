"""The shape of the code: no function takes more than a dozen parameters, no modules of a room import in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

import rsitr

ROOT = Path(rsitr.__file__).parent
MODULES = {
    ".".join(("rsitr", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}
MOST = 12


def functions(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Each function's name and how many parameters it takes, self aside."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            every = node.args
            names = [argument.arg for argument in (*every.posonlyargs, *every.args, *every.kwonlyargs)]
            yield node.name, len(names) - (names[:1] in (["self"], ["cls"]))


def is_command(name: str, function: str) -> bool:
    """A command of the command line: typer wants each option as a parameter."""
    return name.startswith("rsitr.cli.") and function in getattr(__import__(name, fromlist=["__all__"]), "__all__", ())


def test_no_function_takes_more_than_a_dozen_parameters() -> None:
    wide = [
        (name, function, count)
        for name, path in MODULES.items()
        for function, count in functions(ast.parse(path.read_text(encoding="utf-8")))
        if count > MOST and not is_command(name, function)
    ]
    assert wide == []


def imports(name: str) -> set[str]:
    """The package's modules that a module imports, wherever it does; what is for type checkers alone aside."""
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("rsitr"):
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {one for one in inner if one in MODULES} or {node.module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in MODULES}
    return found


@pytest.mark.parametrize("room", sorted({name.split(".")[1] for name in MODULES if name.count(".") > 1}))
def test_modules_of_a_room_import_in_no_circle(room: str) -> None:
    names = [name for name in MODULES if name.startswith(f"rsitr.{room}.")]
    edges = np.zeros((len(names), len(names)), dtype=bool)
    for row, name in enumerate(names):
        imported = imports(name)
        edges[row] = [other != name and other in imported for other in names]
    _, part = connected_components(csr_array(edges), directed=True, connection="strong")
    circles = [[names[i] for i in np.flatnonzero(part == number)] for number in np.unique(part)]
    assert [circle for circle in circles if len(circle) > 1] == []
