"""A heat map as a GeoTIFF for a GIS, and as a picture for people."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw

from rsitr.calibration import State, judge
from rsitr.errors import SceneError
from rsitr.files import replacing, require_writable
from rsitr.formats.records import round_box, round_score
from rsitr.formats.text import format_point, say_state
from rsitr.geo.files import name_of
from rsitr.pictures import find_font, paint_heat
from rsitr.types import FloatArray, ImageArray

if TYPE_CHECKING:
    from rsitr.geo import Scene

__all__ = ["HeatMap", "HeatRecord", "draw_heat_map", "say_heat", "write_heat_map"]

SHOWN_PERCENT = (50.0, 99.5)
LEAST_SPREAD = 0.02  # of cosines from the coolest to the hottest colour: less is noise, and shall not look like a find
STRONGEST = 0.72
WIDTH_PX = 1200
TITLE_PX, BAR_PX, CROSS_PX = 44, 124, 14
GRID = 6  # points to a side


@dataclass(frozen=True, slots=True, eq=False)
class HeatMap:
    """Scores over a scene.

    Attributes:
        path: the scene.
        query: the words.
        scores: (rows, columns) mean cosine of the windows over a cell, NaN where the scene has no data.
        cell_px: (width, height) of a cell in the scene's pixels.
        picture: the scene as people see it, its longer side at most 1,600.
        windows_px: sides of the windows, smallest first.
        n_windows: windows that were encoded.
        relevance: how surely the best windows show what the words say, 0 to 1; None where that cannot be judged: the
            model is not calibrated, or there is a doubt.
        threshold: relevance below which nothing here is said to match.
        doubt: why nothing can be sure: the words, or the pixels; None where something can.
        scene: what is known of it; None: its file has to say.
    """

    path: Path | str
    query: str
    scores: FloatArray
    cell_px: tuple[float, float]
    picture: ImageArray
    windows_px: tuple[int, ...]
    n_windows: int
    relevance: float | None
    threshold: float
    doubt: str | None = None
    scene: Scene | None = None

    @property
    def state(self) -> State | None:
        """What is said of the scene: `matches`, `unsure` or `nothing`; None where the model is not calibrated."""
        return "unsure" if self.doubt else judge(self.relevance, threshold=self.threshold)

    @property
    def matches(self) -> bool:
        """Whether the words are true somewhere for sure; True also where the model is not calibrated."""
        return self.state in {"matches", None}

    @property
    def best_px(self) -> tuple[float, float]:
        """Column and row of the middle of the highest cell, in the scene's pixels."""
        row, col = np.unravel_index(int(np.nanargmax(self.scores)), self.scores.shape)
        return (float(col) + 0.5) * self.cell_px[0], (float(row) + 0.5) * self.cell_px[1]

    def find_best(self) -> tuple[float, float] | None:
        """Longitude and latitude of that point; None where the scene has no known place.

        Raises:
            SceneError: the scene is gone.
        """
        from rsitr.geo import open_scene

        placement = open_scene(self.path).placement
        if placement is None:
            return None
        col, row = self.best_px
        lon, lat = placement.locate(np.array([[col]]), np.array([[row]]))
        return float(lon[0, 0]), float(lat[0, 0])


@dataclass(frozen=True, kw_only=True)
class HeatRecord:
    """Where in a scene words fit best, and whether they are true there at all.

    Attributes:
        scene: the file.
        asked: the words.
        matches: whether they are true somewhere; true also where the model gives no verdict.
        state: matches, unsure or nothing; null where the model is not calibrated.
        relevance: of the best windows.
        threshold: below which nothing is said to match.
        message: the same in a sentence.
        best_px: column and row where they fit best.
        lon: of that point, in degrees; null where its place is not known.
        lat: of that point, in degrees.
        n_windows: windows that were encoded.
        windows_px: their sides.
    """

    scene: str
    asked: str
    matches: bool
    state: State | None
    relevance: float | None
    threshold: float
    message: str
    best_px: list[float]
    lon: float | None
    lat: float | None
    n_windows: int
    windows_px: list[int]

    @classmethod
    def of(cls, heat: HeatMap, *, scene: str) -> HeatRecord:
        """Of a heat map; `scene` is what the scene is called. Raises SceneError where it is gone."""
        position = heat.find_best()
        lon, lat = round_box(position) or (None, None)
        return HeatRecord(
            scene=scene,
            asked=heat.query,
            matches=heat.matches,
            state=heat.state,
            relevance=round_score(heat.relevance),
            threshold=heat.threshold,
            message=say_heat(heat, position=position),
            best_px=[round(side, 1) for side in heat.best_px],
            lon=lon,
            lat=lat,
            n_windows=heat.n_windows,
            windows_px=list(heat.windows_px),
        )


def say_heat(heat: HeatMap, *, position: tuple[float, float] | None) -> str:
    """What is to be said of a heat map, in words: whether what was looked for is there, and where it fits best.

    Args:
        heat: the map.
        position: longitude and latitude of its best point, as `find_best` gives them.
    """
    col, row = heat.best_px
    place = f"column {col:.0f}, row {row:.0f}" + (f" ({format_point(*position)})" if position else "")
    if heat.doubt:
        return f"no confident match for “{heat.query}”: {heat.doubt}; least unlike it is {place}"
    if heat.relevance is None or heat.state is None:
        return f"“{heat.query}” fits best at {place}; whether it is there at all cannot be judged by this model"
    if heat.matches:
        return f"“{heat.query}” fits best at {place}; relevance {heat.relevance:.2f}"
    told = say_state(heat.state, f"“{heat.query}”", what="window", relevance=heat.relevance, threshold=heat.threshold)
    return f"{told}; {'most like' if heat.state == 'unsure' else 'least unlike'} it is {place}"


def write_heat_map(heat: HeatMap, out: Path) -> None:
    """Write the scores as a GeoTIFF of one float32 band, nodata NaN, placed as the scene is.

    It appears whole or not at all. A scene placed by ground control points gives them on; one without a place stays so.

    Raises:
        SceneError: the scene is gone, or the file cannot be written.
    """
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    require_writable(out, error=SceneError)
    rows, columns = heat.scores.shape
    profile: dict[str, Any] = {
        "driver": "GTiff", "dtype": "float32", "count": 1, "height": rows, "width": columns, "nodata": float("nan"),
        "compress": "deflate", **_placement(heat),
    }  # fmt: skip
    try:
        with replacing(out, error=SceneError) as part, warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(part, "w", **profile) as dataset:
                dataset.write(heat.scores, 1)
                dataset.set_band_description(1, "mean cosine with the query")
                dataset.update_tags(QUERY=heat.query, SCENE=name_of(heat.path))
                if heat.relevance is not None:
                    dataset.update_tags(RELEVANCE=f"{heat.relevance:.6f}", MATCHES=str(heat.matches).lower())
    except RasterioError as error:
        raise SceneError(f"cannot write {out}: {error}") from error


def draw_heat_map(heat: HeatMap) -> bytes:
    """The scene under its heat map, as PNG. What scores below the median is left as it is."""
    high_px, wide_px = heat.picture.shape[:2]
    width, height = WIDTH_PX, max(1, round(WIDTH_PX * high_px / wide_px))
    low, high = np.nanpercentile(heat.scores, SHOWN_PERCENT)
    high = max(high, low + LEAST_SPREAD)
    shares = np.clip((np.nan_to_num(heat.scores, nan=low) - low) / (high - low), 0.0, 1.0).astype(np.float32)
    smooth = np.asarray(Image.fromarray(shares).resize((width, height), Image.Resampling.BILINEAR))
    scene = Image.fromarray(heat.picture).resize((width, height), Image.Resampling.BICUBIC).convert("RGBA")
    scene.alpha_composite(Image.fromarray(paint_heat(smooth, strongest=STRONGEST)))
    sheet = Image.new("RGB", (width + BAR_PX, height + TITLE_PX), "white")
    sheet.paste(scene.convert("RGB"), (0, TITLE_PX))
    draw = ImageDraw.Draw(sheet)
    draw.text((2, TITLE_PX / 2), _title(heat), fill="black", font=find_font(TITLE_PX * 0.55), anchor="lm")
    col, row = heat.best_px
    per_px = width / (heat.scores.shape[1] * heat.cell_px[0])
    x, y = col * per_px, TITLE_PX + row * per_px
    for arm in ((x - CROSS_PX, y, x + CROSS_PX, y), (x, y - CROSS_PX, x, y + CROSS_PX)):
        draw.line(arm, fill="white", width=4)
    _draw_bar(sheet, left=width + 16, top=TITLE_PX, height=height, low=float(low), high=float(high))
    file = io.BytesIO()
    sheet.save(file, format="PNG")
    return file.getvalue()


def _draw_bar(sheet: Image.Image, *, left: int, top: int, height: int, low: float, high: float) -> None:
    """Which colour stands for which score, over the scene's height or less."""
    draw, font = ImageDraw.Draw(sheet), find_font(17)
    length = min(height, 600)
    ramp = np.repeat(np.linspace(1.0, 0.0, length, dtype=np.float32)[:, None], 22, axis=1)
    sheet.paste(Image.fromarray(paint_heat(ramp, strongest=1.0, faintest=1.0)).convert("RGB"), (left, top))
    for share in (0.0, 0.5, 1.0):
        y = top + (length - 1) * (1.0 - share)
        anchor = {0.0: "ld", 0.5: "lm", 1.0: "la"}[share]
        draw.text((left + 28, y), f"{low + share * (high - low):.2f}", fill="black", font=font, anchor=anchor)
    label = Image.new("L", (length, 22), 255)
    ImageDraw.Draw(label).text((length / 2, 11), "mean cosine with the query", fill=0, font=font, anchor="mm")
    sheet.paste(label.rotate(90, expand=True), (left + 80, top))


def _title(heat: HeatMap) -> str:
    if heat.relevance is None:
        return f"“{heat.query}” in {name_of(heat.path)}"
    said = {"unsure": "no confident match: relevance", "nothing": "nothing here matches: relevance"}.get(
        heat.state or "", "relevance"
    )
    return f"“{heat.query}” in {name_of(heat.path)} ({said} {heat.relevance:.2f})"


def _placement(heat: HeatMap) -> dict[str, Any]:
    """CRS and transform, or control points, in cells instead of pixels."""
    from rasterio.control import GroundControlPoint
    from rasterio.transform import Affine

    from rsitr.geo import open_scene

    scene = heat.scene or open_scene(heat.path)
    placement = scene.placement
    if placement is None:
        return {}
    across, down = heat.cell_px
    if placement.affine is not None:
        a, b, c, d, e, f = placement.affine
        return {"crs": placement.crs_wkt, "transform": Affine(a * across, b * down, c, d * across, e * down, f)}
    if placement.gcps:
        crs, points = placement.crs_wkt, placement.gcps
    else:  # a sensor model: points on a grid stand for it
        cols, rows = (axis.ravel() for axis in np.meshgrid(*(np.linspace(0, side, GRID) for side in scene.whole[2:])))
        lon, lat = placement.locate(cols[None], rows[None])
        crs, points = "EPSG:4326", tuple(zip(cols, rows, lon[0], lat[0], strict=True))
    gcps = [GroundControlPoint(row=row / down, col=col / across, x=x, y=y) for col, row, x, y in points]
    return {"crs": crs, "gcps": gcps}
