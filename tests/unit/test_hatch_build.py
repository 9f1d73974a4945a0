"""The build hook: when it builds the page, when it leaves it, and what it says where it cannot."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    """hatch_build.py, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("hatch_build", REPO / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A repository with the sources of a page and nothing else."""
    (tmp_path / "web" / "src").mkdir(parents=True)
    for name in ("package.json", "build.mjs", "src/main.ts"):
        (tmp_path / "web" / name).write_text(name)
    (tmp_path / "src" / "rsitr" / "service").mkdir(parents=True)
    return tmp_path


def run(hook: ModuleType, root: Path) -> list[str]:
    """Run the hook as a build does; returns its warnings."""
    warnings: list[str] = []
    app: Any = SimpleNamespace(display_warning=warnings.append)
    hook.PageBuildHook(str(root), {}, None, None, str(root), "wheel", app).initialize("standard", {})
    return warnings


def pretend(hook: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Let a page be built by a fake; returns where it was built, once for each time."""
    built: list[Path] = []

    def build_page(_web: Path, static: Path) -> str:
        static.mkdir(exist_ok=True)
        (static / "index.html").write_text("page")
        built.append(static)
        return ""

    monkeypatch.setattr(hook, "build_page", build_page)
    return built


def test_it_builds_once_for_the_same_sources(hook: ModuleType, sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = pretend(hook, monkeypatch)
    assert run(hook, sources) == []
    assert run(hook, sources) == []
    assert built == [sources / "src" / "rsitr" / "service" / "static"]
    (sources / "web" / "src" / "main.ts").write_text("changed")
    run(hook, sources)
    assert len(built) == 2


def test_a_page_that_was_removed_is_built_again(
    hook: ModuleType, sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = pretend(hook, monkeypatch)
    run(hook, sources)
    (built[0] / "index.html").unlink()
    run(hook, sources)
    assert len(built) == 2


def test_without_node_it_says_what_to_do(hook: ModuleType, sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(sources))
    (warning,) = run(hook, sources)
    assert "there is no Node.js" in warning
    assert "Install Node.js 20 or newer" in warning
    assert not (sources / "src" / "rsitr" / "service" / "static" / hook.STAMP).exists()


def test_a_failing_npm_is_told_with_its_last_words(
    hook: ModuleType, sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("npm", "node"):
        (sources / name).write_text("#!/bin/sh\necho 'no such package' >&2\nexit 1\n")
        (sources / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{sources}:/bin:/usr/bin")
    (warning,) = run(hook, sources)
    assert "npm install failed (no such package)" in warning


def test_a_tree_without_the_sources_is_left_alone(hook: ModuleType, tmp_path: Path) -> None:
    assert run(hook, tmp_path) == []
