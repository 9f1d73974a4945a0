from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fakes import COLOURS, ColourEncoder
from rsitr.index import ingest
from rsitr.search import Index, RankingSettings

QUARTERS = {
    "red": ("red", "red", "red", "red"),
    "mostly-red": ("red", "red", "red", "blue"),
    "half": ("red", "red", "green", "green"),
    "green": ("green", "green", "green", "green"),
    "blue": ("blue", "blue", "blue", "blue"),
}


@pytest.fixture
def index(tmp_path: Path, encoder: ColourEncoder) -> Index:
    """Pictures of one tile each, of four coloured quarters."""
    folder = tmp_path / "scenes"
    folder.mkdir()
    for name, colours in QUARTERS.items():
        quarters = np.array([COLOURS[colour] for colour in colours], dtype=np.uint8).reshape(2, 2, 3)
        Image.fromarray(quarters.repeat(32, axis=0).repeat(32, axis=1)).save(folder / f"{name}.png")
    ingest([folder], into=tmp_path / "index", encoder=encoder)
    return Index.open(tmp_path / "index", encoder=encoder)


def names(result: object) -> list[str]:
    return [Path(hit.tile.scene).stem for hit in result]  # type: ignore[attr-defined]


def test_what_shows_the_unwanted_goes_down_and_nothing_else_moves(index: Index) -> None:
    plain, less = index.search("red", k=5), index.search("red", minus="green", k=5)
    assert names(plain)[:3] == ["red", "mostly-red", "half"]
    assert names(less)[:3] == names(plain)[:3], "of what shows nothing unwanted the order stays"
    unmoved = {hit.tile.scene: hit for hit in plain}
    for hit in less.hits[:2]:
        assert hit.score == pytest.approx(unmoved[hit.tile.scene].score), "the score is the wanted words' own"
        assert hit.relevance == pytest.approx(unmoved[hit.tile.scene].relevance)
    assert index.search("green").state == "matches"
    assert index.search("green", minus="green").state == "nothing", "all that is green is unwanted"


def test_percentages_keep_the_order(index: Index) -> None:
    found = index.search("red", minus=["green", "blue"], k=5)
    told = [hit.relevance or 0.0 for hit in found]
    assert told == sorted(told, reverse=True)
    assert found.sorted_by == "relevance"
    assert [stage.name for stage in found.stages] == ["global", "relevance"]
    assert all(len(stage.scores) == len(found) for stage in found.stages)


def test_more_is_looked_at_where_most_is_unwanted(
    index: Index, monkeypatch: pytest.MonkeyPatch, encoder: ColourEncoder
) -> None:
    monkeypatch.setattr("rsitr.search.unwanted.FIRST", 1)
    monkeypatch.setattr("rsitr.search.unwanted.GROWTH", 2)
    monkeypatch.setattr("rsitr.search.answering.JUDGED", 1)
    assert index.search("red", minus="green", k=1).stages[1].note == ""
    monkeypatch.setattr("rsitr.search.unwanted.SHOWS", 1.1)
    assert index.search("red", minus="green", k=1).stages[1].note == "", "all that there are were looked at"
    monkeypatch.setattr("rsitr.search.unwanted.MOST", 3)
    assert index.search("red", minus="green", k=1).stages[1].note == (
        "most of the 3 tiles that fit best show what is not wanted; no more were looked at"
    )


def test_without_a_calibration_or_with_a_re_ranking_vectors_are_subtracted(
    index: Index, encoder: ColourEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    reranked = index.search("red", minus="green", k=3, ranking=RankingSettings(rerank="sar:k=2"))
    assert "relevance" not in [stage.name for stage in reranked.stages]
    monkeypatch.setattr(encoder, "calibration", None)
    plain = Index.open(index.path, encoder=encoder).search("red", minus="green", k=3)
    assert [stage.name for stage in plain.stages] == ["global"]
    assert names(plain)[0] == "red"
