"""`rsitr info`: what an index holds."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from rsitr.cli.output import console, make_table

if TYPE_CHECKING:
    from rsitr.index import IndexSummary

__all__ = ["describe_tiles", "info"]


def info(
    index: Path = typer.Argument(..., metavar="INDEX", help="Folder of the index."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON instead of a table."),
) -> None:
    """Tell what an index holds: its model, scenes, tiles, dates, area and size."""
    from rsitr.index import open_index, summarise

    summary = summarise(open_index(index))
    if as_json:
        sys.stdout.write(json.dumps(dataclasses.asdict(summary), default=str, indent=2) + "\n")
        return
    table = make_table("what", "value", title=str(index), header=False)
    for what, value in _lines(summary):
        table.add_row(what, value)
    console().print(table)


def _lines(summary: IndexSummary) -> list[tuple[str, str]]:
    unfinished = f"{summary.n_unfinished} batches: run the same `rsitr index` again to go on"
    places = f", {summary.n_without_place:,} without a known place" if summary.n_without_place else ""
    left_out = f", {summary.n_left_out:,} left out (mostly nodata)" if summary.n_left_out else ""
    return [
        ("model", f"{summary.model} ({summary.dim} wide, fingerprint {summary.fingerprint[:12]})"),
        ("scenes", f"{summary.n_scenes:,}{places}"),
        ("tiles", f"{summary.n_tiles:,}{left_out}"),
        ("tile size", f"{describe_tiles(summary)}, overlap {summary.overlap:g}"),
        *(("", note) for note in summary.tile_notes),
        ("bands", ", ".join(map(str, summary.bands)) if summary.bands else "as each file says"),
        ("encoded by", ", later also ".join([summary.encoding or "unknown", *summary.later_encodings])),
        ("local codes", f"{summary.code_length} numbers per tile" if summary.code_length else "none"),
        ("ranking", _ranking(summary)),
        *([("unfinished", unfinished)] if summary.n_unfinished else []),
        ("dates", _span(summary.first_date, summary.last_date) + f" ({summary.n_undated:,} scenes undated)"),
        ("ground sampling", _span(_metres(summary.finest_gsd_m), _metres(summary.coarsest_gsd_m))),
        ("sensors", ", ".join(summary.sensors) or "none named"),
        ("area", f"{summary.area_km2:,.{0 if summary.area_km2 >= 100 else 2}f} km²"),
        ("box (W, S, E, N)", ", ".join(f"{side:.4f}" for side in summary.bbox) if summary.bbox else "no known place"),
        ("scenes lie in", str(summary.root) + ("" if summary.is_root_there else " (not there: hits have no pictures)")),
        ("size on disk", f"{summary.size_bytes / 1e6:,.1f} MB"),
        ("made with", summary.created_with),
    ]


def describe_tiles(summary: IndexSummary) -> str:
    """How large an index's tiles are, in words."""
    if summary.tile_m is not None:
        tile = f"{summary.tile_m:g} m"
    else:
        tile = "the model's picture, more of finer pixels" if summary.tile_px is None else f"{summary.tile_px} px"
    scales = ", ".join(f"{scale:g}" for scale in summary.scales)
    return tile if summary.scales == (1.0,) else f"{tile}, times {scales}"


def _ranking(summary: IndexSummary) -> str:
    check = summary.nearest
    if check is None:
        return "exact"
    return (
        f"IVF, {check.probes} of {check.partitions} partitions looked into (recall {check.recall:.3f}), beyond memory"
    )


def _span(first: Any, last: Any) -> str:
    if first is None:
        return "unknown"
    return str(first) if first == last else f"{first} to {last}"


def _metres(gsd_m: float | None) -> str | None:
    return None if gsd_m is None else f"{gsd_m:.3g} m per pixel"
