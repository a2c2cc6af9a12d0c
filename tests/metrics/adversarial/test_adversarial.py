"""Robust methods, methods that only mask their gradients, and methods without gradients."""

import pytest
import torch

from metabench.metrics.adversarial.metric import Adversarial
from metabench.metrics.adversarial.reliability import Reliability
from metabench.metrics.measure import measure
from tests.helpers.small_trials import (
    Constant,
    Detached,
    GradientDescent,
    Means,
    Noisy,
    OneByOne,
    PredictsNaN,
    Rounded,
    TargetMean,
    WrongShape,
    image_trial,
    sinusoid_trial,
)

METRIC = Adversarial(
    episodes=10,
    radii=(0.02, 0.3),
    l2_radii=(0.5,),
    steps=8,
    black_box_episodes=5,
    black_box_steps=60,
    poisoned=0,
)


def test_an_undefended_method_loses_all_accuracy_and_the_attack_is_reliable() -> None:
    found = METRIC.measure(image_trial(Means, shots=5))
    attacks = found.values["attacks"]
    assert found.values["clean"] > 0.9
    assert attacks["pgd-linf-0.3"]["score"] == 0.0
    assert (
        attacks["pgd-linf-0.02"]["score"]
        <= attacks["fgsm-linf-0.02"]["score"]
        < found.values["clean"]
    )
    assert attacks["pgd-l2-0.5"]["drop"] > 0
    assert attacks["square-linf-0.3"]["episodes"] == 5
    assert len(found.episodes) == 10
    assert sum(found.episodes) / 10 == pytest.approx(attacks["pgd-linf-0.02"]["score"])
    verdict = found.values["reliability"]
    assert verdict["reliable"], verdict["doubts"]
    assert verdict["zero_gradients"] == 0
    assert verdict["loss_rose"] > 0.95
    assert verdict["accuracy_everywhere"] == 0
    assert verdict["radius_excess"] < 1e-4


def test_masked_gradients_are_flagged() -> None:
    found = METRIC.measure(image_trial(Rounded, shots=5)).values
    verdict = found["reliability"]
    assert not verdict["reliable"]
    assert verdict["zero_gradients"] == 1
    assert verdict["black_box"] < verdict["white_box"]
    doubts = "; ".join(verdict["doubts"])
    for reason in (
        "no gradient at all",
        "loss rose",
        "beats the white-box",
        "every picture is allowed",
    ):
        assert reason in doubts


def test_a_random_forward_pass_is_flagged() -> None:
    verdict = METRIC.measure(image_trial(Noisy, shots=5)).values["reliability"]
    assert verdict["deterministic"] is False
    assert not verdict["reliable"]


def test_without_gradients_the_score_is_that_of_the_square_attack() -> None:
    found = METRIC.measure(image_trial(Detached, shots=5))
    assert "detaches its input" in found.values["white_box"]["n/a"]
    assert set(found.values["attacks"]) == {"square-linf-0.02", "square-linf-0.3"}
    assert len(found.episodes) == 5
    assert found.values["attacks"]["square-linf-0.3"]["drop"] > 0.3


def test_an_attack_is_independent_of_the_batch_size_and_of_adapt_batch() -> None:
    small = Adversarial(**{**vars(METRIC), "batch": 3, "black_box_episodes": 0})
    large = Adversarial(**{**vars(METRIC), "batch": 10, "black_box_episodes": 0})
    scores = [
        metric.measure(image_trial(make)).episodes
        for metric, make in ((small, Means), (large, Means), (small, OneByOne))
    ]
    assert scores[0] == scores[1] == scores[2]


@pytest.mark.parametrize(("checks", "expected"), [(1, [3]), (4, [3, 3]), (100, [3, 3])])
def test_gradients_are_checked_in_the_first_episodes_of_the_square_attack(
    monkeypatch: pytest.MonkeyPatch, checks: int, expected: list[int]
) -> None:
    seen: list[int] = []
    check = Reliability.check_gradients
    monkeypatch.setattr(
        Reliability,
        "check_gradients",
        lambda self, predict, x, *args, **kw: (
            seen.append(len(x)) or check(self, predict, x, *args, **kw)
        ),
    )
    options = {"batch": 3, "black_box_episodes": 6, "check_episodes": checks, "poisoned": 0.0}
    metric = Adversarial(**{**vars(METRIC), "episodes": 9, **options})
    found = metric.measure(image_trial(Means)).values
    assert seen == expected
    assert found["attacks"]["square-linf-0.3"]["episodes"] == 6


def test_colour_images_have_other_default_radii() -> None:
    metric = Adversarial(episodes=3, black_box_episodes=0, steps=2, restarts=1)
    found = metric.measure(image_trial(Means, channels=3)).values["attacks"]
    assert set(found) == {"fgsm-linf-0.03137", "pgd-linf-0.03137", "fgsm-l2-0.5", "pgd-l2-0.5"}


def test_poisoning_uses_the_gradient_of_a_differentiable_adaptation() -> None:
    metric = Adversarial(
        episodes=6, radii=(0.3,), l2_radii=(), black_box_episodes=0, steps=8, restarts=1
    )
    found = metric.measure(image_trial(Means)).values["poisoning"]
    assert found["gradient"] is True
    assert found["pictures"] == 1
    assert found["drop"] > 0.1
    assert found["seed_score"] < found["clean"]
    assert found["drop"] == pytest.approx(found["clean"] - found["score"])


def test_poisoning_searches_without_a_gradient() -> None:
    metric = Adversarial(
        episodes=6, radii=(0.3,), l2_radii=(), black_box_episodes=5, steps=30, restarts=1
    )
    found = metric.measure(image_trial(Detached)).values["poisoning"]
    assert found["gradient"] is False
    assert found["drop"] > 0


def test_a_method_with_inner_steps_is_attacked_after_adaptation() -> None:
    metric = Adversarial(**{**vars(METRIC), "poisoned": 0.2})
    found = metric.measure(image_trial(GradientDescent, shots=5)).values
    assert found["clean"] > 0.8
    assert found["attacks"]["pgd-linf-0.3"]["score"] < 0.1
    assert found["reliability"]["reliable"]
    assert found["poisoning"]["gradient"] is False


@pytest.mark.parametrize("radii", [(0.0,), (-0.1,), ()])
def test_an_invalid_radius_fails_the_metric(radii: tuple[float, ...]) -> None:
    result = measure(Adversarial(radii=radii), image_trial(Means))
    assert result.status == "failed"
    assert "radius" in result.reason


@pytest.mark.parametrize(
    ("make", "status", "reason"),
    [
        (WrongShape, "failed", "(tasks, queries, outputs)"),
        (PredictsNaN, "failed", "not finite"),
    ],
)
def test_an_invalid_prediction_fails_the_metric(make: type, status: str, reason: str) -> None:
    result = measure(METRIC, image_trial(make))
    assert result.status == status
    assert reason in result.reason


def test_regression_is_not_applicable() -> None:
    result = measure(METRIC, sinusoid_trial(TargetMean))
    assert result.status == "n/a"
    assert "regression" in result.reason


def test_changes_of_the_algorithm_are_undone() -> None:
    trial = image_trial(Means)
    trial.algorithm.register_buffer("calls", torch.zeros(1))
    trial = type(trial)(trial.algorithm, trial.sampler, trial.episodes)
    inner = trial.algorithm.embed

    def counting(x: torch.Tensor) -> torch.Tensor:
        trial.algorithm.calls += 1
        return inner(x)

    trial.algorithm.embed = counting
    measure(METRIC, trial)
    assert float(trial.algorithm.calls) == 0
    assert trial.leaked_state == {"calls"}


def test_a_constant_prediction_is_not_reliably_robust() -> None:
    found = METRIC.measure(image_trial(Constant)).values
    assert found["attacks"]["pgd-linf-0.3"]["drop"] == pytest.approx(0.0)
    assert not found["reliability"]["reliable"]
