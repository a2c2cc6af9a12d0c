"""Validation of device names."""

from __future__ import annotations

import torch

from metabench.errors import UsageError


def check_device(name: str) -> str:
    """Returns the name of an available device; ``auto`` means a GPU if there is one.

    Args:
        name: ``cpu``, ``cuda``, ``cuda:1``, ... or ``auto``.

    Raises:
        UsageError: If the name is not that of a device, or the device is not available here.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(
            f"'{name}' is not a device.", hint="Use cpu, cuda, cuda:0 or auto."
        ) from None
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise UsageError(
                f"device '{name}' is not available: PyTorch sees no CUDA device here.",
                hint="Use --device cpu, or install a PyTorch build with CUDA.",
            )
        if (device.index or 0) >= torch.cuda.device_count():
            raise UsageError(
                f"device '{name}' is not available: there are {torch.cuda.device_count()} here.",
                hint="The first is cuda:0.",
            )
    elif device.type != "cpu":
        raise UsageError(
            f"device '{name}' is not supported.", hint="Use cpu, cuda, cuda:0 or auto."
        )
    return str(device)
