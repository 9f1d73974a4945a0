from __future__ import annotations

import numpy as np
import pytest

from rsitr.search import Background, estimate_relevance
from rsitr.search.references import CAPTIONS, load_reference_vectors
from rsitr.search.relevance import mix_references
from rsitr.types import EncodedTexts, FloatArray

DIM = 16


def unit(rows: np.ndarray) -> FloatArray:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), dtype=np.float32)


@pytest.fixture
def concepts() -> FloatArray:
    """Sixteen things a picture may show, as directions."""
    return np.eye(DIM, dtype=np.float32)


@pytest.fixture
def collection(concepts: FloatArray) -> FloatArray:
    """Tiles that show the first eight, noisily."""
    chance = np.random.default_rng(0)
    return unit(np.repeat(concepts[:8], 10, axis=0) + 0.15 * chance.normal(size=(80, DIM)))


def test_what_is_there_is_relevant_and_what_is_not_is_not(concepts: FloatArray, collection: FloatArray) -> None:
    background = Background.measure(concepts, collection=collection)
    best: list[float] = []
    for query in concepts:
        top = collection[np.argsort(-(collection @ query))[:3]]
        found = estimate_relevance(query, tiles=top, background=background)
        assert found is not None
        assert all(0.0 <= value <= 1.0 for value in found)
        best.append(max(found))
    assert min(best[:8]) > 0.5 > max(best[8:])


def test_relevance_does_not_depend_on_the_scale_of_the_scores(concepts: FloatArray, collection: FloatArray) -> None:
    # A direction that all vectors share raises every score, as it does in real models.
    shift = np.concatenate([np.zeros(DIM), [2.0]])

    def shifted(rows: FloatArray) -> FloatArray:
        return unit(np.pad(rows, ((0, 0), (0, 1))) + shift)

    query, top = concepts[0], collection[:3]
    plain = estimate_relevance(query, tiles=top, background=Background.measure(concepts, collection=collection))
    high = estimate_relevance(
        shifted(query[None])[0],
        tiles=shifted(top),
        background=Background.measure(shifted(concepts[1:]), collection=shifted(collection)),
    )
    assert plain is not None
    assert high is None  # all references are near the query: nothing can be said, and nothing is


def test_references_that_mean_the_same_do_not_count_against_a_query(
    concepts: FloatArray, collection: FloatArray
) -> None:
    query, top = concepts[0], collection[:1]
    alone = estimate_relevance(query, tiles=top, background=Background.measure(concepts, collection=collection))
    synonyms = np.concatenate([concepts, unit(np.tile(query, (9, 1)) + 0.05 * concepts[1:10])])
    beside = estimate_relevance(query, tiles=top, background=Background.measure(synonyms, collection=collection))
    assert beside == pytest.approx(alone)


def test_with_too_few_references_nothing_is_said(concepts: FloatArray, collection: FloatArray) -> None:
    few = Background.measure(concepts[:6], collection=collection)
    assert estimate_relevance(concepts[9], tiles=collection[:2], background=few) is None


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


def test_the_bank_is_encoded_once_per_model_and_folder(tmp_path) -> None:  # type: ignore[no-untyped-def]
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
