"""What holds for every test: offline, seeded, with a fixed number of threads; and where the real data are."""

from __future__ import annotations

import os

# Before anything imports torch or a hub client: both read these once, at their import.
# Sums depend on the number of threads, so it is the same everywhere. And threads that wait for each other by spinning
# take the cores from the tests beside them: two processes of two threads each took six times as long on two cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"

import ipaddress
import random
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

from remotes import (  # noqa: F401 - fixtures
    bucket_server,
    buckets,
    milvus_place,
    milvus_server,
    s3_place,
    used_milvus_place,
)

# A shell that starts this in the background has it ignore Ctrl-C, and with it whatever it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

REPO = Path(__file__).resolve().parents[1]
SEED = 20240229

# The same examples in every run, and no deadline: a busy machine is not a bug in the code.
settings.register_profile("rsitr", derandomize=True, deadline=None)
settings.load_profile("rsitr")


class NetworkBlockedError(RuntimeError):
    """A test that is not marked `network` reached for another machine."""


@pytest.fixture(scope="session")
def repo() -> Path:
    """The root of the repository."""
    return REPO


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real data sets: RSITR_DATA, else shared/data beside the repository."""
    named = os.environ.get("RSITR_DATA")
    folder = Path(named) if named else REPO.parent / "shared" / "data"
    if not folder.is_dir():
        if named:
            pytest.fail(f"RSITR_DATA names {folder}, which is not a folder")
        pytest.skip("the real data sets are not on this machine (RSITR_DATA names their folder)")
    return folder


@pytest.fixture(autouse=True)
def _seeds() -> None:
    random.seed(SEED)
    np.random.seed(SEED)  # noqa: NPY002 - libraries under test draw from the global generator
    torch = sys.modules.get("torch")  # a test that needs no torch need not pay for its import
    if torch is not None:
        torch.manual_seed(SEED)


@pytest.fixture(autouse=True)
def _offline(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.node.get_closest_marker("network"):
        monkeypatch.delenv("HF_HUB_OFFLINE")
        monkeypatch.delenv("TRANSFORMERS_OFFLINE")
        hub = sys.modules.get("huggingface_hub.constants")
        if hub is not None:
            monkeypatch.setattr(hub, "HF_HUB_OFFLINE", False)
        return
    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, _guarded(getattr(socket.socket, name)))
    resolve = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        _refuse_unless_local(host)
        return resolve(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def _guarded(connect: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(self: socket.socket, address: Any) -> Any:
        if self.family in {socket.AF_INET, socket.AF_INET6}:
            _refuse_unless_local(address[0])
        return connect(self, address)

    return guarded


def _refuse_unless_local(host: Any) -> None:
    name = host.decode() if isinstance(host, bytes) else host
    if name in {None, "", "localhost"}:
        return
    try:
        local = ipaddress.ip_address(name).is_loopback
    except ValueError:
        local = False
    if not local:
        raise NetworkBlockedError(f"this test reached for {name}; mark it `network` if it must")
