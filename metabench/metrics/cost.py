"""What adapting and predicting cost."""

from __future__ import annotations

import resource
import sys
from typing import ClassVar, Literal

import torch

from metabench.metrics.base import Measurement, Metric
from metabench.timing import Timing, measure
from metabench.trial import Trial


class Cost(Metric):
    """Milliseconds to adapt to one task and to predict its queries, peak memory, and parameters.

    One task at a time, after warm-up and synchronised with the device: the median, with the distance between
    the quartiles. Peak memory of the process counts all of the cell's life so far, training included.
    """

    name: ClassVar[str] = "cost"
    direction: ClassVar[Literal["higher", "lower"]] = "lower"
    unit: ClassVar[str] = "ms"

    def measure(self, trial: Trial) -> Measurement:
        """See :class:`Metric`."""
        algorithm = trial.algorithm
        task = next(iter(trial.sampler.range(0, 1)))
        adapt = measure(lambda: algorithm.adapt(task.support), device=trial.device)
        predictor = algorithm.adapt(task.support)

        def predict() -> None:
            with torch.no_grad():
                predictor(task.query_x)

        values: dict[str, float | int | None] = {
            **_timing("adapt", adapt),
            **_timing("predict", measure(predict, device=trial.device)),
            "parameters": sum(p.numel() for p in algorithm.parameters()),
            "peak_process_mb": peak_process_mb(),
            "peak_device_mb": None,
        }
        if trial.device.type == "cuda":
            values["peak_device_mb"] = torch.cuda.max_memory_allocated(trial.device) / 2**20
        return Measurement(values=values)


def peak_process_mb() -> float:
    """The most memory that this process has had, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def _timing(name: str, timing: Timing) -> dict[str, float]:
    return {f"{name}_ms": timing.median_ms, f"{name}_ms_iqr": timing.iqr_ms}
