"""One call from a model and a data set to a report that says how it came about."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

from rsitr.data import CaptionDataset, CaptionedImage, load_dataset
from rsitr.defaults import DEFAULT_MODEL
from rsitr.errors import ConfigError
from rsitr.evaluation.bank import describe_bank, encode_bank, read_bank, score_bank
from rsitr.evaluation.metrics import QueryRanks, RetrievalIntervals, bootstrap_intervals
from rsitr.evaluation.pairs import build_fusion_reranker
from rsitr.evaluation.protocol import NO_BANK, SplitResult, encode_split, measure
from rsitr.evaluation.zeroshot import ZeroShotReport, find_classes, zero_shot_report
from rsitr.models import TorchEncoder, choose_device, load_model
from rsitr.rerank import FusionPlan, Reranker, parse_method
from rsitr.rerank.fusion import FusionReranker
from rsitr.types import Encoder, Mixture

__all__ = ["EvaluationReport", "Queries", "evaluate", "override"]


@dataclass(frozen=True, slots=True)
class Queries:
    """Of a split that is measured: whence it is, and what its queries are called.

    Attributes:
        data: the data set as given, `NAME:FOLDER`.
        split: as given.
        data_sha256: of the annotation file.
        image_ids: the pictures.
        captions: of all pictures, one after another.
    """

    data: str
    split: str
    data_sha256: str
    image_ids: tuple[str, ...]
    captions: tuple[str, ...]

    @classmethod
    def of(cls, dataset: CaptionDataset, *, data: str, split: str) -> Queries:
        """Those of a data set's split. Raises DataError where it has none of that name."""
        images = dataset.split(split)
        return cls(
            data=data,
            split=split,
            data_sha256=dataset.sha256,
            image_ids=tuple(image.image_id for image in images),
            captions=tuple(caption for image in images for caption in image.captions),
        )


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """What `rsitr evaluate` says.

    Attributes:
        model: as named by the caller.
        data: the data set as given, `NAME:FOLDER`.
        split: as given.
        result: metrics and times.
        settings: mixture, fingerprint, device, batch size.
        data_sha256: of the annotation file.
        intervals: bootstrap intervals of the metrics, if asked for.
        image_ids: the queries' names, image to text.
        captions: the queries, text to image.
        zero_shot: classification by class names, if asked for.
    """

    model: str
    data: str
    split: str
    result: SplitResult
    settings: dict[str, Any]
    data_sha256: str
    intervals: RetrievalIntervals | None
    image_ids: tuple[str, ...]
    captions: tuple[str, ...]
    zero_shot: ZeroShotReport | None = None

    @classmethod
    def assemble(
        cls,
        queries: Queries,
        result: SplitResult,
        *,
        model: str,
        settings: dict[str, Any],
        bootstrap: int = 0,
        zero_shot: ZeroShotReport | None = None,
    ) -> EvaluationReport:
        """The report of a measurement, whatever it was that scored.

        Args:
            queries: of the split.
            result: of measuring it.
            model: its name.
            settings: how it was measured.
            bootstrap: resamples for intervals; 0 leaves them out.
            zero_shot: classification, if that was asked for, too.
        """
        return cls(
            model=model,
            data=queries.data,
            split=queries.split,
            result=result,
            settings=settings,
            data_sha256=queries.data_sha256,
            intervals=bootstrap_intervals(result.metrics, n_resamples=bootstrap) if bootstrap else None,
            image_ids=queries.image_ids,
            captions=queries.captions,
            zero_shot=zero_shot,
        )

    @property
    def mR(self) -> float:  # noqa: N802  # the field's name for it
        """Mean recall over both directions and K = 1, 5, 10, in percent, in expectation over ties."""
        return self.result.metrics.mR

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        report = {
            "model": self.model,
            "data": self.data,
            "split": self.split,
            **self.result.as_dict(),
            "settings": self.settings,
            "data_sha256": self.data_sha256,
        }
        if self.intervals is not None:
            report["intervals"] = asdict(self.intervals)
        if self.zero_shot is not None:
            report["zero_shot"] = self.zero_shot.as_dict()
        return report

    def per_query_csv(self) -> str:
        """The rank of each query, with ties.

        `better` candidates score strictly above the best relevant one, `equal` are tied with it (itself included),
        `relevant` of those are relevant; then its rank at best, in expectation, and at worst.
        """
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["direction", "query", "better", "equal", "relevant", "rank_best", "rank_mean", "rank_worst"])
        metrics = self.result.metrics
        for direction, queries, ranks in (
            ("image_to_text", self.image_ids, metrics.image_ranks),
            ("text_to_image", self.captions, metrics.text_ranks),
        ):
            writer.writerows(_rank_rows(direction, queries, ranks))
        return out.getvalue()


def _rank_rows(direction: str, queries: tuple[str, ...], ranks: QueryRanks) -> list[list[object]]:
    columns = zip(
        queries, ranks.better, ranks.equal, ranks.relevant, ranks.best, ranks.expected, ranks.worst, strict=True
    )
    return [
        [direction, query, *map(int, (a, e, r, low)), round(float(mean), 2), int(high)]
        for query, a, e, r, low, mean, high in columns
    ]


def evaluate(
    model: str | Encoder = DEFAULT_MODEL,
    *,
    data: str,
    split: str = "val",
    mixture: Mixture | None = None,
    rerank: str | None = None,
    device: str | None = None,
    batch_size: int = 64,
    bootstrap: int = 0,
    zero_shot: bool = False,
    class_names: Sequence[str] | None = None,
    bank: str | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> EvaluationReport:
    """Measure a model on a split of a data set (METHODS 4).

    Args:
        model: a name as for :func:`rsitr.load_model`, or an encoder.
        data: `NAME:FOLDER` or `csv:FILE`.
        split: `val`, or another one by name. `test` is read only when it is named here.
        mixture: of global and local similarity; the model's own when None.
        rerank: a training-free method as :func:`rsitr.rerank.parse_rerank` reads it, e.g. `sar:k=20`; a fusion model as
            :func:`rsitr.rerank.fusion.parse_fusion` does; or `none`; the model's own when None.
        device: where to compute.
        batch_size: of the image encoder.
        bootstrap: resamples for confidence intervals; 0 leaves them out.
        zero_shot: also classify the pictures by their class names (:func:`rsitr.evaluation.zero_shot_report`).
        class_names: to choose from, in words; those of the whole data set when None.
        bank: reference queries of the re-ranking, in place of the split's own, which a live search has not: `train`
            for those of the training split, or a file of captions, one per line.
        progress: called with the pictures encoded and their number.

    Raises:
        DataError: the data set or split is not there, a picture cannot be read, or no picture has a class.
        ModelError: there is no such model.
        ConfigError: a setting is out of range, or a picture is of a class that is not among the class names.

    Example:
        `evaluate("lookout", data="rsicd:RSICD_FOLDER", split="val").mR`
    """
    if batch_size < 1 or bootstrap < 0:
        raise ConfigError(f"batch size {batch_size} must be at least 1, and bootstrap {bootstrap} not negative")
    if rerank not in (None, "none"):
        parse_method(rerank)  # a typing error shows before the model loads
    where = str(choose_device(device))
    dataset = load_dataset(data)
    images = dataset.split(split)
    names: list[str] = []
    if zero_shot:
        # The fewer classes, the easier: a split may lack some of the set's.
        names = find_classes(images, class_names=class_names or find_classes(dataset.images, class_names=None))
    encoder = load_model(model, device=device) if isinstance(model, str) else model
    chosen = mixture or encoder.mixture
    method = rerank or (encoder.rerank if isinstance(encoder, TorchEncoder) else None) or "none"
    reranker = None if method == "none" else _find_reranker(method, images, device=device)
    if bank is not None and not isinstance(reranker, Reranker):
        raise ConfigError(f"a bank is for a re-ranking without training, and this is {method}; see --rerank sar:k=20")
    reference = dataset.split("train") if bank == "train" else ()
    total = len(images) + len(reference)
    encoded = encode_split(encoder, images, batch_size=batch_size, progress=lambda done: progress(done, total))
    banked = NO_BANK
    if bank is not None:
        queries = (
            encode_bank(encoder, reference, progress=lambda done: progress(len(images) + done, total))
            if bank == "train"
            else read_bank(encoder, Path(bank))
        )
        banked = score_bank(queries, encoded, mixture=chosen, device=where)
    result = measure(encoded, mixture=chosen, device=where, rerank=reranker, bank=banked)
    classified = None
    if zero_shot:
        classified = zero_shot_report(
            encoder, images, encoded=encoded.images, class_names=names, mixture=chosen, device=where
        )
    return EvaluationReport.assemble(
        Queries.of(dataset, data=data, split=split),
        result,
        model=encoder.name,
        settings={
            "mixture": asdict(chosen),
            "rerank": None if reranker is None else str(reranker),
            **({"bank": describe_bank(bank)} if isinstance(reranker, Reranker) else {}),
            "fingerprint": encoder.fingerprint,
            "device": where,
            "batch_size": batch_size,
            "threads": torch.get_num_threads(),
        },
        bootstrap=bootstrap,
        zero_shot=classified,
    )


def _find_reranker(method: str, images: Sequence[CaptionedImage], *, device: str | None) -> Reranker | FusionReranker:
    """A method by name; a fusion model reads the split first, which counts as neither scoring nor re-ranking."""
    found = parse_method(method)
    return build_fusion_reranker(found, images, device=device) if isinstance(found, FusionPlan) else found


def override(
    mixture: Mixture, *, alpha: float | None, beta: float | None, norm: Literal["l2", "rms"] | None
) -> Mixture:
    """A mixture with some of its fields replaced; None leaves one as it is."""
    changes = {name: value for name, value in (("alpha", alpha), ("beta", beta), ("norm", norm)) if value is not None}
    return replace(mixture, **changes)  # type: ignore[arg-type]  # values fit the fields they are named for
