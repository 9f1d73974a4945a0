"""Ranking alone, with an index that is no more than what a ranker asks for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fakes import COLOURS, ColourEncoder
from rsitr.errors import SceneError
from rsitr.search.encoding import EncodedPart, EncodedQuery
from rsitr.search.query import Query, make_query
from rsitr.search.ranking import CandidateRanker, RankingSettings
from rsitr.search.references import References
from rsitr.types import FloatArray, Hit, ImageArray, Mixture, Tile

BOTH = Mixture(alpha=0.5, beta=0.5, norm="rms")


class Shelf:
    """Pictures of one colour each, by tile; a tile without a picture cannot be read."""

    coder = None

    def __init__(self, colours: dict[str, str | None]) -> None:
        self.encoder = ColourEncoder(image_size_px=8)
        self.references = References(encoder=lambda: self.encoder, coder=lambda: None)
        self.colours, self.looked_at = colours, list[str]()

    def view(self, tile: Tile) -> ImageArray:
        self.looked_at.append(tile.tile)
        colour = self.colours[tile.tile]
        if colour is None:
            raise SceneError(f"{tile.scene}: gone")
        return np.full((8, 8, 3), COLOURS[colour], dtype=np.uint8)

    def vectors(self, tiles: Sequence[str]) -> FloatArray:
        pictures = [np.full((8, 8, 3), COLOURS[self.colours[tile] or "dark"], dtype=np.uint8) for tile in tiles]
        return self.encoder.encode_images(pictures).global_emb

    def codes(self, tiles: Sequence[str]) -> NDArray[np.float16] | None:
        return None

    def reference_vectors(self, query: Query) -> FloatArray:
        return self.encoder.encode_texts(["red", "green", "blue"]).global_emb

    def reader(self, checkpoint: str) -> object:
        raise AssertionError(checkpoint)


def rank(shelf: Shelf, words: str, settings: RankingSettings) -> tuple[list[str], tuple[str, ...]]:
    """Tiles, best first, and what the stages note."""
    texts = shelf.encoder.encode_texts([words])
    part = EncodedPart(1.0, True, texts.global_emb[0], texts.tokens, texts.token_mask)
    query = EncodedQuery(make_query(text=words, k=9), (part,))
    scores = shelf.vectors(list(shelf.colours)) @ query.vector
    hits = [
        Hit(Tile(tile, f"{tile}.tif", (0, 0, 8, 8), None, None, None, None), score=float(score), rank=1)
        for tile, score in zip(shelf.colours, scores, strict=True)
    ]
    found = CandidateRanker(hits, query=query, index=shelf).rank(settings, mixture=BOTH)  # type: ignore[arg-type]
    return [hits[position].tile.tile for position in found.order], tuple(stage.note for stage in found.stages)


def test_each_candidate_is_looked_at_once() -> None:
    shelf = Shelf({"a": "green", "b": "red", "c": "blue"})
    order, notes = rank(shelf, "red", RankingSettings(rerank="sar:k=2", budget_s=None))
    assert order[0] == "b"
    assert sorted(shelf.looked_at) == ["a", "b", "c"]
    assert notes == ("", "", "")


def test_what_cannot_be_looked_at_comes_after_what_can() -> None:
    shelf = Shelf({"a": "red", "b": None, "c": "blue"})
    order, (_, note) = rank(shelf, "red", RankingSettings(budget_s=None))
    assert order == ["a", "c", "b"], "its picture is not seen, so it has the last place"
    assert note == "1 of 3 candidates could not be looked at: b.tif: gone"


class Backwards:
    """A re-ranking of one's own."""

    def __call__(
        self, scores: torch.Tensor, *, direction: str, bank_scores: torch.Tensor | None = None
    ) -> torch.Tensor:
        assert (direction, scores.shape[0]) == ("text_to_image", 1)
        assert bank_scores is not None
        return -scores

    def __str__(self) -> str:
        return "backwards"


@pytest.mark.parametrize("local", [True, False])
def test_a_re_ranking_may_be_an_object(local: bool) -> None:
    shelf = Shelf({"a": "green", "b": "red", "c": "blue"})
    plain, _ = rank(shelf, "red", RankingSettings(local=local, budget_s=None))
    turned, _ = rank(shelf, "red", RankingSettings(local=local, rerank=Backwards(), budget_s=None))  # type: ignore[arg-type]
    assert turned == plain[::-1]
