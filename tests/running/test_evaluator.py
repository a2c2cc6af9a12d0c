"""Meta-test: a metric that fails does not affect the others; the one that ranks fails the cell."""

import json
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch

from metabench import Algorithm
from metabench.errors import NotApplicable
from metabench.executors.processes import ProcessExecutor
from metabench.metrics.base import EpisodeMetric, Measurement, Metric
from metabench.metrics.trial import Trial
from metabench.records.schema import Record
from metabench.registry import Spec
from metabench.running.job import Job, Terms
from metabench.running.run_cell import Conditions
from tests.helpers.cells import blobs, cell, run_here, scores_of, waves

CHEAP: dict[str, dict[str, Any]] = {
    "adaptation": {"episodes": 3},
    "adversarial": {
        "episodes": 2,
        "radii": (0.1,),
        "l2_radii": (),
        "steps": 2,
        "restarts": 1,
        "black_box_episodes": 1,
        "black_box_steps": 2,
    },
    "noise": {"episodes": 3, "severities": (3,), "support_severities": ()},
    "shift": {"episodes": 3},
    "transduction": {"episodes": 3},
}
FAMILIES = ("accuracy", "cost", *CHEAP)


@dataclass(frozen=True)
class Planted(Metric):
    """Behaves as its option says."""

    name, direction, unit = "planted", "lower", "points"

    how: str = ""

    def measure(self, trial: Trial) -> Measurement:
        match self.how:
            case "nan":
                return Measurement([0.5, float("nan")])
            case "tensor":
                return Measurement(values={"a": torch.ones(2)})
            case "memory":
                raise MemoryError("planted")
            case "bug":
                raise KeyError("planted")
            case "n/a":
                raise NotApplicable("it has no wheels.")
        return Measurement([1.0, 3.0], {"how": self.how})


@pytest.fixture
def world(planted) -> Any:
    planted.registry.add("metric", Spec("planted", Planted))
    return planted


def measured_as(world: Any, how: str) -> Record:
    benchmark = blobs(
        metrics=("accuracy", "planted", "cost"), metric_options={"planted": {"how": how}}
    )
    return run_here(world, cell("nearest-mean", benchmark))


@pytest.mark.parametrize(
    ("how", "status", "says"),
    [
        ("nan", "failed", "not finite"),
        ("tensor", "failed", "Tensor"),
        ("memory", "out-of-memory", "MemoryError: planted"),
        ("bug", "failed", "KeyError: 'planted'"),
        ("n/a", "n/a", "it has no wheels."),
    ],
)
def test_an_error_of_a_metric_is_a_status_of_that_metric(
    world, how: str, status: str, says: str
) -> None:
    record = measured_as(world, how)
    assert record.status == "ok"
    found = record.metrics["planted"]
    assert found.status == status
    assert says in found.reason
    assert (found.mean, found.ci95, found.episodes, found.values) == (None, None, [], {})
    assert record.score is not None
    assert record.metrics["cost"].values["adapt_ms"] > 0
    assert Record.model_validate_json(record.model_dump_json()) == record


def test_a_metric_that_succeeds_has_its_mean_and_its_options(world) -> None:
    found = measured_as(world, "fine").metrics["planted"]
    assert (found.status, found.reason, found.mean, found.episodes) == ("ok", "", 2.0, [1.0, 3.0])
    assert found.values == {"how": "fine"}


def test_a_metric_that_cannot_be_imported_is_a_status_of_that_metric(world) -> None:
    world.registry.add("metric", Spec("gone", "no_such_module:Metric"))
    record = run_here(world, cell("nearest-mean", blobs(metrics=("accuracy", "gone", "cost"))))
    assert record.status == "ok"
    assert record.metrics["gone"].status == "failed"
    assert "no_such_module" in record.metrics["gone"].reason
    assert record.metrics["cost"].status == "ok"


def test_the_metric_that_ranks_fails_the_cell(world) -> None:
    record = run_here(world, cell("nearest-mean", waves(metrics=("accuracy",), dataset="sinusoid")))
    assert record.status != "ok"
    assert not record.metrics


def test_a_worker_measures_the_selected_metrics(planted) -> None:
    what = cell("nearest-mean", blobs(metrics=("accuracy", "cost")))
    what = replace(what, metrics=("mse", "transduction"))
    (record,) = ProcessExecutor(Terms(planted.registry, jobs=1)).run(
        [Job(what, "a" * 64, Conditions(), ("metabench-planted",))]
    )
    assert record.status == "ok", record.reason
    assert {name: metric.status for name, metric in record.metrics.items()} == {
        "accuracy": "ok",
        "mse": "n/a",
        "transduction": "ok",
    }


def test_a_record_without_metric_statuses_can_be_read(world) -> None:
    content = json.loads(measured_as(world, "fine").model_dump_json())
    for metric in content["metrics"].values():
        del metric["status"], metric["reason"]
    del content["benchmark"]["metric_options"]
    record = Record.model_validate(content)
    assert {metric.status for metric in record.metrics.values()} == {"ok"}


def test_more_metrics_change_neither_the_scores_nor_the_key(world) -> None:
    plain = run_here(world, cell("learner"))
    many = run_here(world, cell("learner", blobs(metrics=FAMILIES, metric_options=CHEAP)))
    assert scores_of(many)["accuracy"] == scores_of(plain)["accuracy"]
    assert many.key == plain.key
    assert {name: m.status for name, m in many.metrics.items()} == dict.fromkeys(FAMILIES, "ok")


class _Breakable(Algorithm):
    """The nearest mean in pixel space, with hooks that break it after the ranking metric."""

    def adapt(self, support: Any) -> Any:
        means = support.class_means(support.x.flatten(1))
        return lambda query: self.breaking(-torch.cdist(self.see(query).flatten(1), means), query)

    def see(self, query: torch.Tensor) -> torch.Tensor:
        return query

    def breaking(self, logits: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
        return logits


class Detached(_Breakable):
    name = "detached"

    def see(self, query: torch.Tensor) -> torch.Tensor:
        return query.detach()


class BadWhenAttacked(_Breakable):
    """Predicts NaN for queries that require a gradient."""

    name = "bad-when-attacked"

    def breaking(self, logits: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
        return logits * float("nan") if query.requires_grad else logits


class OtherShapeAlone(_Breakable):
    """Predicts another shape for a single query."""

    name = "other-shape-alone"

    def breaking(self, logits: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
        return logits[:, :1] if len(query) == 1 else logits


def statuses(world: Any, algorithm: type[Algorithm], **changes: Any) -> dict[str, Any]:
    world.registry.add("algorithm", Spec(algorithm.name, algorithm))
    benchmark = blobs(metrics=FAMILIES, metric_options=CHEAP, test_episodes=6, **changes)
    record = run_here(world, cell(algorithm.name, benchmark))
    assert record.status == "ok", record.reason
    return record.metrics


class TestBreakableAlgorithms:
    def test_a_detached_input_is_attacked_without_gradients(self, world) -> None:
        metrics = statuses(world, Detached)
        values = metrics["adversarial"].values
        assert metrics["adversarial"].status == "ok"
        assert "detaches its input" in values["white_box"]["n/a"]
        assert set(values["attacks"]) == {"square-linf-0.1"}
        assert {m.status for m in metrics.values()} == {"ok"}

    def test_a_prediction_that_is_not_finite_fails_only_the_attack(self, world) -> None:
        metrics = statuses(world, BadWhenAttacked)
        assert metrics["adversarial"].status == "failed"
        assert "not finite" in metrics["adversarial"].reason
        assert {m.status for name, m in metrics.items() if name != "adversarial"} == {"ok"}

    def test_a_wrong_shape_fails_only_the_metric_that_sees_it(self, world) -> None:
        metrics = statuses(world, OtherShapeAlone)
        assert metrics["transduction"].status == "failed"
        assert "predicted [1, 1, 1]" in metrics["transduction"].reason
        assert {m.status for name, m in metrics.items() if name != "transduction"} == {"ok"}

    def test_a_radius_of_zero_fails_only_the_attack(self, world) -> None:
        options = CHEAP | {"adversarial": {"radii": (0.0,)}}
        record = run_here(
            world, cell("nearest-mean", blobs(metrics=FAMILIES, metric_options=options))
        )
        assert record.metrics["adversarial"].status == "failed"
        assert (
            "adversarial.radii: (0.0,) (it must be greater than 0)"
            in record.metrics["adversarial"].reason
        )
        assert record.metrics["noise"].status == "ok"

    def test_metrics_of_images_do_not_apply_to_regression(self, world) -> None:
        metrics = ("mse", "accuracy", *FAMILIES[1:])
        record = run_here(world, cell("finetune", waves(metrics=metrics, metric_options=CHEAP)))
        assert record.status == "ok", record.reason
        found = {name: metric.status for name, metric in record.metrics.items()}
        assert found == dict.fromkeys(metrics, "ok") | dict.fromkeys(
            ("accuracy", "adversarial", "shift"), "n/a"
        )
        assert "regression" in record.metrics["adversarial"].reason
        assert "images" in record.metrics["shift"].reason


class Fixed(EpisodeMetric):
    """Returns scores that a test chooses."""

    name, direction, unit = "fixed", "higher", "points"
    chosen: Any = 0.5

    def scores(self, predictions) -> list[float]:
        return [self.chosen] * len(predictions.outputs)


class Unserialisable(Metric):
    """Returns values that JSON cannot hold."""

    name, direction, unit = "unserialisable", "higher", "points"

    def measure(self, trial: Trial) -> Measurement:
        return Measurement(values={"tensor": torch.ones(2)})


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_that_is_not_finite_fails_the_cell(planted, monkeypatch, score: float) -> None:
    planted.registry.add("metric", Spec("fixed", Fixed))
    monkeypatch.setattr(Fixed, "chosen", score)
    for algorithm in ("learner", "nearest-mean"):  # in meta-validation, at test
        record = run_here(planted, cell(algorithm, blobs(metrics=("fixed",))))
        assert record.status == "failed"
        assert "finite" in record.reason or f"is {score}" in record.reason
        Record.model_validate_json(record.model_dump_json())


def test_values_that_json_cannot_hold_are_not_in_the_record(planted) -> None:
    planted.registry.add("metric", Spec("unserialisable", Unserialisable))
    record = run_here(planted, cell("nearest-mean", blobs(metrics=("accuracy", "unserialisable"))))
    text = record.model_dump_json()
    assert Record.model_validate_json(text) == record
    assert "unserialisable" in text
    assert "Tensor" in text
