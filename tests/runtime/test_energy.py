"""The energy of a card; NVML itself is planted, and asked where there is one."""

import ctypes
from typing import Any

import pytest
import torch

from metabench.runtime import energy

CPU = torch.device("cpu")


class PlantedNvml:
    """A card that uses two joules between any two looks at its counter."""

    def __init__(self, *, knows_card: bool = True, tells: bool = True) -> None:
        self.knows_card, self.tells = knows_card, tells
        self.millijoules = 0
        self.asked: list[bytes] = []

    def nvmlDeviceGetHandleByUUID(self, uuid: bytes, handle: Any) -> int:
        self.asked.append(uuid)
        handle._obj.value = 7
        return 0 if self.knows_card else 6

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: ctypes.c_void_p, out: Any) -> int:
        assert handle.value == 7
        self.millijoules += 2000
        out._obj.value = self.millijoules
        return 0 if self.tells else 3


def test_the_counter_is_in_millijoules() -> None:
    card = PlantedNvml()
    assert [energy.read_joules(card, "GPU-1") for _ in range(2)] == [2.0, 4.0]
    assert card.asked == [b"GPU-1", b"GPU-1"]


@pytest.mark.parametrize("lack", [{"knows_card": False}, {"tells": False}])
def test_a_card_that_does_not_tell_has_no_number(lack: dict[str, bool]) -> None:
    assert energy.read_joules(PlantedNvml(**lack), "GPU-1") is None


def test_the_energy_is_shared_among_the_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([0.0, 0.2, 0.4, 0.6, 1.1])
    counter = iter([10.0, 16.0])
    monkeypatch.setattr(energy.time, "monotonic", lambda: next(seconds))
    monkeypatch.setattr(energy, "total_joules", lambda device: next(counter))
    monkeypatch.setattr(energy.torch.cuda, "synchronize", lambda device: None)
    calls: list[int] = []
    assert energy.joules_each(lambda: calls.append(1), torch.device("cuda")) == 2.0
    assert len(calls) == 3


def test_a_processor_tells_nothing_and_is_not_asked() -> None:
    assert energy.total_joules(CPU) is None
    assert energy.joules_each(lambda: pytest.fail("it was called"), CPU) is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_real_card_uses_energy() -> None:
    x = torch.randn(4096, 4096, device="cuda")
    used = energy.joules_each(lambda: x @ x, torch.device("cuda"))
    assert used is None or used > 0
