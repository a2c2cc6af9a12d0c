"""Attacks on the support set through a differentiable adaptation."""

import pytest
import torch

from metabench.algorithms.base import Algorithm, Predictor
from metabench.episodes import Support
from metabench.metrics.adversarial.ball import Ball
from metabench.metrics.adversarial.metric import Adversarial
from metabench.metrics.adversarial.through_adaptation import pgd_through_adaptation
from tests.helpers.small_trials import GradientDescent, Means, OneByOne, image_trial

METRIC = Adversarial(
    episodes=6,
    radii=(0.05, 0.3),
    l2_radii=(),
    steps=8,
    restarts=1,
    black_box_episodes=0,
    poisoned=0,
    wheres=("query", "support", "both"),
)


def test_the_support_of_an_undefended_method_is_attacked_through_its_adaptation() -> None:
    values = METRIC.measure(image_trial(Means, shots=5)).values
    support, both = values["through_adaptation_support"], values["through_adaptation_both"]
    query = values["attacks"]
    assert set(support) == set(both) == {"pgd-linf-0.05", "pgd-linf-0.3"}
    for name in support:
        assert support[name]["drop"] > 0.3
        assert both[name]["score"] < query[name]["score"] + 1e-9
    assert support["pgd-linf-0.3"]["score"] < support["pgd-linf-0.05"]["score"]
    assert support["pgd-linf-0.05"]["episodes"] == 6


def test_the_support_is_not_attacked_by_default() -> None:
    metric = Adversarial(**{**vars(METRIC), "wheres": ("query",)})
    assert not [name for name in metric.measure(image_trial(Means)).values if "through" in name]


def test_an_adaptation_without_a_gradient_is_not_applicable() -> None:
    values = METRIC.measure(image_trial(GradientDescent, shots=5)).values
    for where in ("support", "both"):
        for found in values[f"through_adaptation_{where}"].values():
            assert "no gradient runs through the adaptation" in found["n/a"]
    assert values["attacks"]["pgd-linf-0.3"]["score"] < 0.1


@pytest.mark.parametrize("query", [False, True])
def test_only_images_in_the_mask_change_and_they_stay_in_the_ball(query: bool) -> None:
    trial, indices, ball = image_trial(Means), torch.arange(3), Ball("linf", 0.1)
    batch = trial.sampler.tasks(indices)
    mask = torch.zeros(3, 5, dtype=torch.bool)
    mask[:, 2] = True
    found = pgd_through_adaptation(trial, batch, indices, ball, steps=4, query=query, mask=mask)
    assert found is not None
    moved = (found.support_x != batch.support_x).flatten(2).any(-1)
    assert torch.equal(moved, mask)
    assert (not torch.equal(found.query_x, batch.query_x)) is query
    for attacked, clean in ((found.support_x, batch.support_x), (found.query_x, batch.query_x)):
        assert float(ball.distance(attacked, clean).max()) <= 0.1 + 1e-6
        assert 0 <= float(attacked.min()) <= float(attacked.max()) <= 1


def test_the_worst_support_of_nearest_means_is_known_in_closed_form() -> None:
    """The loss rises as the query's own mean moves away and the other mean approaches."""
    trial = image_trial(Means, ways=2, shots=1, queries=1, episodes=1)
    indices = torch.arange(1)
    batch = trial.sampler.tasks(indices)
    batch.support_x.clamp_(0.3, 0.7)
    query = batch.query_x.clamp_(0.3, 0.7)[:, :1]
    lone = type(batch)(
        batch.support_x, batch.support_y, query, batch.query_y[:, :1], batch.ways, batch.classes
    )
    found = pgd_through_adaptation(trial, lone, indices, Ball("linf", 0.001), steps=4)
    assert found is not None
    own = (lone.support_y == lone.query_y).view(1, 2, 1, 1, 1)
    away = (lone.support_x - query).sign() * 0.001
    wanted = lone.support_x + torch.where(own, away, -away)
    near = (lone.support_x - query).abs() > 0.002  # nearer, the other mean passes the query
    torch.testing.assert_close(found.support_x[near], wanted[near], atol=1e-6, rtol=0)


def test_the_attack_is_the_same_with_and_without_adapt_batch() -> None:
    scores = [
        METRIC.measure(image_trial(make, shots=2)).values["through_adaptation_both"]
        for make in (Means, OneByOne)
    ]
    assert scores[0] == scores[1]


@pytest.mark.parametrize("make", [Means, OneByOne])
@pytest.mark.parametrize("poisoned", [0.0, 0.5])
def test_adaptation_is_asked_to_keep_its_graph_only_where_the_support_is_differentiated(
    make: type[Algorithm], poisoned: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[bool, bool]] = []
    name = "adapt_batch" if make.offers("adapt_batch") else "adapt"
    adapt = getattr(make, name)

    def spy(self: Algorithm, support: Support) -> Predictor:
        asked.append((support.keep_graph, support.x.requires_grad))
        return adapt(self, support)

    monkeypatch.setattr(make, name, spy)
    options = {"poisoned": poisoned, "wheres": ("query",) if poisoned else ("query", "support")}
    Adversarial(**{**vars(METRIC), **options}).measure(image_trial(make, shots=2))
    assert set(asked) == {(False, False), (True, True)}
