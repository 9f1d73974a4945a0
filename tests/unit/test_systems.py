"""What other systems do otherwise: Windows' paths, drives, locks and code pages; names whose case is nothing.

Their rules are tried here as far as they can be without them: with Windows' own path functions, which Python has on
every system, or with the one call that differs there taken away.
"""

from __future__ import annotations

import ast
import io
import ntpath
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PureWindowsPath
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import rsitr
from rsitr.cli.app import _write_anything
from rsitr.errors import QueryError, StoreError
from rsitr.files import common_folder, locked, name_from
from rsitr.geo.stac import _local_path
from rsitr.index import cache
from rsitr.index.budget import GUESSED_BYTES, MEMORY_VARIABLE, find_budget
from rsitr.index.folder import LOCK, clear_index, is_index, writing
from rsitr.index.manifest import MANIFEST
from rsitr.search import Detector, shelf
from rsitr.search.detectors import list_detectors, load_detector, rename_detector, save_detector
from rsitr.service.errors import hide_paths

REPO = Path(__file__).resolve().parents[2]
SOURCE = Path(rsitr.__file__).parent
POSIX_ONLY = {"crypt", "fcntl", "grp", "nis", "posix", "pty", "pwd", "resource", "spwd", "syslog", "termios", "tty"}
NOT_IN_NAMES = re.compile(r'[<>:"|?*\\]|[. ]$')


def imported(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name.partition(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return {node.module.partition(".")[0]}
    return set()


def unguarded(tree: ast.Module) -> Iterator[str]:
    """Modules that a module imports wherever it is imported itself, or without minding that they may be missing."""
    guarded = {
        id(inner)
        for node in ast.walk(tree)
        if (isinstance(node, ast.With) and "suppress(ImportError" in ast.unparse(node.items[0]))
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) not in guarded:
            yield from imported(node)


def test_nothing_is_imported_that_only_posix_has() -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(SOURCE.rglob("*.py"))}
    named = re.compile(rf"^\s*(?:import|from)\b.*\b(?:{'|'.join(POSIX_ONLY)})\b", re.MULTILINE)
    suspects = {path: text for path, text in texts.items() if named.search(text)}
    assert SOURCE / "geo" / "given.py" in suspects  # which limits its memory where that can be done
    found = {
        path.relative_to(SOURCE).as_posix(): wrong
        for path, text in suspects.items()
        if (wrong := POSIX_ONLY & set(unguarded(ast.parse(text))))
    }
    assert found == {}


@pytest.mark.parametrize("top", ["src", "tests", "docs", "benchmarks", "packaging", "qgis", "web/src"])
def test_a_clone_can_be_checked_out_on_windows_and_macos(top: str) -> None:
    names = [path.relative_to(REPO).as_posix() for path in (REPO / top).rglob("*")]
    names = [name for name in names if "__pycache__" not in name and "/static/" not in name]
    assert names
    parts = {part for name in names for part in name.split("/")}
    assert [part for part in sorted(parts) if NOT_IN_NAMES.search(part)] == []
    assert [part for part in sorted(parts) if part.partition(".")[0].casefold() in shelf.RESERVED] == []
    assert len({name.casefold() for name in names}) == len(names), "two names differ by the case of their letters alone"


@pytest.mark.parametrize(
    ("path", "folder", "name"),
    [
        (r"C:\archive\2016\scene.tif", r"C:\archive", "2016/scene.tif"),
        (r"C:\archive\scene.tif", r"C:\indexes\a.index", "../../archive/scene.tif"),
        (r"c:\Archive\scene.tif", r"C:\archive", "scene.tif"),
        (r"D:\archive\scene.tif", r"C:\archive", "D:/archive/scene.tif"),
        (r"\\server\share\scene.tif", r"C:\archive", "//server/share/scene.tif"),
    ],
)
def test_names_in_an_index_made_on_windows_have_slashes(
    path: str, folder: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os.path, "relpath", ntpath.relpath)
    found = name_from(PureWindowsPath(path), folder=PureWindowsPath(folder))
    assert found == name
    # And lead back to the file, also from a folder on another drive.
    assert ntpath.normcase(ntpath.normpath(PureWindowsPath(folder) / found)) == ntpath.normcase(path)


def test_scenes_on_two_drives_have_the_first_ones_folder_for_a_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "commonpath", ntpath.commonpath)
    folders: list[Any] = [PureWindowsPath(r"D:\2016\05"), PureWindowsPath(r"C:\archive")]
    assert common_folder(folders) == folders[0]
    assert str(common_folder([folders[0], PureWindowsPath(r"D:\2016\06")])) == r"D:\2016"  # type: ignore[list-item]


def test_file_addresses_with_a_drive_name_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(_local_path("file:///data/a%20b.tif")) == "/data/a b.tif"
    monkeypatch.setattr(sys, "platform", "win32")
    assert str(_local_path("file:///C:/data/a%20b.tif")) == "C:/data/a b.tif"
    assert str(_local_path("file://localhost/C:/data/a.tif")) == "C:/data/a.tif"


def test_messages_over_http_lose_folders_of_windows_in_either_spelling(monkeypatch: pytest.MonkeyPatch) -> None:
    class Resolved(PureWindowsPath):
        def resolve(self) -> Resolved:
            return self

    index: Any = SimpleNamespace(path=Resolved(r"C:\secret\a.index"), root=Resolved(r"D:\scenes"), name="a")
    monkeypatch.setattr(os, "sep", "\\")
    assert hide_paths(r"cannot read D:\scenes\x.tif of C:\secret\a.index", index) == "cannot read x.tif of a"
    assert hide_paths("D:/scenes/x.tif, C:/secret/a.index/tiles.lance", index) == "x.tif, tiles.lance"


def test_memory_is_guessed_where_the_system_has_another_way_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MEMORY_VARIABLE, raising=False)
    monkeypatch.delattr(os, "sysconf")
    assert 0 < find_budget() <= GUESSED_BYTES // 2


def test_an_index_is_held_against_other_processes(tmp_path: Path) -> None:
    code = (
        # As `writing` does, without its imports.
        "import sys; from pathlib import Path; from rsitr.files import locked\n"
        f"with locked(Path({str(tmp_path / LOCK)!r})):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(StoreError, match="another process is writing this index"), writing(tmp_path):
            pass
        other.kill()  # the system lets go, however a process ends
    with (
        writing(tmp_path),
        pytest.raises(StoreError, match="busy"),
        locked(tmp_path / LOCK, busy="busy", error=StoreError),
    ):
        pass


def test_an_index_is_taken_away_while_its_lock_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows removes no file that is open."""
    folder, unlink = tmp_path / "a.index", Path.unlink

    def unlink_closed(path: Path, missing_ok: bool = False) -> None:
        if path.name == LOCK:
            raise PermissionError(13, "The process cannot access the file because it is being used by another process")
        unlink(path, missing_ok=missing_ok)

    folder.mkdir()
    (folder / MANIFEST).write_text("{}")
    (folder / LOCK).touch()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", unlink_closed)
        clear_index(folder)
    assert [entry.name for entry in folder.iterdir()] == [LOCK]
    assert not is_index(folder)  # and so takes a new one
    clear_index(folder)
    assert not folder.exists()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="the system does not tell what is mapped")
def test_kept_tiles_are_moved_into_place_with_no_file_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows moves no folder with a file in it that is mapped."""
    rows = pa.table({"tile": ["a", "b"]})
    mapped: list[bool] = []
    move = Path.replace

    def watch(part: Path, place: Path) -> Path:
        mapped.append(str(part) in Path("/proc/self/maps").read_text(encoding="utf-8"))
        return move(part, place)

    def read(_table: object, *, into: np.ndarray[Any, Any], count: object) -> pa.Table:
        into[:] = 1
        mapped.append(str(tmp_path) in Path("/proc/self/maps").read_text(encoding="utf-8"))
        return rows

    monkeypatch.setattr(cache, "_shape", lambda _table: (2, 1024))
    monkeypatch.setattr(cache, "_read", read)
    monkeypatch.setattr(Path, "replace", watch)
    cache._make(None, tmp_path / cache.CACHE / "1-float32", precision="float32", count=abs)
    assert mapped == [True, False]
    assert np.load(tmp_path / cache.CACHE / "1-float32" / cache.MATRIX).tolist() == np.ones((2, 1024)).tolist()


def detector(name: str) -> Detector:
    return Detector(name=name, query="tanks", fingerprint="f", weights=(1.0, 0.0), bias=0.0)


@pytest.mark.parametrize("name", ["aux", "CON", "com1", "nul "])
def test_a_detector_is_not_called_as_a_device_of_windows(tmp_path: Path, name: str) -> None:
    with pytest.raises(QueryError, match=r"cannot name a detector: no file has that name on Windows"):
        save_detector(tmp_path, detector(name))
    assert list_detectors(tmp_path) == []


def test_detectors_are_not_told_apart_by_the_case_of_letters(tmp_path: Path) -> None:
    save_detector(tmp_path, detector("tanks"))
    with pytest.raises(QueryError, match=r"there is a detector 'tanks', and on some systems 'Tanks' is the same file"):
        save_detector(tmp_path, detector("Tanks"))
    save_detector(tmp_path, replace(detector("tanks"), query="storage tanks"))  # it may well learn on
    assert load_detector(tmp_path, "tanks").query == "storage tanks"


@pytest.mark.parametrize("ignores_case", [False, True])
def test_a_detector_is_renamed_by_the_case_of_its_letters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ignores_case: bool
) -> None:
    save_detector(tmp_path, detector("tanks"))
    if ignores_case:
        path = shelf.Shelf.path
        monkeypatch.setattr(shelf.Shelf, "path", lambda self, folder, name: path(self, folder, name.casefold()))
    assert rename_detector(tmp_path, "tanks", "Tanks").name == "Tanks"
    assert load_detector(tmp_path, "Tanks").name == "Tanks"
    assert len(list_detectors(tmp_path)) == 1


def test_a_name_that_the_code_page_lacks_ends_no_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from rsitr.cli.app import run; run()", "info", "архив.index"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "cp1252"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    assert rb"\u0430\u0440\u0445\u0438\u0432.index: no such index" in done.stderr


@pytest.mark.parametrize(
    ("platform", "named", "written"),
    [
        ("linux", None, b"{'name': '\\u0430\xe9'}"),
        ("win32", None, "{'name': 'аé'}".encode()),
        ("win32", "cp1252", b"{'name': '\\u0430\xe9'}"),
    ],
)
def test_what_windows_writes_into_files_and_pipes_is_utf_8(
    monkeypatch: pytest.MonkeyPatch, platform: str, named: str | None, written: bytes
) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="cp1252", errors="strict", newline="")
    if named is None:
        monkeypatch.delenv("PYTHONIOENCODING", raising=False)
    else:
        monkeypatch.setenv("PYTHONIOENCODING", named)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", platform)
        _write_anything(stream)
    stream.write("{'name': 'аé'}")
    stream.flush()
    assert raw.getvalue() == written
