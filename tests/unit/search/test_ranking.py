"""Ranking in stages, through an index."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from fakes import COLOURS, ColourEncoder
from rsitr.errors import ConfigError, ModelError, QueryError, StoreError
from rsitr.models.fusion import PairScorer
from rsitr.search import Index, Part, RankingSettings
from rsitr.search.references import CAPTIONS
from rsitr.types import EncodedTexts, Mixture


@pytest.fixture
def index(index_path: Path, encoder: ColourEncoder) -> Index:
    return Index.open(index_path, encoder=encoder)


@pytest.fixture
def local_index(index_path: Path) -> Index:
    """The same, with a model that counts local similarity."""
    encoder = ColourEncoder(image_size_px=64)
    encoder.mixture = Mixture(alpha=0.6, beta=0.4, norm="rms")
    return Index.open(index_path, encoder=encoder)


def test_a_model_without_local_similarity_needs_one_stage(index: Index) -> None:
    result = index.search("red", k=3)
    assert [stage.name for stage in result.stages] == ["global"]
    assert result.stages[0].scores == pytest.approx([hit.score for hit in result])


def test_local_similarity_is_the_second_stage_and_counts(local_index: Index) -> None:
    result = local_index.search("green", k=13)
    first, second = result.stages
    assert (first.name, second.name, second.note) == ("global", "local", "")
    for hit, one, other in zip(result, first.scores, second.scores, strict=True):
        assert one is not None
        assert other is not None
        assert hit.score == pytest.approx(0.6 * one + 0.4 * other, abs=1e-6)
    assert [hit.score for hit in result] == sorted((hit.score for hit in result), reverse=True)
    plain = local_index.search("green", k=13, ranking=RankingSettings(local=False))
    assert [stage.name for stage in plain.stages] == ["global"]


def test_only_the_candidates_are_looked_at_twice(local_index: Index) -> None:
    result = local_index.search("green", k=2, ranking=RankingSettings(n_candidates=1))
    assert len(result) == 2  # never fewer candidates than hits
    assert [hit.rank for hit in result] == [1, 2]


def test_scenes_that_are_gone_leave_the_local_stage_out_and_say_so(index_path: Path, tmp_path: Path) -> None:
    encoder = ColourEncoder(image_size_px=64)
    encoder.mixture = Mixture()
    index = Index.open(index_path, encoder=encoder, root=tmp_path)
    result = index.search("green", k=2)
    assert [stage.name for stage in result.stages] == ["global", "local"]
    assert result.stages[1].note.startswith("left out: ")
    assert "no such file" in result.stages[1].note
    assert result.stages[1].scores == (None, None)
    assert len(result) == 2


def test_re_ranking_uses_the_reference_captions(index: Index, local_index: Index) -> None:
    settings = RankingSettings(rerank="sar:k=5")
    plain = index.search("green", k=5)
    result = index.search("green", k=5, ranking=settings)
    assert result.stages[-1].name == "sar:k=5"
    assert {hit.tile.tile for hit in result} == {hit.tile.tile for hit in plain}
    assert all(rank is not None and rank >= 1 for rank in result.stages[-1].scores)
    assert [stage.name for stage in local_index.search("green", k=5, ranking=settings).stages] == [
        "global",
        "local",
        "sar:k=5",
    ]
    example = np.full((8, 8, 3), COLOURS["red"], dtype=np.uint8)
    with pytest.raises(QueryError, match="no local similarity to a picture"):
        local_index.search(image=example, ranking=settings)


@pytest.mark.parametrize(("wrong", "said"), [({"n_candidates": 0}, "at least 1"), ({"budget_s": 0.0}, "more than 0 s")])
def test_settings_that_make_no_sense(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(QueryError, match=said):
        RankingSettings(**wrong)  # type: ignore[arg-type]


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown re-ranking method"):
        RankingSettings(rerank="nosuch")


def test_a_tile_finds_its_like(index: Index, local_index: Index) -> None:
    for opened in (index, local_index):
        red = opened.search("red", k=1).hits[0].tile
        result = opened.search(like=red.tile, k=3)
        assert result.hits[0].tile == red
        assert result.stages[0].scores[0] == pytest.approx(1.0, abs=1e-5)
        assert result.query.describe() == f"like {red.tile}"
    with pytest.raises(StoreError, match="there is no tile 'nowhere' in this index"):
        index.search(like="nowhere")


def test_what_is_not_wanted_goes_down(index: Index) -> None:
    both = [Part("words", "red"), Part("words", "green")]
    mixed = index.search(parts=both, k=13)
    less = index.search(parts=both, minus="green", k=13)

    def best(result: object, colour: str) -> float:
        pure = next(hit.tile.tile for hit in index.search(colour, k=13) if hit.relevance is not None)
        return next(hit.relevance for hit in result if hit.tile.tile == pure)  # type: ignore[attr-defined]

    assert best(mixed, "red") == pytest.approx(best(mixed, "green"), abs=0.02)
    assert best(less, "red") > 5 * best(less, "green")


def test_what_is_there_matches_and_what_is_not_does_not(index: Index) -> None:
    there, absent = index.search("red", k=3), index.search("white", k=3)
    assert there.relevance is not None
    assert absent.relevance is not None
    assert there.relevance > 0.5 > absent.relevance
    assert (there.matches, absent.matches) == (True, False)
    assert index.search("white", k=3, threshold=0.0).matches
    assert not index.search("red", bbox=(0, 0, 1, 1)).matches
    assert all(0 <= hit.relevance <= 1 for hit in (*there, *absent) if hit.relevance is not None)
    coarse = {hit.tile.scene for hit in (*there, *absent) if hit.relevance is None}
    assert all(hit.tile.gsd_m and hit.tile.gsd_m > 30 for hit in (*there, *absent) if hit.tile.scene in coarse)


def test_a_fusion_model_reads_the_candidates_again(index: Index, fusion: PairScorer, tmp_path: Path) -> None:
    plain = index.search("green", k=5)
    settings = RankingSettings(rerank=f"fusion:{tmp_path / 'fusion'},top=4", budget_s=None)
    result = index.search("green", k=5, ranking=settings)
    assert [stage.name for stage in result.stages] == ["global", "fusion"]
    assert {hit.tile.tile for hit in result.hits[:4]} == {hit.tile.tile for hit in plain.hits[:4]}
    assert result.hits[4].tile == plain.hits[4].tile
    *read, rest = result.stages[1].scores
    assert rest is None
    pictures = [index.picture(hit.tile, max_px=2 * index.model.image_size_px) for hit in result.hits[:4]]
    expected = fusion.score_all(fusion.encode_texts(["green"]), fusion.encode_images(pictures))[0]
    assert read == pytest.approx(expected.tolist(), abs=0.02), "bf16, where the machine has it"
    assert read == sorted(read, reverse=True)
    heavy = RankingSettings(rerank=f"fusion:{tmp_path / 'fusion'},top=4,weight=1e6", budget_s=None)
    assert [hit.tile.tile for hit in index.search("green", k=5, ranking=heavy)] == [hit.tile.tile for hit in plain]


def test_several_words_are_read_one_by_one(index: Index, fusion: PairScorer, tmp_path: Path) -> None:
    settings = RankingSettings(rerank=f"fusion:{tmp_path / 'fusion'}", budget_s=None)
    result = index.search("green", minus="red", k=3, ranking=settings)
    pictures = [index.picture(hit.tile, max_px=2 * index.model.image_size_px) for hit in result]
    apart = fusion.score_all(fusion.encode_texts(["green", "red"]), fusion.encode_images(pictures))
    weights = [part.weight for part in result.query.parts]
    expected = (weights[0] * apart[0] + weights[1] * apart[1]) / sum(map(abs, weights))
    assert result.stages[1].scores == pytest.approx(expected.tolist(), abs=0.02)


def test_what_a_fusion_model_cannot_read(
    index: Index, fusion: PairScorer, index_path: Path, encoder: ColourEncoder, tmp_path: Path
) -> None:
    settings = RankingSettings(rerank=f"fusion:{tmp_path / 'fusion'}")
    example = np.full((8, 8, 3), COLOURS["red"], dtype=np.uint8)
    with pytest.raises(QueryError, match="reads words with a picture"):
        index.search(image=example, ranking=settings)
    with pytest.raises(ModelError, match="no checkpoint"):
        index.search("red", ranking=RankingSettings(rerank="fusion:nowhere"))
    elsewhere = Index.open(index_path, encoder=encoder, root=tmp_path)
    result = elsewhere.search("green", k=2, ranking=settings)
    assert [hit.tile.tile for hit in result] == [hit.tile.tile for hit in elsewhere.search("green", k=2)]
    assert result.stages[1].note.startswith("left out: ")


def test_candidates_of_a_missing_scene_are_passed_over_and_the_others_are_not(
    index_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(index_path.parent / "scenes", tmp_path / "scenes")
    (tmp_path / "scenes" / "photo.png").unlink()
    encoder = ColourEncoder(image_size_px=64)
    encoder.mixture = Mixture(alpha=0.6, beta=0.4, norm="rms")
    whole = Index.open(index_path, encoder=encoder).search("green", k=13)
    gone = [hit.tile.scene == "photo.png" for hit in whole]
    assert 0 < sum(gone) < 13
    result = Index.open(index_path, encoder=encoder, root=tmp_path / "scenes").search("green", k=13)
    stage = result.stages[1]
    assert stage.note.startswith(f"{sum(gone)} of 13 candidates could not be looked at: ")
    assert "photo.png: no such file" in stage.note
    assert [score is None for score in stage.scores] == [hit.tile.scene == "photo.png" for hit in result]
    kept = [hit.tile for hit in whole if hit.tile.scene != "photo.png"]
    assert [hit.tile for hit in result][: len(kept)] == kept


def test_an_answer_is_judged_by_the_same_tiles_however_many_are_shown(index: Index) -> None:
    many = index.search("green", k=13)
    told = [hit.relevance for hit in many.hits if hit.relevance is not None]
    assert told == sorted(told, reverse=True), "percentages never contradict the order"
    for k in (1, 2, 13):
        found = index.search("green", k=k)
        assert len(found) == k
        assert found.relevance == many.relevance == max(hit.relevance or 0.0 for hit in many.hits[:10])


class ReadingEncoder(ColourEncoder):
    """Counts how often it has read the reference captions."""

    mixture = Mixture(alpha=0.6, beta=0.4, norm="rms")
    n_banks = 0

    def encode_texts(self, texts: Sequence[str], *, batch_size: int = 256) -> EncodedTexts:
        self.n_banks += len(texts) == len(CAPTIONS)
        return super().encode_texts(texts, batch_size=batch_size)


def test_reference_captions_are_read_once_for_an_index(index_path: Path) -> None:
    encoder = ReadingEncoder(image_size_px=64)
    index = Index.open(index_path, encoder=encoder)
    index.search("red", k=1)  # the vectors of the captions are kept beside the index
    before, settings = encoder.n_banks, RankingSettings(rerank="sar:k=5")
    first, second = (index.search(words, k=5, ranking=settings) for words in ("green", "green"))
    assert encoder.n_banks == before + 1
    assert first.stages[2].name == "sar:k=5"
    assert first.stages[2].scores == second.stages[2].scores
