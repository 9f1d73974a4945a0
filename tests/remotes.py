"""Servers on loopback for indexes that lie elsewhere: buckets, and Milvus."""

from __future__ import annotations

import itertools
import logging
import os
import platform
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

__all__ = ["bucket_server", "buckets", "milvus_place", "milvus_server", "s3_place", "used_milvus_place"]

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


@pytest.fixture(scope="module")
def milvus_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Host and port of a Milvus. It stops for nothing but SIGKILL, which it gets, with all that it has started.

    One for each file that needs it: while nobody asks it anything it takes a fifth of a core.
    """
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        pytest.skip("the package milvus, which has the server, is for Linux on x86-64 alone")
    from milvus import MilvusServerConfig, _initialize_data_files

    folder = tmp_path_factory.mktemp("milvus")
    config = MilvusServerConfig(data_dir=str(folder), etcd_log_level="error")
    for name in config.configurable_items:
        if name.endswith("_port"):
            config.configs[name] = _free_port()
    config.set("proxy.timeTickInterval", 20)  # reads that see all that was written before wait for one, usually 200 ms
    config.resolve()
    _initialize_data_files(str(folder))
    monitor = _free_port()
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": f"{folder}/bin",
        "DEPLOY_MODE": "STANDALONE",
        "METRICS_PORT": str(monitor),
        "MILVUS_RUN_DIR": f"{folder}/run",
    }
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            [f"{folder}/bin/milvus", "run", "standalone"],
            env=environment,
            cwd=folder,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _await_health(process, monitor, folder)
        yield f"127.0.0.1:{config.get('proxy_port')}"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)  # a quarter of a gigabyte of programs


def _free_port() -> int:
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        return int(own.getsockname()[1])


def _await_health(process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError), closing(urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5)) as said:
            if b"OK" in said.read():
                return
        time.sleep(0.2)
    pytest.fail(f"Milvus did not start: {(folder / 'output.txt').read_text(errors='replace')[-2000:]}")


@pytest.fixture
def milvus_place(milvus_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an index that is not there yet."""
    monkeypatch.delenv("MILVUS_TOKEN", raising=False)
    return f"milvus://{milvus_server}/archive_{next(_numbers)}"


@pytest.fixture
def used_milvus_place(milvus_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of tiles that other tests have used before: to make a collection takes Milvus seconds."""
    monkeypatch.delenv("MILVUS_TOKEN", raising=False)
    return f"milvus://{milvus_server}/used"
