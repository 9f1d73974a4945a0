"""The web page and its files."""

from __future__ import annotations

import re

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from rsitr.service.page import Asset, Assets

__all__ = ["pages"]

HASHED = re.compile(r"-[A-Za-z0-9_]{8,}\.\w+$")
IMMUTABLE = "public, max-age=31536000, immutable"
PLAIN = "public, max-age=3600"

pages = APIRouter(include_in_schema=False)


@pages.get("/")
def get_page(request: Request) -> Response:
    """The page."""
    assets: Assets = request.app.state.assets
    assets.refresh()
    return _send(request, assets.page(), cache="no-cache")


@pages.get("/embed")
def get_embedded(request: Request) -> Response:
    """The page for pages of others, where they are allowed to show it."""
    if not request.app.state.engine.settings.embed_origins:
        raise HTTPException(404, "this page is shown in no other: RSITR_EMBED_ORIGINS or --embed names sites that may")
    return get_page(request)


@pages.get("/static/{name:path}")
async def get_static(request: Request, name: str) -> Response:
    """A file of the page; those with a hash in their names never change."""
    assets: Assets = request.app.state.assets
    found = assets.get(name)
    if found is None:
        raise HTTPException(404, "the page has no such file")
    return _send(request, found, cache=IMMUTABLE if HASHED.search(name) else PLAIN)


@pages.get("/favicon.ico")
async def get_icon(request: Request) -> Response:
    """What browsers ask for by themselves."""
    found = request.app.state.assets.get("favicon.ico") or request.app.state.assets.get("favicon.svg")
    return Response(status_code=204) if found is None else _send(request, found, cache=PLAIN)


def _send(request: Request, asset: Asset, *, cache: str) -> Response:
    headers = {"ETag": asset.etag, "Cache-Control": cache, "Vary": "Accept-Encoding"}
    if request.headers.get("if-none-match") == asset.etag:
        return Response(status_code=304, headers=headers)
    if asset.gzipped is not None and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(asset.gzipped, media_type=asset.media_type, headers={**headers, "Content-Encoding": "gzip"})
    return Response(asset.content, media_type=asset.media_type, headers=headers)
