from __future__ import annotations

from pathlib import Path

import pytest

from rsitr.errors import SceneError
from rsitr.geo import find_scenes


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_folders_are_searched_through_and_sorted(tmp_path: Path) -> None:
    touch(tmp_path, "b/z.TIF", "b/a.jpeg", "a.png", "notes.txt", "b/a.tif.aux.xml", "._a.tif", "c/deep/x.jp2")
    found = [path.relative_to(tmp_path).as_posix() for path in find_scenes([tmp_path])]
    assert found == ["a.png", "b/a.jpeg", "b/z.TIF", "c/deep/x.jp2"]


def test_named_files_may_be_called_anything_and_count_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "scene.dat", "a.tif")
    monkeypatch.chdir(tmp_path)
    found = find_scenes([Path("scene.dat"), Path(), tmp_path / "a.tif"])
    assert found == [tmp_path / "scene.dat", tmp_path / "a.tif"]


def test_all_missing_inputs_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "a.tif")
    with pytest.raises(SceneError, match=r"no such file or folder: .*nope\.tif, .*gone"):
        find_scenes([tmp_path / "a.tif", tmp_path / "nope.tif", tmp_path / "gone"])


def test_a_folder_without_images_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path, "notes.txt")
    with pytest.raises(SceneError, match=r"no images in this folder \(.*\.tif"):
        find_scenes([tmp_path])
