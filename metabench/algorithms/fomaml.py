"""First-order MAML."""

from __future__ import annotations

from typing import ClassVar

from metabench.algorithms.maml import MAML


class FOMAML(MAML):
    r"""First-order MAML: MAML whose inner gradients are constants to the outer loop.

    .. math::
        \theta'_t = \theta - \alpha \nabla_\theta L^\text{support}_t(\theta), \qquad
        \theta \leftarrow \theta - \beta \textstyle\sum_t \nabla_{\theta'_t} L^\text{query}_t(\theta'_t)

    Everything else, its hyper-parameters and recipe among it, is :class:`MAML`'s.

    Reference: Finn, Abbeel and Levine 2017, arXiv:1703.03400, section 5.2; Nichol, Achiam and Schulman 2018,
    arXiv:1803.02999, section 2.
    Measured: leaderboards/omniglot (5-way 1-shot 97.4 of the 98.3 that the Reptile paper reports, 20-way
    1-shot 89.5 of 89.4, 5-way 5-shot 99.3 of 99.2, 20-way 5-shot 97.4 of 97.9; 5-way 1-shot 95.4 with the
    learned head on the strided network of MAML's paper, after four million examples).
    Deviates: as MAML, from a head of zeros among it. 72,000 examples of Omniglot (5-way 1-shot,
    meta-validation) bring 87.5 % with the learned head, 92.0 % from zeros with 5 classes in training, and,
    one task an outer step, 94.1 % with 20, with steps of 0.05 and of 0.15 alike. 24,000 of glyphs bring 82.8
    % with the learned head and 83.1 % from zeros; 16,000 of 5-shot glyphs 92.6 % with the learned head, and
    from zeros 87.4 % in episodes of five shots and 91.9 % of one (steps of 0.15).
    With 3, 5 and 10 inner steps at test it has (meta-validation) 98.9, 99.1 and 99.5 % of Omniglot's 5-way
    5-shot, 90.3, 91.4 and 91.9 % of its 20-way 1-shot, 90.6, 92.6 and 94.3 % of 5-shot glyphs.
    With the learned head three inner steps are best. 72,000 examples of Omniglot bring 87.5 % with three of
    0.15, 86.0 % with five of 0.1, 85.2 % with two of 0.2, and 85.8, 86.0 and 77.5 % with one of 0.1, 0.2 and
    0.4: one large step serves a method that differentiates through it only.
    """

    name: ClassVar[str] = "fomaml"
    second_order: ClassVar[bool] = False
