"""`rsitr data merge`: one training set out of several, without duplicates and without held-out pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from rsitr.cli.output import AsJson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from rsitr.data.duplicates import UnreadableImage
    from rsitr.data.merge import MergedTraining
    from rsitr.data.records import CaptionDataset, CaptionedImage

__all__ = ["merge"]

_DROPPED_COLUMNS = ("dataset", "filename", "reason", "twin_dataset", "twin_split", "twin_filename", "distance", "exact")


def merge(
    specs: list[str] = typer.Argument(
        ..., metavar="DATA...", help="NAME:FOLDER, csv:FILE or shards:FILES; one or several."
    ),
    out: Path = typer.Option(
        ...,
        "--out",
        metavar="DIR_OR_FILE",
        help="FILE.csv, or a folder that gets captions.csv, dropped.csv, merge.json.",
    ),
    max_distance: int = typer.Option(2, metavar="BITS", help="Bits in which the hashes of duplicates may differ."),
    held_out: list[str] = typer.Option(
        [], "--held-out", metavar="DATA", help="Another set whose held-out splits must stay unseen; may be repeated."
    ),
    as_json: AsJson = False,
) -> None:
    """Write one data set: of every duplicate one training picture, and none that any of the sets holds out.

    Duplicates are found by perceptual hash. The result is a table for csv:FILE, with the validation and test splits of
    the merged sets as they are: `rsitr train CONFIG --set data.sets=[csv] --data csv:FILE` trains on it. Beside it are
    a list of what was left out and why, and how it came about. Status 1 if pictures could not be read: they are left
    out, and listed.
    """
    import json
    from collections import Counter

    from rsitr.cli.output import print_json, progress_bar, screen
    from rsitr.cli.provenance import provenance
    from rsitr.cli.results_training import MergeResult
    from rsitr.data import load_dataset
    from rsitr.data.duplicates import hash_images
    from rsitr.data.merge import merge_training
    from rsitr.files import write_file

    table, dropped_table, record = _name_outputs(out)
    datasets = [load_dataset(spec) for spec in [*specs, *held_out]]
    trained = {dataset.name for dataset in datasets[: len(specs)]}
    for dataset in datasets[: len(specs)]:
        dataset.split("train")
    with progress_bar() as progress:
        task = progress.add_task("Hashing images", total=None)
        hashed = hash_images(datasets, progress=lambda done, total: progress.update(task, completed=done, total=total))
    merged = merge_training(hashed, trained=trained.__contains__, max_distance=max_distance)
    kept = [hashed.image for hashed in merged.kept]
    kept += [
        hashed.image for hashed in hashed.images if hashed.dataset in trained and hashed.image.split in ("val", "test")
    ]
    unread = [entry for entry in hashed.unreadable if entry.image.split == "train" and entry.dataset in trained]
    facts = {
        **provenance(),
        "data": [*specs, *held_out],
        "data_sha256": {dataset.name: dataset.sha256 for dataset in datasets},
        "splits": {dataset.name: dataset.splits for dataset in datasets},
        "max_distance": max_distance,
        "kept": len(merged.kept),
        "held_out": dict(Counter(image.split for image in kept if image.split != "train")),
        "captions": sum(len(hashed.image.captions) for hashed in merged.kept),
        "dropped": len(merged.dropped),
        "unreadable": [str(entry.image.path) for entry in hashed.unreadable],
    }
    write_file(dropped_table, _to_csv(_DROPPED_COLUMNS, _dropped_rows(merged, unread)))
    write_file(record, json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
    write_file(table, _to_csv(("filename", "title", "split"), _kept_rows(kept, folder=table.resolve().parent)))
    if as_json:
        told: dict[str, Any] = {name: facts[name] for name in ("kept", "dropped", "captions", "held_out", "unreadable")}
        print_json(MergeResult(table=str(table), dropped_table=str(dropped_table), record=str(record), **told))
    out_screen = screen(as_json)
    _print_summary(merged, datasets=datasets, trained=trained, unreadable=hashed.unreadable, out=out_screen)
    out_screen.print(f"written: {table}, {dropped_table}, {record}", soft_wrap=True)
    if hashed.unreadable:
        raise typer.Exit(1)


def _name_outputs(out: Path) -> tuple[Path, Path, Path]:
    """Table, list of what was dropped, record; their folder is there afterwards."""
    from rsitr.errors import ConfigError
    from rsitr.files import require_writable

    if out.suffix.lower() == ".csv":
        paths = out, out.with_suffix(".dropped.csv"), out.with_suffix(".json")
    else:
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"cannot make the folder {out}: {error.strerror or error}; name a folder or a .csv file"
            ) from error
        paths = out / "captions.csv", out / "dropped.csv", out / "merge.json"
    for path in paths:
        require_writable(path)
    return paths


def _kept_rows(images: Sequence[CaptionedImage], *, folder: Path) -> list[tuple[object, ...]]:
    return [(_relative(image, folder), caption, image.split) for image in images for caption in image.captions]


def _relative(image: CaptionedImage, folder: Path) -> str:
    """The picture's path from the table's folder, so that both can move together."""
    from rsitr.files import name_from

    return name_from(image.path, folder=folder)


def _dropped_rows(merged: MergedTraining, unread: Sequence[UnreadableImage]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = [
        (
            drop.hashed.dataset,
            drop.hashed.image.image_id.partition("/")[2],
            drop.reason.value,
            drop.twin.dataset,
            drop.twin.image.split,
            drop.twin.image.image_id.partition("/")[2],
            drop.distance,
            "yes" if drop.exact else "no",
        )
        for drop in merged.dropped
    ]
    rows.extend(
        (entry.dataset, entry.image.image_id.partition("/")[2], f"cannot be read: {entry.fault}", *[""] * 5)
        for entry in unread
    )
    return rows


def _to_csv(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    import csv
    import io

    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return buffer.getvalue()


def _print_summary(
    merged: MergedTraining,
    *,
    datasets: Sequence[CaptionDataset],
    trained: set[str],
    unreadable: Sequence[UnreadableImage],
    out: Console,
) -> None:
    from rich import box
    from rich.table import Table

    from rsitr.data.merge import DropReason

    table = Table(title="Training pictures", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("data set")
    for name in ("there", "kept", *(reason.value for reason in DropReason)):
        table.add_column(name, justify="right")
    for dataset in datasets:
        if dataset.name in trained:
            drops = [drop for drop in merged.dropped if drop.hashed.dataset == dataset.name]
            kept = sum(hashed.dataset == dataset.name for hashed in merged.kept)
            by_reason = (sum(drop.reason == reason for drop in drops) for reason in DropReason)
            table.add_row(dataset.name, *(f"{count:,}" for count in (dataset.splits["train"], kept, *by_reason)))
    out.print(table)
    for dataset in datasets:
        for split in ("val", "test"):
            if split not in dataset.splits:
                out.print(f"Note: {dataset.name} has no {split} split here, so its pictures could not be compared.")
    if not any("val" in dataset.splits for dataset in datasets if dataset.name in trained):
        out.print("Note: nothing is for validation, which a training needs: merge a set that has a val split, too.")
    if unreadable:
        out.print(f"pictures that could not be read and were left out: {len(unreadable):,}")
        for entry in unreadable:
            out.print(f"  {entry.image.path}: {entry.fault}", soft_wrap=True)
