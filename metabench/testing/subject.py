"""An algorithm under examination: made, trained for a moment, and asked, always from the same start."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property

import torch
from torch import Tensor

from metabench.algorithms.base import Algorithm, Value
from metabench.algorithms.problem import Problem
from metabench.episodes import Support, Task, TaskBatch
from metabench.errors import NotApplicable
from metabench.plugins import installed_plugins
from metabench.recipes.hyperparameters import hyperparameters_for
from metabench.runtime.counter_rng import make_key
from metabench.runtime.rng_state import preserved_random_state, seed_everything
from metabench.testing.world import EPISODES, ShortStream, World

STEPS = 2
"""Outer steps of meta-training before an algorithm is asked: enough to move what learning moves."""

TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3}
"""How far two predictions that should be equal may lie apart, as a share of the largest."""

BUDGET = "budget"
"""A name that a recipe may hold beside hyper-parameters: the harness takes it out."""


class Subject:
    """One algorithm on one problem, in one floating-point type.

    Whoever asks for an algorithm is given a copy of its own, so that what one check finds does not depend on
    what another has done.

    Args:
        cls: the algorithm.
        problem: the problem.
        chosen: hyper-parameters that are not to have their defaults.
        dtype: float64 or float32.
    """

    def __init__(
        self,
        cls: type[Algorithm],
        problem: Problem,
        chosen: Mapping[str, Value],
        dtype: torch.dtype,
    ) -> None:
        self.cls = cls
        self.problem = problem
        self.chosen = dict(chosen)
        self.dtype = dtype
        self.world = World(problem, dtype)
        self._trained: Algorithm | None = None

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Inside, new tensors are of the subject's type; random numbers are afterwards as they were."""
        before = torch.get_default_dtype()
        torch.set_default_dtype(self.dtype)
        try:
            with preserved_random_state(), torch.enable_grad():
                yield
        finally:
            torch.set_default_dtype(before)

    @property
    def values(self) -> dict[str, Value]:
        """The hyper-parameters it is made with."""
        registry = installed_plugins().registry
        values = hyperparameters_for(registry, self.cls, self.problem, self.chosen)
        values.pop(BUDGET, None)
        return values

    def new(self, seed: int = 0) -> Algorithm:
        """A new algorithm in evaluation mode."""
        seed_everything(make_key("kit", "new", seed))
        return self.cls(self.problem, **self.values).to(self.dtype).eval()

    def train(self, algorithm: Algorithm, *, steps: int = STEPS) -> ShortStream:
        """Meta-train an algorithm for so many outer steps, and give the stream that it learned from."""
        stream = self.world.stream(steps)
        seed_everything(make_key("kit", "train"))
        algorithm.train()
        algorithm.meta_train(stream)
        algorithm.eval()
        return stream

    def trained(self) -> Algorithm:
        """A copy of the algorithm after a few outer steps; trained again where it cannot be copied."""
        if self._trained is None:
            self._trained = self.new()
            self.train(self._trained)
        try:
            return copy.deepcopy(self._trained)
        except Exception:  # a module may hold what cannot be copied
            again, self._trained = self._trained, None
            return again

    @property
    def episodes(self) -> TaskBatch:
        """Test episodes, made anew: whoever spoils them spoils nobody else's."""
        return self.world.test()

    @property
    def task(self) -> Task:
        """The first of them."""
        return self.tasks[0]

    @property
    def tasks(self) -> list[Task]:
        """The test episodes one by one."""
        return list(self.world.test(EPISODES))

    def predict(
        self, support: Support, query: Tensor, *, algorithm: Algorithm | None = None, seed: int = 0
    ) -> Tensor:
        """What an algorithm, by default a copy of the trained one, says of queries: ``[Q, outputs]``."""
        algorithm = algorithm if algorithm is not None else self.trained()
        seed_everything(make_key("kit", "adapt", seed))
        predictor = algorithm.adapt(support)
        with torch.no_grad():
            return predictor(query)

    @cached_property
    def random(self) -> bool:
        """Whether its predictions depend on the random numbers that are drawn while it adapts or predicts."""
        task = self.task
        first, second = (self.predict(task.support, task.query_x, seed=seed) for seed in (1, 2))
        return not self.same(first, second)

    def require_deterministic(self, what: str) -> None:
        """Raise NotApplicable where predictions are random, so that ``what`` cannot be told."""
        if self.random:
            raise NotApplicable(
                f"its predictions are random, so {what} cannot be told from chance."
            )

    def require(self, method: str) -> None:
        """Raise NotApplicable where the algorithm has no such optional method."""
        if not self.cls.offers(method):
            raise NotApplicable(f"it has no {method}.")

    def apart(self, a: Tensor, b: Tensor) -> float:
        """The largest difference of two predictions, as a share of the largest of them."""
        scale = torch.maximum(a.abs().max(), b.abs().max()).clamp(min=1e-12)
        return float((a - b).abs().max() / scale)

    def same(self, a: Tensor, b: Tensor) -> bool:
        """Whether two predictions are the same but for rounding."""
        return a.shape == b.shape and self.apart(a, b) <= TOLERANCE[self.dtype]
