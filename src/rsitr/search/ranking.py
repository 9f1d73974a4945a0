"""From an encoded query to ranked candidates: what `rsitr.rerank.stages` needs to know of an index."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from rsitr.errors import QueryError
from rsitr.extras import need
from rsitr.formats import HitStage
from rsitr.search.codes import LocalCoder
from rsitr.search.encoding import EncodedQuery
from rsitr.search.query import Query
from rsitr.search.references import References
from rsitr.search.views import Viewed, Views
from rsitr.types import EncodedImages, EncodedTexts, FloatArray, Hit, Mixture

if TYPE_CHECKING:
    from rsitr.models.fusion import PairScorer, TextStates
    from rsitr.rerank import FusionPlan, Ranking, Reranker, Stage

__all__ = ["CandidateRanker", "Rankable", "RankingSettings", "explain_stages"]

Score = Callable[[NDArray[np.int64]], FloatArray]
"""Positions of candidates -> a score for each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RankingSettings:
    """How candidates are ranked.

    Attributes:
        n_candidates: tiles that the first stage hands on.
        local: whether local similarity is computed where the model's mixture has a weight for it. It takes the
            candidates' pictures, which are read and encoded again.
        rerank: a training-free method as `rsitr.rerank.parse_rerank` reads it, or one of your own
            (`rsitr.rerank.Reranker`), whose reverse lists run over the reference captions; or
            `fusion:CHECKPOINT,top=N,weight=W`, a fusion model that reads the query with the pictures of the best
            candidates.
        codes: whether codes that the index keeps of its tiles stand for their pictures where the query is words; local
            similarity is then approximate, and takes next to no time.
        budget_s: seconds for the stages after the first; what does not fit is left out, and that is told. None: all.
    """

    n_candidates: int = 100
    local: bool = True
    rerank: str | Reranker | None = None
    codes: bool = True
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
        _ = self.method

    @property
    def method(self) -> Reranker | FusionPlan | None:
        """What re-ranks, ready to be called."""
        if not isinstance(self.rerank, str):
            return self.rerank
        from rsitr.rerank import parse_method

        return parse_method(self.rerank)


class Rankable(Viewed, Protocol):
    """What a ranker asks an index for, as :class:`rsitr.search.collection.Collection` answers it.

    Attributes:
        references: the reference captions with their local features.
    """

    references: References

    @property
    def coder(self) -> LocalCoder | None:
        """What made the codes that the index keeps, or None."""

    def codes(self, tiles: Sequence[str]) -> NDArray[np.float16] | None:
        """Codes (n, length) of tiles by id, or None."""

    def vectors(self, tiles: Sequence[str]) -> FloatArray:
        """Unit vectors (n, dim) of tiles by id."""

    def reference_vectors(self, query: Query) -> FloatArray:
        """Vectors (n_reference, dim) of the reference captions, mixed as the query is."""

    def reader(self, checkpoint: str) -> PairScorer:
        """A fusion model by the name of its checkpoint."""


class CandidateRanker:
    """Ranks the candidates of one query; reads their pictures when local similarity or a fusion model asks for them.

    Args:
        candidates: of the first stage, best first.
        query: what they answer.
        index: that they are from.
    """

    def __init__(self, candidates: Sequence[Hit], *, query: EncodedQuery, index: Rankable) -> None:
        self._candidates = candidates
        self._query = query
        self._index = index
        self._views = Views(candidates, index)
        self._by_code = False

    def rank(self, settings: RankingSettings, *, mixture: Mixture, found_s: float = 0.0) -> Ranking:
        """The candidates in stages; what looks at pictures passes over those that cannot be read, and that is told.

        The models and the reference captions are made ready first: the budget is for what each query costs.

        Args:
            settings: how they are ranked.
            mixture: of global and local similarity.
            found_s: seconds that the first stage took.

        Raises:
            QueryError: re-ranking with local similarity, where the query is no text: the references are captions only;
                or with a fusion model, which reads words alone.
            ModelError: the fusion model cannot be loaded.
        """
        from rsitr.rerank import FusionPlan, Reading, rank_candidates_in_stages

        used = mixture if settings.local else dataclasses.replace(mixture, beta=0.0)
        method = settings.method
        self._require_readable(method, with_local=bool(used.beta), name=str(settings.rerank))
        coder = self._index.coder
        self._by_code = settings.codes and self._query.is_text and coder is not None and coder.norm == used.norm
        reading, reranker = None, None
        if isinstance(method, FusionPlan):
            reading = Reading("fusion", self._read_with(method), top=method.top, weight=method.weight)
        else:
            reranker = method
        if reranker is not None and used.beta and self._candidates:
            self._index.references.coded() if self._by_code else self._index.references.texts()
        found = rank_candidates_in_stages(
            np.array([hit.score for hit in self._candidates], dtype=np.float32),
            mixture=used,
            local=lambda positions: self._score_local(positions, mixture=used),
            reranker=reranker,
            references=lambda positions, seen: self._score_references(positions, mixture=used, local=seen),
            reading=reading,
            found_s=found_s,
            budget_s=settings.budget_s,
        )
        return dataclasses.replace(found, stages=tuple(map(self._told, found.stages)))

    def _require_readable(self, method: Reranker | FusionPlan | None, *, with_local: bool, name: str) -> None:
        from rsitr.rerank import FusionPlan

        if method is None or self._query.is_text:
            return
        if isinstance(method, FusionPlan):
            raise QueryError("a fusion model reads words with a picture: search by words alone, or leave out --rerank")
        if with_local:
            raise QueryError(
                f"{name} compares with reference captions, which have no local similarity to a picture: "
                "search by words, or leave out local similarity or the re-ranking"
            )

    def _told(self, stage: Stage) -> Stage:
        """A stage that says what it is made of, and what it could not see."""
        if stage.name == "local" and self._by_code:
            return dataclasses.replace(stage, name="local codes")
        unseen = self._views.unread
        if stage.name not in ("local", "fusion") or not unseen:
            return stage
        first = next(iter(unseen.values()))
        if not np.isfinite(stage.scores).any():
            return dataclasses.replace(stage, note=f"left out: {first}")
        unread = f"{len(unseen)} of {len(self._candidates)} candidates could not be looked at: {first}"
        return dataclasses.replace(stage, note="; ".join(filter(None, (stage.note, unread))))

    def _read_with(self, plan: FusionPlan) -> Score:
        """The query read with candidates: the parts' log-odds, mixed by their weights."""
        scorer = self._index.reader(plan.checkpoint)
        words = self._query.words
        states: list[TextStates] = []

        def score(positions: NDArray[np.int64]) -> FloatArray:
            if not states:  # not before there is a candidate to read
                states.append(scorer.encode_texts([text for _, text in words]))
            pictures = self._views.pictures(positions)
            scores = np.full(len(positions), np.nan, dtype=np.float32)
            if pictures:
                found = scorer.score_all(states[0], scorer.encode_images(list(pictures.values()))).numpy()
                shares = np.array(self._query.shares, dtype=found.dtype)
                scores[np.isin(positions, list(pictures))] = shares @ found
            return scores

        return score

    def _score_local(self, positions: NDArray[np.int64], *, mixture: Mixture) -> FloatArray:
        """The parts' local similarities, mixed by their weights: (len(positions),)."""
        if self._by_code:
            return self._score_codes(positions)
        images = self._views.tokens(positions)
        found = np.full(len(positions), np.nan, dtype=np.float32)
        if len(images):
            found[self._views.seen(positions)] = self._mix_local(images, mixture=mixture)
        return found

    def _mix_local(self, images: FloatArray, *, mixture: Mixture) -> FloatArray:
        need("torch", what="local similarity")
        import torch

        from rsitr.similarity import score_local

        scores = np.zeros(len(images), dtype=np.float32)
        for part, share in zip(self._query.parts, self._query.shares, strict=True):
            if part.tokens is None:
                continue
            local = score_local(
                text_tokens=torch.from_numpy(part.tokens),
                image_tokens=torch.from_numpy(images),
                text_mask=None if part.token_mask is None else torch.from_numpy(part.token_mask),
                norm=mixture.norm,
            )
            scores += np.float32(share) * local[0].numpy()
        return scores

    def _score_codes(self, positions: NDArray[np.int64]) -> FloatArray:
        scores = np.zeros(len(positions), dtype=np.float32)
        for part, share in zip(self._query.parts, self._query.shares, strict=True):
            if part.tokens is not None and part.token_mask is not None:
                words = EncodedTexts(part.global_emb[None], part.tokens, part.token_mask)
                found = self._known_coder.score(words, codes=self._fetched_codes[positions])
                scores += np.float32(share) * found[0]
        return scores

    @property
    def _known_coder(self) -> LocalCoder:
        coder = self._index.coder
        if coder is None:
            raise ValueError("codes need what made them")
        return coder

    @cached_property
    def _fetched_codes(self) -> NDArray[np.float16]:
        """Of all candidates."""
        found = self._index.codes([hit.tile.tile for hit in self._candidates])
        if found is None:
            raise ValueError("an index with a coder keeps codes")
        return found

    def _score_references(self, positions: NDArray[np.int64], *, mixture: Mixture, local: bool) -> FloatArray:
        """(n_reference, len(positions)), scored as the query was."""
        from rsitr.similarity import mix, score_pairs

        index = self._index
        vectors = index.vectors([self._candidates[position].tile.tile for position in positions])
        if not local:
            references = index.reference_vectors(self._query.query)
            return np.asarray(mix(references @ vectors.T, None, mixture=mixture), dtype=np.float32)
        if self._by_code:
            coded = index.references.coded()
            by_code = self._known_coder.score_codes(text_codes=coded.codes, tile_codes=self._fetched_codes[positions])
            return np.asarray(mix(coded.global_emb @ vectors.T, by_code, mixture=mixture), dtype=np.float32)
        images = EncodedImages(vectors, self._views.tokens(positions))
        return np.asarray(score_pairs(texts=index.references.texts(), images=images, mixture=mixture).numpy())


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
