"""The choice among several implementations of a network's forward pass over tasks."""

from __future__ import annotations

import contextlib
import functools
import statistics
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from metabench.runtime.timing import clock

Implementation = Callable[[Mapping[str, Tensor], Tensor], Tensor]
"""Parameters ``[T, ...]`` and inputs ``[T, B, *input]`` to features ``[T, B, features]``."""

WARM_UP = 2
REPEATS = 5

_fastest_by_inputs: dict[tuple[object, ...], str] = {}


def choose_implementation(
    implementations: Mapping[str, Implementation],
    fastest_on_cpu: str,
    params: Mapping[str, Tensor],
    x: Tensor,
    *,
    twice: bool,
) -> Implementation:
    """Returns the fastest of several implementations.

    On a CPU the choice was measured once and stands in the code, so that runs are reproducible to
    the bit. On a GPU each kind of inputs is timed when it is first seen: cards differ too much.

    Args:
        implementations: All implementations of the network by name.
        fastest_on_cpu: The name of the fastest one for these inputs on a CPU.
        params: Parameters ``[T, ...]``.
        x: Inputs ``[T, B, *input]``.
        twice: Whether the result will be differentiated twice.
    """
    if x.device.type != "cuda" or len(implementations) < 2:
        return implementations[fastest_on_cpu]
    mode = twice, torch.is_autocast_enabled("cuda"), torch.backends.cudnn.allow_tf32
    inputs = (*implementations, *map(_signature, params.values()), _signature(x), *mode)
    if inputs not in _fastest_by_inputs:
        # Timing synchronises the device, which a capturing stream does not allow.
        if torch.cuda.is_current_stream_capturing():
            return implementations[fastest_on_cpu]
        _fastest_by_inputs[inputs] = time_implementations(implementations, params, x, twice=twice)
    return implementations[_fastest_by_inputs[inputs]]


def time_implementations(
    implementations: Mapping[str, Implementation],
    params: Mapping[str, Tensor],
    x: Tensor,
    *,
    twice: bool,
) -> str:
    """Returns the name of the implementation whose forward and backward passes take the least time.

    An implementation that runs out of memory is left out.

    Args:
        implementations: The implementations to time by name.
        params: Parameters ``[T, ...]``.
        x: Inputs ``[T, B, *input]``.
        twice: Whether to time the second backward pass too.
    """
    leaves = {name: p.detach().clone().requires_grad_() for name, p in params.items()}
    milliseconds: dict[str, float] = {}
    for name, implementation in implementations.items():
        with contextlib.suppress(torch.OutOfMemoryError), torch.enable_grad():
            run = functools.partial(
                forward_and_backward, implementation, leaves, x.detach(), twice=twice
            )
            times = [clock(x.device)(run) for _ in range(WARM_UP + REPEATS)]
            milliseconds[name] = statistics.median(times[WARM_UP:])
    if not milliseconds:
        return next(iter(implementations))
    return min(milliseconds, key=milliseconds.__getitem__)


def forward_and_backward(
    implementation: Implementation, params: Mapping[str, Tensor], x: Tensor, *, twice: bool
) -> None:
    """Compute features and their derivatives once, or twice.

    Args:
        implementation: The implementation.
        params: Parameters ``[T, ...]`` that require gradients.
        x: Inputs ``[T, B, *input]``.
        twice: Whether to differentiate the gradients again.
    """
    leaves = list(params.values())
    total = implementation(params, x).square().sum()
    gradients = torch.autograd.grad(total, leaves, create_graph=twice, allow_unused=True)
    if twice:
        squares = [g.square().sum() for g in gradients if g is not None]
        torch.autograd.grad(torch.stack(squares).sum(), leaves, allow_unused=True)


def _signature(tensor: Tensor) -> tuple[object, ...]:
    return tensor.shape, tensor.dtype, tensor.device
