"""The measured track of a method, and the scores of a transductive one."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from metabench.algorithms.base import Algorithm, Predictor
from metabench.algorithms.problem import Problem
from metabench.datasets.sinusoid import Sinusoid
from metabench.episodes import ClassSampler, FamilySampler, NWayKShot, Support
from metabench.metrics.accuracy.metric import Accuracy
from metabench.metrics.mse import MeanSquaredError
from metabench.metrics.track import MeasuredTrack, measure_track, unbalanced_counts
from metabench.metrics.trial import Predictions, Trial
from metabench.runtime.counter_rng import make_key
from tests.helpers.small_trials import (
    CentresQueries,
    FailsOnSingleQuery,
    Means,
    Noisy,
    OneByOne,
    TargetMean,
    image_problem,
    pattern_pool,
)

EPISODES, WAYS, QUERIES, PROBES = 30, 5, 6, 5


def trial_of(make: Callable[[Problem], Algorithm], probes: int = PROBES) -> Trial:
    sampler = ClassSampler(pattern_pool(), NWayKShot(WAYS, 5, QUERIES), make_key("track"))
    problem = image_problem(ways=WAYS, shots=5, queries=QUERIES)
    return Trial(make(problem).eval(), sampler, EPISODES, probes=probes)


def sinusoids(make: Callable[[Problem], Algorithm]) -> MeasuredTrack:
    problem = Problem("regression", (1,), 0, 5, 10, 1, "")
    sampler = FamilySampler(Sinusoid(), NWayKShot(0, 5, 10), 3)
    trial = Trial(make(problem).eval(), sampler, EPISODES, probes=PROBES)
    return measure_track(trial, MeanSquaredError())


def track_of(make: Callable[[Problem], Algorithm]) -> MeasuredTrack:
    return measure_track(trial_of(make), Accuracy())


class CentresNoisyQueries(CentresQueries):
    """Hides the influence of the other queries behind noise in the last digits."""

    name: ClassVar[str] = "centres-noisy-queries"

    def adapt_batch(self, support: Support) -> Predictor:
        predict = super().adapt_batch(support)
        return lambda query: predict(query) + 1e-6 * torch.randn(())


def test_a_little_noise_does_not_hide_the_influence_of_the_queries() -> None:
    found = track_of(CentresNoisyQueries)
    assert found.track == "transductive"
    assert found.evidence["changed"] == track_of(CentresQueries).evidence["changed"]


class CentresRememberedQueries(Means):
    """Subtracts the mean of all queries of the episode that it was shown so far."""

    name: ClassVar[str] = "centres-remembered-queries"

    def adapt_batch(self, support: Support) -> Predictor:
        predict = super().adapt_batch(support)
        seen: list[Tensor] = []

        def centred(query: Tensor) -> Tensor:
            seen.append(query)
            return predict(query - 0.9 * torch.cat(seen, dim=1).mean(1, keepdim=True))

        return centred


def test_queries_that_a_predictor_remembers_are_found() -> None:
    assert track_of(CentresRememberedQueries).track == "transductive"


class SeesWhetherThereAreOthers(Means):
    """Guesses where there is one query: a dependence that no statistic shows."""

    name: ClassVar[str] = "counts-queries"

    def adapt_batch(self, support: Support) -> Predictor:
        predict = super().adapt_batch(support)
        return lambda query: predict(query) * (1 if query.shape[-4] > 1 else -1)


class RescalesByTheBatch(Means):
    """Divides logits by their spread over the queries, which changes no label."""

    name: ClassVar[str] = "rescales"

    def adapt_batch(self, support: Support) -> Predictor:
        predict = super().adapt_batch(support)
        return lambda query: predict(query) / (1 + query.shape[-4])


class NearTies(Means):
    """All logits are equal but for the noise of a batch's size, which flips their order."""

    name: ClassVar[str] = "near-ties"

    def adapt_batch(self, support: Support) -> Predictor:
        ways = support.ways

        def predict(query: Tensor) -> Tensor:
            logits = query.flatten(-3).mean(-1, keepdim=True).expand(*query.shape[:-3], ways)
            noise = torch.arange(ways) * 1e-7 * (1 if query.shape[-4] > 1 else -1)
            return logits + noise

        return predict


class NotFiniteAlone(Means):
    """Gives no number for a single query, as a variance of one value does."""

    name: ClassVar[str] = "nan-alone"

    def adapt_batch(self, support: Support) -> Predictor:
        predict = super().adapt_batch(support)
        return lambda query: predict(query) if query.shape[-4] > 1 else predict(query) * torch.nan


class FailsInSomeEpisodes(OneByOne):
    """Adapts task by task, and cannot predict a single query of every other one."""

    name: ClassVar[str] = "fails-sometimes"
    adapted = 0

    def adapt(self, support: Support) -> Predictor:
        self.adapted += 1
        number, predict = self.adapted, super().adapt(support)

        def fails_on_one(query: Tensor) -> Tensor:
            if number % 2 and len(query) == 1:
                raise ValueError("too few")
            return predict(query)

        return fails_on_one


class CentresTargets(TargetMean):
    """Predicts the mean target of the support set plus the mean input of the queries."""

    name: ClassVar[str] = "centres-targets"

    def adapt(self, support: Support) -> Predictor:
        predict = super().adapt(support)
        return lambda query: predict(query) + query.mean(0, keepdim=True)


@pytest.mark.parametrize("make", [Means, OneByOne, NearTies, RescalesByTheBatch])
def test_a_method_whose_labels_do_not_depend_on_other_queries_is_inductive(
    make: type[Algorithm],
) -> None:
    found = track_of(make)
    assert found.track == "inductive"
    assert found.evidence == {"queries": EPISODES * PROBES, "changed": 0.0}


@pytest.mark.parametrize("make", [CentresQueries, SeesWhetherThereAreOthers])
def test_a_method_that_uses_the_other_queries_is_transductive(make: type[Algorithm]) -> None:
    trial = trial_of(make)
    found = measure_track(trial, Accuracy())
    assert found.track == "transductive"
    assert found.evidence["changed"] > 0.3
    assert found.evidence["queries"] == EPISODES * PROBES


def test_the_inductive_score_of_a_transductive_method_is_that_of_each_query_alone() -> None:
    trial = trial_of(CentresQueries)
    found = measure_track(trial, Accuracy())
    scores = []
    for batch in trial.batches():
        for task in batch:
            predict = trial.algorithm.adapt(task.support)
            alone = torch.cat([predict(x) for x in task.query_x.split(1)])
            scores.append(float((alone.argmax(-1) == task.query_y).double().mean()))
    assert found.evidence["inductive_score"] == pytest.approx(sum(scores) / EPISODES)
    together = Accuracy().scores(trial.predictions())
    assert found.evidence["inductive_score"] < sum(together) / EPISODES - 0.3


def test_the_unbalanced_score_has_the_queries_of_the_counts() -> None:
    trial = trial_of(CentresQueries)
    found = measure_track(trial, Accuracy())
    scores, index = [], 0
    for batch in trial.batches():
        for task in batch:
            left = unbalanced_counts(index, WAYS, QUERIES).tolist()
            kept = []
            for q, label in enumerate(task.query_y.tolist()):
                if left[label] > 0:
                    left[label] -= 1
                    kept.append(q)
            outputs = trial.algorithm.adapt(task.support)(task.query_x[kept])
            scores.append(float((outputs.argmax(-1) == task.query_y[kept]).double().mean()))
            index += 1
    assert found.evidence["unbalanced_score"] == pytest.approx(sum(scores) / EPISODES)


def test_the_counts_are_those_of_a_dirichlet_distribution() -> None:
    counts = torch.stack([unbalanced_counts(i, 5, 1000) for i in range(20_000)]).double()
    assert torch.equal(counts[7], unbalanced_counts(7, 5, 1000).double())
    assert (counts.max(1).values == 1000).all()
    assert (counts.min(1).values >= 0).all()
    share = counts / counts.sum(1, keepdim=True)
    # Mean 1 / 5 and variance (1/5)(4/5) / (2 * 5 + 1) of each class.
    torch.testing.assert_close(share.mean(0), torch.full((5,), 0.2).double(), atol=0.005, rtol=0)
    expected = torch.full((5,), 0.16 / 11).double()
    torch.testing.assert_close(share.var(0), expected, atol=0.001, rtol=0)


def test_a_method_that_fails_on_a_single_query_is_transductive_without_an_inductive_score() -> None:
    found = track_of(FailsOnSingleQuery)
    assert found.track == "transductive"
    assert "inductive_score" not in found.evidence
    assert "it cannot predict a single query" in found.evidence["reason"]
    assert found.evidence["queries"] == 0
    assert 0 <= found.evidence["unbalanced_score"] <= 1


def test_a_method_that_fails_on_a_single_query_in_some_episodes_only_is_transductive() -> None:
    found = track_of(FailsInSomeEpisodes)
    assert found.track == "transductive"
    assert "it cannot predict a single query: too few" in found.evidence["reason"]


def test_a_single_prediction_that_is_not_finite_counts_as_changed() -> None:
    found = track_of(NotFiniteAlone)
    assert (found.track, found.evidence["changed"]) == ("transductive", 1.0)
    assert "inductive_score" not in found.evidence
    assert "not finite" in found.evidence["reason"]


@pytest.mark.parametrize("declared", [False, True])
def test_a_random_method_has_the_track_that_it_declares(declared: bool) -> None:
    class Declares(Noisy):
        transductive = declared

    found = track_of(Declares)
    assert found.track == ("transductive" if declared else "inductive")
    assert "differently when it is asked twice" in found.evidence["reason"]


def test_regression_is_compared_by_values_and_has_no_unbalanced_form() -> None:
    assert sinusoids(TargetMean).track == "inductive"
    found = sinusoids(CentresTargets)
    assert found.track == "transductive"
    assert "unbalanced_score" not in found.evidence
    assert found.evidence["inductive_score"] > 0


@pytest.mark.parametrize("make", [Means, OneByOne, CentresQueries])
def test_the_probes_do_not_change_the_predictions(make: type[Algorithm]) -> None:
    with_probes, without = (trial_of(make, probes).predictions() for probes in (PROBES, 0))
    assert torch.equal(with_probes.outputs, without.outputs)
    assert isinstance(with_probes, Predictions)


def test_every_episode_is_probed_at_other_positions_in_each_batch() -> None:
    trial = trial_of(Means)
    trial.predictions()
    assert [len(one.found.together) for one in trial.probed] == [20, 10]
    first, second = (one.positions.tolist() for one in trial.probed)
    assert first != second
    assert len(set(first)) == PROBES
    again = trial_of(Means)
    again.predictions()
    assert [one.positions.tolist() for one in again.probed] == [first, second]


def test_an_episode_with_few_queries_is_probed_at_all_of_them() -> None:
    sampler = ClassSampler(pattern_pool(), NWayKShot(2, 1, 1), make_key("few"))
    trial = Trial(Means(image_problem(ways=2)).eval(), sampler, 4, probes=PROBES)
    trial.predictions()
    assert trial.probed[0].positions.tolist() == [0, 1]
