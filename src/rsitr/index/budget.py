"""How much of the memory vectors may take, and in which form they fit into it."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Literal

from rsitr.errors import ConfigError

__all__ = ["Precision", "choose_precision", "find_budget"]

MEMORY_VARIABLE = "RSITR_MEMORY_GB"
CONTAINER_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
GUESSED_BYTES = 8 * 2**30  # of memory, where a system does not say how much it has

Precision = Literal["float32", "float16"]


def choose_precision(*, n: int, dim: int, memory_bytes: int) -> Precision | None:
    """How n vectors are held within a budget of memory: fp32, else fp16, else not at all.

    >>> choose_precision(n=1_000_000, dim=512, memory_bytes=2**30)
    'float16'
    """
    if 4 * n * dim <= memory_bytes:
        return "float32"
    return "float16" if 2 * n * dim <= memory_bytes else None


def find_budget() -> int:
    """Bytes that vectors may take: what `RSITR_MEMORY_GB` says, else half of the memory that there is.

    Raises:
        ConfigError: `RSITR_MEMORY_GB` is no number above 0.
    """
    named = os.environ.get(MEMORY_VARIABLE)
    if named is None:
        return min([_physical_bytes(), *_container_limits()]) // 2
    try:
        memory_gb = float(named)
    except ValueError:
        memory_gb = math.nan
    if not 0 < memory_gb < math.inf:
        raise ConfigError(f"{MEMORY_VARIABLE} is the memory for vectors in GB, a number above 0, not {named!r}")
    return int(memory_gb * 2**30)


def _physical_bytes() -> int:
    """Bytes of memory of this machine; a modest guess where the system has another way to ask, as Windows has."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return GUESSED_BYTES


def _container_limits() -> list[int]:
    """Bytes of memory that a container may take: of control groups of version 2, and of version 1."""
    limits = []
    for file in CONTAINER_LIMITS:
        try:
            limits.append(int(file.read_text(encoding="ascii")))
        except (OSError, ValueError):  # no container, or "max"
            continue
    return limits
