"""What is asked of a service of rsitr, and what it answers; without Qt, so that it runs and is tested anywhere."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, replace
from typing import Any, Callable, Mapping, Sequence
from urllib.parse import urlencode, urlsplit

__all__ = ["MOST_RESULTS", "Answer", "Fetch", "Search", "ServiceError", "add_pictures", "ask", "check_address"]

MOST_RESULTS = 500
"""What the pages of one search hold together."""
PICTURE_PX = 192
JPEG = b"\xff\xd8\xff"

Fetch = Callable[[str], "tuple[int, bytes]"]
"""Gets an address: the HTTP status (0: the service cannot be reached), and the body, or why it cannot be reached."""


class ServiceError(Exception):
    """What a person should be told went wrong."""


@dataclass(frozen=True)
class Search:
    """A search.

    Attributes:
        words: what to look for.
        bbox: west, south, east, north in degrees, west > east across the antimeridian; None: anywhere.
        limit: results at most.
        places: tiles that touch and match are one place; else every tile is a result.
        only_matches: leave out what does not reach the threshold.
        threshold: relevance from which on something matches.
        since: first day, as 2016-08-16, or empty.
        until: last day, or empty.
    """

    words: str
    bbox: tuple[float, float, float, float] | None = None
    limit: int = 50
    places: bool = True
    only_matches: bool = False
    threshold: float = 0.5
    since: str = ""
    until: str = ""

    def address(self, service: str) -> str:
        """Where the answer is."""
        asked: dict[str, Any] = {"q": " ".join(self.words.split()), "limit": self.limit, "threshold": self.threshold}
        if self.bbox is not None:
            asked["bbox"] = ",".join(f"{side:.7f}" for side in clip_box(self.bbox))
        if self.since or self.until:
            asked["datetime"] = f"{self.since or '..'}/{self.until or '..'}"
        asked["places"] = str(self.places).lower()
        asked["matches"] = str(self.only_matches).lower()
        return f"{service}/ogc/collections/search/items?{urlencode(asked)}"


@dataclass(frozen=True)
class Answer:
    """What was found.

    Attributes:
        features: GeoJSON features, best first, those without a known place on Earth left out.
        n_matched: how many the service would give.
        n_nowhere: how many have no known place.
        state: `matches`, `unsure` or `nothing`; None where the model is not calibrated.
        message: what a person should be told beside the results; may be empty.
    """

    features: tuple[Mapping[str, Any], ...]
    n_matched: int
    n_nowhere: int
    state: str | None
    message: str

    def say(self) -> str:
        """The answer in a sentence or two."""
        count = len(self.features)
        said = f"{count} result{'' if count == 1 else 's'}"
        if self.n_nowhere:
            said += f" (and {self.n_nowhere} without a known place)"
        return f"{said}: {self.message}" if self.message else said


def check_address(text: str) -> str:
    """The address of a service as it is asked.

    >>> check_address("localhost:8000/")
    'http://localhost:8000'

    Raises:
        ServiceError: it is none.
    """
    text = text.strip()
    text = (text if "://" in text else f"http://{text}").rstrip("/")
    for view in ("/ogc", "/stac", "/api"):
        text = text[: -len(view)] if text.endswith(view) else text
    try:
        parts = urlsplit(text)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query and " " not in text
    except ValueError:
        fits = False
    if not fits:
        raise ServiceError(f"{text!r} is no address of a service, such as http://127.0.0.1:8000")
    return text


def clip_box(bbox: Sequence[float]) -> tuple[float, float, float, float]:
    """A map's extent in degrees as a box on Earth; maps may show more than the world.

    >>> clip_box((-400.0, -100.0, 400.0, 95.0)), clip_box((170.0, -10.0, 190.0, 10.0))
    ((-180.0, -90.0, 180.0, 90.0), (170.0, -10.0, -170.0, 10.0))
    """
    west, south, east, north = bbox
    south, north = max(-90.0, min(90.0, south)), max(-90.0, min(90.0, north))
    if east - west >= 360.0:
        return -180.0, south, 180.0, north
    west, east = (side if -180.0 <= side <= 180.0 else (side + 180.0) % 360.0 - 180.0 for side in (west, east))
    return west, south, east, north


def ask(service: str, search: Search, fetch: Fetch) -> Answer:
    """Make a search.

    Args:
        service: its address, as `check_address` gives it.
        search: what is asked.
        fetch: gets an address.

    Raises:
        ServiceError: it cannot be asked, or refuses.
    """
    if not search.words.strip():
        raise ServiceError("say in words what to look for")
    status, content = fetch(search.address(service))
    if status != 200:
        raise ServiceError(_say_refusal(service, status, content))
    try:
        told = json.loads(content)
        features, n_matched = list(told["features"]), int(told["numberMatched"])
        placed = tuple(one for one in features if one["geometry"] is not None and one["properties"] is not None)
    except (ValueError, TypeError, KeyError) as error:
        raise ServiceError(f"{service} answers, but not as a service of rsitr does") from error
    return Answer(placed, n_matched, len(features) - len(placed), told.get("state"), str(told.get("message") or ""))


def add_pictures(
    service: str, answer: Answer, fetch: Fetch, *, is_cancelled: Callable[[], bool] = lambda: False
) -> Answer:
    """The answer with the picture of each feature as a data URI in its property `thumbnail`, None where there is none.

    A map tip needs neither network nor key then. Only the service itself is asked, whatever an address says: the key
    is for nobody else.
    """
    features = []
    for feature in answer.features:
        _, _, path = str(feature["properties"].get("picture") or "").partition("/api/")
        content, status = b"", 0
        if path and not is_cancelled():
            status, content = fetch(f"{service}/api/{path}?size={PICTURE_PX}")
        shown = status == 200 and content.startswith(JPEG)
        picture = f"data:image/jpeg;base64,{base64.b64encode(content).decode()}" if shown else None
        features.append({**feature, "properties": {**feature["properties"], "thumbnail": picture}})
    return replace(answer, features=tuple(features))


def _say_refusal(service: str, status: int, content: bytes) -> str:
    if status == 0:
        return f"{service} cannot be reached: {content.decode('utf-8', 'replace') or 'no answer'}"
    try:
        detail = str(json.loads(content)["error"]["detail"])
    except (ValueError, TypeError, KeyError):
        detail = f"it answers {status}"
    if status == 401:
        detail += " (choose an authentication of the kind API Header, with the header X-API-Key)"
    elif status == 404:
        detail = f"there is no service of rsitr with OGC API Features here ({detail})"
    return f"{service}: {detail}"
