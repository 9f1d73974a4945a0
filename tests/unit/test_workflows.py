"""The workflows in .github: what they call is there, they try what is promised, and may do no more than they need."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

REPO = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((REPO / ".github" / "workflows").glob("*.yml"))
CANDIDATES = {"3.14"}  # tried in ci.yml, and not promised yet


def read(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return found


def steps(file: Path) -> Iterator[dict[str, Any]]:
    for job in read(file)["jobs"].values():
        yield from job["steps"]


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))


def promised(project: dict[str, Any]) -> set[str]:
    found = [
        re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", one) for one in project["project"]["classifiers"]
    ]
    return {match[1] for match in found if match}


def test_there_is_one_for_changes_and_one_for_releases() -> None:
    assert [file.name for file in WORKFLOWS] == ["ci.yml", "release.yml"]


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_what_they_run_is_there(file: Path) -> None:
    makefile = (REPO / "Makefile").read_text(encoding="utf-8")
    said = "\n".join(step.get("run", "") for step in steps(file))
    targets = re.findall(r"\bmake ([a-z]+)", said)
    assert [target for target in targets if not re.search(rf"^{target}:.*## ", makefile, re.MULTILINE)] == []
    named = re.findall(r"\bpackaging/[\w./-]+", said)
    assert named, "nothing is built"
    assert [name for name in named if not (REPO / name).is_file()] == []


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_actions_are_pinned_by_their_major_version(file: Path) -> None:
    used = [step["uses"] for step in steps(file) if "uses" in step]
    assert len(used) > 3
    assert [one for one in used if not re.fullmatch(r"[\w-]+/[\w-]+@(v\d+|release/v\d+)", one)] == []


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_a_job_may_do_what_it_needs_and_no_more(file: Path) -> None:
    workflow = read(file)
    assert workflow["permissions"] == {}
    granted = {
        (name, right)
        for name, job in workflow["jobs"].items()
        for right, level in job["permissions"].items()
        if level != "read"
    }
    for_release = {("attest", "id-token"), ("attest", "attestations"), ("publish", "id-token")}
    assert granted == (for_release if file.name == "release.yml" else set())


def test_what_has_rights_runs_nothing_that_a_package_brings() -> None:
    """A wheel is installed and run in jobs that may neither sign nor publish."""
    jobs = read(REPO / ".github" / "workflows" / "release.yml")["jobs"]
    for name in ("attest", "publish"):
        assert not [step for step in jobs[name]["steps"] if re.search(r"pip|python|rsitr", step.get("run", ""))]
    assert [jobs[name].get("needs") for name in ("build", "try", "attest", "publish")] == [
        None,
        "build",
        "try",
        "attest",
    ]


def test_pythons_are_those_that_the_package_promises(project: dict[str, Any]) -> None:
    jobs = {file.name: read(file)["jobs"] for file in WORKFLOWS}
    assert set(jobs["release.yml"]["try"]["strategy"]["matrix"]["python"]) == promised(project)
    tried = jobs["ci.yml"]["installed"]
    assert set(tried["strategy"]["matrix"]["python"]) == promised(project) | CANDIDATES
    least = min(promised(project), key=Version)
    assert project["project"]["requires-python"] == f">={least}"
    assert project["tool"]["ruff"]["target-version"] == f"py{least.replace('.', '')}"
    for candidate in CANDIDATES:
        assert f"matrix.python == '{candidate}'" in tried["continue-on-error"]


def test_a_release_is_built_with_versions_that_the_project_takes(project: dict[str, Any]) -> None:
    pinned = [
        Requirement(line) for line in (REPO / "packaging/requirements.txt").read_text().splitlines() if "==" in line
    ]
    assert [one.name for one in pinned] == ["check-wheel-contents", "hatchling", "twine"]
    bounds = [Requirement(one) for one in project["project"]["optional-dependencies"]["dev"]]
    for one in pinned:
        (exact,) = one.specifier
        (bound,) = [other for other in bounds if other.name == one.name]
        assert bound.specifier.contains(exact.version)


def test_zizmor_finds_nothing() -> None:
    zizmor = shutil.which("zizmor", path=str(Path(sys.executable).parent))
    assert zizmor is not None
    done = subprocess.run(
        [zizmor, "--offline", "--no-progress", "--persona", "pedantic", "--strict-collection", ".github"],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No findings" in done.stdout
