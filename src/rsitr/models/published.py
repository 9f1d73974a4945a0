"""Published remote-sensing CLIP weights that come as files, and which activation they were trained with.

A state dict does not say which activation belongs to it: open_clip's plain names build GELU, OpenAI's weights and all
that was fine-tuned from them need QuickGELU, and with the wrong one the model runs and is worse. What is known of the
published files, with sources, is in docs/guides/published-checkpoints.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PublishedWeights", "find_published"]


@dataclass(frozen=True, slots=True)
class PublishedWeights:
    """Weights files known by name.

    Attributes:
        title: what their authors call the model.
        pattern: of the file's name, or of its folder's where the file has a name that says nothing.
        quick_gelu: whether they were trained with QuickGELU.
    """

    title: str
    pattern: re.Pattern[str]
    quick_gelu: bool


PUBLISHED = (
    PublishedWeights("RemoteCLIP", re.compile(r"RemoteCLIP-(RN50|ViT-B-32|ViT-L-14)([._].*)?"), quick_gelu=True),
    PublishedWeights("GeoRSCLIP", re.compile(r"RS5M_ViT-B-32([._].*)?"), quick_gelu=True),
    PublishedWeights("GeoRSCLIP", re.compile(r"RS5M_ViT-H-14([._].*)?"), quick_gelu=False),
    PublishedWeights("SkyCLIP", re.compile(r"SkyCLIP_ViT_B32_.*"), quick_gelu=False),
    PublishedWeights("SkyCLIP", re.compile(r"SkyCLIP_ViT_L14_.*"), quick_gelu=True),
)


def find_published(file: Path) -> PublishedWeights | None:
    """What is known of a weights file by its name, or by its folder's.

    >>> find_published(Path("weights/RemoteCLIP-ViT-B-32.pt")).quick_gelu
    True
    >>> find_published(Path("SkyCLIP_ViT_B32_top50pct/epoch_20.pt")).quick_gelu
    False
    """
    names = (file.name, file.absolute().parent.name)
    return next((known for name in names for known in PUBLISHED if known.pattern.fullmatch(name)), None)
