"""What an MTGFE run computes once: features of augmented copies of its pictures, and vectors for hard negatives."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from rsitr.config import MtgfeConfig
from rsitr.data import CaptionedImage
from rsitr.data.augmentation import RandAugment
from rsitr.evaluation.protocol import encode_images
from rsitr.models.compact import CompactImageEncoder
from rsitr.models.encoder import TorchEncoder, inference
from rsitr.models.fusion import FusionModel
from rsitr.models.precision import has_bf16
from rsitr.training.cache import VIEW_SEED, cache_patches, patches_key
from rsitr.training.rows import RowTable
from rsitr.types import Encoder

__all__ = ["CachedViews", "DualVectors", "dual_vectors", "pick_evenly"]

VECTORS_FILE = "dual.safetensors"
ENCODED_AT_ONCE = 256
Patches = NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class DualVectors:
    """Unit vectors of a dual encoder, for hard negatives.

    Attributes:
        images: (n_images, D), in the order of the row table.
        captions: (n_captions, D), of its distinct captions.
    """

    images: Tensor
    captions: Tensor


@dataclass(frozen=True)
class CachedViews:
    """Frozen trunk features of a run's pictures, computed when first asked for, in folders of their own.

    Attributes:
        model: only its trunk is used.
        table: its images are augmented.
        validation: pictures that are looked at as they are.
        settings: of augmentation and the number of views.
        folder: of the cache.
        progress: called with the pictures done and their number, over all views.
    """

    model: FusionModel
    table: RowTable
    validation: Sequence[CaptionedImage]
    settings: MtgfeConfig
    folder: Path
    progress: Callable[[int, int], None]

    def training(self) -> list[Patches]:
        """One array (n_images, N, C) per view of the training pictures."""
        size, views = len(self.table.images), self._views()
        return [
            self._cache(self.table.images, name, before=view * size, total=len(views) * size, **drawn)
            for view, (name, drawn) in enumerate(views.items())
        ]

    def first_key(self) -> str:
        """What the first array depends on."""
        drawn = next(iter(self._views().values()))
        return patches_key(self.model, self.table.images, half=self._half, **drawn)

    def held_out(self) -> Patches:
        """The validation pictures' (n, N, C)."""
        return self._cache(self.validation, "validation", before=0, total=len(self.validation))

    def _views(self) -> dict[str, dict[str, Any]]:
        """The views of the training pictures by name, and how each is drawn."""
        if not self.settings.augment_count:
            return {"plain": {}}
        augment = RandAugment(count=self.settings.augment_count, magnitude=self.settings.augment_magnitude)
        return {
            f"view-{view}": {"augment": augment, "seed": (VIEW_SEED, view)}
            for view in range(self.settings.cached_views)
        }

    @property
    def _half(self) -> bool:
        return has_bf16(next(self.model.parameters()).device)

    def _cache(self, images: Sequence[CaptionedImage], name: str, *, before: int, total: int, **drawn: Any) -> Patches:
        return cache_patches(
            self.model,
            images,
            folder=self.folder / name,
            half=self._half,
            progress=lambda done: self.progress(before + done, total),
            **drawn,
        )


def dual_vectors(
    encoder: Encoder,
    table: RowTable,
    *,
    folder: Path,
    progress: Callable[[int, int], None],
    views: CachedViews | None = None,
) -> DualVectors:
    """Vectors of all training pictures and captions from a dual encoder, kept in `folder` for a next time.

    Args:
        encoder: the dual encoder.
        table: training rows.
        folder: where they are kept.
        progress: called with the pictures done and their number.
        views: cached trunk features of these pictures. Where the dual encoder has the very trunk they are from, the
            first augmented copy of each picture stands for it, which saves a pass through the trunk.
    """
    path = folder / VECTORS_FILE
    patches = None if views is None or not _has_trunk_of(encoder, views.model) else views.training()[0]
    key = {
        "encoder": encoder.fingerprint,
        "rows": table.rows_sha256,
        "pictures": "as they are" if patches is None or views is None else views.first_key(),
    }
    try:
        stored = load_file(path)
        known = json.loads(path.with_suffix(".json").read_text(encoding="utf-8")) == key
        if known and len(stored["images"]) == len(table.images) and len(stored["captions"]) == len(table.captions):
            return DualVectors(stored["images"], stored["captions"])
    except (OSError, SafetensorError, ValueError, KeyError):
        pass  # absent, or cut off by an interruption: computed again
    total = len(table.images)
    if patches is None:
        found = encode_images(encoder, table.images, progress=lambda done: progress(done, total)).global_emb
        images = torch.from_numpy(found)
    else:
        images = _encode_patches(cast("TorchEncoder", encoder), patches)
    vectors = DualVectors(images, torch.from_numpy(encoder.encode_texts(table.captions).global_emb))
    folder.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json").unlink(missing_ok=True)
    save_file({"images": vectors.images, "captions": vectors.captions}, path)
    path.with_suffix(".json").write_text(json.dumps(key), encoding="utf-8")
    return vectors


def _has_trunk_of(encoder: Encoder, model: FusionModel) -> bool:
    """Is the encoder compact, with the frozen trunk of this model's image side, to the last bit?"""
    theirs = getattr(getattr(encoder, "model", None), "image", None)
    if not isinstance(theirs, CompactImageEncoder) or theirs.grid != cast("CompactImageEncoder", model.image).grid:
        return False
    own = cast("CompactImageEncoder", model.image).trunk.state_dict()
    found = theirs.trunk.state_dict()
    return own.keys() == found.keys() and all(torch.equal(own[name].cpu(), found[name].cpu()) for name in own)


def _encode_patches(encoder: TorchEncoder, patches: Patches) -> Tensor:
    """Unit global vectors (n, D) from trunk features (n, N, C)."""
    parts = []
    with inference(encoder.model):
        side = copy.deepcopy(cast("CompactImageEncoder", encoder.model.image))
        for member in (side, *side.members):
            member.turns = member.turns[:1]  # to find likely mistakes, one turn of the eight will do
        device = next(side.parameters()).device
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=has_bf16(device)):
            for first in range(0, len(patches), ENCODED_AT_ONCE):
                batch = torch.from_numpy(np.array(patches[first : first + ENCODED_AT_ONCE])).to(device).float()
                parts.append(F.normalize(side(batch).global_emb.float(), dim=-1).cpu())
    return torch.cat(parts)


def pick_evenly(images: Sequence[CaptionedImage], count: int | None) -> list[CaptionedImage]:
    """So many images, evenly spread over the sequence; all of them when None or when there are not more."""
    if count is None or count >= len(images):
        return list(images)
    return [images[index] for index in np.linspace(0, len(images) - 1, count).round().astype(int)]
