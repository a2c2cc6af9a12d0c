import time

import pytest
import torch

from metabench import timing
from metabench.timing import measure

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


def test_the_warm_up_is_called_and_not_counted() -> None:
    calls: list[int] = []
    measure(lambda: calls.append(1), device=CPU, repeats=4, warm_up=3)
    assert len(calls) == 7


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_the_work_is_waited_for() -> None:
    def work() -> None:
        torch.cuda._sleep(50_000_000)  # cycles: tens of milliseconds, launched in microseconds

    began = time.perf_counter()
    found = measure(work, device=torch.device("cuda"), repeats=3, warm_up=1)
    wall_ms = (time.perf_counter() - began) * 1e3
    assert found.median_ms > 5.0
    assert found.median_ms * 3 <= wall_ms
