"""MAML's outer step by metabench, and by each library as its own documentation writes it.

All of them adapt every parameter, have the same network and the same batch of tasks, and end with a
step of Adam.

* learn2learn: ``examples/vision/maml_omniglot.py``
* higher: MAML in the README
* TorchOpt: ``examples/few-shot/maml_omniglot.py``
* torch.func: ``grad`` of ``functional_call``, task by task; and over all tasks at once by ``vmap``,
  as PyTorch's documentation recommends
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import importlib.util
import math
import sys
import types
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

from metabench.algorithms.maml import MAML
from metabench.algorithms.problem import Problem
from metabench.episodes import TaskBatch
from metabench.learning.learner import Learner
from metabench.learning.outer_gradient.select import OuterGradient
from metabench.learning.outer_loop import outer_step
from tests.performance.networks import as_peer_parameters

OUTER_LR = 1e-6
"""An outer rate so small that timing does not change the networks."""


@dataclass(frozen=True)
class Setting:
    """The setting of all sides.

    Args:
        inner_lr: The inner learning rate.
        steps: The number of inner steps.
        first_order: Whether inner gradients are constants.
        regression: Whether the loss is the squared error and not the cross-entropy.
    """

    inner_lr: float
    steps: int
    first_order: bool = False
    regression: bool = False

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return (
            F.mse_loss(predictions, targets)
            if self.regression
            else F.cross_entropy(predictions, targets)
        )


class Replay:
    """A stream of batches in memory, so that only the steps of the algorithm are timed."""

    progress = 0.0

    def __init__(self, batches: Sequence[TaskBatch]) -> None:
        self._batches = batches

    def keep(self, thing: Any) -> Any:
        return thing

    def batches(self, *args: object, **options: object) -> Iterator[TaskBatch]:
        return iter(self._batches)

    def log(self, loss: Tensor) -> None:
        assert math.isfinite(float(loss.detach()))


class EveryParameter(MAML):
    """MAML as the peers write it: adapts every parameter, scales batch norm, mirrors no class."""

    def __init__(self, problem: Problem, **options: Any) -> None:
        super().__init__(problem, outer_lr=OUTER_LR, anneal=False, mirror=False, **options)
        self.learner = Learner(problem, options.get("backbone", ""), norm="batch", scale=True)

    def adapts(self, name: str) -> bool:
        return True


class Metabench:
    """Outer steps of metabench's MAML.

    Processes that share the steps, or a captured graph, live from the first step to :meth:`close`,
    since a cell takes thousands of steps with them.

    Args:
        algorithm: The algorithm.
        batch: The tasks of every outer step.
    """

    def __init__(self, algorithm: MAML, batch: TaskBatch) -> None:
        self.algorithm = algorithm.train()
        self.batch = batch
        self._optimizer = torch.optim.Adam(algorithm.parameters(), lr=OUTER_LR)
        self._gradient = OuterGradient(algorithm, algorithm.query_losses)

    def steps(self, count: int) -> Callable[[], int]:
        """Returns a side that takes ``count`` outer steps; its units are tasks."""

        def run() -> int:
            for _ in range(count):
                loss = self._gradient(self.batch)
                outer_step(self._optimizer, lr=OUTER_LR)
            assert math.isfinite(float(loss))
            return count * len(self.batch)

        return run

    def gradient(self) -> Tensor:
        """Returns the outer gradient ``[parameters]``, in the order of the peers."""
        self._gradient(self.batch)
        learner = self.algorithm.learner
        grads = {name: p.grad for name, p in learner.named_parameters()}
        return _flat(as_peer_parameters(learner, grads))  # type: ignore[arg-type]

    def close(self) -> None:
        """End the processes that share the steps."""
        self._gradient.close()


class Peer(ABC):
    """Outer steps by another library.

    Args:
        network: The network; each peer copies it.
        setting: The setting of all sides.
        batch: The tasks of every outer step.
    """

    name: str
    module = "torch"
    first_order = True

    def __init__(self, network: nn.Module, setting: Setting, batch: TaskBatch) -> None:
        self.network = copy.deepcopy(network)
        self.setting = setting
        self.tasks = [(t.support.x, t.support.y, t.query_x, t.query_y) for t in batch]
        self.batch = batch
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=OUTER_LR)
        self.prepare()

    @abstractmethod
    def prepare(self) -> None:
        """Create the objects of the library that all steps use."""

    @abstractmethod
    def accumulate(self) -> None:
        """Add the outer gradient to ``.grad`` of the network's parameters."""

    def steps(self, count: int) -> Callable[[], int]:
        """Returns a side that takes ``count`` outer steps; its units are tasks."""

        def run() -> int:
            for _ in range(count):
                self.optimizer.zero_grad()
                self.accumulate()
                self.optimizer.step()
            return count * len(self.tasks)

        return run

    def gradient(self) -> Tensor:
        """Returns the outer gradient, ``[parameters]``."""
        self.optimizer.zero_grad()
        self.accumulate()
        return _flat(p.grad for p in self.network.parameters() if p.grad is not None)


def make_learn2learn_importable() -> None:
    """Make learn2learn importable if the published torchvision is not.

    That build is linked to CUDA and cannot register its operators with a CPU build of torch; the
    comparisons do not use them.
    """
    with contextlib.suppress(ImportError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            importlib.import_module("torchvision")
        except RuntimeError:
            name = "torchvision._meta_registrations"
            for loaded in [m for m in sys.modules if m.partition(".")[0] == "torchvision"]:
                del sys.modules[loaded]
            sys.modules[name] = types.ModuleType(name)


class Learn2Learn(Peer):
    name = module = "learn2learn"

    def prepare(self) -> None:
        l2l = importlib.import_module("learn2learn")
        first_order = self.setting.first_order
        self.maml = l2l.algorithms.MAML(
            self.network, lr=self.setting.inner_lr, first_order=first_order
        )

    def accumulate(self) -> None:
        loss = self.setting.loss
        for x, y, query_x, query_y in self.tasks:
            learner = self.maml.clone()
            for _ in range(self.setting.steps):
                learner.adapt(loss(learner(x), y))
            (loss(learner(query_x), query_y) / len(self.tasks)).backward()


class Higher(Peer):
    name = module = "higher"

    def prepare(self) -> None:
        self.higher = importlib.import_module("higher")
        self.inner = torch.optim.SGD(self.network.parameters(), lr=self.setting.inner_lr)

    def accumulate(self) -> None:
        loss, first_order = self.setting.loss, self.setting.first_order
        for x, y, query_x, query_y in self.tasks:
            with self.higher.innerloop_ctx(
                self.network,
                self.inner,
                copy_initial_weights=False,
                track_higher_grads=not first_order,
            ) as (learner, inner):
                for _ in range(self.setting.steps):
                    inner.step(loss(learner(x), y))
                outer = loss(learner(query_x), query_y) / len(self.tasks)
                # Without tracking, the first-order gradient is that at the adapted parameters.
                if first_order:
                    _add(self.network, torch.autograd.grad(outer, list(learner.parameters())))
                else:
                    outer.backward()


class TorchOpt(Peer):
    name = module = "torchopt"
    first_order = False  # its MetaSGD keeps the graph of the inner gradients

    def prepare(self) -> None:
        self.torchopt = importlib.import_module("torchopt")
        self.inner = self.torchopt.MetaSGD(self.network, lr=self.setting.inner_lr)

    def accumulate(self) -> None:
        loss, torchopt = self.setting.loss, self.torchopt
        network = torchopt.extract_state_dict(self.network, by="reference", detach_buffers=True)
        inner = torchopt.extract_state_dict(self.inner, by="reference")
        for x, y, query_x, query_y in self.tasks:
            for _ in range(self.setting.steps):
                self.inner.step(loss(self.network(x), y))
            (loss(self.network(query_x), query_y) / len(self.tasks)).backward()
            torchopt.recover_state_dict(self.network, network)
            torchopt.recover_state_dict(self.inner, inner)


class TorchFunc(Peer):
    name = "torch.func loop"

    def prepare(self) -> None:
        """Do nothing."""

    def accumulate(self) -> None:
        params = dict(self.network.named_parameters())
        if self.setting.first_order:
            params = {name: p.detach() for name, p in params.items()}
        for x, y, query_x, query_y in self.tasks:
            adapted = self._adapted(params, x, y)
            if self.setting.first_order:
                found = grad(self._loss)(adapted, query_x, query_y)
                _add(self.network, [g / len(self.tasks) for g in found.values()])
            else:
                (self._loss(adapted, query_x, query_y) / len(self.tasks)).backward()

    def _adapted(self, params: dict[str, Tensor], x: Tensor, y: Tensor) -> dict[str, Tensor]:
        for _ in range(self.setting.steps):
            slopes = grad(self._loss)(params, x, y)
            params = {name: p - self.setting.inner_lr * slopes[name] for name, p in params.items()}
        return params

    def _loss(self, params: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return self.setting.loss(functional_call(self.network, params, (x,)), y)


class TorchFuncVmap(TorchFunc):
    name = "torch.func vmap"
    first_order = False

    def accumulate(self) -> None:
        def outer(
            params: dict[str, Tensor], x: Tensor, y: Tensor, query_x: Tensor, query_y: Tensor
        ) -> Tensor:
            return self._loss(self._adapted(params, x, y), query_x, query_y)

        batch, params = self.batch, dict(self.network.named_parameters())
        tasks = (batch.support_x, batch.support_y, batch.query_x, batch.query_y)
        vmap(outer, in_dims=(None, 0, 0, 0, 0))(params, *tasks).mean().backward()


LIBRARIES: tuple[type[Peer], ...] = (Learn2Learn, Higher, TorchOpt, TorchFunc)
"""The peers that a figure is relative to."""


def installed(setting: Setting) -> list[type[Peer]]:
    """Returns the installed peers that support a setting."""
    able = [peer for peer in LIBRARIES if peer.first_order or not setting.first_order]
    return [peer for peer in able if importlib.util.find_spec(peer.module)]


def _flat(tensors: Iterable[Tensor]) -> Tensor:
    return torch.cat([t.flatten() for t in tensors]).detach().clone()


def _add(network: nn.Module, grads: Iterable[Tensor]) -> None:
    for parameter, found in zip(network.parameters(), grads, strict=True):
        parameter.grad = found if parameter.grad is None else parameter.grad + found
