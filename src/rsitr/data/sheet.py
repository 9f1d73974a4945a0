"""A contact sheet of duplicates: one HTML file with the pictures inside, for a person to judge them by."""

from __future__ import annotations

from typing import Any

from rsitr.data.duplicates import HashedImage
from rsitr.data.leakage import GroupPair, LeakageReport, Match
from rsitr.pages import picture_uri, render_page
from rsitr.pictures import open_picture

__all__ = ["render_leakage"]

PICTURE_PX = 160


def render_leakage(report: LeakageReport, *, title: str, facts: dict[str, str], most: int = 200) -> str:
    """Draw every match, the least alike first, since those are the ones to judge.

    Args:
        report: from `find_leakage`.
        title: of the page.
        facts: what a reader needs to repeat it (command, commit, checksums), shown as they are.
        most: matches drawn for each pair of groups; the page says how many there are.
    """
    sections = [_section(pair, most=most) for pair in sorted(report.pairs, key=lambda pair: not pair.leaks)]
    return render_page(
        "rsitr.data",
        "duplicates.html.jinja",
        title=title,
        facts=facts,
        sections=sections,
        max_distance=report.max_distance,
    )


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
        "pictures": [_picture(match.left), _picture(match.right)],
    }


def _picture(hashed: HashedImage) -> dict[str, str]:
    return {
        "uri": picture_uri(open_picture(hashed.image.path), side_px=PICTURE_PX),
        "name": hashed.image.image_id,
        "split": hashed.image.split,
        "caption": hashed.image.captions[0],
    }
