"""MAML by TorchOpt."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
import torchopt
from torch import nn

from metabench import MAML, NotApplicable, Support, TaskByTask
from metabench_torchopt import LIBRARY


class TorchOptMAML(TaskByTask, MAML):
    """MAML by ``torchopt.MetaSGD`` on a ``torchopt.module_clone`` for each task.

    Hyper-parameters, recipes, learner and outer loop are those of ``maml``; from one seed the two
    differ by rounding only. As there, the shift of batch norm is meta-learned and not adapted. In
    evaluation ``torchopt.stop_gradient`` cuts the graph after each step.

    Reference: Finn, Abbeel and Levine 2017, arXiv:1703.03400; Ren et al. 2023, arXiv:2211.06934.
    """

    name: ClassVar[str] = "torchopt-maml"
    library: ClassVar[str] = LIBRARY

    def inner_loop(self, support: Support) -> Iterator[nn.Module]:
        """See :class:`TaskByTask`."""
        if self.gradient_order == 1:
            raise NotApplicable(
                "TorchOpt's MetaSGD keeps second-order gradients: leave out first_order."
            )
        with torch.enable_grad():
            # Its buffers are cloned too.
            task = torchopt.module_clone(self.learner, by="clone")
        self._hold(task)
        lr = self.inner_lr
        optimizer = torchopt.MetaSGD(task, lr=lr)
        while True:
            yield task
            with torch.enable_grad():
                optimizer.step(self.problem.loss(task(support.x), support.y))
            if not (self.training or support.keep_graph):
                torchopt.stop_gradient(task)
                torchopt.stop_gradient(optimizer)

    def _hold(self, task: nn.Module) -> None:
        """Exclude parameters from adaptation: the optimiser moves every parameter and no buffer."""
        for name, _ in self.learner.named_parameters():
            if not self.adapts(name):
                place, _, leaf = name.rpartition(".")
                module = task.get_submodule(place)
                module._buffers[leaf] = module._parameters.pop(leaf)
