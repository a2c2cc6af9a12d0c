"""Noise costs score, paired on the same frozen episodes."""

import functools

import pytest
import torch

from metabench.metrics.base import measured
from metabench.metrics.images import change_pictures
from metabench.metrics.noise.corruptions import CORRUPTIONS, corrupt
from metabench.metrics.noise.metric import Noise
from metabench.metrics.scoring import score_changed, score_changes
from tests.helpers.small_world import (
    Blind,
    Descending,
    Means,
    NotANumber,
    OneByOne,
    TargetMean,
    picture_trial,
    sine_trial,
)

QUICK = Noise(episodes=12, severities=(1, 5), support_severities=(3,))


def test_wrong_labels_cost_more_the_more_there_are() -> None:
    found = QUICK.measure(picture_trial(Means, shots=5)).values["label_noise"]
    assert [found[share]["flipped"] for share in ("0.2", "0.4", "0.6")] == [0.2, 0.4, 0.6]
    drops = [found[share]["drop"] for share in ("0.2", "0.4", "0.6")]
    assert drops == sorted(drops)
    assert drops[-1] > 0.3


def test_one_shot_has_no_label_noise_but_corruptions() -> None:
    found = QUICK.measure(picture_trial(Means))
    assert "at 1" in found.values["label_noise"]["n/a"]
    assert set(CORRUPTIONS) < set(found.values["corruptions"]["query"])
    assert len(found.episodes) == 12


def test_one_shot_has_label_noise_in_episodes_with_more_shots_where_that_is_asked_for() -> None:
    metric = Noise(episodes=12, severities=(), support_severities=(), label_shots=5)
    one, five = (
        metric.measure(picture_trial(Means, shots=k)).values["label_noise"] for k in (1, 5)
    )
    assert one == five
    assert (one["shots"], one["queries"]) == (5, 6)
    assert one["0.4"]["drop"] == pytest.approx(one["clean"] - one["0.4"]["score"])
    assert one["0.6"]["drop"] > 0.3


def test_drops_are_paired_and_the_episode_scores_are_their_mean() -> None:
    found = QUICK.measure(picture_trial(Means, shots=5))
    by_kind = found.values["corruptions"]["query"]
    for name in CORRUPTIONS:
        for level in by_kind[name]:
            assert level["drop"] == pytest.approx(found.values["clean"] - level["score"])
    drops = [level["drop"] for name in CORRUPTIONS for level in by_kind[name]]
    assert sum(found.episodes) / 12 == pytest.approx(sum(drops) / len(drops))
    assert by_kind["mean_drop"] == pytest.approx(found.values["mean_drop"])
    assert by_kind["gaussian"][1]["drop"] > by_kind["gaussian"][0]["drop"]
    assert set(found.values["corruptions"]) == {"query", "support", "both"}


def test_a_query_is_scored_alike_whether_its_task_is_adapted_to_once_or_again() -> None:
    changes = [
        functools.partial(change_pictures, change=corrupt(name, 4), where="query")
        for name in ("gaussian", "blur")
    ]
    for make in (Means, OneByOne, Descending):
        once = score_changes(picture_trial(make), 12, changes, "query")
        again = [score_changed(picture_trial(make), 12, change) for change in changes]
        assert all(map(torch.equal, once, again))


def test_a_method_that_never_looks_loses_nothing() -> None:
    found = QUICK.measure(picture_trial(Blind, shots=5))
    assert set(found.episodes) == {0.0}


def test_the_same_trial_gives_the_same_numbers() -> None:
    assert QUICK.measure(picture_trial(Means)) == QUICK.measure(picture_trial(Means))


def test_colour_pictures() -> None:
    found = Noise(episodes=4, severities=(5,), support_severities=()).measure(
        picture_trial(Means, channels=3)
    )
    assert set(found.values["corruptions"]) == {"query"}


def test_regression_has_target_and_input_noise() -> None:
    found = Noise(levels=(0.1, 1.0)).measure(sine_trial(TargetMean, episodes=40))
    target = found.values["target_noise"]
    assert target["1"]["drop"] > target["0.1"]["drop"]
    # It predicts the mean of five targets, so as much noise as spread adds a fifth of their variance.
    batch = sine_trial(TargetMean, episodes=40).sampler.range(0, 40)
    assert target["1"]["drop"] == pytest.approx(float(batch.support_y.var()) / 5, rel=0.5)
    assert found.values["query_input_noise"]["1"]["drop"] == 0.0
    assert len(found.episodes) == 40


def test_a_corruption_that_does_not_fit_the_inputs_leaves_the_label_noise() -> None:
    outcome = measured(QUICK, picture_trial(Means, channels=2, shots=5))
    assert outcome.status == "ok"
    for found in outcome.measurement.values["corruptions"].values():
        assert "the inputs are [2, 12, 12]" in found["n/a"]
    assert outcome.measurement.values["label_noise"]["0.6"]["drop"] > 0.3
    assert outcome.measurement.episodes == []


def test_predictions_that_are_not_finite_fail_the_metric_with_the_reason() -> None:
    outcome = measured(QUICK, picture_trial(NotANumber))
    assert outcome.status == "failed"
    assert "not finite" in outcome.reason
    assert not torch.is_tensor(outcome.measurement.values)
