"""The drop in score under noise, paired on the same frozen episodes."""

import functools

import pytest
import torch

from metabench.metrics.measure import measure
from metabench.metrics.noise.corruptions import CORRUPTIONS, corrupt
from metabench.metrics.noise.metric import Noise
from metabench.metrics.perturbation import transform_images
from metabench.metrics.scoring import score_each_perturbation, score_perturbed
from tests.helpers.small_trials import (
    Constant,
    GradientDescent,
    Means,
    OneByOne,
    PredictsNaN,
    TargetMean,
    image_trial,
    sinusoid_trial,
)

QUICK = Noise(episodes=12, severities=(1, 5), support_severities=(3,))


def test_the_drop_grows_with_the_share_of_wrong_labels() -> None:
    found = QUICK.measure(image_trial(Means, shots=5)).values["label_noise"]
    assert [found[share]["flipped"] for share in ("0.2", "0.4", "0.6")] == [0.2, 0.4, 0.6]
    drops = [found[share]["drop"] for share in ("0.2", "0.4", "0.6")]
    assert drops == sorted(drops)
    assert drops[-1] > 0.3


def test_one_shot_has_corruptions_and_no_label_noise() -> None:
    found = QUICK.measure(image_trial(Means))
    assert "at 1" in found.values["label_noise"]["n/a"]
    assert set(CORRUPTIONS) < set(found.values["corruptions"]["query"])
    assert len(found.episodes) == 12


def test_label_shots_measures_label_noise_with_more_shots() -> None:
    metric = Noise(episodes=12, severities=(), support_severities=(), label_shots=5)
    one, five = (metric.measure(image_trial(Means, shots=k)).values["label_noise"] for k in (1, 5))
    assert one == five
    assert (one["shots"], one["queries"]) == (5, 6)
    assert one["0.4"]["drop"] == pytest.approx(one["clean"] - one["0.4"]["score"])
    assert one["0.6"]["drop"] > 0.3


def test_drops_are_paired_and_the_episode_scores_are_their_mean() -> None:
    found = QUICK.measure(image_trial(Means, shots=5))
    by_kind = found.values["corruptions"]["query"]
    for name in CORRUPTIONS:
        for level in by_kind[name]:
            assert level["drop"] == pytest.approx(found.values["clean"] - level["score"])
    drops = [level["drop"] for name in CORRUPTIONS for level in by_kind[name]]
    assert sum(found.episodes) / 12 == pytest.approx(sum(drops) / len(drops))
    assert by_kind["mean_drop"] == pytest.approx(found.values["mean_drop"])
    assert by_kind["gaussian"][1]["drop"] > by_kind["gaussian"][0]["drop"]
    assert set(found.values["corruptions"]) == {"query", "support", "both"}


def test_adapting_once_for_all_query_perturbations_gives_the_same_scores() -> None:
    perturbations = [
        functools.partial(transform_images, transform=corrupt(name, 4), perturbed="query")
        for name in ("gaussian", "blur")
    ]
    for make in (Means, OneByOne, GradientDescent):
        once = score_each_perturbation(image_trial(make), 12, perturbations, "query")
        again = [score_perturbed(image_trial(make), 12, p) for p in perturbations]
        assert all(map(torch.equal, once, again))


def test_a_constant_prediction_has_no_drop() -> None:
    found = QUICK.measure(image_trial(Constant, shots=5))
    assert set(found.episodes) == {0.0}


def test_repeated_measurements_are_equal() -> None:
    assert QUICK.measure(image_trial(Means)) == QUICK.measure(image_trial(Means))


def test_colour_images_are_corrupted() -> None:
    found = Noise(episodes=4, severities=(5,), support_severities=()).measure(
        image_trial(Means, channels=3)
    )
    assert set(found.values["corruptions"]) == {"query"}


def test_regression_has_target_and_input_noise() -> None:
    found = Noise(levels=(0.1, 1.0)).measure(sinusoid_trial(TargetMean, episodes=40))
    target = found.values["target_noise"]
    assert target["1"]["drop"] > target["0.1"]["drop"]
    # It predicts the mean of five targets: noise of level 1 adds a fifth of their variance.
    batch = sinusoid_trial(TargetMean, episodes=40).sampler.range(0, 40)
    assert target["1"]["drop"] == pytest.approx(float(batch.support_y.var()) / 5, rel=0.5)
    assert found.values["query_input_noise"]["1"]["drop"] == 0.0
    assert len(found.episodes) == 40


def test_inputs_that_are_not_images_keep_the_label_noise() -> None:
    result = measure(QUICK, image_trial(Means, channels=2, shots=5))
    assert result.status == "ok"
    for found in result.values["corruptions"].values():
        assert "the inputs are [2, 12, 12]" in found["n/a"]
    assert result.values["label_noise"]["0.6"]["drop"] > 0.3
    assert result.episodes == []


def test_predictions_that_are_not_finite_fail_the_metric() -> None:
    result = measure(QUICK, image_trial(PredictsNaN))
    assert result.status == "failed"
    assert "not finite" in result.reason
    assert not torch.is_tensor(result.values)
