"""Calibration, log-likelihood, F1 and the worst episodes of known predictions."""

import math

import pytest
import torch

from metabench.algorithms.base import Predictor
from metabench.episodes import Support
from metabench.metrics.accuracy.calibration import (
    expected_calibration_error,
    macro_f1,
    negative_log_likelihood,
)
from metabench.metrics.accuracy.metric import Accuracy
from metabench.metrics.mse import MeanSquaredError
from metabench.stats.worst_decile import worst_decile
from tests.helpers.small_trials import Means, TargetMean, image_trial, sinusoid_trial


def logits(confidence: float, ways: int = 2) -> list[float]:
    return [math.log(confidence)] + [math.log((1 - confidence) / (ways - 1))] * (ways - 1)


def test_a_calibrated_classifier_has_no_calibration_error() -> None:
    outputs = torch.tensor([[logits(0.8)] * 10])
    correct_eight_times = torch.tensor([[0] * 8 + [1] * 2])
    assert expected_calibration_error(outputs, correct_eight_times) == pytest.approx(0, abs=1e-6)
    assert expected_calibration_error(outputs, torch.zeros(1, 10).long()) == pytest.approx(
        0.2, abs=1e-6
    )


def test_errors_of_different_bins_do_not_cancel() -> None:
    outputs = torch.tensor([[logits(0.9)] * 10 + [logits(0.6)] * 10])
    targets = torch.tensor([[1] * 4 + [0] * 6 + [0] * 9 + [1]])
    assert expected_calibration_error(outputs, targets) == pytest.approx(0.3, abs=1e-6)


def test_the_likelihood_is_the_mean_in_nats() -> None:
    outputs = torch.tensor([[logits(0.9, 3), logits(0.5, 3)]])
    found = negative_log_likelihood(outputs, torch.tensor([[0, 1]]))
    assert found == pytest.approx(-(math.log(0.9) + math.log(0.25)) / 2)


def test_macro_f1_weighs_classes_equally() -> None:
    labels, targets = torch.tensor([[0] * 10]), torch.tensor([[0] * 9 + [1]])
    assert macro_f1(labels, targets, 2) == pytest.approx((18 / 19 + 0) / 2)
    assert macro_f1(targets, targets, 2) == 1.0


def test_the_worst_decile_is_the_mean_of_the_worst_tenth() -> None:
    scores = [i / 20 for i in range(20)]
    assert worst_decile(scores) == pytest.approx(0.025)
    assert worst_decile(scores, higher_is_better=False) == pytest.approx(0.925)
    assert worst_decile([0.4]) == 0.4


class PrefersLabelZero(Means):
    """Nearest means with a bias for label 0."""

    def adapt_batch(self, support: Support) -> Predictor:
        inner = super().adapt_batch(support)
        bias = torch.zeros(support.ways)
        bias[0] = 3.0
        return lambda query: inner(query) + bias


def test_a_preference_for_one_label_shows_in_by_way() -> None:
    trial = image_trial(PrefersLabelZero, episodes=40)
    found = Accuracy().measure(trial)
    by_way = found.values["by_way"]
    assert sum(by_way) / 5 == pytest.approx(sum(found.episodes) / 40)  # as many queries of each
    assert by_way[0] > max(by_way[1:]) + 0.05
    predictions = trial.predictions()
    own = predictions.targets == 3
    correct = (predictions.outputs.argmax(-1) == 3)[own].double().mean()
    assert by_way[3] == pytest.approx(float(correct))


def test_the_metric_returns_them_with_the_score() -> None:
    found = Accuracy().measure(image_trial(Means, shots=5))
    mean = sum(found.episodes) / len(found.episodes)
    assert found.values["worst_decile"] <= mean
    assert found.values["macro_f1"] == pytest.approx(mean, abs=0.05)
    assert found.values["nll"] > 0
    assert 0 <= found.values["ece"] <= 1
    errors = MeanSquaredError().measure(sinusoid_trial(TargetMean))
    assert errors.values["worst_decile"] >= sum(errors.episodes) / len(errors.episodes)
