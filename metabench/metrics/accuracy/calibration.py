"""Calibration, likelihood and F1 of a classifier.

torchmetrics and scikit-learn have these functions too; each is a line or two of PyTorch here, which
is not worth a dependency.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

BINS = 15


def expected_calibration_error(logits: Tensor, targets: Tensor, *, bins: int = BINS) -> float:
    r"""Returns the mean distance between confidence and accuracy over bins of the confidence.

    .. math:: \sum_b \frac{n_b}{n} \left| \text{accuracy}_b - \text{confidence}_b \right|

    Reference: Guo et al. 2017, arXiv:1706.04599, equation 3, with their 15 bins of equal width.

    Args:
        logits: ``[..., ways]``.
        targets: int64 ``[...]``.
        bins: Number of bins.

    >>> expected_calibration_error(torch.tensor([[0.0, 100.0], [0.0, 100.0]]), torch.tensor([1, 0]))
    0.5
    """
    confidence, label = logits.double().softmax(-1).flatten(0, -2).max(-1)
    correct = (label == targets.flatten()).double()
    # The paper's bins are ((b - 1) / 15, b / 15], closed on the right.
    bin_index = (confidence * bins).ceil().long().clamp(1, bins) - 1
    excess = torch.zeros(bins, dtype=torch.float64, device=logits.device)
    excess = excess.index_add(0, bin_index, correct - confidence)
    return float(excess.abs().sum() / len(correct))


def negative_log_likelihood(logits: Tensor, targets: Tensor) -> float:
    r"""Returns the mean of :math:`-\log p_y` in nats.

    Args:
        logits: ``[..., ways]``.
        targets: int64 ``[...]``.

    >>> negative_log_likelihood(torch.zeros(1, 2), torch.tensor([0]))
    0.693...
    """
    return float(F.cross_entropy(logits.double().flatten(0, -2), targets.flatten()))


def macro_f1(labels: Tensor, targets: Tensor, ways: int) -> float:
    r"""Returns the mean over episodes of the mean F1 over classes.

    .. math:: F_1 = \frac{2 \, TP}{2 \, TP + FP + FN}

    Args:
        labels: Predicted labels, int64 ``[E, Q]``.
        targets: int64 ``[E, Q]``; a class that is neither present nor predicted counts as 0.
        ways: Number of classes.

    >>> macro_f1(torch.tensor([[0, 0, 1, 0]]), torch.tensor([[0, 0, 1, 1]]), 2)
    0.733...
    """
    # 2 TP + FP + FN is the number of predictions plus the number of targets of the class.
    predicted, true = F.one_hot(labels, ways), F.one_hot(targets, ways)
    both = (predicted * true).sum(1).double()
    either = (predicted + true).sum(1).double()
    return float((2 * both / either.clamp_min(1)).mean())
