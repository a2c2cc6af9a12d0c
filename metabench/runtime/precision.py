"""How precisely a cell computes: float32 throughout, or faster formats for its products."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Literal, get_args

import torch
from torch import Tensor

from metabench.errors import UnknownName, UsageError

Precision = Literal["highest", "tf32", "bf16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


@contextlib.contextmanager
def computing_in(precision: Precision, device: torch.device) -> Iterator[None]:
    """Inside, products and convolutions are computed so; put back afterwards.

    ``highest`` is float32, on a GPU too, where PyTorch itself takes TF32 for convolutions. ``tf32`` rounds
    the inputs of products to 10 bits of mantissa, and ``bf16`` to 7 (:class:`torch.autocast`); both add up
    in float32, and parameters and optimisers keep theirs.

    Args:
        precision: one of the three.
        device: where it is computed.

    Raises:
        UsageError: TF32 is asked for where there is none.
    """
    check_precision(precision, str(device))
    cudnn = torch.backends.cudnn
    before = cudnn.allow_tf32, torch.get_float32_matmul_precision()
    cudnn.allow_tf32 = precision != "highest"
    torch.set_float32_matmul_precision("highest" if precision == "highest" else "high")
    try:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            yield
    finally:
        cudnn.allow_tf32 = before[0]
        torch.set_float32_matmul_precision(before[1])


def check_precision(name: str, device: str) -> Precision:
    """The precision of this name.

    Args:
        name: its name.
        device: where it is to be computed so.

    Raises:
        UnknownName: there is no such precision.
        UsageError: TF32 is asked for on a CPU.
    """
    precision = next((known for known in PRECISIONS if known == name), None)
    if precision is None:
        raise UnknownName("precision", name, PRECISIONS, hint=f"They are {', '.join(PRECISIONS)}.")
    if precision == "tf32" and not device.startswith("cuda"):
        raise UsageError(
            f"--precision tf32 is a format of NVIDIA's cards, and the device is {device}.",
            hint="--precision bf16 is there on a CPU too; --device cuda runs on a card.",
        )
    return precision


def lowered(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Tensors in the format that autocast wants for products; as they are where it wants none.

    For functions with derivatives of their own, which autocast does not look into.
    """
    kind = tensors[0].device.type
    if not torch.is_autocast_enabled(kind):
        return tensors
    return tuple(tensor.to(torch.get_autocast_dtype(kind)) for tensor in tensors)


def raised(tensor: Tensor) -> Tensor:
    """A tensor in float32 where autocast has made it something smaller: for sums over many values."""
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor
