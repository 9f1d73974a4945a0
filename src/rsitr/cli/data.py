"""`rsitr data`: look after caption data sets. This file has `check`; its neighbours `data_*.py` add the others."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from rsitr.data.check import CheckReport, SplitReport

__all__ = ["data_app"]

data_app = typer.Typer(name="data", help="Look after caption data sets.", no_args_is_help=True)

_SIZES_SHOWN = 5
_SPEC_HELP = "NAME:FOLDER (rsicd, ucm, sydney, rsitmd, nwpu), csv:FILE or shards:FILES."


@data_app.callback()
def _group() -> None:
    """Look after caption data sets."""


@data_app.command("check")
def check(
    spec: str = typer.Argument(..., metavar="DATA", help=_SPEC_HELP),
    json_file: Path | None = typer.Option(
        None, "--json", metavar="FILE", help="Write everything found, as JSON; - prints it."
    ),
    show: int = typer.Option(10, min=0, metavar="N", help="Problems to print of each kind; 0 prints all."),
) -> None:
    """Count, decode every image, and list what is wrong.

    Splits, captions per image, image sizes, repeated captions and the ceiling they set for recall; missing or
    unreadable images, blank or broken captions, duplicate names, images in two splits. Status 1 if something is wrong.
    """
    from rsitr.cli.output import progress_bar, require_report, screen, write_json
    from rsitr.data.check import check_dataset

    require_report(json_file)
    with progress_bar() as progress:
        task = progress.add_task("Decoding images", total=None)
        report = check_dataset(spec, progress=lambda done, total: progress.update(task, completed=done, total=total))
    write_json(json_file, _to_json(report))
    _print_report(report, out=screen(json_file), show=show)
    if report.problems:
        raise typer.Exit(1)


def _print_report(report: CheckReport, *, out: Console, show: int) -> None:
    absent = "" if report.image_folder.is_dir() else "  (there is no such folder)"
    out.print(f"{report.name}: {report.annotation_file}  (sha256 {report.sha256[:16]})", soft_wrap=True)
    out.print(f"images: {report.image_folder}{absent}", soft_wrap=True)
    out.print()
    out.print(_split_table(report))
    out.print(_ceiling_table(report))
    for line in _notes(report):
        out.print(line)
    out.print()
    _print_problems(report, out=out, show=show)


def _table(title: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("\nsplit")
    return table


def _split_table(report: CheckReport) -> Table:
    table = _table("Splits")
    for name in ("\nimages", "\ncaptions", "per image\nmin/mean/max", "\ndifferent", "\nrepeated", "images\nrepeating"):
        table.add_column(name, justify="right")
    for name, split in report.splits.items():
        low, mean, high = split.captions_per_image
        share = 100 * (split.captions - split.distinct_captions) / max(split.captions, 1)
        table.add_row(
            name,
            f"{split.images:,}",
            f"{split.captions:,}",
            f"{low} / {mean:.2f} / {high}",
            f"{split.distinct_captions:,}",
            f"{share:.1f} %",
            f"{split.images_repeating:,}",
        )
    return table


def _ceiling_table(report: CheckReport) -> Table:
    table = _table("Ceiling that repeated captions set, in percent")
    ceilings = {name: split.ceiling for name, split in report.splits.items() if split.ceiling is not None}
    depths = list(next(iter(ceilings.values())).image_to_text) if ceilings else []
    for direction in ("to text", "to image"):
        for depth in depths:
            table.add_column(f"{direction}\n{depth}", justify="right")
    table.add_column("\nmR", justify="right")
    for name, ceiling in ceilings.items():
        values = (*ceiling.image_to_text.values(), *ceiling.text_to_image.values(), ceiling.mR)
        table.add_row(name, *(f"{value:.2f}" for value in values))
    return table


def _notes(report: CheckReport) -> list[str]:
    lines = []
    if report.sizes_px:
        shown = [f"{width} x {height} ({count:,})" for (width, height), count in report.sizes_px.items()]
        more = f", and {len(shown) - _SIZES_SHOWN} other sizes" if len(shown) > _SIZES_SHOWN else ""
        lines.append(f"Image sizes: {', '.join(shown[:_SIZES_SHOWN])}{more}.")
        modes = ", ".join(f"{mode} ({count:,})" for mode, count in report.modes.items())
        lines.append(f"Channels: {modes}.")
    for name, (here, official) in report.unofficial_sizes.items():
        have = f"{name} has {here:,} images" if here else f"there is no {name} split"
        lines.append(f"Note: {have} here; officially it has {official:,} images.")
    lines += [
        f"Note: {', '.join(names)} are copies of one file, in the same split."
        for names in report.identical_within_split
    ]
    return lines


def _print_problems(report: CheckReport, *, out: Console, show: int) -> None:
    if not report.problems:
        out.print("No problems found.")
        return
    counts = Counter(problem.kind for problem in report.problems)
    out.print(f"{len(report.problems):,} problems found:")
    for kind, count in counts.items():
        out.print(f"\n{kind.value}: {count:,} ({kind.advice})")
        chosen = [problem for problem in report.problems if problem.kind == kind]
        for problem in chosen[: show or None]:
            detail = f": {problem.detail}" if problem.detail else ""
            out.print(f"  {problem.subject}  [{problem.where}]{detail}", soft_wrap=True)
        if show and count > show:
            out.print(f"  ... and {count - show:,} more (--show 0 prints all, --json FILE keeps them)")


def _to_json(report: CheckReport) -> dict[str, Any]:
    return {
        "name": report.name,
        "annotation_file": str(report.annotation_file),
        "data_sha256": report.sha256,
        "image_folder": str(report.image_folder),
        "splits": {name: _split_to_json(split) for name, split in report.splits.items()},
        "unofficial_sizes": {
            name: {"here": here, "official": official} for name, (here, official) in report.unofficial_sizes.items()
        },
        "image_sizes_px": [
            {"width": width, "height": height, "count": count} for (width, height), count in report.sizes_px.items()
        ],
        "image_modes": report.modes,
        "identical_within_split": [list(names) for names in report.identical_within_split],
        "problems": [
            {
                "kind": problem.kind.name.lower(),
                "subject": problem.subject,
                "where": problem.where,
                "detail": problem.detail,
            }
            for problem in report.problems
        ],
    }


def _split_to_json(split: SplitReport) -> dict[str, Any]:
    low, mean, high = split.captions_per_image
    return {
        "images": split.images,
        "captions": split.captions,
        "captions_per_image": {"min": low, "mean": mean, "max": high},
        "distinct_captions": split.distinct_captions,
        "images_repeating": split.images_repeating,
        "ceiling": None if split.ceiling is None else asdict(split.ceiling),
    }
