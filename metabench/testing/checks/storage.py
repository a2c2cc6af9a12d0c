"""Whether all that was learned can be stored."""

from __future__ import annotations

import io

import torch

from metabench.testing.check import Check, CheckFailed
from metabench.testing.subject import Subject


def saves_and_loads(subject: Subject) -> None:
    """A new one that loads the saved state of a trained one predicts what that does."""
    task = subject.task
    trained = subject.trained()
    expected = subject.predict(task.support, task.query_x, algorithm=trained)
    file = io.BytesIO()
    torch.save(subject.trained().state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    loaded = subject.new(seed=1)
    loaded.load_state_dict(state)
    found = subject.predict(task.support, task.query_x, algorithm=loaded)
    if not torch.equal(found, expected):
        raise CheckFailed(
            f"what was saved and loaded predicts otherwise, by up to {subject.apart(found, expected):.1%}: "
            "something that was learned or drawn is neither a parameter nor a buffer."
        )


CHECKS = (Check.of(saves_and_loads, precision="single"),)
