"""What adapting and predicting cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from metabench.metrics.base import Measurement, Metric
from metabench.metrics.trial import Trial
from metabench.runtime.energy import joules_each
from metabench.runtime.exclusive import timing_lock
from metabench.runtime.memory import peak_process_mb
from metabench.runtime.timing import Timing, measure


class Cost(Metric):
    """Milliseconds to adapt to one task and to predict its queries, peak memory, parameters, and FLOPs.

    One task at a time, after warm-up and synchronised with the device: the median, with the distance between
    the quartiles, while every other cell on the machine waits; ``timed_alone`` says whether they did. Peak
    memory of the process counts all of the cell's life so far, training included. ``gradient_order`` is what
    the algorithm says of itself. FLOPs are those of matrix products, convolutions and attention, forward and
    backward, by the formulas of :mod:`torch.utils.flop_counter`; n/a where there are none. Energy is that of
    the whole card, where NVIDIA's driver tells it, and otherwise nothing.
    """

    name: ClassVar[str] = "cost"
    direction: ClassVar[Literal["higher", "lower"]] = "lower"
    unit: ClassVar[str] = "ms"

    def measure(self, trial: Trial) -> Measurement:
        """See :class:`Metric`."""
        algorithm = trial.algorithm
        task = next(iter(trial.sampler.range(0, 1)))
        predictor = algorithm.adapt(task.support)

        def predict() -> None:
            with torch.no_grad():
                predictor(task.query_x)

        with timing_lock.exclusive():  # the others are asked to wait once for both
            adapting = measure(lambda: algorithm.adapt(task.support), device=trial.device)
            predicting = measure(predict, device=trial.device)
        values: dict[str, Any] = {
            **_timing("adapt", adapting),
            **_timing("predict", predicting),
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
        trial.restore()
        return Measurement(values=values)


class FlopCount(TorchDispatchMode):
    """Counts the floating-point operations of what runs inside, forward and backward.

    :class:`torch.utils.flop_counter.FlopCounterMode` does the same, and hooks every module besides, under
    which some adaptations cannot be differentiated.
    """

    total = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if (count := flop_registry.get(func._overloadpacket)) is not None:
            self.total += int(count(*args, **kwargs, out_val=out))
        return out


def _flops(function: Callable[[], object]) -> int | dict[str, Any]:
    """What a call computes, or why that is not known."""
    try:
        with FlopCount() as counter:  # type: ignore[no-untyped-call]
            function()
    except (RuntimeError, NotImplementedError) as error:
        return {"n/a": f"PyTorch cannot count its operations: {error}"}
    return counter.total or {"n/a": "PyTorch can count none of its operations."}


def _timing(name: str, timing: Timing) -> dict[str, float]:
    return {f"{name}_ms": timing.median_ms, f"{name}_ms_iqr": timing.iqr_ms}
