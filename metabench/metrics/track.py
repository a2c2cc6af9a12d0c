"""The track of a method: whether each query is predicted from the support set alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from metabench.episodes import TaskBatch
from metabench.errors import MetabenchError, NotApplicable
from metabench.metrics.base import EpisodeMetric
from metabench.metrics.transduction import TOLERANCE
from metabench.metrics.trial import Predictions, ProbedQueries, Trial
from metabench.runtime.counter_rng import make_key, random_bits, uniform

PROBES = 600
"""Queries that are predicted alone, over all test episodes together: at least one of each.

All queries would take as many passes, each with the support set where that gives the statistics of
batch norm: 300 passes over 101 images and not one over 400 (20-way 5-shot).
"""

MOST_PROBES = 2
"""Queries of one episode that are predicted alone at most; each takes a pass over the support."""

NOISE = 1e-2
"""Smallest difference of a prediction, as a share of the standard deviation of a task's outputs.

The number of queries in a batch changes the last bits of logits, which can flip the label of a near
tie.
"""

CONCENTRATION = 2
"""Concentration of the Dirichlet distribution of the classes of unbalanced queries.

Reference: Veilleux, Boudiaf, Piantanida and Ben Ayed 2021, "Realistic evaluation of transductive
few-shot learning", NeurIPS.
"""


def probes_per_episode(episodes: int) -> int:
    """Returns the number of queries of each of some test episodes to predict alone.

    >>> probes_per_episode(600), probes_per_episode(200)
    (1, 2)
    """
    return min(MOST_PROBES, math.ceil(PROBES / episodes))


@dataclass(frozen=True)
class MeasuredTrack:
    """The track of a method.

    Args:
        track: The track.
        evidence: The fields of :class:`metabench.records.schema.TrackEvidence`.
    """

    track: Literal["inductive", "transductive"]
    evidence: dict[str, Any] = field(default_factory=dict)


def measure_track(trial: Trial, ranking: EpisodeMetric) -> MeasuredTrack:
    """Find the track of a method from all test episodes.

    A method is transductive if more than one prediction in a thousand
    (:data:`~metabench.metrics.transduction.TOLERANCE`) differs without the other queries, or if it
    fails on a single query. It is then scored in two further ways: with each query alone, and with
    classes of unequal frequency among the queries. If as many predictions differ when the same
    queries are asked twice, the method has the track that it declares.

    Args:
        trial: The trained algorithm, made with ``probes``.
        ranking: The metric that ranks.
    """
    trial.predictions()
    probed = [one for one in trial.probed if one.found.alone is not None]
    error = next((one.found.alone_error for one in trial.probed if one.found.alone is None), "")
    changed = torch.cat([_changed(one) for one in probed]) if probed else torch.ones(0)
    share = float(changed.double().mean()) if probed else 1.0
    evidence: dict[str, Any] = {"queries": len(changed), "changed": share}
    if share <= TOLERANCE and not error:
        return MeasuredTrack("inductive", evidence)
    # Noise that hides an influence of the queries must change as many predictions as it hides.
    if 2 * _share_that_varies(trial) > share:
        evidence["reason"] = "it predicts the same queries differently when it is asked twice"
        declared = trial.model.transductive
        return MeasuredTrack("transductive" if declared else "inductive", evidence)
    if error:
        evidence["reason"] = f"it cannot predict a single query: {error}"
    else:
        evidence |= _score("inductive_score", _predicted_alone(trial), ranking)
    if not trial.model.problem.regression:
        evidence |= _score("unbalanced_score", _predicted_unbalanced(trial), ranking)
    return MeasuredTrack("transductive", evidence)


def unbalanced_counts(index: int, ways: int, queries: int) -> Tensor:
    r"""Returns the number of queries of each class in the unbalanced form of an episode.

    .. math:: n_k = \mathrm{round}\left(Q \, p_k / \textstyle\max_j p_j\right), \qquad
        p \sim \mathrm{Dirichlet}(2, \dots, 2)

    The most frequent class keeps all of its queries. A pure function of the index.

    Args:
        index: The index of the episode.
        ways: The number of classes.
        queries: The number of queries of each class, ``Q``.

    Returns:
        int64 ``[ways]`` in ``0..queries``.
    """
    bits = random_bits(make_key("unbalanced"), torch.tensor([index]), CONCENTRATION * ways)
    # The sum of two exponential variables has the Gamma distribution of shape 2, and a Dirichlet
    # vector is one of Gamma variables, but for its sum.
    gamma = -torch.log1p(-uniform(bits)).view(CONCENTRATION, ways).sum(0)
    return (queries * gamma / gamma.max()).round().long()


def _changed(probed: ProbedQueries) -> Tensor:
    """Returns which queries are predicted otherwise without the others, bool ``[T * P]``."""
    assert probed.found.alone is not None
    positions = probed.positions.to(probed.targets.device)
    spread = probed.found.together.std((1, 2), keepdim=True)
    together = probed.found.together[:, positions]
    return _differ(together, probed.found.alone, probed.targets, spread)


def _differ(first: Tensor, second: Tensor, targets: Tensor, spread: Tensor) -> Tensor:
    """Returns which of two predictions of queries ``[T, Q, outputs]`` differ, bool ``[T * Q]``."""
    if targets.is_floating_point():
        far = (first - second).abs() > TOLERANCE * targets.std()
    else:
        far = (first - second).abs() > NOISE * spread
        far &= (first.argmax(-1) != second.argmax(-1)).unsqueeze(-1)
    # A prediction that is not finite is far from any other, and compares with none.
    return (far | ~second.isfinite()).any(-1).flatten()


def _share_that_varies(trial: Trial) -> float:
    """Returns the share of predictions that differ when the same queries are asked twice."""
    batch = next(trial.batches())
    if not trial.model.offers("adapt_batch"):
        batch = batch[:1]
    with trial.isolated(), torch.no_grad():
        predict = trial.adapted(batch.support)
        first, second = predict(batch.query_x), predict(batch.query_x)
    spread = first.std((1, 2), keepdim=True)
    return float(_differ(first, second, batch.query_y, spread).double().mean())


def _predicted_alone(trial: Trial) -> Iterator[Predictions]:
    """Yields the predictions of each query without the others."""
    done = 0
    for batch in trial.batches():
        every = torch.arange(batch.query_x.shape[1])
        found = trial.predict_both(batch, every, start=done)
        if found.alone is None:
            raise NotApplicable(f"it cannot predict a single query: {found.alone_error}")
        trial.checked(found.alone, batch.query_x, start=done)
        yield Predictions(found.alone, batch.query_y, batch.classes)
        done += len(batch)


def _predicted_unbalanced(trial: Trial) -> Iterator[Predictions]:
    """Yields the predictions of each episode with classes of unequal frequency."""
    done = 0
    for batch in trial.batches():
        for i in range(len(batch)):
            episode = batch[i : i + 1]
            chosen = _unbalanced(episode, done + i)
            with trial.isolated(done + i), torch.no_grad():
                predict = trial.adapted(episode.support)
                outputs = predict(episode.query_x[:, chosen]).to(torch.float32)
            yield Predictions(outputs, episode.query_y[:, chosen], episode.classes)
        done += len(batch)


def _unbalanced(episode: TaskBatch, index: int) -> Tensor:
    """Returns the positions of the queries that the unbalanced form of an episode keeps."""
    labels = episode.query_y[0]
    of_class = F.one_hot(labels, episode.ways)
    counts = unbalanced_counts(index, episode.ways, int(of_class.sum(0).max()))
    occurrence = (of_class.cumsum(0) * of_class).sum(1)  # 1 for the first query of a class
    return (occurrence <= counts.to(labels.device)[labels]).nonzero().flatten()


def _score(name: str, batches: Iterator[Predictions], ranking: EpisodeMetric) -> dict[str, Any]:
    """Returns the mean score of some predictions by its name, or why there is none."""
    try:
        scores = [score for found in batches for score in ranking.scores(found)]
    # A method that diverges here has a score all the same, with its queries together.
    except MetabenchError as error:
        return {"reason": f"no {name}: {error.message}"}
    return {name: math.fsum(scores) / len(scores)}
