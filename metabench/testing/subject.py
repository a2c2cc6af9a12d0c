"""The algorithm under test, constructed, trained and evaluated from a fixed seed."""

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
from metabench.testing.small_tasks import EPISODES, ShortStream, SmallTasks

# Enough to change every parameter that training changes.
STEPS = 2
"""Outer steps of meta-training before an algorithm is tested."""

TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3}
"""Largest difference of predictions that should be equal, as a share of the largest value."""


class Subject:
    """One algorithm on one problem, in one floating-point type.

    Each method returns a copy of its own, so that no check depends on what another has done.

    Args:
        cls: The algorithm.
        problem: The problem.
        overrides: Hyper-parameters that differ from their defaults.
        dtype: float64 or float32.
    """

    def __init__(
        self,
        cls: type[Algorithm],
        problem: Problem,
        overrides: Mapping[str, Value],
        dtype: torch.dtype,
    ) -> None:
        self.cls = cls
        self.problem = problem
        self.overrides = dict(overrides)
        self.dtype = dtype
        self.source = SmallTasks(problem, dtype)
        self._trained: Algorithm | None = None

    @contextmanager
    def environment(self) -> Iterator[None]:
        """Set the default dtype, enable gradients, and restore the random state afterwards."""
        before = torch.get_default_dtype()
        # Tensors that an algorithm creates without a dtype must fit its float64 parameters.
        torch.set_default_dtype(self.dtype)
        try:
            with preserved_random_state(), torch.enable_grad():
                yield
        finally:
            torch.set_default_dtype(before)

    @property
    def values(self) -> dict[str, Value]:
        """All hyper-parameters."""
        registry = installed_plugins().registry
        return hyperparameters_for(registry, self.cls, self.problem, self.overrides)

    def new(self, seed: int = 0) -> Algorithm:
        """Returns a new algorithm in evaluation mode."""
        seed_everything(make_key("kit", "new", seed))
        return self.cls(self.problem, **self.values).to(self.dtype).eval()

    def train(self, algorithm: Algorithm, *, steps: int = STEPS) -> ShortStream:
        """Meta-train an algorithm for some outer steps and return the stream."""
        stream = self.source.stream(steps)
        seed_everything(make_key("kit", "train"))
        algorithm.train()
        algorithm.meta_train(stream)
        algorithm.eval()
        return stream

    def trained(self) -> Algorithm:
        """Returns a copy of the trained algorithm."""
        if self._trained is None:
            self._trained = self.new()
            self.train(self._trained)
        try:
            return copy.deepcopy(self._trained)
        except Exception:
            # A module may hold what cannot be copied: it is used up, and trained again next time.
            original, self._trained = self._trained, None
            return original

    @property
    def episodes(self) -> TaskBatch:
        """Test episodes, drawn anew, because an algorithm may change them in place."""
        return self.source.test()

    @property
    def task(self) -> Task:
        """The first test episode."""
        return self.tasks[0]

    @property
    def tasks(self) -> list[Task]:
        """The test episodes one by one."""
        return list(self.source.test(EPISODES))

    def predict(
        self, support: Support, query: Tensor, *, algorithm: Algorithm | None = None, seed: int = 0
    ) -> Tensor:
        """Returns predictions ``[Q, outputs]``.

        Args:
            support: The support set to adapt to.
            query: Query inputs, ``[Q, *input]``.
            algorithm: The algorithm; by default a copy of the trained one.
            seed: Seed of the random state.
        """
        algorithm = algorithm if algorithm is not None else self.trained()
        seed_everything(make_key("kit", "adapt", seed))
        predictor = algorithm.adapt(support)
        with torch.no_grad():
            return predictor(query)

    @cached_property
    def random(self) -> bool:
        """Whether predictions depend on the random state in adaptation or prediction."""
        task = self.task
        # Two seeds on two copies: equal predictions do not use the random state.
        first, second = (self.predict(task.support, task.query_x, seed=seed) for seed in (1, 2))
        return not self.same(first, second)

    def require_deterministic(self, what: str) -> None:
        """Check that predictions are deterministic.

        Args:
            what: What cannot be measured otherwise, for the message.

        Raises:
            NotApplicable: If predictions are random.
        """
        if self.random:
            raise NotApplicable(
                f"its predictions are random, so {what} cannot be told from chance."
            )

    def require(self, method: str) -> None:
        """Check that the algorithm has an optional method.

        Raises:
            NotApplicable: If it does not.
        """
        if not self.cls.offers(method):
            raise NotApplicable(f"it has no {method}.")

    def difference(self, a: Tensor, b: Tensor) -> float:
        """Returns the largest difference of predictions as a share of the largest value."""
        # Relative, because the scale of logits depends on the method; clamped for all zeros.
        scale = torch.maximum(a.abs().max(), b.abs().max()).clamp(min=1e-12)
        return float((a - b).abs().max() / scale)

    def same(self, a: Tensor, b: Tensor) -> bool:
        """Returns whether predictions are equal up to rounding."""
        return a.shape == b.shape and self.difference(a, b) <= TOLERANCE[self.dtype]
