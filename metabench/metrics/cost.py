"""Cost of adapting and predicting: time, memory, parameters, FLOPs and energy."""

from __future__ import annotations

from typing import ClassVar, Literal

from metabench.metrics.base import Measurement, Metric
from metabench.metrics.trial import Trial


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
        task = next(iter(trial.sampler.range(0, 1)))
        return Measurement(values=trial.model.cost(task.support, task.query_x))
