"""The distinct captions of pictures and their numbers: equal captions are one text, encoded once and scored equal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["NumberedCaptions", "list_texts", "number_captions"]


@dataclass(frozen=True, slots=True, eq=False)
class NumberedCaptions:
    """Captions of pictures as rows: n_row captions, equal ones as often as they occur, picture after picture.

    Attributes:
        texts: the distinct captions.
        row_text: (n_row,) number of each row's text.
        row_image: (n_row,) number of each row's picture.
    """

    texts: tuple[str, ...]
    row_text: NDArray[np.int64]
    row_image: NDArray[np.int64]


def number_captions(captions: Sequence[Sequence[str]], *, texts: Sequence[str] | None = None) -> NumberedCaptions:
    """Number the captions of pictures.

    Args:
        captions: of each picture.
        texts: the distinct captions in an order of their own; sorted when None.

    Raises:
        KeyError: a caption is not among the texts.

    >>> number_captions([("a sea", "a bay"), ("a sea",)]).row_text
    array([1, 0, 1])
    """
    rows = [caption for own in captions for caption in own]
    known = sorted(set(rows)) if texts is None else texts
    number = {caption: index for index, caption in enumerate(known)}
    return NumberedCaptions(
        texts=tuple(known),
        row_text=np.array([number[caption] for caption in rows], dtype=np.int64),
        row_image=np.repeat(np.arange(len(captions)), [len(own) for own in captions]),
    )


def list_texts(captions: Sequence[Sequence[str]], *, row_text: NDArray[np.int64]) -> list[str]:
    """The way back: captions of pictures, and the number of each row's text -> the texts in the order of the numbers.

    >>> list_texts([("a sea", "a bay"), ("a sea",)], row_text=np.array([1, 0, 1]))
    ['a bay', 'a sea']
    """
    rows = (caption for own in captions for caption in own)
    return [caption for _, caption in sorted(dict(zip(row_text.tolist(), rows, strict=True)).items())]
