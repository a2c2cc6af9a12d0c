"""Scores of clean and perturbed episodes: accuracy, or minus the squared error in regression."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from metabench.episodes import TaskBatch
from metabench.metrics.perturbation import Perturbation, PerturbedSet
from metabench.metrics.trial import BATCH_SIZE, Trial
from metabench.stats import t_interval


def score_episodes(outputs: Tensor, targets: Tensor) -> Tensor:
    r"""Returns the score of each episode; higher is better.

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
    # In float64: a mean of zeros and ones is then exact but for one rounding.
    if targets.is_floating_point():
        return -(outputs - targets).double().square().mean((1, 2)).cpu()
    return (outputs.argmax(-1) == targets).double().mean(1).cpu()


def iter_episodes(
    trial: Trial, episodes: int, *, batch_size: int = BATCH_SIZE
) -> Iterator[tuple[Tensor, TaskBatch]]:
    """Iterate over the first episodes of a trial in batches.

    Args:
        trial: The trained algorithm on frozen episodes.
        episodes: Number of episodes; at most those of the trial.
        batch_size: Episodes per batch.

    Yields:
        The indices of the episodes, int64 ``[T]``, and the episodes.
    """
    last = min(episodes, trial.episodes)
    for start in range(0, last, batch_size):
        indices = torch.arange(start, min(start + batch_size, last), device=trial.device)
        yield indices, trial.sampler.tasks(indices)


def adaptable_batch_size(trial: Trial, batch_size: int) -> int:
    """Returns ``batch_size``, or 1 if the algorithm has no ``adapt_batch``.

    :meth:`Trial.adapted` takes that many episodes.
    """
    return batch_size if trial.model.offers("adapt_batch") else 1


def score_perturbed(
    trial: Trial, episodes: int, perturbation: Perturbation | None = None
) -> Tensor:
    """Returns the scores of the first episodes after a perturbation, float64 ``[E]``.

    Args:
        trial: The trained algorithm on frozen episodes.
        episodes: Number of episodes.
        perturbation: Applied to each batch; ``None`` for clean episodes, whose predictions are
            those of :meth:`Trial.predictions` if it made them.
    """
    known = trial.known_predictions(episodes) if perturbation is None else None
    if known is not None:
        return score_episodes(known.outputs, known.targets)
    scores = []
    # Every perturbation gets the same batches: the batch size can change last bits, and paired
    # differences of unperturbed episodes must be exactly zero.
    for indices, batch in iter_episodes(trial, episodes):
        perturbed = batch if perturbation is None else perturbation(batch, indices)
        outputs = trial.predict(perturbed, start=int(indices[0]))
        scores.append(score_episodes(outputs, perturbed.query_y))
    return torch.cat(scores)


def score_each_perturbation(
    trial: Trial, episodes: int, perturbations: Sequence[Perturbation], perturbed: PerturbedSet
) -> list[Tensor]:
    """Returns the scores under each perturbation, as :func:`score_perturbed` does.

    Args:
        trial: The trained algorithm on frozen episodes.
        episodes: Number of episodes.
        perturbations: The perturbations.
        perturbed: Which set all of them change.
    """
    if perturbed != "query":
        return [score_perturbed(trial, episodes, perturbation) for perturbation in perturbations]
    # The support set stays clean, so that a task is adapted to once for all perturbations.
    scores: list[list[Tensor]] = [[] for _ in perturbations]
    batch_size = adaptable_batch_size(trial, BATCH_SIZE)
    for indices, batch in iter_episodes(trial, episodes, batch_size=batch_size):
        with trial.isolated(int(indices[0])):
            predict = trial.adapted(batch.support)
            with torch.no_grad():
                for perturbation, found in zip(perturbations, scores, strict=True):
                    query = perturbation(batch, indices).query_x
                    found.append(score_episodes(predict(query).to(torch.float32), batch.query_y))
    return [torch.cat(found) for found in scores]


def summarize_drop(clean: Tensor, perturbed: Tensor) -> dict[str, float | None]:
    r"""Returns the mean perturbed score and the mean paired drop, with half their 95 % intervals.

    .. math:: \frac{1}{E} \sum_e \left(s_e - s'_e\right)

    Args:
        clean: Scores of the clean episodes, float64 ``[E]``.
        perturbed: Scores of the same episodes after the perturbation.

    >>> summarize_drop(torch.tensor([0.75, 0.75]), torch.tensor([0.25, 0.25]))
    {'score': 0.25, 'ci95': 0.0, 'drop': 0.5, 'drop_ci95': 0.0}
    """
    return {**score_interval(perturbed), **drop_interval(clean - perturbed)}


def drop_interval(drops: Tensor, name: str = "drop") -> dict[str, float | None]:
    """Returns the mean of drops ``[E]`` and half its 95 % interval, as ``drop`` and ``drop_ci95``.

    Args:
        drops: The drop in each episode. The interval is that of paired differences: episodes
            differ more than perturbations do.
        name: Another name than ``drop``.
    """
    found = score_interval(drops)
    return {name: found["score"], f"{name}_ci95": found["ci95"]}


def score_interval(scores: Tensor) -> dict[str, float | None]:
    """Returns the mean of scores ``[E]`` and half its 95 % interval; ``None`` for one score.

    >>> score_interval(torch.tensor([0.5, 0.5]))
    {'score': 0.5, 'ci95': 0.0}
    """
    mean, half_width = t_interval(scores.tolist())
    return {"score": mean, "ci95": None if math.isnan(half_width) else half_width}
