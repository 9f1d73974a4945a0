"""Embeddings of a split with the names that go with them: what :mod:`rsitr.evaluation.parquet` keeps in a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

from rsitr.data import load_dataset
from rsitr.data.captions import list_texts
from rsitr.errors import ConfigError
from rsitr.evaluation.bank import describe_bank
from rsitr.evaluation.protocol import EncodedSplit, encode_split, measure
from rsitr.evaluation.report import EvaluationReport, Queries
from rsitr.models import TorchEncoder, choose_device
from rsitr.rerank import parse_rerank
from rsitr.types import GLOBAL_ONLY, Encoder, Mixture

__all__ = ["Embeddings", "EmbeddingsSource", "encode_embeddings", "evaluate_embeddings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingsSource:
    """Where embeddings come from.

    Attributes:
        model: name of the encoder.
        fingerprint: of its weights and settings; empty where unknown.
        mixture: how it mixes its similarities.
        rerank: the re-ranking that was chosen for it on validation, if there is one.
        data: the data set, `NAME:FOLDER`.
        split: of the data set.
        data_sha256: of its annotation file; empty where unknown.
    """

    model: str
    fingerprint: str = ""
    mixture: Mixture = GLOBAL_ONLY
    rerank: str | None = None
    data: str = "unknown data"
    split: str = "unknown split"
    data_sha256: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Embeddings:
    """A split as a model sees it, with the names of its images and the words of its captions.

    Attributes:
        split: features, and which caption belongs to which image.
        image_ids: names of the images.
        captions: of each image, in order.
        source: where they come from.
    """

    split: EncodedSplit
    image_ids: tuple[str, ...]
    captions: tuple[tuple[str, ...], ...]
    source: EmbeddingsSource

    @property
    def texts(self) -> list[str]:
        """The distinct captions, in the order of their features."""
        return list_texts(self.captions, row_text=self.split.caption_text)


def encode_embeddings(
    encoder: Encoder,
    *,
    data: str,
    split: str = "val",
    batch_size: int = 64,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Embeddings:
    """Encode a split of a data set.

    Args:
        encoder: the model.
        data: `NAME:FOLDER` or `csv:FILE`.
        split: `test` is read only when it is named here.
        batch_size: of the image encoder.
        progress: called with the pictures encoded and their number.

    Raises:
        DataError: the data set or split is not there, or a picture cannot be read.
    """
    dataset = load_dataset(data)
    images = dataset.split(split)
    encoded = encode_split(encoder, images, batch_size=batch_size, progress=lambda done: progress(done, len(images)))
    return Embeddings(
        split=encoded,
        image_ids=tuple(image.image_id for image in images),
        captions=tuple(image.captions for image in images),
        source=EmbeddingsSource(
            model=encoder.name,
            fingerprint=encoder.fingerprint,
            mixture=encoder.mixture,
            rerank=encoder.rerank if isinstance(encoder, TorchEncoder) else None,
            data=data,
            split=split,
            data_sha256=dataset.sha256,
        ),
    )


def evaluate_embeddings(
    embeddings: Embeddings,
    *,
    mixture: Mixture | None = None,
    rerank: str | None = None,
    device: str | None = None,
    bootstrap: int = 0,
) -> EvaluationReport:
    """Measure embeddings as :func:`rsitr.evaluate` measures a model: the same numbers, without the model.

    Args:
        embeddings: from :func:`encode_embeddings`, or read from a file.
        mixture: of global and local similarity; the embeddings' own when None.
        rerank: a training-free method as :func:`rsitr.rerank.parse_rerank` reads it, or `none`; the embeddings' own
            when None.
        device: where to score.
        bootstrap: resamples for confidence intervals; 0 leaves them out.

    Raises:
        ConfigError: a setting is out of range, or asks for local features that are not there.
    """
    source, split = embeddings.source, embeddings.split
    method = rerank or source.rerank or "none"
    reranker = None if method == "none" else parse_rerank(method)
    where = str(choose_device(device))
    chosen = mixture or source.mixture
    if chosen.beta and not (split.images.tokens.shape[1] and split.texts.tokens.shape[1]):
        raise ConfigError(
            f"the embeddings of {source.model} hold no local features, which a mixture with beta {chosen.beta} needs: "
            "use beta 0, or export them with tokens"
        )
    result = measure(split, mixture=chosen, device=where, rerank=reranker)
    queries = Queries(
        data=source.data,
        split=source.split,
        data_sha256=source.data_sha256,
        image_ids=embeddings.image_ids,
        captions=tuple(caption for captions in embeddings.captions for caption in captions),
    )
    return EvaluationReport.assemble(
        queries,
        result,
        model=source.model,
        settings={
            "mixture": asdict(chosen),
            "rerank": None if reranker is None else str(reranker),
            **({} if reranker is None else {"bank": describe_bank(None)}),
            "fingerprint": source.fingerprint,
            "device": where,
        },
        bootstrap=bootstrap,
    )
