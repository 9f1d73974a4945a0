"""Data sets by name, from where they are given or found; and the pictures of several, for a training."""

from __future__ import annotations

from pathlib import Path

import pytest

from generators import write_karpathy_dataset
from rsitr.data import load_dataset
from rsitr.data.collection import find_data_root, load_collection, load_sets
from rsitr.errors import ConfigError


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
    assert found.captions_by_set == {"ucm": [text for image in dataset.split("train") for text in image.captions]}
    with pytest.raises(ConfigError, match="tiny trains on rsicd, not on ucm"):
        load_sets(["rsicd"], given=[dataset], root=tmp_path, user="tiny")
