"""The memory of this process: how much it took at most, and keeping what it frees."""

from __future__ import annotations

import ctypes
import resource
import sys
from pathlib import Path

_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_MAX = -4
_PAD_BYTES = 64 << 20


def keep_freed_memory() -> bool:
    """Tell glibc to keep what is freed instead of giving it back to the kernel.

    A training step frees and asks again for the same large activations; by default each of them is mapped
    anew, and the kernel fills its pages with zeros first. Kept, a Conv4 step on the CPU takes about half
    the time.

    Returns:
        Whether the C library could be told; elsewhere than on glibc nothing happens.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, _PAD_BYTES))
    told = [bool(mallopt(option, value)) for option, value in settings]
    return all(told)


def peak_process_mb() -> float:
    """The most memory that this process has had, in MiB."""
    try:
        # Linux hands ru_maxrss on to a child, through exec as well: a worker would report its parent's peak.
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
