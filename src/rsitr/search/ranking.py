"""From an encoded query to ranked candidates: what `rsitr.rerank.stages` needs to know of an index."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from rsitr.errors import QueryError, SceneError
from rsitr.formats import HitStage
from rsitr.rerank import FusionPlan, Ranking, Reading, Stage, parse_method, rank_candidates_in_stages
from rsitr.search.bank import Bank
from rsitr.search.codes import LocalCoder
from rsitr.similarity import score_local, score_pairs
from rsitr.types import EncodedImages, EncodedTexts, Encoder, FloatArray, Hit, ImageArray, Mixture, Tile

if TYPE_CHECKING:
    from rsitr.models.fusion import PairScorer, TextStates

__all__ = ["CandidateRanker", "EncodedPart", "RankingSettings", "explain_stages"]

Score = Callable[[NDArray[np.int64]], FloatArray]
"""Positions of candidates -> a score for each."""


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


class CandidateRanker:
    """Ranks the candidates of one query; reads their pictures when local similarity or a fusion model asks for them.

    Args:
        candidates: of the first stage, best first.
        found_s: seconds that it took.
        parts: of the query.
        words: of the parts that are words, with their weights.
        references: vectors of the reference captions, mixed as the query is.
        bank: the reference captions with their local features.
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
        found_s: float,
        parts: Sequence[EncodedPart],
        words: Sequence[tuple[float, str]],
        references: Callable[[], FloatArray],
        bank: Bank,
        vectors: Callable[[Sequence[str]], FloatArray],
        picture: Callable[[Tile], ImageArray],
        encoder: Callable[[], Encoder],
        reader: Callable[[str], PairScorer],
        coder: LocalCoder | None = None,
        codes: Callable[[Sequence[str]], NDArray[np.float16] | None] = lambda _: None,
    ) -> None:
        self._candidates = candidates
        self._found_s = found_s
        self._parts = parts
        self._words = words
        self._references = references
        self._bank = bank
        self._vectors = vectors
        self._picture = picture
        self._encoder = encoder
        self._reader = reader
        self._coder = coder
        self._codes = codes
        self._by_code = False
        self._tokens: dict[int, FloatArray] = {}
        self._unread: dict[int, SceneError] = {}
        self._trouble: dict[str, SceneError] = {}

    def rank(self, settings: RankingSettings, *, mixture: Mixture) -> Ranking:
        """The candidates in stages; what looks at pictures passes over those that cannot be read, and that is told.

        The models and the reference captions are made ready first: the budget is for what each query costs.

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
        reading, reranker = None, None
        if isinstance(method, FusionPlan):
            reading = Reading("fusion", self._read_with(method), top=method.top, weight=method.weight)
        else:
            reranker = method
        if reranker is not None and used.beta and self._candidates:
            self._bank.coded() if self._by_code else self._bank.texts()
        found = rank_candidates_in_stages(
            np.array([hit.score for hit in self._candidates], dtype=np.float32),
            mixture=used,
            local=lambda positions: self._score_local(positions, mixture=used),
            reranker=reranker,
            references=lambda positions, seen: self._score_references(positions, mixture=used, local=seen),
            reading=reading,
            found_s=self._found_s,
            budget_s=settings.budget_s,
        )
        return dataclasses.replace(found, stages=tuple(map(self._told, found.stages)))

    def _told(self, stage: Stage) -> Stage:
        """A stage that says what it is made of, and what it could not see."""
        if stage.name == "local" and self._by_code:
            return dataclasses.replace(stage, name="local codes")
        if stage.name not in ("local", "fusion") or not self._unread:
            return stage
        first = next(iter(self._unread.values()))
        if not np.isfinite(stage.scores).any():
            return dataclasses.replace(stage, note=f"left out: {first}")
        unread = f"{len(self._unread)} of {len(self._candidates)} candidates could not be looked at: {first}"
        return dataclasses.replace(stage, note="; ".join(filter(None, (stage.note, unread))))

    def _read_with(self, plan: FusionPlan) -> Score:
        """The query read with candidates: the parts' log-odds, mixed by their weights."""
        scorer = self._reader(plan.checkpoint)
        total = sum(abs(weight) for weight, _ in self._words)
        states: list[TextStates] = []

        def score(positions: NDArray[np.int64]) -> FloatArray:
            if not states:  # not before there is a candidate to read
                states.append(scorer.encode_texts([text for _, text in self._words]))
            pictures = self._look_at(positions)
            scores = np.full(len(positions), np.nan, dtype=np.float32)
            if pictures:
                found = scorer.score_all(states[0], scorer.encode_images(list(pictures.values())))
                weights = torch.tensor([weight / total for weight, _ in self._words])
                scores[np.isin(positions, list(pictures))] = (weights @ found).numpy()
            return scores

        return score

    @property
    def _is_text(self) -> bool:
        return all(part.is_text for part in self._parts)

    def _score_local(self, positions: NDArray[np.int64], *, mixture: Mixture) -> FloatArray:
        """The parts' local similarities, mixed by their weights: (len(positions),)."""
        if self._by_code:
            return self._score_codes(positions)
        self._encode(positions)
        found = np.full(len(positions), np.nan, dtype=np.float32)
        seen = np.array([int(position) in self._tokens for position in positions], dtype=bool)
        if seen.any():
            found[seen] = self._mix_local(positions[seen], mixture=mixture)
        return found

    def _mix_local(self, positions: NDArray[np.int64], *, mixture: Mixture) -> FloatArray:
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
                found = self._known_coder.score(words, codes=self._fetched_codes[positions])
                scores += np.float32(part.weight / total) * found[0]
        return scores

    @property
    def _known_coder(self) -> LocalCoder:
        if self._coder is None:
            raise ValueError("codes need what made them")
        return self._coder

    @cached_property
    def _fetched_codes(self) -> NDArray[np.float16]:
        """Of all candidates."""
        found = self._codes([hit.tile.tile for hit in self._candidates])
        if found is None:
            raise ValueError("an index with a coder keeps codes")
        return found

    def _score_references(self, positions: NDArray[np.int64], *, mixture: Mixture, local: bool) -> FloatArray:
        """(n_reference, len(positions)), scored as the query was."""
        vectors = self._vectors([self._candidates[position].tile.tile for position in positions])
        if not local:
            return np.asarray(mixture.alpha * (self._references() @ vectors.T), dtype=np.float32)
        if self._by_code:
            bank = self._bank.coded()
            by_code = self._known_coder.score_codes(text_codes=bank.codes, tile_codes=self._fetched_codes[positions])
            return np.asarray(mixture.alpha * (bank.global_emb @ vectors.T) + mixture.beta * by_code, dtype=np.float32)
        images = EncodedImages(vectors, self._encode(positions))
        return np.asarray(score_pairs(texts=self._bank.texts(), images=images, mixture=mixture).numpy())

    def _encode(self, positions: NDArray[np.int64]) -> FloatArray:
        """Tokens (n_seen, N, D) of the candidates that can be looked at; each is encoded once."""
        new = self._look_at([position for position in positions if int(position) not in self._tokens])
        if new:
            encoded = self._encoder().encode_images(list(new.values())).tokens
            self._tokens.update(zip(new, encoded, strict=True))
        seen = [self._tokens[int(position)] for position in positions if int(position) in self._tokens]
        return np.stack(seen) if seen else np.empty((0, 0, 0), np.float32)

    def _look_at(self, positions: Iterable[int]) -> dict[int, ImageArray]:
        """Pictures of the candidates that can be read; a scene that could not be is not tried again."""
        pictures: dict[int, ImageArray] = {}
        for position in map(int, positions):
            tile = self._candidates[position].tile
            trouble = self._trouble.get(tile.scene)
            if trouble is None:
                try:
                    pictures[position] = self._picture(tile)
                    continue
                except SceneError as error:
                    trouble = self._trouble[tile.scene] = error
            self._unread[position] = trouble
        return pictures


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
