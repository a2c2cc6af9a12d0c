"""Calibration, log-likelihood, F1 and the worst episodes, on predictions known by hand."""

import math

import pytest
import torch

from metabench.algorithms.base import Predictor
from metabench.episodes import Support
from metabench.metrics.accuracy.calibration import (
    expected_calibration_error,
    macro_f1,
    negative_log_likelihood,
    worst_decile,
)
from metabench.metrics.accuracy.metric import Accuracy
from metabench.metrics.mse import MeanSquaredError
from tests.helpers.small_world import Means, TargetMean, picture_trial, sine_trial


def logits(confidence: float, ways: int = 2) -> list[float]:
    return [math.log(confidence)] + [math.log((1 - confidence) / (ways - 1))] * (ways - 1)


def test_a_calibrated_classifier_has_no_calibration_error() -> None:
    outputs = torch.tensor([[logits(0.8)] * 10])
    right_eight_times = torch.tensor([[0] * 8 + [1] * 2])
    assert expected_calibration_error(outputs, right_eight_times) == pytest.approx(0, abs=1e-6)
    assert expected_calibration_error(outputs, torch.zeros(1, 10).long()) == pytest.approx(
        0.2, abs=1e-6
    )


def test_bins_do_not_make_up_for_each_other() -> None:
    outputs = torch.tensor([[logits(0.9)] * 10 + [logits(0.6)] * 10])
    targets = torch.tensor([[1] * 4 + [0] * 6 + [0] * 9 + [1]])
    assert expected_calibration_error(outputs, targets) == pytest.approx(0.3, abs=1e-6)


def test_log_likelihood() -> None:
    outputs = torch.tensor([[logits(0.9, 3), logits(0.5, 3)]])
    found = negative_log_likelihood(outputs, torch.tensor([[0, 1]]))
    assert found == pytest.approx(-(math.log(0.9) + math.log(0.25)) / 2)


def test_macro_f1_counts_classes_alike() -> None:
    labels, targets = torch.tensor([[0] * 10]), torch.tensor([[0] * 9 + [1]])
    assert macro_f1(labels, targets, 2) == pytest.approx((18 / 19 + 0) / 2)
    assert macro_f1(targets, targets, 2) == 1.0


def test_the_worst_decile() -> None:
    scores = [i / 20 for i in range(20)]
    assert worst_decile(scores) == pytest.approx(0.025)
    assert worst_decile(scores, higher_is_better=False) == pytest.approx(0.925)
    assert worst_decile([0.4]) == 0.4


class FavoursTheFirst(Means):
    """It says class 0 wherever it is not sure."""

    def adapt_batch(self, support: Support) -> Predictor:
        inner = super().adapt_batch(support)
        favour = torch.zeros(support.ways)
        favour[0] = 3.0
        return lambda query: inner(query) + favour


def test_a_method_that_favours_a_number_shows_it_by_way() -> None:
    trial = picture_trial(FavoursTheFirst, episodes=40)
    found = Accuracy().measure(trial)
    by_way = found.values["by_way"]
    assert sum(by_way) / 5 == pytest.approx(sum(found.episodes) / 40)  # as many queries of each
    assert by_way[0] > max(by_way[1:]) + 0.05
    predictions = trial.predictions()
    own = predictions.targets == 3
    right = (predictions.outputs.argmax(-1) == 3)[own].double().mean()
    assert by_way[3] == pytest.approx(float(right))


def test_they_stand_beside_the_score() -> None:
    found = Accuracy().measure(picture_trial(Means, shots=5))
    mean = sum(found.episodes) / len(found.episodes)
    assert found.values["worst_decile"] <= mean
    assert found.values["macro_f1"] == pytest.approx(mean, abs=0.05)
    assert found.values["nll"] > 0
    assert 0 <= found.values["ece"] <= 1
    errors = MeanSquaredError().measure(sine_trial(TargetMean))
    assert errors.values["worst_decile"] >= sum(errors.episodes) / len(errors.episodes)
