"""How alike captions are by their words: soft targets for pairs that belong together without having been paired.

Pictures of one kind have captions that say nearly the same; as negatives they teach what isn't so. Our addition.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from rsitr.models.preparing import local_mask
from rsitr.training.rows import RowTable

__all__ = ["CaptionLikeness"]


class CaptionLikeness:
    """Cosine of tf-idf vectors: of a caption, and of all captions of a picture together.

    Args:
        table: the training rows.
        ids: (n_captions, M) BPE ids of the table's distinct captions. What a token is worth follows from how few of
            them have it.
    """

    def __init__(self, table: RowTable, *, ids: NDArray[np.int64]) -> None:
        self.table = table
        tokens = torch.from_numpy(ids)
        known, columns = torch.unique(tokens, return_inverse=True)
        words = local_mask(tokens, local_tokens="valid")
        # What is no word goes to a column of its own, which is worth nothing, as are the columns it leaves empty.
        self.columns = columns.masked_fill(~words, len(known))
        seen = torch.zeros(len(tokens), len(known) + 1, dtype=torch.bool).scatter_(1, self.columns, True).sum(dim=0)
        self.worth = torch.log(len(tokens) / (1.0 + seen)).clamp(min=0.0).masked_fill(seen == 0, 0.0)
        self.worth[-1] = 0.0

    def __call__(self, rows: NDArray[np.int64]) -> Tensor:
        """(B,) row indices -> (B, B) in [0, 1]: rows the rows' captions, columns their pictures' captions together."""
        table = self.table
        texts = self._vectors(table.row_caption[rows])
        images = table.row_image[rows]
        first, counts = table.first_row[images], np.diff(table.first_row)[images]
        owned = np.concatenate([np.arange(start, start + count) for start, count in zip(first, counts, strict=True)])
        place = torch.from_numpy(np.repeat(np.arange(len(rows)), counts))
        pictures = torch.zeros_like(texts).index_add_(0, place, self._vectors(table.row_caption[owned]))
        return texts @ F.normalize(pictures, dim=1).T

    def _vectors(self, captions: NDArray[np.int64]) -> Tensor:
        """Unit tf-idf vectors (n, V) of captions by index; a token counts once."""
        columns = self.columns[torch.from_numpy(captions)]
        present = torch.zeros(len(captions), len(self.worth)).scatter_(1, columns, 1.0)
        return F.normalize(present * self.worth, dim=1)
