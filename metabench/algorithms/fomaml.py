"""First-order MAML. Measured and tried: docs/algorithms/fomaml.md."""

from __future__ import annotations

from typing import ClassVar

from metabench.algorithms.maml import MAML


class FOMAML(MAML):
    r"""MAML whose inner gradients are constants to the outer loop.

    .. math::
        \theta'_t = \theta - \alpha \nabla_\theta L^\text{support}_t(\theta), \qquad
        \theta \leftarrow \theta - \beta \textstyle\sum_t
        \nabla_{\theta'_t} L^\text{query}_t(\theta'_t)

    Everything else, hyper-parameters and deviations included, is that of :class:`MAML`.

    Reference: Finn, Abbeel and Levine 2017, arXiv:1703.03400, section 5.2; Nichol, Achiam and
    Schulman 2018, arXiv:1803.02999, section 2.
    """

    name: ClassVar[str] = "fomaml"
    second_order: ClassVar[bool] = False
