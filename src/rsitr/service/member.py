"""One process of a service of several: `python -m rsitr.service.member`, which a supervisor runs and speaks to."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from rsitr.errors import RsitrError
from rsitr.registry import import_named
from rsitr.service.app import create_app
from rsitr.service.logs import set_up_logging
from rsitr.service.server import Server, end_process
from rsitr.service.settings import ServiceSettings
from rsitr.service.supervisor import FAILED, READY, RETIRE

__all__ = ["main"]


def main() -> None:
    """Read the task from standard input, and do it until the supervisor or a signal says that it is enough."""
    told = io.FileIO(0)  # without the lock of sys.stdin, which a thread that waits for a line would hold at the end
    task = json.loads(told.readline())
    for fd in (task["status"], *task["sockets"]):
        os.set_inheritable(fd, False)  # not for the processes that read areas
    settings = ServiceSettings.model_validate(task["settings"])
    set_up_logging(settings.log_level, process=task["number"])
    try:
        for module in task["imports"]:
            import_named(module)
        _serve(settings, task, told)
    except RsitrError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)


def _serve(settings: ServiceSettings, task: Mapping[str, Any], told: io.FileIO) -> None:
    common = Path(task["common"])
    running: list[Server] = []
    stopped = threading.Event()

    def stop(*_: object) -> None:
        stopped.set()
        for server in running:
            server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):  # until the server has handlers of its own, and when it is done
        signal.signal(number, stop)

    def settled(is_ready: bool) -> None:
        with suppress(OSError):
            os.write(task["status"], READY if is_ready else FAILED)

    server = Server(create_app(settings, common=common), at_once=task["at_once"], settled=settled)
    running.append(server)
    if stopped.is_set():
        return

    def heed() -> None:
        while line := told.readline():
            if line == RETIRE:
                server.retire()
        if not server.should_exit:  # the supervisor is gone, and nobody else will tidy up
            server.should_exit = True
            shutil.rmtree(common, ignore_errors=True)

    threading.Thread(target=heed, name="rsitr-supervised", daemon=True).start()
    server.run(sockets=[socket.socket(fileno=fd) for fd in task["sockets"]])
    end_process()


if __name__ == "__main__":
    main()
