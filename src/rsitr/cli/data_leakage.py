"""`rsitr data leakage`: pictures that are in two splits or two data sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.table import Table

    from rsitr.data.duplicates import UnreadableImage
    from rsitr.data.leakage import GroupPair, LeakageReport, Match

__all__ = ["leakage"]


def leakage(
    specs: list[str] = typer.Argument(
        ..., metavar="DATA...", help="NAME:FOLDER, csv:FILE or shards:FILES; one is searched within."
    ),
    max_distance: int = typer.Option(2, metavar="BITS", help="Bits in which the hashes of duplicates may differ."),
    html_file: Path | None = typer.Option(None, "--html", metavar="FILE", help="Write a contact sheet of the pairs."),
    json_file: Path | None = typer.Option(
        None, "--json", metavar="FILE", help="Write every match, as JSON; - prints it."
    ),
    most: int = typer.Option(200, min=1, metavar="N", help="Pairs on the contact sheet for any two splits."),
) -> None:
    """Find exact and near duplicates between the splits of data sets, and within each split.

    Exact: the decoded pixels are equal. Near: the perceptual hashes differ in a few bits. A leak is a picture that is
    in two different splits, of whichever sets. Status 1 if there is one, or a picture could not be read.
    """
    from rsitr.cli.output import progress_bar, require_report, screen, write_json
    from rsitr.cli.provenance import provenance
    from rsitr.data import load_dataset
    from rsitr.data.duplicates import hash_images
    from rsitr.data.leakage import find_leakage
    from rsitr.data.sheet import render_leakage
    from rsitr.files import write_file

    for path in (html_file, json_file):
        require_report(path)
    datasets = [load_dataset(spec) for spec in specs]
    with progress_bar() as progress:
        task = progress.add_task("Hashing images", total=None)
        hashed = hash_images(datasets, progress=lambda done, total: progress.update(task, completed=done, total=total))
    report = find_leakage(hashed, max_distance=max_distance)
    facts = {**provenance(), **{f"{dataset.name} sha256": dataset.sha256 for dataset in datasets}}
    if html_file is not None:
        title = f"Duplicates in {' and '.join(dataset.name for dataset in datasets)}"
        write_file(html_file, render_leakage(report, title=title, facts=facts, most=most))
    write_json(json_file, {**facts, **_to_json(report, hashed.unreadable)})
    _print_report(report, unreadable=hashed.unreadable, out=screen(json_file))
    if report.leaks or hashed.unreadable:
        raise typer.Exit(1)


def _print_report(report: LeakageReport, *, unreadable: Sequence[UnreadableImage], out: Console) -> None:
    from rich import box
    from rich.table import Table

    sizes = ", ".join(f"{dataset} {split} {count:,}" for (dataset, split), count in report.sizes.items())
    out.print(f"pictures: {sizes}")
    if not report.pairs:
        out.print("No duplicates found.")
    else:
        distances = sorted({match.distance for pair in report.pairs for match in _all(pair) if not match.exact})
        table = Table(title="Pictures with a duplicate", title_justify="left", box=box.SIMPLE_HEAD)
        for name in ("\nof", "\nin", "\n"):
            table.add_column(name)
        for name in ("\nall", "equal\npixels", *(f"{distance}\nbits" for distance in distances)):
            table.add_column(name, justify="right")
        for pair in report.pairs:
            _add_row(table, pair.left, pair.right, matches=pair.forward, distances=distances, leaks=pair.leaks)
            if pair.left != pair.right:
                _add_row(table, pair.right, pair.left, matches=pair.backward, distances=distances, leaks=pair.leaks)
        out.print(table)
    for pair in report.leaks:
        for match in pair.forward:
            how = "equal pixels" if match.exact else f"{match.distance} bits differ"
            left, right = match.left.image, match.right.image
            out.print(f"leak: {left.image_id} ({left.split}), {right.image_id} ({right.split}): {how}", soft_wrap=True)
    if unreadable:
        out.print(f"pictures that could not be read and were left out: {len(unreadable):,}")
        for entry in unreadable:
            out.print(f"  {entry.image.path}: {entry.fault}", soft_wrap=True)


def _add_row(
    table: Table,
    left: tuple[str, str],
    right: tuple[str, str],
    *,
    matches: Sequence[Match],
    distances: Sequence[int],
    leaks: bool,
) -> None:
    near = [sum(match.distance == distance and not match.exact for match in matches) for distance in distances]
    counts = [len(matches), sum(match.exact for match in matches), *near]
    kind = "leak" if leaks else "a second time" if left == right else "in common"
    table.add_row(" ".join(left), " ".join(right), kind, *(f"{count:,}" for count in counts))


def _all(pair: GroupPair) -> tuple[Match, ...]:
    return pair.forward + pair.backward


def _to_json(report: LeakageReport, unreadable: Sequence[UnreadableImage]) -> dict[str, Any]:
    return {
        "max_distance": report.max_distance,
        "pictures": {" ".join(group): count for group, count in report.sizes.items()},
        "pairs": [
            {
                "left": " ".join(pair.left),
                "right": " ".join(pair.right),
                "leak": pair.leaks,
                "left_in_right": [_match_to_json(match) for match in pair.forward],
                "right_in_left": [_match_to_json(match) for match in pair.backward],
            }
            for pair in report.pairs
        ],
        "unreadable": [{"path": str(entry.image.path), "fault": entry.fault} for entry in unreadable],
    }


def _match_to_json(match: Match) -> dict[str, Any]:
    return {
        "image": match.left.image.image_id,
        "duplicate": match.right.image.image_id,
        "distance": match.distance,
        "exact": match.exact,
    }
