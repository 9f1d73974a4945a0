"""The guard of tests/conftest.py: a test that reaches for the network fails, loudly, instead of passing by luck."""

from __future__ import annotations

import random
import socket
import threading

import numpy as np
import pytest


@pytest.mark.parametrize("address", ["192.0.2.1", "198.51.100.7"])  # RFC 5737: addresses that nobody has
def test_outside_addresses_are_refused(address: str) -> None:
    with socket.socket() as client, pytest.raises(RuntimeError, match=f"reached for {address}"):
        client.connect((address, 80))


def test_outside_names_are_not_even_resolved() -> None:
    with pytest.raises(RuntimeError, match=r"reached for example\.org"):
        socket.create_connection(("example.org", 80))


def test_this_machine_can_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            server.accept()[0].close()

        accepted = threading.Thread(target=accept)
        accepted.start()
        with socket.create_connection(server.getsockname(), timeout=10) as client:
            assert client.recv(1) == b""
        accepted.join()


def test_every_test_starts_from_the_same_seed() -> None:
    seed = 20240229  # of tests/conftest.py
    drawn = random.random(), np.random.rand()  # noqa: NPY002 - the global generators are the subject
    assert drawn == (random.Random(seed).random(), np.random.RandomState(seed).rand())
