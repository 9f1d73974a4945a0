"""How results look on the map: rules by relevance, and what a map tip says; without Qt."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FIELDS", "MAP_TIP", "Rule", "make_rules"]

FIELDS = (
    *(("rank", "integer"), ("relevance", "double"), ("score", "double"), ("state", "string"), ("query", "string")),
    *(("place", "string"), ("tile", "string"), ("path", "string"), ("sensor", "string"), ("gsd_m", "double")),
    *(("date", "string"), ("first_date", "string"), ("last_date", "string"), ("n_tiles", "integer")),
    *(("lon", "double"), ("lat", "double"), ("suitability", "string"), ("mark", "string"), ("model", "string")),
    *(("threshold", "double"), ("picture", "string"), ("thumbnail", "string")),
)
"""Columns of a layer of results, as the service calls them, with their kinds."""


def _plain(expression: str) -> str:
    """An expression of QGIS whose text is no HTML, whatever a scene is called."""
    return f"[% replace(replace(coalesce({expression}, ''), '&', '&amp;'), '<', '&lt;') %]"


_DAYS = """if("first_date" = "last_date", "first_date", concat("first_date", ' – ', "last_date"))"""
MAP_TIP = f"""\
<div style="width: 210px">
  <img src="[% "thumbnail" %]" width="192" alt="no picture">
  <p><b>[% "rank" %]. {_plain('"query"')}</b><br>
  [% if("relevance" IS NULL, 'relevance not judged', concat('relevance ', format_number("relevance", 2))) %]<br>
  {_plain(f'"date", {_DAYS}')} {_plain('"sensor"')}<br>
  <small>{_plain('"tile", "place"')}</small></p>
</div>
"""
"""HTML with expressions of QGIS."""


@dataclass(frozen=True)
class Rule:
    """How some results are drawn.

    Attributes:
        label: in the legend.
        expression: of QGIS, which results.
        fill: red, green, blue, alpha, 0 to 255.
        line: likewise, of the outline.
        width_mm: of the outline.
    """

    label: str
    expression: str
    fill: tuple[int, int, int, int]
    line: tuple[int, int, int, int]
    width_mm: float


def make_rules(threshold: float) -> tuple[Rule, ...]:
    """Rules for results, by relevance: sure matches stand out, what does not match is an outline."""
    sure = threshold + (1.0 - threshold) / 2
    return (
        Rule(f"surely ({sure:.2f} or more)", f'"relevance" >= {sure:g}', (240, 96, 16, 110), (200, 60, 0, 255), 0.7),
        Rule(
            f"matches ({threshold:.2f} or more)",
            f'"relevance" >= {threshold:g} AND "relevance" < {sure:g}',
            (250, 180, 40, 80),
            (220, 130, 0, 255),
            0.5,
        ),
        Rule("does not match", f'"relevance" < {threshold:g}', (120, 130, 150, 25), (110, 120, 140, 180), 0.3),
        Rule("not judged", '"relevance" IS NULL', (90, 120, 200, 60), (60, 90, 180, 220), 0.4),
    )
