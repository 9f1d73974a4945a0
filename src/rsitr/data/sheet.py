"""A contact sheet of duplicates: one HTML file with the pictures inside, for a person to judge them by."""

from __future__ import annotations

import base64
import io
from typing import Any

import jinja2
from PIL import Image

from rsitr.data.duplicates import HashedImage
from rsitr.data.leakage import GroupPair, LeakageReport, Match
from rsitr.data.pictures import to_rgb

__all__ = ["render_leakage"]

PICTURE_PX = 160
JPEG_QUALITY = 80


def render_leakage(report: LeakageReport, *, title: str, facts: dict[str, str], most: int = 200) -> str:
    """Draw every match, the least alike first, since those are the ones to judge.

    Args:
        report: from `find_leakage`.
        title: of the page.
        facts: what a reader needs to repeat it (command, commit, checksums), shown as they are.
        most: matches drawn for each pair of groups; the page says how many there are.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("rsitr.data"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    sections = [_section(pair, most=most) for pair in sorted(report.pairs, key=lambda pair: not pair.leaks)]
    page = environment.get_template("duplicates.html.jinja")
    return page.render(title=title, facts=facts, sections=sections, max_distance=report.max_distance)


def _section(pair: GroupPair, *, most: int) -> dict[str, Any]:
    ordered = sorted(_distinct(pair.forward), key=lambda match: (-match.distance, match.exact))
    return {
        "left": " ".join(pair.left),
        "right": " ".join(pair.right),
        "leaks": pair.leaks,
        "n_left": len(pair.forward),
        "n_right": len(pair.backward) if pair.left != pair.right else None,
        "n_shown": len(ordered[:most]),
        "n_matches": len(ordered),
        "cards": [_card(match) for match in ordered[:most]],
    }


def _distinct(matches: tuple[Match, ...]) -> list[Match]:
    """Without the second of A close to B and B close to A, which a group has with itself."""
    seen: set[frozenset[str]] = set()
    kept = []
    for match in matches:
        key = frozenset((match.left.image.image_id, match.right.image.image_id))
        if key not in seen:
            seen.add(key)
            kept.append(match)
    return kept


def _card(match: Match) -> dict[str, Any]:
    return {
        "verdict": "equal pixels" if match.exact else f"{match.distance} of 64 bits differ",
        "exact": match.exact,
        "pictures": [_picture(match.left), _picture(match.right)],
    }


def _picture(hashed: HashedImage) -> dict[str, str]:
    with Image.open(hashed.image.path) as opened:
        picture = to_rgb(opened)
    picture.thumbnail((PICTURE_PX, PICTURE_PX))
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=JPEG_QUALITY)
    return {
        "uri": "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii"),
        "name": hashed.image.image_id,
        "split": hashed.image.split,
        "caption": hashed.image.captions[0],
    }
