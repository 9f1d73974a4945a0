"""From an encoded query to ranked candidates: what `rsitr.rerank.stages` needs to know of an index."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from rsitr.errors import QueryError, SceneError
from rsitr.rerank import Ranking, Reranker, parse_rerank, rank_candidates_in_stages
from rsitr.search.bank import CAPTIONS
from rsitr.similarity import score_local, score_pairs
from rsitr.types import EncodedImages, Encoder, FloatArray, Hit, ImageArray, Mixture, Tile

__all__ = ["CandidateRanker", "EncodedPart", "HitStage", "RankingSettings", "explain_stages"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RankingSettings:
    """How candidates are ranked.

    Attributes:
        n_candidates: tiles that the first stage hands on.
        local: whether local similarity is computed where the model's mixture has a weight for it. It takes the
            candidates' pictures, which are read and encoded again.
        rerank: a training-free method as `rsitr.rerank.parse_rerank` reads it; its reverse lists run over the reference
            captions.
        budget_s: seconds for the stages after the first; what does not fit is left out, and that is told. None: all.
    """

    n_candidates: int = 100
    local: bool = True
    rerank: str | None = None
    budget_s: float | None = 2.0

    def __post_init__(self) -> None:
        """Check.

        Raises:
            QueryError: no candidates, or no time.
            ConfigError: there is no such re-ranking method.
        """
        if self.n_candidates < 1:
            raise QueryError(f"the number of candidates is at least 1, not {self.n_candidates}")
        if self.budget_s is not None and not self.budget_s > 0:
            raise QueryError(f"the time for ranking is more than 0 s, not {self.budget_s:g} s")
        if self.rerank is not None:
            parse_rerank(self.rerank)


@dataclass(frozen=True, slots=True, eq=False)
class EncodedPart:
    """A part of a query: `tokens` (1, L, D) and which of them count (1, L); None for a tile, until they are needed."""

    weight: float
    is_text: bool
    global_emb: FloatArray
    tokens: FloatArray | None
    token_mask: NDArray[np.bool_] | None


@dataclass(frozen=True, slots=True)
class HitStage:
    """What a stage said of the hits, in their final order; None for a hit that it did not see."""

    name: str
    scores: tuple[float | None, ...]
    time_s: float
    note: str


class CandidateRanker:
    """Ranks the candidates of one query; reads and encodes their pictures when local similarity asks for them."""

    def __init__(
        self,
        candidates: Sequence[Hit],
        *,
        parts: Sequence[EncodedPart],
        references: Callable[[], FloatArray],
        vectors: Callable[[Sequence[str]], FloatArray],
        picture: Callable[[Tile], ImageArray],
        encoder: Callable[[], Encoder],
    ) -> None:
        self._candidates = candidates
        self._parts = parts
        self._references = references
        self._vectors = vectors
        self._picture = picture
        self._encoder = encoder
        self._tokens: dict[int, FloatArray] = {}

    def rank(self, settings: RankingSettings, *, mixture: Mixture) -> Ranking:
        """The candidates in stages. Local similarity is left out where the pictures cannot be read, and that is told.

        Raises:
            QueryError: re-ranking with local similarity, where the query is no text: the bank holds captions only.
        """
        used = mixture if settings.local else dataclasses.replace(mixture, beta=0.0)
        if used.beta and not self._is_text and settings.rerank:
            raise QueryError(
                f"{settings.rerank} compares with reference captions, which have no local similarity to a picture: "
                "search by words, or leave out local similarity or the re-ranking"
            )
        try:
            return self._rank(settings, mixture=used)
        except SceneError as error:
            found = self._rank(settings, mixture=dataclasses.replace(used, beta=0.0))
            note = f"left out: {error}"
            nothing = np.full(len(self._candidates), np.nan, dtype=np.float32)
            first, *later = found.stages
            local = dataclasses.replace(first, name="local", scores=nothing, note=note)
            return dataclasses.replace(found, stages=(first, local, *later))

    def _rank(self, settings: RankingSettings, *, mixture: Mixture) -> Ranking:
        scores = np.array([hit.score for hit in self._candidates], dtype=np.float32)
        reranker: Reranker | None = parse_rerank(settings.rerank) if settings.rerank else None
        return rank_candidates_in_stages(
            scores,
            mixture=mixture,
            local=lambda positions: self._score_local(positions, mixture=mixture),
            reranker=reranker,
            references=lambda positions, local: self._score_references(positions, mixture=mixture, local=local),
            budget_s=settings.budget_s,
        )

    @property
    def _is_text(self) -> bool:
        return all(part.is_text for part in self._parts)

    def _score_local(self, positions: NDArray[np.int64], *, mixture: Mixture) -> FloatArray:
        """The parts' local similarities, mixed by their weights: (len(positions),)."""
        images = torch.from_numpy(self._encode(positions))
        total = sum(abs(part.weight) for part in self._parts)
        scores = np.zeros(len(positions), dtype=np.float32)
        for part in self._parts:
            if part.tokens is None:
                continue
            local = score_local(
                text_tokens=torch.from_numpy(part.tokens),
                image_tokens=images,
                text_mask=None if part.token_mask is None else torch.from_numpy(part.token_mask),
                norm=mixture.norm,
            )
            scores += np.float32(part.weight / total) * local[0].numpy()
        return scores

    def _score_references(self, positions: NDArray[np.int64], *, mixture: Mixture, local: bool) -> FloatArray:
        """(n_reference, len(positions)), scored as the query was."""
        vectors = self._vectors([self._candidates[position].tile.tile for position in positions])
        if not local:
            return np.asarray(mixture.alpha * (self._references() @ vectors.T), dtype=np.float32)
        bank = self._encoder().encode_texts(CAPTIONS)
        images = EncodedImages(vectors, self._encode(positions))
        return np.asarray(score_pairs(texts=bank, images=images, mixture=mixture).numpy())

    def _encode(self, positions: NDArray[np.int64]) -> FloatArray:
        """Tokens of candidates (len(positions), N, D); each is encoded once."""
        new = [int(position) for position in positions if int(position) not in self._tokens]
        if new:
            pictures = [self._picture(self._candidates[position].tile) for position in new]
            encoded = self._encoder().encode_images(pictures).tokens
            self._tokens.update(zip(new, encoded, strict=True))
        return np.stack([self._tokens[int(position)] for position in positions])


def explain_stages(ranking: Ranking, *, order: NDArray[np.int64]) -> tuple[HitStage, ...]:
    """The stages' scores for the hits, given as positions among the candidates."""
    return tuple(
        HitStage(
            name=stage.name,
            scores=tuple(float(score) if np.isfinite(score) else None for score in stage.scores[order]),
            time_s=stage.time_s,
            note=stage.note,
        )
        for stage in ranking.stages
    )
