"""Adaptation curves and their areas."""

import math
from collections.abc import Iterator
from typing import ClassVar

import pytest
import torch

from metabench.algorithms.base import Predictor
from metabench.episodes import Support
from metabench.metrics.adaptation.curves import area, nearly_best, steps_to
from metabench.metrics.adaptation.metric import Adaptation
from metabench.metrics.measure import measure
from metabench.stats import t_interval
from tests.helpers.small_trials import Means, Sharpening, TargetMean, image_trial, sinusoid_trial

METRIC = Adaptation(episodes=6)
LOG = {k: math.log1p(k) for k in (0, 1, 2, 3, 5, 10, 20, 50)}


def test_the_area_of_known_curves() -> None:
    steps = [0, 1, 3, 7]  # equal distances on the axis of log(1 + steps)
    assert float(area(steps, torch.tensor([0.7, 0.7, 0.7, 0.7]))) == pytest.approx(0.7)
    assert float(area(steps, torch.tensor([0.0, 0.3, 0.6, 0.9]))) == pytest.approx(0.45)
    assert float(area(steps, torch.tensor([0.0, 1.0, 1.0, 1.0]))) == pytest.approx(5 / 6)
    assert float(area(steps, torch.tensor([-4.0, -2.0, -2.0, 0.0]))) == pytest.approx(-2.0)
    assert area(steps, torch.rand(5, 4)).shape == (5,)


def test_an_early_rise_counts_more_than_a_late_one() -> None:
    steps = [0, 1, 2, 3, 5, 10, 20, 50]
    early, late = torch.zeros(8), torch.zeros(8)
    early[1:], late[-1:] = 1.0, 1.0
    assert float(area(steps, early)) == pytest.approx(1 - LOG[1] / 2 / LOG[50])
    assert float(area(steps, late)) == pytest.approx((LOG[50] - LOG[20]) / 2 / LOG[50])


def test_steps_to_a_threshold_are_the_first_that_reach_it() -> None:
    assert steps_to([0, 1, 5], [0.1, 0.95, 0.9], 0.9) == 1
    assert steps_to([0, 1, 5], [0.1, 0.2, 0.3], 0.9) is None
    assert nearly_best([0.2, 0.9, 0.8]) == pytest.approx(0.855)
    assert nearly_best([-4.0, -1.0, 0.0], regression=True) == pytest.approx(-0.2)


def test_the_curve_of_a_method_with_known_steps() -> None:
    trial = image_trial(Sharpening, shots=5, queries=6, episodes=6)
    found = METRIC.measure(trial)
    predictions = trial.predictions()
    right = (predictions.outputs.argmax(-1) == predictions.targets).double()
    first = (predictions.targets == 0).double()
    of_episodes = [torch.cat([right[:, :k], first[:, k:]], dim=1).mean(1) for k in LOG]
    expected = [float(scores.mean()) for scores in of_episodes]
    assert found.values["curve"]["score"] == pytest.approx(expected)
    half_widths = [t_interval(scores.tolist()).half_width for scores in of_episodes]
    assert found.values["curve"]["ci95"] == pytest.approx(half_widths)
    assert found.values["curve"]["steps"] == list(LOG)
    assert found.values["area"] == pytest.approx(float(area(list(LOG), torch.tensor(expected))))
    assert sum(found.episodes) / 6 == pytest.approx(found.values["area"])
    assert found.values["best"] == max(expected)
    assert found.values["steps_to_threshold"] == next(
        k for k, s in zip(LOG, expected, strict=True) if s >= 0.9
    )
    ms = found.values["curve"]["ms"]
    assert ms == sorted(ms)


def test_a_method_without_adapt_path_has_one_point_and_no_area() -> None:
    trial = image_trial(Means, shots=5, episodes=6)
    found = METRIC.measure(trial)
    assert found.episodes == []
    assert "has no adapt_path" in found.values["area"]["n/a"]
    assert found.values["curve"]["score"] == pytest.approx(
        [
            float(
                (trial.predictions().outputs.argmax(-1) == trial.predictions().targets)
                .double()
                .mean()
            )
        ]
    )
    assert found.values["ms_per_task"] > 0


def test_a_method_that_diverges_has_the_curve_up_to_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Sharpening, "diverges_after", 10)
    found = METRIC.measure(image_trial(Sharpening, episodes=6))
    assert found.values["curve"]["steps"] == [0, 1, 2, 3, 5, 10]
    assert found.values["area"] == {"n/a": "it diverges after 20 inner steps."}
    assert found.episodes == []
    monkeypatch.setattr(Sharpening, "diverges_after", -1)
    result = measure(METRIC, image_trial(Sharpening, episodes=6))
    assert result.status == "failed"
    assert "before it adapts" in result.reason


class Exploding(TargetMean):
    """Each step multiplies its predictions; all of them stay finite."""

    name: ClassVar[str] = "exploding"
    factor = 1e3

    def adapt_path(self, support: Support, steps: int) -> Iterator[Predictor]:
        return (
            lambda query, k=k: torch.full((len(query), 1), self.factor**k) for k in range(steps + 1)
        )


def test_a_method_whose_finite_error_explodes_has_diverged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = measure(Adaptation(episodes=6, steps=(0, 1, 2, 5, 10)), sinusoid_trial(Exploding))
    assert (found.status, found.episodes) == ("ok", [])
    assert found.values["curve"]["steps"] == [0]
    assert found.values["area"] == {"n/a": "it diverges after 1 inner steps."}
    monkeypatch.setattr(Exploding, "factor", 1.05)  # worse with every step, but not diverged
    slow = METRIC.measure(sinusoid_trial(Exploding)).values
    assert slow["curve"]["steps"] == list(LOG)
    assert slow["area"] < slow["curve"]["score"][0]


def test_a_path_that_ends_early_is_not_applicable(monkeypatch: pytest.MonkeyPatch) -> None:
    adapt_path = Sharpening.adapt_path
    monkeypatch.setattr(
        Sharpening, "adapt_path", lambda self, support, steps: adapt_path(self, support, 3)
    )
    result = measure(METRIC, image_trial(Sharpening))
    assert result.status == "n/a"
    assert "ended after 4 of 51" in result.reason


def test_more_shots_are_better_on_the_same_queries() -> None:
    found = METRIC.measure(image_trial(Means, episodes=6)).values["shots"]
    assert found["shots"] == [1, 2, 5, 10]
    assert found["queries"] == 6
    assert found["score"][0] < found["score"][-1]


def test_classes_with_few_examples_have_fewer_queries_or_shots() -> None:
    found = METRIC.measure(image_trial(Means, queries=12, examples=20)).values["shots"]
    assert (found["shots"], found["queries"]) == ([1, 2, 5, 10], 10)
    found = METRIC.measure(image_trial(Means, queries=6, examples=12)).values["shots"]
    assert (found["shots"], found["queries"]) == ([1, 2, 5], 6)


def test_a_regression_curve_is_minus_the_squared_error() -> None:
    found = METRIC.measure(sinusoid_trial(TargetMean)).values
    assert found["curve"]["score"][0] < found["curve"]["score"][1] < 0
    assert found["steps_to_95"] == 1
    assert found["threshold"] == -1.0
    assert len(found["shots"]["score"]) == 4
