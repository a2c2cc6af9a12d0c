"""Timings with warm-up, synchronisation and repetitions."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from metabench.runtime.exclusive import timing_lock

MIN_REPEATS = 5
ENOUGH_MS = 1000.0
"""A slow function is not repeated further once its repetitions took this long."""


@dataclass(frozen=True)
class Timing:
    """The duration of a function, in milliseconds.

    Attributes:
        median_ms: The median of the repetitions.
        iqr_ms: Their interquartile range.
        repeats: The number of repetitions.
        exclusive: Whether every other cell on this machine paused meanwhile.
    """

    median_ms: float
    iqr_ms: float
    repeats: int
    exclusive: bool = False


def measure(
    function: Callable[[], object],
    *,
    device: torch.device,
    repeats: int = 20,
    warm_up: int = 3,
) -> Timing:
    """Time a function while every other cell on the machine pauses.

    Args:
        function: The function.
        device: The device that does its work.
        repeats: The number of repetitions; only :data:`MIN_REPEATS` if they take over a second.
        warm_up: The number of calls before the repetitions.
    """
    milliseconds = clock(device)
    times: list[float] = []
    with timing_lock.exclusive() as exclusive:
        for _ in range(warm_up):
            function()
        while len(times) < repeats and (len(times) < MIN_REPEATS or sum(times) < ENOUGH_MS):
            times.append(milliseconds(function))
    low, median, high = np.quantile(times, [0.25, 0.5, 0.75])
    return Timing(float(median), float(high - low), len(times), exclusive)


def clock(device: torch.device) -> Callable[[Callable[[], object]], float]:
    """Returns a function that runs a function once and returns its milliseconds on a device."""
    return _cuda_ms if device.type == "cuda" else _cpu_ms


def _cpu_ms(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return (time.perf_counter() - start) * 1e3


def _cuda_ms(function: Callable[[], object]) -> float:
    # CUDA calls return before their kernels run: without events only the launches are timed.
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    start.record()
    function()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end))
