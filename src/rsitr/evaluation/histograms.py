"""How similar matching pairs are, beside pairs that do not match, and where elimination would cut (METHODS 1.7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rsitr.evaluation.protocol import EncodedSplit
from rsitr.files import replacing
from rsitr.types import FloatArray

__all__ = ["PairSimilarities", "split_pairs", "write_histograms"]

BINS = 80
_MATCHING, _OTHERS, _THRESHOLD = "#1b8a5a", "#8d99a6", "#b3430f"


@dataclass(frozen=True, slots=True, eq=False)
class PairSimilarities:
    """Similarities of a split's pairs.

    Attributes:
        name: of the similarity.
        matching: (n_caption,), of each caption with its own picture.
        others: of the distinct captions with the pictures they were not written for.
        threshold: a matching pair that does not exceed it would be eliminated, or None to leave it out.
    """

    name: str
    matching: FloatArray
    others: FloatArray
    threshold: float | None = None

    @property
    def others_below(self) -> float | None:
        """Share of the other pairs that the threshold is not exceeded by."""
        return None if self.threshold is None else float((self.others <= self.threshold).mean())


def split_pairs(split: EncodedSplit, *, scores: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Scores (n_distinct, n_image) -> those of matching pairs (n_caption,) and of the others, in no order."""
    belongs = np.zeros(scores.shape, dtype=np.bool_)
    belongs[split.caption_text, split.text_image] = True
    return scores[split.caption_text, split.text_image], scores[~belongs]


def write_histograms(similarities: Sequence[PairSimilarities], path: Path, *, title: str, drop_ratio: float) -> None:
    """Draw a panel for each similarity into a PNG file.

    Args:
        similarities: one or more.
        path: of the PNG.
        title: above all panels.
        drop_ratio: that the thresholds belong to, for their label.
    """
    figure = Figure(figsize=(5.6 * len(similarities), 3.7), dpi=130, facecolor="white", layout="constrained")
    panels = figure.subplots(1, len(similarities), squeeze=False)[0]
    for axes, entry in zip(panels, similarities, strict=True):
        _draw(axes, entry, drop_ratio=drop_ratio)
    panels[0].set_ylabel("share of the pairs per bin, percent")
    figure.suptitle(title, fontsize=11, parse_math=False)
    with replacing(path) as part:
        figure.savefig(part, format="png")


def _draw(axes: Axes, entry: PairSimilarities, *, drop_ratio: float) -> None:
    low = min(float(entry.matching.min()), float(entry.others.min()))
    high = max(float(entry.matching.max()), float(entry.others.max()))
    edges = np.linspace(low, high if high > low else low + 1.0, BINS + 1)
    for values, color, label in (
        (entry.others, _OTHERS, f"not matching ({len(entry.others):,})"),
        (entry.matching, _MATCHING, f"matching ({len(entry.matching):,})"),
    ):
        counts, _ = np.histogram(values, bins=edges)
        axes.stairs(100 * counts / len(values), edges, fill=True, color=color, alpha=0.5)
        axes.stairs(100 * counts / len(values), edges, color=color, linewidth=1.2, label=label)
    if entry.threshold is not None:
        axes.axvline(
            entry.threshold, color=_THRESHOLD, linestyle="--", linewidth=1.4,
            label=f"EBA threshold at {100 * drop_ratio:g} %: {entry.threshold:.3f}\n"
            f"({100 * (entry.others_below or 0.0):.0f} % of the not matching lie below)",
        )  # fmt: skip
    axes.set_xlabel(entry.name)
    axes.set_ylim(bottom=0)
    axes.set_ylim(top=axes.get_ylim()[1] * 1.3)  # room for the legend
    axes.legend(fontsize=8, frameon=False, loc="upper right")
    axes.spines[["top", "right"]].set_visible(False)
