"""The gradient of an attack runs through the adaptation, where it is asked for and where there is one."""

import pytest
import torch

from metabench.algorithms.base import Algorithm, Predictor
from metabench.episodes import Support
from metabench.metrics.adversarial.attacks import Ball
from metabench.metrics.adversarial.metric import Adversarial
from metabench.metrics.adversarial.through_adaptation import pgd_through
from tests.helpers.small_world import Descending, Means, OneByOne, picture_trial

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
    values = METRIC.measure(picture_trial(Means, shots=5)).values
    support, both = values["through_adaptation_support"], values["through_adaptation_both"]
    query = values["attacks"]
    assert set(support) == set(both) == {"pgd-linf-0.05", "pgd-linf-0.3"}
    for name in support:
        assert support[name]["drop"] > 0.3
        assert both[name]["score"] < query[name]["score"] + 1e-9
    assert support["pgd-linf-0.3"]["score"] < support["pgd-linf-0.05"]["score"]
    assert support["pgd-linf-0.05"]["episodes"] == 6


def test_it_is_asked_for_only_on_request() -> None:
    metric = Adversarial(**{**vars(METRIC), "wheres": ("query",)})
    assert not [name for name in metric.measure(picture_trial(Means)).values if "through" in name]


def test_an_adaptation_without_a_gradient_says_so() -> None:
    values = METRIC.measure(picture_trial(Descending, shots=5)).values
    for where in ("support", "both"):
        for found in values[f"through_adaptation_{where}"].values():
            assert "no gradient runs through the adaptation" in found["n/a"]
    assert values["attacks"]["pgd-linf-0.3"]["score"] < 0.1


@pytest.mark.parametrize("query", [False, True])
def test_only_what_may_move_moves_and_stays_in_its_ball(query: bool) -> None:
    trial, indices, ball = picture_trial(Means), torch.arange(3), Ball("linf", 0.1)
    batch = trial.sampler.tasks(indices)
    mask = torch.zeros(3, 5, dtype=torch.bool)
    mask[:, 2] = True
    found = pgd_through(trial, batch, indices, ball, steps=4, query=query, mask=mask)
    assert found is not None
    moved = (found.support_x != batch.support_x).flatten(2).any(-1)
    assert torch.equal(moved, mask)
    assert (not torch.equal(found.query_x, batch.query_x)) is query
    for attacked, clean in ((found.support_x, batch.support_x), (found.query_x, batch.query_x)):
        assert float(ball.distance(attacked, clean).max()) <= 0.1 + 1e-6
        assert 0 <= float(attacked.min()) <= float(attacked.max()) <= 1


def test_the_worst_support_of_nearest_means_is_known_in_closed_form() -> None:
    """With two means and one query, the loss rises as the own mean moves away and the other comes near."""
    trial = picture_trial(Means, ways=2, shots=1, queries=1, episodes=1)
    indices = torch.arange(1)
    batch = trial.sampler.tasks(indices)
    batch.support_x.clamp_(0.3, 0.7)
    query = batch.query_x.clamp_(0.3, 0.7)[:, :1]
    lone = type(batch)(
        batch.support_x, batch.support_y, query, batch.query_y[:, :1], batch.ways, batch.classes
    )
    found = pgd_through(trial, lone, indices, Ball("linf", 0.001), steps=4)
    assert found is not None
    own = (lone.support_y == lone.query_y).view(1, 2, 1, 1, 1)
    away = (lone.support_x - query).sign() * 0.001
    wanted = lone.support_x + torch.where(own, away, -away)
    near = (lone.support_x - query).abs() > 0.002  # elsewhere the other mean passes the query by
    torch.testing.assert_close(found.support_x[near], wanted[near], atol=1e-6, rtol=0)


def test_one_task_at_a_time_is_attacked_as_many_are() -> None:
    scores = [
        METRIC.measure(picture_trial(make, shots=2)).values["through_adaptation_both"]
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
    Adversarial(**{**vars(METRIC), **options}).measure(picture_trial(make, shots=2))
    assert set(asked) == {(False, False), (True, True)}
