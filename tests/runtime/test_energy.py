"""The energy counter of a GPU; NVIDIA's library is replaced by a fake one, except on a GPU."""

from typing import Any

import pytest
import torch

from metabench.runtime import energy

CPU = torch.device("cpu")


class FakeNvml:
    """A GPU that uses two joules between any two reads of its counter."""

    class NVMLError(Exception):
        pass

    def __init__(self, *, known: bool = True, has_counter: bool = True) -> None:
        self.known, self.has_counter = known, has_counter
        self.millijoules = 0
        self.asked: list[str] = []

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> int:
        self.asked.append(uuid)
        if not self.known:
            raise self.NVMLError("not found")
        return 7

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Any) -> int:
        assert handle == 7
        if not self.has_counter:
            raise self.NVMLError("not supported")
        self.millijoules += 2000
        return self.millijoules


def test_the_counter_is_converted_from_millijoules() -> None:
    nvml = FakeNvml()
    assert [energy.read_joules(nvml, "GPU-1") for _ in range(2)] == [2.0, 4.0]
    assert nvml.asked == ["GPU-1", "GPU-1"]


@pytest.mark.parametrize("lacks", [{"known": False}, {"has_counter": False}])
def test_a_gpu_without_a_counter_has_no_number(lacks: dict[str, bool]) -> None:
    assert energy.read_joules(FakeNvml(**lacks), "GPU-1") is None


def test_the_energy_is_divided_by_the_number_of_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([0.0, 0.2, 0.4, 0.6, 1.1])
    counter = iter([10.0, 16.0])
    monkeypatch.setattr(energy.time, "monotonic", lambda: next(seconds))
    monkeypatch.setattr(energy, "total_joules", lambda device: next(counter))
    monkeypatch.setattr(energy.torch.cuda, "synchronize", lambda device: None)
    calls: list[int] = []
    assert energy.joules_each(lambda: calls.append(1), torch.device("cuda")) == 2.0
    assert len(calls) == 3


def test_a_cpu_has_no_counter_and_the_function_is_not_called() -> None:
    assert energy.total_joules(CPU) is None
    assert energy.joules_each(lambda: pytest.fail("it was called"), CPU) is None


def test_without_a_driver_there_is_no_library() -> None:
    pynvml = pytest.importorskip("pynvml")
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        assert energy._nvml() is None
    else:
        assert energy._nvml() is pynvml


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_real_gpu_uses_energy() -> None:
    x = torch.randn(4096, 4096, device="cuda")
    used = energy.joules_each(lambda: x @ x, torch.device("cuda"))
    assert used is None or used > 0
