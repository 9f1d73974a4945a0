"""What all that serves one index has in common: uploaded pictures, and the rates of clients."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

from rsitr.errors import MissingError
from rsitr.service.admission import RateLimit, too_often
from rsitr.service.remote import AwayError, connect
from rsitr.service.settings import ServiceSettings
from rsitr.service.uploads import PictureFolder, PictureStore, name_picture, pack_picture, unpack_picture
from rsitr.types import ImageArray

__all__ = ["Common", "Kept"]

Result = TypeVar("Result")

Kept = Literal["memory", "folder", "redis", "redis is gone"]
"""Where it is kept: of this process alone, of the processes of this service, or of several hosts."""


class Common:
    """Pictures and rates, in the widest place that there is; for one event loop.

    With a Redis, all services that use the same have them in common. Where it is gone, and without one, the processes
    of this service have pictures in common, in a folder, and each admits its share of the rate.
    """

    def __init__(self, settings: ServiceSettings, *, folder: Path | None = None) -> None:
        """Prepare.

        Args:
            settings: of the service.
            folder: that its processes have in common, where there are several.

        Raises:
            ConfigError: there is to be a Redis, and its package is not installed.
        """
        self._settings = settings
        self._here = _make_store(settings, folder)
        n = settings.processes
        self._rates = RateLimit(per_s=settings.rate_per_s / n, burst=max(1, math.ceil(settings.rate_burst / n)))
        self._remote = connect(settings.redis_url, prefix=settings.redis_prefix) if settings.redis_url else None

    async def where(self) -> Kept:
        """Where it is kept now."""
        if self._remote is not None:
            return "redis" if await self._remote.look() else "redis is gone"
        return "memory" if isinstance(self._here, PictureStore) else "folder"

    async def check_rate(self, client: str) -> None:
        """Let a client make a request.

        Raises:
            RateError: it makes too many.
        """
        settings = self._settings
        if settings.rate_per_s <= 0:
            return
        if self._remote is not None:
            try:
                wait_s = await self._remote.take(client, per_s=settings.rate_per_s, burst=settings.rate_burst)
            except AwayError:
                pass
            else:
                if wait_s > 0:
                    raise too_often(settings.rate_per_s, wait_s=wait_s)
                return
        self._rates.check(client)

    async def keep_picture(self, image: ImageArray) -> str:
        """Keep a picture for a while; gives its id.

        Raises:
            StoreError: the disk refuses.
        """
        name = name_picture()
        if self._remote is not None:
            try:
                await self._remote.keep(
                    name,
                    pack_picture(image),
                    expiry_s=self._settings.picture_expiry_s,
                    limit=self._settings.max_pictures,
                    most_bytes=self._settings.picture_bytes,
                )
            except AwayError:
                pass
            else:
                return name
        await self._do(lambda: self._here.put(image, name=name))
        return name

    async def find_pictures(self, names: Sequence[str]) -> dict[str, ImageArray]:
        """Those of some pictures that there are, by their ids."""
        found = {}
        for name in dict.fromkeys(names):
            content = None
            if self._remote is not None:
                try:
                    content = await self._remote.find(name)
                except AwayError:
                    content = None
            if content is not None:
                found[name] = unpack_picture(content)
                continue
            try:  # also beside a Redis: what was kept while it was gone is still here
                found[name] = await self._do(partial(self._here.get, name))
            except MissingError:
                continue
        return found

    async def _do(self, action: Callable[[], Result]) -> Result:
        """Files are not written and read in the event loop."""
        return action() if isinstance(self._here, PictureStore) else await asyncio.to_thread(action)

    async def close(self) -> None:
        """Close what is open."""
        if self._remote is not None:
            await self._remote.close()


def _make_store(settings: ServiceSettings, folder: Path | None) -> PictureStore | PictureFolder:
    limit, expiry_s, most_bytes = settings.max_pictures, settings.picture_expiry_s, settings.picture_bytes
    if folder is None:
        return PictureStore(limit=limit, expiry_s=expiry_s, most_bytes=most_bytes)
    return PictureFolder(folder / "pictures", limit=limit, expiry_s=expiry_s, most_bytes=most_bytes)
