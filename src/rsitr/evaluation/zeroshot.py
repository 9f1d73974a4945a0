"""Zero-shot classification: pictures go to the class whose name, in a sentence, is most similar to them.

A class is described by several sentences (templates). Its global similarity to a picture is the cosine with the
normalised mean of its sentences' unit features, CLIP's way of using several; its local similarity is the mean over the
sentences, which is our choice. The two are mixed as the model mixes them for retrieval.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from rsitr.data import CaptionedImage
from rsitr.data.ceiling import hit_probability
from rsitr.errors import ConfigError, DataError, ModelError
from rsitr.evaluation.protocol import encode_images
from rsitr.similarity import mix, score_global, score_local
from rsitr.types import EncodedImages, Encoder, Mixture

__all__ = ["TEMPLATES", "ClassResult", "ZeroShotReport", "classify", "find_classes", "zero_shot_report"]

TEMPLATES = (
    "a satellite image of {}.",
    "an aerial photograph of {}.",
    "{} seen from above.",
    "an overhead view of {}.",
    "remote sensing imagery that shows {}.",
    "there is {} in this aerial picture.",
)
"""Our own wording; `{}` is the class name."""

DEPTH = 5


@dataclass(frozen=True, slots=True)
class ClassResult:
    """How the pictures of one class were classified.

    Attributes:
        name: of the class.
        n_images: pictures of it.
        top1: percent whose best class it is, ties in expectation.
        top5: percent that have it among the best five.
        confused_with: the class that most of the others were taken for, or None where all are right.
    """

    name: str
    n_images: int
    top1: float
    top5: float
    confused_with: str | None


@dataclass(frozen=True, slots=True)
class ZeroShotReport:
    """Accuracy over pictures, and per class.

    Attributes:
        top1: percent of the pictures whose best class is the right one, ties in expectation.
        top5: percent that have it among the best five.
        mean_class_top1: mean of the classes' top1, each class counting once.
        classes: by name; a class without pictures here is a wrong answer only, and is not listed.
        class_names: every class there was to choose from.
        n_images: pictures classified.
        n_unlabelled: pictures left out because the data set does not say their class.
        templates: as used.
        time_s: seconds for the class names' sentences and the scores.
    """

    top1: float
    top5: float
    mean_class_top1: float
    classes: tuple[ClassResult, ...]
    class_names: tuple[str, ...]
    n_images: int
    n_unlabelled: int
    templates: tuple[str, ...]
    time_s: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def classify(
    encoder: Encoder,
    images: EncodedImages,
    *,
    class_names: Sequence[str],
    templates: Sequence[str] = TEMPLATES,
    mixture: Mixture | None = None,
    device: str | torch.device = "cpu",
) -> torch.Tensor:
    """Scores of pictures against classes.

    Args:
        encoder: for the sentences; the same that encoded the images.
        images: n_image encoded pictures.
        class_names: in words, different from each other.
        templates: sentences with `{}` where the class name goes.
        mixture: of global and local similarity; the encoder's own when None.
        device: where to score.

    Returns:
        (n_image, n_class) float32, higher is more similar.

    Raises:
        ConfigError: there is no class or template, a class is named twice, or a template has no `{}`.
    """
    if not class_names or len(set(class_names)) < len(class_names):
        raise ConfigError(f"the class names must be different from each other, and at least one: {list(class_names)}")
    broken = [template for template in templates if "{}" not in template]
    if broken or not templates:
        raise ConfigError(f"a template needs {{}} where the class name goes: {broken[:1] or 'there is none'}")
    mixture = mixture or encoder.mixture
    texts = encoder.encode_texts([template.replace("{}", name) for name in class_names for template in templates])
    n_class, n_template = len(class_names), len(templates)
    sentences = torch.from_numpy(texts.global_emb).to(device)
    prototypes = F.normalize(sentences, dim=-1).view(n_class, n_template, -1).mean(dim=1)
    picture_emb = torch.from_numpy(images.global_emb).to(device)
    scores = score_global(text_emb=prototypes, image_emb=picture_emb)
    local = None
    if mixture.beta:
        each = score_local(
            text_tokens=torch.from_numpy(texts.tokens).to(device),
            image_tokens=torch.from_numpy(images.tokens).to(device),
            text_mask=torch.from_numpy(texts.token_mask).to(device),
            norm=mixture.norm,
        )
        local = each.view(n_class, n_template, -1).mean(dim=1)
    return mix(scores, local, mixture=mixture).T


def zero_shot_report(
    encoder: Encoder,
    images: Sequence[CaptionedImage],
    *,
    encoded: EncodedImages | None = None,
    class_names: Sequence[str] | None = None,
    templates: Sequence[str] = TEMPLATES,
    mixture: Mixture | None = None,
    device: str | torch.device = "cpu",
    batch_size: int = 64,
    progress: Callable[[int], None] = lambda _done: None,
) -> ZeroShotReport:
    """Classify the pictures of a split by their classes' names.

    Args:
        encoder: the model.
        images: of the split; those without a label are left out and counted.
        encoded: their features, if they are encoded already (as for retrieval), in the same order.
        class_names: the classes to choose from; those of `images` when None. Give those of the whole data set, since
            the fewer there are, the easier it is.
        templates: sentences with `{}` where the class name goes.
        mixture: of global and local similarity; the encoder's own when None.
        device: where to score.
        batch_size: of the image encoder.
        progress: called with the number of pictures encoded.

    Raises:
        DataError: no picture has a label, or one is missing or cannot be decoded.
        ConfigError: a label is not among the class names, or as :func:`classify`.
        ModelError: a score is NaN.
    """
    names = find_classes(images, class_names=class_names)
    labelled = [index for index, image in enumerate(images) if image.label is not None]
    chosen = [images[index] for index in labelled]
    if encoded is None:
        features = encode_images(encoder, chosen, batch_size=batch_size, progress=progress)
    else:
        features = EncodedImages(encoded.global_emb[labelled], encoded.tokens[labelled])
    start = time.perf_counter()
    scores = classify(encoder, features, class_names=names, templates=templates, mixture=mixture, device=device).cpu()
    seconds = time.perf_counter() - start
    if bool(scores.isnan().any()):
        raise ModelError("scores are NaN: the model's weights are damaged; use another checkpoint")
    truth = np.array([names.index(str(image.label)) for image in chosen])
    top1, top5 = _hits(scores.numpy(), truth)
    classes = _per_class(names, truth=truth, best=scores.argmax(dim=1).numpy(), top1=top1, top5=top5)
    return ZeroShotReport(
        top1=100.0 * float(top1.mean()),
        top5=100.0 * float(top5.mean()),
        mean_class_top1=float(np.mean([entry.top1 for entry in classes])),
        classes=classes,
        class_names=tuple(names),
        n_images=len(chosen),
        n_unlabelled=len(images) - len(chosen),
        templates=tuple(templates),
        time_s=seconds,
    )


def find_classes(images: Sequence[CaptionedImage], *, class_names: Sequence[str] | None) -> list[str]:
    """The classes to choose from, checked against the pictures' own: those of the pictures when None are given.

    Raises:
        DataError: no picture has a label.
        ConfigError: a label is not among the class names.
    """
    labels = sorted({image.label for image in images if image.label is not None})
    if not labels:
        raise DataError(
            "no picture has a class: the annotation file must state it (`class` in JSON, a column `label` in a table), "
            "or the file names, as in RSICD and UCM-Captions"
        )
    if class_names is None:
        return labels
    unknown = sorted(set(labels) - set(class_names))
    if unknown:
        raise ConfigError(f"pictures are of classes that are not among the class names: {', '.join(unknown)}")
    return list(class_names)


def _hits(scores: NDArray[np.float32], truth: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n_image,) probability that the right class is on top, and among the best five, over random orders of ties."""
    own = scores[np.arange(len(truth)), truth][:, None]
    better = (scores > own).sum(axis=1)
    equal = (scores == own).sum(axis=1)
    one = np.ones_like(equal)
    first, among = (hit_probability(better=better, equal=equal, relevant=one, k=k) for k in (1, DEPTH))
    return first, among


def _per_class(
    names: Sequence[str],
    *,
    truth: NDArray[np.int64],
    best: NDArray[np.int64],
    top1: NDArray[np.float64],
    top5: NDArray[np.float64],
) -> tuple[ClassResult, ...]:
    results = []
    for number, name in enumerate(names):
        own = truth == number
        if not own.any():
            continue
        others = Counter(best[own & (best != number)].tolist())
        results.append(
            ClassResult(
                name=name,
                n_images=int(own.sum()),
                top1=100.0 * float(top1[own].mean()),
                top5=100.0 * float(top5[own].mean()),
                confused_with=names[others.most_common(1)[0][0]] if others else None,
            )
        )
    return tuple(results)
