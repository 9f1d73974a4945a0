"""`rsitr info`: what an index holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from rsitr.cli.naming import IndexPlace, say
from rsitr.cli.output import AsJson, console, make_table, print_json

if TYPE_CHECKING:
    from rich.table import Table

    from rsitr.index import IndexSummary
    from rsitr.types import SceneEntry

__all__ = ["describe_tiles", "format_size", "info"]

_SHOWN = frozenset(
    {"scene", "size_bytes", "size_px", "n_tiles", "n_left_out", "crs", "bbox", "date", "gsd_m", "sensor"}
)
"""What JSON tells of a scene: all but its outline and its stretch."""


def info(
    index: IndexPlace,
    as_json: AsJson = False,
    scenes: bool = typer.Option(False, "--scenes", help="Also list the scenes."),
) -> None:
    """Tell what an index holds: its model, scenes, tiles, dates, area, size and detectors."""
    from rsitr.index import describe_index
    from rsitr.search.shelf import DETECTORS

    summary, detectors = describe_index(index), DETECTORS.names(index)
    listed = _list_scenes(index) if as_json or scenes else []
    if as_json:
        entries = [{name: value for name, value in dataclasses.asdict(one).items() if name in _SHOWN} for one in listed]
        print_json({**dataclasses.asdict(summary), "detectors": detectors, "scenes": entries})
        return
    table = make_table("what", "value", title=say(index), header=False)
    for what, value in _lines(summary, detectors):
        table.add_row(what, value)
    console().print(table)
    if scenes:
        console().print(_scene_table(listed))


def _list_scenes(index: Path) -> Sequence[SceneEntry]:
    from rsitr.index import open_index  # slow to import

    return open_index(index).store.scenes()


def _scene_table(scenes: Sequence[SceneEntry]) -> Table:
    from rsitr.formats import format_number

    columns = ("scene", "tiles", "left out", "pixels", "date", "m per pixel", "sensor", "place")
    table = make_table(*columns, title="Scenes", numbers=("tiles", "left out", "pixels", "m per pixel"))
    for entry in scenes:
        table.add_row(
            entry.scene,
            f"{entry.n_tiles:,}",
            f"{entry.n_left_out:,}" if entry.n_left_out else "",
            "{} x {}".format(*entry.size_px),
            entry.date.isoformat() if entry.date else "unknown",
            "" if entry.gsd_m is None else format_number(entry.gsd_m),
            entry.sensor or "",
            (entry.crs or "yes") if entry.footprint else "unknown",
        )
    return table


def _lines(summary: IndexSummary, detectors: Sequence[str]) -> list[tuple[str, str]]:
    from rsitr.formats import format_area

    unfinished = f"{summary.n_unfinished} batches: run the same `rsitr index` again to go on"
    places = f", {summary.n_without_place:,} without a known place" if summary.n_without_place else ""
    left_out = f", {summary.n_left_out:,} left out (mostly nodata)" if summary.n_left_out else ""
    return [
        ("model", f"{summary.model} ({summary.dim} wide, {_known(summary)})"),
        ("scenes", f"{summary.n_scenes:,}{places}"),
        ("tiles", f"{summary.n_tiles:,}{left_out}"),
        *([("made of", f"{summary.n_files:,} files of embeddings")] if summary.made_of == "embeddings" else []),
        *([("tile size", f"{describe_tiles(summary)}, overlap {summary.overlap:g}")] if summary.has_words else []),
        *(("", note) for note in summary.tile_notes),
        *(_encoding(summary) if summary.has_words else []),
        ("local codes", f"{summary.code_length} numbers per tile" if summary.code_length else "none"),
        ("ranking", _ranking(summary)),
        *([("unfinished", unfinished)] if summary.n_unfinished else []),
        ("dates", _span(summary.first_date, summary.last_date) + f" ({summary.n_undated:,} scenes undated)"),
        ("ground sampling", _span(_metres(summary.finest_gsd_m), _metres(summary.coarsest_gsd_m))),
        ("sensors", ", ".join(summary.sensors) or "none named"),
        ("area", format_area(summary.area_km2)),
        ("box (W, S, E, N)", ", ".join(f"{side:.4f}" for side in summary.bbox) if summary.bbox else "no known place"),
        (
            "scenes lie in" if summary.has_words else "files lie in",
            str(summary.root) + ("" if summary.is_root_there else " (not there: hits have no pictures)"),
        ),
        ("detectors", ", ".join(detectors) or "none"),
        *_size(summary),
        ("made with", summary.created_with),
    ]


def _size(summary: IndexSummary) -> list[tuple[str, str]]:
    if summary.address is None:
        return [("size on disk", format_size(summary.size_bytes or 0))]
    size = "not told" if summary.size_bytes is None else format_size(summary.size_bytes)
    read = f"{format_size(summary.read_bytes)} since {summary.read_since}, by you on this host"
    return [("size there", size), ("read from there", read)]


def _known(summary: IndexSummary) -> str:
    return f"fingerprint {summary.fingerprint[:12]}" if summary.has_words else "not known here: no search by words"


def _encoding(summary: IndexSummary) -> list[tuple[str, str]]:
    return [
        ("bands", ", ".join(map(str, summary.bands)) if summary.bands else "as each file says"),
        ("encoded by", ", later also ".join([summary.encoding or "unknown", *summary.later_encodings])),
    ]


def format_size(size_bytes: int) -> str:
    """A size on disk in the unit in which people would say it.

    >>> format_size(999), format_size(45_678), format_size(1_234_567), format_size(12_345_678_901)
    ('999 bytes', '45.7 kB', '1.2 MB', '12.3 GB')
    """
    if size_bytes < 1000:
        return f"{size_bytes} bytes"
    power = 1 if size_bytes < 10**6 else 2 if size_bytes < 10**9 else 3
    return f"{size_bytes / 1000**power:,.1f} {(None, 'kB', 'MB', 'GB')[power]}"


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
    from rsitr.formats import format_gsd

    return None if gsd_m is None else format_gsd(gsd_m)
