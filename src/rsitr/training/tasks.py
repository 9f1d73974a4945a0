"""The settings of MTGFE's training: its three tasks, and where negatives and views come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rsitr.errors import ConfigError

__all__ = ["MtgfeConfig"]


@dataclass(frozen=True, kw_only=True)
class MtgfeConfig:
    """MTGFE (METHODS 3.2 to 3.5). A weight of 0 switches a task off, as in the paper's ablation.

    Attributes:
        itm_weight, mlm_weight, mvjrc_weight: of the tasks; 1 in the paper.
        masking: 15 % of the tokens become [mask] (`mask`, the paper), or BERT's 80/10/10 (`bert`).
        mlm_vocabulary: `full`, or only the ids of the training `captions`, which saves a small model most of the head.
        negatives: `random` (the paper), or hard ones, our addition: in proportion to the model's own probability of a
            match (`itm`), or to the similarity of the dual encoder `dual`.
        dual: name of that dual encoder.
        dual_temperature: its similarities are divided by it before the softmax.
        projection_width, prediction_width: of MVJRC's heads.
        augment_count, augment_magnitude: RandAugment's; a count of 0 leaves pictures as they are.
        cached_views: augmented copies of every training picture whose frozen trunk features are kept; the two views of
            a step are two of them, or, with data.symmetries, a single one turned differently. Without meaning where the
            trunk is trained.
        sides: both are `trained` with the fusion encoder (the paper), or stay `frozen` as they were started, which
            takes half the time (our addition).
        validation_images: pictures per validation split that an epoch is judged by, evenly spread; null takes all.
    """

    itm_weight: float = 1.0
    mlm_weight: float = 1.0
    mvjrc_weight: float = 1.0
    masking: Literal["mask", "bert"] = "mask"
    mlm_vocabulary: Literal["full", "captions"] = "full"
    negatives: Literal["random", "itm", "dual"] = "random"
    dual: str | None = None
    dual_temperature: float = 0.05
    projection_width: int = 2048
    prediction_width: int = 512
    augment_count: int = 2
    augment_magnitude: int = 7
    cached_views: int = 2
    sides: Literal["trained", "frozen"] = "trained"
    validation_images: int | None = None

    def __post_init__(self) -> None:
        for name, holds, expected in (
            ("itm_weight", self.itm_weight > 0, "above 0: it is what scores pairs"),
            ("mlm_weight", self.mlm_weight >= 0, "at least 0"),
            ("mvjrc_weight", self.mvjrc_weight >= 0, "at least 0"),
            ("dual_temperature", self.dual_temperature > 0, "positive"),
            ("projection_width", self.projection_width >= 1, "at least 1"),
            ("prediction_width", self.prediction_width >= 1, "at least 1"),
            ("augment_count", self.augment_count >= 0, "at least 0"),
            ("augment_magnitude", 0 <= self.augment_magnitude <= 10, "between 0 and 10"),
            ("cached_views", self.cached_views >= 1, "at least 1"),
            ("validation_images", self.validation_images is None or self.validation_images >= 2, "at least 2, or null"),
        ):
            if not holds:
                raise ConfigError(f"{name} must be {expected}, not {getattr(self, name)}")
        if (self.dual is None) is (self.negatives == "dual"):
            raise ConfigError("dual names the dual encoder for negatives: dual, and only for these")

    @property
    def views(self) -> int:
        """Views of each picture that a step needs."""
        return 2 if self.mvjrc_weight else 1
