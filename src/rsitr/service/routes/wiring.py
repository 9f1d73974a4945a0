"""What routes share: the engine of their application, and answers as bytes."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, cast

from fastapi import Depends, Path, Request, Response

from rsitr.formats import plain
from rsitr.service.engine import Engine
from rsitr.service.errors import ForbiddenError
from rsitr.service.replies import ProblemReply

__all__ = [
    "DOCUMENT",
    "FEATURES",
    "EngineOf",
    "ItemId",
    "Writer",
    "can_write",
    "errors_of",
    "json_response",
    "picture_response",
]

PICTURE_SECONDS = 300
"""A browser may show a picture so long without asking again: a scene may be indexed anew under the same name."""


def _engine(request: Request) -> Engine:
    return cast("Engine", request.app.state.engine)


def can_write(request: Request) -> bool:
    """Whether who asks may change anything."""
    return bool(getattr(request.state, "can_write", False))


def _require_writer(request: Request) -> None:
    if not can_write(request):
        raise ForbiddenError("this needs a key with the role write; `rsitr serve --new-key write` makes one")


EngineOf = Annotated[Engine, Depends(_engine)]
Writer = Depends(_require_writer)
ItemId = Annotated[str, Path(min_length=1, max_length=200, description="As lists of items have it.")]


def errors_of(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of a route, for its OpenAPI description, with those that every route has."""
    meant = {
        400: "Not understood",
        401: "A key is needed",
        403: "Not allowed",
        404: "Not in this index",
        408: "The request did not arrive in time",
        409: "Not as things are",
        413: "Too large",
        415: "Not a picture that can be read",
        422: "Not valid",
        429: "Too many requests",
        503: "Busy, or not ready yet",
    }
    return {
        status: {"model": ProblemReply, "description": meant[status]}
        for status in sorted({400, 401, 403, 408, 413, 429, *statuses})
    }


FEATURES: dict[int | str, dict[str, Any]] = {
    200: {"description": "GeoJSON", "content": {"application/geo+json": {"schema": {"type": "object"}}}},
    **errors_of(404, 503),
}
DOCUMENT: dict[int | str, dict[str, Any]] = {
    200: {"description": "JSON", "content": {"application/json": {"schema": {"type": "object"}}}},
    **errors_of(404, 503),
}


def json_response(content: Any, *, status: int = 200, media_type: str = "application/json") -> Response:
    """A reply, or plain values, as JSON, written once: our own records need no second validation."""
    body = json.dumps(plain(content), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")
    return Response(body, status_code=status, media_type=media_type)


def picture_response(request: Request, content: bytes, media_type: str) -> Response:
    """A picture that a browser may keep for a while, and ask for again by its tag."""
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": f"private, max-age={PICTURE_SECONDS}"}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=media_type, headers=headers)
