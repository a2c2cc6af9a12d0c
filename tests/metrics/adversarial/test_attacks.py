"""Attacks find the worst case where it is known."""

import pytest
import torch
from torch import Tensor

from metabench.errors import NotApplicable, UsageError
from metabench.metrics.adversarial.ball import Ball
from metabench.metrics.adversarial.gradient_attacks import (
    attack_loss,
    fgsm,
    input_gradient,
    pgd,
    select,
    strongest_of,
)
from metabench.metrics.adversarial.square_attack import square_attack
from metabench.metrics.perturbation import normal_numbers, uniform_numbers
from tests.helpers.small_trials import Means, Rounded, image_trial


def linear(ways: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Weights of a linear predictor, queries in the middle of the box, and labels."""
    torch.manual_seed(0)
    weights = torch.randn(16, ways, dtype=torch.float64)
    x = 0.5 + 0.1 * torch.rand(3, 7, 1, 4, 4, dtype=torch.float64)
    return weights, x, torch.randint(0, ways, (3, 7))


def normal_start(x: Tensor) -> Tensor:
    return normal_numbers(uniform_numbers(torch.arange(len(x)), x[0].numel(), "test")).view_as(x)


@pytest.mark.parametrize("loss", ["cross-entropy", "margin"])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_pgd_finds_the_worst_case_of_a_linear_predictor(norm: str, loss: str) -> None:
    weights, x, labels = linear()

    def predict(query: Tensor) -> Tensor:
        return query.flatten(2) @ weights

    ball = Ball(norm, 0.2)
    attacked = pgd(predict, x, labels, ball, loss=loss)
    difference = weights[:, 0] - weights[:, 1]
    # A linear margin falls by the radius times the dual norm of the difference of the weights.
    worst = 0.2 * (difference.abs().sum() if norm == "linf" else difference.norm())
    rose = attack_loss("margin", predict(attacked), labels) - attack_loss(
        "margin", predict(x), labels
    )
    torch.testing.assert_close(rose, worst.expand_as(rose), atol=1e-6, rtol=0)


def test_fgsm_finds_the_worst_case_of_a_linear_predictor() -> None:
    weights, x, labels = linear()
    ball = Ball("linf", 0.1)
    attacked = fgsm(lambda query: query.flatten(2) @ weights, x, labels, ball)
    sign = torch.where(labels == 0, -1.0, 1.0).view(3, 7, 1, 1, 1)
    direction = (weights[:, 0] - weights[:, 1]).sign().view(1, 1, 1, 4, 4)
    torch.testing.assert_close(attacked, x + 0.1 * sign * direction)


def test_attacks_stay_in_their_ball_and_in_the_box() -> None:
    trial = image_trial(Means)
    batch = trial.sampler.range(0, 4)
    x = batch.query_x
    predict = trial.adapted(batch.support)
    for ball in (Ball("linf", 0.3), Ball("l2", 1.0), Ball("linf", 1e-3)):
        start = ball.random(x, normal_start(x))
        for attacked in (
            start,
            fgsm(predict, x, batch.query_y, ball),
            pgd(predict, x, batch.query_y, ball, start=start),
        ):
            assert float(ball.distance(attacked, x).max()) <= ball.radius * (1 + 1e-5)
            assert float(attacked.min()) >= 0
            assert float(attacked.max()) <= 1


def test_a_larger_ball_leaves_less_accuracy() -> None:
    trial = image_trial(Means, shots=5)
    batch = trial.sampler.range(0, 6)
    predict = trial.adapted(batch.support)

    def accuracy(x: Tensor) -> float:
        return float((predict(x).argmax(-1) == batch.query_y).double().mean())

    left = [accuracy(batch.query_x)]
    left += [
        accuracy(pgd(predict, batch.query_x, batch.query_y, Ball("linf", r)))
        for r in (0.01, 0.03, 0.3)
    ]
    assert left[0] > 0.9
    assert left == sorted(left, reverse=True)
    assert left[-1] == 0.0


def test_an_attack_is_the_same_for_an_episode_alone_and_in_a_batch() -> None:
    trial = image_trial(Means)

    def attack(indices: Tensor) -> Tensor:
        batch = trial.sampler.tasks(indices)
        ball = Ball("linf", 0.1)
        numbers = uniform_numbers(indices, batch.query_x[0].numel(), "restart", 0)
        start = ball.random(batch.query_x, normal_numbers(numbers).view_as(batch.query_x))
        return pgd(trial.adapted(batch.support), batch.query_x, batch.query_y, ball, start=start)

    together = attack(torch.arange(4))
    torch.testing.assert_close(attack(torch.tensor([2])), together[2:3], atol=1e-6, rtol=0)


def test_the_strongest_attempt_counts_for_each_query() -> None:
    x = torch.zeros(1, 2, 1, 1, 1)
    labels = torch.zeros(1, 2, dtype=torch.int64)
    attempts = torch.tensor([[0.3, -0.1], [0.2, 0.1]]).view(2, 1, 2, 1, 1, 1)

    def predict(query: Tensor) -> Tensor:
        return torch.cat([torch.zeros(1, 2, 1), query.flatten(2)], dim=-1)

    found = strongest_of(predict, x, labels, 2, lambda i, positions: attempts[i])
    assert found.flatten().tolist() == pytest.approx([0.3, 0.1])


def test_a_misclassified_query_is_not_attacked_again() -> None:
    x = torch.tensor([[0.3, 0.9, 0.2], [0.9, 0.9, 0.9]]).view(2, 3, 1, 1, 1)
    labels = torch.zeros(2, 3, dtype=torch.int64)
    seen: list[list[list[int]]] = []

    def predict(query: Tensor) -> Tensor:
        return torch.cat([torch.full((*query.shape[:2], 1), 0.5), query.flatten(2)], dim=-1)

    def attempt(i: int, positions: Tensor | None) -> Tensor:
        assert positions is not None
        seen.append(positions.tolist())
        return select(x, positions) + 0.25  # the first of them is misclassified, the third is not

    found = strongest_of(predict, x, labels, 3, attempt, joint=False)
    assert found[0].flatten().tolist() == pytest.approx([0.55, 0.9, 0.45])
    assert [sorted(positions[0]) for positions in seen] == [[0, 2], [2], [2]]


def test_separate_and_joint_attacks_misclassify_the_same_queries() -> None:
    trial, ball = image_trial(Means, shots=5), Ball("linf", 0.05)
    batch = trial.sampler.range(0, 6)
    predict = trial.adapted(batch.support)

    def attempt(i: int, positions: Tensor | None) -> Tensor:
        x, labels = select(batch.query_x, positions), select(batch.query_y, positions)
        return pgd(predict, x, labels, ball, steps=5, loss="margin" if i else "cross-entropy")

    alone, joint = (
        predict(strongest_of(predict, batch.query_x, batch.query_y, 2, attempt, joint=j)).argmax(-1)
        for j in (False, True)
    )
    wrong = joint != batch.query_y
    assert torch.equal(alone != batch.query_y, wrong)
    assert 0.1 < float(wrong.double().mean()) < 0.9


def test_a_query_misclassified_in_a_smaller_ball_is_not_attacked_in_a_larger_one() -> None:
    x, labels = torch.tensor([0.7]).view(1, 1, 1, 1, 1), torch.zeros(1, 1, dtype=torch.int64)

    def predict(query: Tensor) -> Tensor:
        return torch.cat([torch.full((*query.shape[:2], 1), 0.5), query.flatten(2)], dim=-1)

    def never(i: int, positions: Tensor | None) -> Tensor:
        raise AssertionError("it was attacked again")

    assert float(
        strongest_of(predict, torch.zeros_like(x), labels, 2, never, start=x)
    ) == pytest.approx(0.7)


def test_the_margin_has_a_gradient_where_the_cross_entropy_has_none() -> None:
    x = torch.full((1, 1, 1, 2, 2), 0.5)
    labels = torch.zeros(1, 1, dtype=torch.int64)

    def confident(query: Tensor) -> Tensor:
        total = query.flatten(2).sum(-1, keepdim=True)
        return torch.cat([1e4 * total, -1e4 * total], dim=-1)

    assert not input_gradient(confident, x, labels, "cross-entropy")[0].any()
    assert input_gradient(confident, x, labels, "margin")[0].all()


def test_a_predictor_that_detaches_its_input_is_not_applicable() -> None:
    weights, x, labels = linear()
    with pytest.raises(NotApplicable, match="detaches its input"):
        fgsm(lambda query: query.detach().flatten(2) @ weights, x, labels, Ball("linf", 0.1))
    parameter = weights.requires_grad_()
    with pytest.raises(NotApplicable, match="detaches its input"):
        fgsm(lambda query: query.detach().flatten(2) @ parameter, x, labels, Ball("linf", 0.1))


@pytest.mark.parametrize("radius", [0.0, -0.1, float("nan"), float("inf")])
def test_an_invalid_radius_is_rejected(radius: float) -> None:
    with pytest.raises(UsageError, match="radius"):
        Ball("linf", radius)


def test_the_square_attack_needs_no_gradient_and_stays_in_its_ball() -> None:
    trial = image_trial(Rounded, shots=5)
    indices = torch.arange(4)
    batch = trial.sampler.tasks(indices)
    predict = trial.adapted(batch.support)

    def objective(x: Tensor) -> Tensor:
        return attack_loss("margin", predict(x), batch.query_y)

    attacked = square_attack(objective, batch.query_x, indices, 0.2, iterations=60)
    clean, left = objective(batch.query_x), objective(attacked)
    assert float((attacked - batch.query_x).abs().max()) <= 0.2 + 1e-6
    assert bool((left >= clean).all())
    assert float((left > 0).double().mean()) > 0.5 > float((clean > 0).double().mean())


def test_the_square_attack_changes_only_images_in_the_mask() -> None:
    x = torch.rand(2, 3, 1, 6, 6)
    mask = torch.tensor([[True, False, False], [False, False, True]])
    attacked = square_attack(
        lambda p: p.flatten(2).sum(-1), x, torch.arange(2), 0.1, iterations=10, mask=mask
    )
    assert torch.equal((attacked != x).flatten(2).any(-1), mask)
