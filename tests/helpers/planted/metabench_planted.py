"""A plugin for tests: a small data set, and algorithms that fail in known ways."""

import os
import random
import signal
import sys
import time
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import nn

from metabench import Algorithm, ClassDataset, ClassPool, NotApplicable, hookimpl

SIDE = 16
CLASSES = {"train": 12, "validation": 6, "test": 6}


class Blobs(ClassDataset):
    """Noisy patterns of 16 x 16 pixels.

    ``leak`` puts the training classes into the test split, with other pictures; ``copy`` puts their
    pictures there.
    """

    name = "blobs"
    version = "1"
    input_shape = (1, SIDE, SIDE)
    salt: ClassVar[int] = 0

    def __init__(self, root=None, *, leak: bool = False, copy: bool = False) -> None:
        super().__init__(root)
        self.leak = leak
        self.copy = copy

    def status(self):
        return "embedded"

    def pool(self, split):
        self.check_split(split)
        made_from = "train" if (self.leak or self.copy) and split == "test" else split
        count = CLASSES[made_from]
        generator = torch.Generator().manual_seed(self.salt * 10 + list(CLASSES).index(made_from))
        shape = (count, 8, *self.input_shape)
        patterns = torch.randint(0, 2, (count, 1, *self.input_shape), generator=generator) * 160
        noise = torch.randint(0, 96, shape, generator=generator)
        if self.leak and split == "test":
            noise = noise.flip(-1)
        return ClassPool(
            (patterns + noise).to(torch.uint8), tuple(f"{made_from}{i}" for i in range(count))
        )


class Learner(Algorithm):
    """A linear embedding with nearest means; draws from all random generators in every method."""

    name = "learner"
    keeps = True

    def __init__(self, problem, *, lr: float = 0.01, tasks: int = 2, noise: float = 0.5) -> None:
        super().__init__(problem)
        if problem.regression:
            raise NotApplicable("learner classifies.")
        self.lr, self.tasks, self.noise = lr, tasks, noise
        self.embed = nn.Linear(SIDE * SIDE, 8)

    def meta_train(self, tasks):
        random.random()
        # Its random values are drawn before the first step.
        momentum = nn.Linear(SIDE * SIDE, 8).requires_grad_(False)
        if self.keeps:
            tasks.keep(momentum)
        for batch in tasks.batches(self.tasks):
            losses = [
                nn.functional.cross_entropy(self.adapt(task.support)(task.query_x), task.query_y)
                for task in batch
            ]
            loss = torch.stack(losses).mean() + self.draw() * self.embed.weight.mean()
            # Not an optimizer of torch.optim, which takes seconds to import.
            gradients = torch.autograd.grad(loss, list(self.parameters()))
            with torch.no_grad():
                for parameter, buffer, gradient in zip(
                    self.parameters(), momentum.parameters(), gradients, strict=True
                ):
                    buffer.mul_(0.9).add_(gradient)
                    parameter.sub_(self.lr * buffer)
            tasks.log(loss)

    def draw(self) -> float:
        """Returns a random number that depends on all three generators."""
        return self.noise * (float(torch.randn(())) + float(np.random.randn()) + random.random())

    def adapt(self, support):
        means = support.class_means(self.embed(support.x.flatten(1)))
        means = means + 0.01 * self.draw()
        return lambda query: -torch.cdist(self.embed(query.flatten(1)), means)


class Forgetful(Learner):
    """Never calls ``keep``."""

    name = "forgetful"
    keeps = False


class Trouble(Algorithm):
    """Fails in the way that ``how`` selects."""

    name = "trouble"

    def __init__(
        self,
        problem,
        *,
        how: Literal[
            "raise", "memory", "skip", "hang", "kill", "exit", "nan-loss", "shape", "nan", "noise"
        ] = "raise",
    ) -> None:
        super().__init__(problem)
        self.how = how
        if how == "skip":
            raise NotApplicable("trouble was asked to stay away.")

    def meta_train(self, tasks):
        for batch in tasks.batches(2):
            match self.how:
                case "raise":
                    raise ValueError("planted")
                case "memory":
                    raise MemoryError("planted")
                case "hang":
                    time.sleep(3600)
                case "kill":
                    os.kill(os.getpid(), signal.SIGSEGV)
                case "exit":
                    sys.exit(7)
                case "nan-loss":
                    tasks.log(batch.query_x.sum() * (float("nan") if tasks.steps == 3 else 1.0))
                case "noise":
                    sys.stdout.write("{not an event}\n")
                    os.write(1, b"neither is this\n")

    def adapt(self, support):
        outputs = support.ways + (self.how == "shape")
        value = float("nan") if self.how == "nan" else 0.0
        return lambda query: torch.full((len(query), outputs), value)


class Drifter(Algorithm):
    """Changes a buffer in place and a parameter through ``.data`` whenever it adapts."""

    name = "drifter"

    def __init__(self, problem) -> None:
        super().__init__(problem)
        self.weight = nn.Parameter(torch.ones(3))
        self.register_buffer("seen", torch.zeros(()))
        self.untouched = nn.Parameter(torch.ones(2))

    def adapt(self, support):
        self.seen += 1
        self.weight.data *= 2
        value = float(self.seen + self.weight.detach().sum())
        return lambda query: torch.full((len(query), support.ways), value)


class Slow(Algorithm):
    """Sleeps in meta-training for ``$PLANTED_SECONDS``."""

    name = "slow"

    def meta_train(self, tasks):
        time.sleep(float(os.environ.get("PLANTED_SECONDS", "60")))

    def adapt(self, support):
        return lambda query: torch.zeros(len(query), support.ways)


@hookimpl
def metabench_algorithms():
    return [Learner, Forgetful, Trouble, Drifter, Slow]


@hookimpl
def metabench_datasets():
    return [Blobs]
