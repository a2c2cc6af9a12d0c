"""The score that every family compares: accuracy, or minus the squared error in regression."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from metabench.episodes import TaskBatch
from metabench.metrics.images import Where
from metabench.metrics.trial import BATCH, Trial
from metabench.stats import t_interval

Change = Callable[[TaskBatch, Tensor], TaskBatch]
"""A changed copy of some episodes, whose indices are int64 ``[T]``."""


def score_episodes(outputs: Tensor, targets: Tensor) -> Tensor:
    r"""One score for each episode, higher is better.

    .. math::
        s = \frac{1}{Q} \sum_q [\arg\max_k f(x_q)_k = y_q]
        \qquad \text{or} \qquad
        s = -\frac{1}{Q} \sum_q \lVert f(x_q) - y_q \rVert^2

    Args:
        outputs: ``[T, Q, outputs]``.
        targets: int64 ``[T, Q]``, or float ``[T, Q, outputs]`` in regression.

    Returns:
        float64 ``[T]`` on the CPU.

    >>> score_episodes(torch.tensor([[[0.0, 1.0], [0.0, 1.0]]]), torch.tensor([[1, 0]]))
    tensor([0.5000], dtype=torch.float64)
    """
    if targets.is_floating_point():
        return -(outputs - targets).double().square().mean((1, 2)).cpu()
    return (outputs.argmax(-1) == targets).double().mean(1).cpu()


def first(trial: Trial, episodes: int, *, batch: int = BATCH) -> Iterator[tuple[Tensor, TaskBatch]]:
    """The first ``episodes`` frozen episodes of a trial, in batches, each with its indices int64 ``[T]``."""
    last = min(episodes, trial.episodes)
    for start in range(0, last, batch):
        indices = torch.arange(start, min(start + batch, last), device=trial.device)
        yield indices, trial.sampler.tasks(indices)


def at_once(trial: Trial, batch: int) -> int:
    """How many episodes :meth:`Trial.adapted` takes at once: ``batch``, or 1 without ``adapt_batch``."""
    return batch if trial.algorithm.offers("adapt_batch") else 1


def score_changed(trial: Trial, episodes: int, change: Change | None = None) -> Tensor:
    """The scores of the first episodes, changed by ``change``, float64 ``[E]``.

    The batches are the same for every change, so that scores are paired to the last bit.
    """
    scores = []
    for indices, batch in first(trial, episodes):
        changed = batch if change is None else change(batch, indices)
        outputs = trial.predict(changed, start=int(indices[0]))
        scores.append(score_episodes(outputs, changed.query_y))
    return torch.cat(scores)


def score_changes(
    trial: Trial, episodes: int, changes: Sequence[Change], where: Where
) -> list[Tensor]:
    """The scores under each of some changes, as :func:`score_changed` gives them.

    A task whose query alone changes is adapted to once for all of them.

    Args:
        trial: the trained algorithm.
        episodes: the first so many test episodes.
        changes: the changes.
        where: what all of them change.
    """
    if where != "query":
        return [score_changed(trial, episodes, change) for change in changes]
    scores: list[list[Tensor]] = [[] for _ in changes]
    for indices, batch in first(trial, episodes, batch=at_once(trial, BATCH)):
        with trial.isolated(int(indices[0])):
            predict = trial.adapted(batch.support)
            with torch.no_grad():
                for change, parts in zip(changes, scores, strict=True):
                    query = change(batch, indices).query_x
                    parts.append(score_episodes(predict(query).to(torch.float32), batch.query_y))
    return [torch.cat(parts) for parts in scores]


def summary(clean: Tensor, changed: Tensor) -> dict[str, float | None]:
    r"""The mean score after a change, and the mean paired drop with half its 95 % interval.

    .. math:: \frac{1}{E} \sum_e \left(s_e - s'_e\right)

    Args:
        clean: the scores before, float64 ``[E]``.
        changed: the scores of the same episodes after.

    >>> summary(torch.tensor([1.0, 0.5]), torch.tensor([0.5, 0.0]))
    {'score': 0.25, 'drop': 0.5, 'drop_ci95': 0.0}
    """
    drop = score_interval(clean - changed)
    return {"score": float(changed.mean()), "drop": drop["score"], "drop_ci95": drop["ci95"]}


def score_interval(scores: Tensor) -> dict[str, float | None]:
    """The mean of some scores ``[E]``, and half its 95 % interval; ``None`` where there is but one.

    >>> score_interval(torch.tensor([0.5, 0.5]))
    {'score': 0.5, 'ci95': 0.0}
    """
    mean, half_width = t_interval(scores.tolist())
    return {"score": mean, "ci95": None if math.isnan(half_width) else half_width}
