"""From an encoded query to ranked candidates: what `rsitr.rerank.stages` needs to know of an index."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from rsitr.errors import QueryError, SceneError
from rsitr.rerank import FusionPlan, Ranking, Reading, Stage, parse_method, rank_candidates_in_stages
from rsitr.search.bank import CAPTIONS
from rsitr.search.codes import LocalCoder
from rsitr.similarity import score_local, score_pairs
from rsitr.types import EncodedImages, EncodedTexts, Encoder, FloatArray, Hit, ImageArray, Mixture, Tile

if TYPE_CHECKING:
    from rsitr.models.fusion import PairScorer, TextStates

__all__ = ["CandidateRanker", "EncodedPart", "HitStage", "RankingSettings", "explain_stages"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RankingSettings:
    """How candidates are ranked.

    Attributes:
        n_candidates: tiles that the first stage hands on.
        local: whether local similarity is computed where the model's mixture has a weight for it. It takes the
            candidates' pictures, which are read and encoded again.
        rerank: a training-free method as `rsitr.rerank.parse_rerank` reads it, whose reverse lists run over the
            reference captions; or `fusion:CHECKPOINT,top=N,weight=W`, a fusion model that reads the query with the
            pictures of the best candidates.
        codes: whether codes that the index keeps of its tiles stand for their pictures where the query is words; local
            similarity is then approximate, and takes next to no time.
        budget_s: seconds for the stages after the first; what does not fit is left out, and that is told. None: all.
    """

    n_candidates: int = 100
    local: bool = True
    rerank: str | None = None
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
        if self.rerank is not None:
            parse_method(self.rerank)


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
    """Ranks the candidates of one query; reads their pictures when local similarity or a fusion model asks for them.

    Args:
        candidates: of the first stage, best first.
        parts: of the query.
        words: of the parts that are words, with their weights.
        references: vectors of the reference captions.
        vectors: of tiles by id.
        picture: of a tile.
        encoder: the index's model.
        reader: loads a fusion model by the name of its checkpoint.
        coder: what made the codes that the index keeps, or None.
        codes: of tiles by id, or None.
    """

    def __init__(
        self,
        candidates: Sequence[Hit],
        *,
        parts: Sequence[EncodedPart],
        words: Sequence[tuple[float, str]],
        references: Callable[[], FloatArray],
        vectors: Callable[[Sequence[str]], FloatArray],
        picture: Callable[[Tile], ImageArray],
        encoder: Callable[[], Encoder],
        reader: Callable[[str], PairScorer],
        coder: LocalCoder | None = None,
        codes: Callable[[Sequence[str]], NDArray[np.float16] | None] = lambda _: None,
    ) -> None:
        self._candidates = candidates
        self._parts = parts
        self._words = words
        self._references = references
        self._vectors = vectors
        self._picture = picture
        self._encoder = encoder
        self._reader = reader
        self._coder = coder
        self._codes = codes
        self._by_code = False
        self._tokens: dict[int, FloatArray] = {}

    def rank(self, settings: RankingSettings, *, mixture: Mixture) -> Ranking:
        """The candidates in stages. What looks at their pictures is left out where these cannot be read; that is told.

        Raises:
            QueryError: re-ranking with local similarity, where the query is no text: the bank holds captions only; or
                with a fusion model, which reads words alone.
            ModelError: the fusion model cannot be loaded.
        """
        used = mixture if settings.local else dataclasses.replace(mixture, beta=0.0)
        method = None if settings.rerank is None else parse_method(settings.rerank)
        if isinstance(method, FusionPlan) and not self._is_text:
            raise QueryError("a fusion model reads words with a picture: search by words alone, or leave out --rerank")
        if used.beta and not self._is_text and method is not None:
            raise QueryError(
                f"{settings.rerank} compares with reference captions, which have no local similarity to a picture: "
                "search by words, or leave out local similarity or the re-ranking"
            )
        is_same_norm = self._coder is not None and self._coder.norm == used.norm
        self._by_code = settings.codes and self._is_text and is_same_norm
        reading = self._reading(method) if isinstance(method, FusionPlan) else None
        reranker = None if isinstance(method, FusionPlan) else method

        def run(mixture: Mixture, reading: Reading | None) -> Ranking:
            return rank_candidates_in_stages(
                np.array([hit.score for hit in self._candidates], dtype=np.float32),
                mixture=mixture,
                local=lambda positions: self._score_local(positions, mixture=mixture),
                reranker=reranker,
                references=lambda positions, local: self._score_references(positions, mixture=mixture, local=local),
                reading=reading,
                budget_s=settings.budget_s,
            )

        try:
            return self._named(run(used, reading))
        except SceneError as error:
            found = run(dataclasses.replace(used, beta=0.0), None)
            nothing = np.full(len(self._candidates), np.nan, dtype=np.float32)
            first, *later = found.stages
            names = [*(["local"] if used.beta else []), *([] if reading is None else [reading.name])]
            lost = [Stage(name, nothing, 0.0, f"left out: {error}") for name in names]
            return dataclasses.replace(found, stages=(first, *lost, *later))

    def _named(self, ranking: Ranking) -> Ranking:
        """The local stage says of what it is made."""
        if not self._by_code:
            return ranking
        stages = [dataclasses.replace(s, name="local codes") if s.name == "local" else s for s in ranking.stages]
        return dataclasses.replace(ranking, stages=tuple(stages))

    def _reading(self, plan: FusionPlan) -> Reading:
        """The query read with candidates: the parts' log-odds, mixed by their weights."""
        scorer = self._reader(plan.checkpoint)
        total = sum(abs(weight) for weight, _ in self._words)
        states: list[TextStates] = []

        def score(positions: NDArray[np.int64]) -> FloatArray:
            if not states:  # not before there is a candidate to read
                states.append(scorer.encode_texts([text for _, text in self._words]))
            pictures = [self._picture(self._candidates[position].tile) for position in positions]
            found = scorer.score_all(states[0], scorer.encode_images(pictures))
            weights = torch.tensor([weight / total for weight, _ in self._words])
            return np.asarray((weights @ found).numpy(), dtype=np.float32)

        return Reading("fusion", score, top=plan.top, weight=plan.weight)

    @property
    def _is_text(self) -> bool:
        return all(part.is_text for part in self._parts)

    def _score_local(self, positions: NDArray[np.int64], *, mixture: Mixture) -> FloatArray:
        """The parts' local similarities, mixed by their weights: (len(positions),)."""
        if self._by_code:
            return self._score_codes(positions)
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

    def _score_codes(self, positions: NDArray[np.int64]) -> FloatArray:
        total = sum(abs(part.weight) for part in self._parts)
        scores = np.zeros(len(positions), dtype=np.float32)
        for part in self._parts:
            if part.tokens is not None and part.token_mask is not None:
                words = EncodedTexts(part.global_emb[None], part.tokens, part.token_mask)
                scores += np.float32(part.weight / total) * self._score_by_code(words, positions)[0]
        return scores

    def _score_by_code(self, texts: EncodedTexts, positions: NDArray[np.int64]) -> FloatArray:
        """Approximate local similarity (n_text, len(positions)) from stored codes, which are fetched once."""
        if self._coder is None:
            raise ValueError("codes need what made them")
        return self._coder.score(texts, codes=self._fetched_codes[positions])

    @cached_property
    def _fetched_codes(self) -> NDArray[np.float16]:
        found = self._codes([hit.tile.tile for hit in self._candidates])
        if found is None:
            raise ValueError("an index with a coder keeps codes")
        return found

    def _score_references(self, positions: NDArray[np.int64], *, mixture: Mixture, local: bool) -> FloatArray:
        """(n_reference, len(positions)), scored as the query was."""
        vectors = self._vectors([self._candidates[position].tile.tile for position in positions])
        if not local:
            return np.asarray(mixture.alpha * (self._references() @ vectors.T), dtype=np.float32)
        bank = self._encoder().encode_texts(CAPTIONS)
        if self._by_code:
            mixed = mixture.alpha * (bank.global_emb @ vectors.T) + mixture.beta * self._score_by_code(bank, positions)
            return np.asarray(mixed, dtype=np.float32)
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
