"""`rsitr locate`: where in a whole scene words are true, as a heat map."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rsitr.cli.output import progress_bar, require_writable, write_file
from rsitr.errors import QueryError

if TYPE_CHECKING:
    from rsitr.search import HeatMap
    from rsitr.types import Encoder

__all__ = ["locate", "run_locate"]


def locate(
    scene: Path = typer.Argument(..., metavar="SCENE", help="A GeoTIFF, or whatever else GDAL reads."),
    words: str = typer.Argument(..., metavar="WORDS", help='What to look for, e.g. "a river with a bridge".'),
    *,
    out: Path | None = typer.Option(None, metavar="FILE", help="Heat map as GeoTIFF. [default: SCENE-heat.tif, here]"),
    png: Path | None = typer.Option(None, metavar="FILE", help="The scene under the map. [default: beside it, .png]"),
    scales: str = typer.Option("0.5,1,2", metavar="F,...", help="Sides of the windows, in tiles."),
    tile_px: int | None = typer.Option(
        None, min=16, metavar="N", help="Side of a tile in pixels. [default: as for an index]"
    ),
    model: str = typer.Option("compact", metavar="MODEL", help="compact, a checkpoint folder, or an open_clip name."),
    device: str | None = typer.Option(None, metavar="DEVICE", help="Where the model runs, e.g. cpu or cuda."),
) -> None:
    """Draw a map of where words fit, over a whole scene and several scales; needs no index."""
    raise typer.Exit(
        run_locate(scene, words, out=out, png=png, scales=scales, tile_px=tile_px, model=model, device=device)
    )


def run_locate(
    scene: Path,
    words: str,
    *,
    out: Path | None = None,
    png: Path | None = None,
    scales: str = "0.5,1,2",
    tile_px: int | None = None,
    model: str = "compact",
    device: str | None = None,
    encoder: Encoder | None = None,
) -> int:
    """What the command does; returns its exit status. A given `encoder` takes the place of `model`."""
    from rsitr.geo import open_scene
    from rsitr.search import draw_heat_map, write_heat_map
    from rsitr.search import locate as run

    map_file = out or Path(f"{scene.stem}-heat.tif")
    picture = png or map_file.with_suffix(".png")
    for path in (map_file, picture):
        require_writable(path)
    if map_file.resolve() == scene.resolve():
        raise QueryError(f"{map_file}: this is the scene itself; name another file with --out")
    sides = _parse_scales(scales)
    open_scene(scene)  # wrong input is found before a model is loaded
    if encoder is None:
        from rsitr.models.zoo import load_model

        encoder = load_model(model, device=device)
    with progress_bar() as bar:
        task = bar.add_task("windows", total=None)
        heat = run(
            scene,
            words,
            encoder=encoder,
            scales=sides,
            tile_px=tile_px,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    write_heat_map(heat, map_file)
    write_file(picture, draw_heat_map(heat))
    sys.stdout.write(_tell(heat, map_file, picture))
    return 0


def _tell(heat: HeatMap, map_file: Path, picture: Path) -> str:
    from rsitr.geo import open_scene
    from rsitr.search import format_point

    col, row = heat.best_px
    placement = open_scene(heat.path).placement
    where = ""
    if placement is not None:
        import numpy as np

        lon, lat = placement.locate(np.array([[col]]), np.array([[row]]))
        where = f" ({format_point(float(lon[0, 0]), float(lat[0, 0]))})"
    sides = ", ".join(f"{side} px" for side in heat.windows_px)
    return (
        f"“{heat.query}” fits best at column {col:.0f}, row {row:.0f}{where}; {heat.n_windows} windows of {sides}\n"
        f"heat map: {map_file}\npicture: {picture}\n"
    )


def _parse_scales(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise QueryError(f"--scales takes numbers with commas between, e.g. 0.5,1,2, not {text!r}") from error
