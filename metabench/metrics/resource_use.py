"""What it costs to adapt to one task and to predict it: times, memory, FLOPs and energy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from metabench.algorithms.base import Algorithm
from metabench.episodes import Support
from metabench.runtime import timing
from metabench.runtime.energy import joules_each
from metabench.runtime.exclusive import timing_lock
from metabench.runtime.flops import FlopCounter
from metabench.runtime.memory import peak_process_mb


def cost_of(algorithm: Algorithm, support: Support, query: Tensor) -> dict[str, Any]:
    """Returns the values of :class:`metabench.metrics.cost.Cost` for one task.

    Args:
        algorithm: The algorithm.
        support: ``x`` ``[S, *input]`` and ``y`` ``[S]``.
        query: ``[Q, *input]``.
    """
    device = support.x.device
    predictor = algorithm.adapt(support)

    def predict() -> None:
        with torch.no_grad():
            predictor(query)

    # The other cells are asked to wait once, for both measurements.
    with timing_lock.exclusive():
        adapting = timing.measure(lambda: algorithm.adapt(support), device=device)
        predicting = timing.measure(predict, device=device)
    values: dict[str, Any] = {
        **_times("adapt", adapting),
        **_times("predict", predicting),
        "predict_ms_per_query": predicting.median_ms / len(query),
        "timed_alone": adapting.exclusive and predicting.exclusive,
        "parameters": sum(p.numel() for p in algorithm.parameters()),
        "gradient_order": algorithm.gradient_order,
        "peak_process_mb": peak_process_mb(),
        "peak_device_mb": None,
    }
    values["adapt_flops"] = _flops(lambda: algorithm.adapt(support))
    values["predict_flops"] = _flops(predict)
    values["adapt_joules"] = joules_each(lambda: algorithm.adapt(support), device)
    if device.type == "cuda":
        values["peak_device_mb"] = torch.cuda.max_memory_allocated(device) / 2**20
    return values


def _flops(function: Callable[[], object]) -> int | dict[str, Any]:
    """Returns the operations of a call, or why they are unknown."""
    try:
        with FlopCounter() as counter:  # type: ignore[no-untyped-call]
            function()
    except (RuntimeError, NotImplementedError) as error:
        return {"n/a": f"PyTorch cannot count its operations: {error}"}
    return counter.total or {"n/a": "PyTorch can count none of its operations."}


def _times(name: str, measured: timing.Timing) -> dict[str, float]:
    return {f"{name}_ms": measured.median_ms, f"{name}_ms_iqr": measured.iqr_ms}
