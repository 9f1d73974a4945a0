"""How the service is: for people, for load balancers, for Prometheus."""

from __future__ import annotations

import os
import time
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from rsitr.search import THRESHOLD
from rsitr.service.engine import Engine
from rsitr.service.replies import HealthReply, IndexReply, ReadyReply
from rsitr.service.routes.wiring import EngineOf, can_write, errors_of, json_response
from rsitr.version import __version__

__all__ = ["health"]

FAILED = "the model cannot be loaded; the log tells why"
PACKAGES = ("fastapi", "lancedb", "numpy", "rasterio", "torch", "uvicorn")

health = APIRouter(tags=["service"])


@health.get("/api/health", response_model=HealthReply, responses=errors_of(503))
async def get_health(engine: EngineOf) -> Response:
    """Whether searches are answered, and by what, for people. Needs no key; load balancers ask `/api/ready`."""
    n_tiles, n_scenes = await engine.render(lambda: (len(engine.index), len(engine.catalogue.scenes())))
    engine.metrics.tiles.set(n_tiles)
    model = engine.index.model
    content = {
        "status": engine.status,
        "detail": FAILED if engine.status == "failed" else engine.detail,
        "draining": engine.is_draining,
        "common": await engine.common.where(),
        "pid": os.getpid(),
        "version": __version__,
        "model": {
            "name": model.name,
            "fingerprint": model.fingerprint,
            "dim": model.dim,
            "image_size_px": model.image_size_px,
        },
        "index": {"name": engine.index.name, "n_tiles": n_tiles, "n_scenes": n_scenes},
        "uptime_s": round(time.monotonic() - engine.started, 1),
        "versions": _versions(),
    }
    return json_response(content)


@health.get("/api/live", response_model=ReadyReply, responses=errors_of())
async def get_live(engine: EngineOf) -> Response:
    """Whether the process is alive: status 200, always and at once. If it is not answered, start the process anew."""
    return json_response({"ready": _is_ready(engine), "detail": _say_state(engine)})


@health.get(
    "/api/ready",
    response_model=ReadyReply,
    responses={**errors_of(), 503: {"model": ReadyReply, "description": "Not now"}},
)
async def get_ready(engine: EngineOf) -> Response:
    """Whether requests should be sent here: status 200, else 503. Needs no key, and does no work."""
    is_ready = _is_ready(engine)
    return json_response({"ready": is_ready, "detail": _say_state(engine)}, status=200 if is_ready else 503)


def _is_ready(engine: Engine) -> bool:
    return engine.status == "ready" and not engine.is_draining


def _say_state(engine: Engine) -> str:
    if engine.is_draining:
        return "the service was told to stop"
    return FAILED if engine.status == "failed" else engine.detail


@health.get("/api/index", response_model=IndexReply, responses=errors_of(503))
async def get_index(request: Request, engine: EngineOf) -> Response:
    """What the index holds, what may be asked for, and ideas for a first search."""
    settings = engine.settings
    box, since, until, sensors = await engine.render(engine.catalogue.extent)
    n_tiles, n_scenes = await engine.render(lambda: (len(engine.index), len(engine.catalogue.scenes())))
    content = {
        "name": engine.index.name,
        "n_tiles": n_tiles,
        "n_scenes": n_scenes,
        "bbox": box,
        "since": since,
        "until": until,
        "sensors": sensors,
        "threshold": THRESHOLD,
        "limits": {
            "max_k": settings.max_k,
            "max_area_bytes": settings.max_area_bytes,
            "max_upload_bytes": settings.max_upload_bytes,
            "max_upload_px": settings.max_upload_px,
        },
        "can_write": can_write(request),
        "suggestions": list(engine.suggestions),
        "knows_words": engine.knows_words,
        "examples": list(engine.examples),
        "background": settings.background_url
        and {"url": settings.background_url, "credit": settings.background_credit},
        "language": engine.language,
    }
    return json_response(content)


@health.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "Prometheus' text format"}, **errors_of()},
)
async def get_metrics(engine: EngineOf) -> Response:
    """Counters for Prometheus; wants a key where the service has any."""
    return Response(engine.metrics.render(), headers={"Content-Type": CONTENT_TYPE_LATEST})


@cache
def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # vendored, or installed in another way
            found[name] = "unknown"
    return found
