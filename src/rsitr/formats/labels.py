"""A page on which a person says of pictures whether they are right: one HTML file, by keyboard, its labels as CSV."""

from __future__ import annotations

import json
from collections.abc import Sequence

import markupsafe

from rsitr.errors import SceneError
from rsitr.formats.sheet import PictureSource
from rsitr.formats.text import format_place
from rsitr.pages import picture_uri, render_page
from rsitr.types import Hit

__all__ = ["make_label_page"]

PICTURE_PX = 384


def make_label_page(entries: Sequence[tuple[str, Hit, PictureSource]]) -> tuple[str, tuple[str, ...]]:
    """The page, and why pictures are missing from it.

    Labels are given by keys (y right, n wrong, s not sure), kept by the browser until they are saved, and saved as the
    CSV that `rsitr assess --labels` and `rsitr feedback --marks` read.

    Args:
        entries: the query in words, the hit, and where its picture is from.
    """
    missing: list[str] = []
    shown = []
    for query, hit, pictures in entries:
        picture = None
        try:
            picture = picture_uri(pictures.picture(hit.tile, max_px=PICTURE_PX))
        except SceneError as error:
            missing.append(f"no picture of {hit.tile.tile}: {error}")
        day = hit.tile.date.isoformat() if hit.tile.date else "day unknown"
        about = f"{day}, {format_place(hit.tile.bbox)}"
        shown.append({"query": query, "rank": hit.rank, "tile": hit.tile.tile, "about": about, "picture": picture})
    # In a script element nothing is escaped as in HTML: "<" is, so that no name can end it.
    content = json.dumps(shown, ensure_ascii=True).replace("<", "\\u003c")
    html = render_page(
        "rsitr.formats", "label.html.jinja", title="Is it right?", entries=markupsafe.Markup(content), n=len(shown)
    )
    return html, tuple(missing)
