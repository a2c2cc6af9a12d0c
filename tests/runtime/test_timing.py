import time
from collections.abc import Callable

import numpy as np
import pytest
import torch

from metabench.runtime import timing
from metabench.runtime.timing import measure

CPU = torch.device("cpu")


def test_a_known_duration_is_measured_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 0.0
    durations = iter([100.0, 100.0, *[1.0, 2.0, 3.0, 4.0, 100.0]])  # two for the warm-up

    def work() -> None:
        nonlocal clock
        clock += next(durations)

    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock)
    found = measure(work, device=CPU, repeats=5, warm_up=2)
    assert found.median_ms == 3000.0
    assert found.iqr_ms == 2000.0
    assert found.repeats == 5


def test_a_sleep_is_never_measured_too_short() -> None:
    found = measure(lambda: time.sleep(0.01), device=CPU, repeats=5, warm_up=0)
    assert 10.0 <= found.median_ms < 1000.0


def test_a_sleep_is_measured_within_its_iqr(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock inside a sleep of 20 ms gives its real duration, also on a busy machine."""
    real: list[float] = []
    told: list[float] = []
    clock = timing.clock(CPU)

    def sleep() -> None:
        began = time.monotonic_ns()
        time.sleep(0.02)
        real.append((time.monotonic_ns() - began) / 1e6)

    def noted(function: Callable[[], object]) -> float:
        told.append(clock(function))
        return told[-1]

    monkeypatch.setattr(timing, "clock", lambda device: noted)
    found = measure(sleep, device=CPU, repeats=15, warm_up=2)
    slept, low_median_high = np.array(real[2:]), np.quantile(told, [0.25, 0.5, 0.75])
    assert slept.min() >= 20.0
    assert (np.array(told) >= slept - 1e-3).all()  # two clocks, one around the other
    assert abs(found.median_ms - float(np.median(slept))) <= max(found.iqr_ms, 0.05)
    assert found.median_ms == low_median_high[1]
    assert found.iqr_ms == low_median_high[2] - low_median_high[0]


def test_a_matrix_product_is_measured_within_its_iqr() -> None:
    """A clock around it gives its real duration, and ten take about ten times as long."""
    x = torch.randn(256, 256)
    real: list[float] = []

    def product() -> None:
        began = time.monotonic_ns()
        torch.mm(x, x)
        real.append((time.monotonic_ns() - began) / 1e6)

    found = measure(product, device=CPU, repeats=50, warm_up=5)
    assert abs(found.median_ms - float(np.median(real[5:]))) <= max(found.iqr_ms, 0.05)
    ten = measure(lambda: [torch.mm(x, x) for _ in range(10)], device=CPU, repeats=50, warm_up=5)
    assert 3 < ten.median_ms / found.median_ms < 30


def test_the_warm_up_does_not_count() -> None:
    calls: list[int] = []
    measure(lambda: calls.append(1), device=CPU, repeats=4, warm_up=3)
    assert len(calls) == 7


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_the_timing_includes_the_kernels() -> None:
    def work() -> None:
        torch.cuda._sleep(50_000_000)  # cycles: tens of milliseconds, launched in microseconds

    began = time.perf_counter()
    found = measure(work, device=torch.device("cuda"), repeats=3, warm_up=1)
    wall_ms = (time.perf_counter() - began) * 1e3
    assert found.median_ms > 5.0
    assert found.median_ms * 3 <= wall_ms
    began = time.perf_counter()
    work()
    unsynchronised_ms = (time.perf_counter() - began) * 1e3
    torch.cuda.synchronize()
    assert unsynchronised_ms < 0.2 * found.median_ms
