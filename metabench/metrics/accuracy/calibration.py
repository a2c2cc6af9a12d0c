"""How far the probabilities of a classifier can be trusted, and how bad its bad episodes are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

BINS = 15


def expected_calibration_error(logits: Tensor, targets: Tensor, *, bins: int = BINS) -> float:
    r"""The distance between confidence and accuracy, over bins of equal width of the confidence.

    .. math:: \sum_b \frac{n_b}{n} \left| \text{accuracy}_b - \text{confidence}_b \right|

    Reference: Guo et al. 2017, arXiv:1706.04599, equation 3, with their 15 bins.

    Args:
        logits: ``[..., ways]``.
        targets: int64 ``[...]``.
        bins: how many bins.

    >>> expected_calibration_error(torch.tensor([[0.0, 100.0], [0.0, 100.0]]), torch.tensor([1, 0]))
    0.5
    """
    confidence, label = logits.double().softmax(-1).flatten(0, -2).max(-1)
    right = (label == targets.flatten()).double()
    place = (confidence * bins).ceil().long().clamp(1, bins) - 1
    excess = torch.zeros(bins, dtype=torch.float64, device=logits.device)
    return float(excess.index_add(0, place, right - confidence).abs().sum() / len(right))


def negative_log_likelihood(logits: Tensor, targets: Tensor) -> float:
    r"""The mean of :math:`-\log p_y` in nats, of logits ``[..., ways]`` and targets ``[...]``.

    >>> negative_log_likelihood(torch.zeros(1, 2), torch.tensor([0]))
    0.693...
    """
    return float(F.cross_entropy(logits.double().flatten(0, -2), targets.flatten()))


def macro_f1(labels: Tensor, targets: Tensor, ways: int) -> float:
    r"""The mean over episodes of the mean over classes of F1.

    .. math:: F_1 = \frac{2 \, TP}{2 \, TP + FP + FN}

    Args:
        labels: predicted, int64 ``[E, Q]``.
        targets: int64 ``[E, Q]``; a class that is neither there nor predicted counts as 0.
        ways: how many classes there are.

    >>> macro_f1(torch.tensor([[0, 0, 1, 0]]), torch.tensor([[0, 0, 1, 1]]), 2)
    0.733...
    """
    predicted, true = F.one_hot(labels, ways), F.one_hot(targets, ways)
    both = (predicted * true).sum(1).double()
    either = (predicted + true).sum(1).double()
    return float((2 * both / either.clamp_min(1)).mean())


def worst_decile(scores: Sequence[float], *, higher_is_better: bool = True) -> float:
    """The mean score of the worst tenth of the episodes, at least one.

    >>> worst_decile([0.9] * 19 + [0.1])
    0.5
    """
    ordered = sorted(scores, reverse=not higher_is_better)
    worst = ordered[: max(1, math.ceil(len(ordered) / 10))]
    return math.fsum(worst) / len(worst)
