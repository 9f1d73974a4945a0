"""A dual encoder run by ONNX Runtime: from a checkpoint that has graphs, without torch."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from rsitr.calibration import Calibration
from rsitr.models.checkpoint import OpenedCheckpoint, open_checkpoint
from rsitr.models.graphs import Side, read_graphs
from rsitr.models.inference import read_inference
from rsitr.models.lexicon import Lexicon
from rsitr.models.preparing import SEP_ID, cut_padding, local_mask, prepare_picture
from rsitr.models.wordpiece import VOCABULARY_FILE, WordPieceVocabulary
from rsitr.types import EncodedImages, EncodedTexts, FloatArray, ImageArray, Mixture

__all__ = ["IMAGE_PATH", "PortableEncoder", "load_portable"]

IMAGE_PATH = "ONNX Runtime on cpu"
BATCH = 16
"""Pictures at once at most: their feature maps stay in the processor's caches."""
WORDS, WORD_SCALE = "text.words", "text.word_scale"


class PortableEncoder:
    """A checkpoint with graphs, behind :class:`rsitr.types.Encoder`.

    Each side is made ready when it is first used: who asks by words does not wait for the image side.

    Args:
        folder: of the checkpoint.
        opened: the checkpoint, its weights opened for numpy.
        name: what a person types to get this model.

    Attributes:
        calibration: what makes its scores probabilities; None where that has not been fitted.
        lexicon: which words it can know; None where nobody noted them.
        rerank: the re-ranking that was chosen for it on validation, as :func:`rsitr.rerank.parse_rerank` reads it.

    Raises:
        ModelError: the graphs belong to other settings, or the config says what this version does not know.
    """

    def __init__(self, folder: Path, opened: OpenedCheckpoint[Any], *, name: str) -> None:
        self._name, self._fingerprint, self._tensors = name, opened.fingerprint, opened.content
        self._graphs = read_graphs(folder, config=opened.config)
        self._settings = read_inference(opened.config, folder=folder, name=name, fingerprint=opened.fingerprint)
        self._vocabulary = WordPieceVocabulary(
            folder / VOCABULARY_FILE, context_length=self._graphs.sizes.context_length
        )
        self._sessions: dict[Side, Any] = {}
        self._weights: dict[Side, list[NDArray[Any]]] = {}
        self._opening = threading.Lock()
        self.rerank = self._settings.rerank
        self.calibration: Calibration | None = self._settings.calibration
        known = self.calibration.known if self.calibration else ()
        self.lexicon = Lexicon(self._vocabulary.numbers, embed=self._embed_words, known=known) if known else None

    @property
    def name(self) -> str:
        """What a person typed to get this model."""
        return self._name

    @property
    def fingerprint(self) -> str:
        """Hex digest of weights and settings: the checkpoint's, whatever runs it."""
        return self._fingerprint

    @property
    def dim(self) -> int:
        """Joint width D."""
        return self._graphs.sizes.dim

    @property
    def image_size_px(self) -> int:
        """Side of the square picture the image encoder sees."""
        return self._graphs.sizes.image_size_px

    @property
    def mixture(self) -> Mixture:
        """How global and local similarity are mixed for this model."""
        return self._settings.mixture

    @property
    def image_path(self) -> str:
        """How pictures are encoded."""
        return IMAGE_PATH

    def encode_images(self, images: Sequence[ImageArray], *, batch_size: int = 64) -> EncodedImages:
        """Encode pictures of any size, each (H, W, 3) uint8 RGB; at once `batch_size`, 16 at most.

        Returns:
            Unit global features (n, D) and local features (n, N, D), float32.
        """
        batch_size = min(batch_size, BATCH)
        batches = [images[start : start + batch_size] for start in range(0, len(images), batch_size)]
        found = [self._run("images", pictures=np.stack([self._prepare(image) for image in batch])) for batch in batches]
        if not found:
            return EncodedImages(_empty(0, self.dim), _empty(0, 0, self._graphs.sizes.local_dim))
        return EncodedImages(*map(np.concatenate, zip(*found, strict=True)))

    def encode_texts(self, texts: Sequence[str], *, batch_size: int = 256) -> EncodedTexts:
        """Encode captions or queries. Columns that no text needs are cut off.

        Returns:
            Unit global features (n, D), local features (n, M, D), float32, and which of them count.
        """
        if not texts:
            return EncodedTexts(
                _empty(0, self.dim), _empty(0, 0, self._graphs.sizes.local_dim), np.zeros((0, 0), dtype=np.bool_)
            )
        ids = self._vocabulary.encode(texts)
        if self._settings.local_tokens != "all":
            ids = cut_padding(ids, end_id=SEP_ID)
        found = [self._run("texts", ids=ids[start : start + batch_size]) for start in range(0, len(ids), batch_size)]
        counted = local_mask(ids, local_tokens=self._settings.local_tokens, end_id=SEP_ID)
        global_emb, tokens = map(np.concatenate, zip(*found, strict=True))
        return EncodedTexts(global_emb, tokens, np.asarray(counted, dtype=np.bool_))

    def read_weights(self, side: Side) -> None:
        """Have the weights of one side in memory: what can be done before a fork, which sessions do not survive.

        Raises:
            ModelError: one is not there.
        """
        self._weights[side] = self._graphs.take(side, tensors=self._tensors)

    def _prepare(self, image: ImageArray) -> FloatArray:
        settings = self._settings
        return prepare_picture(
            image, size_px=self.image_size_px, resize=settings.resize, interpolation=settings.interpolation
        )

    def _run(self, side: Side, **inputs: NDArray[Any]) -> tuple[FloatArray, FloatArray]:
        """Unit global features and local features of one batch."""
        with self._opening:
            if side not in self._sessions:
                if side not in self._weights:
                    self.read_weights(side)
                self._sessions[side] = self._graphs.open(side, arrays=self._weights.pop(side))
        global_emb, tokens = self._sessions[side].run(["global_emb", "tokens"], inputs)
        return global_emb, tokens

    def _embed_words(self, ids: Sequence[int]) -> FloatArray:
        """Embeddings (n, W) of pieces of words, as the text side has them."""
        words, scale = self._embeddings
        rows = np.asarray(ids, dtype=np.int64)
        return np.asarray(words[rows] * scale[rows, None], dtype=np.float32)

    @cached_property
    def _embeddings(self) -> tuple[NDArray[np.int8], FloatArray]:
        return self._tensors.get_tensor(WORDS), self._tensors.get_tensor(WORD_SCALE)


def load_portable(folder: Path, *, name: str) -> PortableEncoder:
    """The model of a checkpoint folder that has graphs.

    Raises:
        ModelError: a file is missing or damaged, or the files do not belong together.
    """
    return PortableEncoder(folder, open_checkpoint(folder, lambda path: safe_open(path, framework="np")), name=name)


def _empty(*shape: int) -> FloatArray:
    return np.zeros(shape, dtype=np.float32)
