"""A bank of reference queries for re-ranking, in place of the queries of the split that is measured (METHODS 2).

Re-ranking over a split's own queries lets each list be sorted by all others, which a live search does not have. With a
bank, of training pictures and captions or of captions from a file, every query is answered by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from rsitr.data import CaptionedImage
from rsitr.data.captions import number_captions
from rsitr.errors import DataError
from rsitr.evaluation.protocol import BankScores, EncodedSplit, encode_images
from rsitr.similarity import score_pairs
from rsitr.types import EncodedImages, EncodedTexts, Encoder, Mixture

__all__ = ["OWN_QUERIES", "Bank", "describe_bank", "encode_bank", "read_bank", "score_bank"]

OWN_QUERIES = "the split's own queries"
"""What a report calls the bank where there is none."""


@dataclass(frozen=True, slots=True)
class Bank:
    """Reference queries.

    Attributes:
        texts: for lists of pictures.
        images: for lists of captions; None leaves these to the split's own pictures.
    """

    texts: EncodedTexts
    images: EncodedImages | None


def encode_bank(
    encoder: Encoder, images: Sequence[CaptionedImage], *, progress: Callable[[int], None] = lambda _done: None
) -> Bank:
    """Pictures and their distinct captions, of a training split.

    Raises:
        DataError: a picture is missing or cannot be decoded.
    """
    texts = number_captions([image.captions for image in images]).texts
    return Bank(encoder.encode_texts(texts), encode_images(encoder, images, progress=progress))


def read_bank(encoder: Encoder, file: Path) -> Bank:
    """Captions from a file, one per line.

    Raises:
        DataError: it cannot be read, is not UTF-8 text, or holds no caption.
    """
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the bank of captions {file} ({error}): write UTF-8, one per line") from error
    texts = list(dict.fromkeys(filter(None, lines)))
    if not texts:
        raise DataError(f"the bank of captions {file} is empty: write one per line")
    return Bank(encoder.encode_texts(texts), None)


def describe_bank(bank: str | None) -> str:
    """What a report says of the reference queries.

    >>> describe_bank(None)
    "the split's own queries"

    Args:
        bank: `train`, a file of captions, or None.
    """
    if bank is None:
        return OWN_QUERIES
    if bank == "train":
        return "captions and pictures of the training split"
    return f"the captions in {bank}; lists of captions over {OWN_QUERIES}"


def score_bank(bank: Bank, split: EncodedSplit, *, mixture: Mixture, device: str | torch.device = "cpu") -> BankScores:
    """The bank's scores of a split's candidates, mixed as the split's own are."""

    def score(texts: EncodedTexts, images: EncodedImages) -> Tensor:
        return score_pairs(texts=texts, images=images, mixture=mixture, device=device).cpu()

    to_text = None
    if bank.images is not None:
        to_text = score(split.texts, bank.images)
    return BankScores(to_image=score(bank.texts, split.images), to_text=to_text)
