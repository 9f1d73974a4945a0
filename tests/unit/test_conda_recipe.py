"""The recipe for conda says what pyproject.toml says, and rattler-build reads it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from rattler_build import PlatformConfig, RenderConfig, Stage0Recipe

import rsitr

REPO = Path(__file__).resolve().parents[2]
# Where conda-forge calls a package otherwise than the index of Python packages.
NAMES = {
    "prometheus-client": "prometheus_client",
    "matplotlib": "matplotlib-base",
    "torch": "pytorch",
    "ray": "ray-core",
}


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))


def render(platform: str) -> dict[str, Any]:
    recipe = Stage0Recipe.from_file(REPO / "packaging" / "conda" / "recipe.yaml")
    (rendered,) = recipe.render(None, RenderConfig(platform=PlatformConfig(target_platform=platform)))
    found: dict[str, Any] = rendered.recipe.to_dict()
    return found


@pytest.fixture(scope="module")
def recipe() -> dict[str, Any]:
    return render("linux-64")


def spell(requirement: Requirement) -> str:
    """A requirement as conda writes it: the name there, and bounds in order."""
    name = canonicalize_name(requirement.name)
    bounds = sorted((str(bound) for bound in requirement.specifier), key=lambda bound: not bound.startswith(">"))
    return f"{NAMES.get(name, name)} {','.join(bounds)}"


def least(requirement: Requirement) -> Version:
    (bound,) = [bound for bound in requirement.specifier if bound.operator == ">="]
    return Version(bound.version)


def test_what_the_core_needs_is_what_pip_installs(project: dict[str, Any], recipe: dict[str, Any]) -> None:
    needs = [spell(Requirement(text)) for text in project["project"]["dependencies"]]
    python = f"python {project['project']['requires-python']}"
    assert sorted(recipe["requirements"]["run"]) == sorted([python, *needs])


def test_what_extras_bring_is_bounded_as_there(project: dict[str, Any], recipe: dict[str, Any]) -> None:
    extras = project["project"]["optional-dependencies"]
    asked = [Requirement(text) for extra, texts in extras.items() if extra != "dev" for text in texts]
    widest: dict[str, Requirement] = {}
    for requirement in asked:
        if requirement.name != "rsitr" and (
            requirement.name not in widest or least(requirement) < least(widest[requirement.name])
        ):
            widest[requirement.name] = requirement
    assert sorted(recipe["requirements"]["run_constraints"]) == sorted(spell(one) for one in widest.values())


def test_it_builds_with_what_the_build_asks_for(project: dict[str, Any], recipe: dict[str, Any]) -> None:
    for text in project["build-system"]["requires"]:
        assert spell(Requirement(text)) in recipe["requirements"]["host"]
    assert recipe["build"]["python"]["entry_points"] == [
        f"{name} = {target}" for name, target in project["project"]["scripts"].items()
    ]


def test_it_is_this_version_under_this_licence(project: dict[str, Any], recipe: dict[str, Any]) -> None:
    assert recipe["package"] == {"name": "rsitr", "version": rsitr.__version__}
    assert recipe["source"] == [{"path": f"../../dist/rsitr-{rsitr.__version__}.tar.gz"}]
    about = recipe["about"]
    assert (about["license"], about["summary"]) == (project["project"]["license"], project["project"]["description"])


def test_one_package_serves_all_platforms(recipe: dict[str, Any]) -> None:
    assert recipe["build"]["noarch"] == "python"
    for platform in ("linux-aarch64", "osx-arm64", "win-64"):
        assert render(platform)["requirements"] == recipe["requirements"]
