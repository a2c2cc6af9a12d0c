"""Which of several ways through a network is taken; all of them give the same numbers."""

from __future__ import annotations

import contextlib
import functools
import statistics
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar

import torch
from torch import Tensor

from metabench.backbones.order import is_differentiated_twice
from metabench.runtime.timing import clock
from metabench.utils.scoped import scoped

Engine = Callable[[Mapping[str, Tensor], Tensor], Tensor]
"""Parameters ``[T, ...]`` and inputs ``[T, B, *input]`` to features ``[T, B, features]``."""

WARM_UP = 2
REPEATS = 5

_wanted: ContextVar[str] = ContextVar("wanted", default="")
_measured: dict[tuple[object, ...], str] = {}


@contextlib.contextmanager
def use_engine(name: str) -> Iterator[None]:
    """Inside, every network that has an engine of this name takes it: to compare, and to find a fault.

    Args:
        name: ``loop``, ``vmap``, or another that :meth:`metabench.backbones.base.Backbone.engines` has.
    """
    with scoped(_wanted, name):
        yield


def choose(
    engines: Mapping[str, Engine], on_cpu: str, params: Mapping[str, Tensor], x: Tensor
) -> Engine:
    """The engine that is asked for, or else the fastest.

    On a CPU that is what was measured once and stands in the code, so that a run gives the same bits on
    every day. On a GPU each kind of inputs is measured at its first use: cards differ too much.

    Args:
        engines: all that the network has.
        on_cpu: the name of the fastest for these inputs on a CPU.
        params: parameters ``[T, ...]``.
        x: inputs ``[T, B, *input]``.
    """
    wanted = _wanted.get()
    if wanted in engines:
        return engines[wanted]
    if x.device.type != "cuda" or len(engines) < 2:
        return engines[on_cpu]
    how = (
        is_differentiated_twice(),
        torch.is_autocast_enabled("cuda"),
        torch.backends.cudnn.allow_tf32,
    )
    kind = (*engines, *map(_kind, params.values()), _kind(x), *how)
    if kind not in _measured:
        if torch.cuda.is_current_stream_capturing():  # nothing may wait now
            return engines[on_cpu]
        _measured[kind] = fastest(engines, params, x)
    return engines[_measured[kind]]


def fastest(engines: Mapping[str, Engine], params: Mapping[str, Tensor], x: Tensor) -> str:
    """The name of the engine that takes the least time forwards and backwards.

    Where derivatives are taken twice (:func:`metabench.backbones.order.differentiated_twice`), twice
    backwards. An engine that has not enough memory is not the fastest.

    Args:
        engines: all that are tried.
        params: parameters ``[T, ...]``.
        x: inputs ``[T, B, *input]``.
    """
    own = {name: p.detach().clone().requires_grad_() for name, p in params.items()}
    milliseconds: dict[str, float] = {}
    for name, engine in engines.items():
        with contextlib.suppress(torch.OutOfMemoryError), torch.enable_grad():
            work = functools.partial(forward_and_backward, engine, own, x.detach())
            times = [clock(x.device)(work) for _ in range(WARM_UP + REPEATS)]
            milliseconds[name] = statistics.median(times[WARM_UP:])
    return min(milliseconds, key=milliseconds.__getitem__) if milliseconds else next(iter(engines))


def forward_and_backward(engine: Engine, params: Mapping[str, Tensor], x: Tensor) -> None:
    """The work that engines are compared by: the features and their derivatives, as often as are taken.

    Args:
        engine: the engine.
        params: parameters ``[T, ...]`` that require gradients.
        x: inputs ``[T, B, *input]``.
    """
    twice = is_differentiated_twice()
    moving = list(params.values())
    total = engine(params, x).square().sum()
    slopes = torch.autograd.grad(total, moving, create_graph=twice, allow_unused=True)
    if twice:
        steepness = torch.stack(
            [slope.square().sum() for slope in slopes if slope is not None]
        ).sum()
        torch.autograd.grad(steepness, moving, allow_unused=True)


def _kind(tensor: Tensor) -> tuple[object, ...]:
    return tensor.shape, tensor.dtype, tensor.device
