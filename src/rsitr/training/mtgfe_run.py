"""An MTGFE run: its recipe in the loop, with cached views, hard negatives' vectors, validation, and its checkpoint."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
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

from rsitr.config import MtgfeConfig, Phase
from rsitr.data import CaptionedImage
from rsitr.data.augmentation import RandAugment
from rsitr.errors import ConfigError
from rsitr.evaluation.metrics import retrieval_metrics
from rsitr.evaluation.protocol import encode_images
from rsitr.models.compact import CompactImageEncoder
from rsitr.models.dual import Features
from rsitr.models.encoder import TorchEncoder, inference
from rsitr.models.fusion import FusionModel, PairScorer, save_fusion
from rsitr.models.fusion.start import FusionStart
from rsitr.models.precision import has_bf16
from rsitr.training.cache import VIEW_SEED, cache_patches, patches_key
from rsitr.training.loop import Trainer
from rsitr.training.mtgfe import DualVectors, MtgfeRecipe
from rsitr.training.ranks import Ranks
from rsitr.training.rows import RowTable, read_picture
from rsitr.training.state import Position
from rsitr.types import Encoder

__all__ = ["CachedViews", "MtgfeValidator", "build_mtgfe_trainer", "dual_vectors", "pick_evenly"]

VECTORS_FILE = "dual.safetensors"
ENCODED_AT_ONCE = 256
Patches = NDArray[np.float16]


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


class MtgfeValidator:
    """Scores every pair of each validation split (or of a sample of its pictures); mR is the mean over the sets.

    Args:
        scorer: of the model in training.
        splits: the pictures that are looked at, by set.
        cache: for phases with a frozen trunk.
    """

    def __init__(
        self, scorer: PairScorer, splits: Mapping[str, Sequence[CaptionedImage]], *, cache: CachedViews | None
    ) -> None:
        self.scorer, self.splits, self.cache = scorer, splits, cache
        self.latest: dict[str, float] = {}

    def __call__(self, frozen: bool) -> dict[str, float]:
        """MR per set, and their mean."""
        first = 0
        results = {}
        for name, images in self.splits.items():
            part = slice(first, first + len(images))
            features = self._from_cache(part) if frozen and self.cache is not None else self._encode(images)
            results[f"mR_{name}"] = self._measure(images, features)
            first += len(images)
        self.latest = {**results, "mR": float(np.mean(list(results.values())))}
        return self.latest

    def _measure(self, images: Sequence[CaptionedImage], features: Features) -> float:
        captions = [caption for image in images for caption in image.captions]
        distinct = sorted(set(captions))
        number = {caption: index for index, caption in enumerate(distinct)}
        scores = self.scorer.score_all(self.scorer.encode_texts(distinct), features)
        by_caption = scores[torch.tensor([number[caption] for caption in captions])]
        text_image = np.repeat(np.arange(len(images)), [len(image.captions) for image in images])
        return retrieval_metrics(by_caption.numpy(), text_image=text_image).mR

    def _encode(self, images: Sequence[CaptionedImage]) -> Features:
        return self.scorer.encode_images([read_picture(image).permute(1, 2, 0).numpy() for image in images])

    def _from_cache(self, part: slice) -> Features:
        return self.scorer.encode_patches(cast("CachedViews", self.cache).held_out()[part])


def build_mtgfe_trainer(
    start: FusionStart,
    *,
    name: str,
    table: RowTable,
    validation: Mapping[str, Sequence[CaptionedImage]],
    settings: MtgfeConfig,
    phases: Sequence[Phase],
    per_image: int | None,
    crop_scale: float,
    symmetries: bool,
    workers: int,
    seed: int,
    folder: Path,
    cache_folder: Path,
    device: str,
    record: Mapping[str, Any],
    encoder: Encoder | None,
    amp: bool,
    ranks: Ranks,
    on_cache: Callable[[int, int], None],
    report: Callable[[Position, int, float], None],
) -> Trainer:
    """A trainer for a fusion model; its best weights go to `folder / "best"`.

    Args:
        start: the model, its vocabulary and BERT's head.
        name: of the run.
        table: training rows.
        validation: pictures of the validation splits by set.
        settings: of the tasks.
        phases: as for :class:`rsitr.training.loop.Trainer`, and so are the next ones.
        per_image: captions of an image per epoch, or None for all rows.
        crop_scale: least share of the area.
        symmetries: turn and mirror the pictures.
        workers: loader processes.
        seed: of everything random.
        folder: of the run.
        cache_folder: for cached features and vectors.
        device: where to train.
        record: goes into the checkpoint: config, data, provenance.
        encoder: the dual encoder for negatives `dual`, else None.
        amp: forward passes in bf16 where the device computes in it.
        ranks: the processes that train together.
        on_cache: progress of the caches: done, total.
        report: progress of training.

    Raises:
        ConfigError: settings that don't go together.
    """
    if ranks.size > 1 and settings.mvjrc_weight and torch.device(device).type == "cpu":
        raise ConfigError("MVJRC's batch norms count over all processes on GPUs alone: start it without torchrun")
    model = start.model.to(device)
    has_trunk = isinstance(model.image, CompactImageEncoder)
    for number, phase in enumerate(phases, start=1):
        if phase.trunk_lr is not None and not has_trunk:
            raise ConfigError(f"phase {number}: trunk_lr is for a compact image side; leave it out")
        if phase.image_size_px not in (None, model.image_size_px):
            raise ConfigError(
                f"phase {number}: image_size_px must be the model's own {model.image_size_px}; leave it out"
            )
    if settings.sides == "frozen":
        if any(phase.trunk_lr is not None for phase in phases):
            raise ConfigError("mtgfe.sides: frozen leaves nothing of a side to train; leave out trunk_lr")
        for side in (model.image, model.text):
            side.requires_grad_(False)
    picked = {split: pick_evenly(images, settings.validation_images) for split, images in validation.items()}
    held_out = [image for images in picked.values() for image in images]
    cache = CachedViews(model, table, held_out, settings, cache_folder, on_cache) if has_trunk else None
    dual = None
    if encoder is not None:
        if not ranks.is_first:
            ranks.wait()  # the first one computes what is not there yet
        dual = dual_vectors(encoder, table, folder=cache_folder, progress=on_cache, views=cache)
        if ranks.is_first:
            ranks.wait()
    recipe = MtgfeRecipe(
        table=table,
        vocabulary=start.vocabulary,
        width=model.config.width,
        settings=settings,
        seed=seed,
        mlm_head=start.mlm_head,
        dual=dual,
        ranks=ranks,
    )
    scorer = PairScorer(model, vocabulary=start.vocabulary, name=name, fingerprint="in training", device=device)
    validator = MtgfeValidator(scorer, picked, cache=cache)

    def export(position: Position) -> None:
        training = {
            **record,
            "epoch": position.epoch,
            "seconds": round(position.seconds, 1),
            "n_images": len(table.images),
            "n_rows": len(table),
            "ids_sha256": table.ids_sha256,
            "validation": {**validator.latest, "n_images": len(held_out)},
        }
        save_fusion(folder / "best", model, name=name, vocabulary=start.vocabulary, training=training)

    count, magnitude = settings.augment_count, settings.augment_magnitude
    return Trainer(
        model=model,
        recipe=recipe,
        table=table,
        phases=phases,
        per_image=per_image,
        crop_scale=crop_scale,
        symmetries=symmetries,
        workers=workers,
        seed=seed,
        folder=folder,
        validate=validator,
        patches=None if cache is None else cache.training,
        views=settings.views,
        augment=RandAugment(count=count, magnitude=magnitude) if count else None,
        on_best=export,
        report=report,
        device=device,
        amp=amp,
        ranks=ranks,
    )
