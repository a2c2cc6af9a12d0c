"""Whether queries help each other is measured, not declared."""

from metabench.metrics.base import measured
from metabench.metrics.transduction import Transduction
from tests.helpers.small_world import (
    Centred,
    Means,
    NeedsCompany,
    Noisy,
    OneByOne,
    TargetMean,
    picture_trial,
    sine_trial,
)

METRIC = Transduction(episodes=12)


def test_an_inductive_method_gives_exactly_nothing() -> None:
    for make in (Means, OneByOne):
        found = METRIC.measure(picture_trial(make, shots=5))
        assert found.values["transductive"] is False
        assert set(found.episodes) == {0.0}


def test_a_method_that_uses_the_other_queries_is_found() -> None:
    found = METRIC.measure(picture_trial(Centred, shots=5))
    assert found.values["transductive"] is True
    assert found.values["together"] > found.values["alone"] + 0.3
    assert found.values["changed"] > 0.3
    assert sum(found.episodes) / 12 > 0.3


def test_a_method_that_needs_company_is_transductive_without_a_score() -> None:
    found = METRIC.measure(picture_trial(NeedsCompany))
    assert found.values["transductive"] is True
    assert "more than 1 value" in found.values["alone"]["n/a"]
    assert found.episodes == []


def test_a_random_method_is_not_applicable() -> None:
    outcome = measured(METRIC, picture_trial(Noisy))
    assert outcome.status == "n/a"
    assert "asked twice" in outcome.reason


def test_regression() -> None:
    assert METRIC.measure(sine_trial(TargetMean)).values["transductive"] is False
