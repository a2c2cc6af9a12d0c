"""The machine of the measurements: its name, its limits, and the installed versions."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import re
from typing import Any

import torch

from metabench.runtime.provenance import cpu_name, environment
from tests.performance.sides import Timing, timed

SIDE = 1024
COPIED_BYTES = 256 << 20
LIBRARIES = ("metabench", "torch", "numpy", "learn2learn", "higher", "torchopt", "pytest-benchmark")
LEFT_OUT = ("git_commit", "git_dirty", "metabench", "torch", "numpy", "threads")
"""Facts that a row stores in other fields, or that a commit of the file changes."""


def bench_threads() -> int:
    """Returns the threads for every side: ``METABENCH_BENCH_THREADS``, or the number of cores."""
    return int(os.environ.get("METABENCH_BENCH_THREADS") or os.cpu_count() or 1)


def slug(device: torch.device | None = None) -> str:
    """Returns the processor (and GPU) with the number of cores, as the name of a file."""
    names = [cpu_name(), f"{os.cpu_count()} cores"]
    if device is not None and device.type == "cuda":
        names.append(torch.cuda.get_device_name(device))
    return re.sub(r"[^a-z0-9]+", "-", " ".join(names).lower()).strip("-")


@functools.cache
def sgemm_gflops(threads: int) -> float:
    """Returns the best GFLOP/s of a float32 product of two square matrices of size 1024.

    ``threads`` must be the current number of PyTorch; it is the key of the cache.
    """
    assert torch.get_num_threads() == threads
    a, b, out = torch.rand(SIDE, SIDE), torch.rand(SIDE, SIDE), torch.empty(SIDE, SIDE)

    def product() -> int:
        torch.mm(a, b, out=out)
        return 1

    return 2 * SIDE**3 / min(timed(product) for _ in range(30)) / 1e9


@functools.cache
def copy_gbytes(threads: int) -> float:
    """Returns the best GB/s, read and written, of copying 256 MiB."""
    assert torch.get_num_threads() == threads
    source, target = torch.ones(COPIED_BYTES // 4), torch.empty(COPIED_BYTES // 4)

    def copy() -> int:
        target.copy_(source)
        return 1

    return 2 * COPIED_BYTES / min(timed(copy) for _ in range(10)) / 1e9


def ceilings() -> dict[str, float]:
    """Returns the limits of the machine with the current number of threads."""
    threads = torch.get_num_threads()
    return {
        "sgemm_gflops": round(sgemm_gflops(threads), 1),
        "copy_gbytes": round(copy_gbytes(threads), 1),
    }


def versions() -> dict[str, str]:
    """Returns the versions of the installed libraries that are compared."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def facts(device: torch.device) -> dict[str, Any]:
    """Returns the facts of the machine that can change a timing."""
    found = environment(device=device, threads=torch.get_num_threads())
    return {name: value for name, value in found.items() if name not in LEFT_OUT}


def rates(timings: dict[str, Timing]) -> dict[str, dict[str, float]]:
    """Returns the units a second with quartiles of each side."""
    return {
        name: {k: _short(1 / s) for k, s in (("median", t.median), ("q1", t.q3), ("q3", t.q1))}
        for name, t in timings.items()
    }


def _short(value: float) -> float:
    return float(f"{value:.4g}")
