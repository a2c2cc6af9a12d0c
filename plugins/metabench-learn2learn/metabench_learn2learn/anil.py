"""ANIL by learn2learn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import nn

from metabench import ANIL, Support, TaskByTask
from metabench_learn2learn import LIBRARY
from metabench_learn2learn.library import l2l, own_buffers


class L2LANIL(TaskByTask, ANIL):
    """ANIL by ``learn2learn.algorithms.MAML`` around the head, as in learn2learn's own examples.

    Hyper-parameters, recipes, learner and outer loop are those of ``anil``; the body sees each
    support set once. From one seed the two differ by rounding only.

    Reference: Raghu et al. 2020, arXiv:1909.09157; Arnold et al. 2020, arXiv:2008.12284.
    """

    name: ClassVar[str] = "l2l-anil"
    library: ClassVar[str] = LIBRARY

    def inner_loop(self, support: Support) -> Iterator[nn.Module]:
        """See :class:`TaskByTask`."""
        keep_graph = self.training or support.keep_graph
        with torch.enable_grad():
            task = l2l.clone_module(self.learner)
        own_buffers(task)
        with torch.set_grad_enabled(keep_graph):
            features = task.backbone(support.x)
        lr = self.inner_lr
        head = l2l.algorithms.MAML(task.head, lr=lr, first_order=not keep_graph)
        while True:
            yield task
            with torch.enable_grad():
                head.adapt(self.problem.loss(head(features), support.y))
            task.head = head.module
