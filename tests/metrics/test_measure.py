"""An error of a metric becomes its status and affects no other metric."""

import math
from typing import Any, ClassVar, Literal

import pytest
import torch

from metabench.algorithms.problem import Problem
from metabench.errors import CellFailed, DivergedError, NotApplicable, PluginError
from metabench.metrics.base import Measurement, Metric, values_or_reason
from metabench.metrics.measure import measure, unavailable
from metabench.metrics.options import make_metric
from metabench.metrics.trial import Trial
from metabench.plugins import installed_plugins
from metabench.registry import Spec
from tests.helpers.small_trials import Means, image_trial


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
def test_an_error_becomes_a_status_with_a_reason(outcome: Any, status: str, reason: str) -> None:
    result = measure(Planned(outcome), image_trial(Means))
    assert result.status == status
    assert reason in result.reason
    if status == "ok":
        assert (result.episodes, result.values) == (outcome.episodes, outcome.values)
    else:
        assert (result.mean, result.ci95, result.episodes, result.values) == (None, None, [], {})
    assert (result.version, result.direction, result.unit) == ("1", "higher", "share")


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        (NotApplicable("it has no inner steps."), NotApplicable),
        (RuntimeError("shapes"), RuntimeError),
        (Measurement([0.5, math.nan]), DivergedError),
        (Measurement(values={"a": torch.zeros(1)}), CellFailed),
    ],
)
def test_an_error_of_a_required_metric_is_raised(outcome: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        measure(Planned(outcome), image_trial(Means), required=True)


def test_a_result_has_the_mean_and_half_the_interval_of_its_scores() -> None:
    result = measure(Planned(Measurement([1.0, 3.0])), image_trial(Means))
    assert result.mean == 2.0
    assert result.ci95 == pytest.approx(12.706, abs=1e-3)
    lone = measure(Planned(Measurement([1.0])), image_trial(Means))
    assert (lone.mean, lone.ci95) == (1.0, None)


def test_a_metric_that_fails_leaves_the_parameters_and_buffers_as_they_were() -> None:
    class Spoiling(Planned):
        def measure(self, trial: Trial) -> Measurement:
            trial.algorithm.weight.data.add_(1)
            raise RuntimeError("after a change")

    class Weighted(Means):
        def __init__(self, problem: Problem) -> None:
            super().__init__(problem)
            self.weight = torch.nn.Parameter(torch.zeros(2))

    trial = image_trial(Weighted)
    assert measure(Spoiling(None), trial).status == "failed"
    assert trial.algorithm.weight.tolist() == [0, 0]
    assert trial.leaked_state == {"weight"}


def test_an_interrupt_is_not_swallowed() -> None:
    with pytest.raises(KeyboardInterrupt):
        measure(Planned(KeyboardInterrupt()), image_trial(Means))


def test_a_metric_whose_class_cannot_be_loaded_has_a_result_with_the_reason() -> None:
    spec = Spec("gone", "no_such_module:Metric")
    with pytest.raises(PluginError) as caught:
        make_metric(spec, {})
    result = unavailable(spec, caught.value)
    assert result.status == "failed"
    assert "no_such_module" in result.reason


def test_values_that_do_not_apply_become_their_reason() -> None:
    def not_applicable() -> dict[str, Any]:
        raise NotApplicable("1 shot.")

    def diverging() -> dict[str, Any]:
        raise DivergedError("not finite.")

    assert values_or_reason(lambda: {"a": 1}) == {"a": 1}
    assert values_or_reason(not_applicable) == {"n/a": "1 shot."}
    assert values_or_reason(diverging) == {"failed": "not finite."}


def test_every_builtin_metric_declares_its_attributes() -> None:
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
