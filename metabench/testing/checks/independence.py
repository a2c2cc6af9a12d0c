"""Independence: of inputs, label order, other episodes, seeds and other queries."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from metabench.algorithms.base import Algorithm
from metabench.errors import NotApplicable
from metabench.testing.check import Check, CheckFailed
from metabench.testing.subject import Subject


def inputs_unchanged(subject: Subject) -> None:
    """It does not change its input tensors in place."""
    task, batch = subject.task, subject.episodes
    inputs = {"support.x": task.support.x, "support.y": task.support.y, "the queries": task.query_x}
    before = {name: (tensor.clone(), tensor.requires_grad) for name, tensor in inputs.items()}
    subject.predict(task.support, task.query_x)
    if subject.cls.offers("adapt_path"):
        for predictor in subject.trained().adapt_path(task.support, 2):
            predictor(task.query_x)
    if subject.cls.offers("adapt_batch"):
        inputs |= {
            "support.x of adapt_batch": batch.support_x,
            "support.y of adapt_batch": batch.support_y,
        }
        inputs["the queries of adapt_batch"] = batch.query_x
        before |= {n: (t.clone(), t.requires_grad) for n, t in inputs.items() if n not in before}
        subject.trained().adapt_batch(batch.support)(batch.query_x)
    for name, tensor in inputs.items():
        values, required = before[name]
        if tensor.shape != values.shape or not torch.equal(tensor.detach(), values):
            raise CheckFailed(f"it has changed {name} in place.")
        if tensor.requires_grad != required:
            raise CheckFailed(
                f"it has made {name} require gradients in place; make a copy, as with detach()."
            )


def label_order(subject: Subject) -> None:
    """Predictions depend on the numbering of the classes as `depends_on_label_order` declares."""
    if subject.problem.regression:
        raise NotApplicable("there are no classes in regression.")
    subject.require_deterministic("a dependence on label order")
    # A rotation gives every class another number.
    numbers = torch.arange(subject.problem.ways).roll(1)
    difference = 0.0
    for task in subject.tasks[:2]:
        renumbered = dataclasses.replace(task.support, y=numbers[task.support.y])
        expected = subject.predict(task.support, task.query_x)
        found = subject.predict(renumbered, task.query_x)[:, numbers]
        if not subject.same(found, expected):
            difference = max(difference, subject.difference(found, expected))
    if difference and not subject.trained().depends_on_label_order:
        raise CheckFailed(
            f"renumbering the classes changes its predictions by up to {difference:.1%}, but "
            "`depends_on_label_order` is False. Declare True if that is inherent to the method."
        )
    if not difference and subject.trained().depends_on_label_order:
        raise CheckFailed(
            "`depends_on_label_order` is True, but renumbering the classes changes nothing."
        )


def no_state(subject: Subject) -> None:
    """An episode changes no state: the first episode is predicted the same after another one."""
    first, second = subject.tasks[:2]
    algorithm = subject.trained()
    before = _state(algorithm)
    expected = subject.predict(first.support, first.query_x, algorithm=algorithm)
    subject.predict(second.support, second.query_x, algorithm=algorithm)
    found = subject.predict(first.support, first.query_x, algorithm=algorithm)
    after = _state(algorithm)
    if before.keys() != after.keys():
        name = sorted(before.keys() ^ after.keys())[0]
        raise CheckFailed(f"adaptation has added or removed the parameter or buffer '{name}'.")
    for name, tensor in before.items():
        if tensor.shape != after[name].shape or not torch.equal(tensor, after[name]):
            raise CheckFailed(f"adaptation has changed '{name}'; copy what is adapted.")
    if any(module.training for module in algorithm.modules()):
        raise CheckFailed("adaptation has put it into training mode.")
    if not subject.same(found, expected):
        raise CheckFailed(
            f"after another episode, predictions of the first differ by "
            f"{subject.difference(found, expected):.1%}: it keeps state outside its parameters and "
            "buffers."
        )


def same_seed(subject: Subject) -> None:
    """Construction, training and prediction with the same seed give the same bits."""
    tasks = subject.tasks[:2]
    runs = []
    for _ in range(2):
        algorithm = subject.new()
        subject.train(algorithm)
        runs.append([subject.predict(t.support, t.query_x, algorithm=algorithm) for t in tasks])
    for first, second in zip(*runs, strict=True):
        # Bits, not a tolerance: records are compared bit by bit.
        if not torch.equal(first, second):
            raise CheckFailed(
                "two runs with the same seed differ: it draws random numbers from other generators "
                "than those of PyTorch, NumPy and Python, or depends on the order of a set."
            )


def transduction(subject: Subject) -> None:
    """Queries predicted together influence each other as `transductive` declares."""
    subject.require_deterministic("the influence of queries on each other")
    influence = _influence_of_queries(subject)
    declared = subject.trained().transductive
    if influence and not declared:
        raise CheckFailed(
            f"{influence}, but `transductive` is False. Declare True if that is inherent to the "
            "method."
        )
    if declared and not influence:
        raise CheckFailed(
            "`transductive` is True, but queries are predicted alone as they are together."
        )


def _influence_of_queries(subject: Subject) -> str:
    """Describe how the predictions of queries depend on each other; empty if they do not."""
    for task in subject.tasks[:2]:
        together = subject.predict(task.support, task.query_x)
        # Batch norm in training mode, for example, raises an error on one value.
        try:
            single = [subject.predict(task.support, query) for query in task.query_x.split(1)]
        except (RuntimeError, ValueError) as error:
            return f"it cannot predict a single query ({error})"
        alone = torch.cat(single)
        if not subject.same(alone, together):
            difference = subject.difference(alone, together)
            return f"predictions of a query alone and among others differ by up to {difference:.1%}"
    return ""


def _state(algorithm: Algorithm) -> dict[str, Tensor]:
    tensors = dict(algorithm.named_parameters()) | dict(algorithm.named_buffers())
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


CHECKS = (
    Check.of(inputs_unchanged, precision="single"),
    Check.of(label_order),
    Check.of(no_state),
    Check.of(same_seed, precision="single"),
    Check.of(transduction),
)
