"""An index where nothing can be written is searched and served all the same; what has to write says so."""

from __future__ import annotations

import errno
import io
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from fakes import ColourEncoder
from rsitr.errors import StoreError
from rsitr.search import Index, Mark
from rsitr.service import ServiceSettings, create_app

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


@pytest.fixture
def read_only(index_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the index on what behaves like a mount that can only be read, also for root."""
    folder = tmp_path / "mounted"
    shutil.copytree(index_path, folder)
    shutil.copytree(index_path.parent / "scenes", tmp_path / "scenes")
    for kept in folder.glob("reference-captions*"):
        kept.unlink()

    def guard(function: Callable[..., Any], *, writes: Callable[..., bool]) -> Callable[..., Any]:
        def guarded(path: Any, *args: Any, **kwargs: Any) -> Any:
            inside = isinstance(path, str | os.PathLike) and Path(path).absolute().is_relative_to(folder)
            if inside and writes(*args, **kwargs):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
            return function(path, *args, **kwargs)

        return guarded

    always = ("mkdir", "unlink", "remove", "rmdir", "rename", "replace", "chmod", "utime")
    for name in always:
        monkeypatch.setattr(os, name, guard(getattr(os, name), writes=lambda *_, **__: True))
    monkeypatch.setattr(os, "open", guard(os.open, writes=lambda flags, *_, **__: bool(flags & WRITING)))
    monkeypatch.setattr(io, "open", guard(io.open, writes=lambda mode="r", *_, **__: bool(set(mode) & set("wax+"))))
    with pytest.raises(OSError, match="Read-only"):
        (folder / "probe").write_text("x")
    return folder


def test_it_is_searched(read_only: Path, encoder: ColourEncoder) -> None:
    found = Index.open(read_only, encoder=encoder).search("red", k=3)
    assert found.relevance is not None
    assert found.matches
    assert not list(read_only.glob("*reference*"))


def test_it_is_served(read_only: Path, encoder: ColourEncoder) -> None:
    settings = ServiceSettings(index=read_only, rate_per_s=0)
    app = create_app(settings, index=Index.open(read_only, encoder=encoder))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        deadline = time.monotonic() + 60
        while client.get("/api/health").json()["status"] == "warming" and time.monotonic() < deadline:
            time.sleep(0.01)
        assert client.get("/api/health").json()["status"] == "ready"
        assert len(client.get("/api/search", params={"q": "red", "k": 3}).json()["hits"]) == 3


def test_learning_says_that_nothing_can_be_written(read_only: Path, encoder: ColourEncoder) -> None:
    index = Index.open(read_only, encoder=encoder)
    found = index.search("red", k=2)
    with pytest.raises(StoreError, match=r"cannot be written .*Read-only file system"):
        index.learn("red", query=found.query, marks=[Mark(found.hits[0].tile.tile, True)])
