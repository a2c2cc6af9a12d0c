r"""Gradient-based methods whose episodes start from a head of zeros, which is not learned.

An episode numbers its classes at random, and a learned head fits the numbers that it happens to be
given: noise, of which Adam makes steps as large as any. Averaged over all numberings :math:`\pi` of
the ``N`` classes of an episode, the outer gradient moves all columns of a head with equal columns
alike, which the softmax does not see:

.. math::
    \tfrac{1}{N!} \textstyle\sum_\pi \nabla_{w_c} L^{(\pi)} = \tfrac1N \sum_j \nabla_{w_j} L = 0

So a head of zeros stays one, and the gradient of everything else is the same under every numbering:
to start from zeros and to learn nothing of the head is to learn from all numberings at once. As it
treats all classes alike, an episode of meta-training may have more classes than one at meta-test.

Reference: Kao, Chiu and Chen 2022, arXiv:2106.15367 (the zeroing trick); Ye and Chao 2022,
arXiv:2106.16245 (one vector for all classes).
"""

from __future__ import annotations

from metabench.algorithms.base import hyperparameters
from metabench.learning.gradient_based import GradientBased


@hyperparameters
class ZeroHead(GradientBased):
    """Put before a gradient-based method, it starts every episode from a head of zeros.

    Raises:
        NotApplicable: If the problem is regression, which has no classes.
    """

    zero_head = True

    train_ways: int = 0  # classes in a training episode; 0: as at test
