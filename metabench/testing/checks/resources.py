"""Resources of adapting and predicting: autograd, device, memory."""

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
from metabench.testing.instruments.devices import DeviceGuard, MixedDevices
from metabench.testing.instruments.gradients import watch_gradients
from metabench.testing.instruments.live_tensors import LiveTensors
from metabench.testing.subject import Subject

MEMORY_EPISODES = 50
# After everything that is created once, and well before the last episode.
SAMPLED_EPISODES = (5, 10, 15, 20)
"""Episodes whose tensors must be freed at the end."""


def inference_mode(subject: Subject) -> None:
    """Under `torch.inference_mode` it predicts the same; it adapts there unless by gradients."""
    task = subject.task
    with watch_gradients() as adapting:
        expected = subject.predict(task.support, task.query_x)
    algorithm = subject.trained()
    # Gradients cannot be computed in inference mode: such a method adapts outside of it.
    predictor = None if not adapting.computed else algorithm.adapt(task.support)
    with torch.inference_mode():
        if predictor is None:
            found = subject.predict(task.support, task.query_x, algorithm=algorithm)
        else:
            found = predictor(task.query_x)
    found = found.clone()
    if not subject.random and not subject.same(found, expected):
        raise CheckFailed(
            "under torch.inference_mode predictions differ by up to "
            f"{subject.difference(found, expected):.1%}."
        )


def device(subject: Subject) -> None:
    """It adapts and predicts on the device it was moved to, and makes no tensors elsewhere."""
    if torch.cuda.is_available():
        _run_on(subject, torch.device("cuda"))
        return
    # Without a GPU the device `meta` stands in for one. An operation that needs values fails there.
    guard = DeviceGuard()  # type: ignore[no-untyped-call]
    try:
        with guard:
            _run_on(subject, torch.device("meta"))
    except MixedDevices as error:
        raise CheckFailed(str(error)) from error
    except (NotImplementedError, RuntimeError, TypeError) as error:
        # PyTorch's own message for mixed devices, in operations that check before dispatch.
        if "is not on the expected device" in str(error):
            raise CheckFailed(f"it mixes devices: {error}") from error
        what = str(error).strip().splitlines()[0]
        raise NotApplicable(
            f"there is no GPU here, and it cannot run without values ({what})."
        ) from error


def _run_on(subject: Subject, device: torch.device) -> None:
    task = subject.task
    algorithm = subject.trained().to(device)
    x, y = task.support.x.to(device), task.support.y.to(device)
    support = dataclasses.replace(task.support, x=x, y=y)
    found = algorithm.adapt(support)(task.query_x.to(device))
    if found.device.type != device.type:
        raise CheckFailed(
            f"its predictions are on {found.device}, but its inputs are on {device.type}."
        )


def memory(subject: Subject) -> None:
    """Its memory does not grow over 50 episodes."""
    algorithm = subject.trained()
    batch = subject.source.test(MEMORY_EPISODES)
    live: dict[int, LiveTensors] = {}
    after_episode: list[int] = []
    with _fast_collections():
        for index, task in enumerate(batch):
            if index in SAMPLED_EPISODES or index == MEMORY_EPISODES - 1:
                with LiveTensors() as live[index]:
                    _one_episode(algorithm, task)
                # Graphs can form reference cycles, which only the collector frees.
                gc.collect()
                after_episode.append(live[index].bytes())
            else:
                _one_episode(algorithm, task)
        gc.collect()
    at_end = [live[index].bytes() for index in SAMPLED_EPISODES]
    # All samples but the first: one may hold what the algorithm keeps once, such as a cache.
    if all(at_end[1:]):
        raise CheckFailed(
            f"{at_end[-1]:,} bytes of tensors of episode {SAMPLED_EPISODES[-1]} are still alive "
            f"after {MEMORY_EPISODES} episodes: it keeps each episode, or its graph."
        )
    if all(before < after for before, after in pairwise(after_episode)):
        raise CheckFailed(
            f"the memory that an episode keeps grows: {after_episode[0]:,} bytes after episode "
            f"{SAMPLED_EPISODES[0]}, {after_episode[-1]:,} after episode {MEMORY_EPISODES - 1}."
        )


@contextmanager
def _fast_collections() -> Iterator[None]:
    """Exclude all current objects, such as those of PyTorch, from garbage collection."""
    if gc.get_freeze_count():  # frozen by someone else, who does not expect an unfreeze
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _one_episode(algorithm: Algorithm, task: Task) -> None:
    """Adapt and predict on fresh tensors, so that an algorithm that keeps them is detected."""
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
