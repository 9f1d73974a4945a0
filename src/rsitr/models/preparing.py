"""Pictures and texts made ready for a dual encoder, whatever runs it: arrays in, arrays out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rsitr.types import FloatArray, ImageArray

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["EOS_ID", "SEP_ID", "Interpolation", "LocalTokens", "Resize", "cut_padding", "local_mask", "prepare_picture"]

LocalTokens = Literal["valid", "valid_sos", "all"]
Resize = Literal["squash", "crop"]
Interpolation = Literal["bilinear", "bicubic"]

EOS_ID = 49407
"""What ends a text in CLIP's vocabulary."""
SEP_ID = 102
"""What ends one in BERT's."""

_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}

Ids = TypeVar("Ids", "Tensor", NDArray[Any])


def prepare_picture(
    image: ImageArray, *, size_px: int, resize: Resize = "squash", interpolation: Interpolation = "bilinear"
) -> FloatArray:
    """One picture (H, W, 3) uint8 -> (3, size_px, size_px) float32 in [0, 1].

    Pillow resizes, its filters widened where a picture shrinks. Where torch runs a model, torch resizes on its own: the
    same filters, rounded otherwise, so that about a hundredth of the numbers differ by one level of 255.

    Args:
        image: RGB.
        size_px: side of the square that the model sees.
        resize: `squash` to the square, or resize the shorter side and `crop` the centre (open_clip's way).
        interpolation: of the resize.
    """
    height, width = image.shape[:2]
    target = (size_px, size_px)
    if resize == "crop":
        factor = size_px / min(height, width)
        target = (max(size_px, round(height * factor)), max(size_px, round(width * factor)))
    if (height, width) != target:
        resized = Image.fromarray(np.ascontiguousarray(image)).resize(target[::-1], _FILTERS[interpolation])
        image = np.asarray(resized)
    top, left = (target[0] - size_px) // 2, (target[1] - size_px) // 2
    square = image[top : top + size_px, left : left + size_px]
    return np.ascontiguousarray(np.moveaxis(square, 2, 0), dtype=np.float32) / np.float32(255)


def cut_padding(ids: Ids, *, end_id: int = EOS_ID) -> Ids:
    """Cut off the columns after every text's end: ids (n, M) -> (n, longest text).

    Id 0 pads, but in CLIP's vocabulary it is also the byte `!` inside a word: only the end tells where a text ends.
    """
    kept: Ids = ids[:, : int(_before_end(ids, end_id).sum(1).max()) + 1]
    return kept


def local_mask(ids: Ids, *, local_tokens: LocalTokens, end_id: int = EOS_ID) -> Ids:
    """Which positions count as local: ids (n, M) -> (n, M) bool (METHODS 1.1).

    [EOS] carries the global feature and the padding nothing, so `valid` is what lies between [SOS] and [EOS].
    """
    if local_tokens == "all":
        every: Ids = ids == ids  # noqa: PLR0124  # all true, for arrays and tensors on any device
        return every
    counted = _before_end(ids, end_id)
    if local_tokens == "valid":
        counted[:, :1] = False
    return counted


def _before_end(ids: Ids, end_id: int) -> Ids:
    """(n, M) bool: the positions before a text's end."""
    before: Ids = (ids == end_id).cumsum(1) == 0
    return before
