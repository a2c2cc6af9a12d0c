"""What adapting and predicting need: autograd, a device, memory."""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import torch

from metabench.algorithms.base import Algorithm
from metabench.episodes import Task
from metabench.errors import NotApplicable
from metabench.testing.check import Check, CheckFailed
from metabench.testing.pretend import OtherDevice, StrayTensor
from metabench.testing.subject import Subject
from metabench.testing.survivors import Survivors
from metabench.testing.watch import watch_gradients

MEMORY_EPISODES = 50
LOOKED_AT = (5, 10, 15, 20)
"""Episodes whose tensors must be gone at the end: after whatever is made once, well before the last."""


def inference_mode(subject: Subject) -> None:
    """It predicts under `torch.inference_mode` as without; it adapts there too, unless it takes gradients."""
    task = subject.task
    with watch_gradients() as adapting:
        expected = subject.predict(task.support, task.query_x)
    algorithm = subject.trained()
    predictor = None if not adapting.computed else algorithm.adapt(task.support)
    with torch.inference_mode():
        if predictor is None:
            found = subject.predict(task.support, task.query_x, algorithm=algorithm)
        else:
            found = predictor(task.query_x)
    found = found.clone()
    if not subject.random and not subject.same(found, expected):
        raise CheckFailed(
            f"under torch.inference_mode predictions differ by up to {subject.apart(found, expected):.1%}."
        )


def device(subject: Subject) -> None:
    """It adapts and predicts on the device that it was moved to, and makes no tensors elsewhere."""
    if torch.cuda.is_available():
        _on_device(subject, torch.device("cuda"))
        return
    # No GPU: the device without memory stands in for one. Whatever looks at a number fails there, rightly.
    watch = OtherDevice()  # type: ignore[no-untyped-call]
    try:
        with watch:
            _on_device(subject, torch.device("meta"))
    except StrayTensor as error:
        raise CheckFailed(str(error)) from error
    except (NotImplementedError, RuntimeError, TypeError) as error:
        if "is not on the expected device" in str(
            error
        ):  # the same, seen by PyTorch before it is seen here
            raise CheckFailed(f"it mixes devices: {error}") from error
        what = str(error).strip().splitlines()[0]
        raise NotApplicable(
            f"there is no GPU here, and without numbers it cannot run ({what})."
        ) from error


def _on_device(subject: Subject, device: torch.device) -> None:
    task = subject.task
    algorithm = subject.trained().to(device)
    x, y = task.support.x.to(device), task.support.y.to(device)
    support = dataclasses.replace(task.support, x=x, y=y)
    found = algorithm.adapt(support)(task.query_x.to(device))
    if found.device.type != device.type:
        raise CheckFailed(
            f"its predictions are on {found.device} when everything else is on {device.type}."
        )


def memory(subject: Subject) -> None:
    """Over 50 episodes it does not hold on to more and more tensors."""
    algorithm = subject.trained()
    batch = subject.world.test(MEMORY_EPISODES)
    survivors: dict[int, Survivors] = {}
    kept: list[int] = []
    with _quick_collections():
        for index, task in enumerate(batch):
            if index in LOOKED_AT or index == MEMORY_EPISODES - 1:
                with Survivors() as survivors[index]:
                    _one_episode(algorithm, task)
                gc.collect()
                kept.append(survivors[index].bytes())
            else:
                _one_episode(algorithm, task)
        gc.collect()
    old = [survivors[index].bytes() for index in LOOKED_AT]
    if all(old[1:]):
        raise CheckFailed(
            f"{old[-1]:,} bytes of tensors of episode {LOOKED_AT[-1]} are still there after "
            f"{MEMORY_EPISODES} episodes: it holds on to each episode, or to its graph."
        )
    if all(before < after for before, after in pairwise(kept)):
        raise CheckFailed(
            f"what an episode leaves behind grows: {kept[0]:,} bytes after episode {LOOKED_AT[0]}, "
            f"{kept[-1]:,} after episode {MEMORY_EPISODES - 1}."
        )


@contextmanager
def _quick_collections() -> Iterator[None]:
    """Inside, the garbage collector looks at new objects alone, and not at all that PyTorch consists of."""
    if gc.get_freeze_count():  # somebody else's, who would not have it thawed
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _one_episode(algorithm: Algorithm, task: Task) -> None:
    """Adapt and predict on tensors made here, so that one who keeps them is seen."""
    support = dataclasses.replace(task.support, x=task.support.x.clone(), y=task.support.y.clone())
    with torch.no_grad():
        query = task.query_x.clone()
    predictor = algorithm.adapt(support)
    with torch.no_grad():
        predictor(query)


CHECKS = (
    Check.of(inference_mode, precision="single"),
    Check.of(device, precision="single"),
    Check.of(memory, precision="single"),
)
