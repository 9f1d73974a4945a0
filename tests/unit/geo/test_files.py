from __future__ import annotations

from pathlib import Path

import pytest

from rsitr.errors import SceneError
from rsitr.geo import count_passed_over, find_scenes


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


def test_links_are_followed_once_and_not_around(tmp_path: Path) -> None:
    touch(tmp_path, "archive/own/a.tif", "disk/b.tif", "disk/deep/c.tif", "beside.tif")
    links = {"z_disk": "disk", "z_own": "archive/own", "z_self": "archive", "z_up": "", "a_deep": "disk/deep"}
    for name, target in links.items():
        (tmp_path / "archive" / name).symlink_to(tmp_path / target)
    (tmp_path / "disk" / "back").symlink_to(tmp_path / "archive")
    found = [path.relative_to(tmp_path / "archive").as_posix() for path in find_scenes([tmp_path / "archive"])]
    assert found == ["a_deep/c.tif", "own/a.tif", "z_disk/b.tif"]


def test_what_folders_are_passed_over_for_is_counted(tmp_path: Path) -> None:
    touch(tmp_path, "a.tif", "a.tif.aux.xml", "a.tfw", "b.GIF", "c.gif", "d/e.nc", "README", "._x.gif", "f.tif.ovr")
    touch(tmp_path, "an.index/rsitr-index.json", "an.index/tiles.lance/x.lance", "an.index/shown.png")
    assert count_passed_over([tmp_path, tmp_path / "b.GIF"]) == {".gif": 2, ".nc": 1, "without an ending": 1}
    assert find_scenes([tmp_path]) == [tmp_path / "a.tif"]


def test_what_may_be_gone_is_no_error(tmp_path: Path) -> None:
    touch(tmp_path, "a.tif", "empty/notes.txt")
    inputs = [tmp_path / "gone", tmp_path / "empty", tmp_path / "a.tif"]
    assert find_scenes(inputs, may_be_gone=True) == [tmp_path / "a.tif"]
