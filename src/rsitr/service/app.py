"""The application: routes behind the guard, errors by the table, an engine that lives as long as it does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from rsitr.errors import ConfigError, RsitrError
from rsitr.extras import explain_missing
from rsitr.search import Index
from rsitr.service import routes
from rsitr.service.engine import Engine
from rsitr.service.errors import hide_paths, problem, say_invalid, status_at, status_of, title_of
from rsitr.service.guard import Guard, error_headers
from rsitr.service.keys import KeyRing, load_keys
from rsitr.service.logs import LOG
from rsitr.service.metrics import Metrics
from rsitr.service.page import Assets
from rsitr.service.settings import ServiceSettings
from rsitr.version import __version__

__all__ = ["create_app", "require_keys"]

DESCRIPTION = "Find places in satellite and aerial imagery by words or by example."

PLAIN = {
    404: "there is nothing at this address; /api/openapi.json describes all that there is",
    405: "this address does not answer to this method; /api/openapi.json describes all that there is",
}
"""Where the framework gives no more than the name of the status."""


def create_app(settings: ServiceSettings, *, index: Index | None = None, common: Path | None = None) -> FastAPI:
    """The service as an ASGI application.

    Args:
        settings: what it is told.
        index: an open index in place of `settings.index`, e.g. with a model of one's own.
        common: a folder that all processes of the service have in common, where there are several.

    Raises:
        ConfigError: it would be open to other machines without keys, the keys cannot be read, or Redis is to be
            used and its package is not installed.
        StoreError: the index is missing or damaged.
    """
    keys = require_keys(settings)
    opened = index or Index.open(settings.index, model=settings.model, device=settings.device, root=settings.root)
    metrics = Metrics()
    engine = Engine(settings, index=opened, metrics=metrics, common=common)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        engine.start()
        yield
        LOG.info("stopping")
        engine.close()
        await engine.common.close()

    app = FastAPI(
        title="rsitr",
        description=DESCRIPTION,
        version=__version__,
        license_info={"name": "Apache-2.0"},
        openapi_url="/api/openapi.json",
        docs_url=None,  # its page would load scripts from another host
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,  # an address is right or it is not there
    )
    app.state.engine = engine
    app.state.assets = Assets()
    for router in (
        *(routes.health, routes.searches, routes.pictures, routes.areas, routes.scenes, routes.tiles),
        *(routes.detectors, routes.saved, routes.finds, routes.reviews, routes.ogc, routes.stac, routes.pages),
    ):
        app.include_router(router)
    _handle_errors(app, engine)
    app.add_middleware(Guard, keys=keys, engine=engine)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "X-API-Key", "X-Request-ID"],
            expose_headers=["X-Request-ID", "Retry-After"],
        )
    if settings.trusted_proxies:  # the outermost: all others go by the client's own address
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(settings.trusted_proxies))
    return app


def require_keys(settings: ServiceSettings) -> KeyRing:
    """The keys of a service.

    Raises:
        ConfigError: it would be open to other machines without keys, or the keys cannot be read.
    """
    keys = load_keys(settings.keys_file, settings.keys)
    if not (settings.is_local or keys or settings.insecure):
        raise ConfigError(
            f"host {settings.host}: other machines could ask this service, and no key is set; make one with "
            "`rsitr serve --new-key read --keys FILE` and serve with --keys FILE, or say --insecure"
        )
    return keys


def _handle_errors(app: FastAPI, engine: Engine) -> None:
    def answer(request: Request, status: int, detail: str, title: str | None = None) -> Response:
        request_id = getattr(request.state, "request_id", "")
        path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
        status = status_at(path, status)
        body = problem(status, detail, request_id=request_id, title=title)
        return Response(body, status, headers=error_headers(status), media_type="application/json")

    async def known(request: Request, error: Exception) -> Response:
        status = status_of(error)
        if status >= 500:
            fields = {"request_id": getattr(request.state, "request_id", ""), "detail": str(error)}
            LOG.warning("not possible now", extra={"fields": fields})
        return answer(request, status, hide_paths(str(error), engine.index), title_of(error))

    async def missing(request: Request, error: Exception) -> Response:
        said = explain_missing(error)
        if said is None:
            raise error
        return answer(request, status_of(error), said, title_of(error))

    async def invalid(request: Request, error: Exception) -> Response:
        found = error.errors() if isinstance(error, RequestValidationError) else []
        return answer(request, 422, say_invalid(found))

    async def plain(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        status, said = error.status_code, str(error.detail)
        found = answer(request, status, PLAIN.get(status, said) if said == HTTPStatus(status).phrase else said)
        found.headers.update(error.headers or {})
        return found

    app.add_exception_handler(RsitrError, known)
    app.add_exception_handler(ModuleNotFoundError, missing)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, plain)
