"""What a release hands out: the same bytes from the same sources, nothing foreign, all that travels accounted for.

The trees that are built here have the heads of the weights in their place, since packing 80 MB takes longer than all
the rest; `make dist` does the same with everything.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder
from packaging.metadata import Metadata

REPO = Path(__file__).resolve().parents[2]
TOPS = ("hatch_build.py", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "packaging", "src", "web")
EPOCH = 1_700_000_000  # 2023-11-14 22:13:20 UTC
HEAD = 4096
PATH = os.environ["PATH"]


def load(name: str) -> ModuleType:
    """A script of packaging/, which is no part of the package."""
    spec = importlib.util.spec_from_file_location(f"packaging_{name}", REPO / "packaging" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


dist, sbom = load("dist"), load("sbom")


def copy_head(source: str, target: str) -> None:
    with Path(source).open("rb") as file:
        Path(target).write_bytes(file.read(HEAD if source.endswith(".safetensors") else -1))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository with its page built, as it is on a machine of ours."""
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "--hooks-only"],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    root = tmp_path_factory.mktemp("one") / "rsitr"
    root.mkdir()
    for top in TOPS:
        if (REPO / top).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "node_modules")
            shutil.copytree(REPO / top, root / top, ignore=ignored, copy_function=copy_head)
        else:
            shutil.copyfile(REPO / top, root / top)
    (root / "tests").mkdir()
    (root / "tests" / "test_nothing.py").write_text("# no part of a wheel\n")
    return root


@pytest.fixture(scope="module")
def other(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same tree elsewhere, as another person has it: other times and permissions, written in another order."""
    root = tmp_path_factory.mktemp("another place") / "somewhere deeper" / "checkout"
    for file in sorted(tree.rglob("*"), reverse=True):
        if file.is_file():
            target = root / file.relative_to(tree)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
            target.chmod(0o600)
            os.utime(target, (1_000_000_000, 1_000_000_000))
    return root


@pytest.fixture(scope="module")
def without_node() -> Iterator[None]:
    """A machine on which no program is found, so that nothing can be built but from what the tree has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "")
        patch.setenv("SOURCE_DATE_EPOCH", str(EPOCH))
        yield


def build_wheel(root: Path, folder: Path) -> Path:
    (made,) = WheelBuilder(str(root)).build(directory=str(folder), versions=["standard"])
    return Path(made)


def build_sdist(root: Path, folder: Path) -> Path:
    (made,) = SdistBuilder(str(root)).build(directory=str(folder), versions=["standard"])
    return Path(made)


@pytest.fixture(scope="module")
def wheel(tree: Path, without_node: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tree, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tree: Path, without_node: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_sdist(tree, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def bill(wheel: Path) -> dict[str, Any]:
    """The bill of materials in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/sboms/rsitr.cdx.json")]
        found: dict[str, Any] = json.loads(archive.read(name))
    return found


def test_two_builds_in_two_places_are_equal_byte_for_byte(
    wheel: Path, sdist: Path, other: Path, tmp_path: Path
) -> None:
    before = os.umask(0o077)
    try:
        again = build_wheel(other, tmp_path), build_sdist(other, tmp_path)
    finally:
        os.umask(before)
    assert [file.name for file in again] == [wheel.name, sdist.name]
    dist.compare(wheel, again[0])
    assert again[0].read_bytes() == wheel.read_bytes()
    assert again[1].read_bytes() == sdist.read_bytes()


def test_a_changed_file_is_told_by_its_name(wheel: Path, other: Path, tmp_path: Path) -> None:
    changed = tmp_path / wheel.name
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(changed, "w") as target:
        for info in source.infolist():
            target.writestr(info, source.read(info) + (b"#" if info.filename == "rsitr/version.py" else b""))
    with pytest.raises(dist.DistError, match=r"differs from the tree's: \['rsitr/version.py'\]"):
        dist.compare(wheel, changed)


def test_the_source_distribution_gives_the_same_wheel_without_node(wheel: Path, sdist: Path, tmp_path: Path) -> None:
    dist.unpack(sdist, tmp_path)
    (root,) = tmp_path.iterdir()
    assert build_wheel(root, tmp_path / "dist").read_bytes() == wheel.read_bytes()


def test_archives_carry_the_time_they_are_given(wheel: Path, sdist: Path, bill: dict[str, Any]) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert {info.date_time for info in archive.infolist()} == {(2023, 11, 14, 22, 13, 20)}
    with tarfile.open(sdist) as packed:
        assert {member.mtime for member in packed.getmembers()} == {EPOCH}
    assert bill["metadata"]["timestamp"] == "2023-11-14T22:13:20Z"


def test_the_wheel_has_what_it_needs_and_nothing_foreign(wheel: Path) -> None:
    dist.check_names(wheel)
    with zipfile.ZipFile(wheel) as archive:
        assert not [name for name in archive.namelist() if "test" in name.split("/")]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tests/test_a.py", "tests/test_a.py"),
        ("rsitr/__pycache__/a.cpython-311.pyc", "a.cpython-311.pyc"),
        ("rsitr/geo/.DS_Store", ".DS_Store"),
        ("other/module.py", "other/module.py"),
    ],
)
def test_what_does_not_belong_into_a_wheel_is_refused(wheel: Path, tmp_path: Path, name: str, said: str) -> None:
    spoiled = shutil.copyfile(wheel, tmp_path / wheel.name)
    with zipfile.ZipFile(spoiled, "a") as archive:
        archive.writestr(name, "")
    with pytest.raises(dist.DistError, match=re.escape(said)):
        dist.check_names(spoiled)


def test_a_wheel_without_the_page_is_refused(wheel: Path, tmp_path: Path) -> None:
    bare = tmp_path / wheel.name
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(bare, "w") as target:
        for info in source.infolist():
            if "/static/" not in info.filename:
                target.writestr(info, source.read(info))
    with pytest.raises(dist.DistError, match=r"lacks .*static/index"):
        dist.check_names(bare)


def test_the_metadata_is_valid_and_names_the_licence_once(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        read = Metadata.from_email(archive.read(name), validate=True)
    assert read.license_expression == "Apache-2.0"
    assert read.license_files == ["LICENSE"]
    assert not [one for one in read.classifiers or () if one.startswith("License ::")]  # PEP 639: one or the other
    assert read.description_content_type == "text/markdown"


def test_the_bill_of_materials_keeps_to_its_schema(bill: dict[str, Any]) -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(json.dumps(bill)) is None
    spoiled = json.loads(json.dumps(bill))
    spoiled["components"][0]["licenses"] = [{"license": {"id": "no such licence"}}]
    assert validator.validate_str(json.dumps(spoiled)) is not None


def test_the_bill_lists_the_packages_that_the_page_tells_the_licences_of(bill: dict[str, Any], tree: Path) -> None:
    told = (tree / "src/rsitr/service/static/licenses.txt").read_text(encoding="utf-8")
    heads = set(re.findall(r"^={100}\n(\S+) (\S+)\n", told, re.MULTILINE))
    listed = {
        (f"{one['group']}/{one['name']}" if "group" in one else one["name"], one["version"])
        for one in bill["components"]
        if one.get("purl", "").startswith("pkg:npm/")
    }
    assert listed == heads
    assert {"maplibre-gl", "world-atlas"} <= {name for name, _ in listed}
    refs = {one["bom-ref"] for one in bill["components"]} | {bill["metadata"]["component"]["bom-ref"]}
    assert {one["ref"] for one in bill["dependencies"]} <= refs
    assert {ref for one in bill["dependencies"] for ref in one["dependsOn"]} <= refs


def test_digests_in_the_bill_are_those_of_files_in_the_wheel(bill: dict[str, Any], wheel: Path) -> None:
    files = [file for one in bill["components"] for file in one.get("components", ())]
    with zipfile.ZipFile(wheel) as archive:
        for file in files:
            assert file["hashes"] == [
                {"alg": "SHA-256", "content": hashlib.sha256(archive.read(file["name"])).hexdigest()}
            ]
    names = {file["name"] for file in files}
    assert "rsitr/models/weights/lookout/graphs/images.onnx" in names
    assert any(re.fullmatch(r"rsitr/service/static/world-\w+\.json", name) for name in names)


def test_nothing_travels_that_the_bill_does_not_account_for(tree: Path, other: Path) -> None:
    assert sbom.list_unaccounted(tree) == []
    stray = other / "src" / "rsitr" / "geo" / "borders.bin"
    stray.write_bytes(b"?")
    try:
        assert sbom.list_unaccounted(other) == ["rsitr/geo/borders.bin"]
    finally:
        stray.unlink()


def test_terms_of_models_are_those_of_their_cards(bill: dict[str, Any]) -> None:
    told = [one for one in sbom.read_contents(REPO)["component"] if "card" in one]
    assert [one["name"] for one in told] == ["lookout", "compact"]
    for one in told:
        card = (REPO / one["card"]).read_text(encoding="utf-8")
        for ancestor in one["ancestor"]:
            (line, *_) = [part for part in re.split(r"\n\n|\n- ", card) if ancestor["name"] in part and "(" in part][
                -1:
            ]
            assert ancestor.get("license", "") in line, f"{one['card']} says otherwise of {ancestor['name']}"
        (made,) = [component for component in bill["components"] if component["name"] == one["name"]]
        (licence,) = made["licenses"]
        assert licence["license"]["text"]["content"] in card
        assert "for research" in licence["license"]["name"]


def test_the_page_is_built_from_what_the_lock_names() -> None:
    lock = json.loads((REPO / "web" / "package-lock.json").read_text(encoding="utf-8"))
    asked = json.loads((REPO / "web" / "package.json").read_text(encoding="utf-8"))
    root = lock["packages"][""]
    assert (root["dependencies"], root["devDependencies"]) == (asked["dependencies"], asked["devDependencies"])
    assert not [name for name, entry in lock["packages"].items() if "resolved" in entry], "names somebody's registry"
    locked = {(name.rpartition("node_modules/")[2], entry.get("version")) for name, entry in lock["packages"].items()}
    packages = json.loads((REPO / "src/rsitr/service/static/packages.json").read_text(encoding="utf-8"))
    assert {(one["name"], one["version"]) for one in packages} <= locked


def test_the_epoch_is_what_is_given_or_the_last_commit_of_a_clone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "12")
    assert dist.find_epoch() == "12"
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(dist.DistError, match=r"there is no git.*set SOURCE_DATE_EPOCH"):
        dist.find_epoch()
    monkeypatch.setenv("PATH", PATH)
    monkeypatch.setattr(dist, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(dist.DistError, match=r"this is no clone.*set SOURCE_DATE_EPOCH"):
        dist.find_epoch()


def test_the_builder_is_asked_for_in_the_version_that_writes_bills() -> None:
    told = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))
    (wanted,) = told["build-system"]["requires"]
    assert wanted == next(one for one in told["project"]["optional-dependencies"]["dev"] if one.startswith("hatchling"))
