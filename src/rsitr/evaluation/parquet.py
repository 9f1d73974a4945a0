"""Embeddings of a split in one Parquet file: to keep, to hand on, and to measure without the model.

One row per image and one per distinct caption:

| column       | type                      | image rows                       | caption rows                          |
|--------------|---------------------------|----------------------------------|---------------------------------------|
| `kind`       | string                    | `image`                          | `text`                                |
| `image_id`   | string                    | unique                           | null                                  |
| `captions`   | list of string            | its captions, in order           | null                                  |
| `caption`    | string                    | null                             | unique                                |
| `embedding`  | fixed-size list of float  | global feature, D numbers        | the same                              |
| `tokens`     | list of float, may be null| local features, N x D, row-major | M x D                                 |
| `token_mask` | list of bool, may be null | null                             | which of the M tokens count as local  |

The file's metadata hold, under the key `rsitr`, a JSON object that says what the embeddings are of. A file that another
program wrote needs the columns up to `embedding` only; without tokens it is measured by its global similarity.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from rsitr.data.captions import number_captions
from rsitr.data.ceiling import recall_ceiling
from rsitr.errors import DataError
from rsitr.evaluation.embeddings import Embeddings, EmbeddingsSource
from rsitr.evaluation.protocol import EncodedSplit
from rsitr.files import replacing
from rsitr.types import EncodedImages, EncodedTexts, FloatArray, Mixture

__all__ = ["read_embeddings", "write_embeddings"]

FORMAT = 1
METADATA = b"rsitr"
ROWS_PER_GROUP = 256
_REQUIRED = ("kind", "image_id", "captions", "caption", "embedding")


def write_embeddings(
    path: Path, embeddings: Embeddings, *, tokens: bool = True, provenance: dict[str, str] | None = None
) -> None:
    """Write embeddings to a Parquet file, which appears whole or not at all.

    Args:
        path: of the file.
        embeddings: what to write; numbers are kept bit by bit.
        tokens: write the local features too. They take most of the space, and only the local similarity needs them.
        provenance: goes into the metadata as it is (command, commit).

    Raises:
        ConfigError: the file cannot be written.
    """
    split = embeddings.split
    about = {"format": FORMAT, **asdict(embeddings.source), "encode_s": split.encode_s, **(provenance or {})}
    schema = _schema(split.images.global_emb.shape[1]).with_metadata({METADATA: json.dumps(about)})
    with (
        replacing(path) as part,
        pq.ParquetWriter(part, schema, compression="zstd", use_dictionary=["kind"]) as writer,
    ):
        for batch in _batches(embeddings, schema, tokens=tokens):
            writer.write_batch(batch)


def read_embeddings(path: Path) -> Embeddings:
    """Read what :func:`write_embeddings` wrote, or what another program wrote in the same columns.

    Raises:
        DataError: the file is missing, is no Parquet file, or its rows do not fit together; the message says how.
    """
    if not path.is_file():
        raise DataError(f"there is no file {path}: `rsitr export-embeddings` writes one")
    try:
        with pq.ParquetFile(path) as file:
            missing = [name for name in _REQUIRED if name not in file.schema_arrow.names]
            if missing:
                raise DataError(f"{path} lacks the columns {', '.join(missing)}; it needs {', '.join(_REQUIRED)}")
            about = _read_about(path, file.schema_arrow.metadata or {})
            table = file.read()
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet ({str(error).splitlines()[0]}): export it again") from error
    kinds = np.array(table["kind"].to_pylist(), dtype=object)
    unknown = sorted({str(kind) for kind in kinds} - {"image", "text"})
    if unknown:
        raise DataError(f"{path}: kind is `image` or `text`, not {', '.join(unknown)}")
    images, texts = (_Side(path, table.filter(pa.array(kinds == kind)), kind=kind) for kind in ("image", "text"))
    if images.width != texts.width:
        raise DataError(f"{path}: images have {images.width} numbers and texts {texts.width}; they must agree")
    return _join(path, images, texts, about=about)


def _schema(width: int) -> pa.Schema:
    return pa.schema(
        [
            pa.field("kind", pa.string(), nullable=False),
            pa.field("image_id", pa.string()),
            pa.field("captions", pa.list_(pa.string())),
            pa.field("caption", pa.string()),
            pa.field("embedding", pa.list_(pa.float32(), width), nullable=False),
            pa.field("tokens", pa.large_list(pa.float32())),
            pa.field("token_mask", pa.large_list(pa.bool_())),
        ]
    )


def _batches(embeddings: Embeddings, schema: pa.Schema, *, tokens: bool) -> Iterator[pa.RecordBatch]:
    split, texts = embeddings.split, embeddings.texts
    for first in range(0, len(split.images), ROWS_PER_GROUP):
        part = slice(first, first + ROWS_PER_GROUP)
        count = len(embeddings.image_ids[part])
        columns = {
            "kind": pa.array(["image"] * count),
            "image_id": pa.array(embeddings.image_ids[part]),
            "captions": pa.array(embeddings.captions[part], pa.list_(pa.string())),
            "embedding": _vectors(split.images.global_emb[part]),
        }
        if tokens:
            columns["tokens"] = _rows(split.images.tokens[part], pa.float32())
        yield _batch(columns, schema, count=count)
    for first in range(0, len(split.texts), ROWS_PER_GROUP):
        part = slice(first, first + ROWS_PER_GROUP)
        count = len(texts[part])
        columns = {
            "kind": pa.array(["text"] * count),
            "caption": pa.array(texts[part]),
            "embedding": _vectors(split.texts.global_emb[part]),
        }
        if tokens:
            columns["tokens"] = _rows(split.texts.tokens[part], pa.float32())
            columns["token_mask"] = _rows(split.texts.token_mask[part], pa.bool_())
        yield _batch(columns, schema, count=count)


def _batch(columns: dict[str, Any], schema: pa.Schema, *, count: int) -> pa.RecordBatch:
    """A batch of all columns; those that are not given are null."""
    arrays = [columns.get(field.name, pa.nulls(count, field.type)) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _vectors(rows: FloatArray) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.astype(np.float32).reshape(-1)), rows.shape[1])


def _rows(values: NDArray[Any], kind: pa.DataType) -> pa.Array:
    flat = values.reshape(len(values), -1)
    offsets = np.arange(len(flat) + 1, dtype=np.int64) * flat.shape[1]
    return pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(flat.reshape(-1), type=kind))


def _read_about(path: Path, metadata: dict[bytes, bytes]) -> dict[str, Any]:
    if METADATA not in metadata:
        return {"model": path.stem}
    try:
        about: dict[str, Any] = json.loads(metadata[METADATA])
        if about["format"] != FORMAT:
            raise DataError(f"{path} has format {about['format']}, this rsitr reads format {FORMAT}; update rsitr")
        about["mixture"] = Mixture(**about["mixture"])
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path}: its rsitr metadata cannot be read ({error}): export it again") from error
    return about


class _Side:
    """The rows of one kind, checked."""

    def __init__(self, path: Path, table: pa.Table, *, kind: str) -> None:
        self.path, self.table, self.kind = path, table, kind
        if not len(table):
            raise DataError(f"{path} has no rows of kind {kind}")
        self.embedding = self._matrix("embedding")
        self.width = self.embedding.shape[1]
        self.names = self._names("image_id" if kind == "image" else "caption")
        self.tokens = self._tokens()

    def __len__(self) -> int:
        return len(self.table)

    def _names(self, column: str) -> list[str]:
        names: list[str] = self.table[column].to_pylist()
        if None in names:
            raise DataError(f"{self.path}: a row of kind {self.kind} has no {column}")
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise DataError(f"{self.path}: {column} {twice!r} is there twice; each has one row")
        return names

    def _matrix(self, column: str) -> NDArray[Any]:
        """A column of lists of one length: (rows, length)."""
        values = self.table[column].combine_chunks()
        flat = values.flatten()
        if values.null_count or flat.null_count or len(flat) % len(values):
            raise self._uneven(column)
        lengths = np.diff([0]) if pa.types.is_fixed_size_list(values.type) else np.diff(values.offsets.to_numpy())
        if len(set(lengths.tolist())) > 1:
            raise self._uneven(column)
        # A copy: Arrow's memory is read-only, which torch warns of.
        return np.array(flat.to_numpy(zero_copy_only=False)).reshape(len(values), -1)

    def _uneven(self, column: str) -> DataError:
        return DataError(f"{self.path}: the {column} of {self.kind} rows must be lists of one length, without nulls")

    def _tokens(self) -> FloatArray:
        """(rows, L, width); L is 0 where there are none."""
        if "tokens" not in self.table.column_names or self.table["tokens"].null_count == len(self):
            return np.zeros((len(self), 0, self.width), dtype=np.float32)
        flat = self._matrix("tokens")
        if flat.shape[1] % self.width:
            raise DataError(
                f"{self.path}: tokens of {self.kind} rows are {flat.shape[1]} numbers, no multiple of the "
                f"embedding's {self.width}"
            )
        return flat.astype(np.float32, copy=False).reshape(len(self), -1, self.width)

    def mask(self) -> NDArray[np.bool_]:
        """(rows, L): which tokens count; all where the file does not say."""
        shape = self.tokens.shape[:2]
        if "token_mask" not in self.table.column_names or self.table["token_mask"].null_count == len(self):
            return np.ones(shape, dtype=np.bool_)
        mask = self._matrix("token_mask").astype(np.bool_)
        if mask.shape != shape:
            raise DataError(f"{self.path}: token_mask has {mask.shape[1]} values per text, its tokens are {shape[1]}")
        return mask


def _join(path: Path, images: _Side, texts: _Side, *, about: dict[str, Any]) -> Embeddings:
    captions = _captions(path, images.table["captions"].to_pylist(), names=images.names)
    given, named = {caption for own in captions for caption in own}, set(texts.names)
    lost = sorted(given - named)
    if lost:
        raise DataError(f"{path}: {len(lost)} captions have no row of kind text, the first is {lost[0]!r}")
    spare = sorted(named - given)
    if spare:
        raise DataError(f"{path}: {len(spare)} texts are no image's caption, the first is {spare[0]!r}")
    rows = number_captions(captions, texts=texts.names)
    split = EncodedSplit(
        images=EncodedImages(images.embedding.astype(np.float32, copy=False), images.tokens),
        texts=EncodedTexts(texts.embedding.astype(np.float32, copy=False), texts.tokens, texts.mask()),
        caption_text=rows.row_text,
        text_image=rows.row_image,
        mR_ceiling=recall_ceiling(captions).mR,
        encode_s=float(about.get("encode_s", 0.0)),
    )
    known = {field.name for field in fields(EmbeddingsSource)}
    source = EmbeddingsSource(**{name: value for name, value in about.items() if name in known})
    return Embeddings(split=split, image_ids=tuple(images.names), captions=captions, source=source)


def _captions(
    path: Path, lists: Sequence[Sequence[str | None] | None], *, names: Sequence[str]
) -> tuple[tuple[str, ...], ...]:
    for own, name in zip(lists, names, strict=True):
        if not own or None in own:
            raise DataError(f"{path}: image {name!r} has no captions, or an empty one")
    return tuple(tuple(str(caption) for caption in own or ()) for own in lists)
