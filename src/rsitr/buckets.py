"""Buckets of objects (S3 and what speaks like it), found by the variables that GDAL and others read."""

from __future__ import annotations

import os
import re
from typing import Any

__all__ = ["TIMEOUT_S", "explain_bucket", "find_endpoint", "open_bucket"]

TIMEOUT_S = 60.0
ENDPOINTS = ("AWS_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
REASONS = {
    r"NO_?SUCH_?BUCKET": "there is no such bucket: make it first, or check AWS_ENDPOINT_URL and AWS_REGION",
    r"INVALID_?ACCESS_?KEY|SIGNATURE_?DOES_?NOT_?MATCH|ACCESS_?DENIED|FORBIDDEN|\b403\b|(INVALID|EXPIRED)_?TOKEN": (
        "the bucket refuses who asks: check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY (or AWS_PROFILE), and what they "
        "may do there"
    ),
    r"NO_?CREDENTIALS|UNABLE TO LOCATE CREDENTIALS|NOCREDENTIALS": (
        "no credentials are set: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
    ),
    r"NETWORK_CONNECTION|COULD NOT CONNECT|ENDPOINT ?CONNECTION|CONNECTION ?REFUSED|DNS ERROR|TIMED? ?OUT": (
        "its server cannot be reached: check AWS_ENDPOINT_URL and the network"
    ),
    r"PERMANENT_?REDIRECT|\b301\b": "the bucket lies in another region: set AWS_REGION",
}


def find_endpoint() -> str | None:
    """The address of a server of buckets that is not Amazon's, as GDAL's variables say, or Amazon's own."""
    host = next((os.environ[name] for name in ENDPOINTS if os.environ.get(name)), "").rstrip("/")
    if not host or "://" in host:
        return host or None
    is_plain = os.environ.get("AWS_HTTPS", "YES").upper() in {"NO", "OFF", "FALSE"}
    return f"{'http' if is_plain else 'https'}://{host}"


def open_bucket() -> Any:
    """The file system of buckets, with the settings that GDAL reads: what lists an object is who reads it."""
    from pyarrow import fs

    scheme, _, host = (find_endpoint() or "https://").partition("://")
    return fs.S3FileSystem(
        anonymous=os.environ.get("AWS_NO_SIGN_REQUEST", "NO").upper() in {"YES", "ON", "TRUE"},
        region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"),
        endpoint_override=host or None,
        scheme=scheme,
        request_timeout=TIMEOUT_S,
        connect_timeout=TIMEOUT_S,
    )


def explain_bucket(error: BaseException) -> str | None:
    """What is wrong, and what to do; None where that is not known."""
    said = f"{type(error).__name__} {error}".upper()
    return next((reason for pattern, reason in REASONS.items() if re.search(pattern, said)), None)
