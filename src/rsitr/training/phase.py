"""One phase of a training run."""

from __future__ import annotations

from dataclasses import dataclass

from rsitr.errors import ConfigError
from rsitr.training.optim import OptimizerName

__all__ = ["Phase"]


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One stretch of training with an optimizer and a schedule of its own.

    Attributes:
        epochs: passes over the rows.
        batch_size: pairs per step; an incomplete last batch is left out.
        lr: peak learning rate, after `warmup_steps` of linear growth, before cosine decay to 0.
        trunk_lr: of the compact image trunk; null freezes it and trains on its cached features, without augmentation
            of the pictures themselves.
        image_size_px: side of the training pictures; null is the model's own.
        optimizer: `adamw`, as in the released code, or `adam`, the paper's word.
        weight_decay: the optimizer's; biases and 1-D parameters have none.
        warmup_steps: optimizer steps.
        clip_norm: gradient norm.
        max_steps: ends each epoch of the phase after that many steps; null goes through all rows.
        validate_every: epochs from one validation to the next; the phase's last epoch is always validated.
        beta2: the optimizer's second moment decay.
        average: decay per step of a moving average of the weights, which is what is validated, exported and handed on
            (our addition); null uses the weights as they are.

    Raises:
        ConfigError: a value that makes no sense.
    """

    epochs: int = 7
    batch_size: int = 100
    lr: float = 1.5e-5
    trunk_lr: float | None = None
    image_size_px: int | None = None
    optimizer: OptimizerName = "adamw"
    weight_decay: float = 0.7
    warmup_steps: int = 200
    clip_norm: float = 50.0
    max_steps: int | None = None
    validate_every: int = 1
    beta2: float = 0.999
    average: float | None = None

    def __post_init__(self) -> None:
        for name, holds, expected in (
            ("epochs", self.epochs >= 1, "at least 1"),
            ("batch_size", self.batch_size >= 2, "at least 2: a pair needs another to be told from"),
            ("lr", self.lr > 0, "positive"),
            ("trunk_lr", self.trunk_lr is None or self.trunk_lr > 0, "positive, or null for a frozen trunk"),
            ("image_size_px", self.image_size_px is None or self.image_size_px >= 32, "at least 32, or null"),
            ("weight_decay", self.weight_decay >= 0, "at least 0"),
            ("warmup_steps", self.warmup_steps >= 0, "at least 0"),
            ("max_steps", self.max_steps is None or self.max_steps >= 1, "at least 1, or null"),
            ("validate_every", self.validate_every >= 1, "at least 1"),
            ("clip_norm", self.clip_norm > 0, "positive"),
            ("average", self.average is None or 0 < self.average < 1, "between 0 and 1, or null"),
            ("beta2", 0 <= self.beta2 < 1, "at least 0 and below 1"),
        ):
            if not holds:
                raise ConfigError(f"{name} must be {expected}, not {getattr(self, name)}")
