"""`rsitr locate`: where in a whole scene words are true, as a heat map."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rsitr.cli.output import AsJson, print_json, progress_bar
from rsitr.defaults import DEFAULT_MODEL
from rsitr.errors import QueryError
from rsitr.files import require_writable, write_file

if TYPE_CHECKING:
    from rsitr.formats import HeatMap
    from rsitr.types import Encoder

__all__ = ["locate", "run_locate"]


def locate(
    scene: str = typer.Argument(
        ..., metavar="SCENE", help="A GeoTIFF, or whatever else GDAL reads; a file, or an address (https://, s3://)."
    ),
    words: str = typer.Argument(..., metavar="WORDS", help='What to look for, e.g. "a river with a bridge".'),
    *,
    out: Path | None = typer.Option(None, metavar="FILE", help="Heat map as GeoTIFF. [default: SCENE-heat.tif, here]"),
    png: Path | None = typer.Option(None, metavar="FILE", help="The scene under the map. [default: beside it, .png]"),
    scales: str = typer.Option("0.5,1,2", metavar="F,...", help="Sides of the windows, in tiles."),
    tile_px: int | None = typer.Option(
        None, min=16, metavar="N", help="Side of a tile in pixels. [default: as for an index]"
    ),
    threshold: float = typer.Option(0.5, metavar="F", help="Relevance below which nothing here is said to match."),
    model: str = typer.Option(
        DEFAULT_MODEL, metavar="MODEL", help="One of `rsitr models`, a checkpoint folder, open_clip's NAME:TAG."
    ),
    device: str | None = typer.Option(None, metavar="DEVICE", help="Where the model runs, e.g. cpu or cuda."),
    as_json: AsJson = False,
) -> None:
    """Draw a map of where words fit, over a whole scene and several scales; needs no index.

    Relevance says how surely the best windows show what the words say, as in a search whose collection is this scene
    alone; below the threshold nothing here matches, and the map shows only what is least unlike.
    """
    raise typer.Exit(
        run_locate(
            scene, words, out=out, png=png, scales=scales, tile_px=tile_px, threshold=threshold, model=model,
            device=device, as_json=as_json,
        )
    )  # fmt: skip


def run_locate(
    scene: str | Path,
    words: str,
    *,
    out: Path | None = None,
    png: Path | None = None,
    scales: str = "0.5,1,2",
    tile_px: int | None = None,
    threshold: float = 0.5,
    model: str = DEFAULT_MODEL,
    device: str | None = None,
    encoder: Encoder | None = None,
    as_json: bool = False,
) -> int:
    """What the command does; returns its exit status. A given `encoder` takes the place of `model`."""
    from rsitr.cli.results_locate import LocateResult
    from rsitr.formats import HeatRecord, draw_heat_map, write_heat_map
    from rsitr.geo import is_url, open_scene
    from rsitr.geo.files import name_of
    from rsitr.search import check_threshold
    from rsitr.search import locate as run

    check_threshold(threshold, name="--threshold")
    source = str(scene) if is_url(str(scene)) else Path(scene)  # a path would take a slash out of an address
    map_file = out or Path(f"{Path(name_of(source)).stem}-heat.tif")
    picture = png or map_file.with_suffix(".png")
    for path in (map_file, picture):
        require_writable(path)
    if isinstance(source, Path) and map_file.resolve() == source.resolve():
        raise QueryError(f"{map_file}: this is the scene itself; name another file with --out")
    sides = _parse_scales(scales)
    open_scene(source)  # wrong input is found before a model is loaded
    if encoder is None:
        from rsitr.models.zoo import load_encoder

        encoder = load_encoder(model, device=device)
    with progress_bar() as bar:
        task = bar.add_task("windows", total=None)
        heat = run(
            source,
            words,
            encoder=encoder,
            scales=sides,
            tile_px=tile_px,
            threshold=threshold,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    write_heat_map(heat, map_file)
    write_file(picture, draw_heat_map(heat))
    if as_json:
        found = HeatRecord.of(heat, scene=str(source))
        print_json(LocateResult(**vars(found), heat_map=str(map_file), picture=str(picture)))
    else:
        sys.stdout.write(_tell(heat, map_file, picture))
    return 0


def _tell(heat: HeatMap, map_file: Path, picture: Path) -> str:
    from rsitr.formats import say_heat

    sides = ", ".join(f"{side} px" for side in heat.windows_px)
    said = say_heat(heat, position=heat.find_best())
    return f"{said}; {heat.n_windows} windows of {sides}\nheat map: {map_file}\npicture: {picture}\n"


def _parse_scales(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise QueryError(f"--scales takes numbers with commas between, e.g. 0.5,1,2, not {text!r}") from error
