"""Whether queries influence each other's predictions."""

from metabench.metrics.measure import measure
from metabench.metrics.transduction import Transduction
from tests.helpers.small_trials import (
    CentresQueries,
    FailsOnSingleQuery,
    Means,
    Noisy,
    OneByOne,
    TargetMean,
    image_trial,
    sinusoid_trial,
)

METRIC = Transduction(episodes=12)


def test_the_difference_of_an_inductive_method_is_exactly_zero() -> None:
    for make in (Means, OneByOne):
        found = METRIC.measure(image_trial(make, shots=5))
        assert found.values["transductive"] is False
        assert set(found.episodes) == {0.0}


def test_a_method_that_uses_the_other_queries_is_transductive() -> None:
    found = METRIC.measure(image_trial(CentresQueries, shots=5))
    assert found.values["transductive"] is True
    assert found.values["together"] > found.values["alone"] + 0.3
    assert found.values["changed"] > 0.3
    assert sum(found.episodes) / 12 > 0.3


def test_a_method_that_fails_on_a_single_query_is_transductive_without_a_score() -> None:
    found = METRIC.measure(image_trial(FailsOnSingleQuery))
    assert found.values["transductive"] is True
    assert "more than 1 value" in found.values["alone"]["n/a"]
    assert found.episodes == []


def test_a_random_method_is_not_applicable() -> None:
    result = measure(METRIC, image_trial(Noisy))
    assert result.status == "n/a"
    assert "asked twice" in result.reason


def test_regression_is_measured_by_values() -> None:
    assert METRIC.measure(sinusoid_trial(TargetMean)).values["transductive"] is False
