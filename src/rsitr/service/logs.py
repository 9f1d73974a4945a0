"""Logs as a line of JSON each, so that programs can read them too."""

from __future__ import annotations

import datetime
import json
import logging
import sys
import traceback

__all__ = ["LOG", "JsonFormatter", "set_up_logging"]

LOG = logging.getLogger("rsitr.service")


class JsonFormatter(logging.Formatter):
    """A record as one line; what is passed as `extra={"fields": {...}}` stands beside the message."""

    def __init__(self, *, process: int | None = None) -> None:
        """Of which process of a service of several it tells, if it is one."""
        super().__init__()
        self._about = {} if process is None else {"process": process}

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        when = datetime.datetime.fromtimestamp(record.created, tz=datetime.UTC)
        line = {
            "time": when.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **self._about,
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        return json.dumps(line, default=str)


def set_up_logging(level: str, *, process: int | None = None) -> None:
    """Send the service's and the server's records to standard error; of several processes each tells its number."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(process=process))
    for name in ("rsitr.service", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(level.upper())
    # It warns of every broken form at length, and broken forms are answered 400 and logged as such.
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
