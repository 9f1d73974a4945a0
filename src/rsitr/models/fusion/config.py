"""Sizes of a fusion model; the defaults are the paper's (MTGFE, section 3.1)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from rsitr.errors import ConfigError
from rsitr.models.compact import VOCABULARY_SIZE, CompactConfig

__all__ = ["FusionConfig"]


@dataclass(frozen=True, kw_only=True)
class FusionConfig:
    """Sizes of a fusion model: two sides, and the encoder that reads both.

    Attributes:
        image: `vit`, the paper's, or `compact`, the image side of the compact dual encoder (our addition).
        text: `bert`, the first layers of BERT, or `compact`, the text side of the compact dual encoder (our addition).
        image_size_px: side of the square input picture (for `vit`; a compact side knows its own).
        patch_px, image_width, image_layers, image_heads: of the ViT.
        vocabulary_size: ids of the text side; 49,408 for `compact`.
        context_length: longest text in tokens, special ones included.
        width: of the text side and the fusion encoder.
        text_layers: of BERT on the text side.
        fusion_layers: blocks of the fusion encoder.
        heads, mlp_width: of BERT's layers and of the fusion encoder's.
        dropout: on residual branches of BERT's and the fusion encoder's layers, in training.
        compact: fields of :class:`rsitr.models.CompactConfig`, for sides of that kind.

    Raises:
        ConfigError: a size that makes no sense, or settings of a side that there is not.
    """

    image: Literal["vit", "compact"] = "vit"
    text: Literal["bert", "compact"] = "bert"
    image_size_px: int = 224
    patch_px: int = 16
    image_width: int = 768
    image_layers: int = 12
    image_heads: int = 12
    vocabulary_size: int = 30522
    context_length: int = 64
    width: int = 768
    text_layers: int = 6
    fusion_layers: int = 6
    heads: int = 12
    mlp_width: int = 3072
    dropout: float = 0.1
    compact: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for entry in dataclasses.fields(self):
            value, least = getattr(self, entry.name), 0 if entry.name == "text_layers" else 1
            if entry.type == "int" and not (isinstance(value, int) and value >= least):
                raise ConfigError(f"{entry.name} must be a whole number of at least {least}, not {value!r}")
        for width, heads in (("width", "heads"), ("image_width", "image_heads")):
            if getattr(self, width) % getattr(self, heads):
                raise ConfigError(f"{width} {getattr(self, width)} cannot be split into {heads} {getattr(self, heads)}")
        if not 0.0 <= self.dropout < 1.0:
            raise ConfigError(f"dropout must be at least 0 and below 1, not {self.dropout}")
        if self.image == "vit" and self.image_size_px % self.patch_px:
            raise ConfigError(f"patch_px {self.patch_px} does not divide image_size_px {self.image_size_px}")
        if self.compact and "compact" not in (self.image, self.text):
            raise ConfigError("compact describes a side of that kind, and neither image nor text is; leave it out")
        if self.text == "compact":
            sizes = self.compact_sizes
            for name, value in (
                ("width", sizes.dim),
                ("vocabulary_size", VOCABULARY_SIZE),
                ("context_length", sizes.context_length),
            ):
                if getattr(self, name) != value:
                    raise ConfigError(
                        f"{name} must be {value}, as the compact text side has it, not {getattr(self, name)}"
                    )

    @property
    def compact_sizes(self) -> CompactConfig:
        """The compact sides' sizes.

        Raises:
            ConfigError: a field that there is not, or a committee.
        """
        try:
            sizes = CompactConfig(**self.compact)
        except TypeError as error:
            raise ConfigError(f"compact: {error}") from error
        if sizes.members > 1:
            raise ConfigError("compact: a fusion model's sides have one member each; leave members out")
        return sizes
