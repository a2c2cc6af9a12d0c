"""Saving and loading what was learned."""

from __future__ import annotations

import io

import torch

from metabench.testing.check import Check, CheckFailed
from metabench.testing.subject import Subject


def saves_and_loads(subject: Subject) -> None:
    """A new instance that loads the `state_dict` of a trained one gives the same predictions."""
    task = subject.task
    trained = subject.trained()
    expected = subject.predict(task.support, task.query_x, algorithm=trained)
    file = io.BytesIO()
    torch.save(subject.trained().state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    # Another seed: what is drawn in the constructor must come from the state.
    loaded = subject.new(seed=1)
    loaded.load_state_dict(state)
    found = subject.predict(task.support, task.query_x, algorithm=loaded)
    if not torch.equal(found, expected):
        raise CheckFailed(
            "after saving and loading, predictions differ by up to "
            f"{subject.difference(found, expected):.1%}: something learned or drawn is neither a "
            "parameter nor a buffer."
        )


CHECKS = (Check.of(saves_and_loads, precision="single"),)
