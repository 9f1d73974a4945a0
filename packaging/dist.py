"""Builds what a release hands out, and checks it: `python packaging/dist.py [FOLDER]`, or `make dist`.

The source distribution and the wheel carry the time of the last commit, so that the same commit gives the same bytes
wherever it is built (by the same Python: another zlib may pack otherwise). A second wheel is built from the unpacked
source distribution, in another folder, and must equal the first one.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SUMS = "SHA256SUMS"
# What a wheel is nothing without; the page is missing where Node was.
NEEDED = (
    r"rsitr/py\.typed",
    r"rsitr/configs/.+\.yaml",
    r"rsitr/models/weights/lookout/model\.safetensors",
    r"rsitr/service/static/index\.html",
    r"rsitr/service/static/licenses\.txt",
    r"rsitr-[^/]+\.dist-info/licenses/LICENSE",
    r"rsitr-[^/]+\.dist-info/sboms/rsitr\.cdx\.json",
)
FOREIGN = re.compile(r"(^|/)(__pycache__|node_modules|tests|\.[^/]+)(/|$)|\.(pyc|part|lock)$")


class DistError(Exception):
    """What was built must not be handed out, and why."""


def main(folder: Path) -> None:
    """Build into a folder, in place of an earlier version's files there; raises DistError."""
    environment = {**os.environ, "SOURCE_DATE_EPOCH": find_epoch()}
    folder.mkdir(parents=True, exist_ok=True)
    for old in [*folder.glob("rsitr-*.whl"), *folder.glob("rsitr-*.tar.gz"), folder / SUMS]:
        old.unlink(missing_ok=True)
    build(ROOT, folder, "sdist", "wheel", environment=environment)
    (sdist,), (wheel,) = folder.glob("rsitr-*.tar.gz"), folder.glob("rsitr-*.whl")
    check_names(wheel)
    with tempfile.TemporaryDirectory(prefix="rsitr-dist-") as scratch:
        unpack(sdist, Path(scratch))
        build(next(Path(scratch).iterdir()), Path(scratch) / "dist", "wheel", environment=environment)
        compare(wheel, Path(scratch) / "dist" / wheel.name)
    run("twine", "check", "--strict", str(sdist), str(wheel))
    run("check_wheel_contents", str(wheel))
    (folder / SUMS).write_text("".join(f"{digest(file)}  {file.name}\n" for file in (wheel, sdist)), encoding="utf-8")
    print((folder / SUMS).read_text(encoding="utf-8"), end="")


def unpack(sdist: Path, into: Path) -> None:
    """Unpack a source distribution of our own; Python before 3.11.4 knows no filters."""
    with tarfile.open(sdist) as archive:
        if hasattr(tarfile, "data_filter"):
            archive.extractall(into, filter="data")
        else:
            archive.extractall(into)


def find_epoch() -> str:
    """The time that everything in the archives carries: SOURCE_DATE_EPOCH, or the last commit's."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given:
        return given
    git = shutil.which("git")
    if git is None:
        raise DistError("there is no git to ask for the time of the last commit: set SOURCE_DATE_EPOCH")
    said = subprocess.run([git, "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=False)
    if said.returncode != 0:
        raise DistError("this is no clone, so there is no time of a last commit: set SOURCE_DATE_EPOCH")
    changed = subprocess.run([git, "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=True)
    if changed.stdout:
        print("This tree differs from its last commit, so a build from that commit will differ from this one:")
        print(changed.stdout, end="")
    return said.stdout.strip()


def build(root: Path, folder: Path, *targets: str, environment: dict[str, str]) -> None:
    """Build targets of the tree in `root` by its build hook, as pip would."""
    named = [word for target in targets for word in ("-t", target)]
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", *named, "-d", str(folder)],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0 or "was not built" in done.stdout + done.stderr:
        raise DistError(f"the build in {root} failed:\n{done.stdout}{done.stderr}".strip())


def check_names(wheel: Path) -> None:
    """What must be in a wheel is, and what must not is not."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    missing = [pattern for pattern in NEEDED if not any(re.fullmatch(pattern, name) for name in names)]
    foreign = [name for name in names if FOREIGN.search(name) or not re.match(r"rsitr(-[^/]+\.dist-info)?/", name)]
    if missing or foreign:
        raise DistError(
            f"{wheel.name}: lacks {missing or 'nothing'}, and has {foreign or 'nothing'} that is not its own"
        )


def compare(wheel: Path, other: Path) -> None:
    """Two wheels are equal byte for byte, or it is told which of their files differ."""
    if digest(wheel) == digest(other):
        return
    with zipfile.ZipFile(wheel) as first, zipfile.ZipFile(other) as second:
        sums = [{info.filename: (info.CRC, info.external_attr) for info in one.infolist()} for one in (first, second)]
    unlike = sorted(name for name in sums[0].keys() | sums[1].keys() if sums[0].get(name) != sums[1].get(name))
    raise DistError(
        f"the wheel of the source distribution differs from the tree's: {unlike or 'times, or their order'}"
    )


def digest(file: Path) -> str:
    """SHA-256 of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def run(module: str, *words: str) -> None:
    """Run a checker as a module of this Python; what it says is shown where it finds something."""
    done = subprocess.run([sys.executable, "-m", module, *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise DistError(f"{module} found something:\n{done.stdout}{done.stderr}".strip())
    print(f"{module}: nothing found")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "dist"))
    except DistError as error:
        sys.exit(f"error: {error}")
