"""Data sets by name, from where they are given or found; and the pictures of several, for a training."""

from __future__ import annotations

from pathlib import Path

import pytest

from generators import write_karpathy_dataset
from rsitr.data import load_dataset
from rsitr.data.collection import find_data_root, load_collection, load_sets, look_through
from rsitr.errors import ConfigError, DataError


def test_the_data_root_is_what_was_given_or_named_or_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    monkeypatch.delenv("RSITR_DATA", raising=False)
    assert find_data_root(None) is None
    (tmp_path / "shared" / "data").mkdir(parents=True)
    assert find_data_root(None) == Path("../shared/data")
    (tmp_path / "deep" / "data").mkdir()
    assert find_data_root(None) == Path("data")
    monkeypatch.setenv("RSITR_DATA", "named")
    assert find_data_root(None) == Path("named")
    assert find_data_root(Path("given")) == Path("given")


def test_a_data_set_may_be_handed_in_as_an_object(tmp_path: Path) -> None:
    write_karpathy_dataset(tmp_path / "ucm", name="ucm", n_images=6)
    dataset = load_dataset(f"ucm:{tmp_path / 'ucm'}")
    assert load_sets(["ucm"], given=[dataset], root=None, user="tiny") == [dataset]
    found = load_collection(["ucm"], given=[dataset], root=None, user="tiny")
    assert found.data_sha256 == {"ucm": dataset.sha256}
    assert found.captions_by_set == {"ucm": [image.captions for image in dataset.split("train")]}
    with pytest.raises(ConfigError, match="tiny trains on rsicd, not on ucm"):
        load_sets(["rsicd"], given=[dataset], root=tmp_path, user="tiny")


def restval(root: Path) -> Path:
    """UCM-Captions with pictures 4, 5, 10 and 11 in a split of their own, as COCO's are."""
    splits = ("train", "train", "val", "test", "restval", "restval")
    write_karpathy_dataset(root / "ucm", name="ucm", n_images=12, splits=splits)
    return root


def test_other_splits_are_trained_on_where_they_are_named(tmp_path: Path) -> None:
    root = restval(tmp_path)
    plain = load_collection(["ucm"], root=root, user="tiny")
    assert len(plain.training) == 4
    assert plain.notes == ("ucm: 4 images of the split restval are not used; --splits train,restval trains on them",)
    found = load_collection(["ucm"], root=root, user="tiny", splits=("train", "RestVal"))
    assert [image.split for image in found.training] == ["train", "train", "restval", "restval"] * 2
    assert found.notes == ()
    assert len(found.captions_by_set["ucm"]) == len(found.training)
    assert found.validation == plain.validation
    unique = look_through(found, duplicates="drop")
    assert {image.split for image in unique.training} == {"train", "restval"}
    assert {image.split for image in look_through(plain, duplicates="drop").training} == {"train"}
    alone = load_collection(["ucm"], root=root, user="tiny", splits=("restval",))
    assert {image.split for image in alone.training} == {"restval"}


@pytest.mark.parametrize("split", ["val", "test", "Validation"])
def test_what_measures_is_never_trained_on(tmp_path: Path, split: str) -> None:
    with pytest.raises(ConfigError, match="is for measuring"):
        load_collection(["ucm"], root=restval(tmp_path), user="tiny", splits=("train", split))


def test_a_split_that_no_data_set_has_is_refused(tmp_path: Path) -> None:
    root = restval(tmp_path)
    with pytest.raises(DataError, match=r"no data set has a split 'trian'; there are train, val, test, restval"):
        load_collection(["ucm"], root=root, user="tiny", splits=("trian",))
    write_karpathy_dataset(root / "sydney", name="sydney", n_images=6)
    both = load_collection(["ucm", "sydney"], root=root, user="tiny", splits=("train", "restval"))
    assert {image.image_id.partition("/")[0] for image in both.training} == {"ucm", "sydney"}
    with pytest.raises(DataError, match="sydney has no split 'restval'"):
        load_collection(["ucm", "sydney"], root=root, user="tiny", splits=("restval",))
