"""Local similarity from codes that an index keeps of its tiles."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from archives import write_archive
from fakes import COLOURS, ColourEncoder
from rsitr.errors import ConfigError, StoreError
from rsitr.geo import find_sources
from rsitr.index import CODE_FILE, Settings, ingest, sample_pictures
from rsitr.models.fusion import PairScorer
from rsitr.search import Index, RankingSettings, fit_coder, load_coder
from rsitr.search.references import CAPTIONS
from rsitr.types import EncodedTexts, Mixture


@pytest.fixture(scope="module")
def local_encoder() -> ColourEncoder:
    encoder = ColourEncoder(image_size_px=64)
    encoder.mixture = Mixture(alpha=0.6, beta=0.4, norm="rms")
    return encoder


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    index = write_archive(tmp_path_factory.mktemp("archive"), ColourEncoder(image_size_px=64))
    return index.parent / "scenes"


@pytest.fixture(scope="module")
def coded(archive: Path, local_encoder: ColourEncoder) -> Path:
    """An index that keeps codes of full rank: exact but for their 16 bits."""
    pictures = sample_pictures(find_sources([archive]), settings=Settings(tile_px=64), image_size_px=64, count=256)
    width = local_encoder.encode_images(pictures[:1]).tokens.shape[2]
    coder = fit_coder(local_encoder, pictures, rank=width)
    into = archive.parent / "coded.index"
    ingest([archive], into=into, encoder=local_encoder, coder=coder, settings=Settings(tile_px=64))
    return into


def test_codes_stand_for_the_pictures(coded: Path, local_encoder: ColourEncoder, archive: Path) -> None:
    index = Index.open(coded, encoder=local_encoder)
    assert len(index)
    by_code = index.search("green", k=8, minus="blue")
    exact = index.search("green", k=8, minus="blue", ranking=RankingSettings(codes=False))
    assert [stage.name for stage in by_code.stages] == ["global", "local codes"]
    assert [stage.name for stage in exact.stages] == ["global", "local"]
    scores = {hit.tile.tile: hit.score for hit in exact}
    assert len(scores) == 8
    for hit in by_code:
        assert hit.score == pytest.approx(scores[hit.tile.tile], abs=0.02)
    # No picture is read: the archive may be gone.
    gone = Index.open(coded, encoder=local_encoder, root=archive.parent / "nowhere")
    assert [hit.score for hit in gone.search("green", k=8, minus="blue")] == [hit.score for hit in by_code]


def test_codes_serve_re_ranking_too(coded: Path, local_encoder: ColourEncoder, archive: Path) -> None:
    gone = Index.open(coded, encoder=local_encoder, root=archive.parent / "nowhere")
    result = gone.search("green", k=4, ranking=RankingSettings(rerank="sar:k=4"))
    assert [stage.name for stage in result.stages] == ["global", "local codes", "sar:k=4"]
    ranks = [score for score in result.stages[2].scores if score is not None]
    assert len(ranks) == 4
    assert ranks == sorted(ranks)


def test_a_picture_is_compared_with_pictures(coded: Path, local_encoder: ColourEncoder) -> None:
    index = Index.open(coded, encoder=local_encoder)
    green = np.full((64, 64, 3), COLOURS["green"], dtype=np.uint8)
    assert [stage.name for stage in index.search(image=green, k=2).stages] == ["global", "local"]


def test_without_what_made_them_codes_are_left_alone(
    coded: Path, local_encoder: ColourEncoder, tmp_path: Path, archive: Path
) -> None:
    copy = shutil.copytree(coded, tmp_path / "copy")
    (copy / CODE_FILE).unlink()
    assert load_coder(copy) is None
    index = Index.open(copy, encoder=local_encoder, root=archive)
    assert [stage.name for stage in index.search("green", k=2).stages] == ["global", "local"]


def test_pictures_are_sampled_over_scenes_and_what_fails_is_passed_over(archive: Path, tmp_path: Path) -> None:
    damaged = shutil.copytree(archive, tmp_path / "scenes")
    (damaged / "no.tif").write_bytes(b"no")
    sources = find_sources([damaged])
    every = sample_pictures(sources, settings=Settings(tile_px=64), image_size_px=64, count=10_000)
    few = sample_pictures(sources, settings=Settings(tile_px=64), image_size_px=64, count=3)
    assert 0 < len(few) <= 3 < len(every)


def test_what_cannot_be_fitted(local_encoder: ColourEncoder) -> None:
    with pytest.raises(StoreError, match="no tile can be read to fit local codes to"):
        fit_coder(local_encoder, [], rank=4)
    with pytest.raises(ConfigError, match="rank of a local code must be between 1 and"):
        fit_coder(local_encoder, [np.zeros((64, 64, 3), np.uint8)], rank=4_000)


def test_a_fusion_model_without_pictures_leaves_the_scores_of_codes_alone(
    coded: Path, local_encoder: ColourEncoder, archive: Path, fusion: PairScorer, tmp_path: Path
) -> None:
    gone = Index.open(coded, encoder=local_encoder, root=archive.parent / "nowhere")
    plain = gone.search("green", k=4)
    settings = RankingSettings(rerank=f"fusion:{tmp_path / 'fusion'}", budget_s=None)
    result = gone.search("green", k=4, ranking=settings)
    assert [stage.name for stage in result.stages] == ["global", "local codes", "fusion"]
    assert result.hits == plain.hits
    assert result.stages[1].scores == pytest.approx(plain.stages[1].scores, abs=1e-6)
    assert result.stages[1].note == ""
    assert result.stages[2].note.startswith("left out: ")
    assert result.stages[2].scores == (None,) * 4


def test_codes_of_the_reference_captions_are_made_once_and_not_from_the_budget(
    coded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    n_banks = 0

    class SlowEncoder(ColourEncoder):
        """Reading the reference captions takes it longer than a search may take."""

        mixture = Mixture(alpha=0.6, beta=0.4, norm="rms")

        def encode_texts(self, texts: Sequence[str], *, batch_size: int = 256) -> EncodedTexts:
            nonlocal n_banks
            if len(texts) == len(CAPTIONS):
                n_banks += 1
                clock[0] += 60.0
            return super().encode_texts(texts, batch_size=batch_size)

    index = Index.open(coded, encoder=SlowEncoder(image_size_px=64))
    index.search("red", k=1)
    n_banks = 0
    monkeypatch.setattr("rsitr.rerank.stages.time.perf_counter", lambda: clock[0])
    settings = RankingSettings(rerank="sar:k=4")
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(index.search, "green", k=4, ranking=settings) for _ in range(8)]
        results = [one.result() for one in asked]
    assert n_banks == 1
    assert all(result.hits == results[0].hits for result in results)
    assert {stage.note for result in results for stage in result.stages} == {""}
    assert {stage.time_s for result in results for stage in result.stages[1:]} == {0.0}
