"""One call from a fusion model and a data set to a report (METHODS 3.6, 3.7)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from rsitr.data import load_dataset
from rsitr.errors import ConfigError
from rsitr.evaluation.pairs import encode_pairs, measure_pairs
from rsitr.evaluation.report import EvaluationReport, Queries
from rsitr.models.fusion import PairScorer, load_fusion
from rsitr.models.fusion.filter import load_filter

__all__ = ["evaluate_fusion", "refuse_vector_options"]


def refuse_vector_options(**options: object) -> None:
    """Refuse settings that a fusion model, which compares no vectors, would not heed.

    Raises:
        ConfigError: one is given.
    """
    # By identity: 0 equals False, and `--beta 0` is given.
    given = [name for name, value in options.items() if not (value is None or value is False or value == "none")]
    if given:
        raise ConfigError(
            f"a fusion model scores pairs: {', '.join('--' + name.replace('_', '-') for name in given)} is for dual "
            "encoders; leave it out"
        )


def evaluate_fusion(
    model: str | PairScorer,
    *,
    data: str,
    split: str = "val",
    filter_folder: Path | None = None,
    top: int = 128,
    device: str | None = None,
    batch_size: int = 64,
    bootstrap: int = 0,
    on_images: Callable[[int, int], None] = lambda _done, _total: None,
    on_scores: Callable[[int, int], None] = lambda _done, _total: None,
) -> EvaluationReport:
    """Measure a fusion model on a split of a data set.

    Args:
        model: a checkpoint's folder, or the loaded model.
        data: `NAME:FOLDER` or `csv:FILE`.
        split: `test` is read only when it is named here.
        filter_folder: a retrieval filter of this model; None scores every pair.
        top: candidates per query that the filter lets through.
        device: where to compute.
        batch_size: of the image side.
        bootstrap: resamples for confidence intervals; 0 leaves them out.
        on_images: progress of encoding: done, total.
        on_scores: progress of exhaustive scoring: images done, total.

    Raises:
        DataError: the data set or split is not there, or a picture cannot be read.
        ModelError: there is no such model, or the filter is not of this model.
    """
    dataset = load_dataset(data)
    images = dataset.split(split)
    scorer = load_fusion(model, device=device) if isinstance(model, str) else model
    student = (
        None if filter_folder is None else load_filter(filter_folder, teacher=scorer.fingerprint, device=scorer.device)
    )
    encoded = encode_pairs(scorer, images, batch_size=batch_size, progress=lambda done: on_images(done, len(images)))
    result = measure_pairs(scorer, encoded, student=student, top=top, progress=on_scores)
    return EvaluationReport.assemble(
        Queries.of(dataset, data=data, split=split),
        result,
        model=scorer.name,
        settings={
            "filter": None if filter_folder is None else str(filter_folder),
            "top": None if filter_folder is None else top,
            "fingerprint": scorer.fingerprint,
            "device": str(scorer.device),
            "precision": "bf16" if scorer.half else "fp32",
            "batch_size": batch_size,
            "threads": torch.get_num_threads(),
        },
        bootstrap=bootstrap,
    )
