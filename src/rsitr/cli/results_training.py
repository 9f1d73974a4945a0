"""What commands about models and data sets print with `--json`.

A command builds its record and hands it to `rsitr.cli.output.print_json` or `write_json`, and says nothing else on
stdout then. Paths are text, days as ISO has them, what is not known is null.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = [
    "AblateResult",
    "CalibrateResult",
    "CardResult",
    "CheckResult",
    "ConfigsResult",
    "DistillResult",
    "EmbeddingsResult",
    "EvaluateResult",
    "ExplainResult",
    "ExportResult",
    "FiguresResult",
    "KeywordsResult",
    "LeakageResult",
    "MergeResult",
    "PushResult",
    "TrainResult",
    "TuneResult",
]


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """A training.

    Attributes:
        config: name of the config.
        folder: of the run.
        best: folder of the best model.
        best_epoch: counted from 1.
        best_mR: its mean recall on validation.
        history: of every epoch that was validated, counted from 0: epoch, and results by name.
    """

    config: str
    folder: str
    best: str
    best_epoch: int
    best_mR: float
    history: list[dict[str, float]]


@dataclass(frozen=True, kw_only=True)
class CalibrateResult:
    """A calibration.

    Attributes:
        file: where it was written.
        about: the data, and how well relevance divides right from wrong, for words and for example pictures (AUC).
    """

    file: str
    about: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ConfigsResult:
    """Packaged configs; with a name, the config itself, whose keys the reference lists.

    Attributes:
        configs: name and about.
    """

    configs: list[dict[str, str]]


@dataclass(frozen=True, kw_only=True)
class EvaluateResult:
    """A measurement: what `--json FILE` writes, `-` for stdout.

    Further keys tell settings, bounds, times, fingerprints, class accuracies, and where the numbers come from.

    Attributes:
        model: that was measured.
        data: the data set.
        split: of it.
        mR: mean recall.
        image_to_text: recall by depth, e.g. "1".
        text_to_image: likewise.
    """

    model: str
    data: str
    split: str
    mR: float
    image_to_text: dict[str, Any]
    text_to_image: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class TuneResult:
    """Settings that were tried on validation: what `--json FILE` writes, `-` for stdout.

    Further keys tell the best of them, the re-ranking, fingerprints, and where the numbers come from.

    Attributes:
        model: that was tuned.
        data: the data sets.
        split: always val.
        trials: settings and mR of each.
    """

    model: str
    data: list[str]
    split: str
    trials: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class DistillResult:
    """A filter that was taught.

    Attributes:
        folder: of the filter.
        kind: mlp or dot.
        teacher: the fusion model.
        n_pairs: that the teacher scored.
        epochs: passes over them.
    """

    folder: str
    kind: str
    teacher: str
    n_pairs: int
    epochs: int


@dataclass(frozen=True, kw_only=True)
class ExplainResult:
    """A picture of where words are.

    Attributes:
        picture: the PNG.
        models: each with name, score, words, and kind of its map.
    """

    picture: str
    models: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class FiguresResult:
    """Figures of a model.

    Attributes:
        folder: where they are.
        files: their names.
    """

    folder: str
    files: list[str]


@dataclass(frozen=True, kw_only=True)
class AblateResult:
    """Ablations.

    Attributes:
        folder: of runs, tables and figures.
        n_runs: that the tables are made of.
        tables: each with its name and its rows, by column.
    """

    folder: str
    n_runs: int
    tables: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class ExportResult:
    """A model as ONNX, or an adapter as a whole model.

    Attributes:
        folder: of the files.
        model: that was exported.
        size_bytes: of the files.
        image_cosine: least cosine with the model, of pictures.
        text_cosine: likewise, of texts.
    """

    folder: str
    model: str
    size_bytes: int
    image_cosine: float
    text_cosine: float


@dataclass(frozen=True, kw_only=True)
class CardResult:
    """A model's card.

    Attributes:
        file: that was written.
        licence: that it states; null where it states none.
        reports: whose figures are in it.
        left_out: reports beside the checkpoint that are of other weights.
    """

    file: str
    licence: str | None
    reports: list[str]
    left_out: list[str]


@dataclass(frozen=True, kw_only=True)
class PushResult:
    """A model that was handed to others.

    Attributes:
        target: address of the repository, or the folder; with --dry-run the repository's name.
        dry_run: whether nothing was sent or written.
        files: bytes of each file that went, or would go.
        left_out: what else is in the checkpoint's folder, and stays.
    """

    target: str
    dry_run: bool
    files: dict[str, int]
    left_out: list[str]


@dataclass(frozen=True, kw_only=True)
class TileEmbeddingsResult:
    """An index's tiles with their vectors, in files.

    Attributes:
        files: the Parquet files that were written.
        stac: folder of the STAC collection, or None.
        n_tiles: tiles.
        n_without_place: those that have no known place.
        dim: numbers of each vector.
        missing: why scenes are no STAC item.
    """

    files: list[str]
    stac: str | None
    n_tiles: int
    n_without_place: int
    dim: int
    missing: list[str]


@dataclass(frozen=True, kw_only=True)
class EmbeddingsResult:
    """Features in a file.

    Attributes:
        file: the Parquet file.
        n_images: pictures.
        n_texts: distinct captions.
        dim: numbers each.
        has_tokens: whether local features are in it.
        size_bytes: of the file.
    """

    file: str
    n_images: int
    n_texts: int
    dim: int
    has_tokens: bool
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """What is wrong with a data set: what `--json FILE` writes, `-` for stdout.

    Attributes:
        name: of the data set.
        annotation_file: that was read.
        data_sha256: of that file.
        image_folder: of the pictures.
        splits: by name: images, captions, captions_per_image, distinct_captions, images_repeating, ceiling.
        unofficial_sizes: splits of another size than the official one.
        image_sizes_px: width, height, count.
        image_modes: counts by mode.
        identical_within_split: copies of one file.
        problems: kind, subject, where, detail.
    """

    name: str
    annotation_file: str
    data_sha256: str
    image_folder: str
    splits: dict[str, Any]
    unofficial_sizes: dict[str, Any]
    image_sizes_px: list[dict[str, int]]
    image_modes: dict[str, int]
    identical_within_split: list[list[str]]
    problems: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class KeywordsResult:
    """Frequent words of captions.

    Attributes:
        words: the list, most frequent first within each data set.
        file: where it was written; null where it was not.
        sets: each with its name, captions, different_words, taken.
        comparison: with --compare: common, missing with reasons, added, share.
    """

    words: list[str]
    file: str | None
    sets: list[dict[str, Any]]
    comparison: dict[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class MergeResult:
    """A merged data set.

    Attributes:
        table: the captions.
        dropped_table: what was left out, and why.
        record: how it came about.
        kept: training pictures.
        dropped: training pictures that were left out.
        captions: of those kept.
        held_out: pictures by split, as they are.
        unreadable: files that could not be read.
    """

    table: str
    dropped_table: str
    record: str
    kept: int
    dropped: int
    captions: int
    held_out: dict[str, int]
    unreadable: list[str]


@dataclass(frozen=True, kw_only=True)
class LeakageResult:
    """Duplicates: what `--json FILE` writes, `-` for stdout.

    Further keys tell where the numbers come from.

    Attributes:
        max_distance: bits in which hashes of duplicates may differ.
        pictures: by data set and split.
        pairs: of splits, with the pictures that are in both.
        unreadable: files that could not be read: path and fault.
    """

    max_distance: int
    pictures: dict[str, int]
    pairs: list[dict[str, Any]]
    unreadable: list[dict[str, str]]
