"""Memory that is freed stays with the process where the C library is glibc, unless somebody has said otherwise."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from rsitr.training.memory import ENVIRONMENT

PROGRAM = """
import resource, numpy as np
from rsitr.training.memory import keep_freed_memory
print(KEEP and keep_freed_memory())
def touch():
    np.ones(2**23)
for _ in range(3):
    touch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    touch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def run(*, keep: bool, **environment: str) -> list[str]:
    clean = {name: value for name, value in os.environ.items() if name not in ENVIRONMENT}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("KEEP", str(keep))],
        env=clean | environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout.split()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library, which is left as it is")
def test_blocks_that_are_freed_need_no_new_pages() -> None:
    said, kept = run(keep=True)
    plain = run(keep=False)[1]
    assert said == "True"
    # Ten blocks of 64 MB: without it, every one has its pages given and zeroed anew.
    assert int(kept) < 0.1 * int(plain)


def test_what_the_environment_says_stays() -> None:
    assert run(keep=True, MALLOC_TOP_PAD_="65536")[0] == "False"
