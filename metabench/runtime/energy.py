"""The energy that a graphics card has used, where NVIDIA's management library tells it."""

from __future__ import annotations

import ctypes
import functools
import time
from collections.abc import Callable
from typing import Any

import torch

LIBRARY = "libnvidia-ml.so.1"
LEAST_SECONDS = 1.0
"""The driver renews its counter every tenth of a second or so."""


def joules_each(function: Callable[[], object], device: torch.device) -> float | None:
    """The energy of one call, in joules: the whole card's, over a second of calls.

    Args:
        function: what is measured.
        device: where its work happens.

    Returns:
        Joules; nothing where no card or no driver tells it.
    """
    before = total_joules(device)
    if before is None:
        return None
    calls, began = 0, time.monotonic()
    while time.monotonic() - began < LEAST_SECONDS:
        function()
        torch.cuda.synchronize(device)
        calls += 1
    after = total_joules(device)
    return None if after is None else (after - before) / calls


def total_joules(device: torch.device) -> float | None:
    """What the card has used since its driver was loaded; nothing where that is not told."""
    if device.type != "cuda":
        return None
    library = _library()
    uuid = getattr(torch.cuda.get_device_properties(device), "uuid", None)
    return None if library is None or uuid is None else read_joules(library, f"GPU-{uuid}")


def read_joules(library: Any, uuid: str) -> float | None:
    """Ask the library for the counter of a card.

    Args:
        library: NVML, initialised.
        uuid: of the card; its number would be another where some cards are hidden.
    """
    handle, millijoules = ctypes.c_void_p(), ctypes.c_ulonglong()
    if library.nvmlDeviceGetHandleByUUID(uuid.encode(), ctypes.byref(handle)):
        return None
    if library.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(millijoules)):
        return None
    return millijoules.value / 1e3


@functools.cache
def _library() -> Any | None:
    try:
        library = ctypes.CDLL(LIBRARY)
        return None if library.nvmlInit_v2() else library
    except (OSError, AttributeError):
        return None
