"""Codes of local features that an index keeps of its tiles, so that local similarity needs no pictures.

The projection (`rsitr.similarity.LocalCode`) is fitted to tiles of the archive and to the reference captions when the
index is made, and kept with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rsitr.errors import StoreError
from rsitr.extras import need
from rsitr.index import CODE_FILE
from rsitr.search.references import CAPTIONS
from rsitr.types import EncodedImages, EncodedTexts, Encoder, FloatArray, ImageArray

if TYPE_CHECKING:
    from rsitr.similarity import LocalCode

__all__ = ["FIT_TILES", "LocalCoder", "fit_coder", "load_coder"]

FIT_TILES = 256


class LocalCoder:
    """Makes the codes of tiles, and scores texts against them; a :class:`rsitr.types.TileCoder`."""

    def __init__(self, code: LocalCode) -> None:
        self._code = code

    @property
    def rank(self) -> int:
        """Dimensions that the tokens are projected to."""
        return self._code.rank

    @property
    def norm(self) -> str:
        """Of the local similarity that is approximated."""
        return self._code.norm

    @property
    def length(self) -> int:
        """Numbers in a code."""
        return self._code.length

    @property
    def fingerprint(self) -> str:
        """Hex digest of the projections, the norm and the model."""
        digest = hashlib.sha256(f"{self._code.norm} {self._code.fingerprint}".encode())
        for side in (self._code.text_map, self._code.image_map):
            digest.update(side.numpy().tobytes())
        return digest.hexdigest()

    def encode(self, images: EncodedImages) -> NDArray[np.float16]:
        """The codes of n pictures, (n, length)."""
        import torch

        return np.asarray(self._code.encode_images(torch.from_numpy(images.tokens)).numpy(), dtype=np.float16)

    def encode_texts(self, texts: EncodedTexts) -> NDArray[np.float16]:
        """The codes of n texts, (n, length)."""
        import torch

        codes = self._code.encode_texts(torch.from_numpy(texts.tokens), mask=torch.from_numpy(texts.token_mask))
        return np.asarray(codes.numpy(), dtype=np.float16)

    def score(self, texts: EncodedTexts, *, codes: NDArray[np.float16]) -> FloatArray:
        """Approximate local similarity of texts and tiles (n_text, n_tile), higher is more similar."""
        return self.score_codes(text_codes=self.encode_texts(texts), tile_codes=codes)

    def score_codes(self, *, text_codes: NDArray[np.float16], tile_codes: NDArray[np.float16]) -> FloatArray:
        """The same, of texts whose codes are known."""
        import torch

        texts, tiles = torch.from_numpy(text_codes), torch.from_numpy(np.array(tile_codes))
        return np.asarray(self._code.score(text_codes=texts, image_codes=tiles).numpy(), dtype=np.float32)

    def save(self, path: Path) -> None:
        """Write the projections."""
        self._code.save(path)


def fit_coder(encoder: Encoder, pictures: Sequence[ImageArray], *, rank: int) -> LocalCoder:
    """Fit the projection to pictures of the archive and to the reference captions.

    Raises:
        ConfigError: the rank is larger than the model's tokens are wide.
        StoreError: there are no pictures.
    """
    if not pictures:
        raise StoreError("no tile can be read to fit local codes to; leave out --local-codes to see what is wrong")
    need("torch", what="keeping local codes")
    import torch

    from rsitr.similarity import LocalCode

    images, texts = encoder.encode_images(pictures), encoder.encode_texts(CAPTIONS)
    code = LocalCode.fit(
        text_tokens=torch.from_numpy(texts.tokens),
        image_tokens=torch.from_numpy(images.tokens),
        text_mask=torch.from_numpy(texts.token_mask),
        rank=rank,
        norm=encoder.mixture.norm,
        fingerprint=encoder.fingerprint,
    )
    return LocalCoder(code)


def load_coder(folder: Path) -> LocalCoder | None:
    """What made the codes of an index; None where its folder says nothing of it.

    Raises:
        ModelError: the file is damaged.
    """
    path = folder / CODE_FILE
    if not path.is_file():
        return None
    need("torch", what="an index that keeps local codes")
    from rsitr.similarity import LocalCode

    return LocalCoder(LocalCode.load(path))
