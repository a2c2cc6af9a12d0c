"""Agreement of the optional ways of adapting with the required one."""

from __future__ import annotations

import torch

from metabench.metrics.adaptation.metric import Adaptation
from metabench.testing.check import Check, CheckFailed
from metabench.testing.subject import Subject
from metabench.utils.text import counted

MAX_STEPS = 200
"""Steps of ``adapt_path`` in which the predictor of ``adapt`` must be."""


def batch_agrees(subject: Subject) -> None:
    """`adapt_batch` gives the predictions of `adapt`."""
    subject.require("adapt_batch")
    subject.require_deterministic("the difference of two ways to adapt")
    batch = subject.episodes
    predictor = subject.trained().adapt_batch(batch.support)
    with torch.no_grad():
        batched = predictor(batch.query_x)
    for i, task in enumerate(subject.tasks):
        single = subject.predict(task.support, task.query_x)
        if not subject.same(batched[i], single):
            raise CheckFailed(
                f"adapt_batch and adapt differ in task {i} of {len(batch)}, by up to "
                f"{subject.difference(batched[i], single):.1%}."
            )


def path_ends_at_adapt(subject: Subject) -> None:
    """`adapt_path` yields predictors after 0, 1, ... steps; one of them is that of `adapt`."""
    subject.require("adapt_path")
    task = subject.task
    count = len(list(subject.trained().adapt_path(task.support, 3)))
    if count != 4:
        raise CheckFailed(
            f"adapt_path(support, 3) yields {counted(count, 'predictor')} and not 4, "
            "for 0 to 3 steps."
        )
    subject.require_deterministic("where a path ends")
    expected = subject.predict(task.support, task.query_x)
    nearest = float("inf")
    # How many steps `adapt` takes is its own decision, so any predictor of the path may be it.
    for predictor in subject.trained().adapt_path(task.support, max(MAX_STEPS, *Adaptation.steps)):
        with torch.no_grad():
            found = predictor(task.query_x)
        if subject.same(found, expected):
            return
        nearest = min(nearest, subject.difference(found, expected))
    raise CheckFailed(
        f"none of the first {MAX_STEPS} predictors of adapt_path is that of adapt; "
        f"the nearest differs by {nearest:.1%}."
    )


CHECKS = (Check.of(batch_agrees), Check.of(path_ends_at_adapt))
