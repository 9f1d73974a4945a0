"""An index of four scenes, made once; a fusion model."""

from __future__ import annotations

from pathlib import Path

import pytest

from archives import write_archive
from fakes import ColourEncoder
from fusions import compact_fusion, scorer_of
from rsitr.models.compact import TRUNKS
from rsitr.models.fusion import PairScorer, save_fusion
from tiny import TinyTrunk


@pytest.fixture(scope="session")
def encoder() -> ColourEncoder:
    return ColourEncoder(image_size_px=64)


@pytest.fixture(scope="session")
def index_path(tmp_path_factory: pytest.TempPathFactory, encoder: ColourEncoder) -> Path:
    return write_archive(tmp_path_factory.mktemp("archive"), encoder)


@pytest.fixture
def fusion(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> PairScorer:
    """A fusion model; its checkpoint is `fusion` in the test's folder."""
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    scorer = scorer_of(compact_fusion())
    save_fusion(tmp_path / "fusion", scorer.model, name="tiny", vocabulary=scorer.vocabulary, training={})
    return scorer
