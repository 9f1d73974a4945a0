"""Choosing the mixture of similarities and the re-ranking on validation, and only there (METHODS 1.5, 2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from rsitr.errors import ConfigError
from rsitr.evaluation.bank import Bank, score_bank
from rsitr.evaluation.protocol import NO_BANK, EncodedSplit, measure_scores, score_split
from rsitr.rerank import Reranker, parse_rerank
from rsitr.similarity import mix, score_global, score_local
from rsitr.types import Mixture

__all__ = ["RERANK_GRID", "Trial", "TuningResult", "tune", "tune_rerank"]

NORMS = ("l2", "rms")
RATIOS = tuple(round(step / 10, 1) for step in range(11))
RERANK_GRID = (
    *(f"{name}:k={k}" for name in ("sar", "mean-rank") for k in (3, 5, 10, 20, 50, 100)),
    *(f"csls:k={k}" for k in (5, 10, 20, 50)),
    *(
        f"{name}:temperature={t}"
        for name in ("dual-softmax", "inverted-softmax", "qb-norm")
        for t in (0.01, 0.02, 0.05, 0.1)
    ),
)


@dataclass(frozen=True, slots=True)
class Trial:
    """One setting and its validation mR, averaged over the data sets."""

    mixture: Mixture
    rerank: str | None
    mR: float  # the field's name for it


@dataclass(frozen=True, slots=True)
class TuningResult:
    """All trials; the best without re-ranking, and the best of all."""

    trials: tuple[Trial, ...]
    best_plain: Trial
    best: Trial

    def best_of(self, rerank: str) -> str | None:
        """The best settings of the same re-ranking method, or None if it was not tried."""
        name = parse_rerank(rerank).name
        alike = [trial for trial in self.trials if trial.rerank and parse_rerank(trial.rerank).name == name]
        return max(alike, key=lambda trial: trial.mR).rerank if alike else None


def tune(
    splits: Sequence[EncodedSplit],
    *,
    device: str | torch.device = "cpu",
    reranks: Sequence[str] = RERANK_GRID,
    banks: Sequence[Bank] | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> TuningResult:
    """Try eleven global : local ratios with both norms, then every re-ranking on the best of them.

    Local similarities of norm `l2` grow with the caption; to make ratios comparable they are tried as they are, as the
    paper does.

    Args:
        splits: encoded validation splits; that they are validation is the caller's promise.
        device: where to score.
        reranks: re-ranking methods to try, as :func:`rsitr.rerank.parse_rerank` reads them.
        banks: reference queries for the re-rankings of each split; None takes the split's own.
        progress: called with the trials done and their number.

    Raises:
        ConfigError: a method is unknown.
    """
    rerankers = [parse_rerank(text) for text in reranks]
    parts = [_similarities(split, device=device) for split in splits]
    mixtures = [
        Mixture(alpha=ratio, beta=round(1 - ratio, 1), norm=norm)  # type: ignore[arg-type]  # of NORMS
        for norm in NORMS
        for ratio in RATIOS
        if ratio < 1 or norm == NORMS[0]
    ]
    total = len(mixtures) + len(rerankers)
    trials: list[Trial] = []

    references = [NO_BANK for _ in splits]

    def attempt(mixture: Mixture, reranker: Reranker | None) -> None:
        results = []
        for split, similarities, reference in zip(splits, parts, references, strict=True):
            scores = mix(similarities["global"], similarities[mixture.norm] if mixture.beta else None, mixture=mixture)
            metrics, _ = measure_scores(
                scores,
                caption_text=split.caption_text,
                text_image=split.text_image,
                rerank=reranker,
                bank=reference,
            )
            results.append(metrics.mR)
        trials.append(Trial(mixture, None if reranker is None else str(reranker), sum(results) / len(results)))
        progress(len(trials), total)

    for mixture in mixtures:
        attempt(mixture, None)
    best_plain = max(trials, key=lambda trial: trial.mR)
    if banks is not None:
        references = [
            score_bank(bank, split, mixture=best_plain.mixture, device=device)
            for bank, split in zip(banks, splits, strict=True)
        ]
    for reranker in rerankers:
        attempt(best_plain.mixture, reranker)
    return TuningResult(tuple(trials), best_plain, max(trials, key=lambda trial: trial.mR))


def tune_rerank(
    splits: Sequence[EncodedSplit], *, method: str, mixture: Mixture, device: str | torch.device = "cpu"
) -> Trial:
    """The best settings of one re-ranking method, with the mixture given.

    Args:
        splits: encoded validation splits; that they are validation is the caller's promise.
        method: its name.
        mixture: of similarities.
        device: where to score.

    Raises:
        ConfigError: there are no settings of this method to try.
    """
    rerankers = [reranker for reranker in map(parse_rerank, RERANK_GRID) if reranker.name == method]
    if not rerankers:
        raise ConfigError(f"there is no re-ranking {method!r} to choose settings of")
    scores = [score_split(split, mixture=mixture, device=device).cpu() for split in splits]

    def attempt(reranker: Reranker) -> Trial:
        results = [
            measure_scores(part, caption_text=split.caption_text, text_image=split.text_image, rerank=reranker)[0].mR
            for part, split in zip(scores, splits, strict=True)
        ]
        return Trial(mixture, str(reranker), sum(results) / len(results))

    return max(map(attempt, rerankers), key=lambda trial: trial.mR)


def _similarities(split: EncodedSplit, *, device: str | torch.device) -> dict[str, torch.Tensor]:
    texts, images = split.texts, split.images

    def local(norm: str) -> torch.Tensor:
        return score_local(
            text_tokens=torch.from_numpy(texts.tokens).to(device),
            image_tokens=torch.from_numpy(images.tokens).to(device),
            text_mask=torch.from_numpy(texts.token_mask).to(device),
            norm=norm,  # type: ignore[arg-type]  # of NORMS
        ).cpu()

    emb = score_global(text_emb=torch.from_numpy(texts.global_emb), image_emb=torch.from_numpy(images.global_emb))
    return {"global": emb, **{norm: local(norm) for norm in NORMS}}
