"""What a service can be told: by flags, or by variables of the environment that begin with `RSITR_`."""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from rsitr.errors import ConfigError
from rsitr.index.address import find_index

__all__ = ["ServiceSettings", "load_settings"]

Listed = Annotated[tuple[str, ...], NoDecode]
"""In the environment, a list with commas."""

MIB = 2**20
ORIGIN = re.compile(r"https?://[A-Za-z0-9*.-]+(:(\d{1,5}|\*))?|vscode-webview:")
"""A site as the policy of a page names it; whatever else could say more there than which site is meant."""


class ServiceSettings(BaseSettings):
    """Settings of one service.

    Attributes:
        index: folder of the index, or its address; kept as the folder that is its home.
        root: where its scenes lie, if that is not where the index expects them.
        model: where its model is, if the recorded name no longer leads to it.
        device: where the model runs.
        host: address to listen at; any but this machine's own wants keys, or `insecure`.
        port: likewise.
        insecure: listen to other machines without keys; then nobody may write.
        keys_file: file of hashed API keys, as `rsitr serve --new-key` writes it; without keys, none is asked for.
        keys: hashed keys beside those of the file, `ROLE:SHA256` with commas.
        cors_origins: web sites whose pages may ask this service; none unless set.
        embed_origins: web sites whose pages may show this one, at `/embed`; none unless set.
        allowed_hosts: names that this service answers to; empty: any. Keeps pages of others from reaching a service
            on this machine under a name of their own (DNS rebinding).
        trusted_proxies: addresses or networks of reverse proxies, whose X-Forwarded-For names the client that counts
            for the rate; nobody else's is heeded.
        processes: that serve, each with a model and an index of its own in memory; more than one are supervised.
        workers: searches that run at the same time, in each process; unless it is set, the processes share the cores.
        queue_size: searches that may wait or run; more are answered 503.
        encode_batch: texts that are encoded at once.
        rate_per_s: requests per second that one client may make in the long run; 0: any number. Without Redis, each
            process admits its share of it.
        rate_burst: requests that it may make at once.
        max_k: hits at most.
        max_candidates: tiles that later stages of ranking look at, at most.
        max_budget_s: seconds for the stages after the first, at most.
        max_body_bytes: of a request that is no picture.
        max_area_bytes: of an area that is sent as a file.
        max_upload_bytes: of a picture.
        max_upload_px: pixels of a picture.
        max_pictures: uploaded pictures that are kept.
        picture_bytes: memory for them, reduced as they are kept.
        picture_expiry_s: how long they are kept.
        cache_bytes: memory for rendered pictures of tiles and scenes.
        drain_s: told to stop, the service first answers for so long as before, while `/api/ready` says 503: as long as
            a load balancer needs to see that.
        shutdown_s: what is under way may take so long when the service is told to stop.
        redis_url: of a Redis that several hosts have in common, `redis://HOST:6379/0`: uploaded pictures and rates are
            kept there.
        redis_prefix: what all names there begin with; of services of their own, each has another.
        background_url: address of map tiles to lie under the scenes on the page, with {z}, {x} and {y} in it; where it
            is set, this is the one other host that the page may ask.
        background_credit: whom the page names for them.
        suggestions: searches that the page offers to begin with, as far as the index has answers to them.
        log_level: what is logged.
    """

    model_config = SettingsConfigDict(env_prefix="RSITR_", frozen=True, extra="ignore")

    index: Annotated[Path, BeforeValidator(find_index)]
    root: Path | None = None
    model: str | None = None
    device: str | None = None
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    insecure: bool = False
    keys_file: Path | None = None
    keys: Listed = ()
    cors_origins: Listed = ()
    embed_origins: Listed = ()
    allowed_hosts: Listed = ()
    trusted_proxies: Listed = ()
    processes: int = Field(default=1, ge=1, le=64)
    workers: int = Field(default_factory=lambda: max(1, os.cpu_count() or 1), ge=1, le=256)
    queue_size: int = Field(default=128, ge=1)
    encode_batch: int = Field(default=64, ge=1)
    rate_per_s: float = Field(default=50.0, ge=0, allow_inf_nan=False)
    rate_burst: int = Field(default=200, ge=1)
    max_k: int = Field(default=200, ge=1)
    max_candidates: int = Field(default=1000, ge=1)
    max_budget_s: float = Field(default=10.0, gt=0, allow_inf_nan=False)
    max_body_bytes: int = Field(default=MIB, ge=1024)
    max_area_bytes: int = Field(default=8 * MIB, ge=1024)
    max_upload_bytes: int = Field(default=16 * MIB, ge=1024)
    max_upload_px: int = Field(default=40_000_000, ge=1024)
    max_pictures: int = Field(default=128, ge=1)
    picture_bytes: int = Field(default=128 * MIB, ge=16 * MIB)
    picture_expiry_s: float = Field(default=3600.0, gt=0, allow_inf_nan=False)
    cache_bytes: int = Field(default=64 * MIB, ge=0)
    drain_s: float = Field(default=0.0, ge=0, le=3600)
    shutdown_s: int = Field(default=10, ge=0)
    redis_url: str | None = Field(default=None, repr=False)  # it may hold a password
    redis_prefix: str = Field(default="rsitr:", min_length=1, max_length=64)
    background_url: str | None = None
    background_credit: str = Field(default="", max_length=200)
    suggestions: Listed = (
        "a river with a bridge",
        "many boats in a harbour",
        "storage tanks",
        "a dense residential area",
        "farmland",
        "a parking lot with many cars",
    )
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator(
        "keys", "cors_origins", "embed_origins", "allowed_hosts", "trusted_proxies", "suggestions", mode="before"
    )
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ipaddress.ip_network(network)
        return value

    @field_validator("embed_origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if not ORIGIN.fullmatch(origin):
                raise ValueError(f"sites are like https://maps.example.org, not {origin!r}")
        return value

    @field_validator("redis_url")
    @classmethod
    def _is_redis(cls, value: str | None) -> str | None:
        if not value or not value.strip():
            return None
        if urlsplit(value).scheme not in {"redis", "rediss", "unix"}:
            raise ValueError("must be like redis://host:6379/0, rediss://host:6379/0 or unix:///run/redis.sock")
        return value

    @field_validator("background_url")
    @classmethod
    def _are_tiles(cls, value: str | None) -> str | None:
        if value is None or not value.strip():
            return None
        parts = urlsplit(value.strip())
        known = parts.scheme in {"http", "https"} and re.fullmatch(r"[A-Za-z0-9.:\[\]-]+", parts.netloc)
        if not known or not all(f"{{{name}}}" in value for name in "zxy"):
            raise ValueError("must be like https://host/{z}/{x}/{y}.png, with {z}, {x} and {y} in its path")
        return value.strip()

    @property
    def background_origin(self) -> str | None:
        """The site that the background's tiles come from."""
        if self.background_url is None:
            return None
        parts = urlsplit(self.background_url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the service."""
        return self.host in {"127.0.0.1", "localhost", "::1"}

    def share(self) -> ServiceSettings:
        """What each of its processes is told: unless set, `workers` is its share of the cores."""
        if self.processes == 1 or "workers" in self.model_fields_set:
            return self
        return self.model_copy(update={"workers": max(1, (os.cpu_count() or 1) // self.processes)})


def load_settings(**given: Any) -> ServiceSettings:
    """Settings from what is given (None: not given) and, for the rest, from the environment.

    Raises:
        ConfigError: one is missing or impossible.
    """
    try:
        return ServiceSettings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "settings"
        raise ConfigError(
            f"{name}: {first['msg'].lower()} (the flag --{name.replace('_', '-')}, or RSITR_{name.upper()} in the "
            "environment)"
        ) from error
