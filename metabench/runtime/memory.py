"""The memory of this process: its peak, and how the C library releases what is freed."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

# Parameters of glibc's mallopt, from malloc.h.
_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_MAX = -4
_PAD_BYTES = 64 << 20


def keep_freed_memory() -> bool:
    """Make glibc keep freed memory instead of returning it to the kernel.

    Returns:
        Whether the C library accepted the settings. Other libraries than glibc are left alone.
    """
    # Each training step frees and allocates the same large activations. By default glibc maps
    # each anew and the kernel zeroes its pages; without that a Conv4 step on a CPU takes about
    # half the time.
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, _PAD_BYTES))
    accepted = [bool(mallopt(option, value)) for option, value in settings]
    return all(accepted)


def peak_process_mb() -> float:
    """Returns the peak resident memory of this process, in MiB."""
    # Not psutil throughout: it reports the peak on Windows only.
    if sys.platform == "win32":
        import psutil

        return float(psutil.Process().memory_info().peak_wset) / 2**20
    try:
        # Not ru_maxrss: on Linux a child inherits it, through exec too, so a worker would report
        # the peak of its parent.
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10
    except OSError:
        pass
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10  # bytes on macOS, else KiB
