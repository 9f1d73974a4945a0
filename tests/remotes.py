"""Servers on loopback for indexes that lie elsewhere: buckets, and Milvus."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator

import pytest

__all__ = ["bucket_server", "buckets", "s3_place"]

_numbers = itertools.count()


@pytest.fixture(scope="session")
def bucket_server() -> Iterator[str]:
    """The address of a server of buckets."""
    from moto.server import ThreadedMotoServer  # takes a second

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@pytest.fixture
def buckets(bucket_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a bucket that the environment leads to."""
    import boto3

    for name in ("AWS_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE", "AWS_NO_SIGN_REQUEST"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_ENDPOINT_URL": bucket_server,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    name = f"indexes-{next(_numbers)}"
    boto3.client("s3", endpoint_url=bucket_server, region_name="us-east-1").create_bucket(Bucket=name)
    return name


@pytest.fixture
def s3_place(buckets: str) -> str:
    """The address of an index that is not there yet."""
    return f"s3://{buckets}/archive/of images"
