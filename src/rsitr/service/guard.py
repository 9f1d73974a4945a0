"""What every request passes before a route sees it, and every answer on its way out."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rsitr.errors import RsitrError
from rsitr.service.engine import Engine
from rsitr.service.errors import (
    ForbiddenError,
    KeyRequiredError,
    RateError,
    TooLargeError,
    problem,
    status_of,
    title_of,
)
from rsitr.service.keys import Key, KeyRing
from rsitr.service.logs import LOG

__all__ = ["SECURITY_HEADERS", "UPLOAD_PATH", "Guard", "error_headers"]

UPLOAD_PATH = "/api/pictures"
AREA_PATH = "/api/areas"
EMBED_PATH = "/embed"
STATE_PATHS = frozenset({"/api/health", "/api/live", "/api/ready"})  # asked often, by machines: at any rate
OPEN_PATHS = frozenset({"/", EMBED_PATH, "/favicon.ico", "/api/openapi.json", *STATE_PATHS})
OPEN_PREFIX = "/static/"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
MULTIPART_BYTES = 4096  # what multipart adds around a picture
BODY_S = 60.0
RETRY_S = 1

# MapLibre's CSP build runs its worker from a file, and draws tiles and sprites from blobs. It needs no inline script
# and no inline style sheet.
CONTENT_SECURITY_POLICY = "; ".join(
    [
        *("default-src 'none'", "script-src 'self'", "worker-src 'self' blob:", "child-src blob:", "style-src 'self'"),
        *("img-src 'self' blob: data:", "connect-src 'self' blob:", "font-src 'self'", "manifest-src 'self'"),
        *("base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'"),
    ]
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def error_headers(status: int) -> dict[str, str]:
    """Headers that belong to an error's status."""
    if status == 401:
        return {"WWW-Authenticate": "Bearer"}
    return {"Retry-After": str(RETRY_S)} if status in {429, 503} else {}


class Guard:
    """Request ids, keys, rates, sizes, security headers, counters and the log of requests, as ASGI middleware."""

    def __init__(self, app: ASGIApp, *, keys: KeyRing, engine: Engine) -> None:
        settings = engine.settings
        self._app = app
        self._settings = settings
        self._keys = keys
        self._metrics = engine.metrics
        self._engine = engine
        self._headers = dict(SECURITY_HEADERS)
        origin = settings.background_origin
        if origin is not None:  # the one other site that the page may ask for pictures
            policy = SECURITY_HEADERS["Content-Security-Policy"]
            for kind in ("img-src 'self'", "connect-src 'self'"):
                policy = policy.replace(kind, f"{kind} {origin}")
            self._headers["Content-Security-Policy"] = policy
        self._embedded = {name: value for name, value in self._headers.items() if name != "X-Frame-Options"}
        self._embedded["Content-Security-Policy"] = self._headers["Content-Security-Policy"].replace(
            "frame-ancestors 'none'", f"frame-ancestors {' '.join(settings.embed_origins)}"
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_embedded = scope["path"] == EMBED_PATH and bool(self._settings.embed_origins)
        headers = self._embedded if is_embedded else self._headers
        exchange = _Exchange(
            scope,
            send,
            headers=headers,
            shared=bool(self._settings.cors_origins),
            ends=lambda: self._engine.is_draining,
        )
        # What answers to GET answers to HEAD; the server must go on knowing that it is one, and sends no body.
        served = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
        try:
            await self._admit(scope, exchange)
            await self._app(served, _bounded(receive, limit=self._limit(scope["path"])), exchange.send)
        except RsitrError as error:
            await exchange.fail(status_of(error), str(error), title=title_of(error))
        except Exception:
            LOG.exception("a fault of rsitr", extra={"fields": {"request_id": exchange.request_id}})
            await exchange.fail(500, "this is a fault of rsitr; its log tells more under this request id")
        finally:
            self._count(served, exchange, method=scope["method"])

    async def _admit(self, scope: Scope, exchange: _Exchange) -> None:
        """Raises an error whose status is the answer, unless the request may go on."""
        headers = Headers(scope=scope)
        self._check_host(headers)
        path = scope["path"]
        is_open = path in OPEN_PATHS or path.startswith(OPEN_PREFIX)
        key = None
        if self._keys and not is_open:
            key = self._find_key(headers)
        exchange.key = key
        if path not in STATE_PATHS and not path.startswith(OPEN_PREFIX):
            client = scope["client"][0] if scope.get("client") else "unknown"
            try:
                await self._engine.common.check_rate(key.sha256 if key else client)
            except RateError:
                self._metrics.refused.labels("rate").inc()
                raise
        self._check_origin(scope["method"], headers)
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:20]) > self._limit(path):
            raise _too_large(self._limit(path))
        state = scope.setdefault("state", {})
        state["can_write"] = self._can_write(key)
        state["key_name"] = key.short if key else None

    def _find_key(self, headers: Headers) -> Key:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        given = given.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        found = self._keys.find(given) if given else None
        if found is None:
            self._metrics.refused.labels("key").inc()
            raise KeyRequiredError(
                "this service wants a key: send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`"
                if not given
                else "this key is not known here"
            )
        return found

    def _can_write(self, key: Key | None) -> bool:
        return key.role == "write" if key else not self._keys and self._settings.is_local

    def _check_host(self, headers: Headers) -> None:
        allowed = self._settings.allowed_hosts
        if allowed and _host_name(headers.get("host", "")) not in allowed:
            raise ForbiddenError("this service does not answer to this name; RSITR_ALLOWED_HOSTS lists those it does")

    def _check_origin(self, method: str, headers: Headers) -> None:
        """Pages of other sites may not act in a person's name: browsers tell who asks."""
        origin = headers.get("origin")
        if method in SAFE_METHODS or origin is None or origin in self._settings.cors_origins:
            return
        if urlsplit(origin).netloc != headers.get("host", ""):
            raise ForbiddenError("pages of other sites may not do this; RSITR_CORS_ORIGINS lists those that may")

    def _limit(self, path: str) -> int:
        if path == UPLOAD_PATH:
            return self._settings.max_upload_bytes + MULTIPART_BYTES
        if path == AREA_PATH:
            return self._settings.max_area_bytes
        return self._settings.max_body_bytes

    def _count(self, scope: Scope, exchange: _Exchange, *, method: str) -> None:
        route = getattr(scope.get("route"), "path", "none")
        named = method if method in {"GET", "POST", "PATCH", "DELETE", "OPTIONS", "HEAD"} else "other"
        took_s = time.perf_counter() - exchange.begun
        self._metrics.requests.labels(named, route, str(exchange.status)).inc()
        self._metrics.seconds.labels(route).observe(took_s)
        fields: dict[str, Any] = {
            "request_id": exchange.request_id,
            "method": named,
            "path": scope["path"],
            "status": exchange.status,
            "took_ms": round(1e3 * took_s, 1),
            "client": scope["client"][0] if scope.get("client") else None,
        }
        if exchange.key is not None:
            fields["key"] = exchange.key.short
        LOG.info("request", extra={"fields": fields})


class _Exchange:
    """One request and its answer."""

    def __init__(
        self, scope: Scope, send: Send, *, headers: Mapping[str, str], shared: bool, ends: Callable[[], bool]
    ) -> None:
        given = Headers(scope=scope).get("x-request-id", "")
        self.request_id = given if REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = self.request_id
        self.begun = time.perf_counter()
        self.status = 0
        self.key: Key | None = None
        self._send = send
        self._headers = headers
        self._shared = shared
        self._ends = ends
        self._is_head = scope["method"] == "HEAD"

    async def send(self, message: Message) -> None:
        """Hand on a message of the answer, with the headers that all answers have."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-ID"] = self.request_id
            for name, value in self._headers.items():
                headers[name] = value
            if self._shared:
                headers["Cross-Origin-Resource-Policy"] = "cross-origin"
            headers.setdefault("Cache-Control", "no-store")
            if self._ends():  # asked now, not when the request came: the client is not to use this connection again
                headers["Connection"] = "close"
        elif self._is_head and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await self._send(message)

    async def fail(self, status: int, detail: str, *, title: str | None = None) -> None:
        """Answer with an error, unless an answer has begun already."""
        if self.status:
            return
        body = problem(status, detail, request_id=self.request_id, title=title)
        headers = {"content-type": "application/json", "content-length": str(len(body)), **error_headers(status)}
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": status, "headers": raw})
        await self.send({"type": "http.response.body", "body": body})


def _bounded(receive: Receive, *, limit: int) -> Receive:
    """A body that ends in an error when it grows too large, or takes too long to come."""
    seen, done = 0, False
    deadline = time.monotonic() + BODY_S

    async def bounded() -> Message:
        nonlocal seen, done
        if done:
            return await receive()
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408, f"the request did not arrive within {BODY_S:g} s") from None
        seen += len(message.get("body", b""))
        done = not message.get("more_body", False)
        if seen > limit:
            # FastAPI hands on this kind of exception alone while it reads a body.
            raise HTTPException(413, str(_too_large(limit)))
        return message

    return bounded


def _too_large(limit: int) -> TooLargeError:
    return TooLargeError(f"what was sent is larger than {limit:,} bytes")


def _host_name(host: str) -> str:
    """The name in a Host header, without its port."""
    return host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0].lower()
