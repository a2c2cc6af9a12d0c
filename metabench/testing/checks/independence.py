"""What a prediction must not depend on, and what it changes."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from metabench.algorithms.base import Algorithm
from metabench.errors import NotApplicable
from metabench.testing.check import Check, CheckFailed
from metabench.testing.subject import Subject


def inputs_unchanged(subject: Subject) -> None:
    """It leaves the tensors that it is given as they were."""
    task, batch = subject.task, subject.episodes
    given = {"support.x": task.support.x, "support.y": task.support.y, "the queries": task.query_x}
    before = {name: (tensor.clone(), tensor.requires_grad) for name, tensor in given.items()}
    subject.predict(task.support, task.query_x)
    if subject.cls.offers("adapt_path"):
        for predictor in subject.trained().adapt_path(task.support, 2):
            predictor(task.query_x)
    if subject.cls.offers("adapt_batch"):
        given |= {
            "support.x of adapt_batch": batch.support_x,
            "support.y of adapt_batch": batch.support_y,
        }
        given["the queries of adapt_batch"] = batch.query_x
        before |= {n: (t.clone(), t.requires_grad) for n, t in given.items() if n not in before}
        subject.trained().adapt_batch(batch.support)(batch.query_x)
    for name, tensor in given.items():
        values, required = before[name]
        if tensor.shape != values.shape or not torch.equal(tensor.detach(), values):
            raise CheckFailed(f"it has changed {name} in place.")
        if tensor.requires_grad != required:
            raise CheckFailed(
                f"it has made {name} require gradients in place; take a copy, as with detach()."
            )


def label_order(subject: Subject) -> None:
    """Whether it matters how classes are numbered is as `depends_on_label_order` says."""
    if subject.problem.regression:
        raise NotApplicable("there are no classes in regression.")
    subject.require_deterministic("a dependence on label order")
    numbers = torch.arange(subject.problem.ways).roll(1)
    apart = 0.0
    for task in subject.tasks[:2]:
        renumbered = dataclasses.replace(task.support, y=numbers[task.support.y])
        expected = subject.predict(task.support, task.query_x)
        found = subject.predict(renumbered, task.query_x)[:, numbers]
        if not subject.same(found, expected):
            apart = max(apart, subject.apart(found, expected))
    if apart and not subject.trained().depends_on_label_order:
        raise CheckFailed(
            f"other numbers for the classes change its predictions by up to {apart:.1%}, and "
            "`depends_on_label_order` is False. Say True where that lies in the method."
        )
    if not apart and subject.trained().depends_on_label_order:
        raise CheckFailed(
            "`depends_on_label_order` is True, and how classes are numbered changes nothing."
        )


def no_state(subject: Subject) -> None:
    """An episode leaves no trace in it: nothing has changed, and the first episode is predicted as before."""
    first, second = subject.tasks[:2]
    algorithm = subject.trained()
    before = _state(algorithm)
    expected = subject.predict(first.support, first.query_x, algorithm=algorithm)
    subject.predict(second.support, second.query_x, algorithm=algorithm)
    found = subject.predict(first.support, first.query_x, algorithm=algorithm)
    after = _state(algorithm)
    if before.keys() != after.keys():
        name = sorted(before.keys() ^ after.keys())[0]
        raise CheckFailed(f"adapting has added or removed the parameter or buffer '{name}'.")
    for name, tensor in before.items():
        if tensor.shape != after[name].shape or not torch.equal(tensor, after[name]):
            raise CheckFailed(f"adapting has changed '{name}'; copy what is adapted.")
    if any(module.training for module in algorithm.modules()):
        raise CheckFailed("adapting has put it into training mode.")
    if not subject.same(found, expected):
        raise CheckFailed(
            f"after another episode the first is predicted {subject.apart(found, expected):.1%} apart: it "
            "keeps something outside its parameters and buffers."
        )


def same_seed(subject: Subject) -> None:
    """With the same seed it is made, trained and asked with the same bits as a result."""
    tasks = subject.tasks[:2]
    runs = []
    for _ in range(2):
        algorithm = subject.new()
        subject.train(algorithm)
        runs.append([subject.predict(t.support, t.query_x, algorithm=algorithm) for t in tasks])
    for first, second in zip(*runs, strict=True):
        if not torch.equal(first, second):
            raise CheckFailed(
                "two runs with the same seed differ: it draws random numbers from elsewhere than the "
                "generators of PyTorch, NumPy and Python, or depends on the order of a set."
            )


def transduction(subject: Subject) -> None:
    """Whether queries that are predicted together see each other is as `transductive` says."""
    subject.require_deterministic("what queries see of each other")
    seen, why = _queries_see_each_other(subject)
    said = subject.trained().transductive
    if seen and not said:
        raise CheckFailed(
            f"{why}, and `transductive` is False. Say True where that lies in the method."
        )
    if said and not seen:
        raise CheckFailed(
            "`transductive` is True, and queries are predicted alone as they are together."
        )


def _queries_see_each_other(subject: Subject) -> tuple[bool, str]:
    for task in subject.tasks[:2]:
        together = subject.predict(task.support, task.query_x)
        try:
            alone = [subject.predict(task.support, query) for query in task.query_x.split(1)]
        except (RuntimeError, ValueError) as error:
            return True, f"it cannot predict a lone query ({error})"
        found = torch.cat(alone)
        if not subject.same(found, together):
            apart = subject.apart(found, together)
            return (
                True,
                f"a query is predicted differently alone than among others, by up to {apart:.1%}",
            )
    return False, ""


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
