"""Memory that a training on a CPU frees and wants again a moment later: the C library is told to keep it."""

from __future__ import annotations

import ctypes
import os

__all__ = ["keep_freed_memory"]

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
"""glibc's numbers (malloc.h)."""
KEPT_BYTES, AHEAD_BYTES = 2**31 - 1, 2**28
ENVIRONMENT = ("MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_")


def keep_freed_memory() -> bool:
    """Have glibc keep what the process frees, and say whether it does; other C libraries are left as they are.

    Feature maps of a batch are hundreds of MB. By default such a block is mapped anew for every layer and unmapped
    after it, and the system zeroes its pages each time. What is said of it in the environment stays.
    """
    if any(name in os.environ for name in ENVIRONMENT):
        return False
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018  # others have a mallopt, too, which means something else by numbers
        mallopt = library.mallopt
    except (OSError, TypeError, AttributeError):
        return False
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    settings = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, KEPT_BYTES), (M_TOP_PAD, AHEAD_BYTES))
    return all(mallopt(number, value) == 1 for number, value in settings)
