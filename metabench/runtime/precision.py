"""The precision of products and convolutions: float32, TF32 or bfloat16."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor

from metabench.config import PRECISIONS, Precision
from metabench.errors import UnknownName, UsageError


@contextlib.contextmanager
def computing_in(precision: Precision, device: torch.device) -> Iterator[None]:
    """Compute products and convolutions with a given precision inside the block.

    ``highest`` is float32, also on a GPU. ``tf32`` rounds the inputs of products to 10 bits of
    mantissa, ``bf16`` to 7 (:class:`torch.autocast`). Both accumulate in float32, and parameters
    and optimisers stay in float32.

    Args:
        precision: The precision.
        device: The device that computes.

    Raises:
        UsageError: If the precision is ``tf32`` and the device is not a GPU.
    """
    check_precision(precision, str(device))
    cudnn = torch.backends.cudnn
    before = cudnn.allow_tf32, torch.get_float32_matmul_precision()
    cudnn.allow_tf32 = precision != "highest"  # PyTorch's own default for convolutions is True
    torch.set_float32_matmul_precision("highest" if precision == "highest" else "high")
    try:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            yield
    finally:
        cudnn.allow_tf32 = before[0]
        torch.set_float32_matmul_precision(before[1])


def check_precision(name: str, device: str) -> Precision:
    """Returns the precision of this name.

    Args:
        name: The name of the precision.
        device: The name of the device that computes.

    Raises:
        UnknownName: If there is no such precision.
        UsageError: If the precision is ``tf32`` and the device is not a GPU.
    """
    precision = next((known for known in PRECISIONS if known == name), None)
    if precision is None:
        raise UnknownName("precision", name, PRECISIONS, hint=f"They are {', '.join(PRECISIONS)}.")
    if precision == "tf32" and not device.startswith("cuda"):
        raise UsageError(
            f"--precision tf32 needs an NVIDIA GPU, and the device is {device}.",
            hint="Use --precision bf16, which a CPU has too, or --device cuda.",
        )
    return precision


def lowered(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Returns tensors in autocast's format for products, unchanged if autocast is off.

    For custom autograd functions: autocast casts the inputs of PyTorch's operators only.
    """
    kind = tensors[0].device.type
    if not torch.is_autocast_enabled(kind):
        return tensors
    return tuple(tensor.to(torch.get_autocast_dtype(kind)) for tensor in tensors)


def raised(tensor: Tensor) -> Tensor:
    """Returns a tensor in float32 if it is in a 16-bit format, for sums over many values."""
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor
