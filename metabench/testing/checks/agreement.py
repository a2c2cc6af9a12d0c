"""Whether the optional ways of adapting agree with the required one."""

from __future__ import annotations

import torch

from metabench.metrics.adaptation.metric import Adaptation
from metabench.testing.check import Check, CheckFailed
from metabench.testing.subject import Subject

MOST_STEPS = 200
"""Where a path has not come to what adapt returns after so many steps, it is taken not to."""


def batch_agrees(subject: Subject) -> None:
    """`adapt_batch` predicts what `adapt` does task by task."""
    subject.require("adapt_batch")
    subject.require_deterministic("the difference of two ways to adapt")
    batch = subject.episodes
    predictor = subject.trained().adapt_batch(batch.support)
    with torch.no_grad():
        many = predictor(batch.query_x)
    for i, task in enumerate(subject.tasks):
        alone = subject.predict(task.support, task.query_x)
        if not subject.same(many[i], alone):
            raise CheckFailed(
                f"adapt_batch predicts task {i} of {len(batch)} otherwise than adapt, by up to "
                f"{subject.apart(many[i], alone):.1%}."
            )


def path_ends_at_adapt(subject: Subject) -> None:
    """`adapt_path` gives a predictor for 0, 1, ... steps, and what `adapt` returns is one of them."""
    subject.require("adapt_path")
    task = subject.task
    count = len(list(subject.trained().adapt_path(task.support, 3)))
    if count != 4:
        raise CheckFailed(
            f"adapt_path(support, 3) gives {count} predictors and not 4, for 0 to 3 steps."
        )
    subject.require_deterministic("where a path ends")
    expected = subject.predict(task.support, task.query_x)
    nearest = float("inf")
    for predictor in subject.trained().adapt_path(task.support, max(MOST_STEPS, *Adaptation.steps)):
        with torch.no_grad():
            found = predictor(task.query_x)
        if subject.same(found, expected):
            return
        nearest = min(nearest, subject.apart(found, expected))
    raise CheckFailed(
        f"none of the first {MOST_STEPS} predictors of adapt_path is the one of adapt; "
        f"the nearest is {nearest:.1%} apart."
    )


CHECKS = (Check.of(batch_agrees), Check.of(path_ends_at_adapt))
