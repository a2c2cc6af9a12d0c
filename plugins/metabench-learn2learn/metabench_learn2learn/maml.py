"""MAML and first-order MAML by learn2learn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import nn

from metabench import FOMAML, MAML, Support, TaskByTask
from metabench_learn2learn import LIBRARY
from metabench_learn2learn.library import hold, l2l, own_buffers


class L2LMAML(TaskByTask, MAML):
    """MAML by ``learn2learn.algorithms.MAML``: ``clone`` for each task, ``adapt`` for each step.

    Hyper-parameters, recipes, learner and outer loop are those of ``maml``; from one seed the two
    differ by rounding only. As there, the shift of batch norm is meta-learned and not adapted.

    Reference: Finn, Abbeel and Levine 2017, arXiv:1703.03400; Arnold et al. 2020, arXiv:2008.12284.
    """

    name: ClassVar[str] = "l2l-maml"
    library: ClassVar[str] = LIBRARY

    def inner_loop(self, support: Support) -> Iterator[nn.Module]:
        """See :class:`TaskByTask`."""
        # In evaluation the graph of the gradients is needed only to differentiate by the support.
        second_order = self.gradient_order == 2 if self.training else support.keep_graph
        maml = l2l.algorithms.MAML(
            self.learner,
            lr=self.inner_lr,
            first_order=not second_order,
        )
        with torch.set_grad_enabled(True):
            task = maml.clone()
        own_buffers(task.module)
        fixed = {name for name, _ in self.learner.named_parameters() if not self.adapts(name)}
        hold(task.module, fixed)
        while True:
            yield task.module
            with torch.enable_grad():
                task.adapt(self.problem.loss(task(support.x), support.y))


class L2LFOMAML(L2LMAML, FOMAML):  # FOMAML last: its recipes, and nothing else
    """First-order MAML by ``learn2learn.algorithms.MAML`` with ``first_order=True``.

    Everything else is that of :class:`L2LMAML`.

    Reference: Finn, Abbeel and Levine 2017, arXiv:1703.03400, section 5.2; Arnold et al. 2020,
    arXiv:2008.12284.
    """

    name: ClassVar[str] = "l2l-fomaml"
    second_order: ClassVar[bool] = False
