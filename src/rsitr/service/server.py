"""The server of an application: it answers until it is told to stop, and then ends without losing a request."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import uvicorn

from rsitr.service.engine import WARMING, Engine

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["BACKLOG", "Server", "end_process", "ignore_raised_again"]

KEEP_ALIVE_S = 75
BACKLOG = 2048
"""Connections that the system keeps for the service until it takes them."""
LINGER_S = 5.0
"""A process that another takes the place of waits so long for its idle clients to ask once more, and come off."""
TICK_S = 0.05


class Server(uvicorn.Server):
    """Serves an application on sockets that listen already, which other processes may serve as well.

    Told to stop, it first answers for `drain_s` seconds as before, while `/api/ready` says 503 and every answer ends
    its connection, so that load balancers look elsewhere. Then it takes no new connections, and finishes what is under
    way. Told to hand over (`retire`), it waits between the two for its clients to come off by themselves: a connection
    that is closed while idle may just be used for a request, which would be lost.
    """

    def __init__(self, app: FastAPI, *, at_once: bool = True, settled: Callable[[bool], None] | None = None) -> None:
        """Make a server.

        Args:
            app: made by `create_app`.
            at_once: take connections while the model is still being loaded; else leave them to others until then.
            settled: of one of several on the same sockets: told once, when searches are answered (True), or never will
                be, as the model cannot be loaded.
        """
        self._engine: Engine = app.state.engine
        self._at_once = at_once
        self._settled = settled
        self._hands_over = False
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # the app's own affair, which heeds only proxies that it was told of
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=self._engine.settings.shutdown_s,
                h11_max_incomplete_event_size=64 * 1024,
                backlog=BACKLOG if settled is None else 1,
            )
        )

    def retire(self) -> None:
        """Stop, as another process serves the same sockets from now on."""
        self._hands_over = True
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve."""
        if not self._at_once:
            self._engine.start()
            while self._engine.status == "warming" and not self.should_exit:
                await asyncio.sleep(TICK_S)
            if self.should_exit:
                return
        await super().startup(sockets)
        if self._settled is not None:
            # One connection at a time, as the server was told to take them (`backlog`), leaves the next to the others;
            # the system is to go on keeping many.
            for one in sockets or []:
                one.listen(BACKLOG)
            self._watching = asyncio.get_running_loop().create_task(self._watch(self._settled))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End; what is under way is finished."""
        self._engine.is_draining = True
        await self._wait(0.0 if self._hands_over else self._engine.settings.drain_s, while_connected=False)
        if self._hands_over:
            await self._take_no_more()
            await self._wait(LINGER_S, while_connected=True)
        await super().shutdown(sockets)

    async def _take_no_more(self) -> None:
        """Stop taking connections; what was taken just now becomes one before its server is closed."""
        loop = asyncio.get_running_loop()
        for server in self.servers:
            for one in server.sockets:
                loop.remove_reader(one.fileno())
        await asyncio.sleep(TICK_S)
        for server in self.servers:
            server.close()

    async def _wait(self, seconds: float, *, while_connected: bool) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.force_exit:
            if while_connected and not self.server_state.connections:
                return
            await asyncio.sleep(TICK_S)

    async def _watch(self, settled: Callable[[bool], None]) -> None:
        while self._engine.status == "warming":
            await asyncio.sleep(TICK_S)
        settled(self._engine.status == "ready")


def ignore_raised_again(numbers: Sequence[int] = (signal.SIGINT, signal.SIGTERM)) -> None:
    """Let a process end by itself when its server is done, which then raises again the signals that it has caught."""
    if threading.current_thread() is threading.main_thread():
        for number in numbers:
            signal.signal(number, lambda *_: None)


def end_process() -> None:
    """End at once where the model is still being loaded: libraries abort when the interpreter goes from under them."""
    if any(thread.name == WARMING and thread.is_alive() for thread in threading.enumerate()):
        sys.stderr.flush()
        os._exit(0)
