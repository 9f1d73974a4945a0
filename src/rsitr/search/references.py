"""Reference captions: what else a picture from above may show. Queries are weighed against them.

The wording is our own. They serve twice: a hit counts as relevant where the query suits its tile better than these
do (`rsitr.search.relevance`), and re-ranking methods take their reverse lists from it.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rsitr.files import read_kept, write_kept
from rsitr.types import EncodedTexts, Encoder, FloatArray

__all__ = ["CAPTIONS", "CodedTexts", "References", "TextCoder", "load_reference_vectors"]

SUBJECTS = (
    *("airport runway", "airplane", "harbour", "boats", "ship", "bridge", "river", "lake", "pond", "sea", "beach"),
    *("coast", "island", "wetland", "swamp", "forest", "trees", "bushes", "meadow", "grassland", "farmland"),
    *("crop fields", "orchard", "vineyard", "greenhouse", "desert", "sand dunes", "bare soil", "rocks", "mountain"),
    *("snow", "glacier", "clouds", "volcano", "quarry", "mine", "factory", "industrial buildings", "warehouse"),
    *("storage tanks", "power plant", "solar panels", "wind turbines", "substation", "dam", "reservoir"),
    *("sewage treatment ponds", "landfill", "road", "highway", "roundabout", "intersection", "overpass", "railway"),
    *("train station", "parking lot", "cars", "houses", "dense houses", "scattered houses", "apartment blocks"),
    *("tall buildings", "shopping centre", "office buildings", "church", "mosque", "school", "playground", "stadium"),
    *("football pitch", "tennis court", "basketball court", "baseball diamond", "golf course", "swimming pool"),
    *("park", "square", "garden", "cemetery", "campsite", "mobile homes", "hotel", "palace", "castle", "ruins"),
    *("construction site", "containers", "cranes", "racetrack", "ferry terminal", "canal", "waterfall", "hills"),
    *("valley", "terraces", "rice paddies", "pivot irrigation", "fish ponds", "salt flats", "burnt ground"),
    *("flooded land", "sea ice"),
)
FRAMES = ("{}", "an aerial image of {}", "there is {} beside some buildings", "{} surrounded by green trees")
CAPTIONS = tuple(frame.format(subject) for subject in SUBJECTS for frame in FRAMES)
"""Every subject in every frame."""

FILE = "reference-captions.safetensors"


@dataclass(frozen=True, slots=True, eq=False)
class CodedTexts:
    """Texts as an index's codes are compared with them: `global_emb` (n, D) with unit rows; `codes` (n, length)."""

    global_emb: FloatArray
    codes: NDArray[np.float16]


class TextCoder(Protocol):
    """Makes codes of texts, as :class:`rsitr.search.codes.LocalCoder` does."""

    def encode_texts(self, texts: EncodedTexts) -> NDArray[np.float16]:
        """The codes of n texts, (n, length)."""


class References:
    """The captions with their local features, made when a re-ranking first asks for them. Safe for many threads.

    Where codes do, the tokens that they are made of are not kept: those of a ViT take 64 MB.

    Args:
        encoder: the index's model.
        coder: what made the codes that the index keeps, or None.
    """

    def __init__(self, *, encoder: Callable[[], Encoder], coder: Callable[[], TextCoder | None]) -> None:
        self._encoder = encoder
        self._coder = coder
        self._texts: EncodedTexts | None = None
        self._coded: CodedTexts | None = None
        self._lock = threading.Lock()

    def texts(self) -> EncodedTexts:
        """The captions as the model encodes them."""
        with self._lock:  # who comes second waits, rather than encode the same again
            if self._texts is None:
                self._texts = self._encoder().encode_texts(CAPTIONS)
            return self._texts

    def coded(self) -> CodedTexts:
        """The captions as codes.

        Raises:
            ValueError: the index keeps no codes.
        """
        with self._lock:
            if self._coded is None:
                coder = self._coder()
                if coder is None:
                    raise ValueError("codes need what made them")
                texts = self._texts or self._encoder().encode_texts(CAPTIONS)
                self._coded = CodedTexts(texts.global_emb, coder.encode_texts(texts))
            return self._coded


def load_reference_vectors(folder: Path, encoder: Encoder) -> FloatArray:
    """The captions' global vectors (len(CAPTIONS), dim): from the index's folder if they are there, else encoded.

    They are kept beside the index, where that can be written: a large text encoder takes a while for them.
    """
    about = {"fingerprint": encoder.fingerprint, "captions": hashlib.sha256("\n".join(CAPTIONS).encode()).hexdigest()}
    kept = read_kept(folder / FILE, about=about) or {}
    vectors = kept.get("global_emb")
    if vectors is not None and vectors.shape == (len(CAPTIONS), encoder.dim):
        return np.asarray(vectors, dtype=np.float32)
    found = np.ascontiguousarray(encoder.encode_texts(CAPTIONS).global_emb, dtype=np.float32)
    if folder.is_dir():
        write_kept(folder / FILE, {"global_emb": found}, about=about)
    return found
