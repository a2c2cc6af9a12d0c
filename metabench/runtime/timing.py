"""Timings that can be trusted: warmed up, synchronised, repeated."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from metabench.runtime.exclusive import alone

LEAST_REPEATS = 5
ENOUGH_MS = 1000.0


@dataclass(frozen=True)
class Timing:
    """How long something takes, in milliseconds.

    Attributes:
        median_ms: the median over the repetitions.
        iqr_ms: the distance between the quartiles.
        repeats: how often it was timed.
        alone: whether every other cell on this machine waited meanwhile.
    """

    median_ms: float
    iqr_ms: float
    repeats: int
    alone: bool = False


def measure(
    function: Callable[[], object],
    *,
    device: torch.device,
    repeats: int = 20,
    warm_up: int = 3,
) -> Timing:
    """Time a function while every other cell on the machine waits (:mod:`metabench.runtime.exclusive`).

    On a GPU a pair of CUDA events brackets each call, and the device is waited for: without that only the
    launches would be timed. On the CPU it is the monotonic clock.

    Args:
        function: what is timed.
        device: where its work happens.
        repeats: calls that count; fewer, but five, where they would take longer than a second.
        warm_up: calls before them that do not.
    """
    milliseconds = clock(device)
    times: list[float] = []
    with alone() as undisturbed:
        for _ in range(warm_up):
            function()
        while len(times) < repeats and (len(times) < LEAST_REPEATS or sum(times) < ENOUGH_MS):
            times.append(milliseconds(function))
    low, median, high = np.quantile(times, [0.25, 0.5, 0.75])
    return Timing(float(median), float(high - low), len(times), undisturbed)


def clock(device: torch.device) -> Callable[[Callable[[], object]], float]:
    """What tells how many milliseconds one call takes on a device, all of its work included."""
    return _cuda_ms if device.type == "cuda" else _cpu_ms


def _cpu_ms(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return (time.perf_counter() - began) * 1e3


def _cuda_ms(function: Callable[[], object]) -> float:
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    start.record()
    function()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end))
