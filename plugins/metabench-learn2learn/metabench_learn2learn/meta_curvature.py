"""Meta-Curvature by learn2learn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import nn

from metabench import MAML, Support, TaskByTask
from metabench_learn2learn import LIBRARY
from metabench_learn2learn.library import l2l, own_buffers


class L2LMetaCurvature(TaskByTask, MAML):
    r"""Meta-Curvature by ``learn2learn.algorithms.GBML`` with ``MetaCurvatureTransform``.

    .. math::
        \theta'_t = \theta - \alpha \, M_\text{out} \left(M_f
        \nabla_\theta L^\text{support}_t(\theta)\right) M_\text{in}

    The matrices are meta-learned together with the initialisation and start as the identity, where
    this is ``l2l-maml`` but for the shift of batch norm, which is adapted too. Hyper-parameters,
    learner and outer loop are those of ``maml``.

    Reference: Park and Oliva 2019, arXiv:1902.03356; Arnold et al. 2020, arXiv:2008.12284.
    Deviates: The matrices are trained at the outer learning rate of the initialisation.
    """

    name: ClassVar[str] = "l2l-meta-curvature"
    library: ClassVar[str] = LIBRARY

    def __post_init__(self) -> None:
        super().__post_init__()
        transform = l2l.optim.MetaCurvatureTransform
        self.curvature = l2l.optim.ParameterUpdate(self.learner.parameters(), transform)

    def inner_loop(self, support: Support) -> Iterator[nn.Module]:
        """See :class:`TaskByTask`."""
        gbml = l2l.algorithms.GBML(
            self.learner,
            transform=l2l.optim.MetaCurvatureTransform,
            lr=self.inner_lr,
            first_order=not (self.training or support.keep_graph),
            compute_update=self.curvature,
        )
        with torch.enable_grad():
            task = gbml.clone()
        own_buffers(task.module)
        while True:
            yield task.module
            with torch.enable_grad():
                task.adapt(self.problem.loss(task(support.x), support.y))
