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
    """Meta-SGD by ``learn2learn.algorithms.MetaSGD``: a learned rate for each parameter.

    Hyper-parameters, recipes, learner, initial rates and outer loop are those of ``meta-sgd``; from
    one seed the two differ by rounding only.

    Reference: Li et al. 2017, arXiv:1707.09835; Arnold et al. 2020, arXiv:2008.12284.
    """

    name: ClassVar[str] = "l2l-meta-sgd"
    library: ClassVar[str] = LIBRARY

    def inner_loop(self, support: Support) -> Iterator[nn.Module]:
        """See :class:`TaskByTask`."""
        meta_sgd = l2l.algorithms.MetaSGD(
            self.learner,
            first_order=not (self.training or support.keep_graph),
            lrs=list(self.rates),
        )
        with torch.enable_grad():
            task = meta_sgd.clone()
        own_buffers(task.module)
        while True:
            yield task.module
            with torch.enable_grad(), warnings.catch_warnings():
                # Its update passes the gradients in `.grad` of tensors that are not leaves.
                warnings.filterwarnings("ignore", message=r"The \.grad attribute of a Tensor")
                task.adapt(self.problem.loss(task(support.x), support.y))
