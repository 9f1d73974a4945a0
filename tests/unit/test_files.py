from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import stat
import threading
from pathlib import Path

import numpy as np
import pytest

from rsitr.errors import ConfigError, StoreError
from rsitr.files import (
    fingerprint_files,
    locked,
    read_kept,
    replacing,
    require_writable,
    write_file,
    write_json,
    write_kept,
)


def test_a_file_appears_whole_with_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    old = os.umask(0o027)
    try:
        write_file(path, "zwölf\r\n")
    finally:
        os.umask(old)
    assert path.read_bytes() == "zwölf\r\n".encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_what_fails_halfway_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="halfway"):
        _write_half(path)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def _write_half(path: Path) -> None:
    with replacing(path) as part:
        part.write_text("ne")
        raise RuntimeError("halfway")


def test_a_full_disk_is_told_as_the_kind_that_was_asked_for(tmp_path: Path) -> None:
    with (
        pytest.raises(StoreError, match=r"cannot write .*a.txt: No space left"),
        replacing(tmp_path / "a.txt", error=StoreError),
    ):
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("make", "message"),
    [(lambda folder: folder, "it is a folder"), (lambda folder: folder / "none" / "a.txt", "there is no folder")],
)
def test_what_cannot_be_written_is_told_before_the_work(tmp_path: Path, make: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        require_writable(make(tmp_path))  # type: ignore[operator]


def test_json_is_for_people_too(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"river": "Fluß"})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n  "river": "Fluß"\n}\n'


def test_a_held_lock_says_so_and_a_waiting_one_comes_next(tmp_path: Path) -> None:
    path, order = tmp_path / "lock", []

    def second() -> None:
        with locked(path):
            order.append("second")

    with locked(path, busy="somebody writes"):
        with pytest.raises(StoreError, match="somebody writes"), locked(path, busy="somebody writes", error=StoreError):
            pass
        thread = threading.Thread(target=second)
        thread.start()
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def _hold(path: Path, ready: object, done: object) -> None:
    with locked(path):
        ready.set()  # type: ignore[attr-defined]
        done.wait(30)  # type: ignore[attr-defined]


def test_a_lock_holds_between_processes(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(tmp_path / "lock", ready, done))
    process.start()
    assert ready.wait(60)
    with pytest.raises(ConfigError, match="busy"), locked(tmp_path / "lock", busy="busy"):
        pass
    done.set()
    process.join()
    with locked(tmp_path / "lock", busy="busy"):
        pass


def test_a_lock_where_nothing_can_be_written_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"), locked(tmp_path / "file" / "lock", error=StoreError):
        pass


def test_what_is_kept_comes_back_only_for_what_it_depends_on(tmp_path: Path) -> None:
    path, arrays = tmp_path / "folder" / "a.safetensors", {"x": np.arange(6, dtype=np.float32).reshape(2, 3)}
    assert read_kept(path, about={"model": "a"}) is None
    assert write_kept(path, arrays, about={"model": "a"})
    found = read_kept(path, about={"model": "a"})
    assert found is not None
    np.testing.assert_array_equal(found["x"], arrays["x"])
    assert read_kept(path, about={"model": "b"}) is None
    path.write_bytes(path.read_bytes()[:-5])
    assert read_kept(path, about={"model": "a"}) is None
    (tmp_path / "file").write_text("")
    assert not write_kept(tmp_path / "file" / "a.safetensors", arrays, about={})


def test_a_fingerprint_is_that_of_the_contents_in_order(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "b").write_text(json.dumps({}))
    assert fingerprint_files(tmp_path / "a", tmp_path / "b") == hashlib.sha256(b"one{}").hexdigest()
