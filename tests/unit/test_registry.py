from __future__ import annotations

import importlib.metadata
import math
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rsitr.errors import ConfigError, DataError
from rsitr.registry import Registry, import_named

Function = Callable[[float], float]


@pytest.fixture
def roots() -> Registry[Function]:
    registry: Registry[Function] = Registry("root", group="roots")
    registry.register("square", math.sqrt)
    registry.register("cube", "math:cbrt")
    return registry


def test_things_are_found_by_name_and_listed_in_order(roots: Registry[Function]) -> None:
    @roots.register("itself")
    def itself(value: float) -> float:
        return value

    assert itself(2.0) == 2.0
    assert list(roots) == ["square", "cube", "itself"]
    assert "cube" in roots
    assert "fourth" not in roots
    assert roots["itself"] is itself
    assert roots["cube"](27.0) == pytest.approx(3.0)  # imported when it is asked for


def test_an_unknown_name_is_told_what_there_is() -> None:
    registry: Registry[Function] = Registry("data set", group="datasets", error=DataError)
    registry.register("a", math.sqrt)
    with pytest.raises(DataError, match=r"unknown data set 'b': choose one of a$"):
        registry["b"]


def test_no_name_is_taken_over_silently(roots: Registry[Function]) -> None:
    roots.register("square", math.sqrt)  # a module that is imported twice registers the same
    with pytest.raises(ConfigError, match="there is a root 'square' already"):
        roots.register("square", math.cbrt)
    assert roots["square"] is math.sqrt


def test_a_name_that_a_person_typed_may_lead_to_a_module(
    roots: Registry[Function], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_roots.py").write_text("class Own:\n    half = abs\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert roots.find("own_roots:Own.half") is abs
    assert roots.find("square") is math.sqrt
    with pytest.raises(ConfigError, match=r"unknown root 'own_roots:Own.half'"):
        roots["own_roots:Own.half"]  # in a file such a name imports nothing
    sys.modules.pop("own_roots")


def test_a_module_alone_is_imported_too() -> None:
    assert import_named("math") is math


@pytest.mark.parametrize("reference", ["no_such_module", "math:no_such_root"])
def test_what_cannot_be_imported_is_named(reference: str) -> None:
    with pytest.raises(ConfigError, match=f"cannot import '{reference}'.*no_such"):
        import_named(reference)


def test_installed_packages_add_names_that_are_loaded_when_asked_for(
    roots: Registry[Function], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = importlib.metadata.EntryPoint(name="whole", value="math:isqrt", group="rsitr.roots")
    asked = []

    def entry_points(*, group: str) -> list[importlib.metadata.EntryPoint]:
        asked.append(group)
        return [own]

    monkeypatch.setattr("importlib.metadata.entry_points", entry_points)
    assert list(roots) == ["square", "cube", "whole"]
    assert roots["whole"](17) == 4
    assert set(asked) == {"rsitr.roots"}
