from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import ColourEncoder, FewWords
from rasters import write_utm
from rsitr.calibration import Calibration, RelevanceFit, judge, read_calibration, write_calibration
from rsitr.errors import ModelError
from rsitr.index import Settings, ingest
from rsitr.search import AskedPart, Index, estimate_relevance, say_outcome
from rsitr.search.mixing import mix_references
from rsitr.search.references import CAPTIONS, load_reference_vectors
from rsitr.types import EncodedTexts, FloatArray

DIM = 16
FIT = RelevanceFit(intercept=-9.0, by_score=20.0, by_place=0.5)


def unit(rows: np.ndarray) -> FloatArray:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), dtype=np.float32)


@pytest.fixture
def concepts() -> FloatArray:
    """Sixteen things a picture may show, as directions."""
    return np.eye(DIM, dtype=np.float32)


@pytest.fixture
def calibration(concepts: FloatArray) -> Calibration:
    return Calibration(references=concepts, words=FIT, pictures=FIT)


@pytest.fixture
def collection(concepts: FloatArray) -> FloatArray:
    """Tiles that show the first eight, noisily."""
    chance = np.random.default_rng(0)
    return unit(np.repeat(concepts[:8], 10, axis=0) + 0.1 * chance.normal(size=(80, DIM)))


@pytest.fixture
def index(tmp_path: Path, encoder: ColourEncoder) -> Index:
    ingest([write_utm(tmp_path / "scene.tif")], into=tmp_path / "index", encoder=encoder, settings=Settings(tile_px=32))
    return Index.open(tmp_path / "index", encoder=encoder)


def relevance(query: FloatArray, tiles: FloatArray, calibration: Calibration) -> list[float]:
    return estimate_relevance([AskedPart(query, is_text=True)], tiles=tiles, calibration=calibration)


def test_what_is_there_is_relevant_and_what_is_not_is_not(
    concepts: FloatArray, collection: FloatArray, calibration: Calibration
) -> None:
    best = [max(relevance(query, collection, calibration)) for query in concepts]
    assert min(best[:8]) > 0.5 > max(best[8:])


def test_a_tile_is_judged_alone_as_among_others(
    concepts: FloatArray, collection: FloatArray, calibration: Calibration
) -> None:
    among = relevance(concepts[0], collection, calibration)
    alone = [relevance(concepts[0], tile[None], calibration)[0] for tile in collection]
    assert alone == pytest.approx(among, abs=1e-6)


@given(st.integers(0, 2**32 - 1))
def test_percentages_never_contradict_the_order_of_scores(seed: int) -> None:
    chance = np.random.default_rng(seed)
    tiles, references = unit(chance.normal(size=(30, DIM))), unit(chance.normal(size=(40, DIM)))
    query = unit(chance.normal(size=DIM))
    told = relevance(query, tiles, Calibration(references=references, words=FIT, pictures=FIT))
    order = np.argsort(-(tiles @ query), kind="stable")
    assert np.all(np.diff(np.array(told)[order]) <= 1e-6)


def test_words_and_pictures_have_fits_of_their_own(concepts: FloatArray) -> None:
    sure = RelevanceFit(intercept=20.0, by_score=0.0, by_place=0.0)
    calibration = Calibration(references=concepts, words=FIT, pictures=sure)
    asked = AskedPart(concepts[0], is_text=False)
    assert estimate_relevance([asked], tiles=concepts[1:2], calibration=calibration)[0] > 0.99
    assert relevance(concepts[0], concepts[1:2], calibration)[0] < 0.01


def test_what_is_not_wanted_takes_its_share_away(concepts: FloatArray, calibration: Calibration) -> None:
    both, wanted = unit(concepts[0] + concepts[1]), unit(concepts[0] + concepts[2])
    parts = [AskedPart(concepts[0], True), AskedPart(concepts[1], True, weight=-0.5)]
    plain = relevance(concepts[0], np.stack([both, wanted]), calibration)
    less = estimate_relevance(parts, tiles=np.stack([both, wanted]), calibration=calibration)
    assert plain[0] == pytest.approx(plain[1], abs=1e-3)
    assert less[1] == pytest.approx(plain[1], rel=0.01)
    assert less[0] < 0.2 * plain[0]


def test_it_survives_its_file_and_is_read_for_its_model_alone(tmp_path: Path, concepts: FloatArray) -> None:
    chance = np.random.default_rng(0)
    references = unit(chance.normal(size=(30, DIM)))
    written = Calibration(
        references=references, words=FIT, pictures=RelevanceFit(1.0, 2.0, 3.0), known=("river",), about={"data": "x"}
    )
    path = write_calibration(tmp_path, written, fingerprint="f")
    assert path.stat().st_size < 2000
    found = read_calibration(tmp_path, fingerprint="f")
    assert found is not None
    assert (found.words, found.pictures, found.known, found.about) == (FIT, written.pictures, ("river",), {"data": "x"})
    assert np.abs(found.references @ concepts.T - references @ concepts.T).max() < 0.01
    assert read_calibration(tmp_path, fingerprint="another") is None
    assert read_calibration(tmp_path / "none", fingerprint="f") is None
    path.write_bytes(b"damaged")
    with pytest.raises(ModelError, match="is no calibration"):
        read_calibration(tmp_path, fingerprint="f")


@pytest.mark.parametrize(
    ("best", "threshold", "state"),
    [(0.5, 0.5, "matches"), (0.49, 0.5, "unsure"), (0.19, 0.5, "nothing"), (0.15, 0.1, "matches"), (None, 0.5, None)],
)
def test_an_answer_has_three_states(best: float | None, threshold: float, state: str | None) -> None:
    assert judge(best, threshold=threshold) == state


def test_without_a_calibration_no_verdict_is_given(
    index: Index, encoder: ColourEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder, "calibration", None)
    found = index.search("red", k=3)
    assert (found.state, found.relevance, found.is_judged) == (None, None, False)
    assert "colour is not calibrated (rsitr calibrate)" in say_outcome(found, n_all=len(index))
    assert all(hit.relevance is None for hit in found)


def test_an_index_may_bring_the_calibration_of_its_model(index: Index, encoder: ColourEncoder) -> None:
    sure = RelevanceFit(intercept=20.0, by_score=0.0, by_place=0.0)
    own = Calibration(references=encoder.calibration.references, words=sure, pictures=sure)
    write_calibration(index.path, own, fingerprint=encoder.fingerprint)
    assert all((hit.relevance or 0.0) > 0.99 for hit in Index.open(index.path, encoder=encoder).search("white", k=5))


def test_words_that_the_model_does_not_know_match_nothing_for_sure(
    index: Index, encoder: ColourEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder, "lexicon", FewWords("red"), raising=False)
    foreign, partly, known = (index.search(words, k=3) for words in ("qwertz", "red qwertz", "red"))
    assert (foreign.state, foreign.matches, foreign.relevance) == ("unsure", False, None)
    said = say_outcome(foreign, n_all=len(index))
    assert said == (
        "no confident match for “qwertz”: the model does not know “qwertz” (but “red”), so no hit is to be trusted"
    )
    assert (partly.state, partly.relevance) == ("unsure", known.relevance), "half of what was asked for is unknown"
    assert say_outcome(partly, n_all=len(index)) == (
        "no confident match for “red qwertz”: the model does not know “qwertz” (but “red”), so hits may show the rest "
        "of it alone"
    )
    assert index.search("red", minus="qwertz", k=3).state == "matches", "what is not wanted may be unknown"
    assert (known.state, say_outcome(known, n_all=len(index))) == ("matches", "")
    example = index.search("qwertz", like=known.hits[0].tile.tile, k=3)
    assert (example.relevance, example.has_unknown) != (None, True), "an example is known by its looks"


def test_references_of_a_mixture_are_mixed_alike(concepts: FloatArray) -> None:
    assert mix_references([concepts], weights=[1.0]) is concepts
    mixed = mix_references([concepts, concepts[:5]], weights=[1.0, -0.5])
    assert mixed.shape == (5, DIM)
    assert np.linalg.norm(mixed, axis=1) == pytest.approx(1.0)
    assert (mix_references([concepts, concepts[:5]], weights=[1.0, -0.5]) == mixed).all()
    assert mixed.min() < 0


class CountingEncoder:
    """Encodes texts by their length, and counts how often it is asked."""

    def __init__(self, fingerprint: str = "f") -> None:
        self.fingerprint, self.dim, self.calls = fingerprint, 4, 0

    def encode_texts(self, texts: list[str], *, batch_size: int = 256) -> EncodedTexts:
        self.calls += 1
        rows = unit(np.array([[len(text), 1, 2, 3] for text in texts], dtype=float))
        return EncodedTexts(rows, rows[:, None], np.ones((len(texts), 1), bool))


def test_the_bank_is_encoded_once_per_model_and_folder(tmp_path: Path) -> None:
    encoder = CountingEncoder()
    first = load_reference_vectors(tmp_path, encoder)  # type: ignore[arg-type]
    assert first.shape == (len(CAPTIONS), 4)
    assert (load_reference_vectors(tmp_path, encoder) == first).all()  # type: ignore[arg-type]
    assert encoder.calls == 1
    other = CountingEncoder("another")
    load_reference_vectors(tmp_path, other)  # type: ignore[arg-type]
    assert other.calls == 1
    next(tmp_path.iterdir()).write_bytes(b"damaged")
    load_reference_vectors(tmp_path, other)  # type: ignore[arg-type]
    assert other.calls == 2
    load_reference_vectors(tmp_path / "not" / "there", other)  # type: ignore[arg-type]
    assert other.calls == 3
    assert len(set(CAPTIONS)) == len(CAPTIONS) > 400
