"""Meta-SGD by learn2learn."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import nn

from metabench import MetaSGD, Support, TaskByTask
from metabench_learn2learn import LIBRARY
from metabench_learn2learn.library import l2l, own_buffers


class L2LMetaSGD(TaskByTask, MetaSGD):
    """Meta-SGD by ``learn2learn.algorithms.MetaSGD``: a learned rate for each parameter, one inner step.

    Hyper-parameters, recipe, learner, initial rates and outer loop are those of ``meta-sgd``; from one seed
    the two differ by rounding alone.

    Reference: Li et al. 2017, arXiv:1707.09835; Arnold et al. 2020, arXiv:2008.12284.
    """

    name: ClassVar[str] = "l2l-meta-sgd"
    library: ClassVar[str] = LIBRARY

    def inner_loop(self, support: Support) -> Iterator[nn.Module]:
        """See :class:`TaskByTask`."""
        first_order = not (self.training or support.x.requires_grad)
        factor = self.rate_for(support)
        lrs = [factor * rate for rate in self.rates]
        meta_sgd = l2l.algorithms.MetaSGD(
            self.learner_for(support), first_order=first_order, lrs=lrs
        )
        with torch.enable_grad():
            task = meta_sgd.clone()
        own_buffers(task.module)
        while True:
            yield task.module
            with torch.enable_grad(), warnings.catch_warnings():
                # Its update carries the gradients in the `.grad` of tensors that are no leaves.
                warnings.filterwarnings("ignore", message=r"The \.grad attribute of a Tensor")
                task.adapt(self.problem.loss(task(support.x), support.y))
