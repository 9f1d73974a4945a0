"""A query as vectors: each of its parts encoded, and what they add up to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsitr import geo
from rsitr.errors import QueryError, SceneError
from rsitr.search.collection import Collection
from rsitr.search.query import Part, Query
from rsitr.search.relevance import AskedPart
from rsitr.types import FloatArray, ImageArray

__all__ = ["EncodedPart", "EncodedQuery", "encode_query"]

LEAST_LENGTH = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class EncodedPart:
    """A part of a query: `tokens` (1, L, D) and which of them count (1, L); None for a tile, until they are needed."""

    weight: float
    is_text: bool
    global_emb: FloatArray
    tokens: FloatArray | None
    token_mask: NDArray[np.bool_] | None


@dataclass(frozen=True, eq=False)
class EncodedQuery:
    """A query and its parts, in their order."""

    query: Query
    parts: tuple[EncodedPart, ...]

    @property
    def is_text(self) -> bool:
        """Whether it is words alone."""
        return all(part.is_text for part in self.parts)

    @property
    def words(self) -> list[tuple[float, str]]:
        """The parts that are words, with their weights."""
        return [(part.weight, part.value) for part in self.query.parts if part.kind == "words"]

    @property
    def has_unwanted(self) -> bool:
        """Whether something is not wanted, and something is."""
        return any(part.weight < 0 for part in self.parts) and any(part.weight > 0 for part in self.parts)

    @property
    def asked(self) -> list[AskedPart]:
        """The parts as relevance is estimated from them."""
        return [AskedPart(part.global_emb, part.is_text, part.weight) for part in self.parts]

    @property
    def shares(self) -> list[float]:
        """What each part counts, their absolute values adding up to 1."""
        total = sum(abs(part.weight) for part in self.parts)
        return [part.weight / total for part in self.parts]

    @cached_property
    def vector(self) -> FloatArray:
        """The unit vector (dim,) that is searched with.

        Raises:
            QueryError: the parts say the exact opposite of each other.
        """
        mixed = np.sum([part.weight * part.global_emb for part in self.parts], axis=0)
        length = float(np.linalg.norm(mixed))
        if length < LEAST_LENGTH:
            raise QueryError("the parts of the query say the exact opposite of each other: search for one of them")
        return np.asarray(mixed / length, dtype=np.float32)


def encode_query(query: Query, collection: Collection, *, with_tokens: bool = False) -> EncodedQuery:
    """Encode what is asked of a collection.

    Args:
        query: a checked one.
        collection: whose model encodes, and whose tiles it may name.
        with_tokens: also those of tiles, which takes their pictures.

    Raises:
        SceneError: an example cannot be read.
        MissingError: a tile is not in the index.
    """
    return EncodedQuery(query, tuple(_encode_part(part, collection, with_tokens=with_tokens) for part in query.parts))


def _encode_part(part: Part, collection: Collection, *, with_tokens: bool) -> EncodedPart:
    if part.kind == "words":
        texts = collection.encoder.encode_texts([part.value])
        return EncodedPart(part.weight, True, texts.global_emb[0], texts.tokens, texts.token_mask)
    if part.kind == "picture":
        images = collection.encoder.encode_images([_read_example(part, max_px=collection.model_max_px)])
        return EncodedPart(part.weight, False, images.global_emb[0], images.tokens, None)
    vector = collection.vectors([part.value])[0]
    tokens = _tile_tokens(part.value, collection) if with_tokens else None
    return EncodedPart(part.weight, False, vector, tokens, None)


def _read_example(part: Part, *, max_px: int) -> ImageArray:
    if isinstance(part.picture, np.ndarray):
        return part.picture
    return geo.read_picture(Path(part.picture or part.value), max_px=max_px)


def _tile_tokens(tile: str, collection: Collection) -> FloatArray | None:
    """Patches of a tile; None where its picture cannot be read: its vector then has to do."""
    try:
        return collection.encoder.encode_images([collection.view(collection.tile(tile))]).tokens
    except SceneError:
        return None
