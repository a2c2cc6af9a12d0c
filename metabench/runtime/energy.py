"""The energy that an NVIDIA GPU uses, as its driver counts it."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import torch

MIN_SECONDS = 1.0
"""How long a function is repeated: the driver updates its counter about ten times a second."""


def joules_each(function: Callable[[], object], device: torch.device) -> float | None:
    """Returns the energy of one call in joules, averaged over a second of calls.

    Args:
        function: The function.
        device: The device that does its work.

    Returns:
        The energy of the whole GPU, or ``None`` if the device has no counter.
    """
    before = total_joules(device)
    if before is None:
        return None
    calls, start = 0, time.monotonic()
    while time.monotonic() - start < MIN_SECONDS:
        function()
        torch.cuda.synchronize(device)
        calls += 1
    after = total_joules(device)
    return None if after is None else (after - before) / calls


def total_joules(device: torch.device) -> float | None:
    """Returns the energy since the driver was loaded, or ``None`` if the device has no counter."""
    if device.type != "cuda":
        return None
    nvml = _nvml()
    # By UUID: NVML ignores CUDA_VISIBLE_DEVICES, so its indices are not those of PyTorch.
    uuid = getattr(torch.cuda.get_device_properties(device), "uuid", None)
    return None if nvml is None or uuid is None else read_joules(nvml, f"GPU-{uuid}")


def read_joules(nvml: Any, uuid: str) -> float | None:
    """Returns the energy counter of a GPU in joules, or ``None`` if it has none.

    Args:
        nvml: The module ``pynvml``, initialised.
        uuid: The UUID of the GPU, as NVML writes it.
    """
    try:
        handle = nvml.nvmlDeviceGetHandleByUUID(uuid)
        return float(nvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3  # from millijoules
    except nvml.NVMLError:
        return None


@functools.cache
def _nvml() -> Any | None:
    """Returns NVIDIA's management library, or ``None`` if there is no driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml
