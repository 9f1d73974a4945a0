"""`rsitr serve`: an HTTP service with a web page, on which a person finds places in an index."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from rsitr.cli.demo import shown_progress
from rsitr.cli.naming import find_place, say
from rsitr.errors import ConfigError, RsitrError
from rsitr.files import user_folder

if TYPE_CHECKING:
    from rsitr.service import ServiceSettings

__all__ = ["build_demo", "demo_folder", "listen", "run_serve", "serve"]

BACKLOG = 2048


def serve(
    context: typer.Context,
    index: Path | None = typer.Argument(
        None, metavar="[INDEX]", help="Folder of the index, or its address.", show_default=False, parser=find_place
    ),
    *,
    demo: bool = typer.Option(False, "--demo", help="Serve the index of a drawn scene, which is made if needed."),
    demo_dir: Path | None = typer.Option(None, metavar="DIR", help="Where the demo is kept. [default: a cache folder]"),
    host: str | None = typer.Option(None, metavar="ADDRESS", help="Where to listen. [default: 127.0.0.1]"),
    port: int | None = typer.Option(None, metavar="N", help="Port; 0: any free one. [default: 8000]"),
    keys: Path | None = typer.Option(None, metavar="FILE", help="File of hashed API keys; only who has one may ask."),
    new_key: str | None = typer.Option(
        None, metavar="ROLE", help="Make a key for read or write, add its hash to --keys, print it, and stop."
    ),
    insecure: bool | None = typer.Option(
        None, "--insecure", help="Listen to other machines without keys.", show_default=False
    ),
    cors: str | None = typer.Option(None, metavar="ORIGINS", help="Sites whose pages may ask, with commas. None else."),
    embed: str | None = typer.Option(
        None, metavar="ORIGINS", help="Sites whose pages may show this one, at /embed, with commas. None else."
    ),
    processes: int | None = typer.Option(
        None, metavar="N", help="Processes that serve, each with its own model in memory. [default: 1]"
    ),
    workers: int | None = typer.Option(
        None, metavar="N", help="Searches at a time in each. [default: its share of the cores]"
    ),
    rate: float | None = typer.Option(None, metavar="N", help="Requests a second per client; 0: any. [default: 50]"),
    background: str | None = typer.Option(
        None, metavar="URL", help="Map tiles under the scenes, as https://host/{z}/{x}/{y}.png; none unless given."
    ),
    root: Path | None = typer.Option(None, metavar="DIR", help="Where the scenes lie now, if they have moved."),
    model: str | None = typer.Option(None, metavar="MODEL", help="Where the index's model is now."),
    device: str | None = typer.Option(None, metavar="DEVICE", help="Where the model runs, e.g. cpu or cuda."),
) -> None:
    """Serve an index over HTTP, with a page to search it on: open the address that is printed in a browser.

    Every flag is also a variable of the environment, RSITR_HOST, RSITR_PORT, RSITR_KEYS_FILE and so on; the guide on
    serving lists them all. Listens to this machine alone unless told otherwise. Ctrl-C ends it. Of several processes
    one that dies is started again, and SIGHUP renews them one after the other, without losing a request.
    """
    # Searches run beside each other, one to a core: threads inside one would only wait for those inside another. numpy
    # and torch read this when they are imported, which is later.
    os.environ.setdefault("OMP_NUM_THREADS", _threads(processes, workers))
    status = run_serve(
        index, demo=demo, demo_dir=demo_dir, new_key=new_key, keys_file=keys, host=host, port=port, insecure=insecure,
        cors_origins=cors, embed_origins=embed, processes=processes, workers=workers, rate_per_s=rate,
        background_url=background, root=root, model=model, device=device, imports=context.obj or (),
    )  # fmt: skip
    raise typer.Exit(status)


def _threads(processes: int | None, workers: int | None) -> str:
    """For the arithmetic of one search."""
    return str(max(1, (os.cpu_count() or 1) // ((processes or 1) * workers))) if workers else "1"


def run_serve(
    index: Path | None = None,
    *,
    demo: bool = False,
    demo_dir: Path | None = None,
    new_key: str | None = None,
    imports: Sequence[str] = (),
    **given: Any,
) -> int:
    """What the command does; returns its exit status.

    Args:
        index: its folder.
        demo: serve that of the demo.
        demo_dir: where the demo is kept.
        new_key: make a key for this role instead.
        imports: modules that were imported, for processes of their own.
        given: fields of `ServiceSettings`.
    """
    if new_key is not None:
        return _make_key(new_key, given.get("keys_file"))
    if demo and index is not None:
        raise ConfigError("serve an index, or --demo; not both")
    from rsitr.service import create_app, load_settings, require_keys, run_processes, set_up_logging

    if demo:
        from rsitr.demo import QUERIES

        index = build_demo(demo_dir or demo_folder(), device=given.get("device"))
        given["suggestions"] = tuple(query.text for query in QUERIES if query.text)
    if index is None and "RSITR_INDEX" not in os.environ:
        raise ConfigError("name an index to serve: `rsitr serve INDEX`, or see a drawn one with `rsitr serve --demo`")
    settings = load_settings(index=index, **given)
    if settings.is_local and not settings.allowed_hosts:
        settings = settings.model_copy(update={"allowed_hosts": ("127.0.0.1", "localhost", "[::1]")})
    set_up_logging(settings.log_level)
    require_keys(settings)
    with ExitStack() as closing:
        listening = listen(settings.host, settings.port)  # before the index is opened, which takes a while
        for each in listening:
            closing.enter_context(each)
        where = f"{say(settings.index)} on {_address(settings.host, listening[0])}"
        if settings.processes > 1:
            sys.stderr.write(f"rsitr serves {where} with {settings.processes} processes\n")
            return run_processes(settings, listening, imports=imports)
        app = create_app(settings)
        sys.stderr.write(f"rsitr serves {where}\n")
        _run(app, settings, listening)
    return 0


def listen(host: str, port: int) -> list[socket.socket]:
    """Sockets that listen at every address of a host.

    Args:
        host: a name or an address.
        port: 0 takes any free one, the same for all.

    Raises:
        ConfigError: it is in use, or not to be had.
    """
    opened: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, _, _, _, address in dict.fromkeys(found):
            # Named as TCP, or asyncio leaves the system to wait 40 ms for more before the end of an answer is sent.
            one = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            opened.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind((address[0], port or opened[0].getsockname()[1], *address[2:]))
            one.listen(BACKLOG)
    except OSError as error:
        for one in opened:
            one.close()
        raise ConfigError(f"cannot listen on {host}, port {port}: {_reason(error)}") from error
    return opened


def _reason(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "it is in use, perhaps by another rsitr serve; choose another --port, or --port 0 for any free one"
    if error.errno == errno.EACCES:
        return "ports below 1024 are for the system; choose another --port"
    return f"{error.strerror or error}; choose another --host"


def _address(host: str, listening: socket.socket) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listening.getsockname()[1]}"


def demo_folder() -> Path:
    """Where the demo is kept between starts, as the XDG rules say."""
    from rsitr.version import __version__

    return user_folder("cache") / f"demo-{__version__}"


def build_demo(folder: Path, *, device: str | None = None, size_px: int = 3072) -> Path:
    """The index of the drawn scene; made when it is not there, or when the default model is another one now."""
    from rsitr.defaults import DEFAULT_MODEL
    from rsitr.demo import explore
    from rsitr.models.zoo import load_encoder
    from rsitr.search import Index

    encoder = load_encoder(DEFAULT_MODEL, device=device)
    path = folder / "index"
    try:
        if len(Index.open(path, encoder=encoder)) and (folder / "scene.tif").is_file():
            return path
    except RsitrError:
        pass  # none yet, one that was interrupted, or one of another model
    sys.stderr.write(f"drawing and indexing a scene in {folder}; this takes a minute, once\n")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be made ({error.strerror or error}); choose another --demo-dir") from error
    with shown_progress() as show:
        explore(folder=folder, seed=0, encoder=encoder, size_px=size_px, progress=show)
    return path


def _make_key(role: str, file: Path | None) -> int:
    from rsitr.service import add_key

    if file is None:
        raise ConfigError("name the file that keeps the keys: --keys FILE")
    key = add_key(role, file)
    sys.stderr.write(f"a key for {role}; only its hash is kept, in {file}, so this is the one time it is shown\n")
    sys.stdout.write(f"{key}\n")
    return 0


def _run(app: Any, settings: ServiceSettings, listening: list[socket.socket]) -> None:
    """Serve until a signal comes; what is under way is finished, and that is status 0."""
    from rsitr.service.server import Server, end_process, ignore_raised_again

    ignore_raised_again()
    Server(app).run(sockets=listening)
    end_process()
