"""What goes wrong in one metric is a status of that metric alone."""

import math
from typing import Any, ClassVar, Literal

import pytest
import torch

from metabench.errors import CellFailed, DivergedError, NotApplicable
from metabench.metrics.base import Measurement, Metric, measured, part
from metabench.metrics.trial import Trial
from metabench.plugins import installed_plugins
from tests.helpers.small_world import Means, picture_trial


class Planned(Metric):
    name: ClassVar[str] = "planned"
    direction: ClassVar[Literal["higher", "lower"]] = "higher"
    unit: ClassVar[str] = "share"

    def __init__(self, outcome: Any) -> None:
        self.outcome = outcome

    def measure(self, trial: Trial) -> Measurement:
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


@pytest.mark.parametrize(
    ("outcome", "status", "reason"),
    [
        (Measurement([0.5], {"a": 1}), "ok", ""),
        (NotApplicable("it has no inner steps."), "n/a", "no inner steps"),
        (CellFailed("bad.", hint="Do this."), "failed", "Do this."),
        (DivergedError("not finite."), "failed", "not finite"),
        (RuntimeError("shapes"), "failed", "RuntimeError: shapes"),
        (MemoryError("all of it"), "out-of-memory", "all of it"),
        (torch.OutOfMemoryError("CUDA"), "out-of-memory", "CUDA"),
        (Measurement([0.5, math.nan]), "failed", "not finite"),
        (Measurement(values={"a": math.inf}), "failed", "JSON"),
        (Measurement(values={"a": torch.zeros(1)}), "failed", "JSON"),
    ],
)
def test_a_status_and_a_reason(outcome: Any, status: str, reason: str) -> None:
    found = measured(Planned(outcome), picture_trial(Means))
    assert found.status == status
    assert reason in found.reason
    assert found.measurement == (outcome if status == "ok" else Measurement())


def test_an_interrupt_is_not_swallowed() -> None:
    with pytest.raises(KeyboardInterrupt):
        measured(Planned(KeyboardInterrupt()), picture_trial(Means))


def test_a_part_that_does_not_fit_leaves_the_others() -> None:
    def no() -> dict[str, Any]:
        raise NotApplicable("1 shot.")

    def bad() -> dict[str, Any]:
        raise DivergedError("not finite.")

    assert part(lambda: {"a": 1}) == {"a": 1}
    assert part(no) == {"n/a": "1 shot."}
    assert part(bad) == {"failed": "not finite."}


def test_every_metric_that_ships_says_what_it_is() -> None:
    registry = installed_plugins().registry
    families = {
        "accuracy",
        "adaptation",
        "adversarial",
        "cost",
        "mse",
        "noise",
        "shift",
        "transduction",
    }
    metrics = {spec.name: spec.load() for spec in registry.specs("metric")}
    assert families <= set(metrics)
    for name in families:
        metric = metrics[name]
        assert metric.name == name
        assert int(metric.version) >= 1
        assert metric.direction in ("higher", "lower")
        assert metric.unit
        assert metric.__doc__
        assert "measure" in metric.__dict__
