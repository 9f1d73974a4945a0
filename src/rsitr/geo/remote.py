"""What servers say of the files that they hold: over HTTP, and in buckets."""

from __future__ import annotations

import email.utils
import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from rsitr.buckets import TIMEOUT_S, open_bucket
from rsitr.geo.files import FileState

__all__ = ["ask", "gives_parts", "stat_remote"]

REFUSED_TO_HEAD = frozenset({400, 401, 403, 405, 501})
LARGEST = 2**63 - 1  # what an index can record


def stat_remote(url: str) -> FileState:
    """The state of a file on a server.

    Raises:
        OSError: there is no such file, its server does not answer, or what it answers makes no sense.
    """
    try:
        found = _stat_s3(url) if url.startswith("s3://") else _stat_http(url)
    except (http.client.HTTPException, ValueError, OverflowError) as error:
        raise OSError(f"its address or its server's answer makes no sense ({error})") from error
    if not (0 <= found[0] <= LARGEST and abs(found[1]) <= LARGEST):
        raise OSError(
            f"its server's answer makes no sense: {found[0]} bytes, changed {found[1] / 1e9:.0f} s after 1970"
        )
    return found


def gives_parts(url: str) -> bool:
    """Whether a server hands out parts of a file, as reading windows of it needs; yes, where that cannot be found out.

    A server that does not know of Range answers with the whole file: its status says so, and the rest is not read.
    """
    try:
        with ask(url, Range="bytes=0-0") as answer:
            return bool(answer.status != 200)
    except (OSError, http.client.HTTPException, ValueError):
        return True


def ask(url: str, *, method: str = "GET", **headers: str) -> Any:
    """An HTTP response, to be closed. Raises OSError (URLError, HTTPError), HTTPException or ValueError."""
    return urllib.request.urlopen(urllib.request.Request(url, method=method, headers=headers), timeout=TIMEOUT_S)


def _head(url: str) -> Mapping[str, str]:
    """The headers of a file; addresses that are signed for GET are refused to HEAD, so one byte is asked for then."""
    try:
        with ask(url, method="HEAD") as answer:
            headers: Mapping[str, str] = answer.headers
            return headers
    except urllib.error.HTTPError as error:
        if error.code not in REFUSED_TO_HEAD:
            raise
    with ask(url, Range="bytes=0-0") as answer:
        found = dict(answer.headers)
        whole = found.get("Content-Range", "").rpartition("/")[2]
        return {**found, "Content-Length": whole} if whole.isdigit() else found


def _stat_http(url: str) -> FileState:
    try:
        headers = _head(url)
    except urllib.error.HTTPError as error:
        raise OSError(f"its server answers {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise OSError(f"its server cannot be reached ({error.reason})") from error
    changed = headers.get("Last-Modified")
    if changed:
        changed_ns = int(email.utils.parsedate_to_datetime(changed).timestamp()) * 1_000_000_000
    else:
        # Any number will do that is another one when the file is another one.
        changed_ns = int.from_bytes(hashlib.sha256((headers.get("ETag") or "").encode()).digest()[:7])
    return int(headers.get("Content-Length") or 0), changed_ns


def _stat_s3(url: str) -> FileState:
    from pyarrow import fs

    (info,) = open_bucket().get_file_info([url.removeprefix("s3://")])
    if info.type != fs.FileType.File:
        raise FileNotFoundError("there is no such object in the bucket")
    return int(info.size), int(info.mtime_ns or 0)
