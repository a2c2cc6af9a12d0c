"""Cost of adapting and predicting: time, memory, parameters, FLOPs and energy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import torch

from metabench.metrics.base import Measurement, Metric
from metabench.metrics.trial import Trial
from metabench.runtime import timing
from metabench.runtime.energy import joules_each
from metabench.runtime.exclusive import timing_lock
from metabench.runtime.flops import FlopCounter
from metabench.runtime.memory import peak_process_mb


class Cost(Metric):
    """Milliseconds to adapt to one task and to predict its queries, memory, parameters, FLOPs.

    Times are medians of one task at a time after warm-up, synchronized with the device, with their
    interquartile range, while other cells on the machine wait; ``timed_alone`` says whether they
    did. Peak memory of the process is that of the cell's whole life, training included.
    ``gradient_order`` is what the algorithm declares. FLOPs are those of matrix products,
    convolutions and attention, forward and backward, by the formulas of
    :mod:`torch.utils.flop_counter`; n/a if there are none. Energy is that of the whole GPU, if
    NVIDIA's driver reports it, else ``None``.
    """

    name: ClassVar[str] = "cost"
    direction: ClassVar[Literal["higher", "lower"]] = "lower"
    unit: ClassVar[str] = "ms"

    def measure(self, trial: Trial) -> Measurement:
        """Measure the first test episode; see :class:`Metric`."""
        algorithm = trial.algorithm
        task = next(iter(trial.sampler.range(0, 1)))
        predictor = algorithm.adapt(task.support)

        def predict() -> None:
            with torch.no_grad():
                predictor(task.query_x)

        with (
            timing_lock.exclusive()
        ):  # the other cells are asked to wait once, for both measurements
            adapting = timing.measure(lambda: algorithm.adapt(task.support), device=trial.device)
            predicting = timing.measure(predict, device=trial.device)
        values: dict[str, Any] = {
            **_times("adapt", adapting),
            **_times("predict", predicting),
            "predict_ms_per_query": predicting.median_ms / len(task.query_x),
            "timed_alone": adapting.exclusive and predicting.exclusive,
            "parameters": sum(p.numel() for p in algorithm.parameters()),
            "gradient_order": algorithm.gradient_order,
            "peak_process_mb": peak_process_mb(),
            "peak_device_mb": None,
        }
        values["adapt_flops"] = _flops(lambda: algorithm.adapt(task.support))
        values["predict_flops"] = _flops(predict)
        values["adapt_joules"] = joules_each(lambda: algorithm.adapt(task.support), trial.device)
        if trial.device.type == "cuda":
            values["peak_device_mb"] = torch.cuda.max_memory_allocated(trial.device) / 2**20
        return Measurement(values=values)


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
