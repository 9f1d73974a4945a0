"""The page of an index inside a notebook: a service of its own in this process, which only this machine reaches."""

from __future__ import annotations

import html
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from rsitr.errors import ConfigError
from rsitr.search import Index
from rsitr.service.app import create_app
from rsitr.service.settings import ServiceSettings

__all__ = ["NOTEBOOKS", "Explorer", "explore"]

NOTEBOOKS = (
    *(f"{scheme}://{host}:*" for scheme in ("http", "https") for host in ("localhost", "127.0.0.1")),
    "vscode-webview:",
)
"""Where notebooks of this machine are shown: their pages may show this one in them."""
HEIGHT_PX = 720
START_S = 60.0

_running: dict[Path, Explorer] = {}
_starting = threading.Lock()


class Explorer:
    """The page of an index; in a notebook it shows itself. Made by `explore`.

    Attributes:
        url: of the page, for a browser on this machine.
    """

    def __init__(self, index: Index) -> None:
        import uvicorn

        listening = socket.socket(proto=socket.IPPROTO_TCP)  # or answers end 40 ms late, as in `rsitr serve`
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        self.port: int = listening.getsockname()[1]
        settings = ServiceSettings(
            index=index.path,
            root=index.root,
            port=self.port,
            allowed_hosts=("127.0.0.1", "localhost"),
            rate_per_s=0,
            embed_origins=NOTEBOOKS,
            log_level="warning",
        )
        config = uvicorn.Config(create_app(settings, index=index), log_config=None, access_log=False)
        self._server = uvicorn.Server(config)
        run = {"sockets": [listening]}
        self._thread = threading.Thread(target=self._server.run, kwargs=run, name="rsitr-explore", daemon=True)
        self._thread.start()
        end = time.monotonic() + START_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > end:
                raise ConfigError(f"{index.path}: the page cannot be served on this machine")
            time.sleep(0.01)
        self._fragment = ""
        self._height_px = HEIGHT_PX

    @property
    def is_running(self) -> bool:
        """Whether it is being served."""
        return self._thread.is_alive() and not self._server.should_exit

    @property
    def url(self) -> str:
        """Of the page as a tab of its own."""
        return f"http://127.0.0.1:{self.port}/{self._fragment}"

    def show(self, asked: Sequence[tuple[str, str]], *, height_px: int) -> Explorer:
        """What the page begins with."""
        self._fragment = f"#{urlencode(asked)}" if asked else ""
        self._height_px = height_px
        return self

    def _repr_html_(self) -> str:
        address = html.escape(f"http://127.0.0.1:{self.port}/embed{self._fragment}")
        return (
            f'<iframe src="{address}" width="100%" height="{self._height_px}" style="border:0" '
            'allow="clipboard-write" title="rsitr: search imagery"></iframe>'
        )

    def __repr__(self) -> str:
        return f"<rsitr on {self.url}>" if self.is_running else "<rsitr, closed>"

    def close(self) -> None:
        """Stop serving; the page then says that the service is gone."""
        self._server.should_exit = True
        self._thread.join(timeout=30.0)

    def __enter__(self) -> Explorer:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def explore(
    index: Index | str | Path,
    text: str | None = None,
    *,
    like: str | Sequence[str] = (),
    height_px: int = HEIGHT_PX,
) -> Explorer:
    """Show an index's page in a notebook, or serve it for a browser on this machine (`Explorer.url`).

    It searches, marks, reviews and saves as `rsitr serve` does, with the index and model of this process. An index is
    served once however often it is asked for, until `Explorer.close` or the end of the process.

    Args:
        index: open, or its folder.
        text: what to begin with, in words.
        like: or the ids of tiles that are examples.
        height_px: of the page in the notebook.

    Raises:
        ConfigError: it cannot be served on this machine.
        StoreError: the index is missing or damaged.
    """
    opened = index if isinstance(index, Index) else Index.open(index)
    asked = [("q", text)] if text else []
    asked += [("like", tile) for tile in ([like] if isinstance(like, str) else like)]
    place = opened.path.resolve()
    with _starting:
        found = _running.get(place)
        if found is None or not found.is_running:
            found = _running[place] = Explorer(opened)
    return found.show(asked, height_px=height_px)
